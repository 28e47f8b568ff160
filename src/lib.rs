#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub use neonhub_agents::{
    brand, campaign, consent, email, gate, guardrail, link, people, send, sms, template, voice,
};
pub use neonhub_connectors as connectors;
#[cfg(feature = "doubles")]
pub use neonhub_core::testing;
pub use neonhub_core::{
    CancelToken, Clock, Currency, Error, ErrorKind, Fault, Faults, Hub, HubBuilder, ManualClock, Money,
    Permission, PermissionSet, Principal, Result, Retry, Role, Scope, Sealed, Secret, Seed, SystemClock,
    Timestamp, WorkspaceId, audit, bus, connector, health, http, hub, id, job, llm, network, op, prompt, run,
    seal, store, telemetry, tenancy, tool, vault, zone,
};
pub use neonhub_rag as knowledge;

/// A hub builder with every layer installed: runtime, knowledge, capabilities and the send gate.
pub fn builder() -> HubBuilder {
    neonhub_agents::install(neonhub_rag::install(Hub::builder()))
}

/// Opens a store with every layer and its defaults: the offline model, and an outbox beside the file that
/// takes every message until a connector is added.
///
/// `url` is a path, `sqlite:PATH`, `postgres://...` (feature `postgres`) or `memory:`. A new store starts with the workspace `default` in sandbox mode.
///
/// # Errors
/// As [`HubBuilder::build`].
pub async fn open(url: &str) -> Result<Hub> {
    let hub = builder().store(url).build().await?;
    if let Some(path) = hub.location() {
        let mut folder = path.as_os_str().to_owned();
        folder.push(".outbox");
        hub.add_connector(std::sync::Arc::new(connectors::outbox::Outbox::at(folder)));
    }
    Ok(hub)
}
