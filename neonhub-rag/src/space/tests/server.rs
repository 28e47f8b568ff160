//! Knowledge on a PostgreSQL server: the indexes are tables there, shared by all processes.

use std::time::Duration;

use neonhub_core::store::conformance::postgres::database;
use tokio_postgres::Client;

use super::compaction::{SECRET, now_for_good};
use super::*;

async fn plain(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The rows of the indexes with the transactions that wrote them.
async fn rows(client: &Client) -> Vec<String> {
    let text = "SELECT id || ' ' || xmin::text FROM neonhub._passage ORDER BY id";
    client.query(text, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_next_process_goes_on_with_what_the_last_one_indexed() {
    let url = database("rag_restart").await;
    let cx = ready(&url).await;
    for n in 0..6 {
        put(&cx, &format!("{n}.md"), &section(&format!("Part {n}"), ["warm", "plain", "kind"][n % 3])).await;
        find(&cx, "warm").await;
    }
    let wanted = find(&cx, "warm kind rule").await;
    assert!(wanted.hits.iter().any(|h| h.vector_part.is_some() && h.text_part.is_some()));
    let client = plain(&url).await;
    let before = rows(&client).await;
    assert!(before.len() >= 6);
    cx.hub().close().await.unwrap();

    let cx = open(&url).await;
    assert_eq!(find(&cx, "warm kind rule").await, wanted);
    assert_eq!(rows(&client).await, before, "nothing was written again");
    // Changes that no process indexed before it ended.
    put(&cx, "2.md", "Something else entirely about zebras.").await;
    cx.hub().close().await.unwrap();
    let cx = open(&url).await;
    assert_eq!(names(&cx, "zebras").await[0], "2.md");
    let kept = rows(&client).await;
    assert!(before.iter().filter(|row| kept.contains(row)).count() >= 5, "only what changed is written");

    // Tables that were emptied are filled from the records, with the same answers.
    let stepped = find(&cx, "warm kind rule").await;
    cx.hub().close().await.unwrap();
    client
        .batch_execute("TRUNCATE neonhub._passage, neonhub._passage_document, neonhub._passage_space")
        .await
        .unwrap();
    let cx = open(&url).await;
    assert_eq!(find(&cx, "warm kind rule").await, stepped);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn processes_share_one_index() {
    indexes::two_hubs(&database("rag_two").await).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_space_on_a_server_moves_to_another_embedder() {
    embedders::moves_to_another_embedder(&database("rag_move").await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn what_is_deleted_is_gone_for_every_process_while_others_write() {
    let url = database("rag_many").await;
    let first = ready(&url).await;
    let second = open(&url).await;
    let mut tasks = Vec::new();
    for (worker, cx) in [(0, first.clone()), (1, second.clone())] {
        tasks.push(tokio::spawn(async move {
            for n in 0..8 {
                let document =
                    put(&cx, &format!("{worker}-{n}.md"), &format!("Plain words {worker} number {n}.")).await;
                let query = format!("plain {worker} number {n}");
                assert!(names(&cx, &query).await.contains(&document.name), "{query}");
                if n % 2 == 0 {
                    cx.call(DeleteDocument { document: document.id }).await.unwrap();
                    assert!(!names(&cx, &query).await.contains(&document.name), "{query}");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let all = SearchKnowledge { k: Some(100), ..SearchKnowledge::of("plain number") };
    let of = |hits: Vec<Hit>| hits.into_iter().map(|h| h.name).collect::<std::collections::BTreeSet<_>>();
    let found = of(first.call(all.clone()).await.unwrap().hits);
    assert_eq!(found, (0..2).flat_map(|w| (0..4).map(move |n| format!("{w}-{}.md", 2 * n + 1))).collect());
    assert_eq!(of(second.call(all).await.unwrap().hits), found);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn filters_and_spread_work_on_the_server() {
    let cx = ready(&database("rag_filters").await).await;
    cx.call(CreateDataset { space: "brand-voice".into(), name: "faq".into(), ..Default::default() })
        .await
        .unwrap();
    for n in 0..12 {
        let text = format!("# Page {n}\n\nOur return policy number {n} is kind to everyone.");
        let dataset = if n % 4 == 0 { "faq" } else { "brand-voice" };
        cx.call(UploadDocument::of(dataset, format!("{n}.md"), text.as_bytes())).await.unwrap();
    }
    let filters = SearchFilters { datasets: vec!["faq".into()], ..Default::default() };
    for mode in [SearchMode::Hybrid, SearchMode::Text, SearchMode::Vector] {
        let search = SearchKnowledge {
            mode,
            k: Some(10),
            filters: filters.clone(),
            ..SearchKnowledge::of("return policy")
        };
        let hits = cx.call(search).await.unwrap().hits;
        assert_eq!(hits.len(), 3, "{mode:?}");
    }
    let spread = SearchKnowledge {
        k: Some(4),
        mmr_lambda: Some(0.3),
        ..SearchKnowledge::of("\"return policy\" number")
    };
    assert_eq!(cx.call(spread).await.unwrap().hits.len(), 4);
    let phrase = SearchKnowledge::of("\"policy return\"");
    assert!(cx.call(phrase).await.unwrap().hits.is_empty());
}

/// Tables, indexes and catalogues of the database whose files hold a text.
async fn holders(client: &Client, text: &str) -> Vec<String> {
    client.batch_execute("CHECKPOINT").await.unwrap();
    let files = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'i', 't', 'm') \
                 AND position($1 IN pg_read_binary_file(pg_relation_filepath(oid))) > 0 ORDER BY 1";
    let rows = client.query(files, &[&text.as_bytes()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn after_compaction_no_file_of_the_database_holds_a_deleted_document() {
    let url = database("rag_compact").await;
    let cx = ready(&url).await;
    put(&cx, "kept.md", "# Kept\n\nMelonography stays.").await;
    for n in 0..40 {
        put(&cx, &format!("filler-{n}.md"), &format!("Filler number {n} says little.")).await;
    }
    put(&cx, "zanzi-first.md", "An older version, Zanzibarium too.").await;
    put(&cx, "zanzi-first.md", &format!("# {SECRET} plan\n\n{}", section("Part", SECRET))).await;
    assert_eq!(names(&cx, SECRET).await[0], "zanzi-first.md");
    let client = plain(&url).await;
    // Figures of the planner are copies of values too.
    client.batch_execute("ANALYZE").await.unwrap();
    for trace in [SECRET, "zanzibarium", "zanzi-first"] {
        assert!(!holders(&client, trace).await.is_empty(), "the scan sees {trace}");
    }
    assert!(holders(&client, "zanzibarium").await.iter().any(|name| name == "_passage__lexemes"));

    let document = find(&cx, SECRET).await.hits[0].document.clone();
    // What is deleted while these run, one of them in another database, the server keeps for them.
    let others = [plain(&url).await, plain(&database("rag_compact_beside").await).await];
    for other in &others {
        other
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()")
            .await
            .unwrap();
    }
    cx.call(DeleteDocument { document }).await.unwrap();
    assert!(names(&cx, SECRET).await.iter().all(|name| name != "zanzi-first.md"));
    let end = async {
        for other in &others {
            tokio::time::sleep(Duration::from_millis(200)).await;
            other.batch_execute("COMMIT").await.unwrap();
        }
    };
    let (done, ()) = tokio::join!(cx.call(now_for_good()), end);
    let done = done.unwrap();
    assert_eq!((done.spaces, done.documents), (1, 2), "both versions");
    for trace in [SECRET, "zanzibarium", "zanzi-first"] {
        assert_eq!(holders(&client, trace).await, Vec::<String>::new(), "{trace}");
    }
    assert_eq!(names(&cx, "melonography").await[0], "kept.md");
    assert!(!holders(&client, "Melonography").await.is_empty());
    assert!(cx.store().check().await.unwrap().is_empty());
    assert!(cx.store().drift().await.unwrap().is_empty());
}
