//! The raw call of a model that makes vectors.

use std::time::Duration;

use neonhub_core::llm::Origin;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knowledge::Knowledge;
use super::ops_embed::{VectorKind, pack};
use crate::embed::{OfflineHash, embed_in};

/// Most texts of one call.
const MAX_TEXTS: usize = 2_048;

/// Embeds texts with an embedder of this hub: one vector for each, in order. What an endpoint reads is held against the
/// quotas of the caller and counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AiEmbed {
    /// The texts, 1 to 2 048.
    pub texts: Vec<String>,
    /// What the vectors are for. Default: `passage`.
    pub kind: VectorKind,
    /// The embedder, by its id or name. Default: that of messages and memories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Vectors, packed: row by row, each number as 4 bytes (IEEE 754, least significant byte first).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AiVectors {
    /// The embedder that made them; vectors of two embedders cannot be compared.
    pub model: String,
    /// Numbers of one vector.
    pub dims: u32,
    /// How many vectors there are.
    pub count: u32,
    /// The numbers in base64. Each vector has length 1; that of a text without words is all zeros.
    pub packed: String,
    /// What they count as.
    pub origin: Origin,
    /// True when the offline embedder made them.
    pub is_offline: bool,
    /// True when near vectors mean shared letters rather than shared meaning.
    pub is_lexical: bool,
}

