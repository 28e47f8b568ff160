//! Reading, pausing, resuming and removing schedules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::create::{check_target, clock_behind};
use super::{example_id, need};
use crate::op::{Effect, Operation, Page, Sink};
use crate::permission::Permission;
use crate::schedule::fire::{advance, emit, pause};
use crate::schedule::model::{Schedule, ScheduleId};
use crate::store::{Expected, Query};
use crate::{Error, Result, Scope};

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
            pause(cx, &mut stored.body, &self.reason)?;
            cx.save(&stored)?;
        }
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![PauseSchedule { id: example_id(), reason: "holidays".into() }]
    }
}

/// Has a paused schedule fire again, from now on; a suggested one for the first time. With an input, and when it was only
/// suggested, it works with the rights of who resumes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// Input or payload from now on. The suggested daily backup needs one: `{"folder": ...}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

impl Operation for ResumeSchedule {
    type Output = Schedule;
    const NAME: &'static str = "schedules.resume";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Schedule> {
        let mut stored = need(cx, &self.id).await?;
        if self.input.is_some() || stored.is_suggestion() {
            if let Some(new) = self.input {
                stored.body.target = stored.body.target.clone().with_input(new);
            }
            check_target(cx, &stored.target)?;
            stored.body.take_over(cx);
            if stored.enabled {
                cx.save(&stored)?;
                emit(cx, &stored, "schedule.updated", json!({ "next_at": stored.next_at }))?;
            }
        }
        if !stored.enabled {
            let plan = crate::schedule::plan(cx, &stored).await?;
            (stored.body.enabled, stored.body.paused_reason, stored.body.failures) = (true, None, 0);
            stored.body.clock_behind_ms = clock_behind(cx);
            advance(cx, &mut stored.body, &plan, cx.now())?;
            cx.save(&stored)?;
            emit(cx, &stored, "schedule.updated", json!({ "next_at": stored.next_at }))?;
        }
        Ok(stored.body)
    }
    fn examples() -> Vec<Self> {
        vec![
            ResumeSchedule { id: example_id(), input: None },
            ResumeSchedule { id: example_id(), input: Some(json!({ "folder": "backups" })) },
        ]
    }
}
