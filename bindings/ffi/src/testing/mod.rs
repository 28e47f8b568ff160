//! Helpers for the tests of applications, the same in every language: a scripted model, faults on demand, a virtual
//! clock, and a switch that keeps sockets shut. They are part of every build of the bindings.

mod clock;
mod script;
mod tape;
pub(crate) mod traffic;

use neonhub_core::Result;
use neonhub_core::testing::{FaultInjector, FaultRule};
use serde_json::Value;

pub use clock::VirtualClock;
pub use neonhub_core::network::{
    NetworkForbidden, forbid as forbid_network, is_forbidden as is_network_forbidden,
};
pub use script::ScriptedModel;
pub use tape::Cassette;

use crate::error::FfiResult;

/// The instant that a hub for tests starts at: a Monday morning.
pub const TEST_NOW: &str = "2026-01-05T09:00:00Z";

/// Puts faults on calls of models, tools and connectors. Clones are the same injector.
#[derive(Clone, Debug, Default)]
pub struct Faults(FaultInjector);

impl Faults {
    /// One without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule as a JSON map: `on` (`model`, `tool`, `connector`), and as wanted `name`, `nth`, `times`, `delay_ms`,
    /// `hang`, `error {kind, code, message, retry_after_ms}`, `after`.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown field, and for a rule that does nothing.
    pub fn add(&self, rule: Value) -> FfiResult<()> {
        let rule: FaultRule = read("testing.faults", "rule", rule)?;
        Ok(self.0.add(rule)?)
    }

    /// Takes every rule away.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// The calls so far: `{on, name, faulty}` in order.
    #[must_use]
    pub fn seen(&self) -> Value {
        serde_json::to_value(self.0.seen()).unwrap_or_default()
    }

    pub(crate) fn injector(&self) -> FaultInjector {
        self.0.clone()
    }
}

/// Reads a part of a test's JSON.
fn read<T: serde::de::DeserializeOwned>(operation: &'static str, field: &str, value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|cause| neonhub_core::Error::invalid(operation, field, cause.to_string()))
}

#[cfg(test)]
mod tests;
