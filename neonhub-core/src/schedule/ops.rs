//! Operations on schedules.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fire::{advance, begin, emit};
use super::model::{AgentSession, Missed, Overlap, Schedule, ScheduleId, Target};
use super::when::{Calendar, When};
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Expected, Key, Query, Record as _, Stored};
use crate::{Error, ErrorKind, Faults, Result, Scope, Timestamp};

/// Instants of one preview or backfill.
const MAX_INSTANTS: usize = 1_000;
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
    async fn make(self, cx: &Scope, anchor: Timestamp) -> Result<Schedule> {
        self.check()?;
        check_target(cx, &self.target)?;
        let mut schedule = Schedule {
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
            last_at: None,
            fired: 0,
            principal: cx.label().to_owned(),
            rights: cx.permissions().iter().collect(),
            anchor,
        };
        let home = cx.hub().workspace_of(cx).await?.body.timezone;
        let plan = schedule.when.plan(&home, anchor, schedule.calendar.as_ref())?;
        schedule.next_at = super::next_of(&schedule, &plan, cx.now());
        if schedule.next_at.is_none() {
            return Err(Error::invalid(
                cx.operation(),
                "when",
                "expected a rule that comes true after now and before ends_at",
            ));
        }
        cx.ring(super::SYSTEM);
        Ok(schedule)
    }
}

/// The target must exist, and who makes the schedule must hold the rights it needs.
fn check_target(cx: &Scope, target: &Target) -> Result<()> {
    match target {
        Target::Operation { operation, .. } => {
            let entry = cx.hub().operation(operation)?;
            entry.needs.iter().try_for_each(|word| cx.require(*word))
        }
        Target::Job { queue, name, payload } => {
            cx.require(Permission::ManageJobs)?;
            let queue = cx.queue_named(queue)?;
            cx.require(queue.needs)?;
            queue.check(name, payload)
        }
    }
}

fn example() -> CreateSchedule {
    let target = Target::Operation { operation: "audit.verify".into(), input: json!({}) };
    let when = When::Cron { expr: "0 6 * * mon-fri".into(), zone: "Europe/Vienna".into() };
    CreateSchedule::new("every working day", target, when)
}

impl Operation for CreateSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.create";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
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

pub(super) fn example_id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    let prefix = if std::any::type_name::<T>().ends_with("SessionId") { "ses" } else { "sch" };
    match T::try_from(format!("{prefix}_00000000000000000000000001")) {
        Ok(id) => id,
        Err(error) => unreachable!("an example id is one: {error:?}"),
    }
}

async fn need(cx: &Scope, id: &ScheduleId) -> Result<Stored<Schedule>> {
    cx.need::<Schedule>(id.as_str()).await
}

/// Removes a schedule. Sessions under way go on; their records stay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteSchedule {
    /// Its id.
    pub id: ScheduleId,
}

impl Operation for DeleteSchedule {
    type Output = ();
    const NAME: &'static str = "schedules.delete";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<()> {
        let stored = need(cx, &self.id).await?;
        emit(cx, &stored, "schedule.deleted", json!({ "name": stored.name }))?;
        cx.delete::<Schedule>(self.id.as_str(), Expected::Rev(stored.rev))
    }
    fn examples() -> Vec<Self> {
        vec![DeleteSchedule { id: example_id() }]
    }
}

/// Gives a schedule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSchedule {
    /// Its id.
    pub id: ScheduleId,
}

impl Operation for GetSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.get";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        Ok(need(cx, &self.id).await?.body)
    }
    fn examples() -> Vec<Self> {
        vec![GetSchedule { id: example_id() }]
    }
}

/// Lists schedules: all by name, or those that fire by their next instant.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListSchedules {
    /// Only those that fire, the next one first.
    pub enabled: bool,
    /// Most of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Operation for ListSchedules {
    type Output = Page<Schedule>;
    const NAME: &'static str = "schedules.list";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Schedule>> {
        let index = if self.enabled { "next_at" } else { "name" };
        let query = Query::index(index).limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Schedule>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListSchedules { enabled: true, ..Self::default() }]
    }
}

/// Stops a schedule from firing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// Why, 1..200 characters.
    pub reason: String,
}

impl Operation for PauseSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.pause";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        if self.reason.is_empty() || self.reason.chars().count() > 200 {
            return Err(Error::invalid(Self::NAME, "reason", "expected 1..200 characters"));
        }
        let mut stored = need(cx, &self.id).await?;
        if stored.enabled {
            super::fire::pause(cx, &mut stored.body, &self.reason)?;
            cx.save(&stored)?;
        }
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![PauseSchedule { id: example_id(), reason: "holidays".into() }]
    }
}

/// Has a paused schedule fire again, from now on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeSchedule {
    /// Its id.
    pub id: ScheduleId,
}

