//! Working out what the removals of a batch bring about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{CASCADE_LIMIT, Family, OnDelete, Ref, detached, written};
use crate::store::{Batch, Expected, Kind, Query, Row, Tombstone, Write};
use crate::{Error, ErrorKind, Result, Timestamp};

/// Records of one question at most.
const ASKED: usize = 1000;

/// A question to the engine: which rows of a kind refer to some of these records.
#[derive(Clone, Debug)]
pub(in crate::store) struct Ask {
    /// Who refers.
    pub(in crate::store) kind: Kind,
    pub(in crate::store) reference: Ref,
    /// To whom.
    ids: BTreeSet<String>,
    /// Rows that are enough.
    pub(in crate::store) limit: usize,
}

impl Ask {
    /// The question as one query per record.
    pub(in crate::store) fn queries(&self) -> impl Iterator<Item = Query> + '_ {
        self.ids.iter().map(|id| self.reference.query(id))
    }
}

type Place = (&'static str, String);

/// Records by kind.
type Level = BTreeMap<&'static str, BTreeSet<String>>;

/// A stored record that changes because another one goes.
#[derive(Debug)]
struct Moved {
    kind: Kind,
    rev: u64,
    /// What it becomes; `None` when it goes too.
    now: Option<Row>,
}

/// Works out what the removals of a batch bring about: removal by removal, each level by level, so that there are as many
/// questions to the engine as levels and references, however many records go.
#[derive(Debug)]
pub(in crate::store) struct Cascade<'f> {
    family: &'f Family,
    at: Timestamp,
    /// Records that the batch itself writes: what it says of them stands.
    named: BTreeSet<Place>,
    /// Removals whose referrers are left to a job.
    spared: BTreeSet<Place>,
    /// Removals of the batch that are still to be worked out, the first one first.
    roots: VecDeque<Place>,
    /// The one at hand.
    root: Place,
    /// What is still to be asked about the level at hand.
    todo: VecDeque<Ask>,
    /// What goes with the level at hand.
    next: Level,
    order: Vec<Place>,
    moved: BTreeMap<Place, Moved>,
    /// What was asked last.
    asked: Option<Ask>,
}

impl<'f> Cascade<'f> {
    pub(in crate::store) fn of(family: &'f Family, batch: &Batch) -> Self {
        let last: BTreeMap<Place, &Write> =
            written(batch).map(|((kind, id), write)| ((kind, id.to_owned()), write)).collect();
        let gone = last.iter().filter(|(_, w)| matches!(w, Write::Delete { .. })).map(|(place, _)| place);
        let spared = last.iter().filter_map(|((kind, id), write)| match write {
            Write::Put { .. } if *kind == Tombstone::NAME => {
                let (kind, of) = Tombstone::place_of(id)?;
                family.kinds.get(kind).map(|k| (k.name, of.to_owned()))
            }
            _ => None,
        });
        Cascade {
            family,
            at: batch.at,
            spared: spared.collect(),
            roots: gone.cloned().collect(),
            root: Place::default(),
            todo: VecDeque::new(),
            next: Level::new(),
            order: Vec::new(),
            moved: BTreeMap::new(),
            asked: None,
            named: last.into_keys().collect(),
        }
    }

    /// The next question; none when all is worked out.
    pub(in crate::store) fn ask(&mut self) -> Option<Ask> {
        while self.todo.is_empty() {
            let mut level = std::mem::take(&mut self.next);
            if level.is_empty() {
                self.root = self.roots.pop_front()?;
                level.entry(self.root.0).or_default().insert(self.root.1.clone());
            }
            self.todo = self.asks(&level);
        }
        let mut ask = self.todo.pop_front()?;
        // What the batch names itself may be among the first, and what goes already.
        let known = self.named.iter().chain(&self.order).filter(|(name, _)| *name == ask.kind.name).count();
        ask.limit = known
            + match ask.reference.on_delete {
                OnDelete::Restrict => 1,
                OnDelete::Cascade | OnDelete::Detach => {
                    CASCADE_LIMIT + 1 - self.order.len().min(CASCADE_LIMIT)
                }
            };
        self.asked = Some(ask.clone());
        Some(ask)
    }

