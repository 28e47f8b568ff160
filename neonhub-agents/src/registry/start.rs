//! Starting and driving the runs of agents that are data.

use std::time::Duration;

use neonhub_core::run::{AgentRun, Driver, EffectClass, Limits, NewRun, RunView};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Money, Principal, Result, Retry, Scope, Timestamp};
use serde_json::Value;

use super::address::Addressed;
use super::directory::pinned;
use super::instruct;
use super::model::hash_of;
use super::outcome::NoteOutcome;
use super::worker::Worker;

/// Runs above a run.
// Rule of agents, section 7: at most eight.
pub(crate) const MAX_DEPTH: u8 = 8;
/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// What is asked of an agent, beside the input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Most money for models.
    pub(crate) budget: Option<Money>,
    /// Most time it may work.
    pub(crate) wall_ms: Option<u64>,
    /// The run that asks, and its depth.
    pub(crate) parent: Option<(String, u8)>,
}

impl Terms {
    /// The terms of a caller that may be a run itself.
    ///
    /// # Errors
    /// `Blocked`, code `too_deep`, when eight runs are above.
    pub(crate) async fn of_caller(cx: &Scope) -> Result<Self> {
        let Principal::Agent { run, .. } = cx.principal() else { return Ok(Terms::default()) };
        let Some(above) = cx.get::<AgentRun>(run).await? else { return Ok(Terms::default()) };
        Ok(Terms { parent: Some((run.clone(), above.depth + 1)), ..Terms::default() })
    }
}

/// What the run of an agent may hand on to another one at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// What its intent does to the world.
    pub(crate) effect_max: EffectClass,
    /// The time it may still work.
    pub(crate) wall_ms: u64,
}

impl Rest {
    /// What is left of a run.
    pub(crate) async fn of(cx: &Scope, run: &str) -> Result<Self> {
        let row = cx.need::<AgentRun>(run).await?.body;
        let spec = match &row.spec {
            Some(pin) => pinned(cx, &row.agent, &pin.version).await?,
            None => return Err(cx.missing("run of an agent")),
        };
        let intent = row.intent.as_deref().and_then(|intent| spec.intent(intent));
        let worked = u64::try_from(cx.now().since(row.started_at).as_millis()).unwrap_or(u64::MAX);
        let worked = worked.saturating_sub(row.used.waited_ms);
        Ok(Rest {
            effect_max: intent.map_or(EffectClass::Read, |intent| intent.effect_max),
            wall_ms: spec.limits.wall_ms.saturating_sub(worked),
        })
    }
}

/// Makes a run of an intent, or finds the one with the same key; drives nothing.
///
/// # Errors
/// `InvalidInput` with every fault of the input by path, and then there is no run; `RateLimited` over the quota of
/// runs; `Blocked` for a delegation that is too deep (`too_deep`) or comes back to itself (`loop_detected`).
pub(crate) async fn start(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    new: NewRun,
    terms: &Terms,
) -> Result<AgentRun> {
    let known = match new.idempotency_key() {
        Some(key) => by_key(cx, &asked.spec.name, key).await?,
        None => None,
    };
    // What was begun already is neither checked nor counted again: its version may be an older one.
    if known.is_none() {
        asked.check(cx.hub(), operation, new.input())?;
        instruct::resolve(cx, operation, &asked.spec, None).await?;
        admit(cx, operation, asked).await?;
    }
    let mut new = new.intent(&asked.intent.name).spec(asked.spec.pin()?);
    if let Some((run, depth)) = &terms.parent {
        let names = (asked.spec.name.as_str(), asked.intent.name.as_str());
        check_path(cx, operation, (run.as_str(), *depth), names, new.input()).await?;
        new = new.child_of(run, *depth);
    }
    let limits = terms.wall_ms.map_or(asked.spec.limits, |wall| Limits {
        wall_ms: asked.spec.limits.wall_ms.min(wall),
        ..asked.spec.limits
    });
    if let Some(money) = terms.budget {
        new = new.budget(money);
    }
    let worker = Worker::new(&asked.spec, &asked.intent.name, limits);
    Driver::new(worker).start(cx, new).await
}

