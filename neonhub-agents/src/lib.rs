//! Marketing on the runtime: one folder per capability. An agent is the face of its capability.
#![forbid(unsafe_code)]

pub mod brand;
pub mod campaign;
pub mod consent;
pub mod email;
pub mod eval;
pub mod gate;
pub mod guardrail;
pub mod link;
pub mod message;
pub mod orchestrator;
pub mod people;
pub mod registry;
pub mod runs;
pub mod send;
pub mod sms;
pub mod template;
pub mod voice;

#[cfg(test)]
mod cut;

use neonhub_core::HubBuilder;

/// Adds every capability to a hub: operations, record kinds, queues with their handlers, and the send gate.
pub fn install(builder: HubBuilder) -> HubBuilder {
    let builder = people::install(consent::install(brand::install(builder)));
    let builder = send::install(gate::install(link::install(sms::install(builder))));
    let builder = registry::install(campaign::install(voice::install(builder)));
    runs::install(eval::install(message::install(orchestrator::install(builder))))
}
