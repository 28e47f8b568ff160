use std::sync::Arc;

use neonhub_core::{
    ErrorKind, Hub, HubBuilder, ManualClock, Permission, PermissionSet, Role, Scope, Timestamp,
};

use super::*;
use crate::embed::{EmbedKind, Embedder};

mod batch;
mod compaction;
mod embedders;
mod folder;
mod indexes;
mod records;
#[cfg(feature = "postgres")]
mod server;
mod told;
#[cfg(feature = "http")]
mod web;

fn builder(url: &str) -> HubBuilder {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    install(Hub::builder().store(url).root_key(key()).clock(clock).seed(1))
}

/// A store on a server has no key file beside it.
fn key() -> neonhub_core::seal::RootKey {
    neonhub_core::seal::RootKey::from_bytes([7; 32], "test")
}

async fn open(url: &str) -> Scope {
    builder(url).build().await.unwrap().workspace("default").await.unwrap()
}

async fn ready(url: &str) -> Scope {
    let cx = open(url).await;
    brand(&cx).await;
    cx
}

async fn brand(cx: &Scope) {
    let space = CreateSpace { name: "brand-voice".into(), ..Default::default() };
    cx.call(space).await.unwrap();
    cx.call(CreateDataset { space: "brand-voice".into(), name: "brand-voice".into(), ..Default::default() })
        .await
        .unwrap();
}

async fn put(cx: &Scope, name: &str, text: &str) -> Document {
    cx.call(UploadDocument::of("brand-voice", name, text.as_bytes())).await.unwrap()
}

async fn find(cx: &Scope, query: &str) -> SearchResult {
    cx.call(SearchKnowledge::of(query)).await.unwrap()
}

async fn names(cx: &Scope, query: &str) -> Vec<String> {
    find(cx, query).await.hits.into_iter().map(|h| h.name).collect()
}

fn section(title: &str, word: &str) -> String {
    format!(
        "## {title}\n\n{}\n\n",
        format!("The {word} rule says what {word} means to people who read us. ").repeat(30)
    )
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(walk(&path)) } else { out.push(path) }
    }
    out
}

#[tokio::test]
async fn what_is_uploaded_is_found_with_its_citation() {
    let cx = ready("memory:").await;
    let doc = put(
        &cx,
        "voice.md",
        "# Brand voice\n\n## Tone\n\nWe are warm and plain.\n\n## Prices\n\nWe never say cheap.",
    )
    .await;
    assert_eq!((doc.version, doc.state, doc.title.as_str()), (1, DocumentState::Ready, "Brand voice"));
    put(&cx, "other.md", "# Logistics\n\nParcels leave the warehouse on weekdays.").await;
    let result = find(&cx, "may we call it cheap").await;
    let hit = &result.hits[0];
    assert_eq!(hit.document, doc.id);
    assert_eq!(hit.citation, "Brand voice, Tone");
    assert!(hit.text.contains("never say cheap") && hit.score > 0.8);
    assert!(hit.text_part.is_some() && hit.vector_part.is_some());
    let text = cx.call(GetText { document: doc.id, byte_start: None, max_bytes: None }).await.unwrap();
    assert_eq!(&text.text[hit.byte_start as usize..hit.byte_end as usize], hit.text);
    assert_eq!(text.blocks.len(), 5);
}

#[tokio::test]
async fn the_same_bytes_change_nothing_and_labels_make_no_version() {
    let cx = ready("memory:").await;
    let first = put(&cx, "a.md", "# A\n\nSome words.").await;
    let seq = cx.store().seq().await.unwrap();
    assert_eq!(put(&cx, "a.md", "# A\n\nSome words.").await, first);
    let after = cx.store().seq().await.unwrap();
    let changed: Vec<_> = cx.store().changes(seq, 10).await.unwrap();
    assert!(
        changed.iter().flat_map(|e| &e.changes).all(|c| c.kind != "document" && c.kind != "chunk"),
        "{after}"
    );
    let mut tagged = UploadDocument::of("brand-voice", "a.md", b"# A\n\nSome words.");
    tagged.tags = vec!["tone".into()];
    let tagged = cx.call(tagged).await.unwrap();
    assert_eq!((tagged.id, tagged.version, tagged.tags), (first.id, 1, vec!["tone".to_owned()]));
}

