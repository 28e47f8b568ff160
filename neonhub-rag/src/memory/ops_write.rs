//! Operations that change memory.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::store::Expected;
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Speaker, about, all_about, may_keep, may_write};
use super::model::{Memory, MemoryId, MemoryKind, MemoryRecord, MemoryState, MemorySubject, SourceLabel};
use super::rules::{Candidate, Verdict, contradicted, is_independent, judge, raised};
use super::shelf::{Item, Shelf, close};
use crate::embed::{EmbedKind, embed_one};
use crate::renew::keep_up;
use crate::space::Knowledge;

/// Remembers something about a brand, an agent, a user or a person.
///
/// What a first party says holds at once; all else waits in quarantine until an event with another id, or a first
/// party, says the same. What is there already is reinforced, not kept twice; of a person, under whichever of its merged
/// ids. A slot with another value closes the
/// old item. A text that was itself recalled from memory is not learned again. What an agent says is a model's word, or
/// that of a document where it says so: it makes nothing active, however often it is said.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMemory {
    /// Who or what it is about.
    pub subject: MemorySubject,
    /// What kind of thing it is. Default: `fact`.
    #[serde(default)]
    pub kind: MemoryKind,
    /// In words, 1 to 4 000 characters.
    pub text: String,
    /// In fields, such as `{"tone": "warm"}`; up to 20. Prefer them to free text: only they can be contradicted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, String>,
    /// How sure it is, 0 to 1. Default: 0.9 from a first party, else 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Where it comes from. Default: `model`, the least trusted. Of an agent all but `retrieved` counts as `model`.
    #[serde(default)]
    pub source_label: SourceLabel,
    /// Id of the event, message or run it was learned from.
    pub source_event: String,
    /// Purposes it may be used for; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// The consent or contract that allows to keep it. Needed about a user or a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
    /// From when it is so. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// When it may no longer be used. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// True when the text was itself recalled from memory: it is then not learned.
    #[serde(default)]
    pub recalled: bool,
}

/// What became of something that wanted to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RememberedAs {
    /// It is new and holds.
    Added,
    /// It is new and waits for confirmation.
    Quarantined,
    /// It was there; it is surer now.
    Reinforced,
    /// It waited, and this confirmed it.
    Confirmed,
    /// It was recalled, so it was not learned.
    Ignored,
}

/// The answer of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryChange {
    /// What became of it.
    pub outcome: RememberedAs,
    /// The memory; absent when nothing was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Memories that it closed, because they said otherwise.
    pub closed: Vec<MemoryId>,
}

impl AddMemory {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        faults.check(fits(&self.subject.id, 200), "subject.id", "expected 1 to 200 characters");
        faults.check(fits(&self.text, 4_000), "text", "expected 1 to 4000 characters");
        faults.check(fits(&self.source_event, 200), "source_event", "expected the id of an event");
        let slots = self.slots.iter().all(|(name, value)| fits(name, 100) && fits(value, 1_000));
        faults.check(slots && self.slots.len() <= 20, "slots", "expected up to 20 names with values");
        let confidence = self.confidence.is_none_or(|c| (0.0..=1.0).contains(&c));
        faults.check(confidence, "confidence", "expected 0 to 1");
        let purposes = self.purposes.len() <= 20 && self.purposes.iter().all(|p| fits(p, 100));
        faults.check(purposes, "purposes", "expected up to 20 words");
        faults.into_result(Self::NAME)
    }

    fn to_memory(&self, cx: &Scope, state: MemoryState) -> Memory {
        let sure = if self.source_label == SourceLabel::FirstParty { 0.9 } else { 0.5 };
        Memory {
            id: MemoryId::new(cx),
            subject: self.subject.clone(),
            kind: self.kind,
            text: self.text.clone(),
            slots: self.slots.clone(),
            confidence: self.confidence.unwrap_or(sure),
            source_label: self.source_label,
            purposes: self.purposes.clone(),
            consent_basis: self.consent_basis.clone(),
            source_events: vec![self.source_event.clone()],
            valid_from: self.valid_from.unwrap_or_else(|| cx.now()),
            valid_to: None,
            superseded_by: None,
            expires_at: self.expires_at,
            state,
            created_at: cx.now(),
            activated_at: (state == MemoryState::Active).then(|| cx.now()),
            retracted_at: None,
            superseded_at: None,
        }
    }
}

impl Operation for AddMemory {
    type Output = MemoryChange;
    const NAME: &'static str = "memory.add";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["consent_required"];

