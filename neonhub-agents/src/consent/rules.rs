//! What the ledger says at an instant (people.md 4, rules 1, 2 and 4; 3 rule 5 for merged people).
//!
//! A *level* is a scope with or without a brand. The newest row decides its level; the answer is found by
//! walking the levels from `all` down to the asked scope.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Channel, ConsentId, ConsentScope, Status};
use crate::people::IdentityId;

/// What the rules read of a ledger row. A person's gate facts keep the newest of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentFact {
    /// The ledger row.
    pub row: ConsentId,
    /// Which member of a merged person the row belongs to; 0 for a person that was never merged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub member: u32,
    /// The one address that the row covers; none: every address of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// The channel.
    pub channel: Channel,
    /// What it is for.
    pub scope: ConsentScope,
    /// The brand it is limited to; none: every brand of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What the row says.
    pub status: Status,
    /// Since when it holds (valid time).
    pub effective_at: Timestamp,
    /// Since when we know it (known time).
    pub recorded_at: Timestamp,
    /// Order among rows of the same two instants.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// When a grant lapses; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

fn is_zero<T: Default + PartialEq>(n: &T) -> bool {
    *n == T::default()
}

impl ConsentFact {
    /// Newest last: (effective, recorded, sequence), then the row id so that the order is total.
    fn age(&self) -> (Timestamp, Timestamp, u64, &str) {
        (self.effective_at, self.recorded_at, self.sequence, self.row.as_str())
    }

    /// A grant whose time is over has no say.
    fn is_lapsed(&self, at: Timestamp) -> bool {
        self.status == Status::Granted && self.expires_at.is_some_and(|end| end <= at)
    }
}

/// A question to the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The channel to be used.
    pub channel: &'a Channel,
    /// What it is to be used for.
    pub scope: &'a ConsentScope,
    /// The brand that would speak.
    pub brand: Option<&'a str>,
    /// The address that would be used. Rows that name another address are not read.
    pub identity: Option<&'a IdentityId>,
    /// Valid time: what held at this instant.
    pub at: Timestamp,
    /// Known time: with the rows that had been recorded by this instant.
    pub known_at: Timestamp,
}

/// What a level did to the state that came from above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepEffect {
    /// No row, or a lapsed grant: the state from above stays.
    Inherited,
    /// The row became the state.
    Replaced,
    /// The grant is older than the revoke from above and changes nothing.
    OlderThanRevoke,
}

/// One level of the walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The scope of the level.
    pub scope: ConsentScope,
    /// The brand of the level; none: rows without brand.
    pub brand: Option<String>,
    /// The row that spoke for the level.
    pub row: Option<ConsentId>,
    /// What that row says.
    pub status: Option<Status>,
    /// What it did.
    pub effect: StepEffect,
}

/// The answer of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The state at the end of the walk; none: nothing is on record. Only `granted` permits.
    pub status: Option<Status>,
    /// The row that decided.
    pub row: Option<ConsentId>,
    /// The address that the deciding row covers, when it names one.
    pub identity: Option<IdentityId>,
    /// The walk from `all` to the asked scope.
    pub path: Vec<Step>,
}

impl Answer {
    /// True when the person agreed.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.status == Some(Status::Granted)
    }
}

/// Answers a question from ledger rows, or from their [`fold`].
///
/// `merged_at` is the instant of the latest active merge of the person, if there is one.
#[must_use]
pub fn check(facts: &[ConsentFact], merged_at: Option<Timestamp>, ask: &Ask<'_>) -> Answer {
    let mut state: Option<&ConsentFact> = None;
    // The newest "no" on the way down: an older row below may take its place as the state, and a still older
    // grant below that one must meet it all the same.
    let mut refusal: Option<&ConsentFact> = None;
    let mut path = Vec::new();
    for scope in ask.scope.path() {
        for brand in std::iter::once(None).chain(ask.brand.map(Some)) {
            let found = level(facts, merged_at, ask, &scope, brand);
            let effect = match found {
                None => StepEffect::Inherited,
                Some(row) if refusal.is_some_and(|above| is_held_back(row, above)) => {
                    StepEffect::OlderThanRevoke
                }
                Some(row) => {
                    if is_refusal(row) && refusal.is_none_or(|above| above.age() < row.age()) {
                        refusal = Some(row);
                    }
                    state = Some(row);
                    StepEffect::Replaced
                }
            };
            path.push(Step {
                scope: scope.clone(),
                brand: brand.map(str::to_owned),
                row: found.map(|f| f.row.clone()),
                status: found.map(|f| f.status),
                effect,
            });
        }
    }
    Answer {
        status: state.map(|f| f.status),
        row: state.map(|f| f.row.clone()),
        identity: state.and_then(|f| f.identity.clone()),
        path,
    }
}

