//! Which person a set of identifiers means (people.md 3): a pure function from loaded facts to a plan.
//!
//! The caller loads the components that hold any of the asked keys, calls [`resolve`], and carries the plan
//! out in one commit. A *component* is the set of people joined by active merges; a person that was never
//! merged is a component of its own.

mod component;
mod guard;
mod limit;

use std::collections::BTreeSet;

use neonhub_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::normalise::Key;
use super::{IdentityKind, PersonId};

pub use component::{Edge, components, survivor_of};
pub use guard::{StoppedBy, merge_guards};

/// How far the caller vouches for the identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Assertion {
    /// From the host's own systems.
    #[default]
    FirstParty,
    /// Proved by the person: confirmed link, one-time code, sign-in.
    Verified,
    /// From someone else. Never merges people.
    ThirdParty,
}

/// What happens when identifiers of several people come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeMode {
    /// Merge when every guard holds, else keep a candidate.
    #[default]
    Safe,
    /// Keep candidates only.
    CandidatesOnly,
    /// Neither.
    Off,
}

/// An identity that a component holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The member it belongs to.
    pub person: PersonId,
    /// Its key.
    pub key: Key,
    /// Whether the person proved it.
    pub verified: bool,
    /// Since when it is known.
    pub first_seen_at: Timestamp,
}

/// A member of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub person: PersonId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The people joined by active merges, with all their active identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its people.
    pub members: Vec<Member>,
    /// Their active identities.
    pub identities: Vec<Held>,
}

impl Component {
    /// The person that speaks for all: the oldest, then the smallest id (rule 6).
    #[must_use]
    pub fn survivor(&self) -> Option<&PersonId> {
        self.members.iter().min_by_key(|m| (m.created_at, &m.person)).map(|m| &m.person)
    }
}

/// A normalised identifier of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its key.
    pub key: Key,
    /// Whether this event proves it.
    pub verified: bool,
}

/// Why an identifier of the event was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DropRule {
    /// It stands for "no value".
    Blocked,
    /// It is malformed.
    Malformed,
    /// The person would hold more of its kind than allowed.
    Limit,
    /// A phone that another person with another e-mail address holds: households share phones.
    SharedPhone,
    /// Another person holds it, and the two were not merged.
    HeldByOther,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whom the identifiers mean.
    pub target: Target,
    /// Indexes of the asked identifiers to attach to the target as new identities.
    pub attach: Vec<usize>,
    /// Indexes of the asked identifiers that the target (after a merge: any of its parts) already holds.
    pub matched: Vec<usize>,
    /// Indexes of the asked identifiers left out, with the rule.
    pub dropped: Vec<(usize, DropRule)>,
    /// Pairs of components to keep as candidates, with what stopped their merge.
    pub candidates: Vec<Candidate>,
}

/// Whom a set of identifiers means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nobody known: a new person.
    New,
    /// This component (index into the facts).
    Known(usize),
    /// These components become one; the first holds the survivor.
    Merge(Vec<usize>),
}

/// Two people that may be one, and why they were not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Component of the one side; `None`: the new person.
    pub a: Option<usize>,
    /// Component of the other side.
    pub b: usize,
    /// Indexes of the asked identifiers that speak for it.
    pub evidence: Vec<usize>,
    /// The rules that stopped the merge.
    pub stopped_by: Vec<StoppedBy>,
}

/// Decides. `asked` holds each key once, in the order of the event; `facts` holds every component that holds one
/// of the keys. Same input, same plan.
#[must_use]
pub fn resolve(asked: &[Asked], facts: &[Component], assertion: Assertion, mode: MergeMode) -> Plan {
    let mut left: Vec<usize> = (0..asked.len()).collect();
    let mut dropped = Vec::new();
    let mut candidates = Vec::new();
    // Each turn either ends or drops an identifier.
    loop {
        let round = Round { asked, facts, left: &left };
        let matches = round.matches();
        let shared = round.shared_phones(&matches);
        if let Some(candidate) = shared {
            left.retain(|i| !candidate.evidence.contains(i));
            dropped.extend(candidate.evidence.iter().map(|i| (*i, DropRule::SharedPhone)));
            if mode != MergeMode::Off {
                candidates.push(candidate);
            }
            continue;
        }
        let outcome = match matches.as_slice() {
            [] => round.one(None),
            [only] => round.one(Some(only.component)),
            several => Ok(round.several(several, assertion, mode)),
        };
        match outcome {
            Ok(mut plan) => {
                plan.dropped.splice(0..0, dropped);
                plan.dropped.sort_by_key(|(i, _)| *i);
                for candidate in &mut candidates {
                    candidate.a = match &plan.target {
                        Target::New => None,
                        Target::Known(c) => Some(*c),
                        Target::Merge(all) => all.first().copied(),
                    };
                }
                candidates.retain(|c| {
                    c.a != Some(c.b) && !matches!(&plan.target, Target::Merge(m) if m.contains(&c.b))
                });
                plan.candidates.splice(0..0, candidates);
                return plan;
            }
            Err(lowest) => {
                left.retain(|i| *i != lowest);
                dropped.push((lowest, DropRule::Limit));
            }
        }
    }
}