    async fn run(mut self, cx: &Scope) -> Result<MemoryChange> {
        self.check()?;
        let speaker = Speaker::of(cx, self.source_label);
        self.source_label = speaker.label;
        may_keep(cx, &self.subject, self.consent_basis.as_deref()).await?;
        if self.recalled {
            return Ok(MemoryChange { outcome: RememberedAs::Ignored, memory: None, closed: Vec::new() });
        }
        let embedder = cx.service::<Knowledge>()?.default_embedder()?;
        keep_up(cx, embedder.as_ref()).await?;
        let shelf = all_about(cx, &self.subject).await?;
        let vector = embed_one(cx, embedder.as_ref(), &self.text, EmbedKind::Passage).await?;
        let near = shelf.near(&self.text, &vector, embedder.as_ref());
        let by_id: BTreeMap<&str, f32> =
            shelf.items.iter().zip(near).map(|(i, near)| (i.memory.id.as_str(), near.score)).collect();
        let candidate = Candidate {
            kind: self.kind,
            slots: &self.slots,
            source: self.source_label,
            event: &self.source_event,
        };
        let similarity = |m: &Memory| by_id.get(m.id.as_str()).copied().unwrap_or(0.0);
        match judge(&candidate, &shelf.open_items(cx), similarity) {
            Verdict::Reinforce { memory, .. } => confirm(cx, &shelf, &memory, &self.source_event, speaker),
            Verdict::New { state, closes } => {
                let memory = self.to_memory(cx, state);
                cx.create(&close(cx, &memory, &vector, embedder.id())?)?;
                close_all(cx, &shelf, &closes, &memory)?;
                announce(cx, "memory.added", &memory)?;
                let outcome = match state {
                    MemoryState::Active => RememberedAs::Added,
                    _ => RememberedAs::Quarantined,
                };
                Ok(MemoryChange { outcome, memory: Some(memory), closed: closes })
            }
        }
    }

    fn examples() -> Vec<Self> {
        vec![AddMemory {
            subject: MemorySubject::brand("acme"),
            kind: MemoryKind::Preference,
            text: "The brand writes in a warm tone.".into(),
            slots: BTreeMap::from([("tone".into(), "warm".into())]),
            source_label: SourceLabel::FirstParty,
            source_event: "brand-guide-2026".into(),
            ..Self::default()
        }]
    }
}

/// Adds an event to a memory, and takes it out of quarantine when that confirms it.
fn confirm(cx: &Scope, shelf: &Shelf, id: &MemoryId, event: &str, speaker: Speaker) -> Result<MemoryChange> {
    let item = shelf.items.iter().find(|i| i.memory.id == *id).ok_or_else(|| cx.missing("memory"))?;
    let mut item = item.clone();
    let is_new = is_independent(&item.memory, event);
    let activates = item.memory.state == MemoryState::Quarantined
        && !speaker.is_agent
        && (is_new || speaker.label == SourceLabel::FirstParty);
    let mut closed = Vec::new();
    if is_new {
        item.memory.source_events.push(event.to_owned());
        if !speaker.is_agent {
            item.memory.confidence = raised(item.memory.confidence);
        }
    }
    if activates {
        closed = contradicted(item.memory.kind, &item.memory.slots, &shelf.open_items(cx));
        item.memory.state = MemoryState::Active;
        item.memory.activated_at = Some(cx.now());
        close_all(cx, shelf, &closed, &item.memory)?;
    }
    if is_new || activates {
        cx.put(&item.to_record(cx)?, Expected::Rev(item.rev))?;
        announce(cx, "memory.confirmed", &item.memory)?;
    }
    let outcome = if activates { RememberedAs::Confirmed } else { RememberedAs::Reinforced };
    Ok(MemoryChange { outcome, memory: Some(item.memory), closed })
}

/// Ends what a newer memory contradicts.
fn close_all(cx: &Scope, shelf: &Shelf, ids: &[MemoryId], by: &Memory) -> Result<()> {
    for item in shelf.items.iter().filter(|i| ids.contains(&i.memory.id)) {
        let mut item: Item = item.clone();
        item.memory.valid_to = Some(by.valid_from);
        item.memory.superseded_by = Some(by.id.clone());
        item.memory.superseded_at = Some(cx.now());
        cx.put(&item.to_record(cx)?, Expected::Rev(item.rev))?;
    }
    Ok(())
}

fn announce(cx: &Scope, word: &str, memory: &Memory) -> Result<()> {
    let data = json!({ "subject_kind": memory.subject.kind, "kind": memory.kind, "state": memory.state });
    cx.emit(Event::new(cx, word, MemoryRecord::kind_word(), memory.id.as_str(), data))
}

