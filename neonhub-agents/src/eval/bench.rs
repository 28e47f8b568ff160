//! What a version of an agent is worth: score, cost and time over a set.

use std::collections::BTreeMap;
use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{EvalRun, EvalSetHead};
use super::run::RunEvals;
use super::stats::Interval;
use crate::registry::quantile;

/// Plays a set with a version of an agent and gives its score, cost and time; the run over the set is kept, so that
/// versions can be compared with `evals.compare`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BenchmarkAgent {
    /// The agent.
    pub agent: String,
    /// A set of its cases.
    pub set: String,
    /// The version, which may be a draft. Default: the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model, as `provider/model`. Default: what the agent's route chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What a version of an agent came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Benchmark {
    /// The run over the set, for `evals.get_run` and `evals.compare`.
    pub run: String,
    /// The agent.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// Mean score with its 95 % interval.
    pub score: Interval,
    /// Share of cases that passed, 0..=1.
    pub pass_rate: f64,
    /// What models cost, in micros by currency.
    pub cost_micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    pub unpriced: u32,
    /// Median time of a case, in milliseconds.
    pub p50_ms: u64,
    /// Time that 95 of 100 cases ended within, in milliseconds.
    pub p95_ms: u64,
}

impl Operation for BenchmarkAgent {
    type Output = Benchmark;
    const NAME: &'static str = "agents.benchmark";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents, Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const ERRORS: &'static [&'static str] = RunEvals::ERRORS;

    async fn run(self, cx: &Scope) -> Result<Benchmark> {
        let head = cx.get::<EvalSetHead>(&self.set).await?;
        if head.is_some_and(|head| head.agent != self.agent) {
            return Err(Error::invalid(Self::NAME, "set", "expected a set of cases for this agent"));
        }
        let (version, model) = (self.version, self.model);
        let run = cx.call(RunEvals { set: self.set, version, model, ..RunEvals::default() }).await?;
        let mut times: Vec<u64> = run.results.iter().map(|result| result.took_ms).collect();
        times.sort_unstable();
        let EvalRun { id, agent, version, score, pass_rate, cost_micros, unpriced, .. } = run;
        Ok(Benchmark {
            run: id,
            agent,
            version,
            score,
            pass_rate,
            cost_micros,
            unpriced,
            p50_ms: quantile(&times, 50).unwrap_or_default(),
            p95_ms: quantile(&times, 95).unwrap_or_default(),
        })
    }

    fn examples() -> Vec<Self> {
        vec![BenchmarkAgent { agent: "support".into(), set: "support/returns".into(), ..Self::default() }]
    }
}
