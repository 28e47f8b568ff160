//! Jobs that were given up: run again, or dropped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MAX_MANY;
use super::note::change_note;
use crate::job::finish::note_history;
use crate::job::{Job, JobNote, JobState};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Error, Result, Scope};

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
    (body.state, body.finished_at) = (JobState::Waiting, None);
    body.set_run_at(cx.now(), cx.hub().clock_behind());
    (body.attempts, body.stalls, body.crashes) = (0, 0, 0);
    cx.save(&job)?;
    // A parent that waits for the others counts it again, or its second end would stand for one of theirs.
    for id in job.parents() {
        if let Some(mut parent) = cx.get::<Job>(id).await?.filter(|p| p.state == JobState::Blocked) {
            parent.body.open_children += 1;
            cx.save(&parent)?;
        }
    }
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
            crate::job::recover::forget(cx, job).await?;
        }
        Ok(Changed { count: jobs.len() as u64, is_more })
    }
    fn examples() -> Vec<Self> {
        vec![DiscardDead { queue: "email.send".into(), error: None }]
    }
}
