//! What the store keeps of a run: one row with its standing, and one per entry of its log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::RunStatus;
use super::fork::{ForkedFrom, UnderFork};
use super::machine::Failure;
use super::state::Used;
use crate::llm::Origin;
use crate::permission::Permission;
use crate::store::{Index, Key, Record};
use crate::{Money, Principal, Result, Scope, Timestamp};

/// A process's hold on a run. Each append checks the row it stands in, so a stale owner writes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunLease {
    /// The worker.
    pub owner: String,
    /// Fencing token: one more than the lease before.
    pub token: u64,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

/// The description of an agent that a run was begun with, and goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSpec {
    /// Its version.
    pub version: String,
    /// SHA-256 over its RFC 8785 form, in hex.
    pub hash: String,
}

/// The standing of one run. Its input, output and steps are in its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRun {
    /// Its id.
    pub id: String,
    /// The agent: `campaign`.
    pub agent: String,
    /// Version of its program.
    pub agent_version: u32,
    /// What is asked of the agent; absent in runs of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The description of the agent, for a program that is made from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<RunSpec>,
    /// The run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run: Option<String>,
    /// The most that models may cost in it and in the runs below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// How many runs are above it.
    #[serde(default, skip_serializing_if = "is_root")]
    pub depth: u8,
    /// Where it stands.
    pub status: RunStatus,
    /// What it waits for, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_reason: Option<String>,
    /// When a timer wakes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// Who it acts for.
    pub principal: String,
    /// True when an agent without a run began it, as over the Model Context Protocol: the words of its input are foreign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign_input: bool,
    /// The rights it began with: those of the principal that its program may use. With these it is taken up when its
    /// process is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<Permission>,
    /// The campaign it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// The person it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_id: Option<String>,
    /// The same key is the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// SHA-256 over the RFC 8785 form of the input, in hex.
    pub input_hash: String,
    /// What it has used.
    pub used: Used,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<RunLease>,
    /// True once its cancellation was asked for.
    #[serde(default)]
    pub cancel_asked: bool,
    /// Answers to waits that the run has not taken yet, by name of the wait.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub signals: serde_json::Map<String, Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// `offline` when the offline model made a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The caller's W3C `traceparent`, when it was started in a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The run whose first steps it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// What it takes over from the fork above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_fork: Option<UnderFork>,
    /// When it was made.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Whether what a caller gives a new run are words of somebody unknown: of an agent that has no run, unless the call that
/// begins it is a sink, which has asked a person already.
///
/// # Errors
/// What the store answers.
pub(super) async fn is_foreign(cx: &Scope) -> Result<bool> {
    let Principal::Agent { run, .. } = cx.principal() else { return Ok(false) };
    let has_asked = cx.hub().operation(cx.operation()).is_ok_and(|line| !line.sinks.is_empty());
    Ok(!has_asked && cx.get::<AgentRun>(run).await?.is_none())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_root(depth: &u8) -> bool {
    *depth == 0
}

impl Record for AgentRun {
    const KIND: &'static str = "agent_run";
    const INDEXES: &'static [Index] = &[
        Index::on("status"),
        Index::on("agent"),
        Index::on("campaign"),
        Index::unique("key"),
        Index::on("wake"),
        Index::on("parent"),
    ];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let at = self.started_at;
        vec![
            Some(Key::text(self.status.word()).and_time(at)),
            Some(Key::text(&self.agent).and_time(at)),
            self.campaign_id.as_ref().map(|c| Key::text(c).and_time(at)),
            self.idempotency_key.as_ref().map(|k| Key::text(&self.agent).and_text(k)),
            self.wake_at.filter(|_| self.status == RunStatus::Waiting).map(|at| Key::new().and_time(at)),
            self.parent_run.as_ref().map(|run| Key::text(run).and_time(at)),
        ]
    }
    fn personal(&self) -> Vec<String> {
        self.person_id.iter().cloned().collect()
    }
}

impl AgentRun {
    /// Where it stands for a reader: `interrupted` when it counts as running but its process is gone.
    #[must_use]
    pub fn standing(&self, cx: &Scope) -> RunStatus {
        match self.status {
            RunStatus::Running if !self.is_held(cx) => RunStatus::Interrupted,
            status => status,
        }
    }

    /// True while a living process holds it.
    pub(super) fn is_held(&self, cx: &Scope) -> bool {
        self.lease.as_ref().is_some_and(|l| l.until > cx.now() && cx.store().is_worker_alive(&l.owner))
    }

    /// One line for lists; begins with "offline result" when the offline model made a part of it.
    #[must_use]
    pub fn summary(&self) -> String {
        let origin = if self.origin.is_some_and(Origin::is_offline) { "offline result, " } else { "" };
        let why = match (&self.failure, &self.wait_reason) {
            (Some(failure), _) => format!(" ({})", failure.code),
            (None, Some(reason)) => format!(" for {reason}"),
            (None, None) => String::new(),
        };
        let Used { model_calls, tool_calls, .. } = self.used;
        format!(
            "{origin}{} {}{why}: {model_calls} model and {tool_calls} tool calls",
            self.agent,
            self.status.word()
        )
    }
}

/// One entry of a log as the store keeps it. Texts over 1 KiB are blobs, kept once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// Id: the run and the number with leading zeros.
    pub id: String,
    /// The run.
    pub run: String,
    /// Number in the run.
    pub seq: u32,
    /// Version of the entry's shape.
    pub version: u16,
    /// Word of the kind.
    pub kind: String,
    /// SHA-256 of each text that is a blob.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<String>,
    /// The entry, with references in place of its large texts.
    pub data: Value,
}

impl Record for LogEntry {
    const KIND: &'static str = "run_log_entry";
    const INDEXES: &'static [Index] = &[Index::on("run")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(LogEntry::key(&self.run, self.seq))]
    }
}

impl LogEntry {
    /// The key of an entry among those of its run.
    pub(super) fn key(run: &str, seq: u32) -> Key {
        Key::text(run).and_int(i64::from(seq))
    }

    /// The id of an entry.
    #[must_use]
    pub fn id_of(run: &str, seq: u32) -> String {
        format!("{run}_{seq:08}")
    }
}
