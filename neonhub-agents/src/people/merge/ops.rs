//! The operations on merges and candidates.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ordered, own_facts, pair_key};
use crate::people::facts::{GateFacts, facts_of};
use crate::people::limits::MAX_COMPONENT_PEOPLE;
use crate::people::model::{CandidateStatus, MergeCandidate, MergeEntry, MergeStatus};
use crate::people::resolve::{self, Assertion, Edge, StoppedBy, merge_guards};
use crate::people::{CandidateId, MergeId, PersonId};

/// Merges two people. Nothing of them is moved: the older one speaks for both until the merge is taken back with
/// `people.unmerge`, which restores both exactly.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergePeople {
    /// One person.
    pub a: PersonId,
    /// The other person.
    pub b: PersonId,
    /// Why, for the log. 1 to 500 characters.
    pub reason: String,
    /// Merges although rules that protect people speak against it. Needs `manage:organization`. Default false.
    #[serde(default)]
    pub override_rules: bool,
}

impl Operation for MergePeople {
    type Output = MergeEntry;
    const NAME: &'static str = "people.merge";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Compensable("people.unmerge");
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["blocked", "already_merged"];

    async fn run(self, cx: &Scope) -> Result<MergeEntry> {
        check_reason(Self::NAME, &self.reason)?;
        if self.override_rules {
            cx.require(Permission::ManageOrganization)?;
        }
        merge(cx, &self.a, &self.b, "manual", &self.reason, self.override_rules).await
    }

    fn examples() -> Vec<Self> {
        vec![MergePeople {
            a: example_person(1),
            b: example_person(2),
            reason: "same person, confirmed by phone".into(),
            override_rules: false,
        }]
    }
}

fn example_person(n: u8) -> PersonId {
    // The form is fixed, so that this cannot fail; a wrong one would show in the catalogue walk.
    PersonId::try_from(format!("per_{n:026}")).unwrap_or_else(|_| unreachable!("a well-formed id"))
}

fn check_reason(operation: &'static str, reason: &str) -> Result<()> {
    if (1..=500).contains(&reason.trim().chars().count()) {
        return Ok(());
    }
    Err(Error::invalid(operation, "reason", "expected 1 to 500 characters"))
}

async fn merge(
    cx: &Scope,
    a: &PersonId,
    b: &PersonId,
    rule: &str,
    reason: &str,
    is_overridden: bool,
) -> Result<MergeEntry> {
    let (a, b) = (facts_of(cx, a).await?, facts_of(cx, b).await?);
    if a.person == b.person {
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), "these are one person already")
            .with_code("already_merged"));
    }
    let stopped = merge_guards(&[&a.component(), &b.component()], &[], &[], Assertion::FirstParty);
    // Someone decided: only what would break the data or two accounts of the host still stops it.
    if !stopped.is_empty() && (!is_overridden || stopped.contains(&StoppedBy::ComponentSize)) {
        return Err(blocked(cx.operation(), &stopped));
    }
    let (mut survivor, mut absorbed) =
        if (a.created_at, &a.person) <= (b.created_at, &b.person) { (a, b) } else { (b, a) };
    let entry = MergeEntry {
        id: MergeId::new(cx),
        survivor: survivor.person.clone(),
        absorbed: absorbed.person.clone(),
        rule: rule.to_owned(),
        evidence: Vec::new(),
        by: cx.label().to_owned(),
        reason: reason.trim().to_owned(),
        at: cx.now(),
        status: MergeStatus::Active,
        undone_by: None,
        undone_at: None,
    };
    survivor.body.absorb(&absorbed.body, entry.at);
    survivor.body.settle();
    absorbed.body.survivor = Some(entry.survivor.clone());
    absorbed.body.epoch += 1;
    cx.create(&entry)?;
    cx.save(&survivor)?;
    cx.save(&absorbed)?;
    let data = json!({"merge": entry.id, "absorbed": entry.absorbed, "rule": rule});
    cx.emit(Event::new(cx, "person.merged", "person", entry.survivor.as_str(), data))?;
    Ok(entry)
}

fn blocked(operation: &'static str, stopped: &[StoppedBy]) -> Error {
    let words: Vec<String> = stopped
        .iter()
        .filter_map(|s| serde_json::to_value(s).ok().and_then(|v| v.as_str().map(str::to_owned)))
        .collect();
    Error::new(ErrorKind::Blocked, operation, "rules that protect people stop this merge")
        .with_context("rules", words.join(","))
}

