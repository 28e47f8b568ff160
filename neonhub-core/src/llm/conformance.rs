//! The suite every [`Llm`] passes. A provider's test module invokes it in one line:
//!
//! ```ignore
//! async fn open(case: &str) -> neonhub_core::Result<Arc<dyn Llm>> { /* a fresh model; replies for `case` */ }
//! neonhub_core::llm_conformance!(open);
//! ```

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{
    Delta, Llm, LlmRequest, Message, OfflinePlan, OfflineTask, OfflineTemplate, Part, PartBody, PlanStep,
    Role, StopKind, ToolChoice, ToolSpec, schema,
};
use crate::{ErrorKind, Result};

/// The scenarios, by name.
pub const CASES: &[&str] = &[
    "text_is_answered",
    "stream_joined_is_the_answer",
    "stream_starts_and_ends_in_order",
    "usage_is_counted",
    "tool_call_round_trip",
    "schema_answer_fits",
    "wrong_request_is_invalid_input",
    "unknown_model_is_not_found",
    "dropped_stream_stops",
    "seeded_model_repeats_itself",
];

/// How many scenarios this file holds, for the test that none is left off the list.
#[must_use]
pub fn count_in_source() -> usize {
    include_str!("conformance.rs").lines().filter(|l| l.starts_with("pub async fn ")).count()
}

/// A request for one short line.
#[must_use]
pub fn hello() -> LlmRequest {
    LlmRequest::new()
        .user("Say: hello from the suite")
        .seed(1)
        .offline(OfflineTemplate::new("hello from the {{ what }}", json!({ "what": "suite" })))
}

/// A request that is to call `weather.get` for Vienna.
#[must_use]
pub fn weather() -> LlmRequest {
    let step = PlanStep {
        id: "w1".into(),
        tool: "weather.get".into(),
        args: json!({ "city": "Vienna" }),
        after: Vec::new(),
        when: None,
    };
    let plan = OfflinePlan { steps: vec![step], answer: "it is {{ w1.sky }} in Vienna".into() };
    LlmRequest::new()
        .user("What is the weather in Vienna? Use the tool.")
        .tool(ToolSpec {
            name: "weather.get".into(),
            doc: "The weather of a city.".into(),
            input_schema: json!({
                "type": "object",
                "properties": { "city": { "type": "string" } },
                "required": ["city"],
            }),
        })
        .tool_choice(ToolChoice::Auto)
        .offline(plan)
}

/// A request for JSON `{"product": text, "price": integer or null}`.
#[must_use]
pub fn product() -> LlmRequest {
    LlmRequest::new()
        .user("Product: Sencha\nPrice: 12")
        .output_schema(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["product", "price"],
            "properties": { "product": { "type": "string" }, "price": { "type": ["integer", "null"] } },
        }))
        .offline(OfflineTask::Fill { facts: Value::Null })
}

/// A text request gets words, a reason for its end, and the names of who answered.
pub async fn text_is_answered(model: Arc<dyn Llm>) -> Result<()> {
    let answer = model.complete(hello()).await?;
    assert!(answer.text.contains("hello"), "{}", answer.text);
    assert_eq!(answer.stop, StopKind::Done);
    assert_eq!(answer.provider, model.provider());
    assert!(!answer.model.is_empty());
    Ok(())
}

/// The pieces of the stream, joined, are the whole answer.
pub async fn stream_joined_is_the_answer(model: Arc<dyn Llm>) -> Result<()> {
    let mut stream = model.call(hello()).await?;
    let mut joined = String::new();
    while let Some(delta) = stream.next().await {
        if let Delta::Text { choice: 0, text } = delta? {
            joined.push_str(&text);
        }
    }
    assert_eq!(joined, model.complete(hello()).await?.text);
    Ok(())
}

/// `Started` first, `Usage` once, `Done` last and nothing after it.
pub async fn stream_starts_and_ends_in_order(model: Arc<dyn Llm>) -> Result<()> {
    let deltas: Vec<Delta> =
        model.call(hello()).await?.collect::<Vec<_>>().await.into_iter().collect::<Result<_>>()?;
    assert!(matches!(deltas.first(), Some(Delta::Started { .. })), "{deltas:?}");
    assert!(matches!(deltas.last(), Some(Delta::Done(_))), "{deltas:?}");
    assert_eq!(deltas.iter().filter(|d| matches!(d, Delta::Usage(_))).count(), 1);
    assert_eq!(deltas.iter().filter(|d| matches!(d, Delta::Done(_))).count(), 1);
    Ok(())
}

