//! Operations of telemetry.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::levels::{Level, Levels};
use super::spans::{Trace, project};
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::run::AgentRun;
use crate::store::Query;
use crate::tenancy::DirectoryEntry;
use crate::{Error, Result, Scope, Timestamp};

/// Workspaces whose queues are counted for one scrape.
const MAX_WORKSPACES: usize = 1000;
/// States of jobs, as labels.
const STATES: [&str; 8] =
    ["waiting", "delayed", "blocked", "active", "completed", "failed", "dead", "cancelled"];
/// Longest time a level may be changed for.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// Gives the metrics of this process as Prometheus text, format 0.0.4. They count all workspaces together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadMetrics {}

impl Operation for ReadMetrics {
    type Output = String;
    const NAME: &'static str = "telemetry.metrics";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<String> {
        gather(cx).await?;
        cx.hub().telemetry().text()
    }

    fn examples() -> Vec<Self> {
        vec![ReadMetrics {}]
    }
}

/// Reads the gauges that nobody counts along: the depths of the queues.
async fn gather(cx: &Scope) -> Result<()> {
    let hub = cx.hub();
    let root = hub.hub_scope();
    let entries = root.query::<DirectoryEntry>(&Query::by_id().limit(MAX_WORKSPACES)).await?;
    let telemetry = hub.telemetry();
    for queue in hub.queues().iter().map(|q| q.name()) {
        let mut depths = [0; 8];
        for entry in &entries {
            let s = hub.system_scope(entry.workspace.clone(), "telemetry").queue_stats(queue).await?;
            let found =
                [s.waiting, s.delayed, s.blocked, s.active, s.completed, s.failed, s.dead, s.cancelled];
            depths.iter_mut().zip(found).for_each(|(sum, n)| *sum += n);
        }
        for (state, jobs) in STATES.iter().zip(depths) {
            telemetry.queue_depth(queue, state, jobs);
        }
        telemetry.queue_pending(queue, depths.first().copied().unwrap_or_default());
    }
    Ok(())
}

/// Gives the trace of a run, projected from its log, by the names of OpenTelemetry.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadTrace {
    /// Id of the run.
    pub run: String,
}

impl Operation for ReadTrace {
    type Output = Trace;
    const NAME: &'static str = "telemetry.trace";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Trace> {
        let run = cx.need::<AgentRun>(&self.run).await?.body;
        let entries = crate::run::load_log(cx, &run.id).await?;
        Ok(project(cx, &run, &entries))
    }

    fn examples() -> Vec<Self> {
        vec![ReadTrace { run: "run_01kaf3w0000000000000000000".into() }]
    }
}

/// Changes how much this process logs for a target, for a while.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLevel {
    /// Target and all below it, such as `neonhub_core::job`.
    pub target: String,
    /// The level.
    pub level: Level,
    /// For how long, 1 ms to 24 h. Default one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// A level that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelSet {
    /// The target.
    pub target: String,
    /// The level.
    pub level: Level,
    /// When it ends.
    pub until: Timestamp,
}

impl Operation for SetLevel {
    type Output = LevelSet;
    const NAME: &'static str = "telemetry.set_level";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;

    async fn run(self, cx: &Scope) -> Result<LevelSet> {
        let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if self.target.is_empty() || self.target.len() > 200 || !self.target.chars().all(is_path) {
            return Err(Error::invalid(Self::NAME, "target", "expected a path such as neonhub_core::job"));
        }
        let ttl = self.ttl_ms.map_or(Duration::from_secs(3600), Duration::from_millis);
        if ttl.is_zero() || ttl > MAX_TTL {
            return Err(Error::invalid(Self::NAME, "ttl_ms", "expected 1 to 86400000"));
        }
        let until = cx.now().plus(ttl);
        Levels::global().set(&self.target, self.level, Some(until));
        Ok(LevelSet { target: self.target, level: self.level, until })
    }

    fn examples() -> Vec<Self> {
        vec![SetLevel { target: "neonhub_core::job".into(), level: Level::Debug, ttl_ms: Some(60_000) }]
    }
}
