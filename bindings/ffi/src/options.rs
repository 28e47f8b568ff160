//! How to open a hub and how to make one call, as a binding passes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neonhub::knowledge::{EmbedderConfig, Knowledge};
use neonhub::registry::RunRoom;
use neonhub_core::llm::{ProviderConfig, RouteConfig, Router};
use neonhub_core::op::CallOptions;
use neonhub_core::{CancelToken, Error, Hub, HubBuilder, ManualClock, Result, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// Settings of `open`, as a JSON map. What is left out has its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Where records are kept: a path, `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` (feature `postgres`; the
    /// root key stands in the variable `NEONHUB_KEY`) or `memory:`. Default: `memory:`.
    pub url: Option<String>,
    /// Short name of the workspace to work in. Default: `default`.
    pub workspace: Option<String>,
    /// Folder that takes every message until a connector is added. Default: beside the store, as [`neonhub::open`] has
    /// it; a store in memory has none.
    pub outbox: Option<String>,
    /// Models over the network, in the order of preference; the offline model comes last. Default: the offline model
    /// alone.
    pub models: Vec<ProviderConfig>,
    /// Orders of these models by name, for requests that name a route; `default` takes the place of the order of `models`.
    pub routes: Vec<RouteConfig>,
    /// Embedders that spaces can be made with, beside the offline one.
    pub embedders: Vec<EmbedderConfig>,
    /// Hosts of the web whose pages `knowledge.ingest_url` may fetch: names, `*.name`, or `*`. Default: none.
    pub web: Vec<String>,
    /// The embedder of messages and memories, by its name. Default: the offline one.
    pub embedder: Option<String>,
    /// Tokens of the context that conversations are to fit into: a job summarises one that fills three quarters of it,
    /// with the model of the hub. 400 to 2 000 000; 0: no job does. Default: 8 000.
    pub summary_tokens: Option<u32>,
    /// How many runs of agents work and wait at a time in a workspace. Default: 8 and 1 024, for at most 10 min.
    pub runs: Option<RunRoom>,
    /// Rights of the host's own: words such as `app:orders.refund`, each with a sentence on what it lets a principal do.
    pub permissions: BTreeMap<String, String>,
    /// Fixes all chance, for tests and repeatable runs. Below 2^53.
    pub seed: Option<u64>,
    /// Stops the clock at this RFC 3339 instant, for tests and repeatable runs.
    pub now: Option<String>,
}

impl OpenOptions {
    /// Reads the map.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown setting or a wrong value.
    pub fn parse(map: Value) -> Result<Self> {
        serde_json::from_value(map).map_err(|cause| Error::invalid("hub.open", "options", cause.to_string()))
    }

    /// What a hub for tests is opened with: in memory, with fixed chance, and a clock that stands at
    /// [`TEST_NOW`](crate::testing::TEST_NOW).
    #[must_use]
    pub fn for_tests() -> Self {
        let now = Some(crate::testing::TEST_NOW.to_owned());
        OpenOptions { url: Some("memory:".to_owned()), seed: Some(1), now, ..Self::default() }
    }

    /// The clock that stands still, when the settings ask for one.
    pub(crate) fn clock(&self) -> Result<Option<Arc<ManualClock>>> {
        let Some(now) = &self.now else { return Ok(None) };
        Ok(Some(Arc::new(ManualClock::at(Timestamp::parse("now", now)?))))
    }

    /// The workspace's short name.
    pub(crate) fn slug(&self) -> &str {
        self.workspace.as_deref().unwrap_or("default")
    }

    /// The folder of the outbox.
    pub(crate) fn outbox(&self, hub: &Hub) -> Option<PathBuf> {
        self.outbox.as_ref().map(PathBuf::from).or_else(|| hub.beside("outbox"))
    }

    /// Knowledge with the embedders of the settings. Reads model folders: it blocks.
    pub(crate) fn knowledge(&self) -> Result<Knowledge> {
        let mut knowledge = Knowledge::new();
        match self.summary_tokens {
            None => {}
            Some(0) => knowledge = knowledge.with_summaries(None),
            Some(tokens @ 400..=2_000_000) => knowledge = knowledge.with_summaries(Some(tokens)),
            Some(_) => {
                return Err(Error::invalid("hub.open", "summary_tokens", "expected 0, or 400 to 2000000"));
            }
        }
        for (i, config) in self.embedders.iter().enumerate() {
            let embedder = config.clone().open().map_err(|error| error.with_context("embedders", i))?;
            knowledge = knowledge.embedder_added(embedder);
        }
        let Some(name) = &self.embedder else { return Ok(knowledge) };
        let id = knowledge.embedder(name)?.id().to_owned();
        Ok(knowledge.with_default(id))
    }

    #[cfg(feature = "http")]
    fn with_web(&self, builder: HubBuilder) -> Result<HubBuilder> {
        Ok(builder.service(Arc::new(neonhub_core::http::WebAccess::to(self.web.iter().cloned())?)))
    }

    #[cfg(not(feature = "http"))]
    fn with_web(&self, _: HubBuilder) -> Result<HubBuilder> {
        let message = "this build has no HTTP client: it fetches no pages";
        Err(Error::new(neonhub_core::ErrorKind::Config, "hub.open", message).with_code("no_http"))
    }

