//! Drafts and sends: from what is said to what went out, once.
//!
//! A [`Send`] is one message to one person, or one public post. The gate judges it when it is made and again at the
//! moment of sending; the dispatch commit, which stores the effect before anything leaves the house, is the point
//! of no return. After a crash the connector is asked whether the effect landed; nothing is sent on a guess.

mod author;
mod create;
mod desk;
mod dispatch;
mod draft;
mod draft_ops;
mod model;
mod ops;
mod outcome;
mod render;
mod wake;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub(crate) use author::only_people;
pub use create::{CreateSend, CreateSends, CreatedSend, KeepDenied, SendPage};
pub use dispatch::SendHandler;
pub use draft::{Attribution, Draft, DraftId, Parts, Review};
pub use draft_ops::{ApproveDraft, CreateDraft, GetDraft, RejectDraft};
pub use model::{Reach, Reached, Send, SendId, SendSource, SendState, SendTotals, Verdict};
pub use ops::{
    CancelSend, ExplainSend, Explanation, GetSendStatus, ListSends, ReadTotals, ReleaseSlot, ResolveUnknown,
    put_source,
};
pub(crate) use render::core_channel;
pub use wake::{WakeSends, Woken};

/// The operations of drafts and sends.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateDraft>(),
    entry::<GetDraft>(),
    entry::<ApproveDraft>(),
    entry::<RejectDraft>(),
    entry::<CreateSend>(),
    entry::<CreateSends>(),
    entry::<KeepDenied>(),
    entry::<GetSendStatus>(),
    entry::<CancelSend>(),
    entry::<ListSends>(),
    entry::<ExplainSend>(),
    entry::<ReadTotals>(),
    entry::<ResolveUnknown>(),
    entry::<ReleaseSlot>(),
    entry::<WakeSends>(),
];

/// The records of drafts and sends.
pub static KINDS: &[Kind] =
    &[Kind::of::<Draft>(), Kind::of::<Send>(), Kind::of::<SendSource>(), Kind::of::<Reach>()];

/// Adds drafts, sends and the three sending queues to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder
        .operations(CATALOGUE)
        .kinds(KINDS)
        .handler(Arc::new(SendHandler::new("email.send")))
        .handler(Arc::new(SendHandler::new("sms.send")))
        .handler(Arc::new(SendHandler::new("social.send")))
}
