use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::store::conformance::postgres::database;

async fn open() -> Result<crate::store::SharedStore> {
    Ok(Arc::new(PostgresStore::open(&database("conformance").await).await?))
}

mod suite {
    crate::store_conformance!(
        ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`",
        super::open
    );
}

use tokio_postgres::NoTls;

use crate::store::conformance::Note;
use crate::store::transfer::kind_of;
use crate::store::{Expected, Record as _, SharedStore, Write};
use crate::{Error, ErrorKind};

const KIND: Kind = Kind::of::<Note>();

pub(super) fn ws(n: u8) -> WorkspaceId {
    WorkspaceId::hub_sibling(n)
}

pub(super) async fn put(store: &PostgresStore, workspace: u8, id: &str) -> Result<Committed> {
    let note = Note { id: id.into(), name: None, size: 1, text: String::new() };
    let mut batch = Batch::new(ws(workspace), Timestamp::EPOCH);
    let row = Row::of(&note, Timestamp::EPOCH, "t")?;
    batch.writes.push(Write::Put { kind: KIND, row, expected: Expected::Absent });
    store.commit(batch).await
}

pub(super) async fn fresh(label: &str) -> (String, PostgresStore) {
    let url = database(label).await;
    let store = PostgresStore::open(&url).await.unwrap();
    store.declare(&[KIND]).await.unwrap();
    (url, store)
}

pub(super) async fn plain(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_app_role_sees_one_workspace_and_changes_no_table() {
    let (url, store) = fresh("fence").await;
    put(&store, 1, "a").await.unwrap();
    put(&store, 2, "b").await.unwrap();
    let client = plain(&url).await;
    client.batch_execute("SET ROLE neonhub_app; SET search_path = neonhub").await.unwrap();
    let count = "SELECT count(*) FROM conformance_note";
    let seen = |client: tokio_postgres::Client| async move {
        let n: i64 = client.query_one(count, &[]).await.unwrap().get(0);
        (n, client)
    };
    let (none, client) = seen(client).await;
    assert_eq!(none, 0, "nothing is seen before a workspace is named");
    client.execute(read::FENCE, &[&ws(1).as_str()]).await.unwrap();
    let (one, client) = seen(client).await;
    assert_eq!(one, 1);
    let other = client.execute("DELETE FROM conformance_note WHERE id = 'b'", &[]).await.unwrap();
    assert_eq!(other, 0);
    let moved = client.execute("UPDATE conformance_note SET workspace_id = $1", &[&ws(2).as_str()]).await;
    assert!(moved.is_err(), "a row cannot be pushed over the fence");
    assert!(client.batch_execute("ALTER TABLE conformance_note ADD COLUMN x text").await.is_err());
    assert!(client.batch_execute("CREATE TABLE mine (x text)").await.is_err());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_app_role_is_told_who_may_migrate() {
    let url = database("pending").await;
    let login = format!("app_{}", std::process::id());
    let admin = plain(&url).await;
    admin.batch_execute(&format!("DROP ROLE IF EXISTS {login}; CREATE ROLE {login} LOGIN")).await.unwrap();
    let as_app = url.replacen("postgres@", &format!("{login}@"), 1);
    let error = PostgresStore::open(&as_app).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let versions = format!("version 0 and needs {}", schema::VERSION);
    assert!(error.message().contains(&versions) && error.message().contains("neonhub_migrate"), "{error}");
    let owner = PostgresStore::open(&url).await.unwrap();
    owner.declare(&[KIND]).await.unwrap();
    admin.batch_execute(&format!("GRANT neonhub_app TO {login}")).await.unwrap();
    let app = PostgresStore::open(&as_app).await.unwrap();
    app.declare(&[KIND]).await.unwrap();
    put(&app, 1, "a").await.unwrap();
    let later = kind_of("conformance_later", 1, &[]);
    let error = app.declare(&[later]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("conformance_later"), "{error}");
    app.close().await.unwrap();
    admin.batch_execute(&format!("DROP ROLE {login}")).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_newer_store_is_refused_with_both_versions_named() {
    let (url, store) = fresh("newer").await;
    store.close().await.unwrap();
    let client = plain(&url).await;
    client.batch_execute("INSERT INTO neonhub._migration (version) VALUES (1000)").await.unwrap();
    let error = PostgresStore::open(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("version 1000"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn processes_wake_each_other_and_know_who_is_at_work() {
    let (url, one) = fresh("news").await;
    let two = PostgresStore::open(&url).await.unwrap();
    one.register_worker("w1").unwrap();
    let mut watch = two.watch();
    // The poll takes a second: half of it shows that the news came by notification, once both listen.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let seq = put(&one, 1, "a").await.unwrap().seq;
    tokio::time::timeout(std::time::Duration::from_secs(3), watch.wait_for(|n| *n == seq))
        .await
        .unwrap()
        .unwrap();
    assert!(two.is_worker_alive("w1"));
    one.close().await.unwrap();
    drop(one);
    let gone = async {
        while two.is_worker_alive("w1") {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn cut_connections_come_back() {
    let (url, store) = fresh("cut").await;
    put(&store, 1, "a").await.unwrap();
    let admin = plain(&url).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.execute(cut, &[]).await.unwrap();
    // What was under way may fail once, in words that say so; then everything works again.
    for id in ["b", "c", "d"] {
        let mut tries = 0;
        loop {
            match put(&store, 1, id).await {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < 12 => tries += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    assert_eq!(store.count(KIND, &ws(1), &Query::by_id()).await.unwrap(), 4);
    assert_eq!(store.changes(0, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // Port 9 of the loopback: nobody listens.
    let error = PostgresStore::open("postgres://u:secret@127.0.0.1:9/db").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn damage_is_found_by_the_check() {
    let (url, store) = fresh("damage").await;
    put(&store, 1, "a").await.unwrap();
    put(&store, 1, "b").await.unwrap();
    let admin = plain(&url).await;
    let change = "UPDATE neonhub.conformance_note SET body = jsonb_set(body, '{size}', '2') WHERE id = 'b'";
    admin.batch_execute(change).await.unwrap();
    let shared: SharedStore = Arc::new(store);
    let damage = shared.check().await.unwrap();
    assert_eq!(
        damage.iter().map(|d| (d.kind.as_str(), d.id.as_str())).collect::<Vec<_>>(),
        [(Note::KIND, "b")]
    );
}

const AWAY: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn commits_outlive_their_connections_and_none_is_written_twice() {
    let (url, store) = fresh("away").await;
    let store = Arc::new(store);
    let client = plain(&url).await;
    let done = Arc::new(AtomicU32::new(0));
    let writer = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            for n in 0..300 {
                // Expects that there is none: a commit that took effect and was repeated would be refused.
                put(&store, 1, &format!("n{n}")).await?;
                done.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, Error>(())
        })
    };
    let mut cut = 0;
    while !writer.is_finished() {
        cut += client.query_one(AWAY, &[]).await.unwrap().get::<_, i64>(0);
        // Not again before something got through: however slow the machine is, the patience of a commit is enough.
        let next = done.load(Ordering::SeqCst) + 3;
        while done.load(Ordering::SeqCst) < next && !writer.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    writer.await.unwrap().unwrap();
    assert!(cut > 10, "{cut} connections were cut: too few to say anything");
    // The first read may meet a connection that was cut last.
    let counted = loop {
        match store.count(KIND, &ws(1), &Query::by_id()).await {
            Err(error) if error.kind() == ErrorKind::Unavailable && cut > 0 => cut -= 1,
            counted => break counted,
        }
    };
    assert_eq!(counted.unwrap(), 300);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_commit_of_another_under_the_same_number_is_not_taken_for_ours() {
    let (url, store) = fresh("fate").await;
    let seq = put(&store, 1, "a").await.unwrap().seq;
    let client = plain(&url).await;
    let text = "SELECT xid::text, changes FROM neonhub._feed ORDER BY seq DESC LIMIT 1";
    let row = client.query_one(text, &[]).await.unwrap();
    let (xid, changes): (String, String) = (row.get(0), row.get(1));
    let of = |xid: &str, entries: &str| write::Lost {
        answers: vec![Ok(Some(0))],
        xid: xid.to_owned(),
        entries: vec![entries.to_owned()],
    };
    let ours = fate::settle(&store.pool, &of(&xid, &changes)).await;
    assert!(matches!(ours, fate::Settled::Committed(first) if first == seq));
    for foreign in [of(&xid, "[]"), of("4294967295000", &changes)] {
        let fate::Settled::Aborted(error) = fate::settle(&store.pool, &foreign).await else {
            panic!("what another wrote, or nobody, was taken for ours")
        };
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    }
}

/// Key of the lock that says that a worker lives.
const LOCK: &str = "hashtextextended('neonhub.worker.neonhub.' || $1, 0)";

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_worker_takes_its_lock_although_somebody_looked_at_it() {
    let (url, store) = fresh("lock").await;
    let client = plain(&url).await;
    client.execute(&format!("SELECT pg_advisory_lock_shared({LOCK})"), &[&"w1"]).await.unwrap();
    store.register_worker("w1").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    client.execute(&format!("SELECT pg_advisory_unlock_shared({LOCK})"), &[&"w1"]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    let row = client.query_one(&format!("SELECT pg_try_advisory_lock({LOCK})"), &[&"w1"]).await.unwrap();
    assert!(!row.get::<_, bool>(0), "the worker holds its lock now");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_dead_worker_is_noticed_while_there_is_much_news() {
    let (_, store) = fresh("news").await;
    let start = std::time::Instant::now();
    let mut n = 0;
    while store.is_worker_alive("gone") {
        assert!(start.elapsed().as_secs() < 20, "nobody looked around");
        n += 1;
        put(&store, 1, &format!("n{n}")).await.unwrap();
        // More often than the listener looks around.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(start.elapsed().as_secs() >= 4, "a worker is given time to come back");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_read_whose_connection_was_cut_is_made_once_more() {
    let (url, store) = fresh("cut").await;
    let put = put(&store, 1, "a").await.unwrap();
    let hash = store.blob_put(b"body").await.unwrap();
    let ids = ["a".to_owned()];
    let all = Query::by_id().limit(10);
    for read in 0..7 {
        // From another runtime, while this one stands still: it has not heard of the cut when it reads.
        let url = url.clone();
        let cut = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = plain(&url).await;
                let all = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
                           WHERE datname = current_database() AND pid <> pg_backend_pid()";
                client.query_one(all, &[]).await.unwrap().get::<_, i64>(0)
            })
        });
        assert!(cut.join().unwrap() > 0, "read {read} has a connection to lose");
        let workspace = &ws(1);
        let found = match read {
            0 => store.get(KIND, workspace, "a").await.map(|row| row.is_some()),
            1 => store.get_many(KIND, workspace, &ids).await.map(|rows| rows.iter().all(Option::is_some)),
            2 => store.query(KIND, workspace, &all).await.map(|rows| rows.len() == 1),
            3 => store.count(KIND, workspace, &all).await.map(|n| n == 1),
            4 => store.changes(put.seq - 1, 10).await.map(|entries| !entries.is_empty()),
            5 => store.seq().await.map(|seq| seq == put.seq),
            _ => store.blob_get(&hash).await.map(|body| body.is_some()),
        };
        assert!(found.unwrap_or_else(|error| panic!("read {read}: {error}")), "read {read}");
    }
    store.close().await.unwrap();
}
