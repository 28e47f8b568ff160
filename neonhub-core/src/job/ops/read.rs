//! Reading jobs, their history and their logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{HistoryLine, Job, JobNote, JobState, LogLine};
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Error, Result, Scope};

/// Gives a job with its progress.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetJob {
    /// Its id.
    pub id: String,
}

impl Operation for GetJob {
    type Output = Job;
    const NAME: &'static str = "jobs.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Job> {
        let mut job = cx.need::<Job>(&self.id).await?.body;
        job.state = job.state_at(cx.now());
        job.progress = cx.get::<JobNote>(&self.id).await?.and_then(|n| n.progress);
        Ok(job)
    }
    fn examples() -> Vec<Self> {
        vec![GetJob { id: "job_00000000000000000000000001".into() }]
    }
}

/// Lists jobs: of a flow, of the children of a job, of a queue and state, or all in the order they were made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListJobs {
    /// Only of this queue; needs a state.
    pub queue: Option<String>,
    /// Only in this state; needs a queue. `waiting` and `delayed` both list what is queued, in the order it is taken.
    pub state: Option<JobState>,
    /// Only of this flow.
    pub flow: Option<String>,
    /// Only children of this job.
    pub parent: Option<String>,
    /// Most jobs of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Operation for ListJobs {
    type Output = Page<Job>;
    const NAME: &'static str = "jobs.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Job>> {
        let query = self.query(cx)?.limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Job>(query, self.cursor.as_deref()).await?;
        let now = cx.now();
        let shown = |stored: Stored<Job>| Job { state: stored.state_at(now), ..stored.body };
        Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListJobs { queue: Some("email.send".into()), state: Some(JobState::Dead), ..Self::default() }]
    }
}

impl ListJobs {
    fn query(&self, cx: &Scope) -> Result<Query> {
        match (&self.queue, self.state, &self.flow, &self.parent) {
            (None, None, None, None) => Ok(Query::by_id()),
            (None, None, Some(flow), None) => Ok(Query::index("flow").equals(Key::text(flow))),
            (None, None, None, Some(parent)) => Ok(Query::index("parent").equals(Key::text(parent))),
            (Some(queue), Some(state), None, None) => {
                let name = cx.queue_named(queue)?.name();
                Ok(match state {
                    JobState::Waiting | JobState::Delayed => Query::index("due").prefix(Key::text(name)),
                    JobState::Active => Query::index("lease_until").prefix(Key::text(name)),
                    JobState::Blocked => Query::index("blocked").prefix(Key::text(name)),
                    ended => Query::index("ended").prefix(Key::text(name).and_text(ended.word())),
                })
            }
            _ => Err(Error::invalid(
                Self::NAME,
                "queue",
                "expected queue and state together, or flow, or parent, or none of them",
            )),
        }
    }
}

/// Gives the failed tries and other turns in the life of a job, oldest first; the last 50.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobHistory {
    /// Id of the job.
    pub id: String,
}

impl Operation for JobHistory {
    type Output = Vec<HistoryLine>;
    const NAME: &'static str = "jobs.history";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<HistoryLine>> {
        let job = cx.need::<Job>(&self.id).await?;
        let line = |at, state, reason: &str| HistoryLine { at, state, reason: reason.to_owned() };
        let mut lines = vec![line(job.created_at, JobState::Waiting, "enqueued")];
        lines.extend(job.started_at.map(|at| line(at, JobState::Active, "taken")));
        lines.extend(cx.get::<JobNote>(&self.id).await?.map(|n| n.body.history).unwrap_or_default());
        if job.state == JobState::Completed {
            lines.extend(job.finished_at.map(|at| line(at, JobState::Completed, "done")));
        }
        lines.sort_by_key(|l| l.at);
        Ok(lines)
    }
    fn examples() -> Vec<Self> {
        vec![JobHistory { id: "job_00000000000000000000000001".into() }]
    }
}

/// Gives what the handler of a job noted, oldest first; the last 100 lines.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobLogs {
    /// Id of the job.
    pub id: String,
}

impl Operation for JobLogs {
    type Output = Vec<LogLine>;
    const NAME: &'static str = "jobs.logs";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<LogLine>> {
        cx.need::<Job>(&self.id).await?;
        Ok(cx.get::<JobNote>(&self.id).await?.map(|n| n.body.log).unwrap_or_default())
    }
    fn examples() -> Vec<Self> {
        vec![JobLogs { id: "job_00000000000000000000000001".into() }]
    }
}
