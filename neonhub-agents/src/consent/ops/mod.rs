//! The operations on consent, suppression and preferences.

mod check;
mod keys;
mod preferences;
mod record;
mod suppress;
mod suppression;
mod suppression_read;
mod unsubscribe;

use neonhub_core::{Error, Result, Scope};

use crate::people::normalise::{Identifier, Regions, normalise};
use crate::people::{IdentityKind, PersonId, hash};

pub use check::{CheckConsent, ConsentHistory, HistoryRow};
pub use keys::{EnsureSigningKey, SigningKeyRecord, signing_keys};
pub use preferences::{GetPreferences, UpdatePreferences};
pub use record::{RecordConsent, Recorded};
pub use suppression::{AddSuppression, LiftSuppression, PrepareSuppression, SuppressionView};
pub use suppression_read::{CheckSuppression, ListSuppressions, SuppressionCheck};
pub use unsubscribe::{Unsubscribe, Unsubscribed, unsubscribe_token};

/// A normalised address of a call with its hash.
struct Address {
    kind: IdentityKind,
    key: String,
    hash: String,
}

/// Normalises an address of a call.
fn address(cx: &Scope, field: &'static str, given: &Identifier, region: Option<&str>) -> Result<Address> {
    let regions = Regions { workspace: region, ..Regions::default() };
    let normal = normalise(given, regions)
        .map_err(|refusal| Error::invalid(cx.operation(), field, refusal.message()))?;
    let key = normal.key;
    let hash = hash::identity(cx.sealer(), key.kind, &key.text);
    Ok(Address { kind: key.kind, key: key.text.into(), hash })
}

async fn workspace_region(cx: &Scope) -> Result<Option<String>> {
    Ok(cx.hub().workspace_of(cx).await?.body.default_region)
}

/// A person id of the right form for examples in the docs.
fn example_person() -> Option<PersonId> {
    PersonId::try_from(format!("per_{:026}", 1)).ok()
}

#[cfg(test)]
mod tests;
