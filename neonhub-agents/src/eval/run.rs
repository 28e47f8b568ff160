//! Playing a whole set.

use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grade::{Exam, grades};
use super::model::{CaseResult, EvalCase, EvalRun, EvalSet};
use super::replay::{Casting, Played, play};
use super::{set, stats};
use crate::registry::{Addressed, AgentSpec, Directory, pinned};

/// Outputs over this are not kept with their result.
const MOST_OUTPUT: usize = 64 << 10;
/// Misses that a result names; all are counted.
const MOST_MISSES: usize = 20;

/// Plays the cases of a set with a version of its agent and a model, and judges what comes out. Tools answer from the
/// record: nothing is called, sent or remembered, and without a model of the network there is no network. What was never
/// recorded is a miss, which the result names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunEvals {
    /// The set.
    pub set: String,
    /// The version of the agent, which may be a draft. Default: the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model, as `provider/model`. Default: what the agent's route chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// True to take the answers of the recorded runs instead of asking a model.
    pub is_recorded: bool,
    /// Only cases with one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Seed of the interval. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl Operation for RunEvals {
    type Output = EvalRun;
    const NAME: &'static str = "evals.run";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents, Permission::ReadContent];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = 64 << 20;
    const ERRORS: &'static [&'static str] =
        &["unknown_set", "unknown_agent", "unknown_intent", "agent_disabled", "spec_changed"];

    async fn run(self, cx: &Scope) -> Result<EvalRun> {
        if self.is_recorded && self.model.is_some() {
            return Err(Error::invalid(
                Self::NAME,
                "model",
                "expected no model where recorded answers are taken",
            ));
        }
        let mut found = set::load(cx, Self::NAME, &self.set).await?;
        if !self.tags.is_empty() {
            found.cases.retain(|case| case.tags.iter().any(|tag| self.tags.contains(tag)));
        }
        if found.cases.is_empty() {
            return Err(Error::invalid(Self::NAME, "tags", "expected tags that a case of the set has"));
        }
        let spec = spec_of(cx, Self::NAME, &found.agent, self.version.as_deref()).await?;
        let casting = Casting { model: self.model, is_recorded: self.is_recorded };
        let run = over(cx, Self::NAME, &spec, &found, &casting, self.seed.unwrap_or(1)).await?;
        cx.create(&run)?;
        Ok(run)
    }

    fn examples() -> Vec<Self> {
        let set = || "support/returns".to_owned();
        vec![
            RunEvals { set: set(), ..Self::default() },
            RunEvals {
                set: set(),
                version: Some("1.1.0".into()),
                tags: vec!["security".into()],
                ..Self::default()
            },
        ]
    }
}

/// Gives a run over a set with the result of every case.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetEvalRun {
    /// Its id.
    pub id: String,
}

impl Operation for GetEvalRun {
    type Output = EvalRun;
    const NAME: &'static str = "evals.get_run";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const MAX_OUTPUT: usize = 64 << 20;

    async fn run(self, cx: &Scope) -> Result<EvalRun> {
        Ok(cx.need::<EvalRun>(&self.id).await?.body)
    }

    fn examples() -> Vec<Self> {
        vec![GetEvalRun { id: "evr_01kaf3w0000000000000000000".into() }]
    }
}

/// The version of an agent that is to be tried; a named one may be a draft.
pub(super) async fn spec_of(
    cx: &Scope,
    operation: &'static str,
    agent: &str,
    version: Option<&str>,
) -> Result<AgentSpec> {
    match version {
        Some(version) => pinned(cx, agent, version).await.map_err(|error| error.for_operation(operation)),
        None => Directory::load(cx).await?.need(operation, agent, None).cloned(),
    }
}

/// Plays and judges every case; stores nothing.
pub(super) async fn over(
    cx: &Scope,
    operation: &'static str,
    spec: &AgentSpec,
    set: &EvalSet,
    casting: &Casting,
    seed: u64,
) -> Result<EvalRun> {
    let mut run = EvalRun {
        id: cx.new_id("evr"),
        set: set.name.clone(),
        agent: spec.name.clone(),
        version: spec.version.clone(),
        is_recorded: casting.is_recorded,
        started_at: cx.now(),
        ..EvalRun::default()
    };
    for (done, case) in set.cases.iter().enumerate() {
        cx.progress(operation, done as u64, set.cases.len() as u64, case.name.as_str());
        let wanted = Addressed::of(cx.hub(), operation, spec, &case.intent)?.output;
        let asked = (case.intent.as_str(), &case.input, &case.context);
        let began = cx.now();
        let played = play(cx, operation, spec, asked, casting).await?;
        let took_ms = u64::try_from(cx.now().since(began).as_millis()).unwrap_or(u64::MAX);
        let result = CaseResult { took_ms, ..judged(cx, case, &played, &wanted).await? };
        book(&mut run, played);
        run.results.push(result);
    }
    run.models.extend(casting.model.clone());
    run.models.sort();
    run.models.dedup();
    let scores: Vec<f64> = run.results.iter().map(|result| result.score).collect();
    run.score = stats::interval(&scores, seed);
    let passed = run.results.iter().filter(|result| result.is_passed).count();
    run.pass_rate = passed as f64 / run.results.len().max(1) as f64;
    run.ended_at = cx.now();
    Ok(run)
}

/// Grades what came of a case.
pub(super) async fn judged(
    cx: &Scope,
    case: &EvalCase,
    played: &Played,
    wanted: &Value,
) -> Result<CaseResult> {
    let grades = grades(cx, &Exam { case, played, wanted }).await?;
    let mean = grades.iter().map(|grade| grade.score).sum::<f64>() / grades.len().max(1) as f64;
    let is_short = played.output.to_string().len() <= MOST_OUTPUT;
    Ok(CaseResult {
        case: case.name.clone(),
        hash: set::fingerprint(case)?,
        tags: case.tags.clone(),
        // A model that was away says nothing about an agent, least of all that it is safe.
        score: if played.is_broken { 0.0 } else { mean },
        is_passed: !played.is_broken && grades.iter().all(|grade| grade.is_passed),
        grades,
        misses: played.misses.iter().take(MOST_MISSES).cloned().collect(),
        output: if is_short { played.output.clone() } else { Value::Null },
        failure: played.failure.clone(),
        is_broken: played.is_broken,
        model_calls: played.model_calls,
        tokens: played.tokens,
        took_ms: 0,
    })
}

fn book(run: &mut EvalRun, played: Played) {
    run.models.extend(played.models);
    run.is_offline |= played.is_offline;
    run.misses += u32::try_from(played.misses.len()).unwrap_or(u32::MAX);
    if run.is_recorded {
        // What the recorded answers cost was paid then.
        return;
    }
    run.unpriced += played.unpriced;
    for (currency, micros) in played.cost_micros {
        *run.cost_micros.entry(currency).or_default() += micros;
    }
}
