//! A run that goes another way from a step on.

use std::collections::BTreeMap;
use std::time::Duration;

use neonhub_core::hub::closest;
use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{
    AgentRun, Driver, Edits, Entry, Fork, ForkEffects, RunView, ToolState, What, load_log,
};
use neonhub_core::{Error, ErrorKind, Permission, Principal, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::orchestrator::{AGENT as PLAN, PlanFork, drive_any, fork_plan};
use crate::registry::{
    Addressed, AgentSpec, Directory, ExecuteMode, Executed, FollowRun, PREPARE, Worker, pinned,
};

/// What is to be otherwise in a fork.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForkChanges {
    /// The model that answers from there on: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The instructions of the agent, in place of its prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The input of the intent, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub input: Option<Value>,
    /// Answers of tools, by the name of the call as the log has it: `turn/1/0`. For a plan outputs of nodes that were done, by
    /// their ids.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// Another version of the agent; the run then begins anew with the same input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Begins a run with the first steps of another one and goes on from there with what is changed; the first run stays as it
/// is. Steps are taken over as far as they still fit: where a change lets the agent ask for something else, it goes on from
/// there. Unless `effects` is `allow`, tools that change records or act on the world are not called: they answer what they
/// answered in the first run, or `{"simulated": true}`. A fork of a plan keeps the nodes that were done by then and does the
/// others anew, within the same bounds; it takes another model, and other outputs of nodes that were done. The new run names the
/// first in `forked_from`. Compare the two with `runs.diff`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForkRun {
    /// The run.
    pub id: String,
    /// So many entries of its log are looked at. Default: all but the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
    /// What is to be otherwise.
    pub changes: ForkChanges,
    /// Whether tools that change something are called. Default: `simulate`.
    pub effects: ForkEffects,
    /// Whether to wait until it ends or waits. Default: `sync`.
    pub mode: ExecuteMode,
    /// The same key is the same run of the agent, 1 to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Operation for ForkRun {
    type Output = Executed;
    const NAME: &'static str = "runs.fork";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const ERRORS: &'static [&'static str] =
        &["not_an_agent", "spec_changed", "unknown_intent", "idempotency_mismatch", "no_place"];

    async fn run(self, cx: &Scope) -> Result<Executed> {
        if let Principal::Agent { .. } = cx.principal() {
            // A fork stands in no line of runs, so that no bound of the run that asks would hold it.
            let why = "runs are forked by people: an agent asks another one with agents.execute";
            return Err(Error::new(ErrorKind::PermissionDenied, Self::NAME, why));
        }
        let row = cx.need::<AgentRun>(&self.id).await?.body;
        let run = if row.agent == PLAN && row.spec.is_none() {
            self.of_plan(cx, &row).await?
        } else {
            self.of_agent(cx, &row).await?
        };
        let view = match self.mode {
            ExecuteMode::Sync => drive_any(cx, &run.id).await?,
            ExecuteMode::Start => RunView { run, input: Value::Null, output: Value::Null },
        };
        if !view.run.status.is_final() {
            cx.outside().call(FollowRun { run: view.run.id.clone() }).await?;
        }
        Ok(Executed::of(&view.run, view.output))
    }

    fn examples() -> Vec<Self> {
        let id = "run_01kaf3w0000000000000000000".to_owned();
        let outputs = BTreeMap::from([("turn/1/0".to_owned(), json!({ "in_stock": false }))]);
        let changes = ForkChanges { outputs, ..ForkChanges::default() };
        let other = ForkChanges { model: Some("openai/gpt-5.4-mini".into()), ..ForkChanges::default() };
        vec![
            ForkRun { id: id.clone(), at: Some(9), changes, ..Self::default() },
            ForkRun { id, changes: other, mode: ExecuteMode::Start, ..Self::default() },
        ]
    }
}

impl ForkRun {
    /// A fork of a run of an agent.
    async fn of_agent(&self, cx: &Scope, row: &AgentRun) -> Result<AgentRun> {
        let spec = self.spec(cx, row).await?;
        let intent = row.intent.clone().unwrap_or_default();
        let asked = Addressed::of(cx.hub(), Self::NAME, &spec, &intent)?;
        if let Some(input) = &self.changes.input {
            asked.check(cx.hub(), Self::NAME, input)?;
        }
        let log = load_log(cx, &self.id).await?;
        let at = if self.changes.version.is_some() { Some(1) } else { self.at };
        let kept = log.get(..at.map_or(log.len(), |at| at as usize).min(log.len())).unwrap_or_default();
        let edits = Edits { input: self.changes.input.clone(), outputs: self.outputs(kept)? };
        let model = self.changes.model.clone();
        let fork =
            Fork { at, edits, model, effects: self.effects, key: self.key.clone(), spec: Some(spec.pin()?) };
        let driver = Driver::new(Worker::new(&spec, &intent, spec.limits).retrying(true));
        driver.fork(cx, &self.id, fork).await
    }

    /// A fork of a run of a plan.
    async fn of_plan(&self, cx: &Scope, row: &AgentRun) -> Result<AgentRun> {
        let changes = &self.changes;
        let others = [
            ("changes.prompt", changes.prompt.is_some()),
            ("changes.input", changes.input.is_some()),
            ("changes.version", changes.version.is_some()),
        ];
        if let Some((field, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
            let why = "expected nothing for a plan: change its nodes and run it with orchestrator.run";
            return Err(Error::invalid(Self::NAME, field, why));
        }
        let fork = PlanFork {
            at: self.at,
            outputs: changes.outputs.clone(),
            model: changes.model.clone(),
            effects: self.effects,
            key: self.key.clone(),
        };
        fork_plan(cx, Self::NAME, row, fork).await
    }

    /// The description of the agent that the fork is a run of.
    async fn spec(&self, cx: &Scope, row: &AgentRun) -> Result<AgentSpec> {
        let Some(pin) = &row.spec else {
            let why = "only runs of agents and plans are forked: call the operation again";
            return Err(Error::new(ErrorKind::Unsupported, Self::NAME, why)
                .with_code("not_an_agent")
                .with_context("agent", &row.agent));
        };
        if let Some(version) = &self.changes.version {
            let directory = Directory::load(cx).await?;
            return directory.need(Self::NAME, &row.agent, Some(version)).cloned();
        }
        let spec = pinned(cx, &row.agent, &pin.version).await?;
        if spec.pin()? == *pin {
            return Ok(spec);
        }
        let why = "the version of the agent that began this run has changed: name one in `changes.version`";
        Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("spec_changed"))
    }

    /// The answers of tools that are told otherwise; other instructions are one of them, since the run reads them in its
    /// first step.
    fn outputs(&self, kept: &[Entry]) -> Result<BTreeMap<String, Value>> {
        let mut done: BTreeMap<&str, &Value> = BTreeMap::new();
        for entry in kept {
            if let What::ToolDone { call, state, output, .. } = &entry.what {
                let output = if *state == ToolState::Landed { output } else { &Value::Null };
                done.insert(call.as_str(), output);
            }
        }
        let mut outputs = self.changes.outputs.clone();
        if let Some(unknown) = outputs.keys().find(|call| !done.contains_key(call.as_str())) {
            let near = closest(unknown, done.keys().copied()).join(", ");
            let why = format!("no tool was called by the name {unknown:?} up to there; close are {near}");
            return Err(Error::invalid(Self::NAME, "changes.outputs", why));
        }
        let Some(prompt) = &self.changes.prompt else { return Ok(outputs) };
        let prepared = done.iter().find(|(call, desk)| {
            call.split('~').next() == Some(PREPARE) && desk.get("system").is_some_and(Value::is_string)
        });
        let Some((call, desk)) = prepared else {
            let why =
                "expected a fork behind the step that reads the instructions; leave `at` and `version` out";
            return Err(Error::invalid(Self::NAME, "changes.prompt", why));
        };
        if desk.get("act").is_some_and(|act| !act.is_null()) {
            let why = "this intent is one operation: no model reads instructions";
            return Err(Error::invalid(Self::NAME, "changes.prompt", why));
        }
        let mut desk = (*desk).clone();
        if let Some(desk) = desk.as_object_mut() {
            desk.insert("system".to_owned(), Value::from(prompt.as_str()));
        }
        outputs.insert((*call).to_owned(), desk);
        Ok(outputs)
    }
}
