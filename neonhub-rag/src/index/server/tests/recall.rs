//! Recall at the settings of the product, with a graph: 12 000 vectors, filters, and after a third was deleted.

use super::super::super::conformance::brute_force;
use super::*;

const N: usize = 12_000;
const DIMS: usize = 64;

/// Share of the true ten nearest among those found, over 40 queries.
async fn recall(place: &Place, vectors: &[Vec<f32>], kept: &Kept, keep: impl Fn(usize) -> bool) -> f64 {
    let mut same = 0;
    let queries = clustered(40, DIMS, 99);
    for query in &queries {
        let found = place.search_vector(query, 10, kept).await.unwrap();
        assert_eq!(found.len(), 10, "never short");
        let wanted = brute_force(vectors, query, 10, &keep);
        same += found.iter().filter(|hit| wanted.iter().any(|w| **w == *hit.id)).count();
    }
    same as f64 / (10 * queries.len()) as f64
}

fn one_in(share: usize, keep: impl Fn(usize) -> bool) -> Kept {
    let documents: Vec<String> = (0..N).filter(|n| n % share == 0 && keep(*n)).map(name).collect();
    Kept { chunks: documents.len(), documents: Some(documents), ids: None, of: N }
}

async fn fill(place: &Place, seq: u64, vectors: &[Vec<f32>], documents: &Wanted) {
    let names: Vec<String> = (0..vectors.len()).map(name).collect();
    let mut progress = place.progress(seq, documents).await.unwrap();
    while let Progress::Missing(missing) = progress {
        let entries: Vec<_> = (0..vectors.len())
            .filter(|n| missing.contains(&names[*n]))
            .take(2_000)
            .map(|n| entry(&names[n], "", Some(&vectors[n])))
            .collect();
        progress = place.bring(seq, documents, &entries).await.unwrap();
    }
    assert_eq!(progress, Progress::There);
}

/// What queries find together each finds alone.
async fn check_together(place: &Place, kept: &Kept) {
    let mut queries = clustered(20, DIMS, 7);
    queries.insert(3, vec![0.0; DIMS]);
    let together = place.search_vectors(&queries, 10, kept).await.unwrap();
    assert_eq!((together.len(), together[3].len()), (queries.len(), 0));
    for (query, found) in queries.iter().zip(together) {
        assert_eq!(found, place.search_vector(query, 10, kept).await.unwrap());
    }
}

async fn check(place: &Place, vectors: &[Vec<f32>], when: &str, keep: impl Fn(usize) -> bool) {
    let live = (0..N).filter(|n| keep(*n)).count();
    let found = recall(place, vectors, &all(live), &keep).await;
    assert!(found >= 0.99, "{when}: {found}");
    for share in [10, 100] {
        let kept = one_in(share, &keep);
        let keep = |n: usize| n.is_multiple_of(share) && keep(n);
        // As a search does it, by a scan; and by the graph where it may be walked however few are kept.
        let walking = Place { exact_below: 1, ..place.clone() };
        for (way, place) in [("default", place), ("graph", &walking)] {
            let found = recall(place, vectors, &kept, keep).await;
            assert!(found >= 0.99, "{when}, 1 in {share}, {way}: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn recall_holds_with_filters_and_after_a_third_was_deleted() {
    let (_store, server, url) = server("pgv_recall").await;
    let place = place(&server, "w", "s", DIMS);
    let mut vectors = clustered(N, DIMS, 7);
    let mut documents: Wanted = (0..N).map(|n| (name(n), ("1".to_owned(), 1))).collect();
    fill(&place, 1, &vectors, &documents).await;
    // The neighbours of another space must not get in the way.
    let other = super::place(&server, "w", "other", DIMS);
    other.bring(1, &wanted(&[("x", "1")]), &[entry("x", "", Some(&vectors[0]))]).await.unwrap();
    place.grow(N).await;
    place.settle().await;
    assert!(place.graph.is_ready.load(std::sync::atomic::Ordering::Acquire));
    for together in [false, true] {
        let plan = plan(&place, &vectors[0], together).await;
        assert!(plan.contains("_graph_"), "{plan}");
    }
    check(&place, &vectors, "fresh", |_| true).await;
    check_together(&place, &all(N)).await;
    check_together(&place, &one_in(100, |_| true)).await;

    for n in (0..N).filter(|n| (n / 100) % 10 < 3) {
        documents.remove(&name(n));
    }
    fill(&place, 2, &vectors, &documents).await;
    check(&place, &vectors, "after 30 % deletes", |n| (n / 100) % 10 >= 3).await;

    let fresh = clustered(N, DIMS, 1_234);
    for n in (0..N).filter(|n| (n / 100) % 10 < 3) {
        vectors[n].clone_from(&fresh[n]);
        documents.insert(name(n), ("2".to_owned(), 1));
    }
    fill(&place, 3, &vectors, &documents).await;
    check(&place, &vectors, "after 30 % came back changed", |_| true).await;

    // A second process finds the graph and does not make it again.
    let second = super::place(&server, "w", "s", DIMS);
    second.grow(N).await;
    second.settle().await;
    assert!(second.graph.is_ready.load(std::sync::atomic::Ordering::Acquire));
    let graphs = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE '\\_graph\\_%'";
    assert_eq!(admin(&url).await.query_one(graphs, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// How the server answers the query that a walk sends, alone or together with others.
async fn plan(place: &Place, query: &[f32], together: bool) -> String {
    let mut client = place.client().await.unwrap();
    let tx = begin(&mut client, "w").await.unwrap();
    tx.batch_execute("SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan")
        .await
        .unwrap();
    let text = if together { place.each_text(true) } else { place.nearest_text(true) };
    let text = format!("EXPLAIN {text}");
    let statement = tx.prepare(&text).await.unwrap();
    let (query, none, limit) = (wire::HalfVec::of(query), None::<Vec<String>>, 26_i64);
    let queries = vec![query.clone(), query.clone()];
    let query: &(dyn tokio_postgres::types::ToSql + Sync) = if together { &queries } else { &query };
    let rows = tx.query(&statement, &[&"w", &"s", &"e", query, &none, &none, &limit]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}
