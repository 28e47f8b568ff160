//! Buckets that survive a restart and are shared by processes.
//!
//! A process sets aside a tenth of a bucket's window in one commit and admits from that in memory, so that most calls
//! write nothing. What it set aside counts as used for everybody else and after a crash: a restart never admits
//! more than the rate, at worst it admits a tenth of a window less.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rate;
use crate::store::{Batch, Expected, Index, Keep, Key, Kind, Record, Row, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// How often a bucket is read again when other processes take from it at the same time.
const TRIES: u32 = 8;

/// A bucket as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    id: String,
    /// When the next call is in turn, with all that was set aside: UTC microseconds, as text because it is over 2^53
    /// in the far future.
    turn_us: String,
}

impl Record for Bucket {
    const KIND: &'static str = "rate_bucket";
    fn id(&self) -> &str {
        &self.id
    }
    fn retention() -> Keep {
        // Longer than any window, which has 31 days at most: it is full again by then, as a new one is.
        Keep::Age(32)
    }
}

/// A limit that was set aside for a time, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitOverride {
    /// Id: the name of the bucket or of all buckets of a kind.
    pub id: String,
    /// The rate in its place; none: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Until when.
    pub until: crate::Timestamp,
    /// Why.
    pub reason: String,
}

impl Record for LimitOverride {
    const KIND: &'static str = "limit_override";
    const INDEXES: &'static [Index] = &[Index::on("until")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.until.into())]
    }
    fn retention() -> Keep {
        Keep::Until("until")
    }
}

/// What this process knows of one bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When the next call is in turn, by what this process admitted.
    turn: i64,
    /// Up to where turns are set aside in the store.
    horizon: i64,
    rev: u64,
    is_loaded: bool,
}

/// Each bucket has its own lock: two calls of one principal take their turns one after the other.
type Shared = Arc<tokio::sync::Mutex<Known>>;

/// The buckets this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<HashMap<(WorkspaceId, String), Shared>>);

/// Most buckets remembered; those nobody waits for are forgotten, the store has them.
const REMEMBERED: usize = 10_000;

impl Buckets {
    fn of(&self, workspace: &WorkspaceId, name: &str) -> Shared {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > REMEMBERED {
            all.retain(|_, bucket| Arc::strong_count(bucket) > 1);
        }
        Arc::clone(all.entry((workspace.clone(), name.to_owned())).or_default())
    }
}

impl Scope {
    /// Takes one call from a bucket of this workspace.
    ///
    /// # Errors
    /// `RateLimited` with the wait after which one call is admitted; what the store answers.
    pub(crate) async fn take(&self, bucket: &str, rate: Rate) -> Result<()> {
        let shared = self.hub().buckets().of(self.workspace(), bucket);
        let mut known = shared.lock().await;
        for _ in 0..TRIES {
            if !known.is_loaded {
                *known = load(self, bucket).await?;
            }
            let now = self.now();
            let next = rate.take(known.turn, now, 1).map_err(|wait| refused(self, bucket, wait))?;
            if next <= known.horizon {
                known.turn = next;
                return Ok(());
            }
            let horizon = rate.ahead(next, rate.block() - 1);
            match store(self, bucket, horizon, known.rev).await {
                Ok(()) => {
                    *known = Known { turn: next, horizon, rev: known.rev + 1, is_loaded: true };
                    return Ok(());
                }
                // Another process took from it: what it set aside is used.
                Err(error) if error.code() == "stale_revision" => known.is_loaded = false,
                Err(error) => return Err(error),
            }
        }
        Err(refused(self, bucket, Duration::from_millis(50)))
    }

    /// Calls left in a bucket, as this process knows it.
    pub(crate) async fn left(&self, bucket: &str, rate: Rate) -> Result<u32> {
        let shared = self.hub().buckets().of(self.workspace(), bucket);
        let mut known = shared.lock().await;
        if !known.is_loaded {
            *known = load(self, bucket).await?;
        }
        Ok(rate.left(known.turn, self.now()))
    }
}

async fn load(cx: &Scope, bucket: &str) -> Result<Known> {
    let row = cx.store().get(Kind::of::<Bucket>(), cx.workspace(), bucket).await?;
    let Some(row) = row else { return Ok(Known { is_loaded: true, ..Known::default() }) };
    let turn = Stored::<Bucket>::from_row(&row)?.turn_us.parse().unwrap_or(0);
    Ok(Known { turn, horizon: turn, rev: row.rev, is_loaded: true })
}

/// A commit of its own: it must stand whether or not the call does.
async fn store(cx: &Scope, bucket: &str, horizon: i64, rev: u64) -> Result<()> {
    let record = Bucket { id: bucket.to_owned(), turn_us: horizon.to_string() };
    let row = Row::of(&record, cx.now(), "system:limits")?;
    let expected = if rev == 0 { Expected::Absent } else { Expected::Rev(rev) };
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    batch.writes.push(Write::Put { kind: Kind::of::<Bucket>(), row, expected });
    cx.store().commit(batch).await.map(|_| ())
}

fn refused(cx: &Scope, bucket: &str, wait: Duration) -> Error {
    // The first part of the name alone: the rest may name a person's address.
    let kind = bucket.split('|').next().unwrap_or_default();
    cx.hub().telemetry().rate_limited(kind);
    Error::new(
        ErrorKind::RateLimited,
        cx.operation(),
        "the limit is used up: call again after the time that is named",
    )
    .with_context("bucket", kind)
    .with_context("retry_after_ms", wait.as_millis())
    .with_retry(Retry::After(wait))
}
