//! Databases for tests on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;
use crate::store::SharedStore;
use crate::store::postgres::PostgresStore;

/// Where the server of the tests is.
pub const VARIABLE: &str = "NEONHUB_TEST_DATABASE_URL";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Set to `postgres` it makes every test that opens `memory:` work on the server instead.
pub const STORE_VARIABLE: &str = "NEONHUB_TEST_STORE";

/// A number for names: no two are equal in a run of the tests.
fn unique(label: &str) -> String {
    format!("t_{label}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[allow(clippy::panic, reason = "tests fail by panicking")]
fn server() -> String {
    match std::env::var(VARIABLE) {
        Ok(server) => server,
        Err(_) => panic!("{VARIABLE} is not set: run this test with `cargo xtask postgres cargo test ...`"),
    }
}

/// Makes a fresh database on the server of the tests and gives its URL.
///
/// # Panics
/// When `NEONHUB_TEST_DATABASE_URL` is not set or the server refuses: a test that needs the server must not pass
/// without it.
#[allow(clippy::expect_used, reason = "tests fail by panicking")]
pub async fn database(label: &str) -> String {
    let (server, name) = (server(), unique(label));
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
        .await
        .expect("the server of the tests answers");
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database is made");
    let (base, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{base}/{name}")
}

/// A fresh store on the server when the tests are to run there: each in a schema of its own, which costs less than a
/// database each.
pub(crate) async fn instead_of_memory() -> Result<Option<SharedStore>> {
    if std::env::var(STORE_VARIABLE).as_deref() != Ok("postgres") {
        return Ok(None);
    }
    let url = format!("{}?pool=3&schema={}", server(), unique("hub"));
    Ok(Some(Arc::new(PostgresStore::open(&url).await?)))
}
