//! Declaring queues: a queue without a handler does not compile, so no job waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::twelve::{self, Row};
use super::{Backoff, Handler};
use crate::permission::{NEVER_AGENT, Permission, PermissionSet};
use crate::telemetry::redact;
use crate::{Error, Fault, Result};

/// A kind of work of a queue: its name, and the shape of its payload.
#[derive(Clone, Copy)]
pub struct JobType {
    /// Name of the work, such as `send-email`.
    pub name: &'static str,
    /// JSON Schema of the payload.
    pub schema: fn() -> Schema,
    pub(super) check: fn(&Value) -> Result<()>,
}

impl std::fmt::Debug for JobType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobType").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A kind of work whose payload is a `P`.
#[must_use]
pub const fn job_type<P: DeserializeOwned + JsonSchema>(name: &'static str) -> JobType {
    JobType { name, schema: || schemars::schema_for!(P), check: check::<P> }
}

fn check<P: DeserializeOwned>(payload: &Value) -> Result<()> {
    let fault = |cause: serde_path_to_error::Error<serde_json::Error>| {
        let path = cause.path().to_string();
        let field = if path == "." { "payload".to_owned() } else { format!("payload.{path}") };
        let message = redact(&cause.inner().to_string()).into_owned();
        Error::faults("jobs.enqueue", vec![Fault { field, message }])
    };
    serde_path_to_error::deserialize::<_, P>(payload).map(|_| ()).map_err(fault)
}

/// At most `n` jobs started per `per`, in one workspace, over all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Jobs.
    pub n: u32,
    /// In this time.
    pub per: Duration,
}

/// A queue with its handler, its limits and the defaults of its jobs.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) name: &'static str,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) concurrency: usize,
    pub(crate) per_workspace: Option<usize>,
    pub(crate) per_group: u16,
    pub(crate) rate: Option<Rate>,
    pub(crate) max_attempts: u16,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Duration,
    pub(crate) needs: Permission,
    pub(crate) rights: PermissionSet,
    pub(crate) keep: Keep,
}

/// How many ended jobs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Completed and cancelled jobs, each. Default 200.
    pub completed: usize,
    /// Failed jobs. Default 500.
    pub failed: usize,
    /// How long dead jobs are kept. Default 30 days.
    pub dead: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { completed: 200, failed: 500, dead: Duration::from_secs(30 * 86_400) }
    }
}

/// Stands where the handler of a declaration is still missing.
#[derive(Clone, Copy, Debug)]
pub struct Unhandled;

/// Declares a queue. Only with a handler does it become one:
///
/// ```compile_fail
/// # use neonhub_core::job::Queue;
/// let queue: Queue = Queue::declare("news.fetch").concurrency(4).build();
/// ```
#[must_use]
#[derive(Debug)]
pub struct Declaration<H> {
    row: Row,
    handler: H,
    per_workspace: Option<usize>,
    per_group: u16,
    rate: Option<Rate>,
    rights: PermissionSet,
    keep: Keep,
}

impl Queue {
    /// Starts a declaration. One of the twelve queues starts with its own defaults, any other with those of a
    /// plain queue: 8 jobs at once, 10 tries from 1 s to 10 min, 60 s for a try.
    pub fn declare(name: &'static str) -> Declaration<Unhandled> {
        let name = twelve::resolve(name).map_or(name, |row| row.queue);
        Declaration {
            row: twelve::resolve(name).copied().unwrap_or(Row { queue: name, ..twelve::PLAIN }),
            handler: Unhandled,
            per_workspace: None,
            per_group: 1,
            rate: None,
            rights: PermissionSet::all().without(&NEVER_AGENT),
            keep: Keep::default(),
        }
    }

    /// The queue of a handler, with its defaults.
    #[must_use]
    pub fn of(handler: Arc<dyn Handler>) -> Queue {
        Queue::declare(handler.queue()).handler(handler).build()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Batches worked side by side: single jobs when the handler takes them one by one.
    pub(crate) fn lanes(&self) -> usize {
        (self.concurrency / self.handler.batch().max(1)).max(1)
    }

    /// Checks name and payload against what the handler declares.
    pub(crate) fn check(&self, name: &str, payload: &Value) -> Result<()> {
        let types = self.handler.jobs();
        if types.is_empty() {
            return Ok(());
        }
        let Some(kind) = types.iter().find(|t| t.name == name) else {
            let close = crate::hub::closest(name, types.iter().map(|t| t.name)).join(", ");
            let fault = format!("expected a job of the queue {}, such as {close}", self.name);
            return Err(Error::invalid("jobs.enqueue", "name", fault));
        };
        (kind.check)(payload)
    }
}

impl<H> Declaration<H> {
    /// Jobs in work at once in one process, at least 1.
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.row.concurrency = jobs.max(1);
        self
    }

    /// Jobs in work at once for one workspace, over all processes. Default: no bound of its own.
    pub fn per_workspace(mut self, jobs: usize) -> Self {
        self.per_workspace = Some(jobs.max(1));
        self
    }

    /// Active jobs that may share a group key. Default 1.
    pub fn per_group(mut self, jobs: u16) -> Self {
        self.per_group = jobs.max(1);
        self
    }

    /// At most `n` jobs started per `per` and workspace, over all processes. Default: no bound.
    pub fn rate(mut self, n: u32, per: Duration) -> Self {
        self.rate = Some(Rate { n: n.max(1), per });
        self
    }

    /// Tries before a job is given up, at least 1.
    pub fn attempts(mut self, tries: u16) -> Self {
        self.row.attempts = tries.max(1);
        self
    }

    /// Pauses between tries.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.row.backoff = backoff;
        self
    }

    /// Time for one try.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.row.timeout = limit;
        self
    }

    /// The right that enqueueing by operation needs.
    pub fn needs(mut self, word: Permission) -> Self {
        self.row.needs = word;
        self
    }

    /// The rights of its background workers. Default: all but those no agent ever has.
    pub fn rights(mut self, rights: PermissionSet) -> Self {
        self.rights = rights;
        self
    }

    /// How many ended jobs are kept.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// The handler; its own word for the queue does not matter here.
    pub fn handler(self, handler: Arc<dyn Handler>) -> Declaration<Arc<dyn Handler>> {
        let Declaration { row, per_workspace, per_group, rate, rights, keep, .. } = self;
        Declaration { row, handler, per_workspace, per_group, rate, rights, keep }
    }
}

impl Declaration<Arc<dyn Handler>> {
    /// The queue.
    #[must_use]
    pub fn build(self) -> Queue {
        Queue {
            name: self.row.queue,
            handler: self.handler,
            concurrency: self.row.concurrency,
            per_workspace: self.per_workspace,
            per_group: self.per_group,
            rate: self.rate,
            max_attempts: self.row.attempts,
            backoff: self.row.backoff,
            timeout: self.row.timeout,
            needs: self.row.needs,
            rights: self.rights,
            keep: self.keep,
        }
    }
}
