//! Starting and driving the runs of agents that are data.

use std::borrow::Cow;

use neonhub_core::resilience::Place;
use neonhub_core::run::{AgentRun, Driver, EffectClass, Limits, NewRun, RunView, UnderFork};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Money, Principal, Result, Scope};
use serde_json::Value;

use super::address::Addressed;
use super::again::NODE_KEY;
use super::directory::pinned;
use super::instruct;
use super::model::{AgentSpec, hash_of};
use super::outcome::NoteOutcome;
use super::worker::Worker;
use super::{guard, room};

/// Runs above a run.
// Rule of agents, section 7: at most eight.
pub(crate) const MAX_DEPTH: u8 = 8;

/// Runs that one run and those below it may begin by the word of a model, each with what it begins.
// Rule of agents, section 7: 100 per root.
pub(crate) const MOST_BELOW: usize = 100;
/// Runs of the nodes of one plan at most: 200 nodes and 100 tries beyond one for each.
const PLAN_RUNS: usize = 300;

/// What is asked of an agent, beside the input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Most money for models.
    pub(crate) budget: Option<Money>,
    /// Most time it may work.
    pub(crate) wall_ms: Option<u64>,
    /// The run that asks, and its depth.
    pub(crate) parent: Option<(String, u8)>,
    /// What it takes over from a fork above it.
    pub(crate) under_fork: Option<UnderFork>,
}

