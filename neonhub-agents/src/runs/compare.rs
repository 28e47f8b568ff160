//! Two runs side by side.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, RunStatus, Used, What, load_log};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{feedback, spent};

/// One of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSide {
    /// The run.
    pub run: String,
    /// Its agent.
    pub agent: String,
    /// The version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it stands.
    pub status: RunStatus,
    /// What it has used. A fork counts the steps that it took over.
    pub used: Used,
    /// What its own calls of models cost, in micros by currency.
    pub cost_micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    pub unpriced: u64,
    /// Mean of what people said, by type: thumbs from -1 to 1, ratings from 1 to 5.
    pub score: BTreeMap<String, f64>,
}

/// The first step at which two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDifference {
    /// Number of the entry.
    pub seq: u32,
    /// What the first run did there; null when it had ended before.
    pub a: Value,
    /// What the second one did.
    pub b: Value,
}

/// How two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDiff {
    /// The first run.
    pub a: RunSide,
    /// The second run.
    pub b: RunSide,
    /// Steps that are the same, from the first on.
    pub same_steps: u32,
    /// Where they part; absent for two that do the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<RunDifference>,
    /// True when both came to the same output.
    pub same_output: bool,
}

/// Compares two runs: the first step at which they part, what they cost, and what people said about them. What every run
/// has for itself is left out: ids, instants, chance, tokens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffRuns {
    /// The first run.
    pub a: String,
    /// The second run.
    pub b: String,
}

impl Operation for DiffRuns {
    type Output = RunDiff;
    const NAME: &'static str = "runs.diff";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const MASKS: &'static [&'static str] = &["first_difference.a", "first_difference.b"];
    const ERRORS: &'static [&'static str] = &["log_broken"];

    async fn run(self, cx: &Scope) -> Result<RunDiff> {
        let (a, first) = (side(cx, &self.a).await?, steps(cx, &self.a).await?);
        let (b, second) = (side(cx, &self.b).await?, steps(cx, &self.b).await?);
        let same = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
        let at = |steps: &[Value]| steps.get(same).cloned().unwrap_or_default();
        let same_steps = u32::try_from(same).unwrap_or(u32::MAX);
        let parts = same < first.len().max(second.len());
        let difference = RunDifference { seq: same_steps, a: at(&first), b: at(&second) };
        let output = |steps: &[Value]| steps.last().and_then(|step| step.get("output")).cloned();
        Ok(RunDiff {
            same_steps,
            first_difference: parts.then_some(difference),
            same_output: a.status.is_final() && b.status.is_final() && output(&first) == output(&second),
            a,
            b,
        })
    }

    /// What went in and came out may speak of people.
    fn mask(output: &mut RunDiff) {
        if let Some(found) = &mut output.first_difference {
            (found.a, found.b) = (only_kind(&found.a), only_kind(&found.b));
        }
    }

    fn examples() -> Vec<Self> {
        vec![DiffRuns {
            a: "run_01kaf3w0000000000000000000".into(),
            b: "run_01kaf3w0000000000000000001".into(),
        }]
    }
}

fn only_kind(step: &Value) -> Value {
    step.get("kind").map_or(Value::Null, |kind| json!({ "kind": kind }))
}

async fn side(cx: &Scope, run: &str) -> Result<RunSide> {
    let run = cx.need::<AgentRun>(run).await?.body;
    let (cost_micros, unpriced) = spent::of(cx, &run.id).await?;
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for said in feedback::of_run(cx, &run.id).await? {
        if let Some(value) = said.value {
            values.entry(said.kind.word().to_owned()).or_default().push(value);
        }
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    Ok(RunSide {
        status: run.standing(cx),
        version: run.spec.map(|spec| spec.version),
        run: run.id,
        agent: run.agent,
        used: run.used,
        cost_micros,
        unpriced,
        score: values.into_iter().map(|(kind, values)| (kind, mean(values))).collect(),
    })
}

/// What a run did, without what is its own in any case.
async fn steps(cx: &Scope, run: &str) -> Result<Vec<Value>> {
    load_log(cx, run).await?.iter().map(|entry| step(&entry.what)).collect()
}

fn step(what: &What) -> Result<Value> {
    let mut step =
        serde_json::to_value(what).map_err(|cause| neonhub_core::Error::internal(DiffRuns::NAME, cause))?;
    let Some(fields) = step.as_object_mut() else { return Ok(step) };
    for own in ["effect", "seed", "receipt"] {
        fields.remove(own);
    }
    if let Some(request) = fields.get_mut("request").and_then(Value::as_object_mut) {
        request.remove("seed");
    }
    if let Some(answer) = fields.get_mut("answer").and_then(Value::as_object_mut) {
        answer.retain(|name, _| {
            ["text", "json", "tool_calls", "stop", "provider", "model"].contains(&name.as_str())
        });
    }
    Ok(step)
}
