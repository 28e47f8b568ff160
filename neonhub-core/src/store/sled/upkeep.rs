//! Kinds, blobs, the walk over everything, and loading.

use std::collections::HashMap;

use sled_db::{Batch as Writes, Db, IVec};

use super::super::transfer::{self, hash_bytes, undeclared};
use super::super::{Damage, Figures, Item, Key, Kind, KindFigures, grow, pack};
use super::entry::{self, Stored};
use super::{described, failed};
use crate::tenancy::WorkspaceId;
use crate::{Clock as _, Error, ErrorKind, Result, SystemClock, Timestamp};

/// Version of the layout of the tree. From 2 on blobs may be compressed, which older builds take for damage.
const VERSION: u8 = 2;

pub(super) fn check_version(db: &Db) -> Result<()> {
    let fail = |e| failed("hub.open", e);
    let found = db.get(b"m").map_err(fail)?.and_then(|v| v.first().copied());
    match found {
        None if db.is_empty() => db.insert(b"m", &[VERSION]).map(drop).map_err(fail),
        Some(found) if found > VERSION => Err(Error::new(
            ErrorKind::Config,
            "hub.open",
            format!("the store has version {found}, this build reads up to {VERSION}: use a newer neonhub"),
        )),
        Some(VERSION) => Ok(()),
        Some(_) => db.insert(b"m", &[VERSION]).map(drop).map_err(fail),
        None => Err(Error::new(
            ErrorKind::Corrupted,
            "hub.open",
            "this is another program's folder, not a neonhub store: choose another one",
        )),
    }
}

/// Version of the folder, and of this build.
pub(super) fn version(db: &Db) -> Result<(u32, u32)> {
    let found = db.get(b"m").map_err(|e| failed("store.migrate", e))?.and_then(|v| v.first().copied());
    Ok((found.map_or(0, u32::from), u32::from(VERSION)))
}

fn entries(db: &Db, prefix: &[u8]) -> impl Iterator<Item = Result<(IVec, IVec)>> + use<> {
    db.scan_prefix(prefix).map(|found| found.map_err(|e| failed("store.scan", e)))
}

fn item(bytes: &[u8]) -> Result<Item> {
    serde_json::from_slice(bytes)
        .map_err(|_| Error::new(ErrorKind::Corrupted, "store.scan", "an entry of the store is damaged"))
}

fn kinds(db: &Db) -> Result<Vec<Item>> {
    entries(db, b"k").map(|found| item(&found?.1)).collect()
}

/// Notes kinds that the folder does not know yet.
pub(super) fn declare(db: &Db, wanted: &[Kind]) -> Result<()> {
    let known: Vec<Kind> = kinds(db)?.iter().filter_map(described).collect();
    for kind in wanted {
        match known.iter().find(|k| k.name == kind.name) {
            Some(found) if found.indexes != kind.indexes => add_indexes(db, kind, found)?,
            Some(_) => {}
            None => note(db, kind)?,
        }
    }
    Ok(())
}

fn note(db: &Db, kind: &Kind) -> Result<()> {
    let indexes = transfer::index_words(kind);
    let line = Item::Kind { name: kind.name.to_owned(), schema: kind.schema, indexes };
    let key = [b"k", kind.name.as_bytes()].concat();
    db.insert(key, entry::json(&line)?).map(drop).map_err(|e| failed("store.declare", e))
}

/// Takes the records into the indexes that the folder lacks. The line of the kind comes last: after a crash all of it is
/// done once more, which changes nothing that was done already.
///
/// # Errors
/// `Config` when the folder has others than this build declares.
fn add_indexes(db: &Db, kind: &Kind, found: &Kind) -> Result<()> {
    let old = transfer::index_words(found);
    if grow::added(kind, old.iter().map(String::as_str)).is_none() {
        return Err(Error::new(
            ErrorKind::Config,
            "store.declare",
            "the store has other indexes for this kind than this build declares",
        )
        .with_context("kind", kind.name)
        .with_context("store", old.join(" "))
        .with_context("build", transfer::index_words(kind).join(" ")));
    }
    refuse_twins(db, kind, old.len())?;
    for record in entries(db, &[b"r", kind.name.as_bytes(), b"\0"].concat()) {
        let (place, bytes) = record?;
        let Ok(mut stored) = Stored::read(kind.name, "", &bytes) else { continue };
        let keys = grow::keys(kind, &stored.record.id, &stored.record.body);
        let mut writes = Writes::default();
        for (n, key) in keys.iter().enumerate().skip(old.len()) {
            if let Some(key) = key {
                let at = entry::index_entry(kind.name, n, &stored.record.workspace, key, &stored.record.id);
                writes.insert(at, stored.record.id.as_bytes());
            }
        }
        let new = keys.iter().skip(old.len()).map(|k| k.as_ref().map(|k| crate::store_hex(k.as_bytes())));
        stored.record.keys.truncate(old.len());
        stored.record.keys.extend(new);
        writes.insert(place, stored.write()?);
        db.apply_batch(writes).map_err(|e| failed("store.migrate", e))?;
    }
    note(db, kind)
}