/// A component that holds identifiers of the event.
#[derive(Clone, Debug)]
struct Match {
    component: usize,
    /// The asked identifiers it holds.
    by: Vec<usize>,
}

/// The event as it stands after what was dropped.
struct Round<'a> {
    asked: &'a [Asked],
    facts: &'a [Component],
    left: &'a [usize],
}

impl<'a> Round<'a> {
    fn asked(&self, index: usize) -> Option<&'a Asked> {
        self.asked.get(index)
    }

    fn held(&self, component: usize) -> &'a [Held] {
        self.facts.get(component).map_or(&[], |c| &c.identities)
    }

    fn kind(&self, index: usize) -> Option<IdentityKind> {
        self.asked(index).map(|a| a.key.kind)
    }

    /// Step 2: which components hold what is asked. Devices and push tokens find nobody.
    fn matches(&self) -> Vec<Match> {
        let mut found: Vec<Match> = Vec::new();
        for (component, facts) in self.facts.iter().enumerate() {
            let holds = |i: &usize| {
                self.asked(*i).is_some_and(|a| {
                    a.key.kind.finds_people() && facts.identities.iter().any(|h| h.key == a.key)
                })
            };
            let by: Vec<usize> = self.left.iter().copied().filter(holds).collect();
            if !by.is_empty() {
                found.push(Match { component, by });
            }
        }
        found
    }

    /// A person that is met by unverified phones alone and holds e-mail addresses, none of which the event brings
    /// while it brings another one: the phone is shared and finds nobody (the guard of step 5, kept also when the
    /// other address is not known yet, so that the order of events does not matter).
    fn shared_phones(&self, matches: &[Match]) -> Option<Candidate> {
        if !self.left.iter().any(|i| self.kind(*i) == Some(IdentityKind::Email)) {
            return None;
        }
        matches.iter().find_map(|m| {
            let held = self.held(m.component);
            let by_phone = m.by.iter().all(|i| {
                self.asked(*i).is_some_and(|a| {
                    a.key.kind == IdentityKind::Phone
                        && !a.verified
                        && !held.iter().any(|h| h.key == a.key && h.verified)
                })
            });
            let has_email = held.iter().any(|h| h.key.kind == IdentityKind::Email);
            (by_phone && has_email).then(|| Candidate {
                a: None,
                b: m.component,
                evidence: m.by.clone(),
                stopped_by: vec![StoppedBy::SharedPhone],
            })
        })
    }

    /// Steps 3 and 4: a new person, or the rest attached to the one match, under the limits. When a limit would
    /// break, the identifier of the lowest priority has to go first.
    fn one(&self, component: Option<usize>) -> Result<Plan, usize> {
        let held = component.map_or(&[][..], |c| self.held(c));
        let (matched, attach): (Vec<usize>, Vec<usize>) = self
            .left
            .iter()
            .copied()
            .partition(|i| self.asked(*i).is_some_and(|a| held.iter().any(|h| h.key == a.key)));
        let keys =
            held.iter().map(|h| &h.key).chain(attach.iter().filter_map(|i| self.asked(*i)).map(|a| &a.key));
        if limit::holds(keys) {
            let target = component.map_or(Target::New, Target::Known);
            return Ok(Plan { target, attach, matched, dropped: Vec::new(), candidates: Vec::new() });
        }
        Err(self.lowest())
    }

    /// The identifier of lowest priority; of equals the last one.
    fn lowest(&self) -> usize {
        let priority = |i: &usize| (self.kind(*i).map_or(u8::MAX, IdentityKind::priority), *i);
        self.left.iter().copied().max_by_key(priority).unwrap_or_default()
    }

    /// Step 5.
    fn several(&self, matches: &[Match], assertion: Assertion, mode: MergeMode) -> Plan {
        let parts: Vec<&Component> = matches.iter().filter_map(|m| self.facts.get(m.component)).collect();
        let joining: Vec<&Asked> =
            matches.iter().flat_map(|m| &m.by).filter_map(|i| self.asked(*i)).collect();
        let met: BTreeSet<usize> = matches.iter().flat_map(|m| m.by.iter().copied()).collect();
        let attach: Vec<usize> = self.left.iter().copied().filter(|i| !met.contains(i)).collect();
        let brought: Vec<&Key> = attach.iter().filter_map(|i| self.asked(*i)).map(|a| &a.key).collect();
        let stopped_by = match mode {
            MergeMode::Safe => merge_guards(&parts, &joining, &brought, assertion),
            MergeMode::CandidatesOnly => vec![StoppedBy::CandidatesOnly],
            MergeMode::Off => vec![StoppedBy::Off],
        };
        if stopped_by.is_empty() {
            return self.merged(matches, attach, met);
        }
        self.best_of(matches, &attach, &stopped_by, mode)
    }

    fn merged(&self, matches: &[Match], attach: Vec<usize>, met: BTreeSet<usize>) -> Plan {
        let mut all: Vec<usize> = matches.iter().map(|m| m.component).collect();
        all.sort_by_key(|c| {
            let oldest = |c: &Component| c.members.iter().map(|m| (m.created_at, m.person.clone())).min();
            self.facts.get(*c).and_then(oldest)
        });
        Plan {
            target: Target::Merge(all),
            attach,
            matched: met.into_iter().collect(),
            dropped: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// No merge: the match reached by the best identifier, the others as candidates beside it. What is new goes
    /// to that person as far as the limits allow.
    fn best_of(
        &self,
        matches: &[Match],
        attach: &[usize],
        stopped_by: &[StoppedBy],
        mode: MergeMode,
    ) -> Plan {
        let best = matches.iter().min_by_key(|m| self.rank(m)).map_or(0, |m| m.component);
        let held = self.held(best);
        let mut kept: Vec<usize> = Vec::new();
        let mut dropped: Vec<(usize, DropRule)> = Vec::new();
        let mut by_priority = attach.to_vec();
        by_priority.sort_by_key(|i| (self.kind(*i).map_or(u8::MAX, IdentityKind::priority), *i));
        for index in by_priority {
            let brought = kept.iter().chain([&index]).filter_map(|i| self.asked(*i)).map(|a| &a.key);
            if limit::holds(held.iter().map(|h| &h.key).chain(brought)) {
                kept.push(index);
            } else {
                dropped.push((index, DropRule::Limit));
            }
        }
        kept.sort_unstable();
        let (mut matched, mut candidates) = (Vec::new(), Vec::new());
        for m in matches {
            if m.component == best {
                matched.extend(&m.by);
                continue;
            }
            dropped.extend(m.by.iter().map(|i| (*i, DropRule::HeldByOther)));
            if mode != MergeMode::Off {
                candidates.push(Candidate {
                    a: Some(best),
                    b: m.component,
                    evidence: m.by.clone(),
                    stopped_by: stopped_by.to_vec(),
                });
            }
        }
        Plan { target: Target::Known(best), attach: kept, matched, dropped, candidates }
    }

    /// (priority, verified first, oldest) of the best identifier that reached a match.
    fn rank(&self, m: &Match) -> (u8, bool, Timestamp, usize) {
        let held = self.held(m.component);
        let rank = |i: &usize| {
            let asked = self.asked(*i)?;
            let have = held.iter().find(|h| h.key == asked.key)?;
            Some((
                asked.key.kind.priority(),
                !(have.verified || asked.verified),
                have.first_seen_at,
                m.component,
            ))
        };
        m.by.iter().filter_map(rank).min().unwrap_or((u8::MAX, true, Timestamp::EPOCH, m.component))
    }
}

#[cfg(test)]
mod tests;