/// A refusal is as final as a revoke: both are a "no" of the person.
fn is_refusal(row: &ConsentFact) -> bool {
    matches!(row.status, Status::Revoked | Status::Denied)
}

/// A grant does not reopen what was refused or revoked later, further up.
fn is_held_back(row: &ConsentFact, above: &ConsentFact) -> bool {
    row.status == Status::Granted && above.age() > row.age()
}

/// The row that speaks for one level, if any does.
fn level<'a>(
    facts: &'a [ConsentFact],
    merged_at: Option<Timestamp>,
    ask: &Ask<'_>,
    scope: &ConsentScope,
    brand: Option<&str>,
) -> Option<&'a ConsentFact> {
    let rows = facts.iter().filter(|f| {
        f.channel == *ask.channel
            && f.scope == *scope
            && f.brand.as_deref() == brand
            && (f.identity.is_none() || f.identity.as_ref() == ask.identity)
            && f.effective_at <= ask.at
            && f.recorded_at <= ask.known_at
    });
    match merged_at {
        None => rows.max_by_key(|f| f.age()),
        Some(merged_at) => level_of_merged(rows, merged_at, ask.at),
    }
    .filter(|f| !f.is_lapsed(ask.at))
}

/// People.md 3 rule 5: the newest row recorded after the merge, else the most restrictive member.
fn level_of_merged<'a>(
    rows: impl Iterator<Item = &'a ConsentFact>,
    merged_at: Timestamp,
    at: Timestamp,
) -> Option<&'a ConsentFact> {
    let (after, before): (Vec<_>, Vec<_>) = rows.partition(|f| f.recorded_at > merged_at);
    if let Some(newest) = after.into_iter().max_by_key(|f| f.age()) {
        return Some(newest);
    }
    let mut own: BTreeMap<u32, &ConsentFact> = BTreeMap::new();
    for row in before {
        own.entry(row.member).and_modify(|kept| *kept = newer(kept, row)).or_insert(row);
    }
    // Of two grants the one that lapses later speaks, since a member with a lapsed grant has no say.
    own.into_values().filter(|f| !f.is_lapsed(at)).min_by_key(|f| {
        (f.status, std::cmp::Reverse(f.expires_at.map_or(i64::MAX, Timestamp::as_millis)), f.row.as_str())
    })
}

fn newer<'a>(a: &'a ConsentFact, b: &'a ConsentFact) -> &'a ConsentFact {
    if b.age() > a.age() { b } else { a }
}

/// Keeps of all rows only those that can still decide: the newest per member, level and address, before and
/// after the merge. For instants from the newest row on, [`check`] answers the same from the fold as from the
/// rows. Order: channel, scope, brand, address, member.
#[must_use]
pub fn fold(rows: impl IntoIterator<Item = ConsentFact>, merged_at: Option<Timestamp>) -> Vec<ConsentFact> {
    let mut kept: Vec<ConsentFact> = Vec::new();
    for row in rows {
        add(&mut kept, row, merged_at);
    }
    kept
}

/// Adds one row to a [`fold`]. Returns false when an older row changed nothing.
pub fn add(kept: &mut Vec<ConsentFact>, row: ConsentFact, merged_at: Option<Timestamp>) -> bool {
    match kept.binary_search_by(|have| place(have, merged_at).cmp(&place(&row, merged_at))) {
        Err(at) => {
            kept.insert(at, row);
            true
        }
        Ok(at) => match kept.get_mut(at) {
            Some(have) if row.age() > have.age() => {
                *have = row;
                true
            }
            _ => false,
        },
    }
}

type Place<'a> = (&'a Channel, &'a ConsentScope, Option<&'a str>, Option<&'a str>, u32, bool);

fn place(f: &ConsentFact, merged_at: Option<Timestamp>) -> Place<'_> {
    let is_after = merged_at.is_some_and(|at| f.recorded_at > at);
    (&f.channel, &f.scope, f.brand.as_deref(), f.identity.as_ref().map(AsRef::as_ref), f.member, is_after)
}

#[cfg(test)]
mod tests;
