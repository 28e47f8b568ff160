//! The gate of memory, without I/O: what becomes of something that wants to be remembered.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;

use super::model::{Memory, MemoryId, MemoryKind, MemoryState, SourceLabel};

/// Cosine from which two texts say the same.
// Our choice; near copies of one sentence lie above it with hashed features and with sentence encoders alike.
pub(super) const SAME: f32 = 0.95;

/// Something that wants to be remembered.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) kind: MemoryKind,
    pub(super) slots: &'a BTreeMap<String, String>,
    pub(super) source: SourceLabel,
    pub(super) event: &'a str,
}

/// What the gate decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same is there: it gets the event, and leaves quarantine when that confirms it.
    Reinforce { memory: MemoryId, activates: bool },
    /// It is new. When it is active at once, it closes the items that say otherwise.
    New { state: MemoryState, closes: Vec<MemoryId> },
}

/// Judges a candidate against what is open about its subject. `similarity` is the cosine of the texts.
pub(super) fn judge(
    candidate: &Candidate<'_>,
    open: &[&Memory],
    similarity: impl Fn(&Memory) -> f32,
) -> Verdict {
    let same_kind = || open.iter().copied().filter(|m| m.kind == candidate.kind);
    let same = if candidate.slots.is_empty() {
        same_kind()
            .filter(|m| m.slots.is_empty())
            .map(|m| (similarity(m), m))
            .filter(|(cosine, _)| *cosine >= SAME)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.id.cmp(&a.1.id)))
            .map(|(_, m)| m)
    } else {
        same_kind().find(|m| m.slots == *candidate.slots)
    };
    if let Some(same) = same {
        let activates = same.state == MemoryState::Quarantined
            && (candidate.source == SourceLabel::FirstParty || is_independent(same, candidate.event));
        return Verdict::Reinforce { memory: same.id.clone(), activates };
    }
    let state = match candidate.source {
        SourceLabel::FirstParty => MemoryState::Active,
        _ => MemoryState::Quarantined,
    };
    let closes = match state {
        MemoryState::Active => contradicted(candidate.kind, candidate.slots, open),
        _ => Vec::new(),
    };
    Verdict::New { state, closes }
}

/// The active items that give a slot another value.
pub(super) fn contradicted(
    kind: MemoryKind,
    slots: &BTreeMap<String, String>,
    open: &[&Memory],
) -> Vec<MemoryId> {
    let differs = |m: &&&Memory| {
        slots.iter().any(|(name, value)| m.slots.get(name).is_some_and(|there| there != value))
    };
    let active = open.iter().filter(|m| m.kind == kind && m.state == MemoryState::Active);
    active.filter(differs).map(|m| m.id.clone()).collect()
}

/// True for an event that the memory was not learned from.
pub(super) fn is_independent(memory: &Memory, event: &str) -> bool {
    !memory.source_events.iter().any(|known| known == event)
}

/// More certainty with each confirmation, never all of it.
pub(super) fn raised(confidence: f32) -> f32 {
    (confidence + (1.0 - confidence) * 0.3).min(0.99)
}

/// True when a memory was open to be used at an instant, as it was known then.
pub(super) fn held_at(memory: &Memory, at: Timestamp) -> bool {
    let before = |end: Option<Timestamp>| end.is_none_or(|end| at < end);
    memory.activated_at.is_some_and(|from| from <= at)
        && memory.valid_from <= at
        // What was closed later was still open then.
        && (before(memory.valid_to) || memory.superseded_at.is_some_and(|when| at < when))
        && before(memory.retracted_at)
        && before(memory.expires_at)
}
