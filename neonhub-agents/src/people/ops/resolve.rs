//! `people.resolve`: which person a set of identifiers means.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{PersonFields, checked_fields, normalised, workspace_region};
use crate::people::engine::{self, Intent, PageRules};
use crate::people::normalise::{Identifier, Regions};
use crate::people::resolve::{Assertion, DropRule, MergeMode};
use crate::people::{CandidateId, IdentityId, MergeId, PersonId};

/// Finds the person that identifiers mean, or makes one. Identifiers of several people merge them when every
/// guard holds; otherwise a candidate is kept for someone to decide.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolvePerson {
    /// What is known of the person: addresses, numbers, ids. At least one.
    pub identifiers: Vec<Identifier>,
    /// What else is known.
    #[serde(default)]
    pub fields: PersonFields,
    /// Where it comes from, such as `signup form`. Default `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How far you vouch for the identifiers. `verified` marks them as proved; `third_party` never merges.
    #[serde(default)]
    pub assertion: Assertion,
    /// Only look: makes nobody when nobody is met. Default false.
    #[serde(default)]
    pub lookup_only: bool,
    /// When it was so (UTC ms); traits keep the newest. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// An identifier that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Its place in the input, from 0.
    pub index: u32,
    /// The rule.
    pub rule: DropRule,
    /// What to do.
    pub message: String,
}

/// Whom identifiers mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The person; absent when nobody was met and `lookup_only` was set.
    pub person: Option<PersonId>,
    /// The identities that stand for the identifiers now.
    pub identities: Vec<IdentityId>,
    /// True when the person was made by this call.
    pub created: bool,
    /// The identities that were known before.
    pub matched: Vec<IdentityId>,
    /// The merge this call made.
    pub merge: Option<MergeId>,
    /// The candidate this call left.
    pub candidate: Option<CandidateId>,
    /// Identifiers that were left out.
    pub dropped: Vec<Dropped>,
}

impl ResolvePerson {
    /// Resolves one e-mail address.
    #[must_use]
    pub fn email(address: impl Into<String>) -> Self {
        ResolvePerson { identifiers: vec![Identifier::email(address)], ..Self::default() }
    }
}

impl Operation for ResolvePerson {
    type Output = Resolved;
    const NAME: &'static str = "people.resolve";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    // Step 3: a unique clash looks again, so that concurrent calls make one person.
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<Resolved> {
        let mut faults = Faults::new();
        faults.check(
            (1..=50).contains(&self.identifiers.len()),
            "identifiers",
            "expected 1 to 50 identifiers",
        );
        let fields = checked_fields(&self.fields, &mut faults);
        faults.into_result(Self::NAME)?;
        let region = workspace_region(cx).await?;
        let regions = Regions {
            person: self.fields.country.as_deref(),
            workspace: region.as_deref(),
            ..Regions::default()
        };
        let (given, places, bad) = normalised(cx, &self.identifiers, regions)?;
        if given.is_empty() {
            let faults = bad
                .into_iter()
                .map(|(at, _, message)| neonhub_core::Fault { field: format!("identifiers[{at}]"), message });
            return Err(Error::faults(Self::NAME, faults.collect()));
        }
        let rules = PageRules {
            source: self.source.unwrap_or_else(|| "api".to_owned()),
            assertion: self.assertion,
            mode: MergeMode::Safe,
            at: self.at.unwrap_or_else(|| cx.now()).min(cx.now()),
            seed: cx.seed(),
        };
        let intent = Intent { given, fields, create: !self.lookup_only, ..Intent::default() };
        let mut written = engine::run(cx, rules, &[&intent]).await?;
        let outcome = written.outcomes.pop().unwrap_or_default();
        announce(cx, &outcome)?;
        let mut dropped: Vec<Dropped> =
            bad.into_iter().map(|(at, rule, message)| entry(at, rule, message)).collect();
        for (at, rule) in &outcome.dropped {
            let at = places.get(*at).copied().unwrap_or(*at);
            dropped.push(entry(at, *rule, message(*rule).to_owned()));
        }
        dropped.sort_by_key(|d| d.index);
        let known = outcome.identities.iter().zip(&outcome.matched).filter(|(_, m)| **m);
        Ok(Resolved {
            person: outcome.person,
            matched: known.filter_map(|(id, _)| id.clone()).collect(),
            identities: outcome.identities.into_iter().flatten().collect(),
            created: outcome.created,
            merge: outcome.merge,
            candidate: outcome.candidate,
            dropped,
        })
    }

    fn examples() -> Vec<Self> {
        vec![ResolvePerson {
            identifiers: vec![
                Identifier::email("Ada <ada@shop.example>"),
                Identifier::phone("+1 202 555 0143"),
            ],
            source: Some("signup form".into()),
            ..ResolvePerson::default()
        }]
    }
}

fn entry(at: usize, rule: DropRule, message: String) -> Dropped {
    Dropped { index: u32::try_from(at).unwrap_or(u32::MAX), rule, message }
}

/// What a dropped identifier means for the caller.
pub(crate) fn message(rule: DropRule) -> &'static str {
    match rule {
        DropRule::Blocked => "names nobody",
        DropRule::Malformed => "is malformed",
        DropRule::Limit => "the person holds as many of this kind as one person may",
        DropRule::SharedPhone => {
            "another person with another e-mail address holds this phone: kept as a merge candidate"
        }
        DropRule::HeldByOther => {
            "another person holds it, and the two were not merged: kept as a merge candidate"
        }
    }
}

fn announce(cx: &Scope, outcome: &engine::Outcome) -> Result<()> {
    let Some(person) = &outcome.person else { return Ok(()) };
    let emit = |kind: &str, data| cx.emit(Event::new(cx, kind, "person", person.as_str(), data));
    if outcome.created {
        emit("person.created", json!({}))?;
    } else if outcome.changed {
        emit("person.updated", json!({}))?;
    }
    if let Some(merge) = &outcome.merge {
        emit("person.merged", json!({"merge": merge}))?;
    }
    if let Some(candidate) = &outcome.candidate {
        emit("person.candidate_created", json!({"candidate": candidate}))?;
    }
    Ok(())
}
