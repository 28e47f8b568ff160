//! Indexes are caches: whatever happens to them, the records decide.

use super::*;

#[tokio::test]
async fn indexes_beside_the_store_survive_damage_loss_and_changes_made_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("brand.neon");
    let url = file.to_string_lossy().into_owned();
    let cx = ready(&url).await;
    for n in 0..12 {
        put(
            &cx,
            &format!("{n}.md"),
            &format!("# Doc {n}\n\nTopic{n} is explained by our team in plain words."),
        )
        .await;
    }
    let wanted = find(&cx, "topic7 plain words").await;
    assert_eq!(wanted.hits[0].name, "7.md");
    cx.hub().close().await.unwrap();

    // The caches are there and serve the next start.
    let caches = folder.path().join("brand.neon.index");
    assert!(caches.exists());
    let cx = open(&url).await;
    assert_eq!(find(&cx, "topic7 plain words").await, wanted);
    // Records change while no index looks on: as after a crash between the commit and the index.
    put(&cx, "7.md", "# Doc 7\n\nSomething else entirely.").await;
    put(&cx, "new.md", "Topic7 moved here.").await;
    cx.hub().close().await.unwrap();

    let cx = open(&url).await;
    assert_eq!(find(&cx, "topic7").await.hits[0].name, "new.md");
    cx.hub().close().await.unwrap();

    // Without the snapshot the vectors are read from the records, the words stay.
    let cx = open(&url).await;
    let wanted = find(&cx, "topic3 plain words").await;
    cx.hub().close().await.unwrap();
    for entry in walk(&caches).iter().filter(|p| p.ends_with("vectors")) {
        std::fs::remove_file(entry).unwrap();
    }
    let cx = open(&url).await;
    assert_eq!(find(&cx, "topic3 plain words").await, wanted);
    assert!(wanted.hits[0].vector_part.is_some());
    cx.hub().close().await.unwrap();

    // A damaged cache and a lost one are built again.
    for entry in walk(&caches) {
        let mut bytes = std::fs::read(&entry).unwrap();
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
            std::fs::write(&entry, bytes).unwrap();
        }
    }
    let cx = open(&url).await;
    let again = find(&cx, "topic3 plain words").await;
    assert_eq!(again.hits[0].name, "3.md");
    cx.hub().close().await.unwrap();
    std::fs::remove_dir_all(&caches).unwrap();
    let cx = open(&url).await;
    assert_eq!(find(&cx, "topic3 plain words").await, again);
}

#[tokio::test]
async fn an_index_that_knows_a_later_store_is_compared_with_one_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let (file, kept) = (folder.path().join("brand.neon"), folder.path().join("kept.neon"));
    let url = file.to_string_lossy().into_owned();
    let cx = ready(&url).await;
    put(&cx, "first.md", "Gardens are what we grow.").await;
    cx.hub().close().await.unwrap();
    std::fs::copy(&file, &kept).unwrap();

    // Enough at once for files: what waits in memory would be read anew anyhow.
    let cx = open(&url).await;
    for n in 0..70 {
        put(&cx, &format!("late{n}.md"), "Zanzibar is what we forget.").await;
    }
    assert!(names(&cx, "zanzibar").await[0].starts_with("late"));
    cx.hub().close().await.unwrap();

    std::fs::copy(&kept, &file).unwrap();
    let cx = open(&url).await;
    for n in 0..80 {
        put(&cx, &format!("other{n}.md"), &format!("Tulips{n} are what we sell.")).await;
    }
    assert!(!names(&cx, "zanzibar").await.iter().any(|name| name.starts_with("late")));
    assert_eq!(names(&cx, "tulips3").await[0], "other3.md");
    assert_eq!(names(&cx, "gardens").await[0], "first.md");
}

/// Documents looked at one by one stay in step, whatever came between two searches.
#[tokio::test]
async fn a_filter_sees_documents_that_came_after_the_last_one() {
    let cx = ready("memory:").await;
    let tagged = async |name: &str, tag: &str| {
        let upload = UploadDocument {
            tags: vec![tag.into()],
            ..UploadDocument::of("brand-voice", name, b"Plain words.")
        };
        cx.call(upload).await.unwrap()
    };
    let found = async |tag: &str| -> Vec<String> {
        let filters = SearchFilters { tags: vec![tag.into()], ..Default::default() };
        let search = SearchKnowledge { filters, ..SearchKnowledge::of("plain words") };
        let hits = cx.call(search).await.unwrap().hits;
        hits.into_iter().map(|hit| hit.name).collect()
    };
    tagged("a.md", "red").await;
    assert_eq!(names(&cx, "plain").await, ["a.md"]);
    assert_eq!(found("red").await, ["a.md"]);
    let second = tagged("b.md", "red").await;
    tagged("c.md", "blue").await;
    assert_eq!(names(&cx, "plain").await.len(), 3);
    assert_eq!((found("red").await.len(), found("blue").await.len()), (2, 1));
    cx.call(DeleteDocument { document: second.id }).await.unwrap();
    assert_eq!(found("red").await, ["a.md"]);
    tagged("a.md", "blue").await;
    assert_eq!((found("red").await.len(), found("blue").await.len()), (0, 2), "labels change in place");
}

