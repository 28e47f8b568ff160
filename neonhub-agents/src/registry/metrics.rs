//! What the runs of an agent came to, day by day.

use std::collections::BTreeMap;
use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, RunStatus};
use neonhub_core::store::{Key, Query, Record as _};
use neonhub_core::{Error, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows read at once.
const PAGE: usize = 500;
/// Most runs of one answer.
const MOST: usize = 50_000;
/// Default span: 30 days.
const SPAN: Duration = Duration::from_secs(30 * 86_400);

/// Figures of one intent of one version of an agent on one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMetric {
    /// The agent.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// The intent.
    pub intent: String,
    /// The day by UTC on which the runs began: `2026-11-21`.
    pub day: String,
    /// Runs that began.
    pub runs: u64,
    /// Of these, completed.
    pub ok: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Of these, cancelled.
    pub cancelled: u64,
    /// Median time from begin to end, in milliseconds; absent while none has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// Time that 95 of 100 ended within, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<u64>,
    /// What models cost, in micros by currency. Calls of unknown price are not in it.
    pub cost_micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    pub unpriced: u64,
    /// Thumbs up, and ratings of 4 and 5, that the runs were given.
    #[serde(default)]
    pub feedback_up: u64,
    /// Thumbs down, and ratings of 1 and 2.
    #[serde(default)]
    pub feedback_down: u64,
}

/// Figures of an agent by version, intent and day, oldest day first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentMetrics {
    /// The agent.
    pub agent: String,
    /// Runs that began from here on. Default: 30 days before `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Runs that began up to here. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

impl Operation for AgentMetrics {
    type Output = Vec<AgentMetric>;
    const NAME: &'static str = "agents.metrics";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<AgentMetric>> {
        let to = self.to.unwrap_or_else(|| cx.now());
        let from = self.from.unwrap_or_else(|| to.minus(SPAN));
        if from > to {
            return Err(Error::invalid(Self::NAME, "from", "expected an instant before `to`"));
        }
        let at = |instant| Key::text(&self.agent).and_time(instant);
        let mut query = Query::index("agent").from(at(from)).up_to(at(to)).limit(PAGE);
        let mut rows: BTreeMap<(String, String, String), Row> = BTreeMap::new();
        let mut seen = 0;
        loop {
            let runs = cx.query::<AgentRun>(&query).await?;
            seen += runs.len();
            if seen > MOST {
                return Err(Error::invalid(Self::NAME, "from", "expected a span with at most 50 000 runs"));
            }
            for run in runs.iter().filter(|run| run.spec.is_some()) {
                take(cx, &mut rows, &run.body).await?;
            }
            match runs.last().filter(|_| runs.len() == PAGE) {
                Some(last) => {
                    let key = last.keys().into_iter().nth(1).flatten().unwrap_or_default();
                    query = query.after(key, last.body.id.clone());
                }
                None => break,
            }
        }
        Ok(rows.into_values().map(Row::done).collect())
    }

    fn examples() -> Vec<Self> {
        vec![AgentMetrics { agent: "support".into(), ..Self::default() }]
    }
}

#[derive(Default)]
struct Row {
    metric: AgentMetric,
    times: Vec<u64>,
}

impl Row {
    fn done(mut self) -> AgentMetric {
        self.times.sort_unstable();
        self.metric.p50_ms = quantile(&self.times, 50);
        self.metric.p95_ms = quantile(&self.times, 95);
        self.metric
    }
}

/// The smallest time that so many of 100 do not pass (nearest rank).
pub(crate) fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

async fn take(cx: &Scope, rows: &mut BTreeMap<(String, String, String), Row>, run: &AgentRun) -> Result<()> {
    let version = run.spec.as_ref().map(|spec| spec.version.clone()).unwrap_or_default();
    let intent = run.intent.clone().unwrap_or_default();
    let day = run.started_at.in_zone(&jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string();
    let row = rows.entry((day.clone(), version.clone(), intent.clone())).or_default();
    let metric = &mut row.metric;
    (metric.agent, metric.version) = (run.agent.clone(), version);
    (metric.intent, metric.day) = (intent, day);
    metric.runs += 1;
    match run.status {
        RunStatus::Completed => metric.ok += 1,
        RunStatus::Failed => metric.failed += 1,
        RunStatus::Cancelled => metric.cancelled += 1,
        _ => {}
    }
    if let Some(end) = run.ended_at {
        row.times.push(u64::try_from(end.since(run.started_at).as_millis()).unwrap_or(u64::MAX));
    }
    for said in crate::runs::feedback_of(cx, &run.id).await? {
        row.metric.feedback_up += u64::from(said.is_up());
        row.metric.feedback_down += u64::from(said.is_down());
    }
    if run.used.model_calls == 0 {
        return Ok(());
    }
    let (cost, unpriced) = crate::runs::spent(cx, &run.id).await?;
    for (currency, micros) in cost {
        *row.metric.cost_micros.entry(currency).or_default() += micros;
    }
    row.metric.unpriced += unpriced;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_happened() {
        let times: Vec<u64> = (1..=20).collect();
        assert_eq!((quantile(&times, 50), quantile(&times, 95)), (Some(10), Some(19)));
        assert_eq!((quantile(&[7], 50), quantile(&[7], 95), quantile(&[], 50)), (Some(7), Some(7), None));
    }
}
