//! Versions, drift, compaction and figures.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LONG;
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::store::retention::FEED_DAYS;
use crate::store::{KindFigures, sweep};
use crate::{Clock as _, Error, Result, Scope, SystemClock};

/// Age of blobs that no record names before they go: a record may still be on its way. Seconds.
const BLOB_GRACE_S: u64 = 24 * 3600;

/// Brings the store to this version and tells which migrations that took. Opening does it already where the user may: then
/// none is left.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MigrateStore {
    /// Only tells.
    pub dry_run: bool,
}

/// The answer of `store.migrate`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Migrated {
    /// Version of the store.
    pub version: u32,
    /// Version that this build works with.
    pub build_version: u32,
    /// Numbers of the migrations that this call applied, in order; none in a dry run.
    #[serde(default)]
    pub applied: Vec<u32>,
    /// Numbers of the migrations that are still to come.
    pub pending: Vec<u32>,
}

impl Operation for MigrateStore {
    type Output = Migrated;
    const NAME: &'static str = "store.migrate";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    async fn run(self, cx: &Scope) -> Result<Migrated> {
        let applied = if self.dry_run { Vec::new() } else { cx.store().migrate().await? };
        let (version, build_version) = cx.store().version().await?;
        Ok(Migrated { version, build_version, applied, pending: (version + 1..=build_version).collect() })
    }
    fn examples() -> Vec<Self> {
        vec![MigrateStore { dry_run: true }]
    }
}

/// Compares the tables, columns and indexes that are there with those declared.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftStore {}

impl Operation for DriftStore {
    type Output = Vec<String>;
    const NAME: &'static str = "store.drift";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Vec<String>> {
        cx.store().drift().await
    }
    fn examples() -> Vec<Self> {
        vec![DriftStore {}]
    }
}

/// Forgets old entries of the change feed and blobs that no record names, and gives their space back, so that the bytes
/// of what was removed are gone from the files. Entries that a subscriber has still to read stay, unless it is far
/// behind and has not moved for 14 days.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompactStore {
    /// Age from which feed entries go, in days, 1..3650. Default 7.
    pub feed_days: Option<u32>,
    /// Age from which unnamed blobs go, in seconds. Default 86400; 0 only while nobody writes.
    pub blob_grace_s: Option<u64>,
}

/// The answer of `store.compact`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compacted {
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Feed entries forgotten.
    pub feed_removed: u64,
    /// Blobs removed.
    pub blobs_removed: u64,
}

impl Operation for CompactStore {
    type Output = Compacted;
    const NAME: &'static str = "store.compact";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Compacted> {
        let days = self.feed_days.unwrap_or(FEED_DAYS);
        if !(1..=3650).contains(&days) {
            return Err(Error::invalid(Self::NAME, "feed_days", "expected 1..3650"));
        }
        let grace = Duration::from_secs(self.blob_grace_s.unwrap_or(BLOB_GRACE_S));
        let store = cx.store();
        let old = cx.now().minus(Duration::from_secs(u64::from(days) * 86_400));
        let hold = cx.hub().slowest_subscriber(cx.now()).await?;
        let feed_removed = sweep::trim_feed(store, old, hold).await?;
        // Blobs carry the time of the machine: they are put outside of any commit.
        let before = SystemClock.now().plus(Duration::from_millis(1)).minus(grace);
        let blobs_removed = sweep::sweep_blobs(store, before).await?;
        let (before_bytes, after_bytes) = store.compact().await?;
        Ok(Compacted { before_bytes, after_bytes, feed_removed, blobs_removed })
    }
    fn examples() -> Vec<Self> {
        vec![CompactStore { feed_days: Some(7), blob_grace_s: None }]
    }
}

/// Tells how much the store holds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreStats {}

/// Figures of the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoreReport {
    /// Engine: `sqlite`, `postgres`, `sled` or `memory`.
    pub engine: String,
    /// Commits so far: the position of the change feed.
    pub commits: u64,
    /// Records and bytes per kind.
    pub kinds: Vec<KindFigures>,
    /// Entries that the feed still holds.
    pub feed_length: u64,
    /// The oldest cursor that can still be read from.
    pub oldest_cursor: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of blobs.
    pub blob_bytes: u64,
    /// Bytes on disk, 0 in memory.
    pub disk_bytes: u64,
}

impl Operation for StoreStats {
    type Output = StoreReport;
    const NAME: &'static str = "store.stats";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<StoreReport> {
        let figures = cx.store().figures().await?;
        Ok(StoreReport {
            engine: cx.store().caps().engine.to_owned(),
            commits: cx.store().seq().await?,
            kinds: figures.kinds,
            feed_length: figures.feed_length,
            oldest_cursor: figures.feed_oldest.saturating_sub(1),
            blobs: figures.blobs,
            blob_bytes: figures.blob_bytes,
            disk_bytes: figures.disk_bytes,
        })
    }
    fn examples() -> Vec<Self> {
        vec![StoreStats {}]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bus::SubscriberCursor;
    use crate::{Clock, Hub, ManualClock, Timestamp};

    #[tokio::test]
    async fn the_feed_is_kept_for_a_slow_subscriber_until_it_is_silent_and_far_behind() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let hub = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        let mut cursor = SubscriberCursor {
            name: "slow".into(),
            seq: 3,
            sub: u16::MAX,
            attempts: 0,
            retry_at: None,
            error: None,
            moved_at: cx.now(),
        };
        let mut touch = async |times: u16| {
            for n in 0..times {
                let work = cx.staging("test", &n.to_string());
                cursor.attempts += 1;
                work.put(&cursor, crate::store::Expected::Any).unwrap();
                work.flush().await.unwrap();
            }
        };
        touch(5).await;
        let oldest = async || cx.store().figures().await.unwrap().feed_oldest;
        let compact = async || cx.call(CompactStore::default()).await.unwrap();
        clock.advance(Duration::from_secs(8 * 86_400));
        compact().await;
        assert_eq!(
            oldest().await,
            3,
            "what follows its cursor stays, with the commit it may have half taken"
        );
        clock.advance(Duration::from_secs(8 * 86_400));
        compact().await;
        assert_eq!(oldest().await, 3, "it is near, so it counts however long it was quiet");
        touch(1_100).await;
        compact().await;
        assert!(oldest().await > 3, "far behind and silent for 16 days");
        assert!(cx.store().changes(3, 10).await.is_err_and(|e| e.code() == "cursor_expired"));
    }
}
