//! How many tokens texts hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LlmRequest;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Faults, Result, Scope};

/// Most texts of one call.
const MAX_TEXTS: usize = 2_048;

/// Counts the tokens that each text holds as a message of its own, marks around it among them. Nothing is sent: a model
/// without a tokenizer of its own gives an estimate on the high side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CountTokens {
    /// The texts, 1 to 2 048.
    pub texts: Vec<String>,
    /// The route whose first model counts. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The model that counts, in the place of a route: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountedTokens {
    /// One for each text, in order.
    pub tokens: Vec<u64>,
    /// Their sum.
    pub total: u64,
    /// False when any of them is an estimate.
    pub is_exact: bool,
}

impl Operation for CountTokens {
    type Output = CountedTokens;
    const NAME: &'static str = "ai.count";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<CountedTokens> {
        let mut faults = Faults::new();
        let fits = (1..=MAX_TEXTS).contains(&self.texts.len());
        faults.check(fits, "texts", "expected 1 to 2 048 texts: call it in batches");
        let is_one = self.route.is_none() || self.model.is_none();
        faults.check(is_one, "model", "expected either a route or a model");
        faults.into_result(Self::NAME)?;
        let model = cx.model();
        let mut counted = CountedTokens { tokens: Vec::new(), total: 0, is_exact: true };
        for text in self.texts {
            let mut request = LlmRequest::new().user(text);
            (request.route, request.model) = (self.route.clone(), self.model.clone());
            let count = model.count(&request).map_err(|error| error.for_operation(Self::NAME))?;
            counted.tokens.push(count.tokens);
            counted.total = counted.total.saturating_add(count.tokens);
            counted.is_exact &= count.exact;
        }
        Ok(counted)
    }

    fn examples() -> Vec<Self> {
        let texts = vec!["Our teas are picked by hand.".into(), "Unsere Tees".into()];
        vec![CountTokens { texts, ..Self::default() }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::llm::{DeltaStream, Llm, ModelCaps, Route, Router, TokenCount};
    use crate::{ErrorKind, Hub};

    /// Counts words, exactly.
    #[derive(Debug)]
    struct Words;

    #[async_trait]
    impl Llm for Words {
        fn provider(&self) -> &str {
            "words"
        }
        fn caps(&self, _: Option<&str>) -> ModelCaps {
            ModelCaps::unknown("m")
        }
        fn count(&self, request: &LlmRequest) -> Result<TokenCount> {
            let words = request.question().map_or(0, |text| text.split(' ').count());
            Ok(TokenCount { tokens: words as u64, exact: request.model.as_deref() == Some("m") })
        }
        async fn call(&self, _: LlmRequest) -> Result<DeltaStream> {
            Err(crate::Error::internal("test", "nothing is asked"))
        }
    }

    fn count(texts: &[&str]) -> CountTokens {
        CountTokens { texts: texts.iter().map(|text| (*text).to_owned()).collect(), ..CountTokens::default() }
    }

    #[tokio::test]
    async fn texts_are_counted_by_the_model_that_would_be_asked() {
        let router = Router::new().model(Arc::new(Words)).route(Route::new("default").offline_last());
        let router = router.route(Route::new("near").then("words", "m").offline_last());
        let hub = Hub::builder().service(Arc::new(router)).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        let estimate = cx.call(count(&["one two three", ""])).await.unwrap();
        assert!(!estimate.is_exact && estimate.tokens == [9, 4] && estimate.total == 13, "{estimate:?}");
        for wanted in [
            CountTokens { route: Some("near".into()), ..count(&["one two three"]) },
            CountTokens { model: Some("words/m".into()), ..count(&["one two three"]) },
        ] {
            let exact = cx.call(wanted).await.unwrap();
            assert_eq!(exact, CountedTokens { tokens: vec![3], total: 3, is_exact: true });
        }
        let many = vec!["x"; MAX_TEXTS + 1];
        for wrong in [count(&[]), count(&many)] {
            assert_eq!(cx.call(wrong).await.unwrap_err().field_faults()[0].field, "texts");
        }
        let both = CountTokens { route: Some("near".into()), model: Some("words/m".into()), ..count(&["x"]) };
        assert_eq!(cx.call(both).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let lost = CountTokens { route: Some("lost".into()), ..count(&["x"]) };
        assert_eq!(cx.call(lost).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
