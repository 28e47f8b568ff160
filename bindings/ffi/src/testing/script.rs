//! A model that plays a script, as JSON.

use std::sync::Arc;
use std::time::Duration;

use neonhub_core::llm::{Llm, Reply, Scripted, ToolCall};
use neonhub_core::testing::FaultError;
use neonhub_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::read;
use crate::error::FfiResult;

/// The long form of a line; the short one is the text of its answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    /// Answers only a request whose texts hold this; else the next one.
    when: Option<String>,
    /// Waits first, in milliseconds of the machine's clock.
    after_ms: u64,
    text: Option<String>,
    chunks: Option<Vec<String>>,
    json: Option<Value>,
    tool_calls: Option<Vec<ToolCall>>,
    refuse: Option<String>,
    error: Option<FaultError>,
}

impl Line {
    fn reply(self) -> Result<(Option<String>, Reply)> {
        let reply = match (self.text, self.chunks, self.json, self.tool_calls, self.refuse, self.error) {
            (Some(text), None, None, None, None, None) => Reply::Text(text),
            (None, Some(chunks), None, None, None, None) => Reply::Chunks(chunks),
            (None, None, Some(json), None, None, None) => Reply::json(&json),
            (None, None, None, Some(calls), None, None) => Reply::Tools(calls),
            (None, None, None, None, Some(why), None) => Reply::Refuse(why),
            (None, None, None, None, None, Some(error)) => Reply::Fail(error.make("llm.call")),
            (None, Some(chunks), None, None, None, Some(error)) => {
                Reply::Break(chunks, error.make("llm.call"))
            }
            _ => {
                let message =
                    "expected one of text, chunks, json, tool_calls, refuse and error, or chunks with error";
                return Err(Error::invalid("testing.script", "line", message));
            }
        };
        let reply = match self.after_ms {
            0 => reply,
            ms => Reply::After(Duration::from_millis(ms), Box::new(reply)),
        };
        Ok((self.when, reply))
    }
}

/// A scripted model. The first line that fits a request answers it and is used up; a request that no line fits fails
/// with code `unscripted` and tells what was expected. Clones are the same model.
#[derive(Clone, Debug)]
pub struct ScriptedModel(Arc<Scripted>);

impl ScriptedModel {
    /// Reads a script: a list of lines. A line is the text of an answer, or a map with one of `text`, `chunks` (a
    /// stream in pieces), `json`, `tool_calls` (`[{id, name, args}]`), `refuse` and `error` (`{kind, code?, message?,
    /// retry_after_ms?}`; with `chunks`: a stream that breaks), and as wanted `when` (only for a request that holds
    /// this text) and `after_ms`.
    ///
    /// # Errors
    /// `InvalidInput` naming the faulty line.
    pub fn new(script: Value) -> FfiResult<Self> {
        let lines: Vec<Value> = read("testing.script", "script", script)?;
        let model = ScriptedModel(Arc::new(Scripted::new().lenient()));
        for (n, line) in lines.into_iter().enumerate() {
            model.push(&format!("script[{n}]"), line)?;
        }
        Ok(model)
    }

    /// Adds a line at the end.
    ///
    /// # Errors
    /// `InvalidInput` for what is no line.
    pub fn add(&self, line: Value) -> FfiResult<()> {
        Ok(self.push("line", line)?)
    }

    fn push(&self, field: &str, line: Value) -> Result<()> {
        let line = match line {
            Value::String(text) => Line { text: Some(text), ..Line::default() },
            other => read("testing.script", field, other)?,
        };
        let (when, reply) = line.reply().map_err(|error| {
            let message = error.field_faults().first().map(|fault| fault.message.clone()).unwrap_or_default();
            Error::invalid("testing.script", field, message)
        })?;
        self.0.add(when, reply);
        Ok(())
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn requests(&self) -> Value {
        serde_json::to_value(self.0.requests()).unwrap_or_default()
    }

    /// The lines that nobody has asked for, in words; empty once the script was played to its end.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.0.left()
    }

    pub(crate) fn model(&self) -> Arc<dyn Llm> {
        Arc::clone(&self.0) as Arc<dyn Llm>
    }
}
