//! The outside world: one folder per service behind the traits of `neonhub-core`. A connector takes nothing
//! but messages the gate cleared, and it classifies errors; waiting and retrying is not its work.
#![forbid(unsafe_code)]

pub mod outbox;
#[cfg(feature = "smtp")]
pub mod smtp;

use std::sync::Arc;

use neonhub_core::connector::{Connector, Manifest};
use neonhub_core::hub::closest;
use neonhub_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// Every connector of this build.
pub static CATALOG: &[&Manifest] = &[
    &outbox::MANIFEST,
    #[cfg(feature = "smtp")]
    &smtp::MANIFEST,
];

/// Builds a connector by its id from a settings map, as bindings and configuration files do.
///
/// # Errors
/// `NotFound` with the closest ids; `InvalidInput` naming a wrong setting.
pub fn open(id: &str, settings: Value) -> Result<Arc<dyn Connector>> {
    let Some(manifest) = CATALOG.iter().find(|m| m.id == id) else {
        let close = closest(id, CATALOG.iter().map(|m| m.id)).join(", ");
        return Err(Error::new(
            ErrorKind::NotFound,
            "connectors.open",
            "there is no such connector in this build",
        )
        .with_context("closest", close));
    };
    (manifest.open)(settings)
}

/// Settings read strictly from a map: an unknown or wrong one is named.
pub(crate) fn settings<T: serde::de::DeserializeOwned>(connector: &'static str, map: Value) -> Result<T> {
    serde_json::from_value(map).map_err(|cause| {
        let text = cause.to_string();
        let field = text.split('`').nth(1).unwrap_or("settings").to_owned();
        Error::invalid(connector, field, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_has_its_docs_and_a_name_of_its_own() {
        let mut ids: Vec<_> = CATALOG.iter().map(|m| m.id).collect();
        for id in &ids {
            let docs = format!("{}/src/{id}/docs.md", env!("CARGO_MANIFEST_DIR"));
            assert!(std::fs::read_to_string(&docs).is_ok_and(|t| t.len() > 200), "{docs}");
        }
        ids.dedup();
        assert_eq!(ids.len(), CATALOG.len());
    }

    #[test]
    fn unknown_connectors_and_settings_are_named() {
        let error = open("outbax", Value::Null).unwrap_err();
        assert!(error.to_string().contains("closest=outbox"), "{error}");
        let error = open("outbox", serde_json::json!({ "foldr": "x" })).unwrap_err();
        assert_eq!(error.field_faults()[0].field, "foldr");
    }
}
