//! The memory engine: for tests and throw-away work. Nothing survives the process.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::batch::{self, next_rev};
use super::grow;
use super::transfer::{self, Taken};
use super::{
    Batch, Change, ChangeOp, Committed, Damage, FeedEntry, Figures, Item, Key, Kind, KindFigures, Order,
    Query, RecordItem, Row, Snapshot, Store, StoreCaps, Write,
};
use crate::tenancy::WorkspaceId;
use crate::{Clock as _, Error, ErrorKind, Result, SystemClock, Timestamp};

type Place = (WorkspaceId, String);

#[derive(Debug, Default)]
struct Table {
    kind: Option<Kind>,
    rows: BTreeMap<Place, (Row, u64)>,
    /// Per declared index: (workspace, key, id).
    indexes: Vec<BTreeSet<(WorkspaceId, Key, String)>>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<&'static str, Table>,
    chains: BTreeMap<(WorkspaceId, &'static str), (u64, [u8; 32])>,
    feed: VecDeque<FeedEntry>,
    seq: u64,
    blobs: BTreeMap<String, (Vec<u8>, Timestamp)>,
    closed: bool,
}

/// A store that lives in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    seq: watch::Sender<u64>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore { state: Mutex::default(), seq: watch::channel(0).0 }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "store",
                "the store is closed: open the hub again",
            ));
        }
        Ok(state)
    }
}

