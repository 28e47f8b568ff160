//! What agents say to each other: requests with an answer due, replies, news and objections.
//!
//! An [`AgentMessage`] is a record, written in the commit of `bus.send` with an event that tells of it
//! (`bus.subscribe`, types `agent.message.*`). It stands in both logs: in that of the run that sends as the call, in
//! that of the run it is for as a remark with the whole message, or as the outcome of the `bus.receive` that took it. A
//! run that waits for the signal `message/<id of its request>` is woken by the reply, or by the failure
//! `reply_timeout` once the deadline has passed.

mod deadline;
mod model;
mod post;
mod receive;
mod rights;
mod send;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::job::Queue;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use deadline::ExpireMessage;
pub use model::{AgentMessage, MessageFrom, MessageKind, MessageTo};
pub use receive::{ReceiveMessages, ReceivedMessages};
pub use send::{SendMessage, SentMessage};

/// Operations of this room.
pub static CATALOGUE: &[Entry] =
    &[entry::<SendMessage>(), entry::<ReceiveMessages>(), entry::<ExpireMessage>()];

/// Records of this room.
pub static KINDS: &[Kind] = &[Kind::of::<AgentMessage>()];

/// Adds messages between agents, and the queue that watches their deadlines, to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    let queue = Queue::declare(deadline::QUEUE).handler(Arc::new(deadline::DeadlineHandler)).build();
    builder.operations(CATALOGUE).kinds(KINDS).queue(queue)
}
