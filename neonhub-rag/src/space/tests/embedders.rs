//! Embedders and rerankers of one's own, and what the two lists are worth.

use super::*;

/// Vectors from an embedder that is not lexical, of another length.
#[derive(Debug)]
pub(super) struct Lengths;

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
    fn cost(&self, tokens: u64) -> Option<neonhub_core::llm::ModelCost> {
        Some(neonhub_core::llm::ModelCost { currency: "EUR".into(), micros: tokens * 3, is_estimated: true })
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
    moves_to_another_embedder(&folder.path().join("brand.neon").to_string_lossy()).await;
}

pub(super) async fn moves_to_another_embedder(url: &str) {
    let hub = || {
        let builder = Hub::builder().store(url).root_key(key()).seed(1);
        install_with(builder, Knowledge::new().embedder_added(Arc::new(Lengths)))
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
    assert!(
        plan.tokens >= plan.chars / 4 && plan.cost.unwrap().micros == plan.tokens * 3,
        "a dry run is priced"
    );
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
async fn a_space_that_is_retired_on_its_way_to_another_embedder_stays_retired() {
    let builder = Hub::builder().root_key(key()).seed(1);
    let hub =
        install_with(builder, Knowledge::new().embedder_added(Arc::new(Lengths))).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    put(&cx, "a.md", "Warm words.").await;
    let migrate = MigrateSpace { space: "brand-voice".into(), embedder: "lengths-4".into(), dry_run: false };
    cx.call(migrate).await.unwrap();
    cx.call(RetireSpace { space: "brand-voice".into() }).await.unwrap();
    cx.work_until_idle().await.unwrap();
    let space = cx.call(GetSpace { space: "brand-voice".into() }).await.unwrap();
    assert_eq!((space.state, space.migration), (SpaceState::Retired, None));
    let error = cx.call(UploadDocument::of("brand-voice", "b.md", b"Late.")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
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
