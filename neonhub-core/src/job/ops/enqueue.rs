//! Enqueueing: one job, many, or a flow.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::MAX_MANY;
use crate::job::{Backoff, DedupeMode, FlowNode, Job, JobSpec, OnChildFailure};
use crate::op::{Audit, Effect, Operation, Sink};
use crate::permission::Permission;
use crate::{Error, Result, Scope, Timestamp};

/// How a new job is kept from being there twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeInput {
    /// Only one live job of the queue may hold it; 1..255 bytes.
    pub key: String,
    /// What happens to the live one. Default: it is the answer.
    #[serde(default)]
    pub mode: DedupeMode,
    /// Holds the key for so many milliseconds after the end of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_key_for_ms: Option<u64>,
}

/// A job to be enqueued.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Queue or short name, such as `email.send`.
    pub queue: String,
    /// Name of the work.
    pub name: String,
    /// Ids the handler needs; at most 256 KiB.
    #[serde(default)]
    pub payload: Value,
    /// Higher goes first. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i16>,
    /// Milliseconds from now. Not together with `run_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Not before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
    /// Keeps it from being there twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<DedupeInput>,
    /// Jobs of one group are worked one after the other; 1..255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tries before it is given up, 1..1000. Default: that of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u16>,
    /// Pauses between tries. Default: those of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Milliseconds for one try, up to a day. Default: that of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What it does when a child of it fails. Default: it fails too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_child_failure: Option<OnChildFailure>,
}

impl NewJob {
    /// The spec, once the caller may use this queue.
    pub(crate) fn spec(self, cx: &Scope) -> Result<JobSpec> {
        let queue = cx.queue_named(&self.queue)?;
        cx.require(queue.needs)?;
        if self.delay_ms.is_some() && self.run_at.is_some() {
            return Err(Error::invalid(cx.operation(), "delay_ms", "expected delay_ms or run_at, not both"));
        }
        let mut spec = JobSpec::new(self.queue, self.name, self.payload);
        spec.priority = self.priority.unwrap_or(0);
        spec.run_at = self.run_at.or(self.delay_ms.map(|ms| cx.now().plus(Duration::from_millis(ms))));
        spec.max_attempts = self.attempts;
        spec.backoff = self.backoff;
        spec.timeout = self.timeout_ms.map(Duration::from_millis);
        spec.group = self.group;
        spec.on_child_failure = self.on_child_failure.unwrap_or_default();
        if let Some(dedupe) = self.dedupe {
            spec = spec.dedupe_as(dedupe.key, dedupe.mode);
            if let Some(ms) = dedupe.keep_key_for_ms {
                spec = spec.keep_key_for(Duration::from_millis(ms));
            }
        }
        Ok(spec)
    }
}

fn example() -> NewJob {
    NewJob {
        queue: "email.send".into(),
        name: "send-email".into(),
        payload: json!({ "send": "snd_00000000000000000000000001" }),
        ..NewJob::default()
    }
}

/// Enqueues a job. A live job of the same dedupe key is the answer, or is changed, as the mode says. Needs the right
/// of the queue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enqueue {
    /// The job.
    pub job: NewJob,
}

impl Operation for Enqueue {
    type Output = Job;
    const NAME: &'static str = "jobs.enqueue";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    // The job says itself who enqueued it, when and in which call.
    const AUDIT: Audit = Audit::None;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Job> {
        cx.submit(self.job.spec(cx)?).await
    }
    fn examples() -> Vec<Self> {
        vec![Enqueue { job: example() }]
    }
}

/// Enqueues jobs in one commit, all or none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnqueueMany {
    /// The jobs, 1..1000.
    pub jobs: Vec<NewJob>,
}

impl Operation for EnqueueMany {
    type Output = Vec<Job>;
    const NAME: &'static str = "jobs.enqueue_many";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    // The job says itself who enqueued it, when and in which call.
    const AUDIT: Audit = Audit::None;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Vec<Job>> {
        if self.jobs.is_empty() || self.jobs.len() > MAX_MANY {
            return Err(Error::invalid(Self::NAME, "jobs", "expected 1..1000 jobs"));
        }
        let mut made = Vec::with_capacity(self.jobs.len());
        for job in self.jobs {
            made.push(cx.submit(job.spec(cx)?).await?);
        }
        Ok(made)
    }
    fn examples() -> Vec<Self> {
        vec![EnqueueMany { jobs: vec![example()] }]
    }
}

/// One job of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNode {
    /// Its word in the flow.
    pub key: String,
    /// The job.
    pub job: NewJob,
    /// Words of the jobs it waits for.
    #[serde(default)]
    pub after: Vec<String>,
}

/// Enqueues jobs that wait for one another, in one commit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnqueueFlow {
    /// The jobs: at most 10 000, at most 16 levels, no cycle.
    pub nodes: Vec<NewNode>,
}

/// A flow that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Id of the flow.
    pub flow_id: String,
    /// Its jobs in the order given.
    pub jobs: Vec<Job>,
}

impl Operation for EnqueueFlow {
    type Output = Flow;
    const NAME: &'static str = "jobs.flow";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    // The job says itself who enqueued it, when and in which call.
    const AUDIT: Audit = Audit::None;
    async fn run(self, cx: &Scope) -> Result<Flow> {
        let node = |n: NewNode| Ok(FlowNode { key: n.key, spec: n.job.spec(cx)?, after: n.after });
        let nodes = self.nodes.into_iter().map(node).collect::<Result<_>>()?;
        let (flow_id, jobs) = cx.enqueue_flow(nodes)?;
        Ok(Flow { flow_id, jobs })
    }
    fn examples() -> Vec<Self> {
        let node = |key: &str, after: &[&str]| NewNode {
            key: key.into(),
            job: example(),
            after: after.iter().map(|w| (*w).to_owned()).collect(),
        };
        vec![EnqueueFlow { nodes: vec![node("first", &[]), node("then", &["first"])] }]
    }
}
