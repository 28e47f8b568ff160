//! Reading jobs, their history and their logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{HistoryLine, Job, JobNote, JobState, LogLine};
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Result, Scope};

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

/// Lists the jobs that everything given holds for: of a queue, in a state, of a flow, the children of a job. They come in the
/// order they were made; those of a queue that wait in the order they are taken, so that one which is moved between two pages
/// may come twice or not at all; those that ended by when they did. Without a flow, a parent, or a queue and a state together,
/// every job of the workspace is read to fill a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListJobs {
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only in this state. `waiting` and `delayed` both list what is queued.
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
        let limit = self.limit.unwrap_or(50) as usize;
        // The full name: a queue is one list under its short name too.
        let queue = self.queue.as_ref().map(|name| cx.queue_named(name)).transpose()?;
        let queue = queue.as_ref().map(|queue| queue.name());
        let filters = serde_json::json!([queue, self.state, self.flow, self.parent]).to_string();
        let lets_through = |job: &Job| self.lets_through(queue, job);
        let from = self.cursor.as_deref();
        let page = match self.query(queue) {
            Some(query) => cx.page_where(query.limit(limit), &filters, from, lets_through).await?,
            None => {
                let mut held = held(cx, queue.unwrap_or_default()).await?;
                held.retain(|job| lets_through(&job.body));
                cx.page_of(held, &filters, limit, from).await?
            }
        };
        let now = cx.now();
        let shown = |stored: Stored<Job>| Job { state: stored.state_at(now), ..stored.body };
        Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListJobs { queue: Some("email.send".into()), state: Some(JobState::Dead), ..Self::default() }]
    }
}

impl ListJobs {
    /// The jobs that the narrowest of the filters finds by its index; [`Self::lets_through`] holds for the rest. None for
    /// those that workers hold: their index moves with every renewal of a lease.
    fn query(&self, queue: Option<&str>) -> Option<Query> {
        Some(match (queue, self.state, &self.flow, &self.parent) {
            (.., Some(parent)) => Query::index("parent").equals(Key::text(parent)),
            (_, _, Some(flow), None) => Query::index("flow").equals(Key::text(flow)),
            (Some(queue), Some(state), None, None) => match state {
                JobState::Waiting | JobState::Delayed => Query::index("due").prefix(Key::text(queue)),
                JobState::Active => return None,
                JobState::Blocked => Query::index("blocked").prefix(Key::text(queue)),
                ended => Query::index("ended").prefix(Key::text(queue).and_text(ended.word())),
            },
            (_, _, None, None) => Query::by_id(),
        })
    }

    fn lets_through(&self, queue: Option<&str>, job: &Job) -> bool {
        let is = |wish: &Option<String>, found: &Option<String>| wish.is_none() || wish == found;
        let in_state = |state: JobState| state == job.state || (state.is_queued() && job.state.is_queued());
        queue.is_none_or(|queue| queue == job.queue)
            && self.state.is_none_or(in_state)
            && is(&self.flow, &job.flow_id)
            && is(&self.parent, &job.parent_id)
    }
}

/// The jobs of a queue that workers hold: no more than they work at once.
async fn held(cx: &Scope, queue: &str) -> Result<Vec<Stored<Job>>> {
    let mut query = Query::index("lease_until").prefix(Key::text(queue)).limit(500);
    let mut all: Vec<Stored<Job>> = Vec::new();
    loop {
        let page = cx.query::<Job>(&query).await?;
        let is_end = page.len() < query.limit;
        if let Some((last, lease)) = page.last().and_then(|job| Some((job, job.lease.as_ref()?))) {
            query = query.after(Key::text(queue).and_time(lease.until), last.id.clone());
        }
        all.extend(page);
        if is_end {
            // One that was renewed meanwhile was found twice.
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all.dedup_by(|a, b| a.id == b.id);
            return Ok(all);
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
