//! Cancelling a job or a flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::note::change_note;
use crate::job::finish::{close, event, note_history};
use crate::job::flow::{cancel_children, tell_parents};
use crate::job::{Job, JobState};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Error, ErrorKind, Result, Scope};

/// Cancels a job, or every job of a flow that is not at its end. An active job is told to stop, unless its effect is
/// under way. Needs `manage:jobs`, or to be who enqueued it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CancelJob {
    /// Id of the job. Not together with `flow`.
    pub id: Option<String>,
    /// Id of the flow.
    pub flow: Option<String>,
    /// Why, 1..200 characters.
    pub reason: String,
}

/// What a cancel came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// Id of the job.
    pub id: String,
    /// Its state now: `active` while its handler is being told to stop.
    pub state: JobState,
}

impl Operation for CancelJob {
    type Output = Vec<Cancelled>;
    const NAME: &'static str = "jobs.cancel";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const ERRORS: &'static [&'static str] = &["too_late"];
    async fn run(self, cx: &Scope) -> Result<Vec<Cancelled>> {
        if self.reason.is_empty() || self.reason.chars().count() > 200 {
            return Err(Error::invalid(Self::NAME, "reason", "expected 1..200 characters"));
        }
        let jobs = self.jobs(cx).await?;
        if jobs.iter().any(|job| job.principal != cx.label()) {
            cx.require(Permission::ManageJobs)?;
        }
        self.cancel_all(cx, jobs).await
    }
    fn examples() -> Vec<Self> {
        let id = Some("job_00000000000000000000000001".into());
        vec![CancelJob { id, flow: None, reason: "the campaign was stopped".into() }]
    }
}

impl CancelJob {
    async fn jobs(&self, cx: &Scope) -> Result<Vec<Stored<Job>>> {
        match (&self.id, &self.flow) {
            (Some(id), None) => Ok(vec![cx.need::<Job>(id).await?]),
            (None, Some(flow)) => {
                let jobs =
                    cx.query::<Job>(&Query::index("flow").equals(Key::text(flow)).limit(10_000)).await?;
                if jobs.is_empty() { Err(cx.missing("flow")) } else { Ok(jobs) }
            }
            _ => Err(Error::invalid(Self::NAME, "id", "expected id or flow, one of them")),
        }
    }

    async fn cancel_all(&self, cx: &Scope, jobs: Vec<Stored<Job>>) -> Result<Vec<Cancelled>> {
        let is_flow = self.flow.is_some();
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            done.push(self.cancel(cx, job, is_flow).await?);
        }
        Ok(done)
    }

    /// Cancels for a caller whose right to do so was checked by other means.
    pub(crate) async fn run_for_owner(&self, cx: &Scope) -> Result<()> {
        let jobs = self.jobs(cx).await?;
        self.cancel_all(cx, jobs).await.map(|_| ())
    }

    async fn cancel(&self, cx: &Scope, mut job: Stored<Job>, is_flow: bool) -> Result<Cancelled> {
        let answer = |job: &Job| Cancelled { id: job.id.clone(), state: job.state };
        if job.state.is_ended() {
            return Ok(answer(&job));
        }
        if job.state == JobState::Active {
            self.stop(cx, &job, is_flow).await?;
            return Ok(answer(&job));
        }
        close(&mut job.body, JobState::Cancelled, cx.now());
        cx.save(&job)?;
        note_history(cx, &job.id, JobState::Cancelled, &self.reason).await?;
        cx.emit(event(cx, &job.body))?;
        if !is_flow {
            cancel_children(cx, &job.id, "").await?;
            tell_parents(cx, &job.body).await?;
        }
        Ok(answer(&job))
    }

    /// Asks the worker of an active job to stop.
    async fn stop(&self, cx: &Scope, job: &Job, is_flow: bool) -> Result<()> {
        let queue = cx.queue_named(&job.queue)?;
        if let Some(effect) = queue.handler.too_late(cx, job).await? {
            if is_flow {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::Conflict,
                Self::NAME,
                "the effect of this job is under way and cannot be called back",
            )
            .with_code("too_late")
            .with_context("effect", effect));
        }
        let reason = self.reason.clone();
        change_note(&cx.outside_job(), &job.id, |note| note.cancel = Some(reason.clone())).await?;
        cx.hub().room().stop(&job.id);
        Ok(())
    }
}
