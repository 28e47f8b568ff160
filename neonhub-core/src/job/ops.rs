//! Operations on jobs.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::finish::{close, event, note_history};
use super::flow::{cancel_children, tell_parents};
use super::queue_ops;
use super::room::JobTurn;
use super::{
    Backoff, DedupeMode, FlowNode, HistoryLine, Job, JobNote, JobSpec, JobState, LogLine, OnChildFailure,
};
use crate::op::{Effect, Entry, Operation, Page, entry};
use crate::permission::Permission;
use crate::scope::Principal;
use crate::store::{Expected, Key, Query, Stored};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// Operations on jobs and queues.
pub static CATALOGUE: &[Entry] = &[
    entry::<Enqueue>(),
    entry::<EnqueueMany>(),
    entry::<EnqueueFlow>(),
    entry::<GetJob>(),
    entry::<ListJobs>(),
    entry::<JobHistory>(),
    entry::<JobLogs>(),
    entry::<CancelJob>(),
    entry::<RetryJobs>(),
    entry::<RetryDead>(),
    entry::<DiscardDead>(),
    entry::<ReportProgress>(),
    entry::<Promote>(),
    entry::<Reprioritise>(),
    entry::<Work>(),
    entry::<queue_ops::ListQueues>(),
    entry::<queue_ops::Stats>(),
    entry::<queue_ops::PauseQueue>(),
    entry::<queue_ops::ResumeQueue>(),
    entry::<queue_ops::DrainQueue>(),
    entry::<queue_ops::ObliterateQueue>(),
];

/// Lines of a log that are kept.
const MAX_LOG: usize = 100;
/// Characters of one line.
const MAX_LINE: usize = 500;
/// Jobs of one call.
const MAX_MANY: usize = 1_000;
/// How often a note is written anew when another writer was faster.
const TRIES: usize = 8;

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

/// Has dead or failed jobs run again from their first try.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryJobs {
    /// Ids of the jobs, 1..1000. Jobs in another state stay as they are.
    pub ids: Vec<String>,
}

/// How many jobs an operation changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Jobs.
    pub count: u64,
    /// True when there are more: call again.
    pub is_more: bool,
}

impl Operation for RetryJobs {
    type Output = Changed;
    const NAME: &'static str = "jobs.retry";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Changed> {
        check_ids(Self::NAME, &self.ids)?;
        let mut count = 0;
        for job in cx.get_many::<Job>(&self.ids).await? {
            let job = job.ok_or_else(|| cx.missing("job"))?;
            count += u64::from(revive(cx, job).await?);
        }
        Ok(Changed { count, is_more: false })
    }
    fn examples() -> Vec<Self> {
        vec![RetryJobs { ids: vec!["job_00000000000000000000000001".into()] }]
    }
}

fn check_ids(operation: &'static str, ids: &[String]) -> Result<()> {
    if (1..=MAX_MANY).contains(&ids.len()) {
        return Ok(());
    }
    Err(Error::invalid(operation, "ids", "expected 1..1000 ids"))
}

async fn revive(cx: &Scope, mut job: Stored<Job>) -> Result<bool> {
    if !matches!(job.state, JobState::Dead | JobState::Failed | JobState::Cancelled) {
        return Ok(false);
    }
    let body = &mut job.body;
    (body.state, body.run_at, body.finished_at) = (JobState::Waiting, cx.now(), None);
    (body.attempts, body.stalls, body.crashes) = (0, 0, 0);
    cx.save(&job)?;
    cx.ring(&job.queue);
    if cx.get::<JobNote>(&job.id).await?.is_some_and(|n| n.cancel.is_some()) {
        change_note(&cx.outside_job(), &job.id, |note| note.cancel = None).await?;
    }
    note_history(cx, &job.id, JobState::Waiting, "retried").await?;
    Ok(true)
}

/// Has the dead jobs of a queue run again, oldest first, 1000 a call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryDead {
    /// The queue.
    pub queue: String,
    /// Only those whose last error has this word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The dead jobs of a queue, or those with one error.
async fn dead(cx: &Scope, queue: &str, error: Option<&str>) -> Result<(Vec<Stored<Job>>, bool)> {
    let name = cx.queue_named(queue)?.name();
    let mut query =
        Query::index("ended").prefix(Key::text(name).and_text(JobState::Dead.word())).limit(MAX_MANY + 1);
    let mut found: Vec<Stored<Job>> = Vec::new();
    loop {
        let page = cx.query::<Job>(&query).await?;
        let is_last = page.len() <= MAX_MANY;
        if let Some(last) = page.last() {
            let key = crate::store::Record::keys(&last.body).into_iter().nth(3).flatten();
            query = query.after(key.unwrap_or_default(), last.id.clone());
        }
        let fits = |j: &Stored<Job>| error.is_none_or(|e| j.error.as_ref().is_some_and(|x| x.code == e));
        found.extend(page.into_iter().filter(fits));
        if found.len() > MAX_MANY || is_last {
            let is_more = found.len() > MAX_MANY;
            found.truncate(MAX_MANY);
            return Ok((found, is_more));
        }
    }
}

