//! The look-ups of a page: identities by hash, people by id, suppressions by hash.

use std::collections::{BTreeSet, HashMap};

use neonhub_core::store::{Expected, Key};
use neonhub_core::{Result, Scope};

use super::{Engine, Intent, PageRules, Slot};
use crate::consent::model::{SuppressedValue, SuppressionCount};
use crate::consent::suppression::domain_of;
use crate::people::facts::facts_of_many;
use crate::people::model::{Identity, Person};
use crate::people::{IdentityKind, PersonId, hash};

impl<'a> Engine<'a> {
    /// Loads what the page may meet. Gives the hashes of each intent's identifiers beside.
    pub(super) async fn load(
        cx: &'a Scope,
        rules: PageRules,
        intents: &[&Intent],
    ) -> Result<(Self, Vec<Vec<String>>)> {
        let hashes: Vec<Vec<String>> =
            intents.iter().map(|i| i.given.iter().map(|g| g.hash.clone()).collect()).collect();
        let mut engine = Engine {
            cx,
            rules,
            now: cx.now(),
            slots: Vec::with_capacity(intents.len()),
            by_person: HashMap::with_capacity(intents.len()),
            by_hash: HashMap::with_capacity(intents.len() * 2),
            suppressed: HashMap::new(),
            domains: HashMap::new(),
            identities: Vec::with_capacity(intents.len() * 2),
            merges: Vec::new(),
            consents: Vec::with_capacity(intents.len() * 2),
            candidates: Vec::new(),
            rejected_pairs: BTreeSet::new(),
            outcomes: Vec::with_capacity(intents.len()),
        };
        let people = engine.holders(intents, &hashes).await?;
        engine.people(people).await?;
        engine.suppressions(intents, &hashes).await?;
        Ok((engine, hashes))
    }

    /// The people that hold an identifier of the page.
    async fn holders(&self, intents: &[&Intent], hashes: &[Vec<String>]) -> Result<BTreeSet<PersonId>> {
        let finding = intents.iter().zip(hashes).flat_map(|(intent, hashes)| {
            intent.given.iter().zip(hashes).filter(|(g, _)| g.normal.key.kind.finds_people()).map(|(_, h)| h)
        });
        let distinct: BTreeSet<&String> = finding.collect();
        let keys: Vec<Key> = distinct.into_iter().map(Key::text).collect();
        let found = self.cx.find_many::<Identity>("hash", &keys).await?;
        Ok(found.into_iter().flatten().map(|i| i.body.person).collect())
    }

    /// Loads people with what speaks for them, and enters all their identities.
    pub(super) async fn people(&mut self, people: BTreeSet<PersonId>) -> Result<()> {
        let asked: Vec<PersonId> = people.into_iter().filter(|p| !self.by_person.contains_key(p)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let facts = facts_of_many(self.cx, &asked).await?;
        let mut fresh = Vec::new();
        let mut seen = BTreeSet::new();
        for facts in facts.into_iter().flatten() {
            if !self.by_person.contains_key(&facts.person) && seen.insert(facts.person.clone()) {
                fresh.push(facts);
            }
        }
        let ids: Vec<String> = fresh.iter().map(|f| f.person.to_string()).collect();
        let records = self.cx.get_many::<Person>(&ids).await?;
        for (facts, person) in fresh.into_iter().zip(records) {
            let person = person.ok_or_else(|| self.cx.missing("person"))?;
            let slot = self.slots.len();
            for member in facts.people() {
                self.by_person.insert(member.person, slot);
            }
            for identity in facts.identities.iter().filter(|i| i.kind.finds_people()) {
                self.by_hash.insert(identity.hash.clone(), slot);
            }
            self.slots.push(Slot {
                facts_rev: facts.rev,
                facts: facts.body,
                facts_changed: false,
                person_rev: person.rev,
                person: person.body,
                person_changed: false,
            });
        }
        Ok(())
    }

    /// What of the page is suppressed. Costs one read while the workspace has no suppression of an address.
    async fn suppressions(&mut self, intents: &[&Intent], hashes: &[Vec<String>]) -> Result<()> {
        let count = self.cx.get::<SuppressionCount>(SuppressionCount::ID).await?;
        let expected = count.as_ref().map_or(Expected::Absent, |c| Expected::Rev(c.rev));
        self.cx.expect::<SuppressionCount>(SuppressionCount::ID, expected)?;
        if count.is_none() {
            return Ok(());
        }
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for (intent, hashes) in intents.iter().zip(hashes) {
            for (given, hash) in intent.given.iter().zip(hashes) {
                ids.insert(hash.clone());
                if given.normal.key.kind == IdentityKind::Email {
                    ids.extend(self.domain_hash(&given.normal.key.text));
                }
            }
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let found = self.cx.get_many::<SuppressedValue>(&ids).await?;
        self.suppressed = found.into_iter().flatten().map(|v| (v.body.id.clone(), v.body)).collect();
        Ok(())
    }

    /// The hash of an address's domain; domains repeat from row to row.
    fn domain_hash(&mut self, address: &str) -> Option<String> {
        let domain = domain_of(address)?;
        if let Some(known) = self.domains.get(domain) {
            return Some(known.clone());
        }
        let made = hash::domain(self.cx.sealer(), domain);
        self.domains.insert(domain.into(), made.clone());
        Some(made)
    }

    /// The suppressions of an address and its domain.
    pub(super) fn suppressions_of(
        &self,
        hash: &str,
        address: &str,
    ) -> Vec<crate::consent::suppression::SuppressionFact> {
        if self.suppressed.is_empty() {
            return Vec::new();
        }
        let domain = domain_of(address).and_then(|d| self.domains.get(d));
        [Some(hash), domain.map(String::as_str)]
            .into_iter()
            .flatten()
            .filter_map(|h| self.suppressed.get(h))
            .flat_map(|v| v.suppressions.iter().cloned())
            .collect()
    }
}
