//! Typed reads and staged writes of a Scope.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::Seen;
use super::{Unit, cursor};
use crate::audit::AuditDraft;
use crate::bus::Event;
use crate::scope::Writing;
use crate::store::{Committed, Expected, Key, Kind, Query, Record, Row, Stored, Write, bury};
use crate::{Error, ErrorKind, Result, Scope};

/// Bytes up to which a body waits for its commit: larger ones would make the commits of others wait.
const STAGED: usize = 64 * 1024;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items in the stated order.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one. Opaque, bound to this list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Scope {
    pub(crate) fn unit(&self) -> Option<&Unit> {
        match &self.0.writing {
            Writing::None => None,
            Writing::Operation(unit) | Writing::Job(unit) => Some(unit),
        }
    }

    fn writable(&self) -> Result<&Unit> {
        self.unit().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                self.operation(),
                "records are written inside an operation or a job",
            )
        })
    }

    /// Counts how long the store took.
    pub(super) async fn timed<T>(
        &self,
        kind: Kind,
        op: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let done = self.0.consistency.within(work).await;
        self.hub().telemetry().queried(kind.name, op, began.elapsed());
        done
    }

    /// One record, as staged or stored.
    ///
    /// # Errors
    /// `Corrupted` when it does not match its checksum.
    pub async fn get<R: Record>(&self, id: &str) -> Result<Option<Stored<R>>> {
        let kind = Kind::of::<R>();
        let seen = self.unit().map_or(Seen::Unknown, |u| u.staged().see(kind, id));
        let row = match seen {
            Seen::Put(row) => Some(row),
            Seen::Gone => None,
            Seen::Unknown => self.timed(kind, "get", self.store().get(kind, self.workspace(), id)).await?,
        };
        row.as_ref().map(Stored::from_row).transpose()
    }

    /// One record that must be there.
    ///
    /// # Errors
    /// `NotFound` naming the kind; also for a record of another workspace.
    pub async fn need<R: Record>(&self, id: &str) -> Result<Stored<R>> {
        self.get(id).await?.ok_or_else(|| self.missing(R::KIND))
    }

    /// The error for a record that is not in this workspace.
    #[must_use]
    pub fn missing(&self, kind: &'static str) -> Error {
        Error::new(
            ErrorKind::NotFound,
            self.operation(),
            format!("there is no such {kind} in this workspace"),
        )
    }

    /// Several records in the order asked, as staged or stored.
    ///
    /// # Errors
    /// `Corrupted` when one does not match its checksum.
    pub async fn get_many<R: Record>(&self, ids: &[String]) -> Result<Vec<Option<Stored<R>>>> {
        let kind = Kind::of::<R>();
        let mut rows =
            self.timed(kind, "get_many", self.store().get_many(kind, self.workspace(), ids)).await?;
        if let Some(unit) = self.unit() {
            let staged = unit.staged();
            for (row, id) in rows.iter_mut().zip(ids) {
                match staged.see(kind, id) {
                    Seen::Put(put) => *row = Some(put),
                    Seen::Gone => *row = None,
                    Seen::Unknown => {}
                }
            }
        }
        rows.iter().map(|row| row.as_ref().map(Stored::from_row).transpose()).collect()
    }

    /// The record that holds a key of a unique index, as staged or stored.
    ///
    /// # Errors
    /// `Corrupted` when it does not match its checksum.
    pub async fn find<R: Record>(
        &self,
        index: &str,
        key: impl Into<Key> + Send,
    ) -> Result<Option<Stored<R>>> {
        Ok(self.find_many(index, &[key.into()]).await?.pop().flatten())
    }

    /// The records that hold these keys of a unique index, in the order asked, as staged or stored.
    ///
    /// # Errors
    /// `Corrupted` when one does not match its checksum.
    pub async fn find_many<R: Record>(&self, index: &str, keys: &[Key]) -> Result<Vec<Option<Stored<R>>>> {
        let kind = Kind::of::<R>();
        let n = kind.index(index)?;
        let found = self.store().find_many(kind, self.workspace(), index, keys);
        let mut rows = self.timed(kind, "find", found).await?;
        if let Some(unit) = self.unit() {
            let staged = unit.staged();
            if !staged.is_empty() {
                for (row, key) in rows.iter_mut().zip(keys) {
                    if let Some(put) = staged.see_key(kind, n, key) {
                        *row = Some(put);
                    } else if row.as_ref().is_some_and(|r| !matches!(staged.see(kind, &r.id), Seen::Unknown))
                    {
                        // The stored holder was rewritten or removed here and no longer holds the key.
                        *row = None;
                    }
                }
            }
        }
        rows.iter().map(|row| row.as_ref().map(Stored::from_row).transpose()).collect()
    }

    /// Stored records in the order of an index. What is only staged does not appear.
    ///
    /// # Errors
    /// `Corrupted` when one does not match its checksum.
    pub async fn query<R: Record>(&self, query: &Query) -> Result<Vec<Stored<R>>> {
        let kind = Kind::of::<R>();
        let rows = self.timed(kind, "query", self.store().query(kind, self.workspace(), query)).await?;
        rows.iter().map(Stored::from_row).collect()
    }

    /// How many stored records a query finds, without its limit.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn count<R: Record>(&self, query: &Query) -> Result<u64> {
        let kind = Kind::of::<R>();
        self.timed(kind, "count", self.store().count(kind, self.workspace(), query)).await
    }

    /// One page of a query. `limit` is taken from the query; `cursor` from the page before.
    ///
    /// # Errors
    /// `InvalidInput` for a cursor that was changed or belongs to another list, `PermissionDenied` for one of another
    /// workspace.
    pub async fn page<R: Record>(&self, query: Query, cursor: Option<&str>) -> Result<Page<Stored<R>>> {
        let kind = Kind::of::<R>();
        let label = cursor::label(kind, &query);
        let mut query = query;
        if let Some(cursor) = cursor {
            let (key, id) = cursor::open(self, &label, kind, query.index, cursor).await?;
            query = query.after(key, id);
        }
        let limit = query.limit.clamp(1, 500);
        query.limit = limit + 1;
        let mut rows = self.timed(kind, "query", self.store().query(kind, self.workspace(), &query)).await?;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| cursor::make(self, &label, kind, query.index, row)).transpose()?
        } else {
            None
        };
        Ok(Page { items: rows.iter().map(Stored::from_row).collect::<Result<_>>()?, next })
    }

    /// Stages a new record.
    ///
    /// # Errors
    /// `Internal` outside an operation or job; at commit `Conflict` when the id exists.
    pub fn create<R: Record>(&self, record: &R) -> Result<()> {
        self.put(record, Expected::Absent)
    }

    /// Stages a changed record; it must still have the revision it was read at.
    ///
    /// # Errors
    /// `Internal` outside an operation or job; at commit `Conflict` when it changed since.
    pub fn save<R: Record>(&self, record: &Stored<R>) -> Result<()> {
        // Revision 0 is a record staged in this very unit: the first write's expectation stands.
        let expected = if record.rev == 0 { Expected::Any } else { Expected::Rev(record.rev) };
        self.put(&record.body, expected)
    }

    /// Stages a record with an explicit expectation.
    ///
    /// # Errors
    /// `Internal` outside an operation or job.
    pub fn put<R: Record>(&self, record: &R, expected: Expected) -> Result<()> {
        let unit = self.writable()?;
        let row = Row::of(record, self.now(), self.label())?;
        unit.staged().stage(Write::Put { kind: Kind::of::<R>(), row, expected });
        Ok(())
    }

    /// Stages a row of a kind whose type this crate does not know.
    pub(crate) fn stage_row(&self, kind: Kind, row: Row, expected: Expected) -> Result<()> {
        self.writable()?.staged().stage(Write::Put { kind, row, expected });
        Ok(())
    }

    /// Stages a write of a kind whose type this crate does not know.
    pub(crate) fn stage(&self, write: Write) -> Result<()> {
        self.writable()?.staged().stage(write);
        Ok(())
    }

    /// Keeps a body that a staged record names: in the commit of that record where the engine can, else at once. Gives its
    /// SHA-256 in hex, under which [`blob`](Self::blob) finds it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn keep_blob(&self, bytes: &[u8]) -> Result<String> {
        match self.unit().filter(|_| bytes.len() <= STAGED && self.store().takes_blobs()) {
            Some(unit) => Ok(unit.staged().keep(bytes)),
            None => self.store().blob_put(bytes).await,
        }
    }

    /// The body with this SHA-256 in hex, as staged or stored.
    ///
    /// # Errors
    /// `Corrupted` when it does not match its hash.
    pub async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        match self.unit().and_then(|unit| unit.staged().kept(hash)) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.store().blob_get(hash).await,
        }
    }

    /// Stages a removal.
    ///
    /// # Errors
    /// `Internal` outside an operation or job.
    pub fn delete<R: Record>(&self, id: &str, expected: Expected) -> Result<()> {
        self.writable()?.staged().stage(Write::Delete { kind: Kind::of::<R>(), id: id.to_owned(), expected });
        Ok(())
    }

    /// Makes the commit fail with `Conflict` unless a record is as expected, without writing it.
    ///
    /// # Errors
    /// `Internal` outside an operation or job.
    pub fn expect<R: Record>(&self, id: &str, expected: Expected) -> Result<()> {
        self.writable()?.staged().stage(Write::Check { kind: Kind::of::<R>(), id: id.to_owned(), expected });
        Ok(())
    }

    /// Adds an event to the commit.
    ///
    /// # Errors
    /// `Internal` outside an operation or job.
    pub fn emit(&self, event: Event) -> Result<()> {
        if event.depth > crate::bus::MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Blocked,
                self.operation(),
                "events cause each other without end: break the loop in the subscribers",
            )
            .with_code("loop_guard")
            .with_context("type", event.kind));
        }
        self.writable()?.staged().events.push(event);
        Ok(())
    }

    /// Names the record this operation is about, for the audit row the door writes.
    pub fn concern(&self, kind: &str, id: &str) {
        if let Some(unit) = self.unit() {
            unit.staged().concern = Some((kind.to_owned(), id.to_owned()));
        }
    }

    /// Adds an audit row beyond the one the door writes.
    ///
    /// # Errors
    /// `Internal` outside an operation or job.
    pub fn note(&self, draft: AuditDraft) -> Result<()> {
        self.writable()?.staged().audit.push(draft);
        Ok(())
    }

    /// Commits what a job handler staged so far. The job's lease is checked in the same commit.
    ///
    /// # Errors
    /// `Conflict` when the lease or a record changed; `Internal` inside an operation, which commits at its end.
    pub async fn flush(&self) -> Result<Committed> {
        let Writing::Job(unit) = &self.0.writing else {
            return Err(Error::new(
                ErrorKind::Internal,
                self.operation(),
                "only job handlers flush; operations commit at their end",
            ));
        };
        commit(self, unit).await.map_err(|error| {
            let of = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
            let target = of("kind").zip(of("id"));
            match target {
                Some((kind, id)) if unit.staged().stands_on(&kind, &id) => error.with_code("lease_lost"),
                _ => error,
            }
        })
    }
}

