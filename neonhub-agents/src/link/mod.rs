//! Links in messages: campaign parameters.

mod ops;
mod utm;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};

pub use ops::{ApplyUtm, TaggedLink};
pub use utm::{Utm, apply};

/// The operations of links.
pub static CATALOGUE: &[Entry] = &[entry::<ApplyUtm>()];

/// Adds links to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE)
}
