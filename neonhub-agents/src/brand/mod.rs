//! Brands: who speaks, and the addresses, numbers and accounts it speaks from.

mod model;
mod ops;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use model::{Brand, BrandId, BrandStatus, SenderId, SenderProfile};
pub(crate) use ops::by_id_or_slug;
pub use ops::{CreateBrand, GetBrand, ListBrands, ListSenders, SetSender};

/// The operations of brands.
pub static CATALOGUE: &[Entry] = &[
    entry::<CreateBrand>(),
    entry::<GetBrand>(),
    entry::<ListBrands>(),
    entry::<SetSender>(),
    entry::<ListSenders>(),
];

/// The records of brands.
pub static KINDS: &[Kind] = &[Kind::of::<Brand>(), Kind::of::<SenderProfile>()];

/// Adds brands to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS)
}
