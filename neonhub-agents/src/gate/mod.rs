//! The gate: may this message go to this person, on this channel, now?
//!
//! Every message passes here and nowhere else. The rules (`rules`) are pure functions over a snapshot
//! ([`facts`]) and an instant, so the same snapshot gives the same verdict; all rules run, all reasons are kept.
//! Laws and limits are dated tables (`law`, `limits`). They inform the gate; they are not legal advice.

mod channel;
mod content;
pub mod facts;
mod frequency;
mod hours;
mod law;
pub mod limits;
pub(crate) mod load;
mod marketing;
mod ops;
mod person;
mod places;
mod platform;
mod rules;
mod source;
mod text_count;
mod timing;
mod urls;
mod verdict;

#[cfg(test)]
mod tests;

pub use channel::{Category, Channel, Network};
pub use content::{ContentFacts, FooterNeeds, inspect_email, inspect_sms};
pub(crate) use content::{has_placeholder, visible_text};
pub use frequency::{Cap, CapScope, DEFAULT_CAPS, next_slot};
pub use hours::{DayWindow, Week, next_opening};
pub use law::{HoursRow, LAW_VERSION, default_hours, hours_for};
pub(crate) use marketing::{Ask, Preloaded};
pub use marketing::{GATE_VERSION, MarketingGate};
pub use ops::CheckGate;
pub use places::{Area, PhonePlace, Place, ZoneSource, area_code, candidate_zones};
pub use platform::{normalise_post, post_fingerprint};
pub use rules::evaluate;
pub use text_count::{Weighted, utf16_len, weighted_length};
pub use verdict::{RuleId, Ruling, deciding, denial};

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};

/// The operations of the gate.
pub static CATALOGUE: &[Entry] = &[entry::<CheckGate>()];

/// Installs the gate in a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).gate(Arc::new(MarketingGate))
}
