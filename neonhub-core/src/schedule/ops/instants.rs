//! Instants asked for: now, shown in advance, and made up for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::create::{check_target, example};
use super::{example_id, need};
use crate::op::{Effect, Operation, Sink};
use crate::permission::Permission;
use crate::schedule::fire::{begin, has_session};
use crate::schedule::model::{AgentSession, Overlap, ScheduleId};
use crate::schedule::when::{Calendar, When};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// Instants of one preview or backfill.
const MAX_INSTANTS: usize = 1_000;

/// Fires a schedule now, beside its instants, paused or not. With an input of one's own it needs every right that the
/// schedule works with.
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
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    async fn run(self, cx: &Scope) -> Result<AgentSession> {
        let mut stored = need(cx, &self.id).await?;
        stored.check_stood_for(cx)?;
        if self.input.is_some() {
            // It runs with the rights of who made the schedule: an input of one's own needs them all.
            stored.rights.iter().try_for_each(|word| cx.require(*word))?;
        }
        let target = self.input.map(|new| stored.target.clone().with_input(new));
        check_target(cx, target.as_ref().unwrap_or(&stored.target))?;
        let mut at = cx.now();
        // Two triggers of one millisecond are two sessions.
        while has_session(cx, &stored, at).await? {
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
        stored.check_stood_for(cx)?;
        check_target(cx, &stored.target)?;
        let plan = crate::schedule::plan(cx, &stored).await?;
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
            if !has_session(cx, &stored, instant).await? {
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
