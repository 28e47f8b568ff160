//! Putting messages where runs find them.

use neonhub_core::bus::Event;
use neonhub_core::run::{AgentRun, message_signal};
use neonhub_core::store::Record as _;
use neonhub_core::{Error, Result, Scope};
use serde_json::{Value, json};

use super::model::AgentMessage;

/// A message for a run: it comes into the run's log as a remark, and under `wait` it answers what the run waits for. A
/// run that has ended gets nothing.
pub(super) async fn deliver(
    cx: &Scope,
    run: &str,
    message: &AgentMessage,
    wait: Option<(String, Value)>,
) -> Result<()> {
    let Some(mut row) = cx.get::<AgentRun>(run).await? else { return Ok(()) };
    if row.status.is_final() {
        return Ok(());
    }
    let whole = serde_json::to_value(message).map_err(|cause| Error::internal(cx.operation(), cause))?;
    row.body.signals.insert(message_signal(&message.id), whole);
    row.body.signals.extend(wait);
    cx.save(&row)
}

/// Tells that something became of a message: ids and words, never what it says.
pub(super) fn tell(cx: &Scope, word: &str, message: &AgentMessage) -> Result<()> {
    let (to_kind, to) = message.to.parts();
    let run = if to_kind == "run" { Some(to) } else { message.from.run.as_deref() };
    let data = json!({
        "from": message.from.by, "from_run": message.from.run, "to_kind": to_kind, "to": to, "run": run,
        "topic": message.topic, "message_kind": message.kind.word(), "correlation": message.correlation,
        "in_reply_to": message.in_reply_to, "depth": message.depth, "deadline": message.deadline,
    });
    cx.emit(Event::new(cx, word, AgentMessage::KIND, &message.id, data))
}
