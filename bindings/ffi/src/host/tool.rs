//! A tool whose body is a function of the host language.

use std::fmt;

use async_trait::async_trait;
use neonhub_core::connector::EffectId;
use neonhub_core::run::ProbeAnswer;
use neonhub_core::tool::{Tool, ToolInfo, ToolSource};
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope};
use serde_json::{Value, json};

use super::{Callback, HOST_ERROR, Settings, unreadable};

/// Most characters of an exception's words that are told to the model.
const MAX_WORDS: usize = 300;

/// What a host says about its tool: the fields of [`ToolInfo`], all but `name` and `doc` with a default.
pub type ToolSettings = ToolInfo;

impl Settings for ToolSettings {}

/// A tool over a callback.
pub struct HostTool {
    info: ToolInfo,
    body: Callback,
    probe: Option<Callback>,
}

impl fmt::Debug for HostTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTool").field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl HostTool {
    /// Checks the settings. `body` gets `{args, call}`, where `call` holds `tool`, `workspace`, `principal`, `correlation` and,
    /// in a run, `effect`, and answers any JSON value. `probe` gets the same of a call whose answer was lost, and answers
    /// `{landed}` with what the tool would have answered, `false` for "did not happen", or `null` for "cannot tell".
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault of the settings.
    pub fn new(mut settings: ToolSettings, body: Callback, probe: Option<Callback>) -> Result<Self> {
        settings.source = ToolSource::Host;
        settings.check().map_err(|error| error.for_operation("hub.add_tool"))?;
        Ok(HostTool { info: settings, body, probe })
    }

    /// The name it is called by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    fn asked(&self, cx: &Scope, args: &Value, effect: Option<&EffectId>) -> Value {
        let call = json!({
            "tool": self.info.name,
            "workspace": cx.workspace().as_str(),
            "principal": cx.label(),
            "correlation": cx.correlation(),
            "effect": effect,
        });
        json!({ "args": args, "call": call })
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
        (self.body)(self.asked(cx, &args, cx.effect())).await.map_err(|error| self.classified(error))
    }

    async fn landed(&self, cx: &Scope, args: &Value, effect: &EffectId) -> Result<ProbeAnswer> {
        let Some(probe) = &self.probe else { return Ok(ProbeAnswer::Unknown) };
        match probe(self.asked(cx, args, Some(effect))).await.map_err(|e| e.for_operation("tools.landed"))? {
            Value::Null => Ok(ProbeAnswer::Unknown),
            Value::Bool(false) => Ok(ProbeAnswer::NotLanded),
            Value::Object(mut map) if map.len() == 1 && map.contains_key("landed") => {
                Ok(ProbeAnswer::Landed(map.remove("landed").unwrap_or_default()))
            }
            _ => Err(unreadable(
                "tools.landed",
                "the tool's answer as landed, False when it did not happen, or None",
            )),
        }
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
            None,
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
        let error = HostTool::new(
            ToolInfo::new("A", ""),
            Arc::new(|_| std::future::ready(Ok(json!(1))).boxed()),
            None,
        );
        assert_eq!(error.unwrap_err().field_faults().len(), 2);
    }
    #[tokio::test]
    async fn a_probe_says_what_became_of_a_call() {
        let cx = neonhub_core::Hub::builder().build().await.unwrap().workspace("default").await.unwrap();
        let effect = EffectId::of(&["a"]);
        for (answer, expected) in [
            (json!({ "landed": { "id": 7 } }), Some(ProbeAnswer::Landed(json!({ "id": 7 })))),
            (json!(false), Some(ProbeAnswer::NotLanded)),
            (Value::Null, Some(ProbeAnswer::Unknown)),
            (json!("sent"), None),
        ] {
            let told = effect.to_string();
            let probe: Callback = Arc::new(move |asked| {
                assert_eq!((&asked["args"]["sku"], &asked["call"]["effect"]), (&json!("T-1"), &json!(told)));
                std::future::ready(Ok(answer.clone())).boxed()
            });
            let body: Callback = Arc::new(|_| std::future::ready(Ok(json!(1))).boxed());
            let tool = HostTool::new(ToolInfo::new("pay", "Pays"), body, Some(probe)).unwrap();
            let said = tool.landed(&cx, &json!({ "sku": "T-1" }), &effect).await;
            assert_eq!(said.ok(), expected);
        }
    }
}
