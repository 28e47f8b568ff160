//! Operations on jobs.

mod cancel;
mod enqueue;
mod note;
mod queued;
mod read;
mod revive;

pub use cancel::{CancelJob, Cancelled};
pub use enqueue::{DedupeInput, Enqueue, EnqueueFlow, EnqueueMany, Flow, NewJob, NewNode};
pub use note::ReportProgress;
pub use queued::{Promote, Reprioritise, Work, Worked};
pub use read::{GetJob, JobHistory, JobLogs, ListJobs};
pub use revive::{Changed, DiscardDead, RetryDead, RetryJobs};

use super::queue_ops;
use crate::op::{Entry, entry};

/// Operations on jobs and queues.
pub static CATALOGUE: &[Entry] = &[
    entry::<Enqueue>(),
    entry::<EnqueueMany>(),
    entry::<EnqueueFlow>(),
    entry::<GetJob>(),
    entry::<ListJobs>(),
    entry::<JobHistory>(),
    entry::<JobLogs>(),
    entry::<CancelJob>(),
    entry::<RetryJobs>(),
    entry::<RetryDead>(),
    entry::<DiscardDead>(),
    entry::<ReportProgress>(),
    entry::<Promote>(),
    entry::<Reprioritise>(),
    entry::<Work>(),
    entry::<queue_ops::ListQueues>(),
    entry::<queue_ops::Stats>(),
    entry::<queue_ops::PauseQueue>(),
    entry::<queue_ops::ResumeQueue>(),
    entry::<queue_ops::DrainQueue>(),
    entry::<queue_ops::ObliterateQueue>(),
];

/// Jobs of one call.
const MAX_MANY: usize = 1_000;
