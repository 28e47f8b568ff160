//! Gate facts from the records they were made of: what undoing a merge comes down to.

use std::collections::BTreeMap;

use neonhub_core::store::{Key, Query};
use neonhub_core::{Result, Scope, Timestamp};

use crate::consent::model::{Consent, Preference, SuppressedValue};
use crate::consent::rules;
use crate::consent::suppression::{SuppressionFact, domain_of};
use crate::people::facts::{GateFacts, IdentityFact};
use crate::people::limits::MAX_COMPONENT_IDENTITIES;
use crate::people::model::{Identity, IdentityStatus, Person};
use crate::people::{IdentityKind, PersonId, hash};

/// Rows read per person; people have a handful.
const MAX_ROWS: usize = 100_000;

/// The facts of one person from its own records alone. `merged_at` is the latest merge of the component it is
/// part of, which tells rows before and after apart.
pub(crate) async fn own_facts(cx: &Scope, id: &PersonId, merged_at: Option<Timestamp>) -> Result<GateFacts> {
    let person = cx.need::<Person>(id.as_str()).await?.body;
    let mut facts = GateFacts::of(&person);
    let by_person = Query::index("person").prefix(Key::text(id.as_str()));
    let identities = cx.query::<Identity>(&by_person.clone().limit(MAX_COMPONENT_IDENTITIES)).await?;
    let active: Vec<Identity> =
        identities.into_iter().map(|i| i.body).filter(|i| i.status == IdentityStatus::Active).collect();
    facts.suppressions = suppressions(cx, id, &active).await?;
    facts.identities = active.iter().map(|i| IdentityFact::of(i, 0)).collect();
    let rows = cx.query::<Consent>(&by_person.limit(MAX_ROWS)).await?;
    facts.consents = rules::fold(rows.iter().map(|r| r.to_fact(0)), merged_at);
    facts.preferences = cx.get::<Preference>(id.as_str()).await?.map(|p| p.body.wants);
    facts.settle();
    Ok(facts)
}

async fn suppressions(cx: &Scope, id: &PersonId, identities: &[Identity]) -> Result<Vec<SuppressionFact>> {
    let mut owners: BTreeMap<String, Vec<Option<&Identity>>> = BTreeMap::new();
    owners.entry(id.to_string()).or_default().push(None);
    for identity in identities {
        owners.entry(identity.hash.clone()).or_default().push(Some(identity));
        if identity.kind == IdentityKind::Email {
            let address = cx.sealer().open("identity", "key", &identity.key)?;
            if let Some(domain) = domain_of(address.expose()) {
                owners.entry(hash::domain(cx.sealer(), domain)).or_default().push(Some(identity));
            }
        }
    }
    let ids: Vec<String> = owners.keys().cloned().collect();
    let values = cx.get_many::<SuppressedValue>(&ids).await?;
    let mut facts = Vec::new();
    for (owners, value) in owners.values().zip(values) {
        for fact in value.iter().flat_map(|v| &v.suppressions) {
            for owner in owners {
                facts.push(SuppressionFact { identity: owner.map(|i| i.id.clone()), ..fact.clone() });
            }
        }
    }
    Ok(facts)
}
