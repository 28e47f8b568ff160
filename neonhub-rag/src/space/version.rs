//! Versions of a document: a new one is stored with its chunks, and takes the place of the one before.

use std::sync::Arc;

use neonhub_core::bus::Event;
use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Result, Scope};
use serde_json::json;

use super::ingest::{Incoming, Ingested, NewFile, blob_name, ingest, recipe};
use super::knowledge::Knowledge;
use super::model::{Dataset, Document, DocumentId, DocumentState, Given, Space, SpaceState};

/// Stages a new version of a document, unless nothing changed.
pub(super) async fn store_version(cx: &Scope, dataset: &Dataset, incoming: Incoming) -> Result<Document> {
    let mut stored = store_versions(cx, dataset, vec![incoming]).await?;
    let only = stored.pop().ok_or_else(|| Error::internal(cx.operation(), "a file became nothing"))?;
    Ok(only?.document)
}

/// What a file became.
pub(super) struct Version {
    pub(super) document: Document,
    /// False where the version was there already.
    pub(super) is_new: bool,
}

/// Stages new versions of documents of different keys, where something changed. An error of its own has a file of an
/// unknown type and one over the limits.
pub(super) async fn store_versions(
    cx: &Scope,
    dataset: &Dataset,
    files: Vec<Incoming>,
) -> Result<Vec<Result<Version>>> {
    let space = cx.need::<Space>(dataset.space.as_str()).await?.body;
    if space.state == SpaceState::Retired {
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), "the space is retired: use another one"));
    }
    let knowledge = cx.service::<Knowledge>()?;
    let mut out = Vec::with_capacity(files.len());
    let (mut new, mut earlier) = (Vec::new(), Vec::new());
    for incoming in files {
        let blob = blob_name(&incoming.bytes);
        let recipe = recipe(&knowledge, &incoming, &space, &blob)?;
        let versions = shown(cx, dataset, &incoming.external_key).await?;
        let last = versions.first();
        if let Some(last) = last.filter(|l| l.recipe == recipe && l.state != DocumentState::Deleted) {
            let document = update_labels(cx, last.clone(), incoming)?;
            out.push(Some(Ok(Version { document, is_new: false })));
            continue;
        }
        let before = versions.iter().find(|v| v.current).map(|v| v.body.clone());
        let blank = blank(cx, dataset, &incoming, &blob, recipe, last.map(|l| &l.body));
        earlier.push((versions, Arc::clone(&incoming.bytes)));
        new.push(NewFile { incoming, before, blank });
        out.push(None);
    }
    let mut made = ingest(cx, &knowledge, &space, new).await?.into_iter().zip(earlier);
    for place in out.iter_mut().filter(|place| place.is_none()) {
        let Some((made, (before, bytes))) = made.next() else { break };
        *place = Some(match made {
            Ok(made) => {
                cx.keep_blob(&bytes).await?;
                Ok(Version { document: stage(cx, made, &before)?, is_new: true })
            }
            Err(refused) => Err(refused),
        });
    }
    Ok(out.into_iter().flatten().collect())
}

/// Stages a document with its chunks in the place of the versions before.
fn stage(cx: &Scope, made: Ingested, before: &[Stored<Document>]) -> Result<Document> {
    for chunk in &made.chunks {
        cx.create(chunk)?;
    }
    cx.create(&made.document)?;
    for old in before {
        let mut changed = old.clone();
        changed.body.latest = false;
        changed.body.current &= !made.document.current;
        if changed.body != old.body {
            cx.save(&changed)?;
        }
    }
    announce(cx, &made.document)?;
    Ok(made.document)
}

/// Tags, author, trust, source and consent are labels: they change without a new version.
fn update_labels(cx: &Scope, mut stored: Stored<Document>, incoming: Incoming) -> Result<Document> {
    let document = &mut stored.body;
    let before = document.clone();
    document.author = incoming.author.or(document.author.take());
    document.source = incoming.source.or(document.source.take());
    document.consent_basis = incoming.consent_basis.or(document.consent_basis.take());
    (document.tags, document.trust) = (incoming.tags, incoming.trust);
    if *document != before {
        cx.save(&stored)?;
    }
    Ok(stored.body)
}

