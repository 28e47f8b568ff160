//! Messages for a run: they come into its log when it is worked on next.

use std::sync::Arc;

use serde_json::Value;

use super::entry::What;
use super::machine::Program;
use super::record::AgentRun;
use super::session::Session;
use crate::Result;
use crate::op::Unit;

/// Begins the name of a signal that is a message; the id of the message follows.
const MESSAGE: &str = "?message/";

/// The name of the signal by which a message reaches a run. Whatever stands under it becomes a remark in the log of the
/// run; no wait is answered by it.
#[must_use]
pub fn message_signal(id: &str) -> String {
    format!("{MESSAGE}{id}")
}

/// The first message that is not in the log yet.
fn first(run: &AgentRun) -> Option<(String, &Value)> {
    run.signals.iter().find(|(name, _)| name.starts_with(MESSAGE)).map(|(name, value)| (name.clone(), value))
}

impl<P: Program> Session<'_, P> {
    /// Messages that are not in the log yet.
    pub(super) fn messages(&self) -> usize {
        self.row.signals.keys().filter(|name| name.starts_with(MESSAGE)).count()
    }

    /// Writes the messages that have come into the log, each once.
    pub(super) async fn take_messages(&mut self) -> Result<()> {
        while let Some((name, message)) = first(&self.row.body) {
            let text = format!("message {message}");
            self.row.body.signals.remove(&name);
            match self.record(What::Note { text }, Arc::new(Unit::default())).await {
                // Another message came, or its cancellation: what was removed here is there again.
                Err(error) if error.code() == "stale_revision" => self.reload().await?,
                other => other?,
            }
        }
        Ok(())
    }
}