impl Operation for ResumeSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.resume";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        let mut stored = need(cx, &self.id).await?;
        if !stored.enabled {
            let plan = super::plan(cx, &stored).await?;
            (stored.body.enabled, stored.body.paused_reason, stored.body.failures) = (true, None, 0);
            advance(cx, &mut stored.body, &plan, cx.now())?;
            cx.save(&stored)?;
            emit(cx, &stored, "schedule.updated", json!({ "next_at": stored.next_at }))?;
        }
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![ResumeSchedule { id: example_id() }]
    }
}

/// Fires a schedule now, beside its instants, paused or not.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerNow {
    /// Its id.
    pub id: ScheduleId,
    /// Input or payload for this firing alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

impl Operation for TriggerNow {
    type Output = AgentSession;
    const NAME: &'static str = "schedules.trigger_now";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<AgentSession> {
        let mut stored = need(cx, &self.id).await?;
        let target = self.input.map(|new| match stored.target.clone() {
            Target::Operation { operation, .. } => Target::Operation { operation, input: new },
            Target::Job { queue, name, .. } => Target::Job { queue, name, payload: new },
        });
        check_target(cx, target.as_ref().unwrap_or(&stored.target))?;
        let mut at = cx.now();
        // Two triggers of one millisecond are two sessions.
        let planned = |at: Timestamp| Key::text(self.id.as_str()).and_time(at);
        while cx.find::<AgentSession>("planned", planned(at)).await?.is_some() {
            at = at.plus(Duration::from_millis(1));
        }
        let session = begin(cx, &mut stored.body, at, 0, target).await?;
        cx.save(&stored)?;
        Ok(session)
    }
    fn examples() -> Vec<Self> {
        vec![TriggerNow { id: example_id(), input: None }]
    }
}

/// Shows when a rule comes true, with what changes of clocks do to it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// The rule.
    pub when: When,
    /// Days it leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// From this instant on. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// How many, 1..1000. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
}

/// One instant of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instant {
    /// The instant.
    pub at: Timestamp,
    /// The local time.
    pub local: String,
    /// Its offset from UTC.
    pub offset: String,
    /// What a change of clocks did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for Preview {
    type Output = Vec<Instant>;
    const NAME: &'static str = "schedules.preview";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, cx: &Scope) -> Result<Vec<Instant>> {
        let n = self.n.unwrap_or(10) as usize;
        if !(1..=MAX_INSTANTS).contains(&n) {
            return Err(Error::invalid(Self::NAME, "n", "expected 1..1000"));
        }
        let home = cx.hub().workspace_of(cx).await?.body.timezone;
        let mut at = self.from.unwrap_or_else(|| cx.now());
        let plan = self.when.plan(&home, at, self.calendar.as_ref())?;
        let mut found = Vec::with_capacity(n);
        while found.len() < n {
            let Some(next) = plan.next(at) else { break };
            let local = next.in_zone(&plan.zone);
            found.push(Instant {
                at: next,
                local: local.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                offset: local.strftime("%:z").to_string(),
                note: plan.note(next),
            });
            at = next;
        }
        Ok(found)
    }
    fn examples() -> Vec<Self> {
        let from = Some(Timestamp::from_millis(1_795_251_600_000));
        vec![Preview { when: example().when, calendar: None, from, n: Some(5) }]
    }
}

/// Makes the sessions of instants that passed, those that are there already left out; they run one after the other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// Its id.
    pub id: ScheduleId,
    /// First instant.
    pub from: Timestamp,
    /// Last instant, not after now. At most 1000 instants lie between.
    pub to: Timestamp,
    /// While one is under way. Default `queue_all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
}

impl Operation for Backfill {
    type Output = Vec<AgentSession>;
    const NAME: &'static str = "schedules.backfill";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Vec<AgentSession>> {
        if self.from > self.to || self.to > cx.now() {
            return Err(Error::invalid(Self::NAME, "to", "expected from <= to <= now"));
        }
        let mut stored = need(cx, &self.id).await?;
        check_target(cx, &stored.target)?;
        let plan = super::plan(cx, &stored).await?;
        let own = stored.overlap;
        stored.body.overlap = self.overlap.unwrap_or(Overlap::QueueAll);
        let mut made = Vec::new();
        let mut at = plan.next(self.from.minus(Duration::from_millis(1)));
        while let Some(instant) = at.filter(|at| *at <= self.to) {
            if made.len() == MAX_INSTANTS {
                let error =
                    Error::new(ErrorKind::InvalidInput, Self::NAME, "over 1000 instants: ask for less");
                return Err(error);
            }
            let key = Key::text(stored.body.id()).and_time(instant);
            if cx.find::<AgentSession>("planned", key).await?.is_none() {
                made.push(begin(cx, &mut stored.body, instant, 0, None).await?);
            }
            at = plan.next(instant);
        }
        stored.body.overlap = own;
        cx.save(&stored)?;
        Ok(made)
    }
    fn examples() -> Vec<Self> {
        let at = Timestamp::from_millis;
        vec![Backfill {
            id: example_id(),
            from: at(1_795_000_000_000),
            to: at(1_795_200_000_000),
            overlap: None,
        }]
    }
}
