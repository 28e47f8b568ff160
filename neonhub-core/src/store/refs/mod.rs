//! What happens to records when one they refer to is removed.
//!
//! A reference names an index whose keys begin with the id of the other record, so that who refers to a record is one
//! range of an index on every engine, and records of before the reference was declared are found too. The engine works
//! a removal out while nobody else commits (embedded engines) or with the records locked (PostgreSQL), and applies all
//! of it in the same commit.

mod cascade;

use std::collections::BTreeMap;

#[cfg(feature = "postgres")]
pub(super) use self::cascade::Ask;
pub(super) use self::cascade::Cascade;

use super::grow::outgrown;
use super::transfer::index_words;
use super::{Batch, Expected, Key, Kind, Query, Row, Tombstone, Write};
use crate::{Error, ErrorKind, Result, Timestamp};

/// Records that one commit removes or changes beside those it names, at most. More of them are left to a job.
// Our choice, as the runtime rules state it.
pub const CASCADE_LIMIT: usize = 10_000;

/// What becomes of a record when the one it refers to is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// It is removed too, with all that refers to it in turn.
    Cascade,
    /// The removal is refused while it is there.
    Restrict,
    /// It stays, and forgets the other one ([`Record::detach`](super::Record::detach)).
    Detach,
}

/// A reference of one kind to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The kind that is referred to.
    pub parent: &'static str,
    /// An index of this kind whose keys begin with `Key::text(id of the other record)`.
    pub index: &'static str,
    /// What happens when the other record is removed.
    pub on_delete: OnDelete,
}

impl Ref {
    /// Removed with the other record.
    #[must_use]
    pub const fn cascade(parent: &'static str, index: &'static str) -> Self {
        Ref { parent, index, on_delete: OnDelete::Cascade }
    }

    /// Keeps the other record from being removed.
    #[must_use]
    pub const fn restrict(parent: &'static str, index: &'static str) -> Self {
        Ref { parent, index, on_delete: OnDelete::Restrict }
    }

    /// Forgets the other record when that is removed.
    #[must_use]
    pub const fn detach(parent: &'static str, index: &'static str) -> Self {
        Ref { parent, index, on_delete: OnDelete::Detach }
    }

    /// What of a row refers to a record: the id its key begins with.
    pub(crate) fn target(&self, kind: &Kind, row: &Row) -> Option<String> {
        let n = kind.index(self.index).ok()?;
        row.keys.get(n)?.as_ref()?.first_text()
    }

    /// The rows that refer to a record.
    pub(crate) fn query(&self, id: &str) -> Query {
        Query::index(self.index).prefix(Key::text(id))
    }
}

/// The references between the kinds that a store was told of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    kinds: BTreeMap<&'static str, Kind>,
    /// Per kind that is referred to: who does.
    children: BTreeMap<&'static str, Vec<(Kind, Ref)>>,
}

impl Family {
    pub(crate) fn of(kinds: &[Kind]) -> Self {
        let mut family = Family::default();
        family.learn(kinds);
        family
    }

    /// Takes kinds in; one that is declared again takes the place of what it was.
    pub(crate) fn learn(&mut self, kinds: &[Kind]) {
        self.kinds.extend(kinds.iter().map(|kind| (kind.name, *kind)));
        self.children.clear();
        for kind in self.kinds.values() {
            for reference in kind.refs {
                self.children.entry(reference.parent).or_default().push((*kind, *reference));
            }
        }
    }

    /// Kinds and indexes that references name must be there.
    ///
    /// # Errors
    /// `Config` naming the reference.
    pub(crate) fn check(&self) -> Result<()> {
        let children = self.children.iter().flat_map(|(parent, list)| list.iter().map(move |c| (parent, c)));
        for (parent, (kind, reference)) in children {
            if self.kinds.contains_key(parent) && kind.index(reference.index).is_ok() {
                continue;
            }
            return Err(Error::new(
                ErrorKind::Config,
                "hub.open",
                "a reference names a kind or an index that is not declared: declare both with the hub",
            )
            .with_context("kind", kind.name)
            .with_context("refers_to", *parent)
            .with_context("index", reference.index));
        }
        Ok(())
    }

    /// Who refers to records of a kind.
    pub(crate) fn children(&self, kind: &str) -> &[(Kind, Ref)] {
        self.children.get(kind).map_or(&[], Vec::as_slice)
    }

    /// True when the batch removes records that others may refer to.
    pub(crate) fn removes(&self, batch: &Batch) -> bool {
        let is_one =
            |w: &Write| matches!(w, Write::Delete { kind, .. } if !self.children(kind.name).is_empty());
        !self.children.is_empty() && batch.writes.iter().any(is_one)
    }

