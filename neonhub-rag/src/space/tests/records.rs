//! What the records of knowledge keep, and who may read them.

use std::collections::BTreeMap;

use neonhub_core::bus::{Filter, SubscribeEvents};
use neonhub_core::op::Effect;

use super::*;
use crate::ChunkOptions;

#[tokio::test]
async fn a_dataset_keeps_the_settings_of_its_host() {
    let cx = ready("memory:").await;
    let settings = BTreeMap::from([("crawl".to_owned(), serde_json::json!({ "every_hours": 6 }))]);
    let faq = CreateDataset {
        space: "brand-voice".into(),
        name: "faq".into(),
        kind: DatasetKind::Faq,
        settings: settings.clone(),
        ..Default::default()
    };
    assert_eq!(cx.call(faq.clone()).await.unwrap().settings, settings);
    let other = CreateDataset { settings: BTreeMap::new(), ..faq };
    assert_eq!(cx.call(other).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let change = |settings| UpdateDataset {
        dataset: "faq".into(),
        settings: Some(settings),
        ..UpdateDataset::default()
    };
    assert!(cx.call(change(BTreeMap::new())).await.unwrap().settings.is_empty());
    let nameless = BTreeMap::from([(" ".to_owned(), serde_json::Value::Null)]);
    assert_eq!(cx.call(change(nameless)).await.unwrap_err().field_faults()[0].field, "settings");
    let space = cx.call(GetSpace { space: "brand-voice".into() }).await.unwrap();
    assert_eq!(serde_json::to_value(&space).unwrap()["distance"], "cosine");
}

#[tokio::test]
async fn source_and_consent_are_labels_that_hits_show() {
    let cx = ready("memory:").await;
    let upload = |source: Option<&str>, basis: Option<&str>| UploadDocument {
        source: source.map(Into::into),
        consent_basis: basis.map(Into::into),
        ..UploadDocument::of("brand-voice", "quote.md", b"Guests praise our tea.")
    };
    let first = cx.call(upload(Some("https://shop.example/quotes"), None)).await.unwrap();
    let labelled = cx.call(upload(None, Some("testimonial"))).await.unwrap();
    assert_eq!((labelled.id, labelled.version), (first.id, 1));
    assert_eq!(labelled.source.as_deref(), Some("https://shop.example/quotes"), "what is not said stays");
    let hit = find(&cx, "praise").await.hits.remove(0);
    assert_eq!(
        (hit.source.as_deref(), hit.consent_basis.as_deref()),
        (Some("https://shop.example/quotes"), Some("testimonial"))
    );
    let faults = cx.call(upload(Some(" "), Some(""))).await.unwrap_err();
    let fields: Vec<_> = faults.field_faults().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["source", "consent_basis"]);
}

#[tokio::test]
async fn however_many_versions_were_broken_one_alone_is_searched() {
    let cx = ready("memory:").await;
    let put = |bytes: Vec<u8>, mime: &str| {
        let upload =
            UploadDocument { mime: Some(mime.into()), ..UploadDocument::of("brand-voice", "tea", &bytes) };
        let cx = cx.clone();
        async move { cx.call(upload).await.unwrap() }
    };
    let first = put(b"Green tea.".to_vec(), "text/plain").await;
    for n in 0..55 {
        let broken = put(format!("%PDF-1.7 {n}").into_bytes(), "application/pdf").await;
        assert_eq!(broken.state, DocumentState::Failed);
    }
    assert_eq!(find(&cx, "tea").await.hits[0].document, first.id);
    let last = put(b"Black tea.".to_vec(), "text/plain").await;
    let hits = find(&cx, "tea").await.hits;
    assert_eq!((hits.len(), &hits[0].document, last.version), (1, &last.id, 57));
}

