//! What the run of an agent says about the prompt that it was told.

use neonhub_core::economy::TokenUsage;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::prompt::{PromptStat, PromptVersion, RecordPromptUse};
use neonhub_core::run::{AgentRun, LogEntry, RunStatus};
use neonhub_core::store::{Expected, Index, Key, Query, Record};
use neonhub_core::{Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::instruct::PromptMark;
use super::worker::PREPARE;

/// Entries of a log that its preparation is among.
const FIRST: usize = 16;
/// Rows of usage that are read: as many calls of models as a run may make.
const CALLS: usize = 500;

/// A use of a prompt of the registry that was counted: each run once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptUse {
    /// The run.
    pub id: String,
    /// The prompt.
    pub prompt: String,
    /// Its version.
    pub version: u32,
    /// True when the run completed.
    pub is_success: bool,
    /// When it was counted.
    pub at: Timestamp,
}

impl Record for PromptUse {
    const KIND: &'static str = "agent_prompt_use";
    const INDEXES: &'static [Index] = &[Index::on("prompt")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.prompt).and_int(i64::from(self.version)))]
    }
}

/// Counts what a run at its end brought for its prompt, once, whoever asks and however often. A run that was cancelled
/// says nothing about its prompt.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteOutcome {
    /// The run.
    pub run: String,
}

impl Operation for NoteOutcome {
    type Output = ();
    const NAME: &'static str = "agents.note_outcome";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    // Runs that end together count for one version.
    const RERUNS: u8 = 20;

    async fn run(self, cx: &Scope) -> Result<()> {
        let run = cx.need::<AgentRun>(&self.run).await?.body;
        let is_success = run.status == RunStatus::Completed;
        if !is_success && run.status != RunStatus::Failed {
            return Ok(());
        }
        if cx.get::<PromptUse>(&run.id).await?.is_some() {
            return Ok(());
        }
        let Some(mark) = mark_of(cx, &run.id).await? else { return Ok(()) };
        let Some(reference) = mark.reference.clone() else { return Ok(()) };
        let (cost_micros, currency) = cost_of(cx, &run.id, &mark).await?;
        let record = RecordPromptUse {
            reference,
            version: Some(mark.version),
            unit: mark.unit,
            is_success,
            cost_micros,
            currency,
            latency_ms: worked_ms(&run),
            ..RecordPromptUse::default()
        };
        // The rights of the run do not matter: its agent was described with this prompt.
        record.run(cx).await?;
        let used =
            PromptUse { id: run.id, prompt: mark.name, version: mark.version, is_success, at: cx.now() };
        cx.put(&used, Expected::Absent)
    }
}

/// Which prompt the run was told, as its log says. None for a run that ended before, or does without a model.
async fn mark_of(cx: &Scope, run: &str) -> Result<Option<PromptMark>> {
    let first = Query::index("run").prefix(Key::text(run)).limit(FIRST);
    let is_prepared = |entry: &LogEntry| {
        entry.kind == "tool_done" && entry.data.get("call").and_then(Value::as_str) == Some(PREPARE)
    };
    let entries = cx.query::<LogEntry>(&first).await?;
    let Some(entry) = entries.iter().find(|entry| is_prepared(entry)) else { return Ok(None) };
    // Its texts are short, so none of them is kept apart from the entry.
    let mark = entry.data.get("output").and_then(|desk| desk.get("prompt"));
    Ok(mark.and_then(|mark| serde_json::from_value(mark.clone()).ok()))
}

/// What models cost the run, unless that cannot be added to what the version cost before.
async fn cost_of(cx: &Scope, run: &str, mark: &PromptMark) -> Result<(u64, Option<String>)> {
    let usage = Query::index("run").prefix(Key::text(run)).limit(CALLS);
    let (mut micros, mut currency): (u64, Option<String>) = (0, None);
    for used in cx.query::<TokenUsage>(&usage).await? {
        let Some(cost) = used.cost_micros.zip(used.currency.as_ref()) else { continue };
        if *currency.get_or_insert_with(|| cost.1.clone()) == *cost.1 {
            micros += cost.0;
        }
    }
    let stat = cx.get::<PromptStat>(&PromptVersion::id_of(&mark.name, mark.version)).await?;
    let before = stat.and_then(|stat| stat.body.currency);
    if before.is_some() && currency.is_some() && before != currency {
        return Ok((0, None));
    }
    Ok((micros, currency))
}

fn worked_ms(run: &AgentRun) -> u64 {
    let end = run.ended_at.unwrap_or(run.started_at);
    let whole = u64::try_from(end.since(run.started_at).as_millis()).unwrap_or(u64::MAX);
    whole.saturating_sub(run.used.waited_ms)
}
