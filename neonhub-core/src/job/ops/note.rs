//! What is noted about a job while it is worked: progress and lines of its log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::room::JobTurn;
use crate::job::{Job, JobNote, JobState, LogLine};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::scope::Principal;
use crate::store::Expected;
use crate::{Error, ErrorKind, Result, Scope};

/// Lines of a log that are kept.
const MAX_LOG: usize = 100;
/// Characters of one line.
const MAX_LINE: usize = 500;
/// How often a note is written anew when another writer was faster.
const TRIES: usize = 8;

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
        room.tell(|| JobTurn {
            progress: Some(percent),
            ..crate::job::worker::turn(self, job, JobState::Active)
        });
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
    pub(super) fn outside_job(&self) -> Scope {
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
pub(super) async fn change_note(cx: &Scope, id: &str, change: impl Fn(&mut JobNote)) -> Result<()> {
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
