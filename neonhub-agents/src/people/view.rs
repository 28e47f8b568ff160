//! What a reader of people sees: the component as one person, contact values opened, or masked for those without
//! `read:pii`.

use std::collections::{BTreeMap, HashMap};

use neonhub_core::{Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::GateFacts;
use super::model::{Identity, Lifecycle, Person, PersonStatus, Trait, Verification};
use super::normalise::Quality;
use super::{IdentityId, IdentityKind, PersonId};

/// An identity as a reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityView {
    /// Its id.
    pub id: IdentityId,
    /// The member of the person that holds it.
    pub person: PersonId,
    /// What it is.
    pub kind: IdentityKind,
    /// The namespace of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The normalised value; masked without `read:pii`.
    pub value: String,
    /// The value as it was given, when it differs; left out without `read:pii`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// The extension of a phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// How sure the value is.
    pub quality: Quality,
    /// Whether the person proved it.
    pub verified: bool,
    /// How it was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Whether it is the one to use of its kind.
    pub is_primary: bool,
    /// Where it came from.
    pub source: String,
    /// Since when it is known.
    pub first_seen_at: Timestamp,
}

/// A person as a reader sees it. Merged people are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PersonView {
    /// The person that speaks for all.
    pub id: PersonId,
    /// The id that was asked for, when that person was merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<PersonId>,
    /// All merged people; empty when there was no merge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<PersonId>,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Language, BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Time zone, IANA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Country, ISO 3166-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Region, ISO 3166-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How well the person is known.
    pub lifecycle: Lifecycle,
    /// Whether the person may be processed.
    pub status: PersonStatus,
    /// Other facts by name.
    pub traits: BTreeMap<String, Trait>,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Identities.
    pub identities: Vec<IdentityView>,
    /// What was given and could not be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When the person was made.
    pub created_at: Timestamp,
    /// When the person last did something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
}

/// Opens an identity for a reader.
pub(crate) fn identity_view(cx: &Scope, identity: &Identity, is_primary: bool) -> Result<IdentityView> {
    let sealer = cx.sealer();
    let value = sealer.open("identity", "key", &identity.key)?.expose().to_owned();
    let given = match &identity.value {
        Some(sealed) => Some(sealer.open("identity", "value", sealed)?.expose().to_owned()),
        None => None,
    };
    Ok(IdentityView {
        id: identity.id.clone(),
        person: identity.person.clone(),
        kind: identity.kind,
        namespace: identity.namespace.clone(),
        value,
        given,
        extension: identity.extension.clone(),
        quality: identity.quality,
        verified: identity.verified,
        verification: identity.verification.clone(),
        is_primary,
        source: identity.source.clone(),
        first_seen_at: identity.first_seen_at,
    })
}

/// The views of several people from their facts: two look-ups however many.
pub(crate) async fn views(cx: &Scope, facts: &[&GateFacts]) -> Result<Vec<PersonView>> {
    let ids: Vec<String> = facts.iter().flat_map(|f| f.people()).map(|m| m.person.to_string()).collect();
    let people = cx.get_many::<Person>(&ids).await?;
    let people: HashMap<PersonId, Person> =
        people.into_iter().flatten().map(|p| (p.id.clone(), p.body)).collect();
    let ids: Vec<String> = facts.iter().flat_map(|f| &f.identities).map(|i| i.identity.to_string()).collect();
    let identities = cx.get_many::<Identity>(&ids).await?;
    let identities: HashMap<IdentityId, Identity> =
        identities.into_iter().flatten().map(|i| (i.id.clone(), i.body)).collect();
    facts.iter().map(|f| view(cx, f, &people, &identities)).collect()
}

fn view(
    cx: &Scope,
    facts: &GateFacts,
    people: &HashMap<PersonId, Person>,
    identities: &HashMap<IdentityId, Identity>,
) -> Result<PersonView> {
    let parts: Vec<&Person> = facts.people().iter().filter_map(|m| people.get(&m.person)).collect();
    let first = parts.first().ok_or_else(|| cx.missing("person"))?;
    // The survivor speaks; what it does not say, the next one does.
    let pick = |field: fn(&Person) -> &Option<String>| parts.iter().find_map(|p| field(p).clone());
    let mut traits: BTreeMap<String, Trait> = BTreeMap::new();
    let (mut tags, mut metadata) = (Vec::new(), BTreeMap::new());
    for part in &parts {
        for (name, value) in &part.traits {
            let is_newer = traits.get(name).is_none_or(|have| have.at < value.at);
            if is_newer {
                traits.insert(name.clone(), value.clone());
            }
        }
        tags.extend(part.tags.iter().cloned());
        metadata.extend(part.metadata.clone());
    }
    tags.sort();
    tags.dedup();
    let shown = facts.identities.iter().filter_map(|f| Some((identities.get(&f.identity)?, f.is_primary)));
    Ok(PersonView {
        id: first.id.clone(),
        alias_of: None,
        members: facts.members.iter().map(|m| m.person.clone()).collect(),
        first_name: pick(|p| &p.first_name),
        last_name: pick(|p| &p.last_name),
        locale: pick(|p| &p.locale),
        timezone: pick(|p| &p.timezone),
        country: pick(|p| &p.country),
        region: pick(|p| &p.region),
        lifecycle: first.lifecycle,
        status: facts.status,
        traits,
        tags,
        identities: shown.map(|(i, primary)| identity_view(cx, i, primary)).collect::<Result<_>>()?,
        metadata,
        created_at: first.created_at,
        last_seen_at: parts.iter().filter_map(|p| p.last_seen_at).max(),
    })
}

impl PersonView {
    /// Hides contact values.
    pub fn mask(&mut self) {
        self.identities.iter_mut().for_each(IdentityView::mask);
    }
}

impl IdentityView {
    /// Hides the value: `j***@e***.com`, `***18`.
    pub fn mask(&mut self) {
        self.value = masked(self.kind, &self.value);
        self.given = None;
    }
}

fn masked(kind: IdentityKind, value: &str) -> String {
    match (kind, value.rsplit_once('@')) {
        (IdentityKind::Email, Some((local, domain))) => {
            let first = |s: &str| s.chars().next().map(String::from).unwrap_or_default();
            let tld = domain.rsplit_once('.').map_or("", |(_, tld)| tld);
            format!("{}***@{}***.{tld}", first(local), first(domain))
        }
        (IdentityKind::Phone, _) => {
            format!("***{}", value.get(value.len().saturating_sub(2)..).unwrap_or_default())
        }
        _ => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_the_shape_and_no_more() {
        assert_eq!(masked(IdentityKind::Email, "jane@example.com"), "j***@e***.com");
        assert_eq!(masked(IdentityKind::Phone, "+12025550118"), "***18");
        assert_eq!(masked(IdentityKind::UserId, "default:abc"), "***");
    }
}
