//! The end of a page: which consents and candidates are new, then every changed record once.

use std::collections::{BTreeMap, HashSet};

use neonhub_core::store::Expected;
use neonhub_core::{Result, Seed, Timestamp};

use super::{ConsentIntent, Engine, Intent, Outcome, PendingCandidate, PendingConsent, Written};
use crate::consent::model::{Consent, ConsentText, Proof};
use crate::consent::rules;
use crate::consent::{ConsentId, ConsentTextId, Status};
use crate::people::facts::GateFacts;
use crate::people::merge;
use crate::people::model::{CandidateStatus, MergeCandidate};
use crate::people::{IdentityId, PersonId};

impl Engine<'_> {
    /// Puts the consents of a contact aside until it is known which the ledger has already.
    pub(super) fn plan_consents(
        &mut self,
        at: usize,
        slot_at: usize,
        intent: &Intent,
        outcome: &mut Outcome,
    ) -> Result<()> {
        for consent in &intent.consents {
            let carrier = consent.channel.identity_kind();
            let place = intent.given.iter().position(|g| Some(g.normal.key.kind) == carrier);
            let identity = place.and_then(|p| outcome.identities.get(p).cloned().flatten());
            let is_grant = consent.status == Status::Granted;
            if is_grant && place.is_none_or(|_| identity.is_none()) {
                let why = "the person has no address for it, so that nothing was recorded";
                outcome.refused.push((consent.channel.clone(), why));
                continue;
            }
            if is_grant && consent.at.is_some_and(|at| at > self.now) {
                outcome
                    .refused
                    .push((consent.channel.clone(), "consent_at is in the future; no consent was recorded"));
                continue;
            }
            let Some(slot) = self.slots.get(slot_at) else { continue };
            let person = identity
                .as_ref()
                .and_then(|id| slot.facts.identities.iter().find(|i| i.identity == *id))
                .map_or(&slot.facts.person, |i| slot.facts.member(i.member))
                .clone();
            let row = self.consent_row(person, identity, consent, intent.row)?;
            self.consents.push(PendingConsent {
                slot: slot_at,
                outcome: at,
                row,
                wording: consent.text.clone(),
            });
        }
        Ok(())
    }

    fn consent_row(
        &self,
        person: PersonId,
        identity: Option<IdentityId>,
        said: &ConsentIntent,
        row: u64,
    ) -> Result<Consent> {
        let effective_at = said.at.unwrap_or(self.now).min(self.now);
        Ok(Consent {
            id: consent_id(&person, identity.as_ref(), said)?,
            person,
            identity,
            channel: said.channel.clone(),
            scope: said.scope.clone(),
            brand: said.brand.clone(),
            status: said.status,
            basis: said.basis,
            source: said.source.clone(),
            jurisdiction: None,
            effective_at,
            recorded_at: self.now,
            sequence: row,
            expires_at: lapse(said, effective_at),
            proof: Some(Proof {
                text_hash: said.text.as_ref().map(|t| t.hash.clone()),
                text_version: None,
                locale: None,
                method: said.method,
                url: None,
                user_agent: None,
                actor: self.cx.label().to_owned(),
            }),
        })
    }

    /// Stages everything and tells what became of each contact.
    pub(super) async fn finish(mut self) -> Result<Written> {
        let mut written = Written::default();
        self.record_consents(&mut written).await?;
        self.record_candidates().await?;
        for identity in &self.identities {
            self.cx.create(identity)?;
        }
        for entry in &self.merges {
            self.cx.create(entry)?;
        }
        for slot in &mut self.slots {
            if slot.facts_changed {
                slot.facts.settle();
            }
            if slot.person_changed {
                self.cx.put(&slot.person, expected(slot.person_rev))?;
            }
            if slot.facts_changed {
                self.cx.put(&slot.facts, expected(slot.facts_rev))?;
            } else {
                // What was decided holds only as long as these facts do.
                self.cx.expect::<GateFacts>(slot.facts.person.as_str(), expected(slot.facts_rev))?;
            }
        }
        // A merge later in the page may have given an earlier contact another speaker.
        for outcome in &mut self.outcomes {
            if let Some(person) = &outcome.person
                && let Some(slot) = self.by_person.get(person).and_then(|s| self.slots.get(*s))
            {
                outcome.person = Some(slot.facts.person.clone());
            }
        }
        written.outcomes = self.outcomes;
        Ok(written)
    }

    async fn record_consents(&mut self, written: &mut Written) -> Result<()> {
        let pending = std::mem::take(&mut self.consents);
        // People made in this page have no rows yet.
        let is_old = |p: &PendingConsent| self.slots.get(p.slot).is_some_and(|s| s.facts_rev > 0);
        let ids: Vec<String> = pending.iter().filter(|p| is_old(p)).map(|p| p.row.id.to_string()).collect();
        let mut known: HashSet<String> = if ids.is_empty() {
            HashSet::new()
        } else {
            self.cx
                .get_many::<Consent>(&ids)
                .await?
                .into_iter()
                .flatten()
                .map(|c| c.body.id.to_string())
                .collect()
        };
        let mut wordings = BTreeMap::new();
        for pending in pending {
            if !known.insert(pending.row.id.to_string()) {
                continue;
            }
            if let Some(wording) = pending.wording {
                wordings.entry(wording.hash.clone()).or_insert(wording);
            }
            let Some(slot) = self.slots.get_mut(pending.slot) else { continue };
            let member = slot.facts.place(&pending.row.person);
            let merged_at = slot.facts.merged_at;
            if rules::add(&mut slot.facts.consents, pending.row.to_fact(member), merged_at) {
                slot.facts.epoch += u64::from(slot.facts_rev > 0);
                slot.facts_changed = true;
            }
            if let Some(outcome) = self.outcomes.get_mut(pending.outcome) {
                outcome.changed = true;
            }
            self.cx.create(&pending.row)?;
            written.consents += 1;
        }
        self.record_wordings(wordings).await
    }

    async fn record_wordings(
        &self,
        wordings: BTreeMap<String, std::sync::Arc<super::ConsentWording>>,
    ) -> Result<()> {
        if wordings.is_empty() {
            return Ok(());
        }
        let texts: Vec<ConsentText> =
            wordings.into_values().map(|w| consent_text(&w.body, &w.hash)).collect::<Result<_>>()?;
        let ids: Vec<String> = texts.iter().map(|t| t.id.to_string()).collect();
        for (text, known) in texts.iter().zip(self.cx.get_many::<ConsentText>(&ids).await?) {
            if known.is_none() {
                // Two pages may bring the same wording at once: its id says what it holds.
                self.cx.put(text, Expected::Any)?;
            }
        }
        Ok(())
    }

    async fn record_candidates(&mut self) -> Result<()> {
        let mut pending: BTreeMap<(PersonId, PersonId), PendingCandidate> = BTreeMap::new();
        for candidate in std::mem::take(&mut self.candidates) {
            let pair = (candidate.candidate.a.clone(), candidate.candidate.b.clone());
            // Two people that were merged later in the page need no candidate.
            if self.by_person.get(&pair.0) != self.by_person.get(&pair.1) {
                pending.entry(pair).or_insert(candidate);
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = pending.keys().map(|(a, b)| merge::pair_key(a, b)).collect();
        let known = self.cx.find_many::<MergeCandidate>("pair", &keys).await?;
        for (pending, known) in pending.into_values().zip(known) {
            let id = match known {
                None => {
                    self.cx.create(&pending.candidate)?;
                    pending.candidate.id
                }
                Some(mut known) => {
                    let is_new = |e: &IdentityId| !known.body.evidence.contains(e);
                    let fresh: Vec<IdentityId> =
                        pending.candidate.evidence.into_iter().filter(is_new).collect();
                    if known.status == CandidateStatus::Rejected && !fresh.is_empty() {
                        known.body.status = CandidateStatus::Open;
                        known.body.evidence.extend(fresh);
                        self.cx.save(&known)?;
                    }
                    known.body.id
                }
            };
            if let Some(outcome) = self.outcomes.get_mut(pending.outcome) {
                outcome.candidate = Some(id);
            }
        }
        Ok(())
    }
}

fn expected(rev: u64) -> Expected {
    if rev == 0 { Expected::Absent } else { Expected::Rev(rev) }
}

/// The id of a row is made from what it says, so that the same statement twice is one row. An instant that was
/// not given is not part of it: a file read again next week says nothing new.
pub(crate) fn consent_id(
    person: &PersonId,
    identity: Option<&IdentityId>,
    said: &ConsentIntent,
) -> Result<ConsentId> {
    let at = said.at.map_or_else(|| "-".to_owned(), |at| at.as_millis().to_string());
    let (channel, scope) = (said.channel.as_word(), said.scope.as_word());
    let parts: [&str; 9] = [
        person.as_str(),
        identity.map_or("", AsRef::as_ref),
        &channel,
        &scope,
        said.brand.as_deref().unwrap_or(""),
        said.status.as_word(),
        &at,
        &said.source,
        said.text.as_ref().map_or("", |t| &t.hash),
    ];
    content_id(said.at.unwrap_or(Timestamp::EPOCH), &parts)
}

fn content_id(at: Timestamp, parts: &[&str]) -> Result<ConsentId> {
    let labels: Vec<&[u8]> = parts.iter().map(|p| p.as_bytes()).collect();
    let mut rng = Seed::from_number(0).split(&labels).rng();
    neonhub_core::id::new_id(ConsentId::PREFIX, at, &mut rng).try_into()
}

/// The record of a wording.
pub(crate) fn consent_text(body: &str, hash: &str) -> Result<ConsentText> {
    let mut rng = Seed::from_number(0).split(&[b"consent-text", hash.as_bytes()]).rng();
    let id: ConsentTextId =
        neonhub_core::id::new_id(ConsentTextId::PREFIX, Timestamp::EPOCH, &mut rng).try_into()?;
    Ok(ConsentText {
        id,
        key: "recorded".into(),
        version: hash.chars().take(12).collect(),
        locale: None,
        body: body.to_owned(),
        hash: hash.to_owned(),
    })
}

/// When an implied basis lapses (people.md 4 rule 8).
fn lapse(said: &ConsentIntent, effective_at: Timestamp) -> Option<Timestamp> {
    let months = said.basis.lapses_after_months().filter(|_| said.status == Status::Granted)?;
    let start = effective_at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC);
    start.checked_add(jiff::Span::new().months(months)).ok().map(|z| z.timestamp().into())
}
