//! Rendering a prompt from any language.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::{Prompt, PromptValue, PromptVar, Rendered, VarKind};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Result, Scope};

/// Renders a prompt with labelled values, as a run would.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// Its values by name.
    #[serde(default)]
    pub values: BTreeMap<String, PromptValue>,
}

impl Operation for RenderPrompt {
    type Output = Rendered;
    const NAME: &'static str = "prompts.render";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, _cx: &Scope) -> Result<Rendered> {
        self.prompt.check().map_err(|error| error.for_operation(Self::NAME))?;
        self.prompt.render(&self.values).map_err(|error| error.for_operation(Self::NAME))
    }
    fn examples() -> Vec<Self> {
        let prompt = Prompt::new("mail/subject", 1, "Write a subject line about {{ topic }}.")
            .var(PromptVar::required("topic", VarKind::Text));
        vec![RenderPrompt { prompt, values: [("topic".to_owned(), "green tea".into())].into() }]
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
        op.prompt.template = "{{ other }}".into();
        assert!(cx.call(op).await.unwrap_err().message().contains("other is not declared"));
    }
}
