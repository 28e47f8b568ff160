use std::sync::Arc;

use neonhub_core::{
    ErrorKind, Hub, HubBuilder, ManualClock, Permission, PermissionSet, Role, Scope, Timestamp,
};

use super::*;
use crate::embed::{EmbedKind, Embedder};

mod compaction;

fn builder(url: &str) -> HubBuilder {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    install(Hub::builder().store(url).clock(clock).seed(1))
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
    let err = cx.call(UploadDocument::of("brand-voice", "x.exe", b"MZ")).await.unwrap_err();
    assert_eq!((err.kind(), err.code()), (ErrorKind::Unsupported, "unsupported_type"));
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

/// Vectors from an embedder that is not lexical, of another length.
#[derive(Debug)]
struct Lengths;

#[async_trait::async_trait]
impl Embedder for Lengths {
    fn id(&self) -> &str {
        "lengths-4"
    }
    fn dims(&self) -> usize {
        4
    }
    fn max_batch(&self) -> usize {
        2
    }
    async fn embed(&self, texts: &[&str], _: EmbedKind) -> neonhub_core::Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|t| vec![1.0, t.len() as f32, t.split(' ').count() as f32, 0.5]).collect())
    }
}

#[tokio::test]
async fn an_embedder_of_ones_own_serves_a_space() {
    let knowledge = Knowledge::new().embedder_added(Arc::new(Lengths));
    let hub = install_with(Hub::builder().seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let space = CreateSpace { name: "own".into(), embedder: Some("lengths-4".into()), ..Default::default() };
    assert_eq!(cx.call(space).await.unwrap().dims, 4);
    cx.call(CreateDataset { space: "own".into(), name: "d".into(), ..Default::default() }).await.unwrap();
    for n in 1..6 {
        cx.call(UploadDocument::of("d", format!("{n}.md"), "words ".repeat(n).as_bytes())).await.unwrap();
    }
    let result = find(&cx, "words").await;
    assert_eq!(result.hits.len(), 5);
    assert!(
        (result.hits[0].text_part.unwrap().share - 0.5).abs() < 1e-6
            || result.hits[0].text_part.unwrap().share <= 0.5
    );
}

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

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(walk(&path)) } else { out.push(path) }
    }
    out
}

#[tokio::test]
async fn two_hubs_on_one_file_see_each_others_documents() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let one = ready(&url).await;
    let two = open(&url).await;
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

