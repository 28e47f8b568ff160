//! Operations on runs: see them, list them, cancel them, answer their waits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entry::{Entry, RunStatus, What};
use super::execution::{ToolExecution, executions};
use super::journal;
use super::receipt::CallCost;
use super::record::AgentRun;
use crate::approval::QUESTION;
use crate::economy::TokenUsage;
use crate::op::{Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query};
use crate::{Error, ErrorKind, Principal, Result, Scope, Timestamp};

/// Calls of models whose cost is added up.
const MOST_CALLS: usize = 500;

/// Gives a run with its input, its output and its calls of tools, and its log if asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GetRun {
    /// Id of the run.
    pub id: String,
    /// True to add every entry of its log.
    pub with_log: bool,
}

/// One entry of a log for a reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Number in the run.
    pub seq: u32,
    /// Word of its kind.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What it says.
    pub data: Value,
}

/// A run with what went in and came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDetails {
    /// Its standing; `interrupted` when its process is gone.
    pub run: AgentRun,
    /// One line for a reader.
    pub summary: String,
    /// Its input.
    pub input: Value,
    /// Its output, null until it has one.
    pub output: Value,
    /// What its own calls of models have cost so far; absent where they were free. Runs below it have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CallCost>,
    /// Its calls of tools, in order of their planning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolExecution>,
    /// Its log, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
}

impl Operation for GetRun {
    type Output = RunDetails;
    const NAME: &'static str = "agents.get_run";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<RunDetails> {
        let mut run = cx.need::<AgentRun>(&self.id).await?.body;
        let (input, output) = journal::ends(cx, &run).await?;
        let log = journal::load(cx, &run.id).await?;
        let tools = executions(&run.id, &log)?;
        run.status = run.standing(cx);
        let shown = if self.with_log { log.as_slice() } else { &[] };
        let log = shown.iter().map(line).collect::<Result<_>>()?;
        let cost = cost(cx, &run.id).await?;
        Ok(RunDetails { summary: run.summary(), run, input, output, cost, tools, log })
    }
    /// What went in and came out may speak of people: without `read:pii` only the standing and the kinds are left.
    fn mask(output: &mut RunDetails) {
        (output.input, output.output) = (Value::Null, Value::Null);
        output.run.signals.clear();
        output.tools.iter_mut().for_each(|tool| tool.args = Value::Null);
        output.log.iter_mut().for_each(|line| line.data = Value::Null);
    }
    fn examples() -> Vec<Self> {
        vec![GetRun { id: "run_01kaf3w0000000000000000000".into(), with_log: true }]
    }
}

/// What the models of a run have cost.
async fn cost(cx: &Scope, run: &str) -> Result<Option<CallCost>> {
    let mut sum = CallCost::default();
    // As many as a run may make at most, tries of other models included.
    let query = Query::index("run").prefix(Key::text(run)).limit(MOST_CALLS);
    cx.query::<TokenUsage>(&query).await?.iter().for_each(|used| sum.add(used));
    Ok((!sum.is_free()).then_some(sum))
}

fn line(entry: &Entry) -> Result<LogLine> {
    let data = serde_json::to_value(&entry.what).map_err(|cause| Error::internal(GetRun::NAME, cause))?;
    Ok(LogLine {
        seq: entry.seq,
        kind: entry.what.word().to_owned(),
        at: entry.at,
        actor: entry.actor.clone(),
        data,
    })
}

/// Lists runs, newest first. At most one of `agent`, `campaign_id` and `status` chooses.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListRuns {
    /// Only runs of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs of this campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// Only runs with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Most runs of a page, 1..=500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl ListRuns {
    fn query(&self) -> Result<Query> {
        let query = match (&self.agent, &self.campaign_id, self.status) {
            (None, None, None) => Query::by_id(),
            (Some(agent), None, None) => Query::index("agent").prefix(Key::text(agent)),
            (None, Some(id), None) => Query::index("campaign").prefix(Key::text(id)),
            // What shows as interrupted is stored as running.
            (None, None, Some(RunStatus::Interrupted)) => {
                Query::index("status").prefix(Key::text(RunStatus::Running.word()))
            }
            (None, None, Some(status)) => Query::index("status").prefix(Key::text(status.word())),
            _ => {
                let message = "expected at most one of agent, campaign_id and status";
                return Err(Error::invalid(Self::NAME, "status", message));
            }
        };
        Ok(query.descending().limit(self.limit.unwrap_or(50).clamp(1, 500) as usize))
    }
}