    /// What is to be asked about the records of a level.
    fn asks(&self, level: &Level) -> VecDeque<Ask> {
        let mut asks = VecDeque::new();
        for (name, ids) in level {
            for (kind, reference) in self.family.children(name) {
                let is_asked = |id: &&String| {
                    reference.on_delete == OnDelete::Restrict
                        || !self.spared.contains(&(*name, (*id).clone()))
                };
                let ids: Vec<&String> = ids.iter().filter(is_asked).collect();
                asks.extend(ids.chunks(ASKED).map(|ids| Ask {
                    kind: *kind,
                    reference: *reference,
                    ids: ids.iter().map(|id| (*id).clone()).collect(),
                    limit: 0,
                }));
            }
        }
        asks
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    /// `Conflict`: `restricted` naming who holds on, `cascade_too_large` naming the removal that brings about more
    /// than one commit takes.
    pub(in crate::store) fn answer(&mut self, rows: Vec<Row>) -> Result<()> {
        let Some(Ask { kind, reference, ids, .. }) = self.asked.take() else { return Ok(()) };
        for row in rows {
            let place = (kind.name, row.id.clone());
            if self.named.contains(&place) {
                continue;
            }
            let (rev, row) = match self.moved.get(&place) {
                Some(Moved { now: None, .. }) => continue,
                Some(Moved { now: Some(now), rev, .. }) => (*rev, now.clone()),
                None => (row.rev, row),
            };
            let Some(parent) = reference.target(&kind, &row).filter(|id| ids.contains(id)) else { continue };
            let now = match reference.on_delete {
                OnDelete::Restrict => return Err(restricted(&(reference.parent, parent), &place)),
                OnDelete::Cascade => {
                    self.next.entry(kind.name).or_default().insert(place.1.clone());
                    None
                }
                OnDelete::Detach => Some(detached(&kind, &reference, &row, self.at)?),
            };
            if self.moved.insert(place.clone(), Moved { kind, rev, now }).is_none() {
                self.order.push(place);
                if self.order.len() > CASCADE_LIMIT {
                    return Err(too_large(&self.root));
                }
            }
        }
        Ok(())
    }

    /// What is to be written beside the batch.
    pub(in crate::store) fn writes(mut self) -> Vec<Write> {
        let order = std::mem::take(&mut self.order);
        let moved = order.into_iter().filter_map(|place| self.moved.remove(&place).map(|m| (place.1, m)));
        moved
            .map(|(id, Moved { kind, rev, now })| match now {
                None => Write::Delete { kind, id, expected: Expected::Rev(rev) },
                Some(row) => Write::Put { kind, row, expected: Expected::Rev(rev) },
            })
            .collect()
    }
}

fn restricted(parent: &Place, holder: &Place) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.commit",
        "another record still needs the one to be removed: remove that one first",
    )
    .with_code("restricted")
    .with_context("kind", parent.0)
    .with_context("id", &parent.1)
    .with_context("held_by_kind", holder.0)
    .with_context("held_by", &holder.1)
}

fn too_large(root: &Place) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.commit",
        format!(
            "more than {CASCADE_LIMIT} records would go with this one: put a tombstone for it in the same batch, and \
             remove what refers to it page by page"
        ),
    )
    .with_code("cascade_too_large")
    .with_context("kind", root.0)
    .with_context("id", &root.1)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::store::{Index, Key, Record};
    use crate::tenancy::WorkspaceId;

    macro_rules! kind {
        ($name:ident, $kind:literal, [$($refs:expr),*]) => {
            #[derive(Clone, Serialize, Deserialize)]
            struct $name {
                id: String,
                of: String,
            }
            impl Record for $name {
                const KIND: &'static str = $kind;
                const INDEXES: &'static [Index] = &[Index::on("of")];
                const REFS: &'static [Ref] = &[$($refs),*];
                fn id(&self) -> &str {
                    &self.id
                }
                fn keys(&self) -> Vec<Option<Key>> {
                    vec![Some(Key::text(&self.of))]
                }
            }
        };
    }

    kind!(Shop, "cascade_shop", []);
    kind!(Shelf, "cascade_shelf", [Ref::cascade("cascade_shop", "of")]);
    kind!(Book, "cascade_book", [Ref::cascade("cascade_shelf", "of")]);
    kind!(Loan, "cascade_loan", [Ref::restrict("cascade_book", "of")]);

    fn row<R: Record>(record: &R) -> Row {
        Row { rev: 1, ..Row::of(record, Timestamp::EPOCH, "t").unwrap() }
    }

    #[test]
    fn a_level_is_one_question_for_each_reference() {
        let kinds = [Kind::of::<Shop>(), Kind::of::<Shelf>(), Kind::of::<Book>(), Kind::of::<Loan>()];
        let family = Family::of(&kinds);
        let mut batch = Batch::new(WorkspaceId::hub_sibling(1), Timestamp::EPOCH);
        batch.writes.push(Write::Delete { kind: kinds[0], id: "s".into(), expected: Expected::Any });
        let mut cascade = Cascade::of(&family, &batch);
        let mut asked = Vec::new();
        while let Some(ask) = cascade.ask() {
            asked.push((ask.kind.name, ask.queries().count()));
            let shelves = || (0..40).map(|n| Shelf { id: format!("h{n:02}"), of: "s".into() });
            let rows = match ask.kind.name {
                Shelf::KIND => shelves().map(|s| row(&s)).collect(),
                Book::KIND => shelves().map(|s| row(&Book { id: format!("b{}", s.id), of: s.id })).collect(),
                _ => Vec::new(),
            };
            cascade.answer(rows).unwrap();
        }
        assert_eq!(asked, [(Shelf::KIND, 1), (Book::KIND, 40), (Loan::KIND, 40)]);
        assert_eq!(cascade.writes().len(), 80);
    }
}
