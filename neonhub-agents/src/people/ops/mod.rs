//! The operations on people and their identities.

mod identities;
mod list;
mod person;
mod resolve;
mod timeline;

use std::sync::Arc;

use neonhub_core::{Faults, Result, Scope};
use serde_json::Value;

use super::engine::{Fields, Given};
use super::limits::{MAX_TAG_CHARS, MAX_TRAIT_BYTES, MAX_TRAIT_NAME_CHARS};
use super::normalise::{Identifier, Refusal, Regions, normalise};
use super::resolve::DropRule;
use super::{PersonId, fields};

pub use identities::{AddIdentity, ListIdentities};
pub use list::ListPeople;
pub use person::{CreatePerson, GetPerson, PersonFields, UpdatePerson};
pub(crate) use resolve::message as drop_message;
pub use resolve::{Dropped, ResolvePerson, Resolved};
pub use timeline::{PersonTimeline, TimelineEntry};

/// What can be used, its places in the input, and what was dropped: place, rule, message.
type Normalised = (Vec<Given>, Vec<usize>, Vec<(usize, DropRule, String)>);

/// Normalises identifiers: what can be used, and what was dropped with its rule. Doubles are taken once.
fn normalised(cx: &Scope, given: &[Identifier], regions: Regions<'_>) -> Result<Normalised> {
    let (mut good, mut places, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for (at, identifier) in given.iter().enumerate() {
        match normalise(identifier, regions) {
            Ok(normal) => {
                let given = Given::new(cx.sealer(), normal, identifier.value.trim())?;
                if seen.insert(given.hash.clone()) {
                    good.push(given);
                    places.push(at);
                }
            }
            Err(Refusal::Blocked) => bad.push((at, DropRule::Blocked, Refusal::Blocked.message().to_owned())),
            Err(refusal) => bad.push((at, DropRule::Malformed, refusal.message().to_owned())),
        }
    }
    Ok((good, places, bad))
}

/// Checks plain fields. A bad zone or language is kept in the metadata (people.md 2 rule 9); everything else that
/// is wrong is a fault.
fn checked_fields(said: &PersonFields, faults: &mut Faults) -> Fields {
    let mut out = Fields::default();
    for (slot, field, value) in [
        (&mut out.first_name, "first_name", &said.first_name),
        (&mut out.last_name, "last_name", &said.last_name),
    ] {
        if let Some(value) = value {
            *slot = fields::name(value).map(Into::into);
            faults.check(slot.is_some(), field, "expected 1 to 200 characters without control characters");
        }
    }
    if let Some(value) = &said.locale {
        out.locale = fields::locale(value).map(Into::into);
        if out.locale.is_none() {
            out.metadata.push(("locale_given", value.chars().take(64).collect()));
        }
    }
    if let Some(value) = &said.timezone {
        if neonhub_core::zone("timezone", value).is_ok() {
            out.timezone = Some(value.as_str().into());
        } else {
            out.metadata.push(("timezone_given", value.chars().take(64).collect()));
        }
    }
    if let Some(value) = &said.country {
        out.country = fields::country(value).map(Into::into);
        faults.check(out.country.is_some(), "country", "expected a country code of ISO 3166 such as AT");
    }
    if let Some(value) = &said.region {
        let shaped = (4..=6).contains(&value.len())
            && value.split_once('-').is_some_and(|(c, r)| {
                fields::country(c).is_some() && r.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        faults.check(shaped, "region", "expected a region of ISO 3166-2 such as US-FL");
        out.region = shaped.then(|| value.to_ascii_uppercase().into());
    }
    for (at, tag) in said.tags.iter().enumerate() {
        let tag = tag.trim();
        let fits = !tag.is_empty() && tag.chars().count() <= MAX_TAG_CHARS && !tag.contains(';');
        faults.check(fits, format!("tags[{at}]"), "expected 1 to 64 characters without semicolon");
        out.tags.push(tag.into());
    }
    for (name, value) in &said.traits {
        let fits = (1..=MAX_TRAIT_NAME_CHARS).contains(&name.chars().count());
        faults.check(fits, "traits", "expected names of 1 to 64 characters");
        faults.check(size(value) <= MAX_TRAIT_BYTES, "traits", "expected values of at most 4 KiB");
        out.traits.push((Arc::from(name.as_str()), value.clone()));
    }
    out
}

fn size(value: &Value) -> usize {
    value.as_str().map_or_else(|| value.to_string().len(), str::len)
}

/// The default region of the workspace.
async fn workspace_region(cx: &Scope) -> Result<Option<String>> {
    Ok(cx.hub().workspace_of(cx).await?.body.default_region)
}

/// An id of the right form for examples in the docs.
fn example_id() -> Option<PersonId> {
    PersonId::try_from(format!("per_{:026}", 1)).ok()
}
