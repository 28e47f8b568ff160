//! Who may read and write what is remembered about whom.

use neonhub_core::{Error, ErrorKind, Permission, Principal, Result, Scope};

use super::model::{MemoryId, MemorySubject, SourceLabel, SubjectKind};
use super::shelf::{Shelf, all_ids};
use crate::person::{PersonAsk, standing};

/// What memories are read for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadFor<'a> {
    pub(crate) purpose: Option<&'a str>,
    pub(crate) brand: Option<&'a str>,
    /// Consent bases that hold by what the caller says; `None`: not a question of consent.
    pub(crate) consents: Option<&'a [String]>,
}

/// The memories about a subject, with what decides whether each may be read.
#[derive(Debug)]
pub(crate) struct Readable {
    pub(crate) shelf: Shelf,
    /// Consent bases that hold; `None`: not a question of consent.
    pub(crate) consents: Option<Vec<String>>,
    /// False for a person that may not be remembered: none of them may be read.
    pub(crate) is_allowed: bool,
}

impl Readable {
    pub(crate) async fn open(cx: &Scope, subject: &MemorySubject, read: ReadFor<'_>) -> Result<Self> {
        let consents = read.consents.map(<[String]>::to_vec);
        if subject.kind != SubjectKind::Person {
            return Ok(Self { shelf: Shelf::open(cx, subject).await?, consents, is_allowed: true });
        }
        let ReadFor { purpose, brand, .. } = read;
        let claimed = read.consents.unwrap_or_default();
        let who = standing(cx, PersonAsk { person: &subject.id, brand, purpose, claimed }).await?;
        let shelf = of_persons(cx, who.ids).await?;
        Ok(Self { shelf, consents: Some(who.consents), is_allowed: who.may_recall })
    }
}

/// Who says something that wants to be remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker {
    /// What its words count as.
    pub(super) label: SourceLabel,
    /// An agent chooses its words and the ids of its events, so neither confirms anything.
    pub(super) is_agent: bool,
}

impl Speaker {
    /// The caller. Of an agent's word about itself only the less trusted is believed.
    pub(super) fn of(cx: &Scope, said: SourceLabel) -> Self {
        let is_agent = matches!(cx.principal(), Principal::Agent { .. });
        let label = match (is_agent, said) {
            (false, said) => said,
            (true, SourceLabel::Retrieved) => SourceLabel::Retrieved,
            (true, _) => SourceLabel::Model,
        };
        Speaker { label, is_agent }
    }
}

/// What is remembered about a subject, for whoever adds to it; about a person, under each id that was merged into one.
pub(super) async fn all_about(cx: &Scope, subject: &MemorySubject) -> Result<Shelf> {
    if subject.kind != SubjectKind::Person {
        return Shelf::open(cx, subject).await;
    }
    let ask = PersonAsk { person: &subject.id, brand: None, purpose: None, claimed: &[] };
    let mut ids = standing(cx, ask).await?.ids;
    if !ids.contains(&subject.id) {
        ids.push(subject.id.clone());
    }
    of_persons(cx, ids).await
}

async fn of_persons(cx: &Scope, ids: Vec<String>) -> Result<Shelf> {
    let mut items = Vec::new();
    for id in ids {
        items.extend(Shelf::open(cx, &MemorySubject::person(id)).await?.items);
    }
    Ok(Shelf { items })
}

/// All memories about a subject; about a person, under each id that was merged into one.
pub(super) async fn about(cx: &Scope, subject: &MemorySubject) -> Result<Vec<MemoryId>> {
    if subject.kind != SubjectKind::Person {
        return all_ids(cx, subject).await;
    }
    let ask = PersonAsk { person: &subject.id, brand: None, purpose: None, claimed: &[] };
    let ids = match standing(cx, ask).await {
        Ok(standing) => standing.ids,
        // Of a person that is gone something may be left.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            vec![subject.id.clone()]
        }
        Err(error) => return Err(error),
    };
    let mut out = Vec::new();
    for id in ids {
        out.extend(all_ids(cx, &MemorySubject::person(id)).await?);
    }
    Ok(out)
}

/// Checks the right to change what is remembered about a subject.
pub(super) fn may_write(cx: &Scope, subject: &MemorySubject, right: Permission) -> Result<()> {
    if subject.kind == SubjectKind::Person { cx.require(right) } else { Ok(()) }
}

/// Checks that something may be kept about a subject on this basis.
pub(super) async fn may_keep(cx: &Scope, subject: &MemorySubject, basis: Option<&str>) -> Result<()> {
    let whom = match subject.kind {
        SubjectKind::Brand | SubjectKind::Agent => return Ok(()),
        SubjectKind::User => "a user",
        SubjectKind::Person => "a person",
    };
    let refused = |message: String| Err(Error::new(ErrorKind::ConsentRequired, cx.operation(), message));
    if basis.is_none_or(|basis| basis.trim().is_empty()) {
        let what = format!("what is kept about {whom} needs a consent_basis");
        return refused(format!("{what}: name the consent or the contract"));
    }
    if subject.kind == SubjectKind::Person {
        may_write(cx, subject, Permission::WritePeople)?;
        let ask = PersonAsk { person: &subject.id, brand: None, purpose: None, claimed: &[] };
        if !standing(cx, ask).await?.may_recall {
            return refused(
                "the person did not agree to be remembered: record the consent `memory` first".into(),
            );
        }
    }
    Ok(())
}
