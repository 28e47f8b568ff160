//! Agents as data: what they are, how they are asked, how their runs go.

mod aside;
mod away;
mod injection;
mod model;
mod prompt;
mod run;
mod sinks;
mod sinks_named;
mod spec;

use std::sync::Arc;

use neonhub_core::prompt::Prompt;
use neonhub_core::{Hub, ManualClock, Permission, Scope, Timestamp};
use serde_json::json;

use super::*;

pub(crate) fn builder(clock: &Arc<ManualClock>) -> neonhub_core::HubBuilder {
    crate::install(neonhub_rag::install(Hub::builder())).clock(Arc::clone(clock) as _).seed(11)
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-24T15:00:00Z").unwrap()))
}

pub(crate) async fn scope() -> Scope {
    builder(&clock()).build().await.unwrap().workspace("default").await.unwrap()
}

/// An agent whose one intent `work` is done by a model with two tools that read.
pub(crate) fn modelled() -> AgentSpec {
    AgentSpec {
        name: "clerk".into(),
        version: "1.0.0".into(),
        title: "Clerk".into(),
        purpose: "Looks things up.".into(),
        intents: vec![IntentSpec {
            name: "work".into(),
            doc: "Looks something up.".into(),
            input_schema: json!({ "type": "object", "properties": { "ask": { "type": "string" } },
                "required": ["ask"], "additionalProperties": false }),
            ..IntentSpec::default()
        }],
        instructions: Some(Prompt::new("clerk", 1, "You are a clerk.")),
        tools: vec!["sms.segments".into(), "brands.list".into(), "brands.create".into()],
        permissions: vec![Permission::ReadContent, Permission::WriteBrand, Permission::ExecuteAgents],
        owner: "ada".into(),
        ..AgentSpec::default()
    }
}

pub(crate) async fn activate(cx: &Scope, spec: AgentSpec) -> AgentSpec {
    let (name, version) = (spec.name.clone(), Some(spec.version.clone()));
    cx.call(PutAgent { spec }).await.unwrap();
    cx.call(ActivateAgent { name, version }).await.unwrap()
}

pub(crate) fn ask(intent: &str, input: serde_json::Value) -> ExecuteAgent {
    ExecuteAgent::new(intent, input)
}
