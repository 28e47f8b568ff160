//! Each acknowledged commit was synced before it was acknowledged: seen from the system calls of a child.
#![cfg(all(feature = "sqlite", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use neonhub_core::store::conformance::Note;
use neonhub_core::store::{Batch, Expected, Kind, Row, Write, sqlite};
use neonhub_core::{Timestamp, WorkspaceId};

const COMMITS: usize = 25;
const PLACE: &str = "NEONHUB_SYNC_CHILD";

/// The child: commits one by one and says so after each.
#[tokio::test]
#[ignore = "the child process of `acknowledged_commits_were_synced`"]
async fn commits_and_acknowledges() {
    let Ok(path) = std::env::var(PLACE) else { return };
    let store = sqlite::open(Path::new(&path)).await.unwrap();
    let kind = Kind::of::<Note>();
    store.declare(&[kind]).await.unwrap();
    for n in 0..COMMITS {
        let note = Note { id: format!("n{n}"), name: None, size: 0, text: String::new() };
        let mut batch = Batch::new(WorkspaceId::hub_sibling(1), Timestamp::EPOCH);
        let row = Row::of(&note, Timestamp::EPOCH, "test").unwrap();
        batch.writes.push(Write::Put { kind, row, expected: Expected::Absent });
        store.commit(batch).await.unwrap();
        // Straight to the descriptor: the test harness holds back what `print!` writes.
        std::io::stdout().write_all(format!("ack {n}\n").as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

#[test]
#[ignore = "needs strace"]
fn acknowledged_commits_were_synced() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("calls");
    let child = Command::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync,write", "-s", "16", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "commits_and_acknowledges", "--ignored", "--nocapture"])
        .env(PLACE, dir.path().join("sync.neon"))
        .output()
        .expect("strace runs");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let mut synced = false;
    let mut acknowledged = 0;
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        synced |= (line.contains("fsync(") || line.contains("fdatasync(") || line.contains("sync resumed"))
            && line.trim_end().ends_with("= 0");
        if line.contains("write(1, \"ack ") {
            assert!(synced, "commit {acknowledged} was acknowledged without a sync since the one before");
            acknowledged += 1;
            synced = false;
        }
    }
    assert_eq!(acknowledged, COMMITS);
}