impl Terms {
    /// The terms of a caller that may be a run itself.
    ///
    /// # Errors
    /// `Blocked`, code `too_deep`, when eight runs are above.
    pub(crate) async fn of_caller(cx: &Scope) -> Result<Self> {
        let Principal::Agent { run, .. } = cx.principal() else { return Ok(Terms::default()) };
        let Some(above) = cx.get::<AgentRun>(run).await? else { return Ok(Terms::default()) };
        let parent = Some((run.clone(), above.depth + 1));
        Ok(Terms { parent, under_fork: above.passes_on(), ..Terms::default() })
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

/// A run that is asked for.
enum Asked {
    /// One that stood in for one with this key.
    Found(Box<AgentRun>),
    /// What is to be started, unless the key leads to one that was, and the program that goes through it.
    New {
        worker: Worker,
        new: Box<NewRun>,
        /// True when its agent is told a prompt of the registry.
        has_prompt: bool,
    },
}

/// Makes a run of an intent, or finds the one with the same key; drives nothing. While the agent is away the run is one of
/// the agent that stands in for it.
///
/// # Errors
/// `InvalidInput` with every fault of the input by path, and then there is no run; `RateLimited` over the quota of
/// runs; `Unavailable` while the agent is away (`breaker_open`, `agent_unavailable`); `Cancelled` when the run that asks
/// is; `Blocked` for a delegation that is too deep (`too_deep`) or comes back to itself (`loop_detected`).
pub(crate) async fn start(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    new: NewRun,
    terms: &Terms,
) -> Result<AgentRun> {
    match checked(cx, operation, asked, new, terms).await? {
        Asked::Found(run) => Ok(*run),
        Asked::New { worker, new, .. } => Driver::new(worker).start(cx, *new).await,
    }
}

/// Makes a run and goes through it, in a place that was taken before.
///
/// # Errors
/// As [`start`] and [`drive`].
pub(super) async fn execute(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    new: NewRun,
    terms: &Terms,
    place: Option<Place>,
) -> Result<RunView> {
    let run = match checked(cx, operation, asked, new, terms).await? {
        Asked::Found(run) => *run,
        // What no key can find is new: nothing has to be read of it.
        Asked::New { worker, new, has_prompt } if new.idempotency_key().is_none() => {
            let view = Driver::new(worker.retrying(true)).execute(cx, *new).await?;
            ended(cx, has_prompt, &view.run).await;
            return Ok(view);
        }
        Asked::New { worker, new, .. } => Driver::new(worker).start(cx, *new).await?,
    };
    drive_in(cx, &run.id, place).await
}

/// What is asked, with every check of it.
async fn checked(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    new: NewRun,
    terms: &Terms,
) -> Result<Asked> {
    let known = match new.idempotency_key() {
        Some(key) => by_key(cx, &asked.spec.name, key).await?,
        None => None,
    };
    let (mut new, mut asked) = (new, Cow::Borrowed(asked));
    // What was begun already is neither checked nor counted again: its version may be an older one.
    if known.is_none() {
        asked.check(cx.hub(), operation, new.input())?;
        if let Some(found) = stood_in(cx, operation, &asked, &new).await? {
            return Ok(Asked::Found(Box::new(found)));
        }
        if let Some(other) = guard::in_place_of(cx, operation, &asked, new.input()).await? {
            if let Some(key) = new.idempotency_key() {
                let key = guard::key_of(&asked.spec.name, key)?;
                new = new.key(key);
            }
            asked = Cow::Owned(other);
        }
        instruct::resolve(cx, operation, &asked.spec, None).await?;
        if let Some((run, _)) = &terms.parent {
            check_family(cx, operation, run).await?;
        }
    }
    if let Some(most) = asked.spec.quotas.runs_per_day {
        new = new.per_day(most);
    }
    new = new.intent(&asked.intent.name).spec(asked.spec.pin()?);
    if let Some((run, depth)) = &terms.parent {
        let names = (asked.spec.name.as_str(), asked.intent.name.as_str());
        check_path(cx, operation, (run.as_str(), *depth), names, new.input()).await?;
        new = new.child_of(run, *depth);
    }
    if let Some(fork) = &terms.under_fork {
        new = new.under_fork(fork.clone());
    }
    let limits = terms.wall_ms.map_or(asked.spec.limits, |wall| Limits {
        wall_ms: asked.spec.limits.wall_ms.min(wall),
        ..asked.spec.limits
    });
    if let Some(money) = terms.budget {
        new = new.budget(money);
    }
    let worker = Worker::new(&asked.spec, &asked.intent.name, limits);
    Ok(Asked::New { worker, new: Box::new(new), has_prompt: asked.spec.prompt.is_some() })
}

/// The run that stood in for one with this key.
async fn stood_in(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    new: &NewRun,
) -> Result<Option<AgentRun>> {
    let Some((key, fallback)) = new.idempotency_key().zip(asked.spec.fallback.as_deref()) else {
        return Ok(None);
    };
    let found = by_key(cx, fallback, &guard::key_of(&asked.spec.name, key)?).await?;
    let Some(run) = found else { return Ok(None) };
    let same_intent = run.intent.as_deref() == Some(asked.intent.name.as_str());
    if !same_intent || run.input_hash != hash_of(new.input())? {
        let why = "this key belongs to a run with another input or intent: take a new key";
        return Err(Error::new(ErrorKind::Conflict, operation, why)
            .with_code("idempotency_mismatch")
            .with_context("run", run.id));
    }
    Ok(Some(run))
}

/// The run of an agent that has this key.
pub(crate) async fn by_key(cx: &Scope, agent: &str, key: &str) -> Result<Option<AgentRun>> {
    let found = cx.find::<AgentRun>("key", Key::text(agent).and_text(key)).await?;
    Ok(found.map(|row| row.body))
}

/// Goes on with a run of an agent that is data.
///
/// # Errors
/// As [`Driver::drive`]; `Unavailable`, code `no_place`, when too many runs work here; `Conflict`, code `spec_changed`,
/// when the version that began it is not the same any more.
pub(crate) async fn drive(cx: &Scope, run: &str) -> Result<RunView> {
    drive_in(cx, run, None).await
}

/// [`drive`] in a place that was taken before.
pub(super) async fn drive_in(cx: &Scope, run: &str, place: Option<Place>) -> Result<RunView> {
    let row = cx.need::<AgentRun>(run).await?.body;
    let (spec, worker) = begun_with(cx, &row).await?;
    // What only has to end needs no room.
    let _place = match place {
        None if !row.status.is_final() && !row.cancel_asked => {
            room::take(cx, row.parent_run.as_deref()).await?
        }
        place => place,
    };
    let view = Driver::new(worker).drive(cx, run).await?;
    if !row.status.is_final() {
        ended(cx, spec.prompt.is_some(), &view.run).await;
    } else if spec.prompt.is_some() {
        note(cx, run).await;
    }
    Ok(view)
}

/// Tells what follows from the end of a run, if it has come to it.
async fn ended(cx: &Scope, has_prompt: bool, run: &AgentRun) {
    if !run.status.is_final() {
        return;
    }
    guard::ended(cx, run).await;
    if has_prompt {
        note(cx, &run.id).await;
    }
}

/// Counts what a run brought for its prompt.
async fn note(cx: &Scope, run: &str) {
    // The run has ended whatever comes of this; it is counted when it is looked at again.
    if let Err(error) = cx.outside().call(NoteOutcome { run: run.to_owned() }).await {
        tracing::warn!(run, %error, "the use of a prompt was not counted");
    }
}

/// The program of a run, with the description of the agent that began it.
async fn begun_with(cx: &Scope, row: &AgentRun) -> Result<(AgentSpec, Worker)> {
    let Some((pin, intent)) = row.spec.as_ref().zip(row.intent.as_deref()) else {
        let why = "this run belongs to an operation: call that operation again";
        return Err(Error::new(ErrorKind::Conflict, "agents.drive", why).with_context("agent", &row.agent));
    };
    let spec = pinned(cx, &row.agent, &pin.version).await?;
    if !row.status.is_final() && spec.pin()? != *pin {
        let why = "this version of the agent is not the one that began the run: cancel the run, or fork it with another version";
        return Err(Error::new(ErrorKind::Conflict, "agents.drive", why)
            .with_code("spec_changed")
            .with_context("version", &pin.version));
    }
    // A plan tries its nodes again by itself.
    let is_node = row.idempotency_key.as_deref().is_some_and(|key| key.starts_with(NODE_KEY));
    let worker = Worker::new(&spec, intent, spec.limits).retrying(!is_node);
    Ok((spec, worker))
}

/// The program of a run of an agent.
///
/// # Errors
/// `Conflict` for a run of an operation, and, code `spec_changed`, when the version that began it is gone.
pub(crate) async fn worker_of(cx: &Scope, run: &AgentRun) -> Result<Worker> {
    Ok(begun_with(cx, run).await?.1)
}

/// The runs of a family: not too many of them begun by agents. Nodes of a plan have a bound of their own.
///
/// # Errors
/// `Blocked`, code `too_many_runs`.
async fn check_family(cx: &Scope, operation: &'static str, parent: &str) -> Result<()> {
    let Some(mut root) = cx.get::<AgentRun>(parent).await? else { return Ok(()) };
    if root.spec.is_none() {
        return Ok(());
    }
    while let Some(id) = &root.parent_run {
        let Some(above) = cx.get::<AgentRun>(id).await? else { break };
        root = above;
    }
    let (mut todo, mut begun) = (vec![(root.body.id, root.body.spec.is_some())], 0);
    while let Some((id, is_agent)) = todo.pop() {
        let below = Query::index("parent").prefix(Key::text(&id)).limit(PLAN_RUNS);
        let below = cx.query::<AgentRun>(&below).await?;
        begun += if is_agent { below.len() } else { 0 };
        if begun >= MOST_BELOW {
            let why =
                "the agents of this run have asked each other a hundred times: end it with what is there";
            return Err(Error::new(ErrorKind::Blocked, operation, why).with_code("too_many_runs"));
        }
        todo.extend(below.into_iter().map(|row| (row.body.id, row.body.spec.is_some())));
    }
    Ok(())
}

/// The runs above a new one: not too many, and none of them the same.
///
/// # Errors
/// `Blocked`: `too_deep`, `loop_detected`; `Cancelled` when one above was cancelled.
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
        if above.cancel_asked {
            return Err(Error::new(
                ErrorKind::Cancelled,
                operation,
                "the run that asks for this was cancelled",
            )
            .with_context("run", id));
        }
        let same_intent = above.agent == agent && above.intent.as_deref() == Some(intent);
        if same_intent && above.input_hash == input {
            return blocked("loop_detected", "a run above this one was asked the very same");
        }
        next = above.body.parent_run;
    }
    Ok(())
}
