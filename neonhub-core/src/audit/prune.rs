//! Letting go of entries that are old enough, without breaking the chain.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, id_of};
use crate::permission::Permission;
use crate::store::{Batch, Expected, Key, Kind, Query, Record, Row, Write};
use crate::{Result, Scope, Timestamp};

/// How long entries are kept. Our choice: the longest common period for business records.
pub const KEEP_YEARS: u32 = 7;

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

impl Scope {
    /// Lets go of entries that are older than seven years, up to the last checkpoint before that. `open_since` is the
    /// beginning of the oldest open privacy or legal case: nothing of its time is let go. Gives how many went.
    ///
    /// # Errors
    /// `PermissionDenied` without `own:organization`; what the store and the anchor answer.
    pub async fn prune_audit(&self, open_since: Option<Timestamp>) -> Result<u64> {
        self.require(Permission::OwnOrganization)?;
        let limit = self.now().minus(YEAR * KEEP_YEARS);
        let limit = open_since.map_or(limit, |case| case.min(limit));
        let anchors = self.hub().anchor().all(self.workspace()).await?;
        let Some(last) = anchors.into_iter().filter(|c| c.at < limit).max_by_key(|c| c.seq) else {
            return Ok(0);
        };
        let kind = Kind::of::<AuditEntry>();
        let floor = AuditFloor { id: AuditFloor::ID.into(), seq: last.seq, hash: last.head };
        let row = Row::of(&floor, self.now(), self.label())?;
        let mut batch = Batch::new(self.workspace().clone(), self.now());
        // First: a crash in between leaves entries below the floor, which the next time takes.
        batch.writes.push(Write::Put { kind: Kind::of::<AuditFloor>(), row, expected: Expected::Any });
        self.store().commit(batch).await?;
        let mut gone = 0;
        loop {
            let query = Query::by_id().limit(500);
            let rows = self.store().query(kind, self.workspace(), &query).await?;
            let old: Vec<_> = rows.into_iter().filter(|r| r.id <= id_of(floor.seq)).collect();
            if old.is_empty() {
                return Ok(gone);
            }
            gone += old.len() as u64;
            let mut batch = Batch::new(self.workspace().clone(), self.now());
            let delete = |r: Row| Write::Delete { kind, id: r.id, expected: Expected::Any };
            batch.writes.extend(old.into_iter().map(delete));
            self.store().commit(batch).await?;
        }
    }
}

/// Keys of the entries of one actor, action or target in a span of time.
pub(super) fn span(query: Query, head: Key, from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
    let from = head.clone().and_time(from.unwrap_or(Timestamp::EPOCH));
    let to = head.and_time(to.unwrap_or(Timestamp::from_millis(i64::MAX)));
    query.from(from).up_to(to)
}
