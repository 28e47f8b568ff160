//! One contact of a page: decide, then change the people in memory.

use std::collections::BTreeSet;

use neonhub_core::{Result, Rng};

use super::{Engine, Given, Intent, Outcome, PendingCandidate, Slot, next_id, row_rng};
use crate::consent::suppression::SuppressionFact;
use crate::people::facts::{GateFacts, IdentityFact};
use crate::people::model::{
    CandidateStatus, Identity, IdentityStatus, Lifecycle, MergeCandidate, MergeEntry, MergeStatus, Person,
    Verification, VerificationMethod,
};
use crate::people::normalise::{Key, Quality};
use crate::people::resolve::{Asked, Assertion, Candidate, MergeMode, Plan, Target, resolve};
use crate::people::{IdentityId, IdentityKind, PersonId, merge};

impl Engine<'_> {
    /// Resolves one contact.
    pub(super) async fn apply(&mut self, at: usize, intent: &Intent, hashes: &[String]) -> Result<()> {
        let mut outcome = Outcome {
            identities: vec![None; intent.given.len()],
            matched: vec![false; intent.given.len()],
            ..Outcome::default()
        };
        let mut rng = row_rng(&self.rules.seed, intent.row);
        let met: Vec<usize> = intent
            .given
            .iter()
            .zip(hashes)
            .filter(|(g, _)| g.normal.key.kind.finds_people())
            .filter_map(|(_, h)| self.by_hash.get(h).copied())
            .collect::<BTreeSet<usize>>()
            .into_iter()
            .collect();
        let plan = self.decide(intent, hashes, &met).await?;
        let slot = match &plan.target {
            Target::New if !intent.create => None,
            Target::New => {
                outcome.created = true;
                Some(self.create(intent, &mut rng)?)
            }
            Target::Known(component) => met.get(*component).copied(),
            Target::Merge(components) => {
                let slots: Vec<usize> = components.iter().filter_map(|c| met.get(*c).copied()).collect();
                outcome.changed = true;
                self.merge(&slots, &plan.matched, hashes, &mut outcome, &mut rng)?
            }
        };
        outcome.dropped.clone_from(&plan.dropped);
        if let Some(slot) = slot {
            self.attach(slot, intent, hashes, &plan, &mut outcome, &mut rng)?;
            outcome.changed |= self.update(slot, intent);
            self.plan_consents(at, slot, intent, &mut outcome)?;
            self.plan_candidates(at, slot, &met, hashes, &plan.candidates, &mut rng)?;
            outcome.person = self.slots.get(slot).map(|s| s.facts.person.clone());
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    /// The plan. A merge that someone took back, or refused, is not made again.
    async fn decide(&mut self, intent: &Intent, hashes: &[String], met: &[usize]) -> Result<Plan> {
        let is_proved = self.rules.assertion == Assertion::Verified;
        let asked: Vec<Asked> = intent
            .given
            .iter()
            .zip(hashes)
            .map(|(g, hash)| Asked {
                key: Key { text: hash.as_str().into(), ..g.normal.key.clone() },
                verified: is_proved,
            })
            .collect();
        let components: Vec<_> =
            met.iter().filter_map(|s| self.slots.get(*s)).map(|s| s.facts.component()).collect();
        let plan = resolve(&asked, &components, self.rules.assertion, self.rules.mode);
        let Target::Merge(parts) = &plan.target else { return Ok(plan) };
        let people: Vec<PersonId> = parts
            .iter()
            .filter_map(|c| met.get(*c).and_then(|s| self.slots.get(*s)))
            .map(|s| s.facts.person.clone())
            .collect();
        if self.is_refused(&people).await? {
            return Ok(resolve(&asked, &components, self.rules.assertion, MergeMode::CandidatesOnly));
        }
        Ok(plan)
    }

    async fn is_refused(&mut self, people: &[PersonId]) -> Result<bool> {
        let mut pairs = Vec::new();
        for (n, a) in people.iter().enumerate() {
            for b in people.iter().skip(n + 1) {
                pairs.push(merge::ordered(a, b));
            }
        }
        if pairs.iter().any(|p| self.rejected_pairs.contains(p)) {
            return Ok(true);
        }
        let keys: Vec<_> = pairs.iter().map(|(a, b)| merge::pair_key(a, b)).collect();
        let found = self.cx.find_many::<MergeCandidate>("pair", &keys).await?;
        let refused = found.into_iter().flatten().filter(|c| c.status == CandidateStatus::Rejected);
        let before = self.rejected_pairs.len();
        self.rejected_pairs.extend(refused.map(|c| (c.body.a, c.body.b)));
        Ok(self.rejected_pairs.len() > before)
    }

    fn create(&mut self, intent: &Intent, rng: &mut Rng) -> Result<usize> {
        let id: PersonId = next_id(PersonId::PREFIX, self.now, rng)?;
        let mut person = Person::new(id.clone(), self.now);
        if intent.given.iter().all(|g| {
            matches!(
                g.normal.key.kind,
                IdentityKind::AnonymousId | IdentityKind::DeviceId | IdentityKind::PushToken
            )
        }) {
            person.lifecycle = Lifecycle::Anonymous;
        }
        let slot = self.slots.len();
        self.by_person.insert(id, slot);
        self.slots.push(Slot {
            facts: GateFacts::of(&person),
            facts_rev: 0,
            facts_changed: true,
            person,
            person_rev: 0,
            person_changed: true,
        });
        Ok(slot)
    }

    /// Joins people; the first slot holds the survivor. Only entries and facts are written.
    fn merge(
        &mut self,
        slots: &[usize],
        matched: &[usize],
        hashes: &[String],
        outcome: &mut Outcome,
        rng: &mut Rng,
    ) -> Result<Option<usize>> {
        let Some((&survivor, absorbed)) = slots.split_first() else { return Ok(None) };
        let evidence: Vec<IdentityId> = matched
            .iter()
            .filter_map(|i| hashes.get(*i))
            .filter_map(|h| slots.iter().find_map(|s| self.identity_by_hash(*s, h)))
            .collect();
        for &other in absorbed {
            let entry = MergeEntry {
                id: next_id(crate::people::MergeId::PREFIX, self.now, rng)?,
                survivor: self.person_of(survivor)?,
                absorbed: self.person_of(other)?,
                rule: "resolve".into(),
                evidence: evidence.clone(),
                by: self.cx.label().to_owned(),
                reason: "identifiers of both came together".into(),
                at: self.now,
                status: MergeStatus::Active,
                undone_by: None,
                undone_at: None,
            };
            outcome.merge = Some(entry.id.clone());
            outcome.absorbed.push(entry.absorbed.clone());
            self.join(survivor, other);
            self.merges.push(entry);
        }
        Ok(Some(survivor))
    }

    fn join(&mut self, survivor: usize, other: usize) {
        let Some(theirs) = self.slots.get(other).map(|s| s.facts.clone()) else { return };
        let Some(mine) = self.slots.get_mut(survivor) else { return };
        mine.facts.absorb(&theirs, self.now);
        mine.facts_changed = true;
        let speaker = mine.facts.person.clone();
        if let Some(slot) = self.slots.get_mut(other) {
            slot.facts.survivor = Some(speaker);
            slot.facts.epoch += 1;
            slot.facts_changed = true;
        }
        for member in theirs.people() {
            self.by_person.insert(member.person, survivor);
        }
        for identity in theirs.identities.iter().filter(|i| i.kind.finds_people()) {
            self.by_hash.insert(identity.hash.clone(), survivor);
        }
        for pending in &mut self.consents {
            if pending.slot == other {
                pending.slot = survivor;
            }
        }
    }

    fn person_of(&self, slot: usize) -> Result<PersonId> {
        self.slots.get(slot).map(|s| s.facts.person.clone()).ok_or_else(|| self.cx.missing("person"))
    }

    fn identity_by_hash(&self, slot: usize, hash: &str) -> Option<IdentityId> {
        let facts = &self.slots.get(slot)?.facts;
        facts.identities.iter().find(|i| i.hash == hash).map(|i| i.identity.clone())
    }

    /// Adds the new identifiers and notes the known ones.
    fn attach(
        &mut self,
        slot: usize,
        intent: &Intent,
        hashes: &[String],
        plan: &Plan,
        outcome: &mut Outcome,
        rng: &mut Rng,
    ) -> Result<()> {
        for i in &plan.matched {
            let known = hashes.get(*i).and_then(|h| self.identity_by_hash(slot, h));
            put(&mut outcome.identities, *i, known);
            put(&mut outcome.matched, *i, true);
        }
        // What is new goes to the member that holds the best identifier that was met.
        let owner =
            plan.matched.iter().min_by_key(|i| intent.given.get(**i).map(|g| g.normal.key.kind.priority()));
        let member = owner.and_then(|i| hashes.get(*i)).map_or(0, |h| self.member_of(slot, h));
        for i in &plan.attach {
            let (Some(given), Some(hash)) = (intent.given.get(*i), hashes.get(*i)) else { continue };
            if let Some(known) = self.identity_by_hash(slot, hash) {
                // A device or push token that the person has already.
                put(&mut outcome.identities, *i, Some(known));
                continue;
            }
            let id = self.add_identity(slot, member, given, hash, rng)?;
            put(&mut outcome.identities, *i, Some(id));
            outcome.changed = true;
        }
        if let Some(slot) = self.slots.get(slot) {
            outcome.suppressed = outcome
                .identities
                .iter()
                .flatten()
                .any(|id| slot.facts.suppressions.iter().any(|s| s.identity.as_ref() == Some(id)));
        }
        Ok(())
    }

    fn member_of(&self, slot: usize, hash: &str) -> u32 {
        let Some(slot) = self.slots.get(slot) else { return 0 };
        slot.facts.identities.iter().find(|i| i.hash == hash).map_or(0, |i| i.member)
    }

    fn add_identity(
        &mut self,
        slot_at: usize,
        member: u32,
        given: &Given,
        hash: &str,
        rng: &mut Rng,
    ) -> Result<IdentityId> {
        let key = &given.normal.key;
        let suppressions = self.suppressions_of(hash, &key.text);
        let Some(slot) = self.slots.get_mut(slot_at) else { return Err(self.cx.missing("person")) };
        let id: IdentityId = next_id(IdentityId::PREFIX, self.now, rng)?;
        let is_primary = !slot.facts.identities.iter().any(|i| i.kind == key.kind);
        let is_proved = self.rules.assertion == Assertion::Verified;
        let identity = Identity {
            id: id.clone(),
            person: slot.facts.member(member).clone(),
            kind: key.kind,
            namespace: key.namespace.as_deref().map(str::to_owned),
            key: given.key.clone(),
            value: given.value.clone(),
            hash: hash.to_owned(),
            quality: given.normal.quality,
            verified: is_proved,
            verification: is_proved.then_some(Verification {
                method: VerificationMethod::ImportAttested,
                at: self.now,
                evidence: None,
            }),
            is_primary,
            source: self.rules.source.clone(),
            first_seen_at: self.now,
            last_seen_at: self.now,
            status: IdentityStatus::Active,
            extension: given.normal.extension.as_deref().map(str::to_owned),
        };
        slot.facts.identities.push(IdentityFact::of(&identity, member));
        let named = |s: SuppressionFact| SuppressionFact { identity: Some(id.clone()), ..s };
        slot.facts.suppressions.extend(suppressions.into_iter().map(named));
        if slot.facts_rev > 0 {
            slot.facts.epoch += 1;
        }
        slot.facts_changed = true;
        if slot.person.lifecycle == Lifecycle::Anonymous && given.normal.quality != Quality::Unchecked {
            slot.person.lifecycle = Lifecycle::Known;
            slot.person_changed = true;
        }
        if key.kind.finds_people() {
            self.by_hash.insert(hash.to_owned(), slot_at);
        }
        self.identities.push(identity);
        Ok(id)
    }

    /// Writes down what is said about the person; true when something is new.
    fn update(&mut self, slot: usize, intent: &Intent) -> bool {
        let (at, source) = (self.rules.at, self.rules.source.clone());
        let Some(slot) = self.slots.get_mut(slot) else { return false };
        let changed = crate::people::update::apply(&mut slot.person, &intent.fields, at, &source);
        if changed {
            slot.person_changed = true;
            if slot.facts.follow(&slot.person) {
                slot.facts.epoch += u64::from(slot.facts_rev > 0);
                slot.facts_changed = true;
            }
        }
        changed
    }

    fn plan_candidates(
        &mut self,
        outcome: usize,
        slot: usize,
        met: &[usize],
        hashes: &[String],
        candidates: &[Candidate],
        rng: &mut Rng,
    ) -> Result<()> {
        for candidate in candidates {
            let other = met.get(candidate.b).copied().unwrap_or(slot);
            let (one, two) = (self.person_of(slot)?, self.person_of(other)?);
            if one == two {
                continue;
            }
            let (a, b) = merge::ordered(&one, &two);
            let evidence: Vec<IdentityId> = candidate
                .evidence
                .iter()
                .filter_map(|i| hashes.get(*i))
                .filter_map(|h| self.identity_by_hash(other, h).or_else(|| self.identity_by_hash(slot, h)))
                .collect();
            let score = self.score(slot, other);
            let candidate = MergeCandidate {
                id: next_id(crate::people::CandidateId::PREFIX, self.now, rng)?,
                a,
                b,
                stopped_by: candidate.stopped_by.clone(),
                evidence,
                score,
                status: CandidateStatus::Open,
                decided_by: None,
            };
            self.candidates.push(PendingCandidate { outcome, candidate });
        }
        Ok(())
    }

    /// Same phone and last name 0.8; otherwise a shared identifier counts 0.5 [our choice].
    fn score(&self, one: usize, two: usize) -> f64 {
        let last =
            |s: usize| self.slots.get(s).and_then(|s| s.person.last_name.as_deref()).map(str::to_lowercase);
        match (last(one), last(two)) {
            (Some(a), Some(b)) if a == b => 0.8,
            _ => 0.5,
        }
    }
}

fn put<T>(items: &mut [T], at: usize, item: T) {
    if let Some(slot) = items.get_mut(at) {
        *slot = item;
    }
}
