//! Asking an agent for something.

use std::time::Duration;

use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{AgentRun, Failure, NewRun, RunStatus, RunView};
use neonhub_core::{Error, Faults, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::Directory;
use super::job::FollowRun;
use super::room;
use super::start::{self, Terms};

/// Longest time a run may be given: a day.
const MAX_DEADLINE_MS: u64 = 24 * 3_600_000;

/// Whether a call waits for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecuteMode {
    /// Until it ends or waits for somebody.
    #[default]
    Sync,
    /// Not at all: workers of the queue `agents.run` drive it.
    Start,
}

/// Asks an agent for something. Name `agent` and `intent`, or the intent alone as `agent.intent`; a bare intent will do
/// when one agent has it.
///
/// The input is checked against the schema of the intent first; what does not fit makes no run. The agent acts with
/// the rights that both it and the caller have. At most eight runs of a workspace work at a time, others wait. What fails
/// before it has changed anything is tried three times. While an agent is away, by its checks or because its runs failed
/// three times in a row, the agent it names in `fallback` stands in; the answer says which agent it was. A run that waits for a person goes on by itself once workers run. A
/// failure of the run is no error: it stands in the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExecuteAgent {
    /// The agent: `campaign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it is asked for: `plan`, or `campaign.plan`. May be left out for an agent with one intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The version of the agent. Default: the one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The input of the intent, an object. Default: empty.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub input: Value,
    /// Whether to wait for it. Default: `sync`.
    pub mode: ExecuteMode,
    /// The same key is the same run of the agent, 1 to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Most money for models of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// Most time the run may work, waits apart, in milliseconds, up to a day. Default: that of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The campaign it works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// The person it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person_id: Option<String>,
}

/// A run as its caller sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Executed {
    /// Id of the run, for `agents.get_run`, `runs.cancel` and `runs.signal`.
    pub run: String,
    /// The agent.
    pub agent: String,
    /// What it was asked for.
    pub intent: String,
    /// Its version.
    pub version: String,
    /// Where the run stands.
    pub status: RunStatus,
    /// What it waits for, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_reason: Option<String>,
    /// The output in the shape of the intent; null until it has one.
    pub output: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// True when the offline model made a part of it.
    pub is_offline: bool,
    /// One line for a reader.
    pub summary: String,
}

impl Executed {
    pub(crate) fn of(run: &AgentRun, output: Value) -> Self {
        Executed {
            run: run.id.clone(),
            agent: run.agent.clone(),
            intent: run.intent.clone().unwrap_or_default(),
            version: run.spec.as_ref().map(|spec| spec.version.clone()).unwrap_or_default(),
            status: run.status,
            wait_reason: run.wait_reason.clone(),
            output,
            failure: run.failure.clone(),
            is_offline: run.origin.is_some_and(|origin| origin.is_offline()),
            summary: run.summary(),
        }
    }

    /// The output of a run that was to complete.
    ///
    /// # Errors
    /// The failure of the run; `Cancelled`; `Conflict`, code `run_waiting`, while it is not at its end.
    pub fn into_output(self) -> Result<Value> {
        use neonhub_core::ErrorKind::{Cancelled, Conflict};
        match (self.status, &self.failure) {
            (RunStatus::Completed, _) => Ok(self.output),
            (_, Some(failure)) => Err(failure.to_error().with_context("run", &self.run)),
            (RunStatus::Cancelled, None) => {
                Err(Error::new(Cancelled, "agents.execute", "the run was cancelled")
                    .with_context("run", &self.run))
            }
            _ => Err(Error::new(Conflict, "agents.execute", "the run is not at its end")
                .with_code("run_waiting")
                .with_context("run", &self.run)),
        }
    }
}

impl ExecuteAgent {
    /// Asks for an intent by its address, such as `campaign.plan`.
    #[must_use]
    pub fn new(intent: impl Into<String>, input: Value) -> Self {
        ExecuteAgent { intent: Some(intent.into()), input, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let within = self.deadline_ms.is_none_or(|ms| (1..=MAX_DEADLINE_MS).contains(&ms));
        faults.check(within, "deadline_ms", "expected 1..86 400 000 milliseconds");
        faults.check(self.budget.is_none_or(|money| money.minor > 0), "budget", "expected more than nothing");
        let is_input = self.input.is_object() || self.input.is_null();
        faults.check(is_input, "input", "expected an object");
        faults.into_result(Self::NAME)
    }
}

impl Operation for ExecuteAgent {
    type Output = Executed;
    const NAME: &'static str = "agents.execute";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const ERRORS: &'static [&'static str] = &[
        "unknown_agent",
        "unknown_intent",
        "ambiguous_intent",
        "agent_disabled",
        "agent_quota",
        "agent_unavailable",
        "breaker_open",
        "no_place",
        "idempotency_mismatch",
        "too_deep",
        "too_many_runs",
        "loop_detected",
    ];

    async fn run(self, cx: &Scope) -> Result<Executed> {
        self.check()?;
        let directory = Directory::load(cx).await?;
        let (agent, intent) = (self.agent.as_deref(), self.intent.as_deref());
        let asked = directory.address(cx.hub(), Self::NAME, agent, intent, self.version.as_deref())?;
        let mut new = NewRun::new(if self.input.is_null() { json!({}) } else { self.input });
        if let Some(key) = self.key {
            new = new.key(key);
        }
        if let Some(id) = self.campaign_id {
            new = new.campaign(id);
        }
        if let Some(id) = self.person_id {
            new = new.person(id);
        }
        let terms = Terms { budget: self.budget, wall_ms: self.deadline_ms, ..Terms::of_caller(cx).await? };
        // Who finds no room leaves no run behind.
        let place = match self.mode {
            ExecuteMode::Sync => room::take(cx, room::caller(cx)).await?,
            ExecuteMode::Start => None,
        };
        let view = match self.mode {
            ExecuteMode::Sync => start::execute(cx, Self::NAME, &asked, new, &terms, place).await?,
            ExecuteMode::Start => {
                let run = start::start(cx, Self::NAME, &asked, new, &terms).await?;
                RunView { run, input: Value::Null, output: Value::Null }
            }
        };
        if !view.run.status.is_final() {
            cx.outside().call(FollowRun { run: view.run.id.clone() }).await?;
        } else if self.mode == ExecuteMode::Start {
            // The key led to a run at its end: its output is there already.
            let view = start::drive(cx, &view.run.id).await?;
            return Ok(Executed::of(&view.run, view.output));
        }
        Ok(Executed::of(&view.run, view.output))
    }

    fn examples() -> Vec<Self> {
        let input = json!({ "message": "How long may I return a parcel?" });
        vec![
            ExecuteAgent { agent: Some("support".into()), input: input.clone(), ..Self::default() },
            ExecuteAgent {
                mode: ExecuteMode::Start,
                key: Some("ticket-17".into()),
                ..ExecuteAgent::new("support.suggest_reply", input)
            },
        ]
    }
}