#[tokio::test]
async fn each_chunk_knows_its_own_language() {
    let cx = open("memory:").await;
    let chunking = Some(ChunkOptions { target: 80, max: 160, overlap: 0 });
    cx.call(CreateSpace { name: "s".into(), chunking, ..Default::default() }).await.unwrap();
    cx.call(CreateDataset { space: "s".into(), name: "d".into(), ..Default::default() }).await.unwrap();
    let english = "We write short and warm sentences, and we never promise what we cannot keep. ".repeat(3);
    let german =
        "Wir schreiben kurze und warme Sätze und versprechen nie, was wir nicht halten können. ".repeat(3);
    let text = format!("# Voice\n\n{english}\n\n# Stimme\n\n{german}");
    let languages = async |language: Option<&str>, name: &str| {
        let upload = UploadDocument {
            language: language.map(Into::into),
            ..UploadDocument::of("d", name, text.as_bytes())
        };
        let document = cx.call(upload).await.unwrap();
        assert_eq!(document.chunks, 2);
        let chunks = cx.get_many::<ChunkRecord>(&document.chunk_ids()).await.unwrap();
        chunks.into_iter().map(|c| c.unwrap().body.language.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(languages(None, "a.md").await, ["en", "de"]);
    assert_eq!(languages(Some("en"), "b.md").await, ["en", "en"], "who says it says it of the whole");
}

#[tokio::test]
async fn a_search_for_somebody_else_finds_what_they_may_read() {
    let cx = ready("memory:").await;
    put(&cx, "open.md", "Melons for everyone.").await;
    let own = CreateDataset {
        space: "brand-voice".into(),
        name: "own".into(),
        acl: vec![Role::Admin],
        ..Default::default()
    };
    cx.call(own).await.unwrap();
    cx.call(UploadDocument::of("own", "own.md", b"Melons for the management.")).await.unwrap();
    let names = async |cx: &Scope, acl| {
        let filters = SearchFilters { acl, ..Default::default() };
        let search = SearchKnowledge { filters, ..SearchKnowledge::of("melons") };
        let mut names: Vec<_> = cx.call(search).await.unwrap().hits.into_iter().map(|h| h.name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&cx, None).await, ["open.md", "own.md"]);
    assert_eq!(names(&cx, Some(Role::Viewer)).await, ["open.md"]);
    assert_eq!(names(&cx, Some(Role::Owner)).await, ["open.md", "own.md"]);
    let viewer = cx.with_role(Role::Viewer);
    assert_eq!(names(&viewer, Some(Role::Owner)).await, ["open.md"], "a filter gives no rights");
}

#[tokio::test]
async fn a_deletion_takes_every_version_and_can_be_taken_back() {
    let cx = ready("memory:").await;
    let mut last = put(&cx, "a.md", "Version 0.").await;
    for n in 1..=500 {
        last = put(&cx, "a.md", &format!("Version {n}.")).await;
    }
    assert_eq!(last.version, 501);
    let gone = cx.call(DeleteDocument { document: last.id.clone() }).await.unwrap();
    assert_eq!(gone.state, DocumentState::Deleted);
    assert_eq!(find(&cx, "version").await.reason.as_deref(), Some("no_documents"));
    let effect = cx.hub().operation("documents.delete").unwrap().effect;
    assert_eq!(effect, Effect::Compensable("documents.restore"));
    let back = cx.call(RestoreDocument { document: gone.id }).await.unwrap();
    assert_eq!((back.version, back.state), (502, DocumentState::Ready));
}

#[tokio::test]
async fn a_dataset_that_goes_tells_of_each_of_its_documents() {
    let cx = ready("memory:").await;
    put(&cx, "a.md", "One.").await;
    put(&cx, "a.md", "One, changed.").await;
    let b = put(&cx, "b.md", "Two.").await;
    cx.call(DeleteDocument { document: b.id }).await.unwrap();
    put(&cx, "c.md", "Three.").await;
    let read = |cursor| SubscribeEvents {
        filter: Filter::types(["document.deleted"]),
        cursor,
        ..SubscribeEvents::default()
    };
    let cursor = cx.call(read(None)).await.unwrap().cursor;
    cx.call(DeleteDataset { dataset: "brand-voice".into(), space: None }).await.unwrap();
    let told = cx.call(read(Some(cursor))).await.unwrap().items;
    assert_eq!(told.len(), 2, "a version before and what was deleted already is told of no more: {told:?}");
}
