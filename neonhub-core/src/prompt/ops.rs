//! Rendering a prompt from any language, and trying it on a model.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ops_read::{FoundPrompt, found};
use super::registry::{Prompt, Rendered};
use super::variable::{PromptValue, PromptVar, VarKind};
use crate::llm::{MAX_SEED, StopKind, Usage};
use crate::op::{Cost, Effect, Operation};
use crate::permission::Permission;
use crate::{Error, ErrorKind, Result, Scope};

/// Renders a prompt with labelled values, as a run would: one that is given whole, or one of the registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RenderPrompt {
    /// The prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
    /// In its place, one of the registry: `name`, `name@label`, `name@3` or `name@draft`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Who or what it is for, as for `prompts.get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its values by name.
    pub values: BTreeMap<String, PromptValue>,
}

impl Operation for RenderPrompt {
    type Output = Rendered;
    const NAME: &'static str = "prompts.render";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] =
        &["unknown_prompt", "unknown_label", "unknown_version", "no_draft"];
    async fn run(self, cx: &Scope) -> Result<Rendered> {
        let prompt = match (self.prompt, self.reference) {
            (Some(prompt), None) => {
                prompt.check().map_err(|error| error.for_operation(Self::NAME))?;
                prompt
            }
            (None, Some(reference)) => {
                found(cx, Self::NAME, &reference, self.unit.as_deref(), None).await?.prompt
            }
            _ => return Err(Error::invalid(Self::NAME, "prompt", "expected either a prompt or a reference")),
        };
        prompt.render(&self.values).map_err(|error| error.for_operation(Self::NAME))
    }
    fn examples() -> Vec<Self> {
        let prompt = Prompt::new("mail/subject", 1, "Write a subject line about {{ topic }}.")
            .var(PromptVar::required("topic", VarKind::Text));
        let values: BTreeMap<_, _> = [("topic".to_owned(), "green tea".into())].into();
        vec![RenderPrompt { prompt: Some(prompt), values, ..Self::default() }]
    }
}

/// Tries a prompt of the registry, its draft for one: renders it and asks the model. Nothing is counted or kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestPrompt {
    /// `name`, `name@label`, `name@3` or `name@draft`.
    pub reference: String,
    /// Its values by name.
    pub values: BTreeMap<String, PromptValue>,
    /// The model, as `provider/model`. Default: what the route of the prompt chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Makes the answer repeatable where the model allows it; below 2^53. Default: 0.
    pub seed: u64,
}

/// What a prompt brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestedPrompt {
    /// The prompt as it was rendered.
    pub rendered: Rendered,
    /// The answer.
    pub text: String,
    /// The parsed answer, when the prompt asks for a shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Tokens used.
    pub usage: Usage,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// True when the offline model made it.
    pub is_offline: bool,
}

impl Operation for TestPrompt {
    type Output = TestedPrompt;
    const NAME: &'static str = "prompts.test";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent, Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const COST: Cost = Cost::Model;
    // 600 s: as for every call of a model.
    const DEADLINE: Duration = Duration::from_secs(600);
    const ERRORS: &'static [&'static str] =
        &["unknown_prompt", "unknown_label", "unknown_version", "no_draft", "invalid_output", "refused"];

    async fn run(self, cx: &Scope) -> Result<TestedPrompt> {
        let FoundPrompt { prompt, .. } = found(cx, Self::NAME, &self.reference, None, None).await?;
        let named = |error: Error| error.for_operation(Self::NAME);
        let rendered = prompt.render(&self.values).map_err(named)?;
        let mut request = prompt.request(&self.values).map_err(named)?.purpose("test");
        request.seed = Some(self.seed & MAX_SEED);
        if self.model.is_some() {
            (request.model, request.route) = (self.model, None);
        }
        let answer = cx.model().complete(request).await.map_err(named)?;
        if let StopKind::Refused { .. } = answer.stop {
            return Err(Error::new(ErrorKind::Blocked, Self::NAME, "the model refused to answer")
                .with_code("refused"));
        }
        Ok(TestedPrompt {
            rendered,
            is_offline: answer.origin.is_offline(),
            text: answer.text,
            json: answer.json,
            usage: answer.usage,
            provider: answer.provider,
            model: answer.model,
        })
    }

    fn examples() -> Vec<Self> {
        let values = [("topic".to_owned(), "green tea".into())].into();
        vec![TestPrompt { reference: "mail/subject@draft".into(), values, ..Self::default() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hub;

    #[tokio::test]
    async fn a_prompt_is_checked_and_rendered() {
        let cx = Hub::builder().build().await.unwrap().workspace("default").await.unwrap();
        let mut op = RenderPrompt::examples().remove(0);
        assert_eq!(cx.call(op.clone()).await.unwrap().text, "Write a subject line about green tea.");
        op.values.clear();
        let missing = cx.call(op.clone()).await.unwrap_err();
        assert_eq!(missing.field_faults()[0].field, "topic");
        op.prompt.as_mut().unwrap().template = "{{ other }}".into();
        assert!(cx.call(op.clone()).await.unwrap_err().message().contains("other is not declared"));
        op.prompt = None;
        assert_eq!(cx.call(op).await.unwrap_err().field_faults()[0].field, "prompt");
    }
}