/// The newest version of a document, and after it others that are listed: that which search answers from, however many
/// versions could not be read since.
async fn shown(cx: &Scope, dataset: &Dataset, key: &str) -> Result<Vec<Stored<Document>>> {
    let mut out = versions(cx, dataset, key, 1).await?;
    if out.is_empty() {
        return Ok(out);
    }
    let listed = Query::index("dataset_listed").prefix(Document::version_key(&dataset.id, key)).limit(50);
    let others = cx.query::<Document>(&listed).await?;
    let newest = out.first().map(|newest| newest.body.id.clone());
    out.extend(others.into_iter().filter(|other| Some(&other.body.id) != newest.as_ref()));
    Ok(out)
}

/// Versions of a document, newest first.
pub(super) async fn versions(
    cx: &Scope,
    dataset: &Dataset,
    key: &str,
    limit: usize,
) -> Result<Vec<Stored<Document>>> {
    let prefix = Document::version_key(&dataset.id, key);
    cx.query::<Document>(&Query::index("dataset_key").prefix(prefix).descending().limit(limit)).await
}

fn blank(
    cx: &Scope,
    dataset: &Dataset,
    incoming: &Incoming,
    blob: &str,
    recipe: String,
    last: Option<&Document>,
) -> Document {
    Document {
        id: DocumentId::new(cx),
        dataset: dataset.id.clone(),
        space: dataset.space.clone(),
        external_key: incoming.external_key.clone(),
        version: last.map_or(1, |l| l.version.saturating_add(1)),
        parent_id: last.map(|l| l.id.clone()),
        name: incoming.name.clone(),
        title: incoming.title.clone().unwrap_or_else(|| incoming.name.clone()),
        mime: incoming.mime.clone().unwrap_or_default(),
        blob: blob.to_owned(),
        size_bytes: incoming.bytes.len() as u64,
        text_blob: None,
        language: incoming.language.clone(),
        pages: None,
        chars: 0,
        chunks: 0,
        embedded: 0,
        state: DocumentState::Ready,
        failure: None,
        current: true,
        latest: true,
        trust: incoming.trust,
        source: incoming.source.clone(),
        consent_basis: incoming.consent_basis.clone(),
        tags: incoming.tags.clone(),
        author: incoming.author.clone(),
        warnings: Vec::new(),
        ingested_at: cx.now(),
        recipe,
        given: Given {
            mime: incoming.mime.clone(),
            title: incoming.title.clone(),
            language: incoming.language.clone(),
        },
        deleted_at: None,
        content_hash: String::new(),
    }
}

/// What was uploaded for a version, with its labels of now.
pub(super) fn incoming_of(document: &Document, bytes: Vec<u8>) -> Incoming {
    Incoming {
        external_key: document.external_key.clone(),
        name: document.name.clone(),
        mime: document.given.mime.clone(),
        title: document.given.title.clone(),
        tags: document.tags.clone(),
        author: document.author.clone(),
        language: document.given.language.clone(),
        trust: document.trust,
        source: document.source.clone(),
        consent_basis: document.consent_basis.clone(),
        bytes: Arc::new(bytes),
    }
}

pub(super) fn announce(cx: &Scope, document: &Document) -> Result<()> {
    let (word, data) = match document.state {
        DocumentState::Ready => {
            ("document.ready", json!({ "chunks": document.chunks, "version": document.version }))
        }
        DocumentState::Failed => {
            let code = document.failure.as_ref().map(|f| f.code.as_str());
            ("document.failed", json!({ "code": code, "version": document.version }))
        }
        DocumentState::Deleted => ("document.deleted", json!({ "version": document.version })),
    };
    cx.emit(Event::new(cx, word, Document::KIND, document.id.as_str(), data))
}
