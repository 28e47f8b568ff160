//! The unit of work: what an operation stages until the door commits it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::AuditDraft;
use crate::bus::Event;
use crate::store::{Batch, Blob, Durability, Expected, Family, Kind, Row, Write, blob_hash};
use crate::tenancy::WorkspaceId;
use crate::{Result, Timestamp};

/// Staged writes, events and audit rows of one commit.
#[derive(Debug, Default)]
pub(crate) struct Unit(Mutex<Staged>);

#[derive(Debug, Default)]
pub(crate) struct Staged {
    writes: Vec<Write>,
    places: HashMap<(&'static str, String), usize>,
    pub(crate) events: Vec<Event>,
    pub(crate) audit: Vec<AuditDraft>,
    /// Checks that are repeated in every commit of a job: its lease.
    standing: Vec<Write>,
    blobs: Vec<Blob>,
    /// What the operation is about, for the audit row the door writes.
    pub(crate) concern: Option<(String, String)>,
    /// Queues whose workers look once this is committed.
    pub(crate) rings: Vec<String>,
    /// When the next commit must be safe.
    pub(crate) durability: Durability,
    /// The job enqueued last: jobs of one commit keep their order.
    pub(crate) last_job: Option<String>,
}

/// A copy of what was staged.
pub(crate) struct Copied {
    writes: Vec<Write>,
    events: Vec<Event>,
    audit: Vec<AuditDraft>,
    blobs: Vec<Blob>,
    rings: Vec<String>,
}

/// What the unit of work knows of a record.
pub(crate) enum Seen {
    /// Nothing: ask the store.
    Unknown,
    /// It was removed.
    Gone,
    /// It was written; the revision is the one it was read at.
    Put(Row),
}

impl Unit {
    pub(crate) fn staged(&self) -> MutexGuard<'_, Staged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staged {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Adds a write. A second write to the same record replaces the first and keeps what that expected.
    pub(crate) fn stage(&mut self, write: Write) {
        let (kind, id, _) = write.target();
        let place = (kind.name, id.to_owned());
        let Some(slot) = self.places.get(&place).and_then(|n| self.writes.get_mut(*n)) else {
            self.places.insert(place, self.writes.len());
            self.writes.push(write);
            return;
        };
        let first = slot.target().2;
        *slot = match (write, &*slot) {
            (check @ Write::Check { .. }, Write::Check { .. }) => check,
            (Write::Check { .. }, _) => return,
            (Write::Put { kind, row, expected }, old) => {
                let expected = if matches!(old, Write::Check { .. }) && first == Expected::Any {
                    expected
                } else {
                    first
                };
                Write::Put { kind, row, expected }
            }
            (Write::Delete { kind, id, .. }, Write::Put { expected: Expected::Absent, .. }) => {
                // Created and removed in one unit: only that it was absent remains to be checked.
                Write::Check { kind, id, expected: Expected::Absent }
            }
            (Write::Delete { kind, id, .. }, _) => Write::Delete { kind, id, expected: first },
        };
    }

    /// Adds a body that a write names. Gives its name.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> String {
        let hash = blob_hash(bytes);
        if self.blobs.iter().all(|blob| blob.hash != hash) {
            self.blobs.push(Blob { hash: hash.clone(), bytes: bytes.to_vec() });
        }
        hash
    }

    /// A body that was added.
    pub(crate) fn kept(&self, hash: &str) -> Option<Vec<u8>> {
        self.blobs.iter().find(|blob| blob.hash == hash).map(|blob| blob.bytes.clone())
    }

    pub(crate) fn see(&self, kind: Kind, id: &str) -> Seen {
        // A lookup without allocating would need a borrowed pair; units are small and this is not the hot path.
        match self.places.get(&(kind.name, id.to_owned())).and_then(|n| self.writes.get(*n)) {
            Some(Write::Put { row, expected, .. }) => {
                let mut row = row.clone();
                row.rev = if let Expected::Rev(rev) = expected { *rev } else { 0 };
                Seen::Put(row)
            }
            Some(Write::Delete { .. }) => Seen::Gone,
            Some(Write::Check { .. }) | None => Seen::Unknown,
        }
    }

