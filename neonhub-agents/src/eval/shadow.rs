//! The last runs of an agent on another model, before it is switched.

use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{AgentRun, GetRun, RunStatus};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::{Comparison, compare};
use super::grade::{self, Grader};
use super::model::{EvalCase, EvalRun};
use super::promote::case_of;
use super::replay::{Called, Casting, Played, play};
use super::run::judged;
use crate::registry::{Addressed, pinned};

/// Runs of one report, and how far back they are looked for.
const DEFAULT_RUNS: u32 = 10;
const MOST_RUNS: u32 = 50;
const LOOK_BACK: usize = 500;

/// Plays the last runs of an agent again on a model that may take over, with the recorded answers of tools: what differs,
/// what it costs, and whether it is worse. Nothing is called, sent, changed or kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowModel {
    /// The agent.
    pub agent: String,
    /// The model that may take over, as `provider/model`.
    pub successor: String,
    /// How many of its last completed runs, 1..=50. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// How outputs are judged; what was answered then is what is expected. Default: schema and guardrail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub graders: Vec<Grader>,
    /// Seed of the interval. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One run on both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowRun {
    /// The run.
    pub run: String,
    /// Version of the agent.
    pub version: String,
    /// Whether the output is the same.
    pub is_same_output: bool,
    /// The first call of a tool that is another one: its place from 0, what was called, and what is called now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverges: Option<Divergence>,
    /// Score of the recorded run, 0..=1.
    pub baseline: f64,
    /// Score of the successor, 0..=1.
    pub successor: f64,
    /// Word of each grader the successor failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Tools it asked something for that was not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<String>,
    /// True when the successor gave no answer.
    pub is_broken: bool,
}

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Divergence {
    /// The place among the calls, from 0.
    pub at: u32,
    /// The tool then; absent: there was no further call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// The tool now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// A run that cannot be played again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedRun {
    /// The run.
    pub run: String,
    /// Why.
    pub why: String,
}

/// What a successor would have done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowReport {
    /// The agent.
    pub agent: String,
    /// The model.
    pub successor: String,
    /// The runs, newest first.
    pub runs: Vec<ShadowRun>,
    /// Runs that cannot be played again.
    pub skipped: Vec<SkippedRun>,
    /// Whether it is better or worse, and what it costs more or less. Cases are runs.
    pub comparison: Comparison,
}

impl Operation for ShadowModel {
    type Output = ShadowReport;
    const NAME: &'static str = "models.shadow";
    // Logs are read whole: the successor is asked what was asked then.
    const NEEDS: &'static [Permission] =
        &[Permission::ExecuteAgents, Permission::ReadAnalytics, Permission::ReadPii];
    const EFFECT: Effect = Effect::Read;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);

    async fn run(self, cx: &Scope) -> Result<ShadowReport> {
        let n = self.n.unwrap_or(DEFAULT_RUNS);
        if !(1..=MOST_RUNS).contains(&n) {
            return Err(Error::invalid(Self::NAME, "n", "expected 1..50"));
        }
        if self.successor.is_empty() {
            return Err(Error::invalid(Self::NAME, "successor", "expected a model as provider/model"));
        }
        let graders = if self.graders.is_empty() { default_graders() } else { self.graders.clone() };
        let sample =
            EvalCase { graders: graders.clone(), expected: Some(Value::Null), ..EvalCase::default() };
        let mut faults = neonhub_core::Faults::new();
        grade::check(&sample, "shadow", &mut faults);
        faults.into_result(Self::NAME)?;
        let casting = Casting { model: Some(self.successor.clone()), is_recorded: false };
        let (mut old, mut new) = (EvalRun::default(), EvalRun::default());
        let (mut runs, mut skipped) = (Vec::new(), Vec::new());
        for id in last_runs(cx, &self.agent, n as usize).await? {
            match shadow(cx, &id, &graders, &casting, (&mut old, &mut new)).await {
                Ok(run) => runs.push(run),
                Err(error) if error.kind() == neonhub_core::ErrorKind::Cancelled => return Err(error),
                Err(error) => skipped.push(SkippedRun { run: id, why: error.message().to_owned() }),
            }
        }
        let comparison = compare(&old, &new, self.seed.unwrap_or(1));
        Ok(ShadowReport { agent: self.agent, successor: self.successor, runs, skipped, comparison })
    }

    fn examples() -> Vec<Self> {
        let (agent, successor) = ("support".into(), "offline/offline-rules-1".into());
        vec![ShadowModel { agent, successor, n: Some(20), ..Self::default() }]
    }
}

fn default_graders() -> Vec<Grader> {
    vec![
        Grader::Schema { schema: Value::Null },
        Grader::Guardrail { channel: String::new(), must_not_say: Vec::new() },
    ]
}

/// Ids of the last completed runs that asked a model.
async fn last_runs(cx: &Scope, agent: &str, n: usize) -> Result<Vec<String>> {
    let query = Query::index("agent").prefix(Key::text(agent)).descending().limit(LOOK_BACK);
    let rows = cx.query::<AgentRun>(&query).await?;
    let fits =
        |run: &AgentRun| run.status == RunStatus::Completed && run.spec.is_some() && run.used.model_calls > 0;
    Ok(rows.into_iter().map(|row| row.body).filter(fits).take(n).map(|run| run.id).collect())
}

async fn shadow(
    cx: &Scope,
    id: &str,
    graders: &[Grader],
    casting: &Casting,
    (old, new): (&mut EvalRun, &mut EvalRun),
) -> Result<ShadowRun> {
    const OPERATION: &str = ShadowModel::NAME;
    let details = cx.outside().call(GetRun { id: id.to_owned(), with_log: true }).await?;
    let case = EvalCase { graders: graders.to_vec(), ..case_of(OPERATION, &details)? };
    let version = case.context.version.clone().unwrap_or_default();
    let spec = pinned(cx, &details.run.agent, &version).await?;
    let wanted = Addressed::of(cx.hub(), OPERATION, &spec, &case.intent)?.output;
    let asked = (case.intent.as_str(), &case.input, &case.context);
    let recorded = Casting { model: None, is_recorded: true };
    let before = play(cx, OPERATION, &spec, asked, &recorded).await?;
    let after = play(cx, OPERATION, &spec, asked, casting).await?;
    let was = judged(cx, &case, &before, &wanted).await?;
    let now = judged(cx, &case, &after, &wanted).await?;
    let failed = now.grades.iter().filter(|grade| !grade.is_passed).map(|grade| grade.grader.clone());
    let shown = ShadowRun {
        run: id.to_owned(),
        version,
        is_same_output: before.output == after.output,
        diverges: divergence(&before.calls, &after.calls),
        baseline: was.score,
        successor: now.score,
        failed: failed.collect(),
        misses: after.misses.iter().map(|miss| miss.tool.clone()).collect(),
        is_broken: now.is_broken,
    };
    for (run, played, result) in [(old, before, was), (new, after, now)] {
        add(run, played);
        run.results.push(result);
    }
    Ok(shown)
}

fn add(run: &mut EvalRun, played: Played) {
    for (currency, micros) in played.cost_micros {
        *run.cost_micros.entry(currency).or_default() += micros;
    }
}

fn divergence(then: &[Called], now: &[Called]) -> Option<Divergence> {
    let at = (0..then.len().max(now.len())).find(|at| then.get(*at) != now.get(*at))?;
    let name = |calls: &[Called]| calls.get(at).map(|call| call.tool.clone());
    Some(Divergence { at: u32::try_from(at).unwrap_or(u32::MAX), then: name(then), now: name(now) })
}
