//! What the send gate needs of a person, in one record.
//!
//! Kept in the same commits as identities, consent, suppression, preferences and merges. Of merged people the
//! survivor's record holds the facts of all; the others name the survivor. Addresses themselves are not here:
//! they are opened from the identity at dispatch.

use neonhub_core::store::{Record, Stored};
use neonhub_core::{Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Identity, PersonStatus};
use super::normalise::{Key, Quality};
use super::resolve::{Component, Held, Member};
use super::{IdentityId, IdentityKind, Person, PersonId};
use crate::consent::model::Preferences;
use crate::consent::rules::{self, Answer, Ask, ConsentFact};
use crate::consent::suppression::{SuppressionFact, Target, matching};
use crate::consent::{Channel, ConsentScope};

/// What the gate reads of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityFact {
    /// The identity.
    pub identity: IdentityId,
    /// Which member of merged people holds it; 0 for a person that was never merged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub member: u32,
    /// What it is.
    pub kind: IdentityKind,
    /// The namespace of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Keyed hash of kind and key.
    pub hash: String,
    /// How sure the value is.
    pub quality: Quality,
    /// Whether the person proved it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub verified: bool,
    /// Whether it is the one to use of its kind.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_primary: bool,
    /// Since when it is known.
    pub first_seen_at: Timestamp,
}

impl IdentityFact {
    /// What the gate reads of an identity that this member of the person holds.
    pub(crate) fn of(identity: &Identity, member: u32) -> Self {
        IdentityFact {
            identity: identity.id.clone(),
            member,
            kind: identity.kind,
            namespace: identity.namespace.clone(),
            hash: identity.hash.clone(),
            quality: identity.quality,
            verified: identity.verified,
            is_primary: identity.is_primary,
            first_seen_at: identity.first_seen_at,
        }
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// One of several merged people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberFact {
    /// The person.
    pub person: PersonId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Everything a verdict needs of a person. Its id is the person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateFacts {
    /// The person.
    pub person: PersonId,
    /// The person that speaks for this one since a merge; read that one's facts instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survivor: Option<PersonId>,
    /// All merged people, this one first; empty for a person that was never merged. Facts name them by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberFact>,
    /// The latest merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_at: Option<Timestamp>,
    /// When the person was made.
    pub created_at: Timestamp,
    /// Whether the person may be processed.
    pub status: PersonStatus,
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
    /// Active identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<IdentityFact>,
    /// The newest rows of the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<ConsentFact>,
    /// Suppressions that were not lifted, of the person and of each address and domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<SuppressionFact>,
    /// What the person wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferences: Option<Preferences>,
    /// Raised by every change of these facts that a send must see.
    pub epoch: u64,
}

impl Record for GateFacts {
    const KIND: &'static str = "gate_facts";
    fn id(&self) -> &str {
        self.person.as_str()
    }
    fn personal(&self) -> Vec<String> {
        vec![self.person.to_string()]
    }
}

impl GateFacts {
    /// The facts of a person that has nothing yet.
    #[must_use]
    pub fn of(person: &Person) -> Self {
        GateFacts {
            person: person.id.clone(),
            survivor: None,
            members: Vec::new(),
            merged_at: None,
            created_at: person.created_at,
            status: person.status,
            locale: person.locale.clone(),
            timezone: person.timezone.clone(),
            country: person.country.clone(),
            region: person.region.clone(),
            identities: Vec::new(),
            consents: Vec::new(),
            suppressions: Vec::new(),
            preferences: None,
            epoch: 1,
        }
    }

    /// Takes over the plain fields of the person; true when one changed.
    pub(crate) fn follow(&mut self, person: &Person) -> bool {
        let before = (&self.status, &self.locale, &self.timezone, &self.country, &self.region);
        let after = (&person.status, &person.locale, &person.timezone, &person.country, &person.region);
        if before == after {
            return false;
        }
        self.status = person.status;
        self.locale.clone_from(&person.locale);
        self.timezone.clone_from(&person.timezone);
        self.country.clone_from(&person.country);
        self.region.clone_from(&person.region);
        true
    }

    /// The identity that a message on this channel goes to: the primary one of the kind, a verified one before
    /// others, then the oldest. `ads` and `dm` take the first of their kind (and platform).
    #[must_use]
    pub fn identity_for(&self, channel: &Channel) -> Option<&IdentityFact> {
        let kind = channel.identity_kind()?;
        let fits = |i: &&IdentityFact| match channel {
            Channel::Dm(platform) => {
                i.namespace.as_deref().and_then(|n| n.split(':').next()) == Some(platform.as_ref())
            }
            _ => true,
        };
        self.identities
            .iter()
            .filter(|i| i.kind == kind)
            .filter(fits)
            .min_by_key(|i| (!i.is_primary, !i.verified, i.member, i.first_seen_at, &i.identity))
    }

    /// What the ledger says for an address of the person at an instant.
    #[must_use]
    pub fn consent(
        &self,
        channel: &Channel,
        scope: &ConsentScope,
        brand: Option<&str>,
        identity: Option<&IdentityId>,
        at: Timestamp,
    ) -> Answer {
        let ask = Ask { channel, scope, brand, identity, at, known_at: at };
        rules::check(&self.consents, self.merged_at, &ask)
    }

    /// The suppressions that forbid an address of the person at an instant.
    #[must_use]
    pub fn suppressed<'a>(
        &'a self,
        channel: &'a Channel,
        brand: Option<&'a str>,
        identity: Option<&'a IdentityId>,
        at: Timestamp,
    ) -> Vec<&'a SuppressionFact> {
        matching(&self.suppressions, Target { channel, brand, identity, at }).collect()
    }

