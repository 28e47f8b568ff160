//! Answers of tools that are too long for a model to read at once, and tools under other names.

use neonhub_core::llm::{PartBody, Reply, Scripted, Taint, ToolCall};
use neonhub_core::run::{EffectClass, RunStatus};
use neonhub_core::tool::{FnTool, ToolInfo, ToolResult};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::runs::ReplayRun;

/// Nothing is asked.
#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Five hundred teas, of which at most `cap` bytes are given out at once.
fn shelf(cap: u64) -> Arc<dyn neonhub_core::tool::Tool> {
    let info = ToolInfo::new("shop.shelf", "All that is in stock").effect(EffectClass::Read);
    let info = ToolInfo { result_cap_bytes: cap, ..info };
    FnTool::new(info, |_cx: Scope, _ask: Nothing| async move {
        Ok((0..500).map(|n| format!("the tea {n}")).collect::<Vec<String>>())
    })
}

fn call(name: &str, args: Value) -> Reply {
    Reply::Tools(vec![ToolCall { id: "c".into(), name: name.into(), args }])
}

/// One run of an agent without any right but to read.
async fn play(cap: u64, tools: &[&str], script: Scripted) -> (Scope, Executed, Arc<Scripted>) {
    let cx = scope().await;
    cx.hub().add_tool(shelf(cap)).unwrap();
    let tools = tools.iter().map(|name| (*name).to_owned()).collect();
    let permissions = vec![Permission::ReadContent, Permission::SendMessages];
    activate(&cx, AgentSpec { tools, permissions, ..modelled() }).await;
    let script = Arc::new(script);
    cx.hub().add_model(Arc::clone(&script) as _);
    let done = cx.call(ask("clerk.work", json!({ "ask": "which teas?" }))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    script.finish();
    (cx, done, script)
}

/// The tool results that a request shows, oldest first.
fn results(script: &Scripted, request: usize) -> Vec<(Value, Taint)> {
    let parts = script.requests()[request].messages.clone().into_iter().flat_map(|m| m.parts);
    let result = |part: neonhub_core::llm::Part| match part.body {
        PartBody::ToolResult { output, .. } => Some((output, part.taint)),
        _ => None,
    };
    parts.filter_map(result).collect()
}

fn offered(script: &Scripted, request: usize) -> Vec<String> {
    script.requests()[request].tools.iter().map(|tool| tool.name.clone()).collect()
}

#[tokio::test]
async fn a_model_reads_on_in_an_answer_that_was_too_long_for_its_tool() {
    let shelf = || call("shop.shelf", json!({}));
    let (cx, _, script) = play(4_096, &["shop.shelf"], Scripted::new().reply(shelf()).reply("many")).await;
    let (told, taint) = results(&script, 1).remove(0);
    assert_eq!((told["is_cut"].as_bool(), told["size_bytes"].as_u64()), (Some(true), Some(6_891)), "{told}");
    assert!(told["head"].as_str().unwrap().contains("the tea 0"));
    assert!(told["tail"].as_str().unwrap().contains("the tea 499"));
    assert_eq!(taint, Taint::ThirdPartyTool);
    assert_eq!(offered(&script, 0), ["shop.shelf"]);
    assert_eq!(offered(&script, 1), ["shop.shelf", "tools.read_result"]);
    let handle = told["handle"].as_str().unwrap();
    assert!(cx.get::<ToolResult>(handle).await.unwrap().is_some(), "kept with the outcome of the call");
    // The same run makes the same handle, so a script can name it.
    let read = call("tools.read_result", json!({ "handle": handle, "query": "tea 333", "limit": 400 }));
    let script = Scripted::new().reply(shelf()).reply(read).reply("tea 333");
    let (cx, done, script) = play(4_096, &["shop.shelf"], script).await;
    let (piece, taint) = results(&script, 2).remove(1);
    assert!(piece["text"].as_str().is_some_and(|text| text.contains("the tea 333")), "{piece}");
    assert_eq!(taint, Taint::ThirdPartyTool, "a piece is as the whole");
    let again = cx.call(ReplayRun { id: done.run }).await.unwrap();
    assert!(again.is_same, "{again:?}");
}

#[tokio::test]
async fn an_answer_within_the_bounds_of_its_tool_is_read_whole() {
    let script = Scripted::new().reply(call("shop.shelf", json!({}))).reply("many");
    let (_, _, script) = play(1 << 20, &["shop.shelf"], script).await;
    assert_eq!(results(&script, 1)[0].0.as_array().map(Vec::len), Some(500));
    assert_eq!(offered(&script, 1), ["shop.shelf"]);
}

#[tokio::test]
async fn an_agent_calls_a_tool_by_another_name() {
    let draft = json!({ "draft": "dft_01kaf3w0000000000000000000" });
    let mut by_sms = draft.clone();
    by_sms["channel"] = json!("sms");
    let script = Scripted::new()
        .reply(call("sendEmail", draft.clone()))
        .reply(call("send_email", by_sms))
        .reply("gone");
    let (_, _, script) = play(4_096, &["sendEmail"], script).await;
    assert_eq!(offered(&script, 0), ["send_email"]);
    let told = results(&script, 2);
    assert_eq!(told[0].0["error"], "not_found", "the operation was asked for the draft: {told:?}");
    assert!(told[1].0["message"].as_str().unwrap().contains("channel"), "{told:?}");
}
