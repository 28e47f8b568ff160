//! Evals over a hub in memory, with a scripted model and a tool that counts its calls.

mod figures;
mod grading;
mod play;
mod safety;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use neonhub_core::llm::{Reply, Scripted, ToolCall};
use neonhub_core::prompt::Prompt;
use neonhub_core::run::EffectClass;
use neonhub_core::tool::{FnTool, ToolInfo};
use neonhub_core::{Hub, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::registry::{ActivateAgent, AgentSpec, ExecuteAgent, Executed, PutAgent};

/// What the tool is asked.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Stock {
    /// Number of the article.
    sku: String,
}

/// What the function of the host is given.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Exam {
    output: Value,
}

/// A workspace with the agent `clerk`, and how often its tool was really called.
pub(super) async fn open() -> (Scope, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let info = ToolInfo::new("shop.stock", "How many of an article are in stock").effect(EffectClass::Read);
    let stock = FnTool::new(info, move |_cx: Scope, ask: Stock| {
        let counted = Arc::clone(&counted);
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(json!({ "sku": ask.sku, "left": 42, "source": "sku_1", "keeper": { "first_name": "Zelda" } }))
        }
    });
    let info = ToolInfo::new("check.polite", "Whether a text is polite").effect(EffectClass::Pure);
    let polite = FnTool::new(info, |_cx: Scope, exam: Exam| async move {
        let text = exam.output["text"].as_str().unwrap_or_default();
        Ok(json!({ "score": if text.contains("please") { 1.0 } else { 0.25 }, "why": "manners" }))
    });
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-24T15:00:00Z").unwrap()));
    let builder = crate::install(neonhub_rag::install(Hub::builder())).clock(clock).seed(11);
    let hub = builder.tool(stock).tool(polite).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(PutAgent { spec: clerk() }).await.unwrap();
    cx.call(ActivateAgent { name: "clerk".into(), version: Some("1.0.0".into()) }).await.unwrap();
    (cx, calls)
}

pub(super) fn clerk() -> AgentSpec {
    AgentSpec {
        instructions: Some(Prompt::new("clerk", 1, "You are a clerk of the shop of Lumen.")),
        tools: vec!["shop.stock".into(), "sms.segments".into(), "brands.create".into()],
        ..crate::registry::tests::modelled()
    }
}

pub(super) fn calls(tool: &str, args: Value) -> Reply {
    Reply::Tools(vec![ToolCall { id: "c".into(), name: tool.into(), args }])
}

pub(super) fn stock(sku: &str) -> Reply {
    calls("shop.stock", json!({ "sku": sku }))
}

/// From now on this script answers.
pub(super) fn play_script(cx: &Scope, script: Scripted) -> Arc<Scripted> {
    let script = Arc::new(script);
    cx.hub().add_model(Arc::clone(&script) as _);
    script
}

pub(super) async fn ask(cx: &Scope, words: &str) -> Executed {
    cx.call(ExecuteAgent::new("clerk.work", json!({ "ask": words }))).await.unwrap()
}

/// A case of the clerk whose tool is recorded for one article.
pub(super) fn case(name: &str, graders: Vec<Grader>) -> EvalCase {
    let tool = RecordedTool {
        tool: "shop.stock".into(),
        args: Some(json!({ "sku": "T-100" })),
        output: json!({ "left": 42, "source": "sku_1" }),
        failure: None,
    };
    EvalCase {
        name: name.into(),
        intent: "work".into(),
        input: json!({ "ask": "How many T-100 are left?" }),
        context: Snapshot { tools: vec![tool], ..Snapshot::default() },
        graders,
        ..EvalCase::default()
    }
}

pub(super) async fn put(cx: &Scope, cases: Vec<EvalCase>) {
    let set = EvalSet { name: "clerk/stock".into(), agent: "clerk".into(), note: String::new(), cases };
    cx.call(PutEvalSet { set }).await.unwrap();
}

pub(super) fn evals() -> RunEvals {
    RunEvals { set: "clerk/stock".into(), ..RunEvals::default() }
}

pub(super) fn contains(text: &str) -> Grader {
    Grader::Contains { path: "text".into(), text: text.into(), absent: false }
}

#[test]
fn every_operation_has_an_example_that_its_own_type_reads() {
    for entry in CATALOGUE {
        let examples = (entry.examples)();
        assert!(!examples.is_empty(), "{}", entry.name);
        for example in examples {
            (entry.normal)(example).unwrap();
        }
    }
}
