//! Records beside a job, so that its own record and lease stay untouched: notes, edges, workers, what is set for a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::JobState;
use crate::Timestamp;
use crate::store::{Index, Keep, Key, Record};

/// One line that a handler noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What; at most 500 characters.
    pub text: String,
}

/// What is written about a job while a worker holds it, beside the job so that its lease stays untouched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobNote {
    /// Id of the job.
    pub id: String,
    /// How far it is, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// The last 100 lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// Why it is to stop, once someone asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    /// Its states so far, oldest first; the last 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryLine>,
}

impl Record for JobNote {
    const KIND: &'static str = "job_note";
    fn id(&self) -> &str {
        &self.id
    }
}

/// One failed try or other turn in the life of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLine {
    /// When.
    pub at: Timestamp,
    /// The state it came to.
    pub state: JobState,
    /// Why: the word of an error, or what was asked.
    pub reason: String,
}

/// What was set for a queue of this workspace while the program runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueControl {
    /// The queue.
    pub queue: String,
    /// No job of it is taken.
    #[serde(default)]
    pub paused: bool,
    /// When the next job may start under the rate of the queue, in milliseconds; with a fraction.
    #[serde(default)]
    pub rate_at_ms: f64,
}

impl Record for QueueControl {
    const KIND: &'static str = "queue_control";
    fn id(&self) -> &str {
        &self.queue
    }
}

/// A further parent of a job, so that a parent finds all its children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobEdge {
    /// `parent>child`.
    pub id: String,
    /// The job that waits.
    pub parent: String,
    /// The job it waits for.
    pub child: String,
}

impl Record for JobEdge {
    const KIND: &'static str = "job_edge";
    const INDEXES: &'static [Index] = &[Index::on("parent"), Index::on("child")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.parent)), Some(Key::text(&self.child))]
    }
}

/// A process that works jobs. Its leases hold as long as it reports here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobWorker {
    /// Name of the worker.
    pub id: String,
    /// All its leases hold at least until then.
    pub until: Timestamp,
}

impl Record for JobWorker {
    const KIND: &'static str = "job_worker";
    const INDEXES: &'static [Index] = &[Index::on("until")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.until.into())]
    }
    fn retention() -> Keep {
        // One that is alive writes it every ten seconds.
        Keep::Age(1)
    }
}
