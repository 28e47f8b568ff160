//! What a run, and those that it works with, had read from others.

use std::collections::VecDeque;

use serde_json::Value;

use super::taint::leaves;
use crate::llm::{Part, PartBody, Taint};
use crate::op::Sink;
use crate::run::{AgentRun, Entry, What, load_log};
use crate::store::{Key, Query};
use crate::{Result, Scope};

/// Runs whose reading is looked at: the own one, those above it, and all that these have started. A run has 100 below it at
/// most.
const MOST_RUNS: usize = 128;

/// What is known of what a caller had read.
#[derive(Debug)]
pub(super) enum Reading {
    /// The texts; `is_all` is false when there are more runs than are looked at.
    Known { read: Vec<Read>, is_all: bool },
    /// The caller has no run: another program that speaks as an agent.
    Unknown,
}

/// A text that a run had read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) taint: Taint,
    pub(super) source: Option<String>,
    pub(super) run: String,
    pub(super) texts: Vec<String>,
}

/// Whether a call may carry words that one of its sinks does not accept: what an agent has read may stand in all that it
/// writes afterwards, in other words or behind an id. None where nothing is known of what it had read.
pub(crate) async fn may_carry(cx: &Scope, run: &str, sinks: &[Sink]) -> Result<Option<bool>> {
    Ok(match reading(cx, run).await? {
        Reading::Known { read, is_all } => {
            let refused = |read: &Read| sinks.iter().any(|sink| !sink.accepts(read.taint));
            Some(!is_all || read.iter().any(refused))
        }
        Reading::Unknown => None,
    })
}

/// What a run and those that it works with had read from others.
pub(super) async fn reading(cx: &Scope, run: &str) -> Result<Reading> {
    let Some(own) = cx.get::<AgentRun>(run).await? else { return Ok(Reading::Unknown) };
    let Family { ids, foreign, is_all } = family(cx, own.body).await?;
    let mut read = Vec::new();
    for id in ids {
        let log = load_log(cx, &id).await?;
        let before = read.len();
        take_input(&id, &log, foreign.contains(&id), &mut read);
        take_parts(&id, &log, &mut read);
        let worst = read.iter().skip(before).map(|r: &Read| r.taint).filter(|taint| taint.is_foreign()).max();
        // What another run made of such texts may have gone into this one in other words.
        if let (Some(taint), true) = (worst, id != run)
            && let Some(What::Finished { output, .. }) = log.last().map(|entry| &entry.what)
        {
            let mut texts = Vec::new();
            leaves(output, "", &mut |_, text| texts.push(text));
            read.push(Read { taint, source: Some(format!("run {id}")), run: id, texts });
        }
    }
    Ok(Reading::Known { read, is_all })
}

/// Runs that work together.
#[derive(Default)]
struct Family {
    ids: Vec<String>,
    /// Those whose input is foreign.
    foreign: Vec<String>,
    /// False when there are more than are looked at.
    is_all: bool,
}

impl Family {
    /// False when there is no room for it.
    fn take(&mut self, run: AgentRun) -> bool {
        if self.ids.contains(&run.id) {
            return true;
        }
        if self.ids.len() >= MOST_RUNS {
            return false;
        }
        if run.foreign_input {
            self.foreign.push(run.id.clone());
        }
        self.ids.push(run.id);
        true
    }
}

/// The run, those above it and those it was forked from, and those that these have started, with theirs; the nearest first.
async fn family(cx: &Scope, run: AgentRun) -> Result<Family> {
    let mut family = Family::default();
    let mut above = VecDeque::from([run]);
    while let Some(run) = above.pop_front() {
        if family.ids.contains(&run.id) {
            continue;
        }
        let next = [run.parent_run.clone(), run.forked_from.as_ref().map(|first| first.run.clone())];
        if !family.take(run) {
            return Ok(family);
        }
        for id in next.into_iter().flatten() {
            above.extend(cx.get::<AgentRun>(&id).await?.map(|row| row.body));
        }
    }
    let mut at = 0;
    while let Some(id) = family.ids.get(at).cloned() {
        at += 1;
        let below = Query::index("parent").prefix(Key::text(&id)).descending().limit(MOST_RUNS);
        for row in cx.query::<AgentRun>(&below).await? {
            if !family.take(row.body) {
                return Ok(family);
            }
        }
    }
    family.is_all = true;
    Ok(family)
}

/// The input of a run that an agent without a run has begun.
fn take_input(run: &str, log: &[Entry], is_foreign: bool, read: &mut Vec<Read>) {
    let Some(What::Started { input, .. }) = log.first().map(|entry| &entry.what).filter(|_| is_foreign)
    else {
        return;
    };
    let mut texts = Vec::new();
    leaves(input, "", &mut |_, text| texts.push(text));
    let source = Some("input".to_owned());
    read.push(Read { taint: Taint::ThirdPartyTool, source, run: run.to_owned(), texts });
}

/// What the requests of a run hold that neither the host nor a model wrote, each once.
fn take_parts(run: &str, log: &[Entry], read: &mut Vec<Read>) {
    let mut seen: Vec<&Part> = Vec::new();
    for entry in log {
        let What::ModelPlanned { request, .. } = &entry.what else { continue };
        let foreign = request.parts().filter(|part| !matches!(part.taint, Taint::FirstParty | Taint::Model));
        for part in foreign {
            if seen.contains(&part) {
                continue;
            }
            seen.push(part);
            let (texts, tool) = texts_of(part);
            let source = part.source.as_ref().map(|source| source.id.clone()).or(tool);
            read.push(Read { taint: part.taint, source, run: run.to_owned(), texts });
        }
    }
}

/// The texts of a part, and the tool that gave them.
fn texts_of(part: &Part) -> (Vec<String>, Option<String>) {
    match &part.body {
        PartBody::Text { text } => {
            // A task is JSON when a program wrote it down: its words are what counts.
            let mut texts = Vec::new();
            match serde_json::from_str::<Value>(text) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                    leaves(&value, "", &mut |_, text| texts.push(text));
                }
                _ => texts.push(text.clone()),
            }
            (texts, None)
        }
        PartBody::ToolResult { name, output, .. } => {
            let mut texts = Vec::new();
            leaves(output, "", &mut |_, text| texts.push(text));
            (texts, Some(name.clone()))
        }
        _ => (Vec::new(), None),
    }
}
