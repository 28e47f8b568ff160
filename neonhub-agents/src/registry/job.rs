//! Runs that nobody waits for: a queue drives them until they end.

use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, JobType, Outcome, job_type};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::resilience::NO_PLACE;
use neonhub_core::run::AgentRun;
use neonhub_core::store::{Expected, Record};
use neonhub_core::{Error, ErrorKind, Permission, PermissionSet, Result, Retry, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::orchestrator::drive_any;

/// The queue that drives runs.
pub(super) const QUEUE: &str = "agents.run";
/// Time for one try: as long as the longest run.
pub(super) const TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Time between two looks at a run that waits.
// Our choice, the same as for sessions: an answer is taken up within half a minute.
const LOOK: Duration = Duration::from_secs(30);

/// The rights that a run may use while nobody waits for it: those its caller had when it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunRights {
    /// The run.
    pub id: String,
    /// The words.
    pub rights: Vec<Permission>,
}

impl Record for RunRights {
    const KIND: &'static str = "agent_run_rights";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Payload of a job of the queue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Follow {
    run: String,
}

/// Has the queue drive a run to its end with the rights of the caller.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowRun {
    /// The run.
    pub run: String,
}

impl Operation for FollowRun {
    type Output = ();
    const NAME: &'static str = "agents.follow";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<()> {
        cx.need::<AgentRun>(&self.run).await?;
        if cx.get::<RunRights>(&self.run).await?.is_none() {
            let rights = RunRights { id: self.run.clone(), rights: cx.permission_words() };
            cx.put(&rights, Expected::Absent)?;
        }
        cx.submit(follow_job(&self.run)).await.map(drop)
    }
}

/// The job that drives a run; one at a time for each run.
pub(super) fn follow_job(run: &str) -> JobSpec {
    JobSpec::new(QUEUE, "follow", json!({ "run": run })).dedupe(run)
}

/// Works the queue.
#[derive(Debug)]
pub(super) struct RunHandler;

static JOBS: &[JobType] = &[job_type::<Follow>("follow")];

#[async_trait]
impl Handler for RunHandler {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    fn jobs(&self) -> &'static [JobType] {
        JOBS
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(follow(cx, job).await?);
        }
        Ok(outcomes)
    }
}

async fn follow(cx: &Scope, job: &Job) -> Result<Outcome> {
    let Follow { run } = serde_json::from_value(job.payload.clone())
        .map_err(|cause| Error::invalid(QUEUE, "payload", "expected the id of a run").with_source(cause))?;
    // A run that was never handed over has nobody's rights.
    let Some(rights) = cx.get::<RunRights>(&run).await? else { return Ok(Outcome::Done) };
    let caller = cx.outside().with_permissions(PermissionSet::of(&rights.rights));
    match drive_any(&caller, &run).await {
        Ok(view) if view.run.status.is_final() => Ok(Outcome::Done),
        Ok(view) => {
            let next = cx.now().plus(LOOK);
            Ok(Outcome::Later(view.run.wake_at.map_or(next, |at| at.min(next))))
        }
        Err(error) if matches!(error.code(), "leased" | "fenced") => {
            let wait = if let Retry::After(wait) = error.retry() { wait } else { LOOK };
            Ok(Outcome::Later(cx.now().plus(wait)))
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => Ok(Outcome::Later(cx.now())),
        // Nothing was tried.
        Err(error) if error.code() == NO_PLACE => Ok(Outcome::Later(cx.now().plus(LOOK))),
        Err(error) => Ok(Outcome::Failed(error)),
    }
}