/// Tokens are counted on both sides, and the estimate before the call is above zero.
pub async fn usage_is_counted(model: Arc<dyn Llm>) -> Result<()> {
    assert!(model.count(&hello())?.tokens > 0);
    let usage = model.complete(hello()).await?.usage;
    assert!(usage.input_uncached + usage.input_cache_read + usage.input_cache_write > 0, "{usage:?}");
    assert!(usage.output_visible > 0, "{usage:?}");
    Ok(())
}

/// The model asks for a tool, gets its result and answers with it.
pub async fn tool_call_round_trip(model: Arc<dyn Llm>) -> Result<()> {
    if !model.caps(None).tools {
        let refused = model.complete(weather()).await.map(drop);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
        return Ok(());
    }
    let asked = model.complete(weather()).await?;
    assert_eq!(asked.stop, StopKind::ToolCalls);
    let call = asked.tool_calls.first().cloned();
    assert_eq!(call.as_ref().map(|c| c.name.as_str()), Some("weather.get"));
    let Some(call) = call else { return Ok(()) };
    assert_eq!(call.args, json!({ "city": "Vienna" }));
    let spoken = PartBody::ToolCall { id: call.id.clone(), name: call.name.clone(), args: call.args };
    let result = Part::tool_result(call.id, call.name, json!({ "sky": "sunny" }));
    let request = weather()
        .message(Message::new(Role::Assistant, vec![spoken.into()]))
        .message(Message::new(Role::Tool, vec![result]));
    let answer = model.complete(request).await?;
    assert!(answer.text.contains("sunny"), "{}", answer.text);
    assert_eq!(answer.stop, StopKind::Done);
    Ok(())
}

/// An answer under a schema is parsed and fits it.
pub async fn schema_answer_fits(model: Arc<dyn Llm>) -> Result<()> {
    if !model.caps(None).json_schema {
        let refused = model.complete(product()).await.map(drop);
        assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
        return Ok(());
    }
    let answer = model.complete(product()).await?;
    let value = answer.json.unwrap_or_default();
    assert_eq!(value.get("product"), Some(&json!("Sencha")));
    let wanted = product().output_schema.unwrap_or_default();
    assert_eq!(schema::check(&wanted, &value)?, []);
    Ok(())
}

/// A request that is wrong in itself never reaches the model.
pub async fn wrong_request_is_invalid_input(model: Arc<dyn Llm>) -> Result<()> {
    let empty = model.call(LlmRequest::new()).await.map(drop);
    assert_eq!(empty.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    let mut hot = hello();
    hot.temperature = Some(7.0);
    let hot = model.call(hot).await.map(drop);
    assert_eq!(hot.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    Ok(())
}

/// A model the provider does not have is `NotFound`.
pub async fn unknown_model_is_not_found(model: Arc<dyn Llm>) -> Result<()> {
    let missing = model.complete(hello().model("no-such-model")).await.map(drop);
    assert_eq!(missing.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    Ok(())
}

/// A stream may be dropped after its first piece; the next call works as if nothing had been.
pub async fn dropped_stream_stops(model: Arc<dyn Llm>) -> Result<()> {
    let mut stream = model.call(hello()).await?;
    assert!(stream.next().await.is_some());
    drop(stream);
    assert!(model.complete(hello()).await?.text.contains("hello"));
    Ok(())
}

/// A model that declares seeds gives the same answer twice.
pub async fn seeded_model_repeats_itself(model: Arc<dyn Llm>) -> Result<()> {
    let (a, b) = (model.complete(hello()).await?, model.complete(hello()).await?);
    if model.caps(None).seeded {
        assert_eq!(a, b);
    }
    Ok(())
}

/// Makes a test of each scenario of the suite. `open` is `async fn(case: &str) -> Result<Arc<dyn Llm>>`.
#[macro_export]
macro_rules! llm_conformance {
    ($open:expr) => {
        $crate::llm_conformance!(@each $open; text_is_answered, stream_joined_is_the_answer,
            stream_starts_and_ends_in_order, usage_is_counted, tool_call_round_trip, schema_answer_fits,
            wrong_request_is_invalid_input, unknown_model_is_not_found, dropped_stream_stops,
            seeded_model_repeats_itself);
    };
    (@each $open:expr; $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() -> $crate::Result<()> {
                $crate::llm::conformance::$case($open(stringify!($case)).await?).await
            }
        )+

        #[test]
        fn every_case_of_the_suite_is_run() {
            assert_eq!([$(stringify!($case)),+].as_slice(), $crate::llm::conformance::CASES);
            assert_eq!($crate::llm::conformance::CASES.len(), $crate::llm::conformance::count_in_source());
        }
    };
}