    /// The people these facts are about.
    pub(crate) fn people(&self) -> Vec<MemberFact> {
        if self.members.is_empty() {
            vec![MemberFact { person: self.person.clone(), created_at: self.created_at }]
        } else {
            self.members.clone()
        }
    }

    /// The person at a place of the member list.
    pub(crate) fn member(&self, place: u32) -> &PersonId {
        usize::try_from(place).ok().and_then(|p| self.members.get(p)).map_or(&self.person, |m| &m.person)
    }

    /// The place of a person in the member list.
    pub(crate) fn place(&self, person: &PersonId) -> u32 {
        let place = self.members.iter().position(|m| m.person == *person).unwrap_or(0);
        u32::try_from(place).unwrap_or(0)
    }

    /// The view that [`super::resolve`] decides on. Keys are compared by their hashes.
    pub(crate) fn component(&self) -> Component {
        let members = self
            .people()
            .into_iter()
            .map(|m| Member { person: m.person, created_at: m.created_at })
            .collect();
        let held = |i: &IdentityFact| Held {
            person: self.member(i.member).clone(),
            key: Key {
                kind: i.kind,
                namespace: i.namespace.as_deref().map(Into::into),
                text: i.hash.as_str().into(),
            },
            verified: i.verified,
            first_seen_at: i.first_seen_at,
        };
        Component { members, identities: self.identities.iter().map(held).collect() }
    }

