//! Durable jobs over the store: enqueued in the commit that asks for them, worked under a fenced lease.
//!
//! A queue is declared with its handler. Jobs are taken in order of priority, instant and id, worked at least once,
//! and every commit of a worker checks that it still holds them. What must happen once hangs on the effect ledger of
//! the handler, never on the queue alone.

mod backoff;
mod beside;
mod claim;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite of tests")]
pub mod conformance;
mod crew;
mod declare;
mod desk;
mod enqueue;
mod finish;
mod flow;
mod heed;
mod model;
pub mod ops;
mod pace;
pub mod queue_ops;
mod recover;
mod room;
mod spec;
mod twelve;
mod worker;

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

pub use backoff::{Backoff, BackoffKind, Jitter};
pub use beside::{HistoryLine, JobEdge, JobNote, JobWorker, LogLine, QueueControl};
pub use declare::{Declaration, JobType, Keep, Queue, Rate, Unhandled, job_type};
pub use finish::Drained;
pub use flow::FlowNode;
pub(crate) use model::rank;
pub use model::{DedupeMode, Job, JobError, JobState, Lease, OnChildFailure};
pub use queue_ops::{QueueStats, QueueView};
pub use room::JobTurn;
pub(crate) use room::Room;
pub use spec::JobSpec;
pub(crate) use spec::millis;
pub(crate) use twelve::full_name;
pub use twelve::{Row as QueueRow, TWELVE};

use crate::store::Kind;
use crate::{Error, Result, Scope, Timestamp};

/// Record kinds of the queue.
pub static KINDS: &[Kind] = &[
    Kind::of::<Job>(),
    Kind::of::<JobNote>(),
    Kind::of::<JobEdge>(),
    Kind::of::<JobWorker>(),
    Kind::of::<QueueControl>(),
];

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    /// Done.
    Done,
    /// Done, with an answer that its parents and `jobs.get` read. Ids and figures, no personal values.
    DoneWith(Value),
    /// Not now: again at this instant, without using a try.
    Later(Timestamp),
    /// Failed: again with growing pauses while tries last and the error's advice allows it.
    Failed(Error),
}

impl Outcome {
    /// The word that metrics know it by.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Outcome::Done | Outcome::DoneWith(_) => "done",
            Outcome::Later(_) => "later",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// Works the jobs of one queue.
///
/// A handler gets a batch, so that it can share loads and commits; it answers each job in order. It stages
/// writes in the scope: what it staged is committed together with the outcomes, and [`Scope::flush`] commits
/// earlier where an effect needs its intent on disk first. Every commit checks the leases; once one is lost, it
/// fails with `Conflict`, code `lease_lost`. A handler may run more than once for a job.
#[async_trait]
pub trait Handler: Debug + Send + Sync + 'static {
    /// Queue it works. Dotted, such as `email.send`.
    fn queue(&self) -> &'static str;
    /// Most jobs of one batch. Default 64; 1 for work that takes long or may be cancelled one by one.
    fn batch(&self) -> usize {
        64
    }
    /// The kinds of work it knows. Empty: any name with any payload.
    fn jobs(&self) -> &'static [JobType] {
        &[]
    }
    /// Whether an active job is past its point of no return, and if so the state of its effect.
    async fn too_late(&self, _cx: &Scope, _job: &Job) -> Result<Option<String>> {
        Ok(None)
    }
    /// Does the work.
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>>;
}

#[cfg(test)]
pub(crate) mod clock_tests;
#[cfg(test)]
mod lost_tests;

#[cfg(test)]
mod tests {
    mod memory {
        async fn open() -> crate::Result<crate::store::SharedStore> {
            Ok(std::sync::Arc::new(crate::store::MemoryStore::new()))
        }
        crate::job_conformance!(open);
    }

    #[cfg(feature = "sqlite")]
    mod sqlite {
        async fn open() -> crate::Result<crate::store::SharedStore> {
            let folder = tempfile::tempdir().map_err(|e| crate::Error::internal("suite", e))?;
            // The folder goes with the process: the store must outlive this function.
            let path = folder.keep().join("jobs.neon");
            Ok(std::sync::Arc::new(crate::store::sqlite::SqliteStore::open(&path).await?))
        }
        crate::job_conformance!(open);
    }

    #[cfg(feature = "postgres")]
    mod postgres {
        async fn open() -> crate::Result<crate::store::SharedStore> {
            let url = crate::store::conformance::postgres::database("jobs").await;
            Ok(std::sync::Arc::new(crate::store::postgres::PostgresStore::open(&url).await?))
        }
        crate::job_conformance!(
            ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`",
            open
        );
    }
}
