//! The operation behind every free use of a model.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Answer, Citation, Origin, StopKind, Usage};
use super::part::{Message, Part, Role, Source};
use super::repaired;
use super::request::{LlmRequest, MAX_SEED};
use super::table::{ModelTable, Prices};
use super::task::{OfflineTask, OfflineTemplate};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Error, ErrorKind, Result, Scope};

/// One earlier turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `user` or `assistant`.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// A text to answer from, with the id to cite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// The id to cite.
    pub id: String,
    /// The text.
    pub text: String,
}

/// Asks the model of the hub. Offline it fills the template, fills the schema from the facts, or quotes the sources;
/// for anything else it says what to configure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateText {
    /// What is asked.
    pub prompt: String,
    /// Instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Earlier turns, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
    /// Texts to answer from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceText>,
    /// JSON Schema of the answer, when it is to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Facts that the offline model fills the schema from, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// Template that the offline model fills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_template: Option<OfflineTemplate>,
    /// Makes the answer repeatable where the model allows it; below 2^53. Default: drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The route that chooses the model, by its name. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The model itself, in the place of a route: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What a call of a model cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelCost {
    /// ISO 4217 code; `XXX` (no currency) for the offline model, which costs nothing.
    pub currency: String,
    /// Millionths of a unit of the currency, rounded up.
    pub micros: u64,
    /// True when the provider did not count the tokens.
    pub is_estimated: bool,
}

/// Something that was left out or cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable word.
    pub code: String,
    /// For a reader.
    pub message: String,
}

/// What the model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratedText {
    /// The text; of the first variant when several were asked for.
    pub text: String,
    /// Every variant, when more than one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// The parsed answer, when a schema was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Sources behind the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
    /// Tokens used.
    pub usage: Usage,
    /// What it cost by the model table; absent when no price is known, which does not mean that it was free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ModelCost>,
    /// What the text counts as.
    pub origin: Origin,
    /// True when the offline model made it.
    pub is_offline: bool,
    /// False when the token limit cut it.
    pub is_complete: bool,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// What was left out or cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl ModelCost {
    fn of(answer: &Answer, table: &ModelTable) -> Option<Self> {
        let row = table.answered(&answer.provider, &answer.model);
        Self::priced(answer.origin.is_offline(), row.and_then(|row| row.prices.as_ref()), &answer.usage)
    }

    /// What tokens cost; `None` when no price is known.
    pub(super) fn priced(is_offline: bool, prices: Option<&Prices>, usage: &Usage) -> Option<Self> {
        if is_offline {
            return Some(ModelCost { currency: "XXX".into(), micros: 0, is_estimated: false });
        }
        let prices = prices?;
        let micros = prices.cost(usage)?.micros();
        Some(ModelCost { currency: prices.currency.clone(), micros, is_estimated: !usage.exact })
    }
}

impl GeneratedText {
    fn new(answer: Answer, cost: Option<ModelCost>) -> Self {
        let warnings = answer.warnings.into_iter().map(|(code, message)| Warning { code, message });
        GeneratedText {
            is_offline: answer.origin.is_offline(),
            is_complete: answer.stop == StopKind::Done,
            text: answer.text,
            variants: answer.variants,
            json: answer.json,
            citations: answer.citations,
            usage: answer.usage,
            cost,
            origin: answer.origin,
            provider: answer.provider,
            model: answer.model,
            warnings: warnings.collect(),
        }
    }
}

