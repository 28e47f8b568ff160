//! Versions of a document: a new one is stored with its chunks, and takes the place of the one before.

use std::sync::Arc;

use neonhub_core::bus::Event;
use neonhub_core::store::{Query, Record, Stored};
use neonhub_core::{Error, ErrorKind, Result, Scope};
use serde_json::json;

use super::ingest::{Incoming, blob_name, ingest, recipe};
use super::knowledge::Knowledge;
use super::model::{Dataset, Document, DocumentId, DocumentState, Given, Space, SpaceState};

/// Stages a new version of a document, unless nothing changed.
pub(super) async fn store_version(cx: &Scope, dataset: Dataset, incoming: Incoming) -> Result<Document> {
    let space = cx.need::<Space>(dataset.space.as_str()).await?.body;
    if space.state == SpaceState::Retired {
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), "the space is retired: use another one"));
    }
    let knowledge = cx.service::<Knowledge>()?;
    let blob = blob_name(&incoming.bytes);
    let recipe = recipe(&knowledge, &incoming, &space, &blob)?;
    let versions = versions(cx, &dataset, &incoming.external_key, 50).await?;
    let last = versions.first();
    if let Some(last) = last.filter(|l| l.recipe == recipe && l.state != DocumentState::Deleted) {
        return update_labels(cx, last.clone(), incoming);
    }
    let current = versions.iter().find(|v| v.current);
    let blank = blank(cx, &dataset, &incoming, &blob, recipe, last.map(|l| &l.body));
    cx.keep_blob(&incoming.bytes).await?;
    let made = ingest(cx, &knowledge, incoming, &space, current.map(|c| &c.body), blank).await?;
    for chunk in &made.chunks {
        cx.create(chunk)?;
    }
    cx.create(&made.document)?;
    for old in &versions {
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
