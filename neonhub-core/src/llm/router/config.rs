//! Routes as settings say them.

use serde::{Deserialize, Serialize};

use super::{ModelName, Route, Router};
use crate::{Faults, Result};

/// A route of settings: models in the order of preference, and what one call may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name: `default` serves requests that name none, `image` pictures, `moderation` verdicts.
    pub name: String,
    /// Its models, the preferred one first, each of a provider that is set up. The offline model comes last by itself.
    pub models: Vec<ModelName>,
    /// Asks the model that is worth most for its price first, as [`Route::by_value`].
    #[serde(default)]
    pub by_value: bool,
    /// The quality that a route by value wants, 0 to 1. Default: 0.
    #[serde(default)]
    pub at_least: f64,
    /// The most that one call may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<RouteLimit>,
    /// Takes models of unknown price in spite of a limit.
    #[serde(default)]
    pub allow_unknown_price: bool,
    /// The route that is taken in its place once a soft limit of a quota is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheaper: Option<String>,
    /// Lets another model start again when one breaks off in the middle.
    #[serde(default)]
    pub allow_restart: bool,
}

/// The most that one call may cost in its worst case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteLimit {
    /// ISO 4217 code of the currency of the model table's prices, such as `USD`.
    pub currency: String,
    /// Millionths of it.
    pub micros: u64,
}

impl RouteConfig {
    fn route(self) -> Route {
        let Self { name, models, by_value, at_least, limit, allow_unknown_price, cheaper, allow_restart } =
            self;
        let limit = limit.map(|limit| (limit.currency, limit.micros));
        let route = Route {
            steps: models,
            by_value,
            limit,
            allow_unknown_price,
            cheaper,
            allow_restart,
            ..Route::new(name)
        };
        route.at_least(at_least).offline_last()
    }
}

impl Router {
    /// Adds routes of settings, each in the place of the one with its name.
    ///
    /// # Errors
    /// `InvalidInput` that names every wrong field: a provider that is not set up, a route that is not there, a quality that
    /// is none.
    pub fn with_routes(mut self, configs: Vec<RouteConfig>) -> Result<Self> {
        let mut faults = Faults::new();
        for (i, config) in configs.iter().enumerate() {
            let mut check = |ok, field: &str, expected: &str| {
                faults.check(ok, format!("routes[{i}].{field}"), expected);
            };
            check(!config.name.trim().is_empty(), "name", "expected a name");
            let is_first = configs.iter().take(i).all(|other| other.name != config.name);
            check(is_first, "name", "a route before has this name");
            check(!config.models.is_empty(), "models", "expected a model at least");
            for (at, model) in config.models.iter().enumerate() {
                let is_here = [
                    self.models.contains_key(&model.provider),
                    self.images.contains_key(&model.provider),
                    self.moderators.contains_key(&model.provider),
                ];
                let expected = "expected a provider that `models` sets up";
                check(is_here.contains(&true), &format!("models[{at}].provider"), expected);
            }
            check((0.0..=1.0).contains(&config.at_least), "at_least", "expected 0 to 1");
            let cheaper = config.cheaper.as_ref().is_none_or(|name| {
                self.routes.contains_key(name) || configs.iter().any(|other| other.name == *name)
            });
            check(cheaper, "cheaper", "expected the name of a route");
        }
        faults.into_result("hub.open")?;
        for config in configs {
            self = self.route(config.route());
        }
        Ok(self)
    }
}