impl GenerateText {
    fn request(self, seed: u64) -> LlmRequest {
        let mut request = LlmRequest::new().seed(self.seed.unwrap_or(seed)).purpose("generate");
        request.system = self.system.into_iter().map(Part::text).collect();
        for turn in self.turns {
            request = request.message(match turn.role {
                Role::Assistant => Message::assistant(turn.text),
                _ => Message::user(turn.text),
            });
        }
        if !self.prompt.is_empty() {
            request = request.user(self.prompt);
        }
        for source in self.sources {
            request = request.context(Part::retrieved(source.text, Source::new(source.id)));
        }
        request.output_schema = self.schema;
        request.max_output_tokens = self.max_output_tokens;
        (request.route, request.model) = (self.route, self.model);
        request.offline = match (self.offline_template, self.facts) {
            (Some(template), _) => Some(template.into()),
            (None, Some(facts)) => Some(OfflineTask::Fill { facts }),
            (None, None) => None,
        };
        request
    }
}

impl Operation for GenerateText {
    type Output = GeneratedText;
    const NAME: &'static str = "ai.generate_text";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    // 600 s: defaults of the vendors' SDKs, 2026.
    const DEADLINE: Duration = Duration::from_secs(600);
    const ERRORS: &'static [&'static str] = &["unsupported", "invalid_output", "refused", "truncated"];

    async fn run(self, cx: &Scope) -> Result<GeneratedText> {
        if self.seed.is_some_and(|s| s > MAX_SEED) {
            return Err(Error::invalid(Self::NAME, "seed", "expected a number below 2^53"));
        }
        if self.route.is_some() && self.model.is_some() {
            return Err(Error::invalid(Self::NAME, "model", "expected either a route or a model"));
        }
        let request = self.request(cx.with_rng(crate::Rng::next_u64) & MAX_SEED);
        let answer =
            repaired(cx.model().as_ref(), request).await.map_err(|error| error.for_operation(Self::NAME))?;
        if let StopKind::Refused { .. } = answer.stop {
            return Err(Error::new(ErrorKind::Blocked, Self::NAME, "the model refused to answer")
                .with_code("refused"));
        }
        let cost = ModelCost::of(&answer, cx.model_table().await?.as_ref());
        Ok(GeneratedText::new(answer, cost))
    }

    fn examples() -> Vec<Self> {
        let vars = serde_json::json!({ "offer": "20 % off" });
        let source = SourceText { id: "faq-3".into(), text: "Returns are free for 30 days.".into() };
        vec![
            GenerateText {
                prompt: "Write a subject line for the spring offer.".into(),
                offline_template: Some(OfflineTemplate::new(
                    "{{ pick(['Spring', 'Now']) }}: {{ offer }}",
                    vars,
                )),
                seed: Some(7),
                ..Self::default()
            },
            GenerateText { prompt: "Are returns free?".into(), sources: vec![source], ..Self::default() },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hub;

    async fn scope() -> Scope {
        Hub::builder().seed(1).build().await.unwrap().workspace("default").await.unwrap()
    }

    #[tokio::test]
    async fn the_examples_are_answered_offline_and_marked_so() {
        let cx = scope().await;
        let [template, question] = <[GenerateText; 2]>::try_from(GenerateText::examples()).unwrap();
        let text = cx.call(template.clone()).await.unwrap();
        assert!(text.is_offline && text.is_complete && text.text.ends_with(": 20 % off"), "{text:?}");
        assert_eq!(cx.call(template).await.unwrap(), text);
        let quoted = cx.call(question).await.unwrap();
        assert_eq!(quoted.citations[0].source, "faq-3");
    }

    #[tokio::test]
    async fn schemas_are_filled_and_free_writing_is_refused() {
        let cx = scope().await;
        let schema = serde_json::json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let fill = GenerateText {
            prompt: "fill".into(),
            schema: Some(schema),
            facts: Some(serde_json::json!({"n": "4"})),
            ..GenerateText::default()
        };
        assert_eq!(cx.call(fill).await.unwrap().json, Some(serde_json::json!({"n": 4})));
        let free = GenerateText { prompt: "write a poem".into(), ..GenerateText::default() };
        let err = cx.call(free).await.unwrap_err();
        assert_eq!((err.kind(), err.operation()), (ErrorKind::Unsupported, "ai.generate_text"));
        assert_eq!(cx.call(GenerateText::default()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
