//! Plans as data.

use neonhub_core::run::EffectClass;
use neonhub_core::{Money, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::hash_of;

/// When a node may begin, by what it depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "join", rename_all = "snake_case", deny_unknown_fields)]
pub enum NodeJoin {
    /// Each has ended, well or skipped.
    #[default]
    All,
    /// One has ended, well or not.
    Any,
    /// So many have ended well.
    Quorum {
        /// How many, 1 or more.
        n: u32,
    },
    /// The first in the order of the plan that ended well is enough.
    FirstOk,
}

/// What happens when a node has failed for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "on_failure", rename_all = "snake_case", deny_unknown_fields)]
pub enum NodeFailure {
    /// The plan fails; what has ended well is undone where it can be.
    #[default]
    Fail,
    /// The node is skipped.
    Skip,
    /// Another intent takes the same input.
    Fallback {
        /// The other agent.
        agent: String,
        /// Its intent.
        intent: String,
    },
    /// The plan waits until somebody retries or skips the node.
    Ask,
}

/// How the work of a node is taken back when the plan fails later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The agent.
    pub agent: String,
    /// Its intent.
    pub intent: String,
    /// Its input; may refer to the output of the node itself.
    pub input: Value,
}

/// One piece of work in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanNode {
    /// Unique in the plan: `[a-z][a-z0-9_]*`, 1 to 40 characters.
    pub id: String,
    /// The agent that does it.
    pub agent: String,
    /// What the agent is asked for.
    pub intent: String,
    /// The input of the intent, an object. A text `{{node.output.field}}` is replaced by that value; inside a longer
    /// text, by its words.
    pub input: Value,
    /// Nodes that come before it, beside those its input refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// When it may begin.
    pub when: NodeJoin,
    /// The most it may do to the world. Default: what its intent does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect_max: Option<EffectClass>,
    /// What it costs about. Default: the hint of its intent, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_estimate: Option<Money>,
    /// True when the plan goes on without it; its failure counts as skipped.
    pub optional: bool,
    /// What its failure does.
    pub failure: NodeFailure,
    /// How it is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

/// Work for several agents: a graph of nodes without circles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentPlan {
    /// What it is for.
    pub goal: String,
    /// The nodes, 1 to 200. Results are taken in this order.
    pub nodes: Vec<PlanNode>,
    /// Most money for models of the whole plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
}

/// What a plan comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanTotals {
    /// Nodes.
    pub nodes: u32,
    /// The longest chain of nodes that wait for each other.
    pub depth: u32,
    /// The sum of the estimates that are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// Nodes whose cost nobody has estimated; they are not in the sum, and not free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Nodes that can be taken back, in the order in which that would happen after all have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback: Vec<String>,
}

impl AgentPlan {
    /// SHA-256 over the RFC 8785 form of the plan, in hex: what an approval is bound to.
    ///
    /// # Errors
    /// `InvalidInput` for a number that JSON cannot carry.
    pub fn hash(&self) -> Result<String> {
        let value = serde_json::to_value(self)
            .map_err(|cause| neonhub_core::Error::internal("orchestrator.plan", cause))?;
        hash_of(&value)
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&PlanNode> {
        self.nodes.iter().find(|node| node.id == id)
    }
}
