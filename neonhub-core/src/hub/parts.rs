//! What is plugged into a hub: models, connectors, checks, recipes, the gate.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Hub;
use crate::connector::{Channel, Connector, Gate};
use crate::health::{Health, HealthSource, Recipe};
use crate::llm::table::ModelTable;
use crate::llm::{Cassette, Llm, Offline, Router};
use crate::telemetry::Metered;
#[cfg(any(test, feature = "doubles"))]
use crate::testing::FaultSite;
use crate::{Error, ErrorKind, Result};

/// Connectors that reach nobody: all there is with `USE_MOCK_CONNECTORS`.
const MOCKS: &[&str] = &["outbox", "replay"];

/// What is called, by the name of its provider or its own: faults of tests are put on it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(test, feature = "doubles")),
    allow(dead_code, reason = "only faults of tests read the names")
)]
pub(crate) enum Called<'a> {
    /// A model.
    Model(&'a str),
    /// A tool.
    Tool(&'a str),
}

#[cfg(any(test, feature = "doubles"))]
impl<'a> Called<'a> {
    fn site(self, operation: &'static str) -> (FaultSite, &'a str, &'static str) {
        match self {
            Called::Model(name) => (FaultSite::Model, name, operation),
            Called::Tool(name) => (FaultSite::Tool, name, operation),
        }
    }
}

impl Hub {
    /// The connector that delivers for a channel: the one added last wins.
    #[must_use]
    pub fn connector(&self, channel: &Channel) -> Option<Arc<dyn Connector>> {
        let connectors = self.0.connectors.read().unwrap_or_else(PoisonError::into_inner);
        let may_answer = |c: &&Arc<dyn Connector>| {
            let is_mock = MOCKS.contains(&c.manifest().id);
            c.channels().contains(channel) && (is_mock || !self.0.mocks_connectors)
        };
        let found = connectors.iter().rev().find(may_answer).map(Arc::clone);
        #[cfg(any(test, feature = "doubles"))]
        let found = match self.faults() {
            Some(faults) => found.map(|connector| faults.connector(connector)),
            None => found,
        };
        found
    }

    /// Adds a connector; it takes over the channels it names.
    pub fn add_connector(&self, connector: Arc<dyn Connector>) {
        self.0.connectors.write().unwrap_or_else(PoisonError::into_inner).push(connector);
    }

    pub(crate) fn connectors(&self) -> Vec<Arc<dyn Connector>> {
        self.0.connectors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a part that can tell how it is.
    pub fn add_health(&self, check: Arc<dyn Health>) {
        self.0.checks.write().unwrap_or_else(PoisonError::into_inner).push(check);
    }

    pub(crate) fn own_checks(&self) -> Vec<Arc<dyn Health>> {
        self.0.checks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn check_sources(&self) -> Vec<Arc<dyn HealthSource>> {
        self.0.check_sources.clone()
    }

    pub(crate) fn recipes(&self) -> Vec<Arc<dyn Recipe>> {
        self.0.recipes.clone()
    }

    /// The model that answers: the one added last, or the offline model.
    #[must_use]
    pub fn model(&self) -> Arc<dyn Llm> {
        let models = self.0.models.read().unwrap_or_else(PoisonError::into_inner);
        let model = models.last().map_or_else(|| Arc::new(Offline::new()) as Arc<dyn Llm>, Arc::clone);
        self.dress(model)
    }

    /// A model with what every call of one goes through: counters, and faults of tests.
    pub(crate) fn dress(&self, model: Arc<dyn Llm>) -> Arc<dyn Llm> {
        #[cfg(any(test, feature = "doubles"))]
        let model = match self.faults() {
            Some(faults) => faults.model(model),
            None => model,
        };
        Arc::new(Metered::new(model, Arc::clone(&self.0.telemetry), self.prices()))
    }

    /// What tokens cost: the table of the router, else the one of this release.
    pub(crate) fn prices(&self) -> Arc<ModelTable> {
        self.service::<Router>().map_or_else(ModelTable::shared, |router| Arc::clone(router.table_of()))
    }

    /// Puts an injector on every call of a model, tool or connector of this hub; `None` takes it away.
    #[cfg(any(test, feature = "doubles"))]
    pub fn inject_faults(&self, faults: Option<crate::testing::FaultInjector>) {
        *self.0.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Puts a cassette before the models of this hub, or takes it away with `None`. An answer that it plays costs nothing and
    /// asks nobody; every other one goes the way it went before, and is recorded. Answers of models in words alone are on it:
    /// not embeddings, pictures or moderation. A request of a run about a person can be erased with
    /// [`Cassette::erase_person`].
    pub fn insert_cassette(&self, cassette: Option<Cassette>) {
        *self.0.cassette.write().unwrap_or_else(PoisonError::into_inner) = cassette;
    }

    pub(crate) fn cassette(&self) -> Option<Cassette> {
        self.0.cassette.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call, with what a test put on what is called.
    pub(crate) async fn faulted<T>(
        &self,
        called: Called<'_>,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        #[cfg(any(test, feature = "doubles"))]
        if let Some(faults) = self.faults() {
            return faults.around(called.site(operation), call).await;
        }
        #[cfg(not(any(test, feature = "doubles")))]
        let _ = (called, operation);
        call.await
    }

    #[cfg(any(test, feature = "doubles"))]
    pub(crate) fn faults(&self) -> Option<crate::testing::FaultInjector> {
        self.0.faults.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a model; it answers from now on, in the place of a router too.
    pub fn add_model(&self, model: Arc<dyn Llm>) {
        self.0.models.write().unwrap_or_else(PoisonError::into_inner).push(model);
        self.0.model_added.store(true, Ordering::Release);
    }

    /// Whether a model was added since the hub was built.
    pub(crate) fn has_added_model(&self) -> bool {
        self.0.model_added.load(Ordering::Acquire)
    }

    /// True when chance comes from a fixed number, for tests and repeatable runs.
    #[must_use]
    pub fn is_seeded(&self) -> bool {
        self.0.seeded
    }

    pub(crate) fn gate(&self) -> Result<Arc<dyn Gate>> {
        self.0.gate.clone().ok_or_else(|| {
            Error::new(ErrorKind::Config, "gate", "no send gate is installed: nothing can be sent")
        })
    }

    /// Name and version of the installed gate.
    #[must_use]
    pub fn gate_version(&self) -> Option<(&'static str, &'static str)> {
        self.0.gate.as_ref().map(|g| (g.name(), g.version()))
    }
}
