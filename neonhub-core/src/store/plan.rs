//! A group of batches worked out in memory: what each may do given what the engine found, and what is then
//! to be written. Engines that talk to a server use it to write a whole group in one exchange.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::batch::{next_rev, taken};
use super::grow::outgrown;
use super::{Batch, Change, ChangeOp, Expected, Key, Kind, Link, Row, Write};
use crate::{Result, Timestamp};

type Head = (u64, [u8; 32]);
type Place = (&'static str, String);
/// Kind, position of the index, key.
type KeyPlace = (&'static str, usize, Key);
/// Kind, position of the index, id.
type HeldPlace = (&'static str, usize, String);

/// What must be known before a group can be worked out.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Per kind: the ids whose revisions are needed.
    pub(super) records: BTreeMap<&'static str, (Kind, BTreeSet<String>)>,
    /// Per unique index: the keys whose holders are needed.
    pub(super) keys: BTreeMap<(&'static str, usize), (Kind, BTreeSet<Key>)>,
    /// Kinds of which stored bodies are needed too: records of them may be replaced.
    pub(super) bodies: BTreeSet<&'static str>,
    /// Chains whose heads are needed.
    pub(super) chains: BTreeSet<&'static str>,
}

impl Needs {
    pub(super) fn of(batches: &[Batch]) -> Self {
        let mut needs = Needs::default();
        for write in batches.iter().flat_map(|b| &b.writes) {
            let (kind, id, _) = write.target();
            needs
                .records
                .entry(kind.name)
                .or_insert_with(|| (*kind, BTreeSet::new()))
                .1
                .insert(id.to_owned());
            let Write::Put { kind, row, expected } = write else { continue };
            if *expected != Expected::Absent && kind.keeps() {
                needs.bodies.insert(kind.name);
            }
            for (n, (index, key)) in kind.indexes.iter().zip(&row.keys).enumerate() {
                if let Some(key) = key.as_ref().filter(|_| index.unique) {
                    let slot = needs.keys.entry((kind.name, n)).or_insert_with(|| (*kind, BTreeSet::new()));
                    slot.1.insert(key.clone());
                }
            }
        }
        needs.chains.extend(batches.iter().flat_map(|b| &b.links).map(|l| l.chain));
        needs
    }
}

/// What the engine found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Revisions of the records that are there.
    pub(super) revs: HashMap<Place, u64>,
    /// Bodies of those whose kind may keep something of them.
    pub(super) bodies: HashMap<Place, String>,
    /// Who holds a unique key.
    pub(super) holders: HashMap<KeyPlace, String>,
    /// Heads of chains.
    pub(super) heads: HashMap<&'static str, Head>,
    /// Lists of indexes of kinds that a newer build has added some to.
    pub(super) outgrown: HashMap<&'static str, String>,
}

/// What to write to one kind's table, in this order.
#[derive(Debug, Default)]
pub(super) struct TablePlan {
    /// Records to remove.
    pub(super) deletes: Vec<String>,
    /// Per unique index: records that give their key to another record of the group.
    pub(super) releases: BTreeMap<usize, Vec<String>>,
    /// Records to replace; their creation header stays.
    pub(super) updates: Vec<Row>,
    /// Records to add.
    pub(super) inserts: Vec<Row>,
}

/// The outcome of a group.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Per batch: its entry of `feed`, or none when it changed nothing, or why it was refused.
    pub(super) answers: Vec<Result<Option<usize>>>,
    /// Per kind: what to write.
    pub(super) tables: BTreeMap<&'static str, (Kind, TablePlan)>,
    /// New heads of chains.
    pub(super) heads: BTreeMap<&'static str, Head>,
    /// Feed entries in order.
    pub(super) feed: Vec<(Timestamp, Vec<Change>)>,
}

#[derive(Clone, Debug)]
enum Now {
    Same,
    Gone,
    /// `fresh`: it is a new record, with a creation header of its own.
    Put {
        row: Row,
        fresh: bool,
    },
}

#[derive(Clone, Debug)]
struct Slot {
    kind: Kind,
    stored: u64,
    rev: u64,
    now: Now,
}

enum Undo {
    Slot(Place, Option<Box<Slot>>),
    Holder(KeyPlace, Option<String>),
    Held(HeldPlace, Option<Key>),
    Head(&'static str, Option<Head>),
}

/// Works a group out, batch by batch: a refused one leaves no trace.
pub(super) fn work_out(batches: &[Batch], facts: &Facts) -> Plan {
    let mut work = Work {
        facts,
        slots: BTreeMap::new(),
        holders: facts.holders.clone(),
        held: facts.holders.iter().map(|((k, n, key), id)| ((*k, *n, id.clone()), key.clone())).collect(),
        heads: BTreeMap::new(),
        undo: Vec::new(),
    };
    let mut plan = Plan::default();
    for batch in batches {
        let answer = work.batch(batch).map(|changes| {
            (!changes.is_empty()).then(|| {
                plan.feed.push((batch.at, changes));
                plan.feed.len() - 1
            })
        });
        if answer.is_err() {
            work.take_back();
        }
        work.undo.clear();
        plan.answers.push(answer);
    }
    work.write_up(&mut plan);
    plan
}

struct Work<'a> {
    facts: &'a Facts,
    slots: BTreeMap<Place, Slot>,
    holders: HashMap<KeyPlace, String>,
    /// The same the other way round, as far as it is known.
    held: HashMap<HeldPlace, Key>,
    heads: BTreeMap<&'static str, Head>,
    undo: Vec<Undo>,
}

impl Work<'_> {
    fn batch(&mut self, batch: &Batch) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(batch.writes.len() + batch.links.len());
        for write in &batch.writes {
            changes.extend(self.write(write)?);
        }
        for link in &batch.links {
            changes.push(self.link(link)?);
        }
        Ok(changes)
    }

    fn slot(&self, kind: Kind, place: &Place) -> Slot {
        self.slots.get(place).cloned().unwrap_or_else(|| {
            let stored = self.facts.revs.get(place).copied().unwrap_or_default();
            Slot { kind, stored, rev: stored, now: Now::Same }
        })
    }

    fn keep(&mut self, place: Place, slot: Slot) {
        let old = self.slots.insert(place.clone(), slot);
        self.undo.push(Undo::Slot(place, old.map(Box::new)));
    }

    fn write(&mut self, write: &Write) -> Result<Option<Change>> {
        let (kind, id, expected) = write.target();
        let place = (kind.name, id.to_owned());
        let slot = self.slot(*kind, &place);
        next_rev(kind.name, id, expected, slot.rev)?;
        match write {
            Write::Check { .. } => Ok(None),
            Write::Delete { .. } if slot.rev == 0 => Ok(None),
            Write::Delete { kind, id, .. } => {
                let change = change(kind.name, id, slot.rev, 0, ChangeOp::Delete);
                self.free(*kind, id, None);
                self.keep(place, Slot { rev: 0, now: Now::Gone, ..slot });
                Ok(Some(change))
            }
            Write::Put { kind, row, .. } => self.put(*kind, row, place, &slot).map(Some),
        }
    }

    fn put(&mut self, kind: Kind, row: &Row, place: Place, slot: &Slot) -> Result<Change> {
        if let Some(found) = self.facts.outgrown.get(kind.name) {
            return Err(outgrown(&kind, found));
        }
        for (n, (index, key)) in kind.indexes.iter().zip(&row.keys).enumerate() {
            let Some(key) = key.as_ref().filter(|_| index.unique) else { continue };
            if let Some(holder) = self.holders.get(&(kind.name, n, key.clone())).filter(|h| **h != row.id) {
                return Err(taken(kind.name, index.name, holder));
            }
        }
        self.free(kind, &row.id, Some(&row.keys));
        for (n, (index, key)) in kind.indexes.iter().zip(&row.keys).enumerate() {
            let Some(key) = key.as_ref().filter(|_| index.unique) else { continue };
            self.hold((kind.name, n, key.clone()), &row.id);
        }
        let mut row = row.clone();
        let old = match &slot.now {
            Now::Put { row, .. } => Some(&row.body),
            Now::Same => self.facts.bodies.get(&place),
            Now::Gone => None,
        };
        if let Some(old) = old {
            kind.keep_unknown(old, &mut row);
        }
        let fresh = match &slot.now {
            Now::Put { row: old, fresh: true } => {
                row.created_at = old.created_at;
                row.created_by.clone_from(&old.created_by);
                true
            }
            _ => slot.rev == 0,
        };
        row.rev = slot.rev + 1;
        let op = if slot.rev == 0 { ChangeOp::Create } else { ChangeOp::Update };
        let change = change(kind.name, &row.id, slot.rev, row.rev, op);
        self.keep(
            place,
            Slot { kind: slot.kind, stored: slot.stored, rev: row.rev, now: Now::Put { row, fresh } },
        );
        Ok(change)
    }

    /// Takes unique keys from a record, but those it keeps.
    fn free(&mut self, kind: Kind, id: &str, keeps: Option<&[Option<Key>]>) {
        for n in (0..kind.indexes.len()).filter(|n| kind.indexes.get(*n).is_some_and(|i| i.unique)) {
            let at = (kind.name, n, id.to_owned());
            let Some(key) = self.held.get(&at) else { continue };
            if keeps.and_then(|keys| keys.get(n)).and_then(Option::as_ref) == Some(key) {
                continue;
            }
            let place = (kind.name, n, key.clone());
            let old = self.held.remove(&at);
            self.undo.push(Undo::Held(at, old));
            let old = self.holders.remove(&place);
            self.undo.push(Undo::Holder(place, old));
        }
    }

    fn hold(&mut self, place: KeyPlace, id: &str) {
        let at = (place.0, place.1, id.to_owned());
        let old = self.held.insert(at.clone(), place.2.clone());
        self.undo.push(Undo::Held(at, old));
        let old = self.holders.insert(place.clone(), id.to_owned());
        self.undo.push(Undo::Holder(place, old));
    }

    fn link(&mut self, link: &Link) -> Result<Change> {
        let head = self.heads.get(link.chain).or_else(|| self.facts.heads.get(link.chain)).copied();
        let (seq, prev) = head.unwrap_or((0, link.genesis));
        let (row, hash) = (link.forge)(seq + 1, prev)?;
        let old = self.heads.insert(link.chain, (seq + 1, hash));
        self.undo.push(Undo::Head(link.chain, old));
        self.write(&Write::Put { kind: link.kind, row, expected: Expected::Absent })?
            .ok_or_else(|| crate::Error::internal("store.commit", "a chain entry changed nothing"))
    }

    fn take_back(&mut self) {
        for step in std::mem::take(&mut self.undo).into_iter().rev() {
            match step {
                Undo::Slot(place, Some(old)) => drop(self.slots.insert(place, *old)),
                Undo::Slot(place, None) => drop(self.slots.remove(&place)),
                Undo::Holder(place, Some(old)) => drop(self.holders.insert(place, old)),
                Undo::Holder(place, None) => drop(self.holders.remove(&place)),
                Undo::Held(place, Some(old)) => drop(self.held.insert(place, old)),
                Undo::Held(place, None) => drop(self.held.remove(&place)),
                Undo::Head(chain, Some(old)) => drop(self.heads.insert(chain, old)),
                Undo::Head(chain, None) => drop(self.heads.remove(chain)),
            }
        }
    }

    fn write_up(self, plan: &mut Plan) {
        let mut updated = BTreeSet::new();
        for ((name, id), slot) in self.slots {
            let table = &mut plan.tables.entry(name).or_insert_with(|| (slot.kind, TablePlan::default())).1;
            match (slot.stored, slot.now) {
                (_, Now::Same) | (0, Now::Gone) => {}
                (_, Now::Gone) => table.deletes.push(id),
                (0, Now::Put { row, .. }) => table.inserts.push(row),
                (_, Now::Put { row, fresh: true }) => {
                    table.deletes.push(id);
                    table.inserts.push(row);
                }
                (_, Now::Put { row, fresh: false }) => {
                    updated.insert((name, id));
                    table.updates.push(row);
                }
            }
        }
        for ((name, n, key), holder) in &self.facts.holders {
            let next = self.holders.get(&(*name, *n, key.clone()));
            if next.is_some_and(|next| next != holder)
                && updated.contains(&(*name, holder.clone()))
                && let Some((_, table)) = plan.tables.get_mut(name)
            {
                table.releases.entry(*n).or_default().push(holder.clone());
            }
        }
        plan.heads = self.heads;
    }
}

fn change(kind: &str, id: &str, before: u64, after: u64, op: ChangeOp) -> Change {
    Change { kind: kind.to_owned(), id: id.to_owned(), before, after, op }
}
