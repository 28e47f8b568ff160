//! Models in an order, as data.

use serde::{Deserialize, Serialize};

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelName {
    /// The word of the provider.
    pub provider: String,
    /// Its model; `None` takes the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Models in the order of preference, and what one call may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Route {
    pub(super) name: String,
    pub(super) steps: Vec<ModelName>,
    #[serde(default)]
    pub(super) allow_restart: bool,
    #[serde(default)]
    pub(super) limit: Option<(String, u64)>,
    #[serde(default)]
    pub(super) allow_unknown_price: bool,
    #[serde(default)]
    pub(super) by_value: bool,
    /// Thousandths.
    #[serde(default)]
    pub(super) floor: u16,
    #[serde(default)]
    pub(super) cheaper: Option<String>,
}

impl Route {
    /// An empty route. The one named `default` serves requests that name none.
    pub fn new(name: impl Into<String>) -> Self {
        Route {
            name: name.into(),
            steps: Vec::new(),
            allow_restart: false,
            limit: None,
            allow_unknown_price: false,
            by_value: false,
            floor: 0,
            cheaper: None,
        }
    }

    /// Adds a model at the end: the first one is preferred.
    pub fn then(mut self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.steps.push(ModelName { provider: provider.into(), model: Some(model.into()) });
        self
    }

    /// Adds the offline model at the end: an answer of rules and templates, marked as such, is better than none.
    pub fn offline_last(mut self) -> Self {
        self.steps.push(ModelName { provider: "offline".into(), model: None });
        self
    }

    /// Lets another model start again when one breaks off in the middle; the reader gets `Restarted` and must throw
    /// away what came before. Default: the broken answer is an error.
    pub fn allow_restart(mut self) -> Self {
        self.allow_restart = true;
        self
    }

    /// The most that one call may cost in its worst case, in micros of a currency. A model whose price is unknown is
    /// then left out.
    pub fn limit(mut self, currency: impl Into<String>, micros: u64) -> Self {
        self.limit = Some((currency.into(), micros));
        self
    }

    /// Asks the model that is worth most for its price first, in the place of the order given: what it is worth to a task
    /// (the purpose of the request) is learned from its answers, beginning at the quality of the model table. What an
    /// order draws comes from the chance of the scope. Models that do not fit into the quotas are left out while others
    /// do; those of unknown price come after the others, and the offline model last.
    pub fn by_value(mut self) -> Self {
        self.by_value = true;
        self
    }

    /// The quality that a route [by value](Self::by_value) wants, 0..=1: what is worth less comes after all that is worth
    /// as much, whatever it costs. Default 0.
    pub fn at_least(mut self, quality: f64) -> Self {
        let thousandths = (quality.clamp(0.0, 1.0) * 1_000.0).round();
        self.floor = thousandths as u16;
        self
    }

    /// The route that is taken in the place of this one once a soft limit of a quota is reached. Default: the models of
    /// this route, the cheapest first.
    pub fn cheaper(mut self, route: impl Into<String>) -> Self {
        self.cheaper = Some(route.into());
        self
    }

    /// Takes models of unknown price in spite of a limit.
    pub fn allow_unknown_price(mut self) -> Self {
        self.allow_unknown_price = true;
        self
    }
}
