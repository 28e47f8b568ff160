//! What the memory engine holds: tables, their indexes, chains, the feed and blobs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::store::batch::{self, next_rev};
use crate::store::{
    Change, ChangeOp, Family, FeedEntry, Item, Key, Kind, Order, Query, RecordItem, Row, Write, grow, pack,
    transfer,
};
use crate::tenancy::WorkspaceId;
use crate::{Clock as _, Result, SystemClock, Timestamp};

pub(super) type Place = (WorkspaceId, String);

#[derive(Debug, Default)]
pub(super) struct Table {
    kind: Option<Kind>,
    pub(super) rows: BTreeMap<Place, (Row, u64)>,
    /// Per declared index: (workspace, key, id).
    indexes: Vec<BTreeSet<(WorkspaceId, Key, String)>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tables: BTreeMap<&'static str, Table>,
    pub(super) chains: BTreeMap<(WorkspaceId, &'static str), (u64, [u8; 32])>,
    pub(super) feed: VecDeque<FeedEntry>,
    pub(super) seq: u64,
    pub(super) blobs: BTreeMap<String, (Vec<u8>, Timestamp)>,
    pub(super) family: Arc<Family>,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn table(&mut self, kind: Kind) -> &mut Table {
        let table = self.tables.entry(kind.name).or_default();
        let known = table.kind.get_or_insert(kind);
        if kind.indexes.len() > known.indexes.len() {
            *known = kind;
            table.grow(kind);
        }
        table.indexes.resize_with(kind.indexes.len().max(table.indexes.len()), BTreeSet::new);
        table
    }

    fn found(&self, kind: &str, place: &Place) -> u64 {
        self.tables.get(kind).and_then(|t| t.rows.get(place)).map_or(0, |(row, _)| row.rev)
    }

    pub(super) fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        let Some(table) = self.tables.get(kind.name) else { return Ok(Vec::new()) };
        table
            .matching(kind, workspace, query)?
            .into_iter()
            .take(query.limit)
            .map(|(row, sum)| row.verify(kind.name, *sum).map(|()| row.clone()))
            .collect()
    }

    /// Applies one write and says how to take it back.
    pub(super) fn apply(
        &mut self,
        workspace: &WorkspaceId,
        write: Write,
    ) -> Result<Option<(Change, Option<Row>)>> {
        let place = {
            let (kind, id, expected) = write.target();
            let place = (workspace.clone(), id.to_owned());
            next_rev(kind.name, id, expected, self.found(kind.name, &place))?;
            place
        };
        match write {
            Write::Check { .. } => Ok(None),
            Write::Delete { kind, id, .. } => {
                let old = self.table(kind).take(&place);
                Ok(old.map(|old| {
                    let change = Change {
                        kind: kind.name.to_owned(),
                        id,
                        before: old.rev,
                        after: 0,
                        op: ChangeOp::Delete,
                    };
                    (change, Some(old))
                }))
            }
            Write::Put { kind, mut row, .. } => {
                let table = self.table(kind);
                table.check_unique(kind, &place, &row)?;
                let old = table.take(&place);
                row.rev = old.as_ref().map_or(0, |o| o.rev) + 1;
                if let Some(old) = &old {
                    row.created_at = old.created_at;
                    row.created_by.clone_from(&old.created_by);
                    kind.keep_unknown(&old.body, &mut row);
                }
                let change = Change {
                    kind: kind.name.to_owned(),
                    id: row.id.clone(),
                    before: row.rev - 1,
                    after: row.rev,
                    op: if old.is_some() { ChangeOp::Update } else { ChangeOp::Create },
                };
                let sum = row.checksum(kind.name);
                table.insert(place, row, sum);
                Ok(Some((change, old)))
            }
        }
    }
}

impl State {
    /// Everything, in the order of a snapshot.
    pub(super) fn items(&self) -> impl Iterator<Item = Item> + '_ {
        let kinds = self.tables.values().filter_map(|t| t.kind.as_ref()).map(|kind| Item::Kind {
            name: kind.name.to_owned(),
            schema: kind.schema,
            indexes: transfer::index_words(kind),
        });
        let records = self.tables.iter().flat_map(|(name, table)| {
            let rows = table.rows.iter();
            rows.map(|((ws, _), (row, _))| Item::Record(RecordItem::of(ws.clone(), name, row.clone())))
        });
        let chains = self.chains.iter().map(|((ws, chain), (seq, hash))| Item::Chain {
            workspace: ws.clone(),
            chain: (*chain).to_owned(),
            seq: *seq,
            hash: crate::store_hex(hash),
        });
        let blobs = self
            .blobs
            .iter()
            .map(|(hash, (bytes, _))| Item::Blob { hash: hash.clone(), bytes: bytes.clone() });
        kinds.chain(records).chain(chains).chain(blobs).chain(self.feed.iter().map(transfer::feed_item))
    }

    /// Keeps a body, or notes that it was put again.
    pub(super) fn keep_blob(&mut self, hash: String, bytes: impl FnOnce() -> Vec<u8>) {
        let now = SystemClock.now();
        self.blobs.entry(hash).or_insert_with(|| (bytes(), now)).1 = now;
    }

    pub(super) fn load(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Kind { name, schema, indexes } => {
                self.table(transfer::kind_of(&name, schema, &indexes));
            }
            Item::Gone { workspace, kind, id } => {
                if let Some(table) = self.tables.get_mut(kind.as_str()) {
                    table.take(&(workspace, id));
                }
            }
            Item::Record(record) => {
                let place = (record.workspace.clone(), record.id.clone());
                let kind = record.kind.clone();
                let row = record.into_row()?;
                let sum = row.checksum(&kind);
                let table = self.tables.get_mut(kind.as_str()).ok_or_else(|| transfer::undeclared(&kind))?;
                table.insert(place, row, sum);
            }
            Item::Chain { workspace, chain, seq, hash } => {
                let name = transfer::kind_of(&chain, 0, &[]).name;
                self.chains.insert((workspace, name), (seq, transfer::hash_bytes(&hash)?));
            }
            Item::Blob { hash, bytes } => {
                let bytes = pack::unpack(&hash, bytes)?;
                self.blobs.insert(hash, (bytes, SystemClock.now()));
            }
            Item::Feed { seq, workspace, at, changes } => {
                self.seq = seq;
                self.feed.push_back(transfer::feed_entry(seq, workspace, at, changes));
            }
        }
        Ok(())
    }
}

