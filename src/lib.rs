#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub use neonhub_agents::{
    brand, campaign, consent, email, gate, guardrail, link, orchestrator, people, registry, send, sms,
    template, voice,
};
pub use neonhub_connectors as connectors;
#[cfg(feature = "doubles")]
pub use neonhub_core::testing;
pub use neonhub_core::{
    AppPermission, CancelToken, Clock, Currency, Error, ErrorKind, Fault, Faults, Hub, HubBuilder,
    ManualClock, Money, Permission, PermissionSet, Principal, Result, Retry, Role, Scope, Sealed, Secret,
    Seed, SystemClock, Timestamp, WorkspaceId, audit, bus, connector, health, http, hub, id, job, llm, mcp,
    network, op, prompt, run, seal, store, telemetry, tenancy, tool, vault, zone,
};
pub use neonhub_rag as knowledge;

/// A hub builder with every layer installed: runtime, knowledge, capabilities and the send gate.
pub fn builder() -> HubBuilder {
    builder_with(knowledge::Knowledge::new())
}

/// The same with embedders and rerankers of one's own, such as a model from a folder (feature `local`).
pub fn builder_with(knowledge: knowledge::Knowledge) -> HubBuilder {
    neonhub_agents::install(neonhub_rag::install_with(Hub::builder(), knowledge))
}

/// Opens a store with every layer and its defaults: the offline model, and an outbox beside the store that takes every
/// message until a connector is added.
///
/// `url` is a path, `sqlite:PATH`, `postgres://...` (feature `postgres`) or `memory:`. A new store starts with the
/// workspace `default` in sandbox mode. The outbox of a file is `FILE.outbox`; that of a server is
/// `DATABASE.SCHEMA.outbox` in the working directory, or in the `folder` that the URL names; a store in memory has none.
/// A store on a server needs its root key in the variable `NEONHUB_KEY`.
///
/// # Errors
/// As [`HubBuilder::build`].
pub async fn open(url: &str) -> Result<Hub> {
    let hub = builder().store(url).build().await?;
    if let Some(folder) = hub.beside("outbox") {
        hub.add_connector(std::sync::Arc::new(connectors::outbox::Outbox::at(folder)));
    }
    Ok(hub)
}
