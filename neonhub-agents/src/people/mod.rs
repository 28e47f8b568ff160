//! People: identities on their normalised values, resolve and reversible merges, import of contacts.
//!
//! [`normalise`] turns what a file or a form says into the key a person is found by. [`resolve`] decides, from
//! loaded facts alone, which person a set of identifiers means. [`csv`] reads contact files of any usual shape.
//! [`GateFacts`] is what the send gate reads of a person: one record, kept in every commit that touches one.

pub mod csv;
pub(crate) mod engine;
pub mod facts;
pub mod fields;
pub(crate) mod hash;
mod ids;
pub mod import;
mod kind;
pub mod limits;
pub mod merge;
pub mod model;
pub mod normalise;
pub mod ops;
pub mod resolve;
pub(crate) mod standing;
mod update;
pub mod view;

use std::sync::Arc;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;
use neonhub_core::vault::SealedColumn;

pub use facts::{GateFacts, facts_of, facts_of_many};
pub use ids::{CandidateId, IdentityId, ImportId, MergeId, PersonId};
pub use kind::IdentityKind;
pub use model::{Identity, MergeCandidate, MergeEntry, Person};

/// The operations on people.
pub static CATALOGUE: &[Entry] = &[
    entry::<ops::ResolvePerson>(),
    entry::<ops::CreatePerson>(),
    entry::<ops::GetPerson>(),
    entry::<ops::UpdatePerson>(),
    entry::<ops::ListPeople>(),
    entry::<ops::PersonTimeline>(),
    entry::<ops::ListIdentities>(),
    entry::<ops::AddIdentity>(),
    entry::<merge::MergePeople>(),
    entry::<merge::UnmergePeople>(),
    entry::<merge::ListCandidates>(),
    entry::<merge::AcceptCandidate>(),
    entry::<merge::RejectCandidate>(),
    entry::<import::ImportStart>(),
    entry::<import::ImportStatusOf>(),
    entry::<import::ImportErrors>(),
    entry::<import::OpenImport>(),
    entry::<import::ImportPage>(),
    entry::<import::FinishImport>(),
];

/// The records of people.
pub static KINDS: &[Kind] = &[
    Kind::of::<Person>(),
    Kind::of::<Identity>(),
    Kind::of::<MergeEntry>(),
    Kind::of::<MergeCandidate>(),
    Kind::of::<GateFacts>(),
    Kind::of::<import::ImportJob>(),
    Kind::of::<import::FaultPage>(),
];

/// What is sealed in them.
static SEALED: &[SealedColumn] = &[
    SealedColumn::of::<Identity>("identity", "key"),
    SealedColumn::of::<Identity>("identity", "value"),
    SealedColumn::of::<MergeEntry>("identity", "key"),
    SealedColumn::of::<MergeEntry>("identity", "value"),
];

/// Adds people to a hub. Needs [`crate::consent::install`] beside it.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS).sealed(SEALED).service(Arc::new(import::Desk::default()))
}
