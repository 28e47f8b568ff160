//! Calls of a model that its program answered with what an earlier call had given: no entry plans them.

use serde_json::Value;

use super::entry::{EffectClass, Entry, What};
use super::execution::{ToolExecution, ToolExecutionState, hash};
use super::record::LogEntry;
use crate::Result;
use crate::llm::{Answer, LlmRequest, PartBody, Role};

/// The calls of a log that were served from it, by those that were made.
pub(super) fn served(run: &str, log: &[Entry], made: &[ToolExecution]) -> Result<Vec<ToolExecution>> {
    let (mut found, mut asked) = (Vec::new(), None);
    for entry in log {
        match &entry.what {
            What::ModelDone { answer: Some(answer), .. } if !answer.tool_calls.is_empty() => {
                asked = Some((entry.seq, answer.as_ref()));
            }
            What::ModelPlanned { request, .. } => {
                let Some((from, answer)) = asked.take() else { continue };
                let turn = Turn { run, from, entry, answer, made };
                turn.take(request, &mut found)?;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// From an answer that wants tools to the request that holds what they gave.
struct Turn<'l> {
    run: &'l str,
    from: u32,
    entry: &'l Entry,
    answer: &'l Answer,
    made: &'l [ToolExecution],
}

impl Turn<'_> {
    fn take(&self, request: &LlmRequest, found: &mut Vec<ToolExecution>) -> Result<()> {
        let Some(last) = request.messages.last().filter(|last| last.role == Role::Tool) else {
            return Ok(());
        };
        let here = |one: &&ToolExecution| one.step > self.from && one.step < self.entry.seq;
        let mut left: Vec<&ToolExecution> = self.made.iter().filter(here).collect();
        for part in &last.parts {
            let PartBody::ToolResult { id, name, output, is_error: false } = &part.body else { continue };
            let Some(wanted) = self.answer.tool_calls.iter().find(|call| call.id == *id) else { continue };
            let given = hash(output)?;
            // What was called for it is a part of this turn; what is left over had an answer before.
            if let Some(at) = left.iter().position(|one| gave(one, name, &given)) {
                left.remove(at);
            } else if let Some(first) = self.first(name, &given, &wanted.args) {
                found.push(self.again(first, id));
            }
        }
        Ok(())
    }

    /// The call that gave an answer before.
    fn first(&self, tool: &str, given: &str, args: &Value) -> Option<&ToolExecution> {
        let reads = |one: &&ToolExecution| matches!(one.class, EffectClass::Pure | EffectClass::Read);
        let before = self.made.iter().filter(|one| one.step < self.entry.seq);
        let mut fits = before.filter(|one| gave(one, tool, given)).filter(reads);
        // Bounds of the agent may have filled in what the model left open.
        fits.clone().find(|one| one.args == *args).or_else(|| fits.next())
    }

    fn again(&self, first: &ToolExecution, call: &str) -> ToolExecution {
        ToolExecution {
            id: LogEntry::id_of(self.run, self.entry.seq),
            step: self.entry.seq,
            call: call.to_owned(),
            state: ToolExecutionState::ServedFromLog,
            started_at: self.entry.at,
            ended_at: Some(self.entry.at),
            duration_ms: Some(0),
            cost: None,
            approval_id: None,
            attempts: 0,
            ..first.clone()
        }
    }
}

fn gave(one: &ToolExecution, tool: &str, given: &str) -> bool {
    one.tool == tool && one.result_hash.as_deref() == Some(given)
}