impl Operation for RetryDead {
    type Output = Changed;
    const NAME: &'static str = "jobs.retry_dead";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Changed> {
        let (jobs, is_more) = dead(cx, &self.queue, self.error.as_deref()).await?;
        let mut count = 0;
        for job in jobs {
            count += u64::from(revive(cx, job).await?);
        }
        Ok(Changed { count, is_more })
    }
    fn examples() -> Vec<Self> {
        vec![RetryDead { queue: "email.send".into(), error: None }]
    }
}

/// Drops the dead jobs of a queue, oldest first, 1000 a call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardDead {
    /// The queue.
    pub queue: String,
    /// Only those whose last error has this word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Operation for DiscardDead {
    type Output = Changed;
    const NAME: &'static str = "jobs.discard_dead";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Changed> {
        let (jobs, is_more) = dead(cx, &self.queue, self.error.as_deref()).await?;
        for job in &jobs {
            super::recover::forget(cx, job).await?;
        }
        Ok(Changed { count: jobs.len() as u64, is_more })
    }
    fn examples() -> Vec<Self> {
        vec![DiscardDead { queue: "email.send".into(), error: None }]
    }
}

/// Notes how far an active job is. For handlers outside this process.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportProgress {
    /// Id of the job.
    pub id: String,
    /// Percent, 0..100.
    pub percent: u8,
    /// A line for its log, up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for ReportProgress {
    type Output = ();
    const NAME: &'static str = "jobs.progress";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        let job = cx.need::<Job>(&self.id).await?;
        if job.state != JobState::Active {
            let error = Error::new(ErrorKind::Conflict, Self::NAME, "only an active job has progress");
            return Err(error.with_code("not_active").with_context("state", job.state.word()));
        }
        cx.job_progress(&job, self.percent, self.note.as_deref()).await
    }
    fn examples() -> Vec<Self> {
        vec![ReportProgress { id: "job_00000000000000000000000001".into(), percent: 40, note: None }]
    }
}

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
        job.body.run_at = job.run_at.min(cx.now());
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

impl Scope {
    /// Notes how far a job is, in percent, with a line for its log: at once, and not in the commit of its outcome.
    ///
    /// # Errors
    /// `InvalidInput` over 100 percent; what the store answers.
    pub async fn job_progress(&self, job: &Job, percent: u8, note: Option<&str>) -> Result<()> {
        if percent > 100 {
            return Err(Error::invalid(self.operation(), "percent", "expected 0..100"));
        }
        let line = note.map(|text| LogLine { at: self.now(), text: text.chars().take(MAX_LINE).collect() });
        change_note(&self.outside_job(), &job.id, |kept| {
            kept.progress = Some(percent);
            add_line(kept, line.clone());
        })
        .await?;
        let room = self.hub().room();
        room.tell(|| JobTurn { progress: Some(percent), ..super::worker::turn(self, job, JobState::Active) });
        self.progress(&format!("job:{}", job.id), percent.into(), 100, note.unwrap_or_default());
        Ok(())
    }

    /// Adds a line to the log of a job, at once.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn job_log(&self, job: &Job, text: &str) -> Result<()> {
        let line = LogLine { at: self.now(), text: text.chars().take(MAX_LINE).collect() };
        change_note(&self.outside_job(), &job.id, |kept| add_line(kept, Some(line.clone()))).await
    }

    /// A scope with a unit of its own, for what must not wait for the commit of the caller.
    fn outside_job(&self) -> Scope {
        let unit = std::sync::Arc::default();
        let writing = crate::scope::Writing::Job(unit);
        self.inside(self.operation(), self.seed(), writing, self.cancel_token().clone())
    }

    /// Listens to the turns of jobs in this process.
    #[must_use]
    pub fn watch_jobs(&self) -> tokio::sync::broadcast::Receiver<std::sync::Arc<JobTurn>> {
        self.hub().room().listen()
    }

    /// True when the caller is a worker.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(self.principal(), Principal::System { .. })
    }
}

fn add_line(note: &mut JobNote, line: Option<LogLine>) {
    note.log.extend(line);
    let surplus = note.log.len().saturating_sub(MAX_LOG);
    note.log.drain(..surplus);
}

/// Changes the note of a job in a commit of its own.
async fn change_note(cx: &Scope, id: &str, change: impl Fn(&mut JobNote)) -> Result<()> {
    for _ in 0..TRIES {
        let found = cx.get::<JobNote>(id).await?;
        let expected = found.as_ref().map_or(Expected::Absent, |n| Expected::Rev(n.rev));
        let mut note = found.map_or_else(|| JobNote { id: id.to_owned(), ..JobNote::default() }, |n| n.body);
        change(&mut note);
        cx.put(&note, expected)?;
        match cx.flush().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == "stale_revision" => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Conflict, "jobs.progress", "this job is noted about all the time: try again"))
}
