//! Plans: what is refused before they run, how nodes follow each other, how they fail, and what survives a kill.

mod check;
mod crash;
mod fork;
mod mend;
mod room;
mod run;
mod steps;
mod team;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use neonhub_core::run::EffectClass;
use neonhub_core::tool::{FnTool, Tool, ToolInfo};
use neonhub_core::{Error, ErrorKind, Hub, ManualClock, Permission, Retry, Scope, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::registry::{ActivateAgent, AgentSpec, IntentSpec, PutAgent};

/// What the nodes of a test did, in order.
#[derive(Debug, Default)]
pub(super) struct Diary {
    pub(super) lines: Mutex<Vec<String>>,
    /// So often the work with this name still fails.
    pub(super) failing: Mutex<BTreeMap<String, u32>>,
    pub(super) at_once: AtomicU32,
    pub(super) most_at_once: AtomicU32,
}

impl Diary {
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The work with this name never ends.
    pub(super) fn hang(&self, name: &str) {
        self.fail(name, u32::MAX);
    }

    pub(super) fn fail(&self, name: &str, times: u32) {
        self.failing.lock().unwrap().insert(name.to_owned(), times);
    }
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-24T15:00:00Z").unwrap()))
}

/// What a worker is told.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Ask {
    pub(super) name: String,
    #[serde(default)]
    say: Value,
}

/// A tool that writes into the diary what it is told, counts, and fails when the diary says so.
fn worker(diary: &Arc<Diary>, name: &str, effect: EffectClass) -> Arc<dyn Tool> {
    let diary = Arc::clone(diary);
    let info = ToolInfo::new(name, "Works").effect(effect);
    FnTool::new(info, move |_cx: Scope, ask: Ask| {
        let diary = Arc::clone(&diary);
        async move {
            let name = ask.name;
            let now = diary.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            diary.most_at_once.fetch_max(now, Ordering::SeqCst);
            // Others get their turn, so that what may run side by side does.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            diary.at_once.fetch_sub(1, Ordering::SeqCst);
            let hangs = diary.failing.lock().unwrap().get(&name) == Some(&u32::MAX);
            if hangs {
                diary.lines.lock().unwrap().push(format!("{name} hangs"));
                std::future::pending::<()>().await;
            }
            let mut failing = diary.failing.lock().unwrap();
            if let Some(left) = failing.get_mut(&name).filter(|left| **left > 0) {
                *left -= 1;
                diary.lines.lock().unwrap().push(format!("{name} failed"));
                return Err(Error::new(ErrorKind::Unavailable, "test.work", "out of order")
                    .with_retry(Retry::Backoff));
            }
            diary.lines.lock().unwrap().push(name.clone());
            Ok(json!({ "name": name, "length": name.len(), "said": ask.say }))
        }
    })
}

fn intent(name: &str, effect_max: EffectClass) -> IntentSpec {
    let fields = json!({ "type": "object", "properties": { "name": { "type": "string" }, "say": true,
        "n": { "type": "integer" } }, "required": ["name"], "additionalProperties": false });
    let output = json!({ "type": "object", "properties": { "name": { "type": "string" },
        "length": { "type": "integer" }, "said": true }, "required": ["name", "length"] });
    IntentSpec {
        name: name.into(),
        doc: format!("Does {name}."),
        input_schema: fields,
        output_schema: output,
        effect_max,
        ..IntentSpec::default()
    }
}

/// An agent without a model of its own: offline it calls the tool and gives what it said.
fn agent(name: &str) -> AgentSpec {
    use neonhub_core::llm::{OfflinePlan, PlanStep};
    let step = PlanStep {
        id: "w".into(),
        tool: "test.work".into(),
        args: json!("$input"),
        after: vec![],
        when: None,
    };
    AgentSpec {
        name: name.into(),
        version: "1.0.0".into(),
        title: name.into(),
        purpose: "Works.".into(),
        intents: vec![intent("work", EffectClass::Read), intent("act", EffectClass::Write)],
        instructions: Some(neonhub_core::prompt::Prompt::new("t", 1, "Work.")),
        tools: vec!["test.work".into()],
        permissions: vec![Permission::ExecuteAgents, Permission::ReadContent],
        offline_plan: Some(OfflinePlan {
            steps: vec![step],
            answer: "{% if w %}{{ json(w) }}{% else %}{{ pick([]) }}{% endif %}".into(),
        }),
        owner: "ada".into(),
        ..AgentSpec::default()
    }
}

pub(super) async fn open(builder: neonhub_core::HubBuilder) -> (Scope, Arc<Diary>) {
    let diary = Arc::new(Diary::default());
    let hub = crate::install(neonhub_rag::install(builder)).build().await.unwrap();
    hub.add_tool(worker(&diary, "test.work", EffectClass::Read)).unwrap();
    hub.add_tool(worker(&diary, "test.change", EffectClass::Idempotent)).unwrap();
    (hub.workspace("default").await.unwrap(), diary)
}

pub(super) async fn world() -> (Scope, Arc<Diary>) {
    let (cx, diary) = open(Hub::builder().clock(clock()).seed(3)).await;
    hire(&cx).await;
    (cx, diary)
}

pub(super) async fn hire(cx: &Scope) {
    for name in ["ann", "bob"] {
        cx.call(PutAgent { spec: agent(name) }).await.unwrap();
        let version = Some("1.0.0".to_owned());
        cx.call(ActivateAgent { name: name.into(), version }).await.unwrap();
    }
}

pub(super) fn node(id: &str, before: &[&str]) -> PlanNode {
    PlanNode {
        id: id.into(),
        agent: "ann".into(),
        intent: "work".into(),
        input: json!({ "name": id }),
        depends_on: before.iter().map(|b| (*b).to_owned()).collect(),
        ..PlanNode::default()
    }
}

pub(super) fn plan(nodes: Vec<PlanNode>) -> AgentPlan {
    AgentPlan { goal: "test".into(), nodes, budget: None }
}

pub(super) async fn run(cx: &Scope, nodes: Vec<PlanNode>) -> PlanView {
    cx.call(RunPlan { plan: plan(nodes), ..RunPlan::default() }).await.unwrap()
}

pub(super) fn states(view: &PlanView) -> Vec<(&str, NodeState)> {
    view.nodes.iter().map(|node| (node.id.as_str(), node.state)).collect()
}