/// Takes a merge back. Both people are again as they were; what was written in between stays with the one whose
/// address it came by.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmergePeople {
    /// The merge.
    pub merge: MergeId,
    /// Why, for the log. 1 to 500 characters.
    pub reason: String,
}

/// Two people that were one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unmerged {
    /// The entry, now undone.
    pub merge: MergeEntry,
    /// Who speaks for the side that survived.
    pub a: PersonId,
    /// Who speaks for the side that was absorbed. The same as `a` when other merges still join them.
    pub b: PersonId,
}

impl Operation for UnmergePeople {
    type Output = Unmerged;
    const NAME: &'static str = "people.unmerge";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_undone"];

    async fn run(self, cx: &Scope) -> Result<Unmerged> {
        check_reason(Self::NAME, &self.reason)?;
        let mut entry = cx.need::<MergeEntry>(self.merge.as_str()).await?;
        if entry.status == MergeStatus::Undone {
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, "this merge was taken back already")
                .with_code("already_undone"));
        }
        let whole = facts_of(cx, &entry.survivor).await?;
        let people: Vec<PersonId> = whole.people().into_iter().map(|m| m.person).collect();
        let edges = edges_without(cx, &people, &entry.id).await?;
        let speakers = split(cx, &people, &edges).await?;
        entry.body.status = MergeStatus::Undone;
        entry.body.undone_by = Some(cx.label().to_owned());
        entry.body.undone_at = Some(cx.now());
        cx.save(&entry)?;
        refuse_pair(cx, &entry.body).await?;
        let speaker = |p: &PersonId| speakers.get(p).cloned().unwrap_or_else(|| p.clone());
        let (a, b) = (speaker(&entry.survivor), speaker(&entry.absorbed));
        let data = json!({"merge": entry.id, "other": b});
        cx.emit(Event::new(cx, "person.unmerged", "person", a.as_str(), data))?;
        Ok(Unmerged { merge: entry.body, a, b })
    }

    fn examples() -> Vec<Self> {
        MergeId::try_from(format!("mrg_{:026}", 1))
            .map(|merge| vec![UnmergePeople { merge, reason: "two people of one household".into() }])
            .unwrap_or_default()
    }
}

/// The active merges among these people, but one.
async fn edges_without(cx: &Scope, people: &[PersonId], gone: &MergeId) -> Result<Vec<Edge>> {
    let mut edges = Vec::new();
    for person in people {
        let query =
            Query::index("survivor").prefix(Key::text(person.as_str())).limit(MAX_COMPONENT_PEOPLE * 20);
        for entry in cx.query::<MergeEntry>(&query).await? {
            if entry.status == MergeStatus::Active && entry.id != *gone {
                edges.push(Edge { a: entry.survivor.clone(), b: entry.absorbed.clone(), at: entry.at });
            }
        }
    }
    Ok(edges)
}

/// Builds the facts of what is left of a component; gives for each person who speaks for it now.
async fn split(cx: &Scope, people: &[PersonId], edges: &[Edge]) -> Result<BTreeMap<PersonId, PersonId>> {
    let ids: Vec<String> = people.iter().map(ToString::to_string).collect();
    let stored = cx.get_many::<GateFacts>(&ids).await?;
    let mut stored: BTreeMap<PersonId, Stored<GateFacts>> =
        stored.into_iter().flatten().map(|f| (f.person.clone(), f)).collect();
    let epoch = stored.values().map(|f| f.epoch).max().unwrap_or(0) + 1;
    let joined = resolve::components(edges);
    let mut groups: Vec<(Vec<PersonId>, Option<Timestamp>)> =
        joined.into_iter().map(|j| (j.members, Some(j.merged_at))).collect();
    for person in people {
        if !groups.iter().any(|(members, _)| members.contains(person)) {
            groups.push((vec![person.clone()], None));
        }
    }
    let mut speakers = BTreeMap::new();
    for (members, merged_at) in groups {
        let mut own = Vec::with_capacity(members.len());
        for member in &members {
            own.push(own_facts(cx, member, merged_at).await?);
        }
        own.sort_by(|a, b| (a.created_at, &a.person).cmp(&(b.created_at, &b.person)));
        for facts in joined_facts(own, merged_at) {
            let speaker = facts.survivor.clone().unwrap_or_else(|| facts.person.clone());
            speakers.insert(facts.person.clone(), speaker);
            if let Some(mut kept) = stored.remove(&facts.person) {
                kept.body = GateFacts { epoch, ..facts };
                cx.save(&kept)?;
            }
        }
    }
    Ok(speakers)
}