    /// Takes over the facts of people merged into this one. Nothing is lost: undoing builds both again.
    pub(crate) fn absorb(&mut self, other: &GateFacts, at: Timestamp) {
        self.members = self.people();
        let offset = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        self.members.extend(other.people());
        self.identities.extend(other.identities.iter().cloned().map(|i| IdentityFact {
            member: i.member + offset,
            is_primary: false,
            ..i
        }));
        let theirs = other.consents.iter().cloned().map(|c| ConsentFact { member: c.member + offset, ..c });
        let all: Vec<ConsentFact> = std::mem::take(&mut self.consents).into_iter().chain(theirs).collect();
        self.consents = rules::fold(all, Some(at));
        for suppression in &other.suppressions {
            if !self.suppressions.contains(suppression) {
                self.suppressions.push(suppression.clone());
            }
        }
        self.preferences = union(self.preferences.take(), other.preferences.clone());
        self.merged_at = Some(at);
        // The stricter state holds for both.
        if other.status != PersonStatus::Active && self.status == PersonStatus::Active {
            self.status = other.status;
        }
        for (mine, theirs) in [
            (&mut self.locale, &other.locale),
            (&mut self.timezone, &other.timezone),
            (&mut self.country, &other.country),
            (&mut self.region, &other.region),
        ] {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        self.ensure_primary();
        self.epoch += 1;
    }

    /// Puts lists into their fixed order, so that equal facts have equal bytes whatever their history.
    pub(crate) fn settle(&mut self) {
        self.ensure_primary();
        self.identities.sort_by(|a, b| (a.member, &a.identity).cmp(&(b.member, &b.identity)));
        self.suppressions.sort_by(|a, b| (&a.suppression, &a.identity).cmp(&(&b.suppression, &b.identity)));
        self.suppressions.dedup();
    }

    /// One primary per kind as long as there is an identity of the kind.
    pub(crate) fn ensure_primary(&mut self) {
        for kind in IdentityKind::ALL {
            let mut of_kind: Vec<&mut IdentityFact> =
                self.identities.iter_mut().filter(|i| i.kind == kind).collect();
            if of_kind.iter().any(|i| i.is_primary) {
                continue;
            }
            if let Some(first) =
                of_kind.iter_mut().min_by_key(|i| (!i.verified, i.first_seen_at, i.identity.clone()))
            {
                first.is_primary = true;
            }
        }
    }
}

/// Both wishes hold: what one side switched off stays off.
fn union(a: Option<Preferences>, b: Option<Preferences>) -> Option<Preferences> {
    let (Some(mut a), Some(b)) = (a.clone(), b.clone()) else { return a.or(b) };
    for channel in b.channels_off {
        if !a.channels_off.contains(&channel) {
            a.channels_off.push(channel);
        }
    }
    for topic in b.topics_off {
        if !a.topics_off.contains(&topic) {
            a.topics_off.push(topic);
        }
    }
    for (channel, most) in b.frequency {
        a.frequency.entry(channel).or_insert(most);
    }
    a.pause_until = a.pause_until.max(b.pause_until);
    a.quiet_hours = a.quiet_hours.or(b.quiet_hours);
    a.language = a.language.or(b.language);
    Some(a)
}

/// The facts that speak for a person: its own, or those of its survivor.
///
/// # Errors
/// `NotFound` when there is no such person in this workspace.
pub async fn facts_of(cx: &Scope, person: &PersonId) -> Result<Stored<GateFacts>> {
    let own = cx.get::<GateFacts>(person.as_str()).await?.ok_or_else(|| cx.missing("person"))?;
    match &own.body.survivor {
        None => Ok(own),
        Some(survivor) => cx.get::<GateFacts>(survivor.as_str()).await?.ok_or_else(|| cx.missing("person")),
    }
}

/// The facts that speak for several people, in the order asked; two look-ups however many.
///
/// # Errors
/// `Corrupted` when a record does not match its checksum.
pub async fn facts_of_many(cx: &Scope, people: &[PersonId]) -> Result<Vec<Option<Stored<GateFacts>>>> {
    let ids: Vec<String> = people.iter().map(ToString::to_string).collect();
    let mut found = cx.get_many::<GateFacts>(&ids).await?;
    let merged: Vec<(usize, String)> = found
        .iter()
        .enumerate()
        .filter_map(|(n, f)| Some((n, f.as_ref()?.survivor.as_ref()?.to_string())))
        .collect();
    if !merged.is_empty() {
        let ids: Vec<String> = merged.iter().map(|(_, id)| id.clone()).collect();
        for ((n, _), facts) in merged.into_iter().zip(cx.get_many::<GateFacts>(&ids).await?) {
            if let Some(slot) = found.get_mut(n) {
                *slot = facts;
            }
        }
    }
    Ok(found)
}
