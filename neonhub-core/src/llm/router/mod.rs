//! The router: which model answers, and what happens when it does not.
//!
//! A [`Route`] is a list of models in the order of preference. [`Router::plan`] says which of them can answer a request
//! and why the others cannot; the call then goes down the list. Every call of a model is guarded once by
//! [`resilience`](crate::resilience): one owner of retries, one breaker per model. When a model fails for good, or asks
//! to wait longer than two seconds while another is free, the next one is asked. After the first words were passed on
//! nothing is asked again, unless the route allows a restart.
//!
//! Installed as a service of the hub, it answers `ai.generate_text` and the runs of agents:
//!
//! ```
//! use std::sync::Arc;
//! use neonhub_core::Hub;
//! use neonhub_core::llm::{GenerateText, Offline, OfflineTemplate, Route, Router};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let router = Router::new().model(Arc::new(Offline::new())).route(Route::new("default").offline_last());
//! let cx = Hub::builder().service(Arc::new(router)).build().await?.workspace("default").await?;
//! let template = Some(OfflineTemplate::new("hello", ().into()));
//! let ask = GenerateText { prompt: "hi".into(), offline_template: template, ..GenerateText::default() };
//! assert_eq!(cx.call(ask).await?.text, "hello");
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod call;
mod config;
mod kinds;
mod plan;
mod route;
mod tries;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::table::{ModelTable, with_own_rows};
use super::{
    Answer, DeltaStream, ImageModel, Llm, LlmRequest, ModelCaps, Moderator, Offline, ProviderBuilder,
    ProviderConfig, TokenCount,
};
use crate::economy::Budgeted;
use crate::{Error, ErrorKind, Faults, Result, Scope};

pub use config::{RouteConfig, RouteLimit};
pub use kinds::{KeptImages, Named};
pub use plan::{Considered, RoutePlan};
pub use route::{ModelName, Route};
pub(crate) use value::ModelWorth;

/// The route that is taken when a request names none.
const DEFAULT: &str = "default";
/// The routes of pictures and of verdicts.
const IMAGE: &str = "image";
const MODERATION: &str = "moderation";

/// How one model did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNote {
    /// Its provider.
    pub provider: String,
    /// The model; `None` is the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How often it was asked; 0 when its breaker or its quota refused.
    pub tries: u32,
    /// The code and message of its last failure; `None` when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<(String, String)>,
}

/// What a route did for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// Who was considered.
    pub plan: RoutePlan,
    /// Who was asked, in order; the last one answered if it has no failure.
    pub attempts: Vec<AttemptNote>,
}

/// Chooses among the models that it was given.
#[derive(Clone)]
pub struct Router {
    models: BTreeMap<String, Arc<dyn Llm>>,
    images: BTreeMap<String, Arc<dyn ImageModel>>,
    moderators: BTreeMap<String, Arc<dyn Moderator>>,
    routes: BTreeMap<String, Route>,
    table: Arc<ModelTable>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("models", &self.models.keys().collect::<Vec<_>>())
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Router {
    /// A router that knows the offline model and no route.
    #[must_use]
    pub fn new() -> Self {
        let router = Router {
            models: BTreeMap::new(),
            images: BTreeMap::new(),
            moderators: BTreeMap::new(),
            routes: BTreeMap::new(),
            table: ModelTable::shared(),
        };
        let offline = Arc::new(Offline::new());
        router.model(offline.clone()).image_model(offline.clone()).moderator(offline)
    }

    /// A router with a route for each kind of model: those that write text in `default`, those that the model table knows
    /// to make pictures in `image`, those that moderate in `moderation`; in their order, and the offline model last. The first entry of a provider
    /// says how it is reached; later ones of the same provider name only another model.
    ///
    /// # Errors
    /// `InvalidInput` naming a wrong entry; those of [`ProviderBuilder::build`](super::ProviderBuilder::build).
    pub fn from_configs(configs: Vec<ProviderConfig>) -> Result<Self> {
        let mut faults = Faults::new();
        let mut router = Self::new();
        let mut routes = [DEFAULT, IMAGE, MODERATION].map(Route::new);
        for (i, config) in configs.into_iter().enumerate() {
            let Some(model) = config.model.clone() else {
                faults.push(format!("models[{i}].model"), "expected the name of a model");
                continue;
            };
            let name = router.route_for(&config.provider, &model);
            for route in routes.iter_mut().filter(|route| route.name == name) {
                *route = route.clone().then(&config.provider, &model);
            }
            if !router.models.contains_key(&config.provider) {
                let provider = ProviderBuilder::from_config(config).build();
                let provider = Arc::new(provider.map_err(|error| error.with_context("entry", i))?);
                router = router.model(provider.clone()).image_model(provider.clone()).moderator(provider);
            } else if !config.is_bare() {
                let expected = "expected only `provider` and `model`: an entry before says how it is reached";
                faults.push(format!("models[{i}]"), expected);
            }
        }
        faults.into_result("hub.open")?;
        Ok(routes.into_iter().fold(router, |router, route| router.route(route.offline_last())))
    }

    /// Adds a provider under its word.
    #[must_use]
    pub fn model(mut self, model: Arc<dyn Llm>) -> Self {
        self.models.insert(model.provider().to_owned(), model);
        self
    }

    /// Adds a provider of pictures under its word.
    #[must_use]
    pub fn image_model(mut self, model: Arc<dyn ImageModel>) -> Self {
        self.images.insert(model.provider().to_owned(), model);
        self
    }

    /// Adds a provider that moderates under its word.
    #[must_use]
    pub fn moderator(mut self, model: Arc<dyn Moderator>) -> Self {
        self.moderators.insert(model.provider().to_owned(), model);
        self
    }

    /// Adds a route, or puts it in the place of the one with its name.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.insert(route.name.clone(), route);
        self
    }