impl Operation for AiEmbed {
    type Output = AiVectors;
    const NAME: &'static str = "ai.embed";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = Duration::from_secs(120);
    const MAX_OUTPUT: usize = 64 << 20;
    const ERRORS: &'static [&'static str] =
        &["undecodable", "budget_paused", "budget_spent", "unknown_price"];

    async fn run(self, cx: &Scope) -> Result<AiVectors> {
        let mut faults = Faults::new();
        let fits = (1..=MAX_TEXTS).contains(&self.texts.len());
        faults.check(fits, "texts", "expected 1 to 2 048 texts: call it in batches");
        faults.into_result(Self::NAME)?;
        let knowledge = cx.service::<Knowledge>()?;
        let embedder = match self.model.as_deref() {
            Some(name) => knowledge.embedder(name)?,
            None => knowledge.default_embedder()?,
        };
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let vectors = embed_in(cx, embedder.as_ref(), &texts, self.kind.into()).await;
        let vectors = vectors.map_err(|error| error.for_operation(Self::NAME))?;
        let is_offline = embedder.id() == OfflineHash::ID;
        Ok(AiVectors {
            model: embedder.id().to_owned(),
            dims: u32::try_from(embedder.dims()).unwrap_or(u32::MAX),
            count: u32::try_from(vectors.len()).unwrap_or(u32::MAX),
            packed: pack(&vectors),
            origin: if is_offline { Origin::Offline } else { Origin::Model },
            is_offline,
            is_lexical: embedder.is_lexical(),
        })
    }

    fn examples() -> Vec<Self> {
        let texts = vec!["Our teas are picked by hand.".into(), "We ship within two days.".into()];
        vec![AiEmbed { texts, ..AiEmbed::default() }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use neonhub_core::economy::{GetQuotas, PutQuota, QuotaSubject, QuotaWindow, TokenUsage};
    use neonhub_core::llm::table::{ModelRow, OverrideModel};
    use neonhub_core::llm::{EmbeddingConfig, Provider};
    use neonhub_core::store::Query;
    use neonhub_core::testing::provider::{ProviderMock, WireFault};
    use neonhub_core::{Currency, ErrorKind, Hub, Money};
    use serde_json::json;

    use super::*;
    use crate::embed::EndpointModel;
    use crate::install_with;

    fn ask(texts: &[&str], model: Option<&str>) -> AiEmbed {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        AiEmbed { texts, model: model.map(str::to_owned), ..AiEmbed::default() }
    }

    async fn scope(mock: &ProviderMock) -> Scope {
        let provider = Provider::builder("openai").base_url(mock.base_url("openai")).build().unwrap();
        let config = json!({ "model": "m", "dims": 64, "max_batch": 2 });
        let config: EmbeddingConfig = serde_json::from_value(config).unwrap();
        let model = EndpointModel::new(provider.embedding_model(config).unwrap());
        let knowledge = Knowledge::new().embedder_added(Arc::new(model));
        let hub = install_with(Hub::builder().seed(1), knowledge).build().await.unwrap();
        hub.workspace("default").await.unwrap()
    }

    #[tokio::test]
    async fn texts_are_embedded_offline_or_by_the_endpoint_that_is_named() {
        let mock = ProviderMock::start().await.unwrap();
        let cx = scope(&mock).await;
        let offline = cx.call(ask(&["green tea", "a box"], None)).await.unwrap();
        assert!(offline.is_offline && offline.is_lexical && offline.origin == Origin::Offline);
        assert_eq!((offline.model.as_str(), offline.dims, offline.count), ("offline-hash-512", 512, 2));
        assert!(mock.seen().is_empty());
        let far = cx.call(ask(&["green tea", "a box", "two days"], Some("m"))).await.unwrap();
        assert_eq!((far.model.as_str(), far.is_offline, far.is_lexical), ("openai/m/64", false, false));
        let bytes = BASE64_STANDARD.decode(&far.packed).unwrap();
        assert_eq!(bytes.len(), 3 * 64 * 4);
        assert_eq!(mock.seen().len(), 2, "two texts a request");
        let usage: Vec<TokenUsage> =
            cx.query(&Query::by_id()).await.unwrap().into_iter().map(|usage| usage.body).collect();
        assert_eq!(usage.len(), 2, "what is offline is not counted");
        assert!(usage.iter().all(|u| !u.estimated && u.purpose.as_deref() == Some("embed") && u.input > 0));
        assert_eq!(cx.call(ask(&["x"], Some("nobody"))).await.unwrap_err().kind(), ErrorKind::Config);
        let many = vec!["x"; MAX_TEXTS + 1];
        for wrong in [ask(&[], None), ask(&many, None)] {
            assert_eq!(cx.call(wrong).await.unwrap_err().field_faults()[0].field, "texts");
        }
    }

    #[tokio::test]
    async fn quotas_hold_for_vectors_and_shut_nobody_out() {
        let mock = ProviderMock::start().await.unwrap();
        let cx = scope(&mock).await;
        let row: ModelRow = serde_json::from_value(json!({
            "provider": "openai", "model": "m", "kinds": ["embedding"], "source": "the test",
            "prices": { "currency": "USD", "input": 1_000_000_000, "output": 0 },
        }))
        .unwrap();
        let limit = |minor| {
            let money = Money::new(minor, Currency::parse("currency", "USD").unwrap()).unwrap();
            PutQuota { money: Some(money), ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day) }
        };
        cx.call(limit(1)).await.unwrap();
        let one = || ask(&["tea"], Some("m"));
        assert_eq!(cx.call(one()).await.unwrap_err().code(), "unknown_price");
        cx.call(OverrideModel { provider: "openai".into(), model: "m".into(), row: Some(row) })
            .await
            .unwrap();
        // A token costs a tenth of a cent; ten cents hold 100 of them.
        let long = "tea ".repeat(400);
        let error = cx.call(ask(&[&long], Some("m"))).await.unwrap_err();
        assert_eq!((error.code(), error.operation()), ("budget_paused", "ai.embed"));
        assert!(mock.seen().is_empty(), "nothing was asked");
        cx.call(limit(10)).await.unwrap();
        cx.call(one()).await.unwrap();
        let used = cx.call(GetQuotas::default()).await.unwrap().remove(0);
        assert_eq!((used.used_micros, used.held_micros), (1_000, 0));
        mock.fault(WireFault::Status(401));
        assert_eq!(cx.call(one()).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
        let after = cx.call(GetQuotas::default()).await.unwrap().remove(0);
        assert_eq!((after.used_micros, after.held_micros), (1_000, 0), "a failed call is released");
    }
}
