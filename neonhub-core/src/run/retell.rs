//! A log told again: the program is asked anew at every step, and what came from outside is taken from the log. Nothing is
//! called and nothing is stored.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::{EffectClass, Entry, RunStatus, ToolState, What};
use super::machine::Program;
use super::state::{APPROVED, Moment, Open, RunState, advance};
use crate::{Error, Result, Timestamp};

/// What a log is told with in place of what it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    /// Another input.
    pub input: Option<Value>,
    /// Other answers of tools, by the name of the call: `turn/1/0`.
    pub outputs: BTreeMap<String, Value>,
}

/// The first place where a log told again is another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDivergence {
    /// Number of the entry.
    pub seq: u32,
    /// What the log says there; null after its end.
    pub logged: Value,
    /// What the program does there; null when it does nothing.
    pub told: Value,
}

/// A log told again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// The run.
    pub run: String,
    /// Entries that came out the same, from the first on.
    pub steps: u32,
    /// True when every entry and so every byte of the output is the same.
    pub is_same: bool,
    /// Where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<RunDivergence>,
    /// The output that it came to; null for a run that is not at its end.
    pub output: Value,
}

/// True for an entry that no step of the program brings about.
fn is_from_outside(what: &What) -> bool {
    match what {
        What::Started { .. }
        | What::ModelDone { .. }
        | What::ToolCalled { .. }
        | What::ToolDone { .. }
        | What::Woken { .. }
        | What::Note { .. } => true,
        What::ModelCalled { attempt, .. } => *attempt > 1,
        // Waits that the driver puts in, for a person to answer.
        What::Wait { wait, .. } => wait.starts_with('?'),
        What::Finished { status, .. } => *status == RunStatus::Cancelled,
        What::ModelPlanned { .. } | What::ToolPlanned { .. } | What::Emitted { .. } | What::Budget { .. } => {
            false
        }
    }
}

/// Tells a log again as that of `run`; ends early where the program goes another way, so that an answer of the log is none
/// to what is asked now. `moment`: the instant and the actor of all entries, in place of those of the log.
pub(super) fn retell<P: Program>(
    program: &P,
    run: &str,
    log: &[Entry],
    edits: &Edits,
    moment: Option<(Timestamp, &str)>,
) -> (RunState<P::State>, Vec<Entry>) {
    let classes: HashMap<&str, EffectClass> = log
        .iter()
        .filter_map(|entry| match &entry.what {
            What::ToolPlanned { tool, class, .. } => Some((tool.as_str(), *class)),
            _ => None,
        })
        .collect();
    // What the log does not know is taken for the worst.
    let class = |tool: &str| classes.get(tool).copied().unwrap_or(EffectClass::Write);
    let (mut state, mut told) = (RunState::new(run), Vec::with_capacity(log.len()));
    for entry in log.iter().filter(|entry| is_from_outside(&entry.what)) {
        if !still_fits(&state, log, &entry.what) {
            break;
        }
        let (at, actor) = moment.unwrap_or((entry.at, entry.actor.as_str()));
        let moment = Moment { at, actor: actor.to_owned(), provider: provider_after(log, entry.seq) };
        match advance(program, state.clone(), edited(&entry.what, edits), &moment, class) {
            Ok((next, entries)) => {
                state = next;
                told.extend(entries);
            }
            Err(_) => break,
        }
    }
    (state, told)
}

/// True unless it is the answer of a call that is another one now, or none.
fn still_fits<S>(state: &RunState<S>, log: &[Entry], what: &What) -> bool {
    let (What::ModelDone { call: answered, .. } | What::ToolDone { call: answered, .. }) = what else {
        return true;
    };
    let Some((_, open)) = state.open.iter().find(|(call, _)| call == answered) else { return false };
    log.iter().any(|entry| match (&entry.what, open) {
        (What::ModelPlanned { call, request }, Open::Model { request: now, .. }) => {
            call == answered && request == now
        }
        (What::ToolPlanned { call, tool, args, .. }, Open::Tool { tool: now, args: with, .. }) => {
            call == answered && tool == now && (args == with || is_edited(log, answered))
        }
        _ => false,
    })
}

/// True for a call that a person let pass with another input.
fn is_edited(log: &[Entry], call: &str) -> bool {
    log.iter().any(|entry| match &entry.what {
        What::Woken { wait, payload } => {
            wait.strip_prefix(APPROVED) == Some(call) && payload.get("args").is_some()
        }
        _ => false,
    })
}

/// The provider that is named next.
fn provider_after(log: &[Entry], seq: u32) -> String {
    let named = log.iter().filter(|entry| entry.seq > seq).find_map(|entry| match &entry.what {
        What::ModelCalled { provider, .. } => Some(provider.clone()),
        _ => None,
    });
    named.unwrap_or_default()
}

fn edited(what: &What, edits: &Edits) -> What {
    match (what, &edits.input) {
        (What::Started { agent, version, seed, limits, .. }, Some(input)) => What::Started {
            agent: agent.clone(),
            version: *version,
            input: input.clone(),
            seed: *seed,
            limits: *limits,
        },
        (What::ToolDone { call, .. }, _) if edits.outputs.contains_key(call) => {
            let output = edits.outputs.get(call).cloned().unwrap_or_default();
            What::tool_done(call.clone(), ToolState::Landed, output, None)
        }
        _ => what.clone(),
    }
}

/// Compares a log with what comes out when it is told again.
pub(super) fn replay<P: Program>(program: &P, run: &str, log: &[Entry]) -> Result<Replay> {
    let (state, told) = retell(program, run, log, &Edits::default(), None);
    let same = log.iter().zip(&told).take_while(|(logged, told)| logged.what == told.what).count();
    let is_same = same == log.len() && same == told.len();
    let shown = |entry: Option<&Entry>| match entry {
        Some(entry) => {
            serde_json::to_value(&entry.what).map_err(|cause| Error::internal("runs.replay", cause))
        }
        None => Ok(Value::Null),
    };
    let steps = u32::try_from(same).unwrap_or(u32::MAX);
    let divergence = if is_same {
        None
    } else {
        Some(RunDivergence { seq: steps, logged: shown(log.get(same))?, told: shown(told.get(same))? })
    };
    Ok(Replay { run: run.to_owned(), steps, is_same, divergence, output: state.output })
}
