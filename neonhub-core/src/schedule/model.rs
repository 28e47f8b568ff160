//! Records: a schedule, and one session per firing.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::when::{Calendar, When};
use crate::permission::Permission;
use crate::store::{Index, Key, Record};
use crate::{Scope, Timestamp, id_type};

id_type!(ScheduleId, "sch", "A schedule.");
id_type!(SessionId, "ses", "A session: one firing of a schedule.");

/// What a schedule starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Target {
    /// An operation of the catalogue.
    Operation {
        /// Its name.
        operation: String,
        /// Its input.
        #[serde(default)]
        input: Value,
    },
    /// An intent of an agent: each firing is a run.
    Agent {
        /// The agent's name.
        agent: String,
        /// The intent; not needed for an agent that has only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<String>,
        /// Input of the run.
        #[serde(default)]
        input: Value,
    },
    /// A job of a queue.
    Job {
        /// The queue.
        queue: String,
        /// Name of the work.
        name: String,
        /// Its payload.
        #[serde(default)]
        payload: Value,
    },
}

impl Target {
    /// Its name: the operation, agent and intent, or queue and work.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Target::Operation { operation, .. } => operation.clone(),
            Target::Agent { agent, intent: None, .. } => agent.clone(),
            Target::Agent { agent, intent: Some(intent), .. } => format!("{agent}.{intent}"),
            Target::Job { queue, name, .. } => format!("{queue}/{name}"),
        }
    }
}

/// What happens when a firing comes while the one before is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// One waits; further ones are skipped.
    QueueOne,
    /// All wait their turn.
    QueueAll,
    /// Both run, up to `concurrency`.
    Allow,
    /// The one before is cancelled.
    CancelPrevious,
}

/// What happens to instants that passed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// The last of them fires, with the number of the others.
    #[default]
    Latest,
    /// Each fires, the last 100 at most.
    All,
}

/// Work that starts by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its name, unique in the workspace.
    pub name: String,
    /// What it starts.
    pub target: Target,
    /// When.
    pub when: When,
    /// Days it leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Not before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Not after this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Ends after so many firings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runs: Option<u64>,
    /// While the firing before is under way.
    pub overlap: Overlap,
    /// Instants that passed while nothing ran.
    pub missed: Missed,
    /// How old a missed instant may be, in milliseconds.
    pub missed_window_ms: u64,
    /// Each firing starts up to so many milliseconds later; always the same for one instant.
    pub jitter_ms: u64,
    /// Priority of its jobs.
    pub priority: i16,
    /// Sessions under way at once, with `overlap` `allow`.
    pub concurrency: u32,
    /// Further tries of a failed firing.
    pub retries: u16,
    /// Pauses itself after so many failed sessions in a row; 0 for never.
    pub pause_after_failures: u32,
    /// Failed sessions in a row.
    #[serde(default)]
    pub failures: u32,
    /// Whether it fires.
    pub enabled: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// Its next instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// How far the machine's clock was set back, in milliseconds, when its instants began to be counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_behind_ms: u64,
    /// The instant it fired for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// How often it fired.
    #[serde(default)]
    pub fired: u64,
    /// Who stands for it: who made it, or who last changed its target or resumed it with an input.
    pub principal: String,
    /// The rights that they had: its work has these at most.
    pub rights: Vec<Permission>,
    /// Where elapsed time counts from.
    pub anchor: Timestamp,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Schedule {
    /// What its own instants are compared with in a process whose steady clock shows `steady`, with the machine's clock
    /// `clock_behind`. Both know of the same steps back only as far as the smaller of the two goes.
    pub(super) fn now(&self, steady: Timestamp, clock_behind: Duration) -> Timestamp {
        steady.minus(clock_behind.min(Duration::from_millis(self.clock_behind_ms)))
    }
}

impl Record for Schedule {
    const KIND: &'static str = "schedule";
    const INDEXES: &'static [Index] = &[Index::on("next_at"), Index::unique("name")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![self.next_at.filter(|_| self.enabled).map(Key::from), Some(Key::text(&self.name))]
    }
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Its job waits.
    Pending,
    /// Its job is in work.
    Running,
    /// Done.
    Completed,
    /// Its tries are used up.
    Failed,
    /// Cancelled.
    Cancelled,
    /// It never ran.
    Skipped,
}

impl SessionState {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            SessionState::Pending => "pending",
            SessionState::Running => "running",
            SessionState::Completed => "completed",
            SessionState::Failed => "failed",
            SessionState::Cancelled => "cancelled",
            SessionState::Skipped => "skipped",
        }
    }

    /// True once nothing more happens.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        !matches!(self, SessionState::Pending | SessionState::Running)
    }
}

/// One firing of a schedule and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSession {
    /// Its id.
    pub id: SessionId,
    /// Its schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<ScheduleId>,
    /// What it starts: an operation, agent and intent, or queue and work.
    pub agent: String,
    /// Runs it led to, oldest first: one, and one more for each failed try.
    #[serde(default)]
    pub run_ids: Vec<String>,
    /// Its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// State.
    pub state: SessionState,
    /// The instant it was planned for.
    pub planned_at: Timestamp,
    /// Instants before that passed while nothing ran.
    #[serde(default)]
    pub missed_count: u32,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Tries so far.
    #[serde(default)]
    pub attempt: u32,
    /// Why it was skipped, failed or cancelled; while it runs, what its run waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it answered, up to 2 000 characters of JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What models cost its runs so far, one sum for each currency. Calls whose price is not known are in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<SessionCost>,
}

/// A sum of money that models cost a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionCost {
    /// Currency, three capital letters.
    pub currency: String,
    /// Millionths of it.
    pub micros: u64,
}

impl AgentSession {
    /// A firing that has not begun.
    pub(super) fn planned(cx: &Scope, schedule: &Schedule, at: Timestamp) -> Self {
        AgentSession {
            id: SessionId::new(cx),
            schedule_id: Some(schedule.id.clone()),
            agent: schedule.target.label(),
            run_ids: Vec::new(),
            job_id: None,
            state: SessionState::Pending,
            planned_at: at,
            missed_count: 0,
            started_at: None,
            ended_at: None,
            attempt: 0,
            reason: None,
            summary: String::new(),
            cost: Vec::new(),
        }
    }
}

impl Record for AgentSession {
    const KIND: &'static str = "agent_session";
    const INDEXES: &'static [Index] =
        &[Index::unique("planned"), Index::on("open"), Index::on("schedule"), Index::on("ended")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let schedule = self.schedule_id.as_ref().map(|s| Key::text(s.as_str()));
        let ended = self.state.is_ended();
        vec![
            schedule.clone().map(|k| k.and_time(self.planned_at)),
            schedule.clone().filter(|_| !ended).map(|k| k.and_time(self.planned_at)),
            schedule.clone().map(|k| k.and_text(self.state.word()).and_time(self.planned_at)),
            schedule.filter(|_| ended).map(|k| {
                let is_well = self.state != SessionState::Failed;
                k.and_int(i64::from(is_well)).and_time(self.planned_at)
            }),
        ]
    }
}