    /// A staged record that holds this key of a unique index.
    pub(crate) fn see_key(&self, kind: Kind, index: usize, key: &crate::store::Key) -> Option<Row> {
        self.writes.iter().find_map(|write| match write {
            Write::Put { kind: k, row, expected } if k.name == kind.name => {
                let holds = row.keys.get(index).and_then(Option::as_ref) == Some(key);
                holds.then(|| {
                    let mut row = row.clone();
                    row.rev = if let Expected::Rev(rev) = expected { *rev } else { 0 };
                    row
                })
            }
            _ => None,
        })
    }

    /// The staged body of a record, of any kind with this name.
    pub(crate) fn body_of(&self, kind: &str, id: &str) -> Option<&str> {
        self.writes.iter().rev().find_map(|write| match write {
            Write::Put { kind: k, row, .. } if k.name == kind && row.id == id => Some(row.body.as_str()),
            _ => None,
        })
    }

    /// True when the commit changes what the door keeps in memory.
    pub(crate) fn moves_control(&self) -> bool {
        let is_written = |w: &Write| !matches!(w, Write::Check { .. });
        self.writes.iter().any(|w| is_written(w) && crate::hub::Control::concerns(w.target().0.name))
    }

    /// Takes everything out as one batch.
    pub(crate) fn drain(&mut self, workspace: &WorkspaceId, at: Timestamp) -> Result<Batch> {
        let mut batch = Batch::new(workspace.clone(), at);
        batch.durability = std::mem::take(&mut self.durability);
        let writes = std::mem::take(&mut self.writes);
        self.places.clear();
        if !writes.is_empty() {
            batch.writes.extend(self.standing.iter().cloned());
        }
        batch.writes.extend(writes);
        batch.blobs = std::mem::take(&mut self.blobs);
        for draft in std::mem::take(&mut self.audit) {
            batch.links.push(draft.into_link(workspace)?);
        }
        Ok(batch)
    }

    /// True when nothing at all would be committed.
    pub(crate) fn is_bare(&self) -> bool {
        let writes_nothing = self.writes.is_empty() && self.events.is_empty() && self.audit.is_empty();
        writes_nothing && self.rings.is_empty() && self.blobs.is_empty()
    }

    /// True when the checks of this unit cover a record.
    pub(crate) fn stands_on(&self, kind: &str, id: &str) -> bool {
        self.standing.iter().map(Write::target).any(|(k, i, _)| k.name == kind && i == id)
    }

    /// What is staged, to be put back when the commit lost a race.
    pub(crate) fn copy(&self) -> Copied {
        Copied {
            writes: self.writes.clone(),
            events: self.events.clone(),
            audit: self.audit.clone(),
            blobs: self.blobs.clone(),
            rings: self.rings.clone(),
        }
    }

    /// The removals from the one of this record on, of kinds that others refer to.
    pub(crate) fn removals_from(&self, family: &Family, kind: &str, id: &str) -> Vec<(&'static str, String)> {
        let removals = self.writes.iter().filter_map(|w| match w {
            Write::Delete { kind, id, .. } if !family.children(kind.name).is_empty() => {
                Some((kind.name, id.clone()))
            }
            _ => None,
        });
        // The engine works them out in this order.
        let mut removals: Vec<_> = removals.collect();
        removals.sort();
        removals.into_iter().skip_while(|(k, i)| (*k, i.as_str()) != (kind, id)).collect()
    }

    /// True when something is removed that others may refer to.
    pub(crate) fn removes(&self, family: &Family) -> bool {
        let is_one =
            |w: &Write| matches!(w, Write::Delete { kind, .. } if !family.children(kind.name).is_empty());
        self.writes.iter().any(is_one)
    }

    /// Stages again what was copied.
    pub(crate) fn put_back(&mut self, copied: Copied) {
        *self = Staged { standing: std::mem::take(&mut self.standing), ..Staged::default() };
        copied.writes.into_iter().for_each(|write| self.stage(write));
        (self.events, self.audit, self.rings) = (copied.events, copied.audit, copied.rings);
        self.blobs = copied.blobs;
    }

    /// Standing checks after a commit that wrote the checked records themselves.
    pub(crate) fn replace_standing(&mut self, checks: Vec<Write>) {
        self.standing = checks;
    }
}