/// Indexes that are to be unique must be so over the records that are there.
fn refuse_twins(db: &Db, kind: &Kind, old: usize) -> Result<()> {
    let unique: Vec<usize> =
        kind.indexes.iter().enumerate().skip(old).filter(|(_, i)| i.unique).map(|(n, _)| n).collect();
    if unique.is_empty() {
        return Ok(());
    }
    let mut holders: HashMap<(WorkspaceId, usize, Key), String> = HashMap::new();
    for record in entries(db, &[b"r", kind.name.as_bytes(), b"\0"].concat()) {
        let Ok(stored) = Stored::read(kind.name, "", &record?.1) else { continue };
        let keys = grow::keys(kind, &stored.record.id, &stored.record.body);
        for n in &unique {
            let Some(key) = keys.get(*n).cloned().flatten() else { continue };
            let place = (stored.record.workspace.clone(), *n, key);
            if let Some(other) = holders.insert(place, stored.record.id.clone()) {
                let index = kind.indexes.get(*n).map_or("", |i| i.name);
                return Err(grow::shared_value(kind, index, &other, &stored.record.id));
            }
        }
    }
    Ok(())
}

fn blob_key(hash: &str) -> Vec<u8> {
    [b"b", hash.as_bytes()].concat()
}

/// Keeps a blob, or notes that it was put again.
pub(super) fn put_blob(db: &Db, hash: &str, bytes: Vec<u8>) -> Result<()> {
    let fail = |e| failed("store.blob_put", e);
    let mut value = SystemClock.now().as_millis().to_be_bytes().to_vec();
    match db.get(blob_key(hash)).map_err(fail)? {
        Some(known) => value.extend(split(&known).1),
        None => value.extend(pack::pack(bytes)),
    }
    db.insert(blob_key(hash), value).map(drop).map_err(fail)
}

/// When a blob was last put, and its bytes.
fn split(value: &[u8]) -> (Timestamp, &[u8]) {
    let (at, bytes) = value.split_at_checked(8).unwrap_or((&[], value));
    let at = <[u8; 8]>::try_from(at).map_or(0, i64::from_be_bytes);
    (Timestamp::from_millis(at), bytes)
}

pub(super) fn blob(db: &Db, hash: &str) -> Result<Option<Vec<u8>>> {
    let Some(value) = db.get(blob_key(hash)).map_err(|e| failed("store.blob_get", e))? else {
        return Ok(None);
    };
    pack::unpack(hash, split(&value).1.to_vec()).map(Some)
}

pub(super) fn delete_blobs(db: &Db, hashes: &[String], before: Timestamp) -> Result<u64> {
    let fail = |e| failed("store.blob_delete", e);
    let mut gone = 0;
    for hash in hashes {
        let found = db.get(blob_key(hash)).map_err(fail)?;
        if found.is_some_and(|value| split(&value).0 < before) {
            db.remove(blob_key(hash)).map_err(fail)?;
            gone += 1;
        }
    }
    Ok(gone)
}

pub(super) fn trim_feed(db: &Db, through: u64) -> Result<u64> {
    let last = super::last_seq(db)?;
    let mut writes = Writes::default();
    let mut gone = 0;
    for found in entries(db, b"f") {
        let (key, _) = found?;
        let seq = entry::seq_of(&key);
        if seq > through || seq >= last {
            break;
        }
        writes.remove(key);
        gone += 1;
    }
    db.apply_batch(writes).map_err(|e| failed("store.trim_feed", e))?;
    Ok(gone)
}

pub(super) fn check(db: &Db) -> Result<Vec<Damage>> {
    let mut damage = Vec::new();
    for kind in kinds(db)?.iter().filter_map(described) {
        for found in entries(db, &[b"r", kind.name.as_bytes(), b"\0"].concat()) {
            let (key, value) = found?;
            let id = key.get(kind.name.len() + 2 + WORKSPACE..).unwrap_or_default();
            let id = String::from_utf8_lossy(id).into_owned();
            if let Err(error) = Stored::read(kind.name, &id, &value).and_then(|s| s.verified(kind.name)) {
                damage.push(Damage { kind: kind.name.into(), id, problem: error.message().to_owned() });
            }
        }
    }
    for found in entries(db, b"b") {
        let (key, value) = found?;
        let hash = entry::text(key.get(1..).unwrap_or_default())?;
        if let Err(error) = pack::unpack(&hash, split(&value).1.to_vec()) {
            damage.push(Damage { kind: "_blob".into(), id: hash, problem: error.message().to_owned() });
        }
    }
    let mut next = None;
    for found in entries(db, b"f") {
        let seq = entry::seq_of(&found?.0);
        if next.is_some_and(|next| next != seq) {
            let problem = "the feed has a gap before this position".into();
            damage.push(Damage { kind: "_feed".into(), id: seq.to_string(), problem });
        }
        next = Some(seq + 1);
    }
    Ok(damage)
}