#[test]
fn every_operation_has_an_example_that_round_trips() {
    assert_eq!(CATALOGUE.len(), 24);
    for name in ["spaces.create", "documents.text", "knowledge.search"] {
        assert!(CATALOGUE.iter().any(|e| e.name == name));
    }
    let example = SearchKnowledge::of("x");
    let json = serde_json::to_value(&example).unwrap();
    assert!(serde_json::from_value::<SearchKnowledge>(json).is_ok());
    assert!(serde_json::from_str::<SearchKnowledge>(r#"{"query":"x","nope":1}"#).is_err());
}

/// Known-item search over short texts: the lexical embedder must not drag hybrid below text alone.
#[tokio::test]
async fn hybrid_is_never_worse_than_text_alone() {
    let cx = ready("memory:").await;
    let subjects = ["coffee", "delivery", "refund", "voucher", "colour", "newsletter", "warranty", "garden"];
    let verbs = ["explains", "forbids", "promises", "describes", "measures"];
    let places = ["Vienna", "Porto", "Leeds", "Ghent", "Turin", "Basel"];
    let mut items = Vec::new();
    for (n, subject) in subjects.iter().enumerate() {
        for (m, place) in places.iter().enumerate() {
            let verb = verbs[(n * 5 + m * 3) % verbs.len()];
            items.push((
                format!("{subject}-{place}.md"),
                format!("The {subject} page {verb} what guests in {place} may expect from our team."),
            ));
        }
    }
    for (name, text) in &items {
        put(&cx, name, text).await;
    }
    let mut ranks = [0.0_f64; 3];
    for (n, (name, _)) in items.iter().enumerate() {
        let (subject, place) = name.trim_end_matches(".md").split_once('-').unwrap();
        // Every third query has a typo, every second an inflection.
        let query = match n % 3 {
            0 => format!("{}{} {place}", &subject[..2], &subject[3..]),
            1 => format!("{subject}s for a guest of {place}"),
            _ => format!("what may I expect, {place} {subject}"),
        };
        for (mode, sum) in
            [SearchMode::Hybrid, SearchMode::Text, SearchMode::Vector].into_iter().zip(&mut ranks)
        {
            let hits = cx
                .call(SearchKnowledge { mode, k: Some(20), ..SearchKnowledge::of(&query) })
                .await
                .unwrap()
                .hits;
            *sum += hits.iter().position(|h| h.name == *name).map_or(0.0, |at| 1.0 / (at + 1) as f64);
        }
    }
    let [hybrid, text, vector] = ranks.map(|sum| sum / items.len() as f64);
    assert!(hybrid + 0.01 >= text, "hybrid {hybrid}, text {text}, vector {vector}");
    assert!(hybrid > 0.8, "hybrid {hybrid}, text {text}, vector {vector}");
}

#[tokio::test]
async fn a_space_moves_to_another_embedder_while_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let hub = || {
        install_with(Hub::builder().store(&url).seed(1), Knowledge::new().embedder_added(Arc::new(Lengths)))
    };
    let cx = hub().build().await.unwrap().workspace("default").await.unwrap();
    brand(&cx).await;
    for n in 0..5 {
        put(&cx, &format!("{n}.md"), &section(&format!("Part {n}"), "warm")).await;
    }
    let migrate =
        |dry_run| MigrateSpace { space: "brand-voice".into(), embedder: "lengths-4".into(), dry_run };
    let plan = cx.call(migrate(true)).await.unwrap();
    assert_eq!((plan.documents, plan.job, plan.space.state), (5, None, SpaceState::Active));
    let before = find(&cx, "warm rule").await;
    let plan = cx.call(migrate(false)).await.unwrap();
    assert_eq!((plan.space.state, plan.job.is_some()), (SpaceState::Migrating, true));
    assert_eq!(cx.call(migrate(false)).await.unwrap().job, plan.job, "asked again, it is the same job");
    assert_eq!(find(&cx, "warm rule").await, before, "the old vectors answer");
    put(&cx, "late.md", "Came in during the move.").await;
    cx.work_until_idle().await.unwrap();
    let space = cx.call(GetSpace { space: "brand-voice".into() }).await.unwrap();
    assert_eq!((space.embedder.as_str(), space.dims, space.state), ("lengths-4", 4, SpaceState::Active));
    let by_vector = SearchKnowledge { mode: SearchMode::Vector, k: Some(50), ..SearchKnowledge::of("warm") };
    let hits = cx.call(by_vector.clone()).await.unwrap().hits;
    assert!(hits.iter().any(|h| h.name == "late.md"));
    assert_eq!(hits.iter().map(|h| &h.document).collect::<std::collections::BTreeSet<_>>().len(), 6);
    let chunk = cx.get::<ChunkRecord>(&hits[0].chunk).await.unwrap().unwrap();
    assert_eq!((chunk.embedder.as_str(), chunk.next.is_none()), ("lengths-4", true));
    assert_eq!(cx.call(migrate(false)).await.unwrap().job, None, "twice is once");
    cx.hub().close().await.unwrap();
    let cx = hub().build().await.unwrap().workspace("default").await.unwrap();
    assert_eq!(cx.call(by_vector).await.unwrap().hits, hits);
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
    let again =
        UpdateSpace { space: "voice".into(), name: Some(" x".into()), language: Some("english".into()) };
    assert_eq!(cx.call(again).await.unwrap_err().field_faults().len(), 2);
}

/// Prefers long passages.
#[derive(Debug)]
struct ByLength;

#[async_trait::async_trait]
impl Reranker for ByLength {
    fn id(&self) -> &str {
        "by-length"
    }
    async fn rerank(&self, _: &str, passages: &[&str]) -> neonhub_core::Result<Vec<f32>> {
        Ok(passages.iter().map(|p| p.len() as f32).collect())
    }
}

#[tokio::test]
async fn a_reranker_decides_and_phrases_hold_in_both_lists() {
    let knowledge = Knowledge::new().reranker_added(Arc::new(ByLength));
    let hub = install_with(Hub::builder().seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    put(&cx, "short.md", "Return policy.").await;
    put(&cx, "long.md", "We are proud of what a customer calls our return policy, and of the parcels.").await;
    put(&cx, "other.md", "Our policy on return flights.").await;
    let plain = SearchKnowledge::of("\"return policy\"");
    let hits = cx.call(plain.clone()).await.unwrap().hits;
    assert_eq!(hits.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["short.md", "long.md"]);
    let reranked = SearchKnowledge { rerank: Some("by-length".into()), ..plain };
    let hits = cx.call(reranked.clone()).await.unwrap().hits;
    assert_eq!(hits[0].name, "long.md");
    assert!(hits[0].rerank_score.unwrap() > hits[1].rerank_score.unwrap());
    let unknown = SearchKnowledge { rerank: Some("nope".into()), ..reranked };
    assert_eq!(cx.call(unknown).await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_vector_of_the_host_finds_what_its_words_find() {
    let cx = ready("memory:").await;
    put(&cx, "tone.md", "Our tone is warm towards everyone we write to.").await;
    let texts = vec!["warm tone".to_owned()];
    let made = cx.call(EmbedTexts { texts, kind: VectorKind::Query, embedder: None }).await.unwrap();
    assert_eq!((made.count, made.dims), (1, 512));
    let by = |query: &str, vector| SearchKnowledge {
        mode: SearchMode::Vector,
        vector,
        ..SearchKnowledge::of(query)
    };
    let by_words = cx.call(by("warm tone", None)).await.unwrap();
    let by_vector = cx.call(by("", Some(made.packed))).await.unwrap();
    assert!(!by_words.hits.is_empty());
    assert_eq!(by_vector, by_words);
    let short = cx.call(by("", Some("AACAPwAAgD8=".into()))).await.unwrap_err();
    assert!(short.to_string().contains("2 values"), "{short}");
    let reranked =
        SearchKnowledge { rerank: Some("by-length".into()), ..by("", Some("AACAPwAAgD8=".into())) };
    let wordless = cx.call(reranked).await.unwrap_err();
    assert_eq!(wordless.field_faults()[0].field, "rerank");
}