/// The run of an agent that has this key.
pub(crate) async fn by_key(cx: &Scope, agent: &str, key: &str) -> Result<Option<AgentRun>> {
    let found = cx.find::<AgentRun>("key", Key::text(agent).and_text(key)).await?;
    Ok(found.map(|row| row.body))
}

/// Goes on with a run of an agent that is data.
///
/// # Errors
/// As [`Driver::drive`]; `Conflict`, code `spec_changed`, when the version that began it is not the same any more.
pub(crate) async fn drive(cx: &Scope, run: &str) -> Result<RunView> {
    let row = cx.need::<AgentRun>(run).await?.body;
    let Some((pin, intent)) = row.spec.as_ref().zip(row.intent.as_deref()) else {
        let why = "this run belongs to an operation: call that operation again";
        return Err(Error::new(ErrorKind::Conflict, "agents.drive", why).with_context("agent", &row.agent));
    };
    let spec = pinned(cx, &row.agent, &pin.version).await?;
    if !row.status.is_final() && spec.pin()? != *pin {
        let why = "this version of the agent is not the one that began the run: cancel the run";
        return Err(Error::new(ErrorKind::Conflict, "agents.drive", why)
            .with_code("spec_changed")
            .with_context("version", &pin.version));
    }
    let view = Driver::new(Worker::new(&spec, intent, spec.limits)).drive(cx, run).await?;
    if spec.prompt.is_some() && view.run.status.is_final() {
        // The run has ended whatever comes of this; it is counted when it is looked at again.
        if let Err(error) = cx.outside().call(NoteOutcome { run: run.to_owned() }).await {
            tracing::warn!(run, %error, "the use of a prompt was not counted");
        }
    }
    Ok(view)
}

/// The quota of runs, at the door.
async fn admit(cx: &Scope, operation: &'static str, asked: &Addressed) -> Result<()> {
    let Some(most) = asked.spec.quotas.runs_per_day else { return Ok(()) };
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    let from = Timestamp::from_millis(cx.now().as_millis().div_euclid(day) * day);
    let name = || Key::text(&asked.spec.name);
    let today = Query::index("agent").from(name().and_time(from)).up_to(name().and_time(cx.now()));
    if cx.count::<AgentRun>(&today).await? < u64::from(most) {
        return Ok(());
    }
    let until = from.plus(DAY).since(cx.now());
    Err(Error::new(ErrorKind::RateLimited, operation, "the agent has had all its runs of this day")
        .with_code("agent_quota")
        .with_retry(Retry::After(until))
        .with_context("agent", &asked.spec.name)
        .with_context("runs_per_day", most))
}

/// The runs above a new one: not too many, and none of them the same.
///
/// # Errors
/// `Blocked`: `too_deep`, `loop_detected`.
pub(crate) async fn check_path(
    cx: &Scope,
    operation: &'static str,
    (parent, depth): (&str, u8),
    (agent, intent): (&str, &str),
    input: &Value,
) -> Result<()> {
    let blocked = |code: &'static str, why: &'static str| {
        Err(Error::new(ErrorKind::Blocked, operation, why)
            .with_code(code)
            .with_context("intent", format!("{agent}.{intent}")))
    };
    if depth > MAX_DEPTH {
        return blocked("too_deep", "agents may ask each other eight levels deep");
    }
    let input = hash_of(input)?;
    let mut next = Some(parent.to_owned());
    while let Some(id) = next {
        let Some(above) = cx.get::<AgentRun>(&id).await? else { break };
        let same_intent = above.agent == agent && above.intent.as_deref() == Some(intent);
        if same_intent && above.input_hash == input {
            return blocked("loop_detected", "a run above this one was asked the very same");
        }
        next = above.body.parent_run;
    }
    Ok(())
}