/// Commits a unit of work. When more would go with a removed record than one commit takes, the record goes and a job
/// removes the rest.
pub(crate) async fn commit(cx: &Scope, unit: &Unit) -> Result<Committed> {
    let family = cx.hub().family();
    let copy = {
        let staged = unit.staged();
        staged.removes(family).then(|| staged.copy())
    };
    let done = commit_once(cx, unit).await;
    match (done, copy) {
        (Err(error), Some(copy)) if error.code() == "cascade_too_large" => {
            let of = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
            let (kind, id) = (of("kind").unwrap_or_default(), of("id").unwrap_or_default());
            let large = {
                let mut staged = unit.staged();
                staged.put_back(copy);
                staged.removals_from(family, &kind, &id)
            };
            bury(cx, &large)?;
            commit_once(cx, unit).await
        }
        (done, _) => done,
    }
}

/// One try: events first, so that they stand in the same batch.
async fn commit_once(cx: &Scope, unit: &Unit) -> Result<Committed> {
    let (batch, events, rings, moves) = {
        let mut staged = unit.staged();
        let events = std::mem::take(&mut staged.events);
        for event in &events {
            let row = Row::of(event, cx.now(), cx.label())?;
            staged.stage(Write::Put { kind: Kind::of::<Event>(), row, expected: Expected::Absent });
        }
        let rings = std::mem::take(&mut staged.rings);
        let moves = staged.moves_control();
        let batch = staged.drain(cx.workspace(), cx.now())?;
        (batch, events, rings, moves)
    };
    if batch.is_empty() {
        return Ok(Committed { seq: 0 });
    }
    let audited = batch.links.len();
    let began = Instant::now();
    let done = cx.store().commit(batch).await;
    cx.hub().telemetry().queried("commit", "commit", began.elapsed());
    if moves {
        // Also after a failure whose outcome is unknown: reading once too often costs nothing.
        cx.hub().control().move_on();
    }
    let done = done?;
    if audited > 0 {
        crate::audit::checkpoint(cx, audited).await;
    }
    cx.hub().committed(cx.workspace(), done.seq, events.len(), &rings);
    Ok(done)
}
