//! `neonhub::open` on a PostgreSQL server: what it adds beside a file, it adds here.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

use std::path::{Path, PathBuf};
use std::process::Command;

use neonhub::ErrorKind;
use neonhub::connector::Channel;
use serde_json::json;

/// Set for the process that has a root key: variables are of a process, so each state has one of its own.
const FOLDER: &str = "NEONHUB_TEST_SERVER_FOLDER";
const NEEDS_SERVER: &str = "NEONHUB_TEST_DATABASE_URL";

fn url(folder: &Path) -> String {
    let server = std::env::var(NEEDS_SERVER).expect("run this with `cargo xtask postgres cargo test`");
    format!("{server}?schema=facade_{}&pool=3&folder={}", std::process::id(), folder.display())
}

/// Runs another test of this file in a process of its own.
fn run(test: &str, folder: &Path, key: Option<String>) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--ignored"]).env(FOLDER, folder).env_remove("NEONHUB_KEY");
    child.envs(key.map(|key| ("NEONHUB_KEY", key)));
    child.status().unwrap().success()
}

#[test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
fn a_server_has_an_outbox_as_a_file_has() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run("child_with_a_key", folder.path(), Some("5a".repeat(32))));
    let boxes: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [outbox] = boxes.as_slice() else { panic!("expected one folder, found {boxes:?}") };
    assert!(outbox.to_string_lossy().ends_with(".outbox"), "{outbox:?}");
}

#[test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
fn a_server_without_a_key_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run("child_without_a_key", folder.path(), None));
}

#[tokio::test]
#[ignore = "plays the child of another test"]
async fn child_with_a_key() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let place = url(Path::new(&folder));
    let opened = neonhub::open(&place).await.unwrap();
    assert!(opened.location().is_none(), "index files stay away from a store that others share");
    let outbox = opened.connector(&Channel::new("email").unwrap()).expect("an outbox takes the messages");
    outbox.health().await.unwrap();
    let ada = json!({ "identifiers": [{ "kind": "email", "value": "ada@shop.example" }] });
    let cx = opened.workspace("default").await.unwrap();
    let made = cx.call_by_name("people.resolve", ada.clone(), Default::default()).await.unwrap();
    opened.close().await.unwrap();
    let again = neonhub::open(&place).await.unwrap();
    let cx = again.workspace("default").await.unwrap();
    let known = cx.call_by_name("people.resolve", ada, Default::default()).await.unwrap();
    assert_eq!((&known["person"], &known["created"]), (&made["person"], &json!(false)));
    again.close().await.unwrap();
}

#[tokio::test]
#[ignore = "plays the child of another test"]
async fn child_without_a_key() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let error = neonhub::open(&url(Path::new(&folder))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("NEONHUB_KEY"), "{error}");
}
