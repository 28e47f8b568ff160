//! Making plans: from tasks in a row or side by side, and from the brief of a campaign.

use neonhub_core::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::{AgentPlan, PlanNode, Undo};
use crate::campaign::Brief;

/// One piece of work for a plan that is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanTask {
    /// The intent, as `agent.intent`.
    pub intent: String,
    /// Its input. In a chain, `{{previous.output.field}}` refers to the task before.
    pub input: Value,
    /// Id of the node. Default: `step_1`, `step_2` and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// How the tasks of a plan follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanShape {
    /// One after the other.
    #[default]
    Chain,
    /// All at once.
    Parallel,
}

/// The plan of a list of tasks.
pub(super) fn of_tasks(goal: &str, tasks: &[PlanTask], shape: PlanShape, budget: Option<Money>) -> AgentPlan {
    let ids: Vec<String> = tasks
        .iter()
        .enumerate()
        .map(|(i, task)| task.id.clone().unwrap_or_else(|| format!("step_{}", i + 1)))
        .collect();
    let nodes = tasks.iter().zip(&ids).enumerate().map(|(i, (task, id))| {
        let (agent, intent) = task.intent.split_once('.').unwrap_or(("", &task.intent));
        let previous =
            i.checked_sub(1).and_then(|before| ids.get(before)).filter(|_| shape == PlanShape::Chain);
        PlanNode {
            id: id.clone(),
            agent: agent.to_owned(),
            intent: intent.to_owned(),
            input: previous.map_or_else(|| task.input.clone(), |before| named(&task.input, before)),
            depends_on: previous.into_iter().cloned().collect(),
            ..PlanNode::default()
        }
    });
    AgentPlan { goal: goal.to_owned(), nodes: nodes.collect(), budget }
}

/// The input with the word `previous` of its references replaced by the id of a node.
fn named(input: &Value, before: &str) -> Value {
    match input {
        Value::String(text) => {
            let open = text.replace("{{previous.output", &format!("{{{{{before}.output"));
            open.replace("{{ previous.output", &format!("{{{{{before}.output")).into()
        }
        Value::Array(items) => items.iter().map(|item| named(item, before)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), named(item, before))).collect(),
        other => other.clone(),
    }
}

/// The plan from a brief to texts that a person can release: making, planning and writing a campaign. What is made is
/// closed again when a later step fails. The release and the launch stay with people.
pub(super) fn of_brief(brief: &Brief, budget: Option<Money>) -> AgentPlan {
    let node = |id: &str, intent: &str, input: Value| PlanNode {
        id: id.to_owned(),
        agent: "campaign".to_owned(),
        intent: intent.to_owned(),
        input,
        ..PlanNode::default()
    };
    let made = json!({ "id": "{{create.output.id}}" });
    let create = PlanNode {
        undo: Some(Undo { agent: "campaign".to_owned(), intent: "close".to_owned(), input: made.clone() }),
        ..node("create", "create_campaign", json!({ "brief": brief }))
    };
    let write =
        PlanNode { depends_on: vec!["plan".to_owned()], ..node("write", "generate_assets", made.clone()) };
    AgentPlan { goal: brief.goal.clone(), nodes: vec![create, node("plan", "plan", made), write], budget }
}