#[tokio::test]
async fn two_hubs_on_one_file_see_each_others_documents() {
    let folder = tempfile::tempdir().unwrap();
    two_hubs(&folder.path().join("brand.neon").to_string_lossy()).await;
}

pub(super) async fn two_hubs(url: &str) {
    let one = ready(url).await;
    let two = open(url).await;
    put(&one, "a.md", "Apples from the first.").await;
    assert_eq!(names(&two, "apples").await, ["a.md"]);
    let pears = put(&two, "b.md", "Pears from the second.").await;
    assert_eq!(names(&one, "pears").await[0], "b.md");
    two.call(DeleteDocument { document: pears.id }).await.unwrap();
    assert!(names(&one, "pears").await.iter().all(|n| n != "b.md"));
    assert!(names(&two, "pears").await.iter().all(|n| n != "b.md"));
}

#[tokio::test]
async fn an_index_built_step_by_step_answers_like_one_built_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let cx = ready(&url).await;
    for n in 0..8 {
        put(&cx, &format!("{n}.md"), &section(&format!("Part {n}"), ["warm", "plain", "kind"][n % 3])).await;
        find(&cx, "warm").await;
    }
    put(&cx, "2.md", "Changed to nothing.").await;
    let stepped = find(&cx, "warm kind rule").await;
    cx.hub().close().await.unwrap();
    std::fs::remove_dir_all(folder.path().join("brand.neon.index")).unwrap();
    let cx = open(&url).await;
    assert_eq!(find(&cx, "warm kind rule").await, stepped);
}

/// Deletes a document, searches, and fails: nothing of it may stay in the index.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct DeleteSearchAndFail {
    document: DocumentId,
}

impl neonhub_core::op::Operation for DeleteSearchAndFail {
    type Output = ();
    const NAME: &'static str = "test.delete_search_and_fail";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: neonhub_core::op::Effect = neonhub_core::op::Effect::Idempotent;
    async fn run(self, cx: &Scope) -> neonhub_core::Result<()> {
        cx.call(DeleteDocument { document: self.document }).await?;
        cx.call(SearchKnowledge::of("figs")).await?;
        Err(neonhub_core::Error::new(ErrorKind::Cancelled, Self::NAME, "on purpose"))
    }
}

#[tokio::test]
async fn what_was_rolled_back_never_enters_an_index() {
    let cx = ready("memory:").await;
    let doc = put(&cx, "figs.md", "Figs are sweet.").await;
    cx.call(DeleteSearchAndFail { document: doc.id }).await.unwrap_err();
    assert_eq!(names(&cx, "figs").await, ["figs.md"]);
}

/// As a deletion of a dataset that an upload overtakes.
#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct DropDatasetRecord {
    dataset: DatasetId,
}

impl neonhub_core::op::Operation for DropDatasetRecord {
    type Output = ();
    const NAME: &'static str = "test.drop_dataset_record";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: neonhub_core::op::Effect = neonhub_core::op::Effect::Idempotent;
    async fn run(self, cx: &Scope) -> neonhub_core::Result<()> {
        cx.delete::<Dataset>(self.dataset.as_str(), neonhub_core::store::Expected::Any)
    }
}

#[tokio::test]
async fn a_document_whose_dataset_says_nothing_is_seen_by_nobody() {
    let cx = ready("memory:").await;
    let doc = put(&cx, "figs.md", "Figs are sweet.").await;
    assert_eq!(names(&cx, "figs").await, ["figs.md"]);
    for n in 0..15 {
        put(&cx, &format!("figs {n}.md"), "Figs are figs.").await;
    }
    cx.call(DropDatasetRecord { dataset: doc.dataset }).await.unwrap();
    assert!(names(&cx, "figs").await.is_empty());
    // However many there are before it, what may be seen is found.
    let open = CreateDataset { space: "brand-voice".into(), name: "open".into(), ..Default::default() };
    cx.call(open).await.unwrap();
    let plain = "A long text about the trees of the south, among them olives, almonds and, seldom, figs.";
    cx.call(UploadDocument::of("open", "trees.md", plain.as_bytes())).await.unwrap();
    let search = SearchKnowledge { k: Some(1), ..SearchKnowledge::of("figs") };
    let hits = cx.call(search).await.unwrap().hits;
    assert_eq!(hits.iter().map(|hit| hit.name.as_str()).collect::<Vec<_>>(), ["trees.md"]);
}
