//! The raw call of a model that moderates.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ModerationRequest, ModerationVerdict};
use crate::llm::table::Prices;
use crate::llm::{ModelCost, Origin, Router, Usage};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Error, Faults, Result, Scope};

/// Most texts of one call.
const MAX_TEXTS: usize = 2_048;

/// Judges texts by category. This is the model alone: thresholds, cases and appeals are matters of a policy. Offline,
/// word lists in English judge; they find what is said plainly and miss what is only meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModerateTexts {
    /// The texts, 1 to 2 048.
    pub texts: Vec<String>,
    /// The route that chooses the model, by its name. Default: `moderation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The model itself, in the place of a route: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModeratedTexts {
    /// One for each text, in order.
    pub verdicts: Vec<ModerationVerdict>,
    /// Tokens used, an estimate: providers do not count them here.
    pub usage: Usage,
    /// What it cost by the model table; absent when no price is known, which does not mean that it was free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// Who judged.
    pub origin: Origin,
    /// True when word lists judged.
    pub is_offline: bool,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
}

impl Operation for ModerateTexts {
    type Output = ModeratedTexts;
    const NAME: &'static str = "ai.moderate";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = Duration::from_secs(120);
    const ERRORS: &'static [&'static str] = &["undecodable", "truncated", "budget_paused", "budget_spent"];

    async fn run(self, cx: &Scope) -> Result<ModeratedTexts> {
        let mut faults = Faults::new();
        let fits = (1..=MAX_TEXTS).contains(&self.texts.len());
        faults.check(fits, "texts", "expected 1 to 2 048 texts: call it in batches");
        faults.into_result(Self::NAME)?;
        let (router, named) = Router::for_call(cx, Self::NAME, self.route, self.model).await?;
        let request = ModerationRequest::texts(self.texts);
        let input = request.tokens();
        let made = Box::pin(router.moderate(cx, &named, request)).await;
        let made = made.map_err(|error: Error| error.for_operation(Self::NAME))?;
        let usage = Usage { input_uncached: input, ..Usage::default() };
        let who = (made.provider.as_str(), made.model.as_str());
        let cost = router.cost_of(who, made.origin, &usage, Prices::clone);
        Ok(ModeratedTexts {
            verdicts: made.verdicts,
            usage,
            cost,
            origin: made.origin,
            is_offline: made.origin.is_offline(),
            provider: made.provider,
            model: made.model,
        })
    }

    fn examples() -> Vec<Self> {
        let texts = vec!["Our teas are picked by hand.".into(), "I will kill you.".into()];
        vec![ModerateTexts { texts, ..Self::default() }]
    }
}