impl Table {
    /// Takes the records into indexes that a kind declares behind those it had, as one loaded from an older backup does.
    fn grow(&mut self, kind: Kind) {
        self.indexes = vec![BTreeSet::new(); kind.indexes.len()];
        for (place, (mut row, sum)) in std::mem::take(&mut self.rows) {
            let old = row.keys.len();
            row.keys.extend(grow::keys(&kind, &row.id, &row.body).into_iter().skip(old));
            self.insert(place, row, sum);
        }
    }

    /// Indexes that are to be unique must be so over the records that are there.
    pub(super) fn refuse_twins(&self, kind: &Kind) -> Result<()> {
        let old = self.kind.map_or(0, |known| known.indexes.len());
        let mut holders = HashMap::new();
        for ((workspace, id), (row, _)) in self.rows.iter().filter(|_| kind.indexes.len() > old) {
            let keys = grow::keys(kind, id, &row.body);
            for (n, (index, key)) in kind.indexes.iter().zip(keys).enumerate().skip(old) {
                let Some(key) = key.filter(|_| index.unique) else { continue };
                if let Some(other) = holders.insert((workspace, n, key), id) {
                    return Err(grow::shared_value(kind, index.name, other, id));
                }
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, place: &Place) -> Option<Row> {
        let (row, _) = self.rows.remove(place)?;
        for (index, key) in self.indexes.iter_mut().zip(&row.keys) {
            if let Some(key) = key {
                index.remove(&(place.0.clone(), key.clone(), place.1.clone()));
            }
        }
        Some(row)
    }

    pub(super) fn insert(&mut self, place: Place, row: Row, sum: u64) {
        for (index, key) in self.indexes.iter_mut().zip(&row.keys) {
            if let Some(key) = key {
                index.insert((place.0.clone(), key.clone(), place.1.clone()));
            }
        }
        self.rows.insert(place, (row, sum));
    }

    pub(super) fn holder(&self, index: usize, workspace: &WorkspaceId, key: &Key) -> Option<&str> {
        let from = (workspace.clone(), key.clone(), String::new());
        let (w, k, id) = self.indexes.get(index)?.range(from..).next()?;
        (w == workspace && k == key).then_some(id.as_str())
    }

    fn check_unique(&self, kind: Kind, place: &Place, row: &Row) -> Result<()> {
        for (n, (index, key)) in kind.indexes.iter().zip(&row.keys).enumerate() {
            let Some(key) = key.as_ref().filter(|_| index.unique) else { continue };
            if let Some(holder) = self.holder(n, &place.0, key).filter(|h| *h != place.1) {
                return Err(batch::taken(kind.name, index.name, holder));
            }
        }
        Ok(())
    }

    pub(super) fn matching(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        query: &Query,
    ) -> Result<Vec<&(Row, u64)>> {
        let mut hits: Vec<(&[u8], &str, &(Row, u64))> = match query.index {
            None => self
                .rows
                .range((workspace.clone(), String::new())..)
                .take_while(|((w, _), _)| w == workspace)
                .map(|((_, id), row)| (&[][..], id.as_str(), row))
                .collect(),
            Some(name) => {
                let Some(index) = self.indexes.get(kind.index(name)?) else { return Ok(Vec::new()) };
                let from = (workspace.clone(), lower(&query.from), String::new());
                index
                    .range(from..)
                    .take_while(|(w, k, _)| w == workspace && below(k, &query.to))
                    .filter(|(_, k, _)| above(k, &query.from))
                    .filter_map(|(w, k, id)| {
                        Some((k.as_bytes(), id.as_str(), self.rows.get(&(w.clone(), id.clone()))?))
                    })
                    .collect()
            }
        };
        if query.order == Order::Descending {
            hits.reverse();
        }
        if let Some((key, id)) = &query.after {
            let key = if query.index.is_some() { key.as_bytes() } else { &[][..] };
            hits.retain(|(k, i, _)| match query.order {
                Order::Ascending => (*k, *i) > (key, id.as_str()),
                Order::Descending => (*k, *i) < (key, id.as_str()),
            });
        }
        Ok(hits.into_iter().map(|(_, _, row)| row).collect())
    }
}

fn lower(bound: &Bound<Key>) -> Key {
    match bound {
        Bound::Included(k) | Bound::Excluded(k) => k.clone(),
        Bound::Unbounded => Key::new(),
    }
}

fn above(key: &Key, bound: &Bound<Key>) -> bool {
    match bound {
        Bound::Included(k) => key >= k,
        Bound::Excluded(k) => key > k,
        Bound::Unbounded => true,
    }
}

fn below(key: &Key, bound: &Bound<Key>) -> bool {
    match bound {
        Bound::Included(k) => key <= k,
        Bound::Excluded(k) => key < k,
        Bound::Unbounded => true,
    }
}

pub(super) fn verified(kind: Kind, found: Option<&(Row, u64)>) -> Result<Option<Row>> {
    found.map(|(row, sum)| row.verify(kind.name, *sum).map(|()| row.clone())).transpose()
}
