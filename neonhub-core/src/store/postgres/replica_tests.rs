//! Reads from a standby that follows, falls behind and goes away.

use std::process::Command;
use std::time::Duration;

use super::tests::{plain, put, ws};
use super::*;
use crate::store::conformance::Note;
use crate::store::conformance::postgres::database;
use crate::store::{Consistency, Query};
use crate::{ErrorKind, Hub};

const KIND: Kind = Kind::of::<Note>();
const NEEDS: &str = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`";

/// A server of this test's own with a standby; both stop when this is dropped.
struct Pair {
    script: String,
    port: String,
    standby: String,
}

impl Pair {
    fn start() -> Self {
        let script = std::env::var("NEONHUB_TEST_DATABASE_STANDBY").expect(NEEDS);
        let started = Command::new("sh").args([&script, "start"]).output().unwrap();
        let told = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{told}");
        let said = String::from_utf8(started.stdout).unwrap();
        let (port, standby) = said.trim().split_once(' ').unwrap();
        Pair { port: port.to_owned(), standby: standby.to_owned(), script }
    }

    fn stop(&self, which: &str) -> bool {
        Command::new("sh").args([&self.script, "stop", which]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // A test may have stopped the standby.
        self.stop("standby");
        self.stop("primary");
    }
}

/// Waits until `is_so` says yes; other tests keep the machine busy.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    for _ in 0..3_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {what}");
}

async fn seen(store: &PostgresStore, consistency: Consistency) -> u64 {
    consistency.within(store.count(KIND, &ws(1), &Query::by_id())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn reads_go_to_a_standby_as_far_as_they_may() {
    let pair = Pair::start();
    let url = |port: &str| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let store = format!("{}?replica=127.0.0.1:{}", url(&pair.port), pair.standby);
    let store = PostgresStore::open(&store).await.unwrap();
    store.declare(&[KIND]).await.unwrap();
    let first = put(&store, 1, "a").await.unwrap().seq;
    let copy = plain(&url(&pair.standby)).await;
    until("the first record stands in the standby", || async {
        let rows = copy.query("SELECT 1 FROM neonhub.conformance_note", &[]).await;
        rows.is_ok_and(|rows| rows.len() == 1)
    })
    .await;
    // Not before: a standby that lacks the table is left alone for seconds, and the primary would answer below.
    assert_eq!(seen(&store, Consistency::ReadYourWrites(first)).await, 1);
    copy.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    // A pause holds from the next record on that the standby looks at.
    let mut last = first;
    let mut n = 0;
    loop {
        let state = copy.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await.unwrap();
        if state.get::<_, String>(0) == "paused" {
            break;
        }
        assert!(n < 600, "the standby is not paused within a minute");
        last = put(&store, 1, &format!("b{n}")).await.unwrap().seq;
        n += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let behind = seen(&store, Consistency::Eventual).await;
    last = last.max(put(&store, 1, "c").await.unwrap().seq);
    assert_eq!(seen(&store, Consistency::Eventual).await, behind, "the standby has not moved");
    let all = seen(&store, Consistency::Strong).await;
    assert!(all > behind);
    assert_eq!(seen(&store, Consistency::ReadYourWrites(last)).await, all, "what it lacks the primary has");
    assert!(Consistency::Eventual.within(store.get(KIND, &ws(1), "c")).await.unwrap().is_none());
    copy.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    until("the standby follows", || async { seen(&store, Consistency::Eventual).await == all }).await;
    assert!(pair.stop("standby"));
    assert_eq!(seen(&store, Consistency::Eventual).await, all, "the primary answers for one that is gone");
    put(&store, 1, "d").await.unwrap();
    assert_eq!(seen(&store, Consistency::ReadYourWrites(last + 1)).await, all + 1);
    store.close().await.unwrap();
    let closed = Consistency::Eventual.within(store.count(KIND, &ws(1), &Query::by_id())).await;
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_scope_asks_a_copy_for_reads_alone() {
    // Nobody listens there: what would be asked of the standby is answered by the primary, and nothing fails.
    let url = format!("{}?replica=127.0.0.1:9", database("replica_none").await);
    let key = crate::seal::RootKey::from_bytes([7; 32], "test");
    let hub = Hub::builder().store(&url).root_key(key).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap().with_consistency(Consistency::Eventual);
    let made = cx
        .call_by_name(
            "workspaces.create",
            serde_json::json!({ "name": "Other", "slug": "other" }),
            crate::op::CallOptions::new(),
        )
        .await
        .unwrap();
    let listed = cx
        .call_by_name("workspaces.list", serde_json::json!({}), crate::op::CallOptions::new())
        .await
        .unwrap();
    assert!(listed.to_string().contains(made["id"].as_str().unwrap()), "{listed}");
    hub.close().await.unwrap();
}
