//! Databases for tests on a real server.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where the server of the tests is.
pub const VARIABLE: &str = "NEONHUB_TEST_DATABASE_URL";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Makes a fresh database on the server of the tests and gives its URL.
///
/// # Panics
/// When `NEONHUB_TEST_DATABASE_URL` is not set or the server refuses: a test that needs the server must not pass
/// without it.
#[allow(clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]
pub async fn database(label: &str) -> String {
    let Ok(server) = std::env::var(VARIABLE) else {
        panic!("{VARIABLE} is not set: run this test with `cargo xtask postgres -- cargo test`");
    };
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("t_{label}_{}_{n}", std::process::id());
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
        .await
        .expect("the server of the tests answers");
    tokio::spawn(connection);
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("an old database goes");
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database is made");
    let (base, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{base}/{name}")
}
