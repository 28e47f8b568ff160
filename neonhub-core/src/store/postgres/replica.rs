//! Reads that a standby of the server answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::time::Instant;

use super::read;
use crate::store::Consistency;
use crate::{ErrorKind, Result};

/// How long a read waits for the standby to have what it must see.
// Our choice: a standby that is further behind helps nobody who waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// How long a standby that did not answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// A standby, and what is known of it.
pub(super) struct Replica {
    pool: Pool,
    /// The last position it was seen to have.
    reached: AtomicU64,
    rests_until: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(pool: Pool) -> Self {
        Replica { pool, reached: AtomicU64::new(0), rests_until: Mutex::new(None) }
    }

    /// Where the read under way may go, if it may.
    pub(super) async fn may_answer(&self) -> Option<&Pool> {
        let wanted = match Consistency::current() {
            Consistency::Strong => return None,
            Consistency::ReadYourWrites(seq) => seq,
            Consistency::Eventual => 0,
        };
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = until.is_some_and(|until| Instant::now() < until);
        (!rests && self.reaches(wanted).await).then_some(&self.pool)
    }

    /// True once it has the commits up to a position.
    async fn reaches(&self, seq: u64) -> bool {
        let end = Instant::now() + PATIENCE;
        while self.reached.load(Ordering::Relaxed) < seq {
            let Some(now) = self.kept(read::seq(&self.pool).await) else { return false };
            self.reached.fetch_max(now, Ordering::Relaxed);
            if now < seq {
                if Instant::now() >= end {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        true
    }

    /// What it answered; none when it could not, and the primary is to be asked.
    pub(super) fn kept<T>(&self, answer: Result<T>) -> Option<T> {
        answer
            .inspect_err(|error| {
                tracing::debug!(%error, "the read replica did not answer: the primary is asked");
                if error.kind() == ErrorKind::Unavailable {
                    let until = Instant::now() + REST;
                    *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                }
            })
            .ok()
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}
