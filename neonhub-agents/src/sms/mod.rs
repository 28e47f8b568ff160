//! Text messages: how many segments a text takes, and how it would take fewer.

mod gsm;
mod ops;
mod segments;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};

pub use ops::{CountSegments, SegmentCount};
pub use segments::{Encoding, MAX_SEGMENTS, Replacement, Segmentation, Suggestion, segment, suggest};

/// The operations of text messages.
pub static CATALOGUE: &[Entry] = &[entry::<CountSegments>()];

/// Adds text messages to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE)
}
