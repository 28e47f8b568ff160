//! The brand's documents: kept in the dataset `brand-voice` of the knowledge base, found by search, read for
//! extraction. A document with a tag `brand:<slug>` belongs to that brand, one without such a tag to all.

use neonhub_core::store::Key;
use neonhub_core::{ErrorKind, Result, Scope};
use neonhub_rag::{
    BlockKind, ChunkRecord, CreateDataset, CreateSpace, Document, DocumentState, GetText, ListDocuments,
    SearchFilters, SearchKnowledge, Space, UploadDocument,
};

use super::compose::Chunk;
use super::extract::{Guide, OutlineBlock, OutlineKind};
use super::text::Span;
use crate::brand::Brand;

/// Name of the space and of the dataset in it.
pub const BRAND_VOICE: &str = "brand-voice";
/// Most text of one document that is read for rules, in bytes. Ours: a guide of a thousand pages.
const MAX_GUIDE_BYTES: u64 = 4_000_000;
/// Bytes of one read.
const PAGE_BYTES: u64 = 1_000_000;
/// Most documents of one brand.
const MAX_DOCUMENTS: usize = 1_000;

fn tag_of(brand: &Brand) -> String {
    format!("brand:{}", brand.slug)
}

fn belongs(document: &Document, brand: &Brand) -> bool {
    let tag = tag_of(brand);
    let named = document.tags.iter().any(|t| t.starts_with("brand:"));
    document.tags.contains(&tag) || !named
}

/// Makes the space and dataset when they are not there.
async fn ensure(cx: &Scope) -> Result<()> {
    if cx.find::<Space>("name", Key::text(BRAND_VOICE)).await?.is_none() {
        cx.call(CreateSpace { name: BRAND_VOICE.into(), ..Default::default() }).await?;
    }
    let dataset =
        CreateDataset { space: BRAND_VOICE.into(), name: BRAND_VOICE.into(), ..CreateDataset::default() };
    match cx.call(dataset).await {
        Ok(_) => Ok(()),
        // A dataset with settings of the host's own is as good.
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err),
    }
}

/// Keeps a document of the brand.
pub(super) async fn keep(cx: &Scope, brand: &Brand, upload: UploadDocument) -> Result<Document> {
    ensure(cx).await?;
    let mut upload =
        UploadDocument { dataset: BRAND_VOICE.into(), space: Some(BRAND_VOICE.into()), ..upload };
    let tag = tag_of(brand);
    if !upload.tags.contains(&tag) {
        upload.tags.push(tag);
    }
    cx.call(upload).await
}

/// The readable documents of the brand, by name.
pub(super) async fn documents(cx: &Scope, brand: &Brand) -> Result<Vec<Document>> {
    let mut out = Vec::new();
    let mut cursor = None;
    while out.len() < MAX_DOCUMENTS {
        let list = ListDocuments {
            dataset: BRAND_VOICE.into(),
            space: Some(BRAND_VOICE.into()),
            limit: Some(500),
            cursor,
        };
        let page = match cx.call(list).await {
            Ok(page) => page,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(err),
        };
        let good = |d: &Document| d.current && d.state == DocumentState::Ready && belongs(d, brand);
        out.extend(page.items.into_iter().filter(good));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(out)
}

/// The text of a document with its outline and chunks.
pub(super) async fn guide(cx: &Scope, document: &Document) -> Result<Guide> {
    let mut guide = Guide { document: document.id.to_string(), ..Guide::default() };
    let mut outline = Vec::new();
    let mut at = 0;
    while at < MAX_GUIDE_BYTES {
        let page = cx
            .call(GetText {
                document: document.id.clone(),
                byte_start: Some(at),
                max_bytes: Some(PAGE_BYTES),
            })
            .await?;
        guide.text.push_str(&page.text);
        outline.extend(page.blocks.iter().filter_map(outline_of));
        if page.byte_end >= page.total_bytes || page.byte_end <= at {
            break;
        }
        at = page.byte_end;
    }
    outline.retain(|b| b.span.end <= guide.text.len());
    // A PDF often has no headings of its own; then the shape of its lines tells more than its blocks.
    if outline.iter().any(|b| matches!(b.kind, OutlineKind::Heading(_))) {
        guide.outline = outline;
    }
    let ids: Vec<String> = (0..document.chunks).map(|n| format!("{}.{n:05}", document.id)).collect();
    for chunk in cx.get_many::<ChunkRecord>(&ids).await?.into_iter().flatten() {
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        guide.chunks.push((chunk.id.clone(), Span::new(place(chunk.byte_start), place(chunk.byte_end))));
    }
    Ok(guide)
}

/// A block of the knowledge base as a block of a guide; code is left out.
pub(super) fn outline_of(block: &neonhub_rag::Block) -> Option<OutlineBlock> {
    let kind = match block.kind {
        BlockKind::Heading { level } => OutlineKind::Heading(level),
        BlockKind::Paragraph | BlockKind::Footnote => OutlineKind::Paragraph,
        BlockKind::ListItem { .. } => OutlineKind::Item,
        BlockKind::Table { .. } => OutlineKind::Table,
        BlockKind::Code => return None,
    };
    Some(OutlineBlock { kind, span: Span::new(block.byte_start, block.byte_end) })
}

/// The best passages of the brand's documents on `query`; none without documents.
pub(super) async fn search(cx: &Scope, brand: &Brand, query: &str, k: usize) -> Result<Vec<Chunk>> {
    let documents = documents(cx, brand).await?;
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let words = if query.trim().is_empty() { brand.name.as_str() } else { query };
    let filters = SearchFilters {
        datasets: vec![BRAND_VOICE.into()],
        documents: documents.iter().map(|d| d.id.clone()).collect(),
        ..SearchFilters::default()
    };
    let search = SearchKnowledge {
        spaces: vec![BRAND_VOICE.into()],
        k: u32::try_from(k).ok(),
        filters,
        ..SearchKnowledge::of(words)
    };
    let found = cx.call(search).await?;
    let chunk = |hit: neonhub_rag::Hit| Chunk {
        id: hit.chunk,
        document: hit.document.to_string(),
        title: hit.title,
        headings: hit.heading_path,
        text: hit.text,
    };
    Ok(found.hits.into_iter().map(chunk).collect())
}

/// Passages to write from: those on the topic, and those on the brand itself.
pub(super) async fn passages(cx: &Scope, brand: &Brand, query: &str, k: usize) -> Result<Vec<Chunk>> {
    let mut out = search(cx, brand, query, k).await?;
    let about = format!("{} about us who we are what we do how we work", brand.name);
    for chunk in search(cx, brand, &about, k / 2 + 1).await? {
        if !out.iter().any(|o| o.id == chunk.id) {
            out.push(chunk);
        }
    }
    Ok(out)
}