    /// What must hold after the writes of a batch: the records that others are made to refer to are there, and none is
    /// made under an id whose removal is still under way.
    pub(crate) fn guards(&self, batch: &Batch) -> Vec<Write> {
        if self.children.is_empty() {
            return Vec::new();
        }
        let last: BTreeMap<(&str, &str), &Write> = written(batch).collect();
        let mut guards = BTreeMap::new();
        for write in last.into_values() {
            let Write::Put { kind, row, expected } = write else { continue };
            for reference in kind.refs {
                let parent = self.kinds.get(reference.parent).copied();
                let Some((parent, id)) = parent.zip(reference.target(kind, row)) else { continue };
                guards.insert((parent.name, id.clone()), (parent, id, Expected::Present));
            }
            if matches!(expected, Expected::Absent | Expected::Any)
                && !self.children(kind.name).is_empty()
                && let Some(stone) = self.kinds.get(Tombstone::NAME)
            {
                let id = Tombstone::id_of(kind.name, &row.id);
                guards.insert((stone.name, id.clone()), (*stone, id, Expected::Absent));
            }
        }
        guards.into_values().map(|(kind, id, expected)| Write::Check { kind, id, expected }).collect()
    }

    /// Refuses rows of a kind that the store knows with more indexes than the batch does.
    ///
    /// # Errors
    /// `Config` with the code `newer_store`, naming both lists.
    pub(super) fn check_shape(&self, batch: &Batch) -> Result<()> {
        for write in &batch.writes {
            let Write::Put { kind, .. } = write else { continue };
            if let Some(known) = self.kinds.get(kind.name).filter(|k| k.indexes.len() > kind.indexes.len()) {
                return Err(outgrown(kind, &index_words(known).join(" ")));
            }
        }
        Ok(())
    }

    /// Adds to a batch what follows from its removals, and what must hold. `find` answers what is stored.
    pub(super) fn complete(
        &self,
        batch: &mut Batch,
        mut find: impl FnMut(Kind, &Query) -> Result<Vec<Row>>,
    ) -> Result<()> {
        self.check_shape(batch)?;
        let guards = self.guards(batch);
        if self.removes(batch) {
            let mut cascade = Cascade::of(self, batch);
            while let Some(ask) = cascade.ask() {
                let mut rows = Vec::new();
                for query in ask.queries() {
                    match ask.limit.saturating_sub(rows.len()) {
                        0 => break,
                        room => rows.extend(find(ask.kind, &query.limit(room))?),
                    }
                }
                cascade.answer(rows)?;
            }
            batch.writes.extend(cascade.writes());
        }
        batch.writes.extend(guards);
        Ok(())
    }
}

/// What a batch writes, by kind and id; of two writes to a record the last one counts.
fn written(batch: &Batch) -> impl Iterator<Item = ((&'static str, &str), &Write)> {
    batch.writes.iter().filter(|w| !matches!(w, Write::Check { .. })).map(|write| {
        let (kind, id, _) = write.target();
        ((kind.name, id), write)
    })
}

/// A row that has forgotten the record it refers to.
pub(crate) fn detached(kind: &Kind, reference: &Ref, row: &Row, at: Timestamp) -> Result<Row> {
    let (body, keys) = kind.keys.detach(kind, &row.body, reference.index)?;
    let now = Row { body, keys, updated_at: at, ..row.clone() };
    if reference.target(kind, &now).is_some() && reference.target(kind, &now) == reference.target(kind, row) {
        return Err(Error::new(
            ErrorKind::Internal,
            "store.commit",
            "a record that should forget another one still names it: its `detach` must change the key of the index",
        )
        .with_context("kind", kind.name)
        .with_context("index", reference.index));
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_what_is_not_declared_is_named_at_open() {
        const fn kind(refs: &'static [Ref]) -> Kind {
            let mut kind = Kind::of::<super::super::conformance::Note>();
            kind.refs = refs;
            kind
        }
        const SOUND: &[Ref] = &[Ref::cascade("conformance_note", "size")];
        const NO_KIND: &[Ref] = &[Ref::cascade("nobody", "size")];
        const NO_INDEX: &[Ref] = &[Ref::cascade("conformance_note", "nothing")];
        Family::of(&[kind(SOUND)]).check().unwrap();
        for refs in [NO_KIND, NO_INDEX] {
            let error = Family::of(&[kind(refs)]).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.context().any(|(k, v)| k == "kind" && v == "conformance_note"), "{error}");
        }
    }
}
