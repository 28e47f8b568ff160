//! What a run of an agent works with.

use neonhub_core::llm::{OfflinePlan, OfflineTemplate, Taint, ToolSpec};
use neonhub_core::run::EffectClass;
use neonhub_core::tool::stands_for;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fence::Fence;
use super::instruct::PromptMark;
use super::model::{Guardrails, OutputCheck};

/// What a run of an agent works with: fixed when it begins, and in its log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Desk {
    /// The operation that does it all, with its input.
    pub(super) act: Option<(String, Value)>,
    /// True when that operation may be called again after it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) may_act_again: bool,
    pub(super) system: String,
    /// The prompt behind `system`, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<PromptMark>,
    pub(super) tools: Vec<DeskTool>,
    /// Reads on in an answer that was too long. It is on the desk from the first such answer on; runs that began before there
    /// was one have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reader: Option<DeskTool>,
    /// The schema of the output; none: words.
    pub(super) wanted: Option<Value>,
    /// What the offline model does in the place of a real one.
    pub(super) offline: Option<OfflinePlan>,
    /// What it says, where it has no plan and words are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) template: Option<OfflineTemplate>,
    pub(super) route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    pub(super) guardrails: Option<Guardrails>,
    pub(super) checks: Vec<OutputCheck>,
    pub(super) fence: Fence,
}

impl Desk {
    /// The tools that the model is told of, in the order of their names.
    pub(super) fn offered(&self, has_aside: bool) -> impl Iterator<Item = &DeskTool> {
        let is_new = |tool: &&DeskTool| self.tools.iter().all(|other| other.spec.name != tool.spec.name);
        let reader = self.reader.as_ref().filter(|_| has_aside).filter(is_new);
        let at =
            reader.map_or(0, |reader| self.tools.partition_point(|tool| tool.spec.name < reader.spec.name));
        let (before, after) = self.tools.split_at_checked(at).unwrap_or_default();
        before.iter().chain(reader).chain(after)
    }

    /// The tool that a model means by a name: its own or, as with `sendEmail` and `send_email`, another one.
    pub(super) fn tool(&self, name: &str) -> Option<&DeskTool> {
        let all = || self.tools.iter().chain(&self.reader);
        let own = all().find(|tool| tool.spec.name == name);
        own.or_else(|| {
            let operation = stands_for(name)?;
            all().find(|tool| tool.spec.name == operation || stands_for(&tool.spec.name) == Some(operation))
        })
    }
}

/// A tool on the desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DeskTool {
    pub(super) spec: ToolSpec,
    pub(super) class: EffectClass,
    /// The label of its answers.
    pub(super) taint: Taint,
}