#[tokio::test]
async fn a_new_version_embeds_what_is_new_and_hides_the_old_one() {
    let cx = ready("memory:").await;
    let sections: Vec<String> = ["alpha", "beta", "gamma"].iter().map(|w| section(w, w)).collect();
    let first = put(&cx, "a.md", &format!("# Guide\n\n{}", sections.concat())).await;
    assert!(first.chunks >= 3 && first.embedded == first.chunks);
    let second =
        put(&cx, "a.md", &format!("# Guide\n\n{}{}{}", sections[0], section("delta", "delta"), sections[2]))
            .await;
    assert_eq!((second.version, second.parent_id.as_ref()), (2, Some(&first.id)));
    assert!(
        second.embedded >= 1 && second.embedded < second.chunks,
        "{} of {}",
        second.embedded,
        second.chunks
    );
    let hits = find(&cx, "beta rule").await.hits;
    assert!(hits.iter().all(|h| h.version == 2 && !h.text.contains("beta")));
    let old =
        cx.call(GetText { document: first.id.clone(), byte_start: None, max_bytes: None }).await.unwrap();
    assert!(old.text.contains("beta"));
    let versions = cx.call(ListVersions { document: second.id.clone() }).await.unwrap().items;
    assert_eq!(versions.iter().map(|v| (v.version, v.current)).collect::<Vec<_>>(), [(2, true), (1, false)]);
    let listed =
        cx.call(ListDocuments { dataset: "brand-voice".into(), ..Default::default() }).await.unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_kept_with_its_reason_and_the_old_version_answers() {
    let cx = ready("memory:").await;
    put(&cx, "a.pdf", "").await;
    let cut = put(&cx, "b.pdf", "%PDF-1.7 and then nothing").await;
    assert_eq!(cut.state, DocumentState::Failed);
    assert_eq!(cut.failure.as_ref().unwrap().code, "corrupted");
    assert!(cut.failure.unwrap().reason.contains("truncated"));
    put(&cx, "c.md", "We love oranges.").await;
    let broken = cx.call(UploadDocument::of("brand-voice", "c.md", b"\0\x01\x02")).await.unwrap();
    assert_eq!((broken.version, broken.current), (2, false));
    assert_eq!(names(&cx, "oranges").await, ["c.md"]);
    let listed =
        cx.call(ListDocuments { dataset: "brand-voice".into(), ..Default::default() }).await.unwrap();
    assert_eq!(listed.items.iter().filter(|d| d.state == DocumentState::Failed).count(), 3);
    let blobs = async || cx.store().figures().await.unwrap().blobs;
    let before = blobs().await;
    let err = cx.call(UploadDocument::of("brand-voice", "x.exe", b"MZ")).await.unwrap_err();
    assert_eq!((err.kind(), err.code()), (ErrorKind::Unsupported, "unsupported_type"));
    // Where a body has a commit of its own, it waits for the sweep.
    assert!(!cx.store().takes_blobs() || blobs().await == before, "what is refused leaves nothing behind");
}

#[tokio::test]
async fn a_deleted_document_is_gone_and_may_come_back_as_a_new_version() {
    let cx = ready("memory:").await;
    let doc = put(&cx, "a.md", "Bananas are yellow.").await;
    assert_eq!(names(&cx, "bananas").await, ["a.md"]);
    let deleted = cx.call(DeleteDocument { document: doc.id.clone() }).await.unwrap();
    assert_eq!(deleted.state, DocumentState::Deleted);
    let result = find(&cx, "bananas").await;
    assert_eq!((result.hits.len(), result.reason.as_deref()), (0, Some("no_documents")));
    assert!(cx.get::<ChunkRecord>(&format!("{}.00000", doc.id)).await.unwrap().is_none());
    assert!(cx.call(GetText { document: doc.id, byte_start: None, max_bytes: None }).await.is_err());
    assert_eq!(put(&cx, "a.md", "Bananas are yellow.").await.version, 2);
    assert_eq!(names(&cx, "bananas").await, ["a.md"]);
}

#[tokio::test]
async fn filters_scores_and_bad_requests() {
    let cx = ready("memory:").await;
    let mut tagged =
        UploadDocument::of("brand-voice", "tagged.md", b"Our tone is warm towards everyone we write to.");
    tagged.tags = vec!["tone".into()];
    cx.call(tagged).await.unwrap();
    put(&cx, "german.md", "Unser Ton ist warm und wir schreiben kurze, klare Sätze für alle Menschen.").await;
    let filtered = |filters| SearchKnowledge { filters, ..SearchKnowledge::of("warm tone ton") };
    let by_tag = SearchFilters { tags: vec!["tone".into()], ..Default::default() };
    assert_eq!(cx.call(filtered(by_tag)).await.unwrap().hits.len(), 1);
    let by_language = SearchFilters { language: Some("de".into()), ..Default::default() };
    assert_eq!(cx.call(filtered(by_language)).await.unwrap().hits[0].name, "german.md");
    let by_date =
        SearchFilters { since: Some(Timestamp::from_millis(1_800_000_000_000)), ..Default::default() };
    assert_eq!(cx.call(filtered(by_date)).await.unwrap().reason.as_deref(), Some("no_documents"));
    let strict = SearchKnowledge { min_score: Some(5.0), ..SearchKnowledge::of("warm") };
    assert_eq!(cx.call(strict).await.unwrap().reason.as_deref(), Some("below_min_score"));
    for mode in [SearchMode::Text, SearchMode::Vector] {
        let hits = cx.call(SearchKnowledge { mode, ..SearchKnowledge::of("warm tone") }).await.unwrap().hits;
        assert_eq!(hits[0].name, "tagged.md");
        assert_eq!(hits[0].text_part.is_some(), mode == SearchMode::Text);
    }
    let bad = SearchKnowledge { k: Some(0), text_weight: Some(2.0), ..SearchKnowledge::of("  ") };
    assert_eq!(cx.call(bad).await.unwrap_err().field_faults().len(), 3);
    let unknown = SearchKnowledge { spaces: vec!["nope".into()], ..SearchKnowledge::of("x") };
    assert_eq!(cx.call(unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_closed_dataset_moves_no_score_of_those_who_may_not_read_it() {
    let cx = ready("memory:").await;
    put(&cx, "open.md", "Refunds take five days. Ask the desk.").await;
    put(&cx, "also.md", "The desk is open on weekdays.").await;
    let viewer = cx.with_role(Role::Viewer);
    let before = viewer.call(SearchKnowledge::of("refunds desk")).await.unwrap();
    let closed = CreateDataset {
        space: "brand-voice".into(),
        name: "board".into(),
        acl: vec![Role::Owner],
        ..Default::default()
    };
    cx.call(closed).await.unwrap();
    for n in 0..5 {
        let text = format!("Refunds refunds desk secret {n}");
        cx.call(UploadDocument::of("board", format!("s{n}.md"), text.as_bytes())).await.unwrap();
    }
    assert_eq!(viewer.call(SearchKnowledge::of("refunds desk")).await.unwrap(), before);
    assert!(find(&cx, "refunds desk").await.hits.iter().any(|h| h.text.contains("secret")));
    let err = viewer.call(ListDocuments { dataset: "board".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!(err.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn rights_and_other_workspaces_are_respected() {
    let cx = ready("memory:").await;
    let doc = put(&cx, "a.md", "Secret of the house.").await;
    let reader = cx.for_agent("reader", "run_1", PermissionSet::of(&[Permission::ReadContent]));
    assert_eq!(reader.call(SearchKnowledge::of("secret")).await.unwrap().hits.len(), 1);
    let refused = reader.call(UploadDocument::of("brand-voice", "b.md", b"x")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let nobody = cx.for_agent("nobody", "run_2", PermissionSet::NONE);
    assert_eq!(
        nobody.call(SearchKnowledge::of("secret")).await.unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(cx.call(GetDocument { document: doc.id }).await.unwrap().name, "a.md");
}

#[tokio::test]
async fn names_are_given_once_and_must_agree() {
    let cx = ready("memory:").await;
    brand(&cx).await;
    let other = CreateSpace { name: "brand-voice".into(), language: Some("de".into()), ..Default::default() };
    assert_eq!(cx.call(other).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let absent = CreateSpace { name: "x".into(), embedder: Some("nope".into()), ..Default::default() };
    let err = cx.call(absent).await.unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config);
    assert!(err.message().contains("offline-hash-512"));
    assert_eq!(cx.call(ListSpaces::default()).await.unwrap().items.len(), 1);
    assert_eq!(cx.call(ListDatasets::default()).await.unwrap().items[0].name, "brand-voice");
    let text = IngestText {
        dataset: "brand-voice".into(),
        title: "Note".into(),
        text: "Short *notes* count.".into(),
        ..Default::default()
    };
    let doc = cx.call(text).await.unwrap();
    assert_eq!((doc.title.as_str(), doc.mime.as_str()), ("Note", "text/markdown"));
    assert_eq!(
        cx.call(GetText { document: doc.id, byte_start: None, max_bytes: None }).await.unwrap().text,
        "Short notes count."
    );
}

#[test]
fn every_operation_has_an_example_that_round_trips() {
    assert_eq!(CATALOGUE.len(), 28);
    for name in ["spaces.create", "documents.text", "knowledge.search"] {
        assert!(CATALOGUE.iter().any(|e| e.name == name));
    }
    let example = SearchKnowledge::of("x");
    let json = serde_json::to_value(&example).unwrap();
    assert!(serde_json::from_value::<SearchKnowledge>(json).is_ok());
    assert!(serde_json::from_str::<SearchKnowledge>(r#"{"query":"x","nope":1}"#).is_err());
}

#[tokio::test]
async fn versions_are_compared_read_again_and_brought_back() {
    let cx = ready("memory:").await;
    let sections: Vec<String> = ["alpha", "beta", "gamma"].iter().map(|w| section(w, w)).collect();
    put(&cx, "a.md", &sections.concat()).await;
    let second =
        put(&cx, "a.md", &format!("{}{}{}", sections[0], section("delta", "delta"), sections[2])).await;
    let diff = cx.call(DiffVersions { document: second.id.clone(), from: None }).await.unwrap();
    assert!(diff.kept >= 1 && diff.added.iter().any(|p| p.text.contains("delta")));
    assert!(diff.removed.iter().any(|p| p.text.contains("beta")));
    assert_eq!(cx.call(ReprocessDocument { document: second.id.clone() }).await.unwrap(), second);
    let err = cx.call(RestoreDocument { document: second.id.clone() }).await.unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Conflict);
    cx.call(DeleteDocument { document: second.id.clone() }).await.unwrap();
    assert!(find(&cx, "delta rule").await.hits.is_empty());
    assert!(cx.call(ReprocessDocument { document: second.id.clone() }).await.is_err());
    let back = cx.call(RestoreDocument { document: second.id }).await.unwrap();
    assert_eq!((back.version, back.state), (3, DocumentState::Ready));
    assert_eq!(names(&cx, "delta rule").await[0], "a.md");
}

#[tokio::test]
async fn spaces_and_datasets_are_changed_and_ended() {
    let cx = ready("memory:").await;
    put(&cx, "a.md", "Melons are round.").await;
    let renamed =
        UpdateSpace { space: "brand-voice".into(), name: Some("voice".into()), ..Default::default() };
    assert_eq!(cx.call(renamed).await.unwrap().name, "voice");
    let closed =
        UpdateDataset { dataset: "brand-voice".into(), acl: Some(vec![Role::Owner]), ..Default::default() };
    cx.call(closed).await.unwrap();
    assert!(cx.with_role(Role::Viewer).call(SearchKnowledge::of("melons")).await.unwrap().hits.is_empty());
    assert_eq!(names(&cx, "melons").await, ["a.md"]);
    cx.call(DeleteDataset { dataset: "brand-voice".into(), space: None }).await.unwrap();
    assert_eq!(find(&cx, "melons").await.reason.as_deref(), Some("no_documents"));
    assert!(cx.call(ListDatasets::default()).await.unwrap().items.is_empty());
    cx.call(RetireSpace { space: "voice".into() }).await.unwrap();
    assert_eq!(find(&cx, "melons").await.reason.as_deref(), Some("no_documents"));
    let again = UpdateSpace {
        space: "voice".into(),
        name: Some(" x".into()),
        language: Some("english".into()),
        ..Default::default()
    };
    assert_eq!(cx.call(again).await.unwrap_err().field_faults().len(), 2);
}
