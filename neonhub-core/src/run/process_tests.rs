//! A run in a real file that is killed again and again in child processes and finished in this one.

use std::process::{Command as Process, Stdio};
use std::time::Duration;

use super::*;

/// Names the store for the child.
const PLACE: &str = "NEONHUB_TEST_RUN_STORE";
const STEPS: usize = 400;
const KEY: &str = "killed";

fn commands() -> Vec<Command> {
    (0..STEPS).map(|i| note(&format!("c{i}"), &format!("{i:03}"))).collect()
}

async fn open(path: &str) -> (Hub, Scope) {
    let hub = base().store(path).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx)
}

/// The child: drives the run until it is killed.
#[tokio::test]
#[ignore = "the child of `a_run_killed_anywhere_goes_on_in_another_process`"]
async fn child() {
    let Ok(path) = std::env::var(PLACE) else { return };
    let (_hub, cx) = open(&path).await;
    drop(Driver::new(Steps::default()).execute(&cx, new(&commands()).key(KEY)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_anywhere_goes_on_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.neon").to_string_lossy().into_owned();
    let mut killed = 0;
    for round in 0..12_u64 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["run::tests::process::child", "--exact", "--ignored"])
            .env(PLACE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Different lives, so that some die while they open the store and some in the middle of a step.
        tokio::time::sleep(Duration::from_millis(30 + round * 7 % 40)).await;
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 0, "every child ended before it was killed");
    let (hub, cx) = open(&path).await;
    let view = Driver::new(Steps::default()).execute(&cx, new(&commands()).key(KEY)).await.unwrap();
    assert_eq!(view.run.status, RunStatus::Completed);
    let expected: Vec<String> = (0..STEPS).map(|i| format!("{i:03}")).collect();
    assert_eq!(notes(&cx).await, expected);
    assert!(cx.store().check().await.unwrap().is_empty());
    hub.close().await.unwrap();
}
