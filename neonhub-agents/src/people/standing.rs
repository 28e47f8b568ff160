//! Suppressions that stand for an address before a person comes to hold it.

use neonhub_core::store::Expected;
use neonhub_core::{Result, Scope};

use super::normalise::Key;
use super::{IdentityId, IdentityKind, hash};
use crate::consent::model::{SuppressedValue, SuppressionCount};
use crate::consent::suppression::{SuppressionFact, domain_of};

/// The suppressions of an address and of its domain. The commit will expect that none came in between.
pub(crate) async fn suppressions(
    cx: &Scope,
    key: &Key,
    address_hash: &str,
    identity: Option<&IdentityId>,
) -> Result<Vec<SuppressionFact>> {
    let count = cx.get::<SuppressionCount>(SuppressionCount::ID).await?;
    let expected = count.as_ref().map_or(Expected::Absent, |c| Expected::Rev(c.rev));
    cx.expect::<SuppressionCount>(SuppressionCount::ID, expected)?;
    if count.is_none() {
        return Ok(Vec::new());
    }
    let mut ids = vec![address_hash.to_owned()];
    if key.kind == IdentityKind::Email {
        ids.extend(domain_of(&key.text).map(|d| hash::domain(cx.sealer(), d)));
    }
    let values = cx.get_many::<SuppressedValue>(&ids).await?;
    let named = |s: &SuppressionFact| SuppressionFact { identity: identity.cloned(), ..s.clone() };
    Ok(values.iter().flatten().flat_map(|v| &v.suppressions).map(named).collect())
}
