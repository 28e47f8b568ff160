//! A tool whose body is a function of the host language.

use std::fmt;

use async_trait::async_trait;
use neonhub_core::tool::{Tool, ToolInfo, ToolSource};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};
use serde_json::{Value, json};

use super::{Callback, HOST_ERROR, Settings};

/// Most characters of an exception's words that are told to the model.
const MAX_WORDS: usize = 300;

/// What a host says about its tool: the fields of [`ToolInfo`], all but `name` and `doc` with a default.
pub type ToolSettings = ToolInfo;

impl Settings for ToolSettings {}

/// A tool over a callback.
pub struct HostTool {
    info: ToolInfo,
    body: Callback,
}

impl fmt::Debug for HostTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTool").field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl HostTool {
    /// Checks the settings. `body` gets `{args, call}`, where `call` holds `tool`, `workspace`, `principal` and
    /// `correlation`, and answers any JSON value.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault of the settings.
    pub fn new(mut settings: ToolSettings, body: Callback) -> Result<Self> {
        settings.source = ToolSource::Host;
        settings.check().map_err(|error| error.for_operation("hub.add_tool"))?;
        Ok(HostTool { info: settings, body })
    }

    /// The name it is called by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// An exception without a kind: type and words go to whoever called the tool, so that a model can do better
    /// next time. A tool that acts on the world may have acted before it raised.
    fn classified(&self, error: Error) -> Error {
        if error.code() != HOST_ERROR {
            return error.for_operation("tools.call");
        }
        let kind = if self.info.effect.is_ours() { ErrorKind::Internal } else { ErrorKind::OutcomeUnknown };
        let words: String = match std::error::Error::source(&error) {
            Some(cause) => cause.to_string().chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect(),
            None => String::new(),
        };
        let told = if words.is_empty() {
            error.message().to_owned()
        } else {
            format!("{}: {words}", error.message())
        };
        Error::new(kind, "tools.call", told).with_code(HOST_ERROR).with_retry(Retry::Never).with_source(error)
    }
}

#[async_trait]
impl Tool for HostTool {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn call(&self, cx: &Scope, args: Value) -> Result<Value> {
        let call = json!({
            "tool": self.info.name,
            "workspace": cx.workspace().as_str(),
            "principal": cx.label(),
            "correlation": cx.correlation(),
        });
        (self.body)(json!({ "args": args, "call": call })).await.map_err(|error| self.classified(error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::host::raised;
    use crate::{CallSettings, FfiHub, OpenOptions};

    fn tool(effect: &str, body: impl Fn(Value) -> Result<Value> + Send + Sync + 'static) -> Result<HostTool> {
        let settings = json!({
            "name": "shop.stock", "doc": "How many are there", "effect": effect,
            "input_schema": { "type": "object", "properties": { "sku": { "type": "string" } }, "required": ["sku"] },
        });
        HostTool::new(
            ToolSettings::parse(settings)?,
            Arc::new(move |asked| std::future::ready(body(asked)).boxed()),
        )
    }

    async fn ask(tool: HostTool, args: Value) -> crate::FfiResult<Value> {
        let hub = FfiHub::open(OpenOptions::parse(json!({ "seed": 1 })).unwrap()).await.unwrap();
        hub.add_tool(tool, false).unwrap();
        let input = json!({ "name": "shop.stock", "args": args });
        hub.call("tools.call", input, CallSettings::default(), None).await
    }

    #[tokio::test]
    async fn a_function_of_the_host_is_a_tool_like_any_other() {
        let stock =
            tool("read", |asked| Ok(json!({ "of": asked["args"]["sku"], "by": asked["call"]["principal"] })));
        let answer = ask(stock.unwrap(), json!({ "sku": "T-1" })).await.unwrap();
        assert_eq!(answer["output"], json!({ "of": "T-1", "by": "user:owner" }));
        let stock = tool("read", |_| Ok(json!(1))).unwrap();
        let error = ask(stock, json!({})).await.unwrap_err();
        assert_eq!((error.kind, error.faults[0].field.as_str()), ("invalid_input", "sku"));
    }

    #[tokio::test]
    async fn what_it_raises_is_told_by_type_and_words() {
        let broken = |_| Err(raised("ValueError", "no such article"));
        let error = ask(tool("read", broken).unwrap(), json!({ "sku": "T-1" })).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), ("internal", HOST_ERROR));
        assert!(error.message.ends_with("raised ValueError: no such article"), "{}", error.message);
        // It may have acted.
        let error = ask(tool("write", broken).unwrap(), json!({ "sku": "T-1" })).await.unwrap_err();
        assert_eq!(error.kind, "outcome_unknown");
        let busy = |_| Err(Error::new(ErrorKind::RateLimited, "host", "later"));
        let error = ask(tool("write", busy).unwrap(), json!({ "sku": "T-1" })).await.unwrap_err();
        assert_eq!(error.kind, "rate_limited");
    }

    #[test]
    fn settings_are_checked_by_field() {
        let error = ToolSettings::parse(json!({ "name": "a", "docs": "x" })).unwrap_err();
        assert!(error.message().contains("docs"), "{error}");
        let error =
            HostTool::new(ToolInfo::new("A", ""), Arc::new(|_| std::future::ready(Ok(json!(1))).boxed()));
        assert_eq!(error.unwrap_err().field_faults().len(), 2);
    }
}
