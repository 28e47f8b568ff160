//! The event bus: what happened, written in the commit that made it so.
//!
//! Durable events are records of the commit they describe, read in order from the change feed: by host code with a
//! [`Subscription`], by [`Subscriber`]s whose cursor is stored and moves in the commit of their own work, and by
//! [`Stream`]s over topics with signed cursors. Live items (progress, text deltas) are broadcast, never stored, and
//! may be dropped for a slow reader, who is told so.

mod cursor;
mod deliver;
mod event;
mod feed;
mod filter;
mod live;
mod ops;
mod stream;
mod subscriber;
mod subscription;
mod topic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::op::{Entry, entry};
use crate::store::Kind;

pub use deliver::Delivered;
pub(crate) use event::Causation;
pub use event::{BusEvent, Event, Item, MAX_DEPTH, Progress};
pub use filter::Filter;
pub use ops::{
    EventPage, OpenStream, PublishEvent, Published, ReplayEvents, Replayed, StreamPage, SubscribeEvents,
};
pub use stream::{Stream, StreamItem, StreamSpec};
pub use subscriber::{DeadEvent, Start, Subscriber, SubscriberCursor};
pub use subscription::Subscription;
pub use topic::Topic;

/// Operations of the bus.
pub static CATALOGUE: &[Entry] =
    &[entry::<SubscribeEvents>(), entry::<PublishEvent>(), entry::<ReplayEvents>(), entry::<OpenStream>()];

/// Records of the bus.
pub static KINDS: &[Kind] = &[Kind::of::<Event>(), Kind::of::<SubscriberCursor>(), Kind::of::<DeadEvent>()];

/// The in-process side of the bus.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    live: live::Live,
    feed: feed::Feed,
    /// Positions of subscriptions, so that closing keeps what they have still to give out.
    readers: Mutex<Vec<Weak<AtomicU64>>>,
}

impl Bus {
    fn register(&self, position: &Arc<AtomicU64>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len().is_power_of_two() {
            readers.retain(|r| r.strong_count() > 0);
        }
        readers.push(Arc::downgrade(position));
    }

    /// The position of the slowest reader.
    fn slowest(&self) -> Option<u64> {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.iter().filter_map(Weak::upgrade).map(|p| p.load(Ordering::Relaxed)).min()
    }

    /// Before the store closes: reads what subscriptions have not given out yet, as far as it is kept in memory.
    pub(crate) async fn keep_rest(&self, hub: &crate::Hub) -> crate::Result<()> {
        match self.slowest() {
            Some(after) => self.feed.keep(hub, after).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
