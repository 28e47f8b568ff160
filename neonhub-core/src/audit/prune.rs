//! Letting go of entries that are old enough, without breaking the chain.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, Checkpoint, id_of};
use crate::permission::Permission;
use crate::store::{Batch, Expected, Key, Kind, Query, Record, Row, Write};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// How long entries are kept. Our choice: the longest common period for business records.
pub const KEEP_YEARS: u32 = 7;

/// Entries of one commit.
const PAGE: usize = 500;
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Where the chain begins after its beginning was let go: always at a checkpoint, so that an anchor vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFloor {
    id: String,
    /// Last entry that was let go.
    pub seq: u64,
    /// Its hash, hex.
    pub hash: String,
}

impl AuditFloor {
    pub(super) const ID: &'static str = "floor";
}

impl Record for AuditFloor {
    const KIND: &'static str = "audit_floor";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Tells of privacy and legal cases, for as long as which the audit log of a workspace is kept whole. For hosts and crates
/// that keep such cases; without one there are none.
#[async_trait]
pub trait AuditHold: Debug + Send + Sync + 'static {
    /// The beginning of the oldest case of this workspace that is open; none: no case is.
    ///
    /// # Errors
    /// Whatever kept it from knowing: nothing is let go then.
    async fn open_since(&self, cx: &Scope) -> Result<Option<Timestamp>>;
}

impl Scope {
    /// Lets go of entries that are older than seven years, up to the last checkpoint before that. `open_since` is the
    /// beginning of the oldest open privacy or legal case: nothing of its time is let go. Gives how many went. The job
    /// that removes old records does it every day.
    ///
    /// # Errors
    /// `PermissionDenied` without `own:organization`; `Corrupted` when the entry of that checkpoint is not the anchored one;
    /// what the store and the anchor answer.
    pub async fn prune_audit(&self, open_since: Option<Timestamp>) -> Result<u64> {
        self.require(Permission::OwnOrganization)?;
        prune(self, open_since).await
    }
}

/// The daily pruning of a workspace, within the bounds of open cases.
///
/// # Errors
/// As [`Scope::prune_audit`], and what the hold answers.
pub(crate) async fn prune_daily(cx: &Scope) -> Result<u64> {
    let open_since = match cx.hub().audit_hold() {
        Some(hold) => hold.open_since(cx).await?,
        None => None,
    };
    prune(cx, open_since).await
}

async fn prune(cx: &Scope, open_since: Option<Timestamp>) -> Result<u64> {
    let limit = cx.now().minus(YEAR * KEEP_YEARS);
    let limit = open_since.map_or(limit, |case| case.min(limit));
    let floor = cx.get::<AuditFloor>(AuditFloor::ID).await?.map(|found| found.body);
    let anchors = cx.hub().anchor().all(cx.workspace()).await?;
    let last = anchors.into_iter().filter(|c| c.at < limit).max_by_key(|c| c.seq);
    let floor = match (floor, last) {
        (floor, Some(last)) if floor.as_ref().is_none_or(|floor| floor.seq < last.seq) => {
            move_to(cx, &last).await?
        }
        (Some(floor), _) => floor,
        (None, _) => return Ok(0),
    };
    remove_through(cx, floor.seq).await
}

/// Lays the floor at a checkpoint. First: a crash in between leaves entries below the floor, which the next time takes.
async fn move_to(cx: &Scope, last: &Checkpoint) -> Result<AuditFloor> {
    let entry = cx.get::<AuditEntry>(&id_of(last.seq)).await?;
    if entry.is_none_or(|entry| entry.hash != last.head) {
        // What was rewritten stays: it is the evidence.
        let message =
            "the log is not the one that was anchored, so nothing of it is let go: run audit.verify";
        return Err(Error::new(ErrorKind::Corrupted, "audit.prune", message).with_context("seq", last.seq));
    }
    let floor = AuditFloor { id: AuditFloor::ID.into(), seq: last.seq, hash: last.head.clone() };
    let row = Row::of(&floor, cx.now(), cx.label())?;
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    batch.writes.push(Write::Put { kind: Kind::of::<AuditFloor>(), row, expected: Expected::Any });
    cx.store().commit(batch).await?;
    Ok(floor)
}

/// Removes what stands below the floor, page by page.
async fn remove_through(cx: &Scope, seq: u64) -> Result<u64> {
    let kind = Kind::of::<AuditEntry>();
    let last = id_of(seq);
    let mut gone = 0;
    loop {
        cx.cancel_token().check("audit.prune")?;
        let rows = cx.store().query(kind, cx.workspace(), &Query::by_id().limit(PAGE)).await?;
        let old: Vec<_> = rows.into_iter().filter(|row| row.id <= last).collect();
        if old.is_empty() {
            return Ok(gone);
        }
        gone += old.len() as u64;
        let mut batch = Batch::new(cx.workspace().clone(), cx.now());
        let delete = |row: Row| Write::Delete { kind, id: row.id, expected: Expected::Any };
        batch.writes.extend(old.into_iter().map(delete));
        cx.store().commit(batch).await?;
    }
}

/// Keys of the entries of one actor, action or target in a span of time.
pub(super) fn span(query: Query, head: Key, from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
    let from = head.clone().and_time(from.unwrap_or(Timestamp::EPOCH));
    let to = head.and_time(to.unwrap_or(Timestamp::from_millis(i64::MAX)));
    query.from(from).up_to(to)
}