impl Operation for ListRuns {
    type Output = Page<AgentRun>;
    const NAME: &'static str = "agents.list_runs";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<AgentRun>> {
        let page = cx.page::<AgentRun>(self.query()?, self.cursor.as_deref()).await?;
        let shown = page.items.into_iter().map(|row| {
            let mut run = row.body;
            run.status = run.standing(cx);
            run
        });
        let wanted = |run: &AgentRun| self.status.is_none_or(|s| run.status == s);
        Ok(Page { items: shown.filter(wanted).collect(), next: page.next })
    }
    fn mask(output: &mut Page<AgentRun>) {
        output.items.iter_mut().for_each(|run| run.signals.clear());
    }
    fn examples() -> Vec<Self> {
        vec![ListRuns { agent: Some("campaign".into()), limit: Some(20), ..Self::default() }]
    }
}

/// Cancels a run. One that a process works on stops at its next await; calls already on their way are reported in
/// its output. A run at its end stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    /// Id of the run.
    pub id: String,
}

impl Operation for CancelRun {
    type Output = AgentRun;
    const NAME: &'static str = "runs.cancel";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<AgentRun> {
        let mut row = cx.need::<AgentRun>(&self.id).await?;
        if row.status.is_final() {
            return Ok(row.body);
        }
        if row.status == RunStatus::Running && row.is_held(cx) {
            row.body.cancel_asked = true;
            cx.save(&row)?;
            return Ok(row.body);
        }
        let run = &mut row.body;
        let entry = Entry {
            seq: run.used.steps,
            at: cx.now(),
            actor: cx.label().to_owned(),
            what: What::Finished { status: RunStatus::Cancelled, output: json!({}), failure: None },
        };
        run.status = RunStatus::Cancelled;
        run.used.steps += 1;
        run.ended_at = Some(cx.now());
        run.cancel_asked = true;
        (run.wait_reason, run.wake_at) = (None, None);
        journal::stage(cx, run, std::slice::from_ref(&entry)).await?;
        cx.save(&row)?;
        Ok(row.body)
    }
    fn examples() -> Vec<Self> {
        vec![CancelRun { id: "run_01kaf3w0000000000000000000".into() }]
    }
}

/// Answers what a run waits for. The run takes it up when it is driven next. What a person is to decide is answered by the
/// operations on approvals; whether a call landed is for people to say, not for agents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalRun {
    /// Id of the run.
    pub id: String,
    /// Name of the wait.
    pub wait: String,
    /// What comes with it. For the question whether a call landed: `{"landed": true, "output": ...}`.
    #[serde(default)]
    pub payload: Value,
}

impl Operation for SignalRun {
    type Output = AgentRun;
    const NAME: &'static str = "runs.signal";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["run_finished", "not_a_person"];
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<AgentRun> {
        if self.wait.starts_with(QUESTION) {
            let why =
                "expected a wait for a signal: a question is answered by approvals.approve or approvals.deny";
            return Err(Error::invalid(Self::NAME, "wait", why));
        }
        if let (true, Principal::Agent { .. }) = (self.wait.starts_with('?'), cx.principal()) {
            let why = "people say whether a call landed: an agent cannot know";
            return Err(Error::new(ErrorKind::PermissionDenied, Self::NAME, why).with_code("not_a_person"));
        }
        let mut row = cx.need::<AgentRun>(&self.id).await?;
        if row.status.is_final() {
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, "the run is at its end")
                .with_code("run_finished")
                .with_context("status", row.status.word()));
        }
        row.body.signals.insert(self.wait, self.payload);
        cx.save(&row)?;
        Ok(row.body)
    }
    fn examples() -> Vec<Self> {
        let id = "run_01kaf3w0000000000000000000".into();
        vec![SignalRun { id, wait: "approve/plan".into(), payload: json!({ "approved": true }) }]
    }
}