impl MemoryRecord {
    fn kind_word() -> &'static str {
        <Self as neonhub_core::store::Record>::KIND
    }
}

/// Confirms a memory: with an event of another id than those it was learned from, or by a first party. What an agent says
/// is kept as an event and confirms nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmMemory {
    /// The memory.
    pub memory: MemoryId,
    /// Id of the event that says the same.
    pub source_event: String,
    /// Who says so. Default: `first_party`; of an agent all but `retrieved` counts as `model`.
    #[serde(default = "first_party")]
    pub source_label: SourceLabel,
}

fn first_party() -> SourceLabel {
    SourceLabel::FirstParty
}

impl Operation for ConfirmMemory {
    type Output = MemoryChange;
    const NAME: &'static str = "memory.confirm";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::MemoryWrite];
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<MemoryChange> {
        if self.source_event.trim().is_empty() {
            return Err(Error::invalid(Self::NAME, "source_event", "expected the id of an event"));
        }
        let memory = Shelf::one(cx, self.memory.as_str()).await?.memory;
        may_keep(cx, &memory.subject, memory.consent_basis.as_deref()).await?;
        if memory.state == MemoryState::Retracted {
            let message = "the memory was retracted: add it again";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
        }
        let shelf = all_about(cx, &memory.subject).await?;
        confirm(cx, &shelf, &self.memory, &self.source_event, Speaker::of(cx, self.source_label))
    }

    fn examples() -> Vec<Self> {
        let memory = example_id();
        let of = |memory| ConfirmMemory {
            memory,
            source_event: "evt-2".into(),
            source_label: SourceLabel::FirstParty,
        };
        memory.map(of).into_iter().collect()
    }
}

pub(super) fn example_id() -> Option<MemoryId> {
    "mem_01kaf3w0000000000000000000".parse().ok()
}

/// Takes a memory back: no search gives it again, and `memory.as_of` still knows that it held.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetractMemory {
    /// The memory.
    pub memory: MemoryId,
}

impl Operation for RetractMemory {
    type Output = Memory;
    const NAME: &'static str = "memory.retract";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Memory> {
        let mut item = Shelf::one(cx, self.memory.as_str()).await?;
        may_write(cx, &item.memory.subject, Permission::WritePeople)?;
        if item.memory.state != MemoryState::Retracted {
            item.memory.state = MemoryState::Retracted;
            item.memory.retracted_at = Some(cx.now());
            cx.put(&item.to_record(cx)?, Expected::Rev(item.rev))?;
            announce(cx, "memory.retracted", &item.memory)?;
        }
        Ok(item.memory)
    }

    fn examples() -> Vec<Self> {
        example_id().map(|memory| RetractMemory { memory }).into_iter().collect()
    }
}

/// Forgets one memory, or all about a subject: text, slots and vector leave the store. There is no way back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetMemory {
    /// The memory. One of `memory` and `subject` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryId>,
    /// All about this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<MemorySubject>,
}

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forgotten {
    /// Ids of the memories that are gone.
    pub memories: Vec<MemoryId>,
}

impl Operation for ForgetMemory {
    type Output = Forgotten;
    const NAME: &'static str = "memory.forget";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Forgotten> {
        let memories: Vec<MemoryId> = match (self.memory, self.subject) {
            // Forgetting twice is no fault: what is wanted is that it is gone.
            (Some(id), None) => {
                let memory = cx.get::<MemoryRecord>(id.as_str()).await?.map(|m| m.body.memory);
                memory.iter().try_for_each(|m| may_write(cx, &m.subject, Permission::DeletePeople))?;
                memory.map(|m| m.id).into_iter().collect()
            }
            (None, Some(subject)) => {
                may_write(cx, &subject, Permission::DeletePeople)?;
                about(cx, &subject).await?
            }
            _ => {
                let expected = "expected exactly one of memory and subject";
                return Err(Error::invalid(Self::NAME, "memory", expected));
            }
        };
        for id in &memories {
            cx.delete::<MemoryRecord>(id.as_str(), Expected::Any)?;
            cx.emit(Event::new(cx, "memory.forgotten", MemoryRecord::kind_word(), id.as_str(), json!({})))?;
        }
        Ok(Forgotten { memories })
    }

    fn examples() -> Vec<Self> {
        example_id().map(|memory| ForgetMemory { memory: Some(memory), subject: None }).into_iter().collect()
    }
}