    /// Puts the settings into a builder.
    pub(crate) fn apply(&self, mut builder: HubBuilder) -> Result<HubBuilder> {
        if !self.models.is_empty() || !self.routes.is_empty() {
            let router = Router::from_configs(self.models.clone())?.with_routes(self.routes.clone())?;
            builder = builder.service(Arc::new(router));
        }
        if let Some(room) = self.runs {
            room.check("hub.open")?;
            builder = builder.service(Arc::new(room));
        }
        for (word, meaning) in &self.permissions {
            builder = builder.permission(word, meaning);
        }
        if !self.web.is_empty() {
            builder = self.with_web(builder)?;
        }
        if let Some(url) = &self.url {
            builder = builder.store(url);
        }
        if let Some(seed) = self.seed {
            if seed >= 1 << 53 {
                return Err(Error::invalid("hub.open", "seed", "expected a number below 2^53"));
            }
            builder = builder.seed(seed);
        }
        Ok(builder)
    }
}

/// Settings of one call.
#[derive(Clone, Debug, Default)]
pub struct CallSettings {
    /// A repeated call with the same key and input gives the first answer for 24 h.
    pub idempotency_key: Option<String>,
    /// Shortens the operation's deadline.
    pub timeout: Option<Duration>,
}

impl CallSettings {
    pub(crate) fn options(self, cancel: Option<CancelToken>) -> CallOptions {
        let mut options = CallOptions::new();
        options.idempotency_key = self.idempotency_key;
        options.deadline = self.timeout;
        options.cancel = cancel;
        options
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        let error = OpenOptions::parse(json!({ "uri": "memory:" })).unwrap_err();
        assert_eq!(error.kind(), neonhub_core::ErrorKind::InvalidInput);
        assert!(error.message().contains("uri"), "{error}");
    }

    #[test]
    fn summaries_are_set_or_switched_off() {
        let knowledge = |tokens: u32| OpenOptions::parse(json!({ "summary_tokens": tokens }))?.knowledge();
        assert_eq!(knowledge(2_000).unwrap().summary_tokens(), Some(2_000));
        assert_eq!(knowledge(0).unwrap().summary_tokens(), None);
        assert_eq!(OpenOptions::default().knowledge().unwrap().summary_tokens(), Some(8_000));
        assert_eq!(knowledge(5).unwrap_err().field_faults()[0].field, "summary_tokens");
    }

    #[test]
    fn the_room_for_runs_and_calls_of_models_is_a_setting() {
        let apply = |map| OpenOptions::parse(map)?.apply(neonhub_core::Hub::builder()).map(drop);
        let model = |more: Value| {
            let mut model = json!({ "provider": "near", "base_url": "http://near.test/v1", "model": "m" });
            model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "models": [model], "runs": { "at_once": 4, "queue": 10 } })
        };
        let field = |map| apply(map).unwrap_err().field_faults()[0].field.clone();
        assert_eq!(field(json!({ "runs": { "at_once": 0 } })), "at_once");
        assert_eq!(field(model(json!({ "concurrency": 0 }))), "concurrency");
        assert!(OpenOptions::parse(json!({ "runs": { "places": 4 } })).is_err());
        if cfg!(feature = "http") {
            apply(model(json!({ "concurrency": 4, "queue": 100, "queue_ms": 5_000 }))).unwrap();
        }
    }

    #[test]
    fn routes_of_the_models_are_a_setting() {
        let apply = |routes| {
            let options = OpenOptions::parse(json!({ "routes": routes }))?;
            options.apply(neonhub_core::Hub::builder()).map(drop)
        };
        let offline = json!([{ "provider": "offline" }]);
        apply(json!([{ "name": "quick", "models": offline, "by_value": true, "at_least": 0.5 }])).unwrap();
        let fields = |routes| -> Vec<String> {
            apply(routes).unwrap_err().field_faults().iter().map(|fault| fault.field.clone()).collect()
        };
        let wrong =
            json!([{ "name": "", "models": [{ "provider": "near" }], "at_least": 2, "cheaper": "none" }]);
        let expected = ["name", "models[0].provider", "at_least", "cheaper"];
        assert_eq!(fields(wrong), expected.map(|field| format!("routes[0].{field}")));
        let twice = json!([{ "name": "a", "models": offline }, { "name": "a", "models": [] }]);
        assert_eq!(fields(twice), ["routes[1].name", "routes[1].models"]);
        assert!(
            OpenOptions::parse(json!({ "routes": [{ "name": "a", "models": [], "floor": 1 }] })).is_err()
        );
    }

    #[tokio::test]
    async fn rights_of_the_host_are_a_setting() {
        let open = |map| async move {
            let options = OpenOptions::parse(json!({ "permissions": map })).unwrap();
            options.apply(neonhub_core::Hub::builder()).unwrap().build().await
        };
        let hub = open(json!({ "app:orders.refund": "Pay an order back." })).await.unwrap();
        hub.close().await.unwrap();
        let error = open(json!({ "orders.refund": "Pay an order back." })).await.unwrap_err();
        assert!(error.message().contains("app:"), "{error}");
    }

    #[test]
    fn a_seed_beyond_53_bits_is_refused() {
        let options = OpenOptions::parse(json!({ "seed": 1_u64 << 53 })).unwrap();
        let error = options.apply(neonhub_core::Hub::builder()).unwrap_err();
        assert_eq!(error.field_faults()[0].field, "seed");
    }
}
