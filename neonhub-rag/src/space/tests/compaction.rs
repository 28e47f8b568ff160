//! What is left of a deleted document, in answers and in files.

use super::*;

#[tokio::test]
async fn compaction_leaves_no_trace_of_what_was_deleted_in_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let cx = ready(&url).await;
    for n in 0..6 {
        put(&cx, &format!("{n}.md"), "Plain words that stay in the index.").await;
    }
    let secret = put(&cx, "secret.md", "Zanzibarium is what nobody may know.").await;
    assert_eq!(names(&cx, "zanzibarium").await[0], "secret.md");
    cx.call(DeleteDocument { document: secret.id.clone() }).await.unwrap();
    assert!(find(&cx, "zanzibarium").await.hits.is_empty());
    assert_eq!(cx.call(CompactKnowledge::default()).await.unwrap().spaces, 1);
    let texts = walk(&folder.path().join("brand.neon.index"));
    let texts = texts.iter().find(|p| p.ends_with("text/meta.json")).unwrap().parent().unwrap();
    let text = crate::TextIndex::open(Some(texts)).unwrap();
    assert!(!text.holds_term("zanzibarium").unwrap() && text.holds_term("plain").unwrap());
    for path in walk(&folder.path().join("brand.neon.index")) {
        let bytes = std::fs::read(&path).unwrap();
        let holds = bytes.windows(secret.id.as_str().len()).any(|w| w == secret.id.as_str().as_bytes());
        assert!(!holds, "{}", path.display());
    }
    assert_eq!(find(&cx, "plain").await.hits.len(), 5);
}

#[tokio::test]
async fn compaction_removes_the_index_of_a_retired_space() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let cx = ready(&url).await;
    put(&cx, "a.md", "Zanzibarium is what nobody may know.").await;
    assert_eq!(find(&cx, "zanzibarium").await.hits.len(), 1);
    let index = folder.path().join("brand.neon.index");
    assert!(!walk(&index).is_empty());
    cx.call(RetireSpace { space: "brand-voice".into() }).await.unwrap();
    cx.call(CompactKnowledge::default()).await.unwrap();
    assert!(walk(&index).is_empty(), "{:?}", walk(&index));
}

pub(super) const SECRET: &str = "Zanzibarium";

pub(super) fn now_for_good() -> CompactKnowledge {
    CompactKnowledge { restorable_days: Some(0), blob_grace_s: Some(0) }
}

/// Files that hold a text, whatever is in them.
fn holders(folder: &std::path::Path, text: &str) -> Vec<std::path::PathBuf> {
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    walk(folder).into_iter().filter(holds).collect()
}

#[tokio::test]
async fn after_compaction_no_file_holds_a_deleted_document() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let cx = ready(&url).await;
    let long = format!("# {SECRET} plan\n\n{}", section("Part", SECRET));
    put(&cx, "kept.md", "# Kept\n\nMelonography stays.").await;
    put(&cx, "zanzi-first.md", "An older version, Zanzibarium too.").await;
    put(&cx, "zanzi-first.md", &long).await;
    let document = put(&cx, "zanzi-twin.md", &long).await;
    cx.call(DeleteDocument { document: document.id.clone() }).await.unwrap();
    let text = GetText { document: document.id.clone(), byte_start: None, max_bytes: None };
    assert_eq!(cx.call(text).await.unwrap_err().kind(), ErrorKind::NotFound);

    let done = cx.call(now_for_good()).await.unwrap();
    assert_eq!((done.spaces, done.documents), (1, 1));
    let restore = cx.call(RestoreDocument { document: document.id.clone() }).await.unwrap_err();
    assert_eq!(restore.kind(), ErrorKind::NotFound);
    assert!(holders(folder.path(), "zanzi-twin").is_empty(), "its name is gone");
    let twin = cx.call(SearchKnowledge::of(SECRET)).await.unwrap().hits;
    assert!(twin.iter().all(|h| h.name == "zanzi-first.md") && !twin.is_empty());
    let text = GetText { document: twin[0].document.clone(), byte_start: None, max_bytes: None };
    assert!(cx.call(text).await.unwrap().text.contains(SECRET), "a file that two documents share stays");
    assert!(!holders(folder.path(), SECRET).is_empty(), "the scan sees what is there");

    cx.call(DeleteDocument { document: twin[0].document.clone() }).await.unwrap();
    let done = cx.call(now_for_good()).await.unwrap();
    assert_eq!(done.documents, 2, "both versions");
    assert_eq!(done.blobs, 4, "the file and the text of each");
    for trace in [SECRET, "zanzibarium", "zanzi-first"] {
        assert!(holders(folder.path(), trace).is_empty(), "{trace}: {:?}", holders(folder.path(), trace));
    }
    assert_eq!(names(&cx, "melonography").await, ["kept.md"]);
    assert!(!holders(folder.path(), "Melonography").is_empty());
    assert!(cx.store().check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deleted_document_can_be_restored_for_thirty_days_and_then_goes() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let hub = install(Hub::builder().clock(clock.clone()).seed(1)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    let day = std::time::Duration::from_secs(86_400);
    let document = put(&cx, "a.md", "Zanzibarium comes and goes.").await;
    let delete = DeleteDocument { document: document.id.clone() };
    cx.call(delete).await.unwrap();
    clock.advance(day * 29);
    let compact = CompactKnowledge { blob_grace_s: Some(0), ..Default::default() };
    assert_eq!(cx.call(compact.clone()).await.unwrap().documents, 0);
    let back = cx.call(RestoreDocument { document: document.id.clone() }).await.unwrap();
    assert_eq!((names(&cx, SECRET).await.len(), back.version), (1, 2));
    clock.advance(day * 2);
    assert_eq!(cx.call(compact.clone()).await.unwrap().documents, 1, "the version that was deleted");
    assert_eq!(names(&cx, SECRET).await, ["a.md"]);
    let blob = back.blob.clone();
    assert!(cx.store().blob_get(&blob).await.unwrap().is_some());
    cx.call(DeleteDocument { document: back.id }).await.unwrap();
    clock.advance(day * 30);
    assert_eq!(cx.call(compact).await.unwrap().documents, 1);
    assert!(cx.store().blob_get(&blob).await.unwrap().is_none());
    let wrong = CompactKnowledge { restorable_days: Some(31), ..Default::default() };
    let err = cx.call(wrong).await.unwrap_err();
    assert_eq!(err.field_faults()[0].field, "restorable_days");
}

#[tokio::test]
async fn blobs_whose_record_may_be_on_its_way_are_left() {
    let cx = ready("memory:").await;
    let blob = cx.store().blob_put(b"an upload that is not committed yet").await.unwrap();
    assert_eq!(cx.call(CompactKnowledge::default()).await.unwrap().blobs, 0);
    assert!(cx.store().blob_get(&blob).await.unwrap().is_some());
    let err = cx.with_role(Role::Admin).call(now_for_good()).await.unwrap_err();
    assert_eq!(err.kind(), ErrorKind::PermissionDenied, "it may be an upload of another workspace");
    assert_eq!(cx.call(now_for_good()).await.unwrap().blobs, 1);
}
