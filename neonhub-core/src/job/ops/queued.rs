//! Jobs that stand in their queue: earlier, in another order, worked now.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobState};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::Stored;
use crate::{Error, ErrorKind, Result, Scope};

/// Has a delayed job run now.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// Id of the job.
    pub id: String,
}

impl Operation for Promote {
    type Output = Job;
    const NAME: &'static str = "jobs.promote";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Job> {
        let mut job = queued(cx, &self.id).await?;
        job.body.state = JobState::Waiting;
        job.body.set_run_at(job.run_at.min(cx.now()), cx.hub().clock_behind());
        cx.save(&job)?;
        cx.ring(&job.queue);
        Ok(job.body)
    }
    fn examples() -> Vec<Self> {
        vec![Promote { id: "job_00000000000000000000000001".into() }]
    }
}

/// Changes the priority of a job that is queued or blocked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reprioritise {
    /// Id of the job.
    pub id: String,
    /// Higher goes first.
    pub priority: i16,
}

impl Operation for Reprioritise {
    type Output = Job;
    const NAME: &'static str = "jobs.reprioritise";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Job> {
        let mut job = queued(cx, &self.id).await?;
        job.body.priority = self.priority;
        cx.save(&job)?;
        Ok(job.body)
    }
    fn examples() -> Vec<Self> {
        vec![Reprioritise { id: "job_00000000000000000000000001".into(), priority: 5 }]
    }
}

async fn queued(cx: &Scope, id: &str) -> Result<Stored<Job>> {
    let job = cx.need::<Job>(id).await?;
    if job.state.is_queued() {
        return Ok(job);
    }
    let error = Error::new(ErrorKind::Conflict, cx.operation(), "the job is not queued any more");
    Err(error.with_code("not_queued").with_context("state", job.state.word()))
}

/// Works every job that is due now in this process, until none is left.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Work {}

/// What the workers did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Worked {
    /// Jobs done.
    pub done: u64,
    /// Jobs put off to a later instant.
    pub later: u64,
    /// Tries that failed.
    pub failed: u64,
}

impl Operation for Work {
    type Output = Worked;
    const NAME: &'static str = "jobs.work";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Write;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    async fn run(self, cx: &Scope) -> Result<Worked> {
        let drained = cx.outside().work_until_idle().await?;
        Ok(Worked { done: drained.done, later: drained.later, failed: drained.failed })
    }
    fn examples() -> Vec<Self> {
        vec![Work {}]
    }
}
