//! Plans of the server without statistics, and who hears of whose commits.

use super::tests::{fresh, plain, put, ws};
use super::*;
use crate::store::conformance::Note;
use crate::store::{Expected, Write};

const KIND: Kind = Kind::of::<Note>();

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_few_records_are_replaced_without_a_look_at_all_of_them() {
    let (url, store) = fresh("plan").await;
    for page in 0..4 {
        let mut batch = Batch::new(ws(1), Timestamp::EPOCH);
        for n in 0..500 {
            let note = Note { id: format!("n{page}-{n:03}"), name: None, size: n, text: String::new() };
            let row = Row::of(&note, Timestamp::EPOCH, "t").unwrap();
            batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
        }
        store.commit(batch).await.unwrap();
    }
    // Nobody has counted the table yet, as right after an import.
    let client = plain(&url).await;
    client.batch_execute("SET search_path = neonhub").await.unwrap();
    let note = Note { id: "n0-007".into(), name: None, size: 1, text: String::new() };
    let rows = [Row::of(&note, Timestamp::EPOCH, "t").unwrap()];
    let workspace = ws(1).as_str().to_owned();
    let text = format!("EXPLAIN {}", super::steps::update_text(KIND));
    let columns = super::steps::Columns::of(KIND, &rows);
    let plan = client.query(&text, &columns.params(&workspace)).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
    let by_id = |line: &String| line.contains("Index Cond") && line.contains("id = ANY");
    assert!(plan.iter().any(by_id), "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn who_waits_for_others_hears_of_them_alone() {
    let (url, ours) = fresh("others").await;
    let theirs = PostgresStore::open(&url).await.unwrap();
    let mut others = ours.watch_others();
    put(&theirs, 1, "theirs").await.unwrap();
    let hears = async {
        while *others.borrow_and_update() < 1 {
            others.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), hears).await.unwrap();
    let mut all = ours.watch();
    put(&ours, 1, "ours").await.unwrap();
    let last = put(&ours, 1, "ours too").await.unwrap().seq;
    assert_eq!(*all.borrow_and_update(), last);
    // Longer than the pause of the poll.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(!others.has_changed().unwrap(), "{}", *others.borrow());
}
