//! What is known of a brand, for the report: its documents and its voice.

use neonhub_core::{ErrorKind, Result, Scope};
use neonhub_rag::{Document, DocumentState, ListDocuments};

use super::Campaign;
use super::report::{FailedFile, KnowledgeCounts, PreferredTerm, ReadFile, VoiceLine};
use crate::brand::{Brand, GetBrand};
use crate::voice::{BRAND_VOICE, GetVoice, Tone};

/// The documents of the campaign's brand: those that can be cited, and those that could not be read.
pub(super) async fn knowledge(cx: &Scope, campaign: &Campaign) -> Result<KnowledgeCounts> {
    let brand = cx.call(GetBrand { brand: campaign.brand.to_string() }).await?;
    let mut counts = KnowledgeCounts::default();
    let mut cursor = None;
    loop {
        let place = (BRAND_VOICE.to_owned(), Some(BRAND_VOICE.to_owned()));
        let list = ListDocuments { dataset: place.0, space: place.1, limit: Some(500), cursor };
        let page = match cx.call(list).await {
            Ok(page) => page,
            // No document was ever taken in.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(counts),
            Err(error) => return Err(error),
        };
        page.items.into_iter().filter(|d| belongs(d, &brand)).for_each(|d| count(d, &mut counts));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    counts.files.sort_by(|a, b| a.file.cmp(&b.file));
    counts.failed.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(counts)
}

/// A document with the tag of another brand is that brand's; one without such a tag belongs to all.
fn belongs(document: &Document, brand: &Brand) -> bool {
    let tag = format!("brand:{}", brand.slug);
    document.tags.contains(&tag) || !document.tags.iter().any(|t| t.starts_with("brand:"))
}

fn count(document: Document, counts: &mut KnowledgeCounts) {
    if document.current && document.state == DocumentState::Ready {
        counts.documents += 1;
        counts.chunks += u64::from(document.chunks);
        counts.files.push(ReadFile { file: document.external_key.clone(), chunks: document.chunks.into() });
    }
    if document.latest && document.state == DocumentState::Failed {
        let reason = document.failure.map_or_else(|| "it cannot be read".to_owned(), |f| f.reason);
        counts.failed.push(FailedFile { file: document.external_key, reason });
    }
}

/// The voice of the campaign's brand; empty when it has none.
pub(super) async fn voice(cx: &Scope, campaign: &Campaign) -> Result<VoiceLine> {
    let view = match cx.call(GetVoice { brand: campaign.brand.to_string(), version: None }).await {
        Ok(view) => view,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(VoiceLine::default()),
        Err(error) => return Err(error),
    };
    let words = view.voice.vocabulary;
    let pair =
        |p: crate::voice::PreferredTerm| PreferredTerm { term: p.term, instead_of: p.instead_of.join(", ") };
    Ok(VoiceLine {
        tone: axes(&view.voice.tone),
        rules: view.rules.len() as u64,
        preferred: words.preferred.into_iter().map(pair).collect(),
        banned: words.banned,
        product_names: words.products,
    })
}

fn axes(tone: &Tone) -> std::collections::BTreeMap<String, f64> {
    // Six decimals: the last ones of a platform's own arithmetic stay out of files.
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    tone.axes().into_iter().map(|(name, value)| (name.to_owned(), rounded(value))).collect()
}
