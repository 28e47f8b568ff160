//! Making a schedule and changing what it says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{example_id, need};
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::schedule::fire::emit;
use crate::schedule::model::{Missed, Overlap, Schedule, ScheduleId, Target};
use crate::schedule::when::{Calendar, When};
use crate::{Error, Fault, Faults, Result, Scope, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// Makes a schedule. A job as its target needs `manage:jobs` as well.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// Its name, unique in the workspace, 1..200 characters.
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
    /// Ends after so many firings, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runs: Option<u64>,
    /// While the firing before is under way. Default `skip`.
    #[serde(default)]
    pub overlap: Overlap,
    /// Instants that passed while nothing ran. Default `latest`.
    #[serde(default)]
    pub missed: Missed,
    /// How old a missed instant may be, in milliseconds. Default 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_window_ms: Option<u64>,
    /// Each firing starts up to so many milliseconds later, up to a day. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Priority of its jobs. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i16>,
    /// Sessions under way at once with overlap `allow`, 1..1000. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Further tries of a failed firing, 0..100. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u16>,
    /// Pauses itself after so many failed sessions in a row; 0 for never. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_after_failures: Option<u32>,
}

impl CreateSchedule {
    /// A schedule with every default.
    #[must_use]
    pub fn new(name: impl Into<String>, target: Target, when: When) -> Self {
        CreateSchedule {
            name: name.into(),
            target,
            when,
            calendar: None,
            starts_at: None,
            ends_at: None,
            max_runs: None,
            overlap: Overlap::default(),
            missed: Missed::default(),
            missed_window_ms: None,
            jitter_ms: None,
            priority: None,
            concurrency: None,
            retries: None,
            pause_after_failures: None,
        }
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let name = self.name.trim();
        faults.check(!name.is_empty() && name.chars().count() <= 200, "name", "expected 1..200 characters");
        let within = |value: Option<u64>, max: u64| value.is_none_or(|v| v <= max);
        faults.check(within(self.jitter_ms, DAY_MS), "jitter_ms", "expected at most a day: 86 400 000");
        faults.check(
            within(self.missed_window_ms, 366 * DAY_MS),
            "missed_window_ms",
            "expected at most 366 days",
        );
        faults.check(within(self.retries.map(u64::from), 100), "retries", "expected 0..100");
        let concurrency = self.concurrency.is_none_or(|n| (1..=1_000).contains(&n));
        faults.check(concurrency, "concurrency", "expected 1..1000");
        faults.check(self.max_runs != Some(0), "max_runs", "expected at least 1");
        let ordered = self.starts_at.zip(self.ends_at).is_none_or(|(start, end)| start < end);
        faults.check(ordered, "ends_at", "expected an instant after starts_at");
        faults.into_result("schedules.create")
    }

    /// The record, with its first instant after now.
    async fn make(mut self, cx: &Scope, anchor: Timestamp) -> Result<Schedule> {
        self.check()?;
        if let Target::Operation { input, .. } = &mut self.target
            && input.is_null()
        {
            *input = json!({});
        }
        check_target(cx, &self.target)?;
        let mut schedule = self.record(cx, anchor);
        let home = cx.hub().workspace_of(cx).await?.body.timezone;
        let plan = schedule.when.plan(&home, anchor, schedule.calendar.as_ref())?;
        schedule.next_at = crate::schedule::next_of(&schedule, &plan, cx.now());
        if schedule.next_at.is_none() {
            return Err(Error::invalid(
                cx.operation(),
                "when",
                "expected a rule that comes true after now and before ends_at",
            ));
        }
        cx.ring(crate::schedule::SYSTEM);
        Ok(schedule)
    }

    /// The record without its first instant, made by who asks.
    pub(in crate::schedule) fn record(self, cx: &Scope, anchor: Timestamp) -> Schedule {
        Schedule {
            id: ScheduleId::new(cx),
            name: self.name.trim().to_owned(),
            target: self.target,
            when: self.when,
            calendar: self.calendar,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            max_runs: self.max_runs,
            overlap: self.overlap,
            missed: self.missed,
            missed_window_ms: self.missed_window_ms.unwrap_or(DAY_MS),
            jitter_ms: self.jitter_ms.unwrap_or(0),
            priority: self.priority.unwrap_or(0),
            concurrency: self.concurrency.unwrap_or(10),
            retries: self.retries.unwrap_or(2),
            pause_after_failures: self.pause_after_failures.unwrap_or(5),
            failures: 0,
            enabled: true,
            paused_reason: None,
            next_at: None,
            clock_behind_ms: clock_behind(cx),
            last_at: None,
            fired: 0,
            principal: cx.label().to_owned(),
            rights: cx.permission_words(),
            anchor,
        }
    }
}

pub(super) fn clock_behind(cx: &Scope) -> u64 {
    crate::job::millis(cx.hub().clock_behind())
}

/// The target must exist, and who makes the schedule must hold the rights it needs.
pub(super) fn check_target(cx: &Scope, target: &Target) -> Result<()> {
    match target {
        Target::Operation { operation, input } => {
            let entry = cx.hub().operation(operation)?;
            entry.needs.iter().try_for_each(|word| cx.require(*word))?;
            (entry.normal)(input.clone()).map(drop).map_err(|error| in_target(cx, error))
        }
        Target::Agent { agent, intent, input } => {
            cx.require(Permission::ExecuteAgents)?;
            let agent = cx.hub().agent(agent)?;
            let intent = crate::run::intent_of(agent.as_ref(), intent.as_deref())?;
            agent.check(intent, input)
        }
        Target::Job { queue, name, payload } => {
            cx.require(Permission::ManageJobs)?;
            let queue = cx.queue_named(queue)?;
            cx.require(queue.needs)?;
            queue.check(name, payload)
        }
    }
}

/// The faults of an input, by their path in a schedule.
fn in_target(cx: &Scope, error: Error) -> Error {
    if error.field_faults().is_empty() {
        return error.for_operation(cx.operation());
    }
    let within = |fault: &Fault| Fault { field: format!("target.input.{}", fault.field), ..fault.clone() };
    Error::faults(cx.operation(), error.field_faults().iter().map(within).collect())
}

pub(super) fn example() -> CreateSchedule {
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let when = When::Cron { expr: "0 6 * * mon-fri".into(), zone: "Europe/Vienna".into() };
    CreateSchedule::new("every working day", target, when)
}

impl Operation for CreateSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.create";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        let schedule = self.make(cx, cx.now()).await?;
        cx.create(&schedule)?;
        emit(cx, &schedule, "schedule.created", json!({ "next_at": schedule.next_at }))?;
        Ok(schedule)
    }
    fn examples() -> Vec<Self> {
        vec![example()]
    }
}

/// Replaces what a schedule says. Its next instant is counted from now: it never fires the past.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// What it says from now on.
    pub schedule: CreateSchedule,
}

impl Operation for UpdateSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.update";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        let mut stored = need(cx, &self.id).await?;
        let new = self.schedule.make(cx, stored.anchor).await?;
        let old = stored.body;
        // An ended schedule starts again; one that someone paused stays paused.
        let is_over = matches!(old.paused_reason.as_deref(), Some("ended" | "max_runs"));
        stored.body = Schedule {
            id: old.id,
            enabled: old.enabled || is_over,
            paused_reason: old.paused_reason.filter(|_| !is_over),
            last_at: old.last_at,
            fired: if is_over { 0 } else { old.fired },
            ..new
        };
        cx.save(&stored)?;
        emit(cx, &stored, "schedule.updated", json!({ "next_at": stored.next_at }))?;
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![UpdateSchedule { id: example_id(), schedule: example() }]
    }
}