impl State {
    fn table(&mut self, kind: Kind) -> &mut Table {
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

    /// Applies one write and says how to take it back.
    fn apply(&mut self, workspace: &WorkspaceId, write: Write) -> Result<Option<(Change, Option<Row>)>> {
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
    fn items(&self) -> impl Iterator<Item = Item> + '_ {
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
        let blobs = self.blobs.iter().map(|(hash, (bytes, _))| transfer::blob_item(hash.clone(), bytes));
        kinds.chain(records).chain(chains).chain(blobs).chain(self.feed.iter().map(transfer::feed_item))
    }

    fn load(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Kind { name, schema, indexes } => {
                self.table(transfer::kind_of(&name, schema, &indexes));
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
            Item::Blob { hash, data } => {
                let bytes = transfer::blob_bytes(&hash, &data)?;
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

    fn take(&mut self, place: &Place) -> Option<Row> {
        let (row, _) = self.rows.remove(place)?;
        for (index, key) in self.indexes.iter_mut().zip(&row.keys) {
            if let Some(key) = key {
                index.remove(&(place.0.clone(), key.clone(), place.1.clone()));
            }
        }
        Some(row)
    }

    fn insert(&mut self, place: Place, row: Row, sum: u64) {
        for (index, key) in self.indexes.iter_mut().zip(&row.keys) {
            if let Some(key) = key {
                index.insert((place.0.clone(), key.clone(), place.1.clone()));
            }
        }
        self.rows.insert(place, (row, sum));
    }

    fn holder(&self, index: usize, workspace: &WorkspaceId, key: &Key) -> Option<&str> {
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

    fn matching(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<&(Row, u64)>> {
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

fn verified(kind: Kind, found: Option<&(Row, u64)>) -> Result<Option<Row>> {
    found.map(|(row, sum)| row.verify(kind.name, *sum).map(|()| row.clone())).transpose()
}

#[async_trait]
impl Store for MemoryStore {
    fn caps(&self) -> StoreCaps {
        StoreCaps { durable: false, shared: false, engine: "memory" }
    }

    async fn declare(&self, kinds: &[Kind]) -> Result<()> {
        let mut state = self.state()?;
        for kind in kinds {
            state.table(*kind);
        }
        Ok(())
    }

    async fn get(&self, kind: Kind, workspace: &WorkspaceId, id: &str) -> Result<Option<Row>> {
        let state = self.state()?;
        let found = state.tables.get(kind.name).and_then(|t| t.rows.get(&(workspace.clone(), id.to_owned())));
        verified(kind, found)
    }

    async fn get_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<Option<Row>>> {
        let state = self.state()?;
        let table = state.tables.get(kind.name);
        ids.iter()
            .map(|id| verified(kind, table.and_then(|t| t.rows.get(&(workspace.clone(), id.clone())))))
            .collect()
    }

    async fn find_many(
        &self,
        kind: Kind,
        workspace: &WorkspaceId,
        index: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>> {
        let n = kind.index(index)?;
        let state = self.state()?;
        let Some(table) = state.tables.get(kind.name) else { return Ok(vec![None; keys.len()]) };
        keys.iter()
            .map(|key| {
                let id = table.holder(n, workspace, key);
                verified(kind, id.and_then(|id| table.rows.get(&(workspace.clone(), id.to_owned()))))
            })
            .collect()
    }

    async fn query(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<Vec<Row>> {
        let state = self.state()?;
        let Some(table) = state.tables.get(kind.name) else { return Ok(Vec::new()) };
        table
            .matching(kind, workspace, query)?
            .into_iter()
            .take(query.limit)
            .map(|(row, sum)| row.verify(kind.name, *sum).map(|()| row.clone()))
            .collect()
    }

    async fn count(&self, kind: Kind, workspace: &WorkspaceId, query: &Query) -> Result<u64> {
        let state = self.state()?;
        let Some(table) = state.tables.get(kind.name) else { return Ok(0) };
        Ok(table.matching(kind, workspace, query)?.len() as u64)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let mut state = self.state()?;
        let workspace = batch.workspace;
        let mut done: Vec<(Kind, Change, Option<Row>)> = Vec::new();
        let mut heads = HashMap::new();
        let mut outcome = Ok(());
        for write in batch.writes {
            let kind = *write.target().0;
            match state.apply(&workspace, write) {
                Ok(Some((change, old))) => done.push((kind, change, old)),
                Ok(None) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for link in batch.links {
            if outcome.is_err() {
                break;
            }
            let at = (workspace.clone(), link.chain);
            let head = heads.get(&at).or_else(|| state.chains.get(&at)).copied();
            let (seq, prev) = head.unwrap_or((0, link.genesis));
            let linked = (link.forge)(seq + 1, prev).and_then(|(row, hash)| {
                let write = Write::Put { kind: link.kind, row, expected: super::Expected::Absent };
                state.apply(&workspace, write).map(|change| (change, hash))
            });
            match linked {
                Ok((change, hash)) => {
                    done.extend(change.map(|(c, old)| (link.kind, c, old)));
                    heads.insert(at, (seq + 1, hash));
                }
                Err(error) => outcome = Err(error),
            }
        }
        if let Err(error) = outcome {
            for (kind, change, old) in done.into_iter().rev() {
                let place = (workspace.clone(), change.id);
                let table = state.table(kind);
                table.take(&place);
                if let Some(row) = old {
                    let sum = row.checksum(kind.name);
                    table.insert(place, row, sum);
                }
            }
            return Err(error);
        }
        state.chains.extend(heads);
        if done.is_empty() {
            return Ok(Committed { seq: 0 });
        }
        state.seq += 1;
        let seq = state.seq;
        let changes = done.into_iter().map(|(_, change, _)| change).collect();
        state.feed.push_back(FeedEntry { seq, workspace, at: batch.at, changes });
        drop(state);
        self.seq.send_replace(seq);
        Ok(Committed { seq })
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<FeedEntry>> {
        let state = self.state()?;
        let Some(oldest) = state.feed.front().map(|e| e.seq) else { return Ok(Vec::new()) };
        if after.saturating_add(1) < oldest {
            return Err(transfer::cursor_expired(after, oldest));
        }
        let skip = usize::try_from(after.saturating_add(1) - oldest).unwrap_or(usize::MAX);
        Ok(state.feed.iter().skip(skip).take(limit).cloned().collect())
    }

    async fn seq(&self) -> Result<u64> {
        Ok(self.state()?.seq)
    }

    async fn blob_put(&self, bytes: &[u8]) -> Result<String> {
        let hash = blob_hash(bytes);
        let now = SystemClock.now();
        self.state()?.blobs.entry(hash.clone()).or_insert_with(|| (bytes.to_vec(), now)).1 = now;
        Ok(hash)
    }

    async fn blob_get(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state()?.blobs.get(hash).map(|(bytes, _)| bytes.clone()))
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    async fn check(&self) -> Result<Vec<Damage>> {
        let state = self.state()?;
        let mut damage = Vec::new();
        for (kind, table) in &state.tables {
            for (row, sum) in table.rows.values() {
                if let Err(error) = row.verify(kind, *sum) {
                    damage.push(Damage {
                        kind: (*kind).to_owned(),
                        id: row.id.clone(),
                        problem: error.message().to_owned(),
                    });
                }
            }
        }
        Ok(damage)
    }

    async fn figures(&self) -> Result<Figures> {
        let state = self.state()?;
        let kinds = state.tables.iter().map(|(name, table)| KindFigures {
            kind: (*name).to_owned(),
            records: table.rows.len() as u64,
            bytes: table.rows.values().map(|(row, _)| row.body.len() as u64).sum(),
        });
        Ok(Figures {
            kinds: kinds.collect(),
            feed_length: state.feed.len() as u64,
            feed_oldest: state.feed.front().map_or(0, |e| e.seq),
            blobs: state.blobs.len() as u64,
            blob_bytes: state.blobs.values().map(|(bytes, _)| bytes.len() as u64).sum(),
            disk_bytes: 0,
        })
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let state = self.state()?;
        let items: Vec<Item> = state.items().collect();
        Ok(Box::new(Taken { seq: state.seq, items: items.into_iter() }))
    }

    async fn load(&self, items: Vec<Item>) -> Result<()> {
        let mut state = self.state()?;
        for item in items {
            state.load(item)?;
        }
        let seq = state.seq;
        drop(state);
        self.seq.send_replace(seq);
        Ok(())
    }

    async fn trim_feed(&self, through: u64) -> Result<u64> {
        let mut state = self.state()?;
        let before = state.feed.len();
        while state.feed.len() > 1 && state.feed.front().is_some_and(|e| e.seq <= through) {
            state.feed.pop_front();
        }
        Ok((before - state.feed.len()) as u64)
    }

    async fn blob_delete(&self, hashes: &[String], before: Timestamp) -> Result<u64> {
        let mut state = self.state()?;
        let mut gone = 0;
        for hash in hashes {
            if state.blobs.get(hash).is_some_and(|(_, at)| *at < before) {
                state.blobs.remove(hash);
                gone += 1;
            }
        }
        Ok(gone)
    }

    async fn compact(&self) -> Result<(u64, u64)> {
        self.state().map(|_| (0, 0))
    }

    async fn close(&self) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

/// The name of a blob: its SHA-256 in hex.
pub(super) fn blob_hash(bytes: &[u8]) -> String {
    crate::store_hex(&Sha256::digest(bytes))
}