/// Bytes of a workspace id: the prefix, `_`, and 26 characters.
const WORKSPACE: usize = WorkspaceId::PREFIX.len() + 27;

pub(super) fn figures(db: &Db) -> Result<Figures> {
    let disk_bytes = db.size_on_disk().map_err(|e| failed("store.stats", e))?;
    let mut out = Figures { disk_bytes, ..Figures::default() };
    for kind in kinds(db)?.iter().filter_map(described) {
        let mut line = KindFigures { kind: kind.name.to_owned(), records: 0, bytes: 0 };
        for found in entries(db, &[b"r", kind.name.as_bytes(), b"\0"].concat()) {
            line.records += 1;
            line.bytes += Stored::read(kind.name, "", &found?.1)?.record.body.len() as u64;
        }
        out.kinds.push(line);
    }
    for found in entries(db, b"f") {
        let seq = entry::seq_of(&found?.0);
        out.feed_length += 1;
        out.feed_oldest = if out.feed_oldest == 0 { seq } else { out.feed_oldest };
    }
    for found in entries(db, b"b") {
        out.blobs += 1;
        out.blob_bytes += split(&found?.1).1.len() as u64;
    }
    Ok(out)
}

/// Everything, in the order of a snapshot.
pub(super) fn everything(db: &Db) -> Result<(u64, Vec<Item>)> {
    let mut out = kinds(db)?;
    for kind in out.clone().iter().filter_map(described) {
        for found in entries(db, &[b"r", kind.name.as_bytes(), b"\0"].concat()) {
            let stored = Stored::read(kind.name, "", &found?.1)?;
            let record = stored.record.clone();
            stored.verified(kind.name)?;
            out.push(Item::Record(record));
        }
    }
    for found in entries(db, b"c") {
        let (key, value) = found?;
        let name = entry::text(key.get(1..).unwrap_or_default())?;
        let (workspace, chain) = name.split_at_checked(WORKSPACE).unwrap_or((&name, ""));
        let (seq, hash) = entry::read_head(&value)?;
        out.push(Item::Chain {
            workspace: WorkspaceId::try_from(workspace.to_owned())?,
            chain: chain.to_owned(),
            seq,
            hash: crate::store_hex(&hash),
        });
    }
    for found in entries(db, b"b") {
        let (key, value) = found?;
        let hash = entry::text(key.get(1..).unwrap_or_default())?;
        out.push(Item::Blob { hash, bytes: split(&value).1.to_vec() });
    }
    for found in entries(db, b"f") {
        out.push(item(&found?.1)?);
    }
    Ok((super::last_seq(db)?, out))
}

pub(super) fn load(db: &Db, items: Vec<Item>) -> Result<()> {
    let new: Vec<Kind> = items.iter().filter_map(described).collect();
    declare(db, &new)?;
    let known: Vec<Kind> = kinds(db)?.iter().filter_map(described).collect();
    let mut writes = Writes::default();
    for item in items {
        match item {
            Item::Kind { .. } => {}
            Item::Gone { workspace, kind, id } => {
                let kind = known.iter().find(|k| k.name == kind).ok_or_else(|| undeclared(&kind))?;
                super::remove(db, *kind, &workspace, &id, &mut writes)?;
            }
            Item::Record(record) => {
                let (ws, name) = (record.workspace.clone(), record.kind.clone());
                let kind = known.iter().find(|k| k.name == name).ok_or_else(|| undeclared(&name))?;
                super::insert(kind.name, &ws, record.into_row()?, &mut writes)?;
            }
            Item::Chain { workspace, chain, seq, hash } => {
                writes.insert(entry::chain_key(&workspace, &chain), entry::head(&(seq, hash_bytes(&hash)?)));
            }
            Item::Blob { hash, bytes } => put_blob(db, &hash, pack::unpack(&hash, bytes)?)?,
            Item::Feed { seq, .. } => writes.insert(entry::feed_key(seq), entry::json(&item)?),
        }
    }
    db.apply_batch(writes).map_err(|e| failed("store.load", e))
}
