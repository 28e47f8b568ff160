//! The durable queue with the outbox behind it: enqueued, leased, cleared by a gate, written as files, settled and
//! marked as sent, each step committed with a true sync.
//!
//! The gate allows everything and the text is ready made: rules and rendering have rows of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use neonhub_connectors::outbox::Outbox;
use neonhub_core::connector::testing::AllowAll;
use neonhub_core::connector::{Channel, Clearance, EffectId, Outbound, Payload, Proposal};
use neonhub_core::job::{Handler, Job, JobSpec, Outcome};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::store::{Expected, Kind, Record};
use neonhub_core::{Hub, Permission, Scope, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Goal, Result, Row, Runs};

/// Sends of one run.
const SENDS: usize = 10_000;

/// Sends enqueued in one commit.
const PAGE: usize = 500;

const QUEUE: &str = "bench.send";

/// Size of a message in bytes: a mail of a few paragraphs in text and HTML.
const MESSAGE_BYTES: usize = 3_000;

/// The row.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sends = runs.size(SENDS);
    // Kept until the last run: ext4 looks at every inode that was freed within the last seconds before it takes a
    // new one, so that each run would pay for the files of the run before.
    let mut folders = Vec::new();
    let rate = runs.median_of(|| {
        let folder = tempfile::tempdir()?;
        let rate = runtime.block_on(run(folder.path(), sends));
        folders.push(folder);
        rate
    })?;
    Ok(vec![Row::new("queue and outbox", rate, "sends/s", Goal::AtLeast(5_000.0))])
}

async fn run(folder: &Path, sends: usize) -> Result<f64> {
    let hub = Hub::builder()
        .store(folder.join("queue.neon").to_string_lossy())
        .operations(CATALOGUE)
        .kinds(KINDS)
        .gate(Arc::new(AllowAll))
        .connector(Arc::new(Outbox::open(folder.join("outbox"))?))
        .handler(Arc::new(Dispatch))
        .build()
        .await?;
    let scope = hub.workspace("default").await?;
    let start = Instant::now();
    for from in (0..sends).step_by(PAGE) {
        scope.call(EnqueueSends { count: PAGE.min(sends - from) }).await?;
    }
    let drained = scope.work_until_idle().await?;
    let seconds = start.elapsed().as_secs_f64();
    hub.close().await?;
    let written = std::fs::read_dir(folder.join("outbox/email"))?.count();
    if usize::try_from(drained.done)? != sends || written != sends {
        return Err(format!("{sends} sends were enqueued, {drained:?}, {written} files are there").into());
    }
    Ok(sends as f64 / seconds)
}

static CATALOGUE: &[Entry] = &[entry::<EnqueueSends>()];

static KINDS: &[Kind] = &[Kind::of::<Dispatched>()];

/// Enqueues sends.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EnqueueSends {
    /// How many.
    count: usize,
}

impl Operation for EnqueueSends {
    type Output = ();
    const NAME: &'static str = "bench.enqueue";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;

    async fn run(self, cx: &Scope) -> neonhub_core::Result<()> {
        for _ in 0..self.count {
            cx.enqueue(JobSpec::new(QUEUE, "send", json!({ "draft": "drf_0" })))?;
        }
        Ok(())
    }
}

/// A send on its way: the effect is on disk before the outbox sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Dispatched {
    id: String,
    effect: EffectId,
    receipt: Option<String>,
}

impl Record for Dispatched {
    const KIND: &'static str = "bench_dispatched";

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug)]
struct Dispatch;

#[async_trait]
impl Handler for Dispatch {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> neonhub_core::Result<Vec<Outcome>> {
        let channel = Channel::new("email")?;
        let mut sends = Vec::with_capacity(jobs.len());
        for job in jobs {
            let send =
                Dispatched { id: job.id.clone(), effect: EffectId::of(&["bench", &job.id]), receipt: None };
            cx.create(&send)?;
            sends.push(send);
        }
        cx.flush().await?;
        let asked =
            sends.iter().map(|send| (proposal(cx, send, &channel), outbound(send, &channel))).collect();
        let Some(connector) = cx.hub().connector(&channel) else {
            return Err(neonhub_core::Error::internal(QUEUE, std::io::Error::other("no outbox")));
        };
        for (mut send, clearance) in sends.into_iter().zip(cx.clear(asked).await?) {
            if let Clearance::Cleared { cleared, .. } = clearance {
                send.receipt = Some(cx.deliver(connector.as_ref(), *cleared).await?.provider_id);
                cx.put(&send, Expected::Rev(1))?;
            }
        }
        connector.settle().await?;
        Ok(jobs.iter().map(|_| Outcome::Done).collect())
    }
}

fn proposal(cx: &Scope, send: &Dispatched, channel: &Channel) -> Proposal {
    Proposal {
        send: send.id.clone(),
        person: None,
        channel: channel.clone(),
        at: cx.now(),
        facts: Value::Null,
    }
}

fn outbound(send: &Dispatched, channel: &Channel) -> Outbound {
    let payload = Payload::Email {
        from: "news@brand.example".to_owned(),
        to: Secret::new("ada@people.example"),
        message: vec![b'x'; MESSAGE_BYTES],
    };
    Outbound { channel: channel.clone(), effect: send.effect.clone(), payload, facts: Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_send_becomes_one_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), 70).await.unwrap() > 0.0);
    }
}