/// The facts of a component: the oldest speaks for all.
fn joined_facts(mut own: Vec<GateFacts>, merged_at: Option<Timestamp>) -> Vec<GateFacts> {
    if let (Some(at), Some((survivor, others))) = (merged_at, own.split_first_mut()) {
        for other in others {
            survivor.absorb(other, at);
            other.survivor = Some(survivor.person.clone());
        }
        survivor.settle();
    }
    own
}

/// Keeps the two from being merged again by themselves.
async fn refuse_pair(cx: &Scope, entry: &MergeEntry) -> Result<()> {
    let (a, b) = ordered(&entry.survivor, &entry.absorbed);
    if let Some(mut known) = cx.find::<MergeCandidate>("pair", pair_key(&a, &b)).await? {
        known.body.status = CandidateStatus::Rejected;
        known.body.decided_by = Some(cx.label().to_owned());
        return cx.save(&known);
    }
    cx.create(&MergeCandidate {
        id: CandidateId::new(cx),
        a,
        b,
        stopped_by: Vec::new(),
        evidence: entry.evidence.clone(),
        score: 0.0,
        status: CandidateStatus::Rejected,
        decided_by: Some(cx.label().to_owned()),
    })
}

/// Lists pairs of people that may be one, the likeliest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListCandidates {
    /// Only candidates in this state. Default: open ones.
    #[serde(default)]
    pub status: CandidateStatus,
    /// At most this many, 1 to 500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListCandidates {
    type Output = Page<MergeCandidate>;
    const NAME: &'static str = "people.candidates.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<MergeCandidate>> {
        let query = Query::index("status")
            .prefix(Key::text(self.status.as_word()))
            .limit(usize::from(self.limit.unwrap_or(50)));
        let page = cx.page::<MergeCandidate>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|c| c.body).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListCandidates::default()]
    }
}

/// Accepts a candidate: the two people are merged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptCandidate {
    /// The candidate.
    pub candidate: CandidateId,
    /// Merges although rules that protect people speak against it. Needs `manage:organization`. Default false.
    #[serde(default)]
    pub override_rules: bool,
}

impl Operation for AcceptCandidate {
    type Output = MergeEntry;
    const NAME: &'static str = "people.candidates.accept";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["blocked", "already_merged"];

    async fn run(self, cx: &Scope) -> Result<MergeEntry> {
        if self.override_rules {
            cx.require(Permission::ManageOrganization)?;
        }
        let candidate = decide(cx, &self.candidate, CandidateStatus::Accepted).await?;
        merge(cx, &candidate.a, &candidate.b, "candidate", "candidate accepted", self.override_rules).await
    }

    fn examples() -> Vec<Self> {
        CandidateId::try_from(format!("mca_{:026}", 1))
            .map(|candidate| vec![AcceptCandidate { candidate, override_rules: false }])
            .unwrap_or_default()
    }
}

/// Rejects a candidate: the two are different people. It is not proposed again without new evidence.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectCandidate {
    /// The candidate.
    pub candidate: CandidateId,
}

impl Operation for RejectCandidate {
    type Output = MergeCandidate;
    const NAME: &'static str = "people.candidates.reject";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<MergeCandidate> {
        decide(cx, &self.candidate, CandidateStatus::Rejected).await
    }

    fn examples() -> Vec<Self> {
        CandidateId::try_from(format!("mca_{:026}", 1))
            .map(|candidate| vec![RejectCandidate { candidate }])
            .unwrap_or_default()
    }
}

async fn decide(cx: &Scope, id: &CandidateId, status: CandidateStatus) -> Result<MergeCandidate> {
    let mut candidate = cx.need::<MergeCandidate>(id.as_str()).await?;
    if candidate.status == CandidateStatus::Accepted {
        return Err(Error::new(
            ErrorKind::Conflict,
            cx.operation(),
            "this candidate was accepted already: undo its merge instead",
        )
        .with_code("already_merged"));
    }
    candidate.body.status = status;
    candidate.body.decided_by = Some(cx.label().to_owned());
    cx.save(&candidate)?;
    Ok(candidate.body)
}
