//! What keeps people apart that share an identifier (people.md 3, step 5).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, Assertion, Component, Held, limit};
use crate::people::IdentityKind;
use crate::people::limits::{MAX_COMPONENT_IDENTITIES, MAX_COMPONENT_PEOPLE};
use crate::people::normalise::Key;

/// A rule that stopped a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// Together they would hold more identities of a kind than allowed.
    Limit,
    /// An unverified phone alone would join people with different e-mail addresses.
    SharedPhone,
    /// More than one side has a user id of the host.
    UserIds,
    /// The identifiers came from a third party.
    ThirdParty,
    /// The component would grow past its bounds.
    ComponentSize,
    /// The workspace keeps candidates only.
    CandidatesOnly,
    /// The workspace does not merge.
    Off,
}

/// The guards that a merge of `parts`, joined by `joining` and bringing `brought`, would break; none: merge.
#[must_use]
pub fn merge_guards(
    parts: &[&Component],
    joining: &[&Asked],
    brought: &[&Key],
    assertion: Assertion,
) -> Vec<StoppedBy> {
    let held = || parts.iter().flat_map(|p| &p.identities);
    let mut stopped = Vec::new();
    let mut check = |is_broken: bool, rule| {
        if is_broken {
            stopped.push(rule);
        }
    };
    check(!limit::holds(held().map(|h| &h.key).chain(brought.iter().copied())), StoppedBy::Limit);
    check(is_joined_by_shared_phone(parts, joining), StoppedBy::SharedPhone);
    let with_user_id = parts.iter().filter(|p| has(p, IdentityKind::UserId)).count();
    check(with_user_id > 1, StoppedBy::UserIds);
    check(assertion == Assertion::ThirdParty, StoppedBy::ThirdParty);
    let people: usize = parts.iter().map(|p| p.members.len()).sum();
    let identities = held().count() + brought.len();
    check(people > MAX_COMPONENT_PEOPLE || identities > MAX_COMPONENT_IDENTITIES, StoppedBy::ComponentSize);
    stopped
}

fn has(part: &Component, kind: IdentityKind) -> bool {
    part.identities.iter().any(|h| h.key.kind == kind)
}

/// True when a part is met by unverified phones alone, and it and another part both hold addresses that the
/// other has not.
fn is_joined_by_shared_phone(parts: &[&Component], joining: &[&Asked]) -> bool {
    let emails = |p: &Component| -> BTreeSet<Box<str>> {
        p.identities
            .iter()
            .filter(|h| h.key.kind == IdentityKind::Email)
            .map(|h| h.key.text.clone())
            .collect()
    };
    parts.iter().enumerate().any(|(at, part)| {
        let met: Vec<&Held> =
            part.identities.iter().filter(|h| joining.iter().any(|a| a.key == h.key)).collect();
        let proved = |h: &Held| h.verified || joining.iter().any(|a| a.key == h.key && a.verified);
        let by_phone = !met.is_empty() && met.iter().all(|h| h.key.kind == IdentityKind::Phone && !proved(h));
        let own = emails(part);
        by_phone
            && !own.is_empty()
            && parts.iter().enumerate().any(|(other, p)| {
                let theirs = emails(p);
                other != at && !theirs.is_empty() && theirs.is_disjoint(&own)
            })
    })
}
