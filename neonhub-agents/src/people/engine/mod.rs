//! Resolving many contacts in one commit: few look-ups for a whole page, then memory alone.
//!
//! `people.resolve` is a page of one. Rows are taken in their order and see each other, so that duplicates in
//! a page and across pages meet the same person.

mod apply;
mod finish;
mod load;

use std::collections::{BTreeSet, HashMap};

use neonhub_core::seal::{Sealed, Sealer};
use neonhub_core::{Result, Rng, Scope, Seed, Timestamp};

use super::facts::GateFacts;
use super::model::{Identity, MergeCandidate, MergeEntry, Person};
use super::normalise::Normal;
use super::resolve::{Assertion, DropRule, MergeMode};
use super::{CandidateId, IdentityId, MergeId, PersonId, hash};
use crate::consent::model::{Consent, SuppressedValue};
use crate::consent::{Basis, Channel, ConsentScope, ProofMethod, Status};

pub(crate) use finish::{consent_id, consent_text};

/// One contact to be resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intent {
    /// What the ids of new records are drawn by, beside the seed of the scope.
    pub(crate) row: u64,
    /// Its identifiers, each key once.
    pub(crate) given: Vec<Given>,
    /// What is said about the person.
    pub(crate) fields: Fields,
    /// Consents with their proof.
    pub(crate) consents: Vec<ConsentIntent>,
    /// Makes a person when nobody is met.
    pub(crate) create: bool,
}

/// An identifier of a contact.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) normal: Normal,
    /// Keyed hash of the key.
    pub(crate) hash: String,
    /// The key, sealed.
    pub(crate) key: Sealed,
    /// The value as given, sealed; absent when it is the key.
    pub(crate) value: Option<Sealed>,
}

impl Given {
    /// Hashes and seals an identifier.
    pub(crate) fn new(sealer: &Sealer, normal: Normal, value: &str) -> Result<Self> {
        let text = &normal.key.text;
        Ok(Given {
            hash: hash::identity(sealer, normal.key.kind, text),
            key: sealer.seal("identity", "key", text)?,
            value: if *value == **text { None } else { Some(sealer.seal("identity", "value", value)?) },
            normal,
        })
    }
}

/// What is said about a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) first_name: Option<Box<str>>,
    pub(crate) last_name: Option<Box<str>>,
    pub(crate) locale: Option<Box<str>>,
    pub(crate) timezone: Option<Box<str>>,
    pub(crate) country: Option<Box<str>>,
    pub(crate) region: Option<Box<str>>,
    pub(crate) tags: Vec<Box<str>>,
    /// `null` removes the trait.
    pub(crate) traits: Vec<(std::sync::Arc<str>, serde_json::Value)>,
    pub(crate) metadata: Vec<(&'static str, String)>,
}

/// A consent of a contact.
#[derive(Clone, Debug)]
pub(crate) struct ConsentIntent {
    pub(crate) channel: Channel,
    pub(crate) scope: ConsentScope,
    pub(crate) brand: Option<String>,
    pub(crate) status: Status,
    pub(crate) basis: Basis,
    pub(crate) source: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) text: Option<std::sync::Arc<ConsentWording>>,
    pub(crate) method: ProofMethod,
}

/// A wording with its hash, made once per wording.
#[derive(Debug)]
pub(crate) struct ConsentWording {
    pub(crate) body: String,
    pub(crate) hash: String,
}

/// What a whole page has in common.
#[derive(Clone, Debug)]
pub(crate) struct PageRules {
    pub(crate) source: String,
    pub(crate) assertion: Assertion,
    pub(crate) mode: MergeMode,
    /// When the traits of the page were so.
    pub(crate) at: Timestamp,
    /// What the ids of new records are drawn from, row by row: the same however often a page is tried and
    /// whatever runs beside it.
    pub(crate) seed: Seed,
}

/// What became of a contact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) person: Option<PersonId>,
    pub(crate) created: bool,
    pub(crate) changed: bool,
    /// Per given identifier: the identity that stands for it now.
    pub(crate) identities: Vec<Option<IdentityId>>,
    /// Per given identifier: whether it was known before.
    pub(crate) matched: Vec<bool>,
    pub(crate) dropped: Vec<(usize, DropRule)>,
    pub(crate) merge: Option<MergeId>,
    /// People that do not speak for themselves any more.
    pub(crate) absorbed: Vec<PersonId>,
    pub(crate) candidate: Option<CandidateId>,
    /// Consents that were not recorded, with the reason.
    pub(crate) refused: Vec<(Channel, &'static str)>,
    pub(crate) suppressed: bool,
}

/// A person of the page, loaded or new.
#[derive(Debug)]
struct Slot {
    facts: GateFacts,
    /// Revision of the facts; 0 when new.
    facts_rev: u64,
    facts_changed: bool,
    person: Person,
    /// Revision of the person; 0 when new.
    person_rev: u64,
    person_changed: bool,
}

/// A consent waiting for the check whether the ledger has it already.
#[derive(Debug)]
struct PendingConsent {
    slot: usize,
    outcome: usize,
    row: Consent,
    wording: Option<std::sync::Arc<ConsentWording>>,
}

/// A pair of people waiting for the check whether it was proposed before.
#[derive(Debug)]
struct PendingCandidate {
    outcome: usize,
    candidate: MergeCandidate,
}

/// Resolves a page.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    cx: &'a Scope,
    rules: PageRules,
    now: Timestamp,
    slots: Vec<Slot>,
    /// Person (also merged away) -> slot.
    by_person: HashMap<PersonId, usize>,
    /// Hash of an identity -> slot.
    by_hash: HashMap<String, usize>,
    suppressed: HashMap<String, SuppressedValue>,
    domains: HashMap<Box<str>, String>,
    identities: Vec<Identity>,
    merges: Vec<MergeEntry>,
    consents: Vec<PendingConsent>,
    candidates: Vec<PendingCandidate>,
    rejected_pairs: BTreeSet<(PersonId, PersonId)>,
    outcomes: Vec<Outcome>,
}

/// What a page wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) consents: u64,
}

/// Resolves a page and stages what it changes.
pub(crate) async fn run(cx: &Scope, rules: PageRules, intents: &[&Intent]) -> Result<Written> {
    let (mut engine, hashes) = Engine::load(cx, rules, intents).await?;
    for (at, (intent, hashes)) in intents.iter().zip(&hashes).enumerate() {
        engine.apply(at, intent, hashes).await?;
    }
    engine.finish().await
}

/// Chance of one row.
fn row_rng(seed: &Seed, row: u64) -> Rng {
    seed.split(&[b"row", &row.to_le_bytes()]).rng()
}

fn next_id<T: TryFrom<String, Error = neonhub_core::Error>>(
    prefix: &str,
    at: Timestamp,
    rng: &mut Rng,
) -> Result<T> {
    neonhub_core::id::new_id(prefix, at, rng).try_into()
}
