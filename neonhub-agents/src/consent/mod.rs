//! Consent, suppression and preferences: who may be reached, on which channel, for what, and how we know.
//!
//! The ledger is append-only: [`rules`] folds its rows into an answer for any instant, valid time and known
//! time apart. [`suppression`] says which addresses must not be reached whatever the ledger says. [`token`]
//! signs and checks the unsubscribe links of mails.

pub mod channel;
mod ids;
mod knowledge;
pub mod model;
pub mod ops;
pub mod rules;
pub mod scope;
pub mod status;
pub mod suppression;
pub mod token;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;
use neonhub_core::vault::SealedColumn;

pub use channel::Channel;
pub use ids::{ConsentId, ConsentTextId, SuppressionId};
pub use model::{Consent, ConsentText, Preference, Preferences, Suppression};
pub use ops::{signing_keys, unsubscribe_token};
pub use scope::ConsentScope;
pub use status::{Basis, ProofMethod, Status};

/// The operations on consent.
pub static CATALOGUE: &[Entry] = &[
    entry::<ops::CheckConsent>(),
    entry::<ops::RecordConsent>(),
    entry::<ops::ConsentHistory>(),
    entry::<ops::AddSuppression>(),
    entry::<ops::CheckSuppression>(),
    entry::<ops::ListSuppressions>(),
    entry::<ops::LiftSuppression>(),
    entry::<ops::PrepareSuppression>(),
    entry::<ops::Unsubscribe>(),
    entry::<ops::GetPreferences>(),
    entry::<ops::UpdatePreferences>(),
    entry::<ops::EnsureSigningKey>(),
];

/// The records of consent.
pub static KINDS: &[Kind] = &[
    Kind::of::<Consent>(),
    Kind::of::<ConsentText>(),
    Kind::of::<Suppression>(),
    Kind::of::<model::SuppressedValue>(),
    Kind::of::<model::SuppressionCount>(),
    Kind::of::<Preference>(),
    Kind::of::<ops::SigningKeyRecord>(),
];

/// What is sealed in them: suppressed addresses, and the keys of unsubscribe links.
static SEALED: &[SealedColumn] = &[
    SealedColumn::of::<Suppression>("identity", "key"),
    SealedColumn::of::<ops::SigningKeyRecord>("signing_key", "secret"),
];

/// Adds consent to a hub; what knowledge uses about people hangs on it from then on. Needs [`crate::people::install`]
/// beside it.
pub fn install(builder: HubBuilder) -> HubBuilder {
    let ledger = Arc::new(neonhub_rag::Persons::of(knowledge::LedgerSource));
    builder.operations(CATALOGUE).kinds(KINDS).sealed(SEALED).service(ledger)
}
