//! What working jobs costs in memory over a host that holds the hub anyway.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::super::peers;
use super::super::redis::Fsync;
use super::{QUEUE, fill, open};
use crate::measure::resident;
use crate::medians::Medians;
use crate::{Goal, Result, Row, Runs};

/// Jobs that are worked before memory is read again.
const JOBS: usize = 5_000;
const OURS: &str = "ours";
const BULLMQ: &str = "BullMQ";

pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let mut taken = Medians::default();
    for _ in 0..runs.count() {
        taken.add(OURS, worker()?);
        for (_, mib) in peers::bullmq("memory", JOBS, Fsync::EverySecond)? {
            taken.add(BULLMQ, mib);
        }
    }
    let row = Row::new("queue: worker memory over the host", taken.of(OURS)?, "MiB", Goal::AtMost(12.0));
    Ok(vec![match taken.of(BULLMQ) {
        Ok(mib) => row.against(BULLMQ, mib),
        Err(_) => row,
    }])
}

/// What a process of its own measures.
fn worker() -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let output = Command::new(std::env::current_exe()?)
        .args(["--child", "runtime-queue", "memory"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(format!("the worker failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Plays the host: opens and enqueues, reads its memory, works, and prints the difference in MiB.
pub(super) fn child(arguments: &[String]) -> Result<()> {
    let [folder] = arguments else { return Err("the child needs a folder".into()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let hub = open(Path::new(folder), Arc::default()).await?;
        let cx = hub.workspace("default").await?;
        fill(&cx, JOBS).await?;
        let before = resident()?;
        hub.start_workers(&[QUEUE]).await?;
        while cx.queue_stats(QUEUE).await?.waiting > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        println!("{:.1}", (resident()? - before).max(0.0));
        Ok(hub.close().await?)
    })
}