    /// The table that prices come from. Default: the one of this release.
    #[must_use]
    pub fn table(mut self, table: Arc<ModelTable>) -> Self {
        self.table = table;
        self
    }

    /// The table that prices come from.
    pub(crate) fn table_of(&self) -> &Arc<ModelTable> {
        &self.table
    }

    /// The models that routes name, for a look at when they end.
    pub fn in_use(&self) -> impl Iterator<Item = (&str, &str)> {
        let steps = self.routes.values().flat_map(|route| &route.steps);
        steps.filter_map(|step| Some((step.provider.as_str(), step.model.as_deref()?)))
    }

    /// The route of a request: the one it names; for a model that it names (`provider/model`) a route of its own; else
    /// the default.
    ///
    /// # Errors
    /// `NotFound` for a route or provider that is not here; `Config` without a default route.
    fn route_of(&self, request: &LlmRequest) -> Result<Route> {
        let missing = |field: &'static str, name: &str, message: &'static str| {
            Err(Error::new(ErrorKind::NotFound, "llm.route", message).with_context(field, name))
        };
        if let Some(name) = &request.route {
            return match self.routes.get(name) {
                Some(route) => Ok(route.clone()),
                None => missing("route", name, "no route has this name"),
            };
        }
        let Some(name) = &request.model else {
            return self.routes.get(DEFAULT).cloned().ok_or_else(|| {
                let message = "expected a route named `default`, or a route or model in the request";
                Error::new(ErrorKind::Config, "llm.route", message)
            });
        };
        match name.split_once('/') {
            Some((provider, model)) if self.models.contains_key(provider) => {
                Ok(Route::new(name.clone()).then(provider, model))
            }
            _ => missing("model", name, "expected `provider/model` with a provider of this router"),
        }
    }

    /// Answers as a stream, with a report of what was done so far.
    ///
    /// # Errors
    /// When no model of the route answered: one error that lists every attempt. Errors of the request itself at once.
    pub async fn call(&self, cx: &Scope, request: LlmRequest) -> Result<(DeltaStream, RouteReport)> {
        request.check()?;
        let route = self.route_of(&request)?;
        let router = self.clone().table(with_own_rows(cx, &self.table).await?);
        call::call(router, cx.clone(), route, request).await
    }

    /// Answers as a whole, with the report.
    ///
    /// # Errors
    /// Those of [`call`](Self::call) and of [`Answer::join`].
    pub async fn complete(&self, cx: &Scope, request: LlmRequest) -> Result<(Answer, RouteReport)> {
        let wanted = request.output_schema.clone();
        let (stream, report) = self.call(cx, request).await?;
        Ok((Answer::join(stream, wanted.as_ref()).await?, report))
    }
}

/// A router as the model of one scope.
#[derive(Debug)]
struct Routed {
    router: Arc<Router>,
    cx: Scope,
}

#[async_trait]
impl Llm for Routed {
    fn provider(&self) -> &str {
        "router"
    }

    fn caps(&self, _: Option<&str>) -> ModelCaps {
        let first = self.router.routes.get(DEFAULT).and_then(|route| route.steps.first());
        first
            .and_then(|step| Some(self.router.models.get(&step.provider)?.caps(step.model.as_deref())))
            .unwrap_or_default()
    }

    fn count(&self, request: &LlmRequest) -> Result<TokenCount> {
        request.check()?;
        let is_named = request.route.is_some() || request.model.is_some();
        if !is_named && !self.router.routes.contains_key(DEFAULT) {
            return Ok(TokenCount::estimate(request));
        }
        let route = self.router.route_of(request)?;
        // As the model counts that is asked first.
        let first =
            route.steps.first().and_then(|step| Some((step, self.router.models.get(&step.provider)?)));
        let Some((step, model)) = first else { return Ok(TokenCount::estimate(request)) };
        let mut asked = request.clone();
        (asked.model, asked.route) = (step.model.clone(), None);
        model.count(&asked)
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        Ok(self.router.call(&self.cx, request).await?.0)
    }
}

impl Scope {
    /// The model that answers here: one that was added to the running hub, else the router, when one is installed, else
    /// the model of the hub; behind the cassette, when one is inserted.
    #[must_use]
    pub fn model(&self) -> Arc<dyn Llm> {
        let live: Arc<dyn Llm> = match self.hub().service::<Router>() {
            Some(router) if !self.hub().has_added_model() => Arc::new(Routed { router, cx: self.clone() }),
            _ => Budgeted::of(self, self.hub().model()),
        };
        match self.hub().cassette() {
            Some(cassette) => Arc::new(cassette.around(live)),
            None => live,
        }
    }
}

#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;
