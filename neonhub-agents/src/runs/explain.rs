//! Why a run did what it did.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::approval::{Approval, ListApprovals, Vote};
use neonhub_core::llm::{LlmRequest, Taint};
use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::run::{AgentRun, Entry, RunStatus, ToolState, WaitOn, What, load_log};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::feedback::{self, Feedback};
use super::receipt::told;
use super::spent;
use crate::registry::PREPARE;

/// Longest words of a step, in characters.
// Our choice: a paragraph; the log has the rest.
const WORDS: usize = 400;

/// One step of a run and its reasons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReason {
    /// Number of the entry in the log.
    pub seq: u32,
    /// When.
    pub at: Timestamp,
    /// What happened, in one sentence without personal data.
    pub what: String,
    /// Why it could happen or had to: who asked, what was read before, which policies, who decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// The words themselves: an answer, an input, an output. Cut after 400 characters; hidden without `read:pii`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// Why a run did what it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunExplanation {
    /// The run as it stands.
    pub run: AgentRun,
    /// One line for a reader.
    pub summary: String,
    /// Its steps in order.
    pub steps: Vec<RunReason>,
    /// What its models cost, in micros by currency.
    pub cost_micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    pub unpriced: u64,
    /// What it asked people, and what they decided; for callers with `approve:effects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// The runs that it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// What people said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<Feedback>,
}

/// Explains a run step by step: what it did and why, what the model had read before, which policies asked whom, what each
/// answer cost. Made from the log alone; no model is asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRun {
    /// The run.
    pub id: String,
}

impl Operation for ExplainRun {
    type Output = RunExplanation;
    const NAME: &'static str = "runs.explain";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const MASKS: &'static [&'static str] = &[
        "run.signals",
        "steps.words",
        "approvals.args",
        "approvals.tainted_spans.text",
        "feedback.text",
        "feedback.corrected_text",
    ];
    const ERRORS: &'static [&'static str] = &["log_broken"];

    async fn run(self, cx: &Scope) -> Result<RunExplanation> {
        let mut run = cx.need::<AgentRun>(&self.id).await?.body;
        run.status = run.standing(cx);
        let log = load_log(cx, &self.id).await?;
        let approvals = approvals(cx, &self.id).await?;
        let (cost_micros, unpriced) = spent::of(cx, &self.id).await?;
        let below = super::all::<AgentRun>(cx, Query::index("parent").prefix(Key::text(&self.id))).await?;
        let children = below.into_iter().map(|run| run.id).collect();
        let feedback = feedback::of_run(cx, &self.id).await?;
        let mut teller = Teller {
            run: &run,
            approvals: &approvals,
            read: BTreeSet::new(),
            asked: BTreeMap::new(),
            allowed: BTreeSet::new(),
        };
        let steps = log.iter().filter_map(|entry| teller.tell(entry)).collect();
        let approvals = if may_read_approvals(cx) { approvals } else { Vec::new() };
        Ok(RunExplanation {
            summary: run.summary(),
            steps,
            cost_micros,
            unpriced,
            children,
            feedback,
            approvals,
            run,
        })
    }

    /// What went in and came out may speak of people.
    fn mask(output: &mut RunExplanation) {
        output.run.signals.clear();
        output.steps.iter_mut().for_each(|step| step.words = None);
        output.feedback.iter_mut().for_each(feedback::hide);
        hide_approvals(&mut output.approvals);
    }

    fn examples() -> Vec<Self> {
        vec![ExplainRun { id: "run_01kaf3w0000000000000000000".into() }]
    }
}

/// What a run asked people.
pub(super) async fn approvals(cx: &Scope, run: &str) -> Result<Vec<Approval>> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = ListApprovals { run: Some(run.to_owned()), cursor, limit: Some(500), state: None };
        let page = page.run(cx).await?;
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Whether the caller could list these questions as well.
fn may_read_approvals(cx: &Scope) -> bool {
    ListApprovals::NEEDS.iter().all(|needed| cx.permissions().has(*needed))
}

/// Takes out of questions what may speak of people.
pub(super) fn hide_approvals(approvals: &mut Vec<Approval>) {
    let mut page = Page { items: std::mem::take(approvals), next: None };
    ListApprovals::mask(&mut page);
    *approvals = page.items;
}

struct Teller<'r> {
    run: &'r AgentRun,
    approvals: &'r [Approval],
    /// Labels of what the model has read so far.
    read: BTreeSet<&'static str>,
    /// The questions behind waits.
    asked: BTreeMap<String, String>,
    /// Calls that may use more than a quota allows.
    allowed: BTreeSet<String>,
}

impl Teller<'_> {
    /// A step in words; none for entries that only say that something is on its way.
    fn tell(&mut self, entry: &Entry) -> Option<RunReason> {
        let (what, because, words) = match &entry.what {
            What::Started { agent, input, .. } => self.started(agent, input),
            What::ModelPlanned { request, .. } => self.asked(request),
            What::ModelCalled { call, attempt, provider } if *attempt > 1 => {
                let why = if self.allowed.remove(call) {
                    "more was allowed than the quota does"
                } else {
                    "its process ended before the answer was written down"
                };
                let what = format!("{provider} was asked again, for the {attempt}. time");
                (what, vec![why.to_owned()], None)
            }
            What::ModelDone { answer: Some(answer), receipt, .. } => {
                let tools: Vec<&str> = answer.tool_calls.iter().map(|call| call.name.as_str()).collect();
                let wants =
                    if tools.is_empty() { String::new() } else { format!(" and wants {}", tools.join(", ")) };
                let tokens = format!("{} tokens in and out", answer.usage.total());
                let what = format!("{}/{} answered{wants}", answer.provider, answer.model);
                let mut because = vec![tokens];
                because.extend(told(receipt.as_deref()));
                (what, because, Some(answer.text.clone()))
            }
            What::ModelDone { failure, receipt, .. } => {
                let why = failure.as_ref().map(|f| format!("{}: {}", f.code, f.message));
                let because = why.into_iter().chain(told(receipt.as_deref())).collect();
                ("the model gave no answer".to_owned(), because, None)
            }
            What::ToolPlanned { call, tool, args, class, .. } => {
                let why = if call.starts_with("turn/") {
                    "the model asked for it"
                } else {
                    "the program asked for it"
                };
                let what = format!("{tool} was called ({})", class.word());
                (what, vec![why.to_owned()], Some(args.to_string()))
            }
            What::ToolCalled { .. } => {
                let why = "it was found that the call before did not happen".to_owned();
                ("the tool was called again".to_owned(), vec![why], None)
            }
            What::ToolDone { call, state, output, failure, receipt } => {
                let (what, mut because, words) = tool_done(call, *state, output, failure.as_ref());
                because.extend(told(receipt.as_deref()));
                (what, because, words)
            }
            What::Wait { wait, on } => self.waits(wait, on),
            What::Woken { wait, payload } => self.woken(wait, payload),
            What::Emitted { event, .. } => (format!("it published {event}"), Vec::new(), None),
            What::Budget { limit, used, allowed } => {
                (format!("it reached its bound of {limit}"), vec![format!("{used} of {allowed}")], None)
            }
            What::Note { text } => ("somebody noted something".to_owned(), Vec::new(), Some(text.clone())),
            What::Finished { status, output, failure } => {
                let why = match (status, failure) {
                    (RunStatus::Cancelled, _) => Some(format!("{} cancelled it", entry.actor)),
                    (_, Some(failure)) => Some(format!("{}: {}", failure.code, failure.message)),
                    _ => None,
                };
                (format!("it ended: {}", status.word()), why.into_iter().collect(), Some(output.to_string()))
            }
            _ => return None,
        };
        let words = words.filter(|words| !words.is_empty()).map(|words| cut(&words));
        Some(RunReason { seq: entry.seq, at: entry.at, what, because, words })
    }

    fn started(&self, agent: &str, input: &Value) -> Told {
        let intent = self.run.intent.as_deref().map(|intent| format!(".{intent}")).unwrap_or_default();
        let mut because = vec![format!("{} asked for it", self.run.principal)];
        because.extend(self.run.spec.as_ref().map(|spec| format!("version {} of the agent", spec.version)));
        because.extend(self.run.parent_run.as_ref().map(|above| format!("for the run {above}")));
        because.extend(
            self.run
                .forked_from
                .as_ref()
                .map(|fork| format!("forked from {} after {} entries", fork.run, fork.at)),
        );
        (format!("{agent}{intent} began"), because, Some(input.to_string()))
    }

    fn asked(&mut self, request: &LlmRequest) -> Told {
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        self.read.extend(parts.map(|part| part.taint).filter_map(outside));
        let asked = match (&request.model, &request.route) {
            (Some(model), _) => format!("the model {model} was to answer"),
            (None, Some(route)) => format!("a model of the route {route} was to answer"),
            (None, None) => "the default model was to answer".to_owned(),
        };
        let mut because =
            vec![format!("with {} messages and {} tools", request.messages.len(), request.tools.len())];
        if !self.read.is_empty() {
            let read: Vec<&str> = self.read.iter().copied().collect();
            because.push(format!("it had read from outside: {}", read.join(", ")));
        }
        (asked, because, None)
    }

    fn question(&self, wait: &str) -> Option<&Approval> {
        let id = self.asked.get(wait)?;
        self.approvals.iter().find(|question| question.id.as_str() == id)
    }

    fn waits(&mut self, wait: &str, on: &WaitOn) -> Told {
        let WaitOn::Approval { summary, approval } = on else {
            return (format!("it waited for {}", on.reason()), Vec::new(), None);
        };
        self.asked.extend(approval.iter().map(|id| (wait.to_owned(), id.clone())));
        let question = self.question(wait);
        let mut because = vec![summary.clone()];
        if let Some(question) = question.filter(|question| !question.policies.is_empty()) {
            because.push(format!("by the policies {}", question.policies.join(", ")));
        }
        if let Some(question) = question.filter(|question| !question.tainted_spans.is_empty()) {
            because.push(format!("{} parts of the call come from outside", question.tainted_spans.len()));
        }
        ("it asked a person".to_owned(), because, None)
    }

    fn woken(&mut self, wait: &str, payload: &Value) -> Told {
        if let Some(call) = wait.strip_prefix("?more/") {
            self.allowed.insert(call.to_owned());
        }
        let decisions = self.question(wait).into_iter().flat_map(|question| &question.decisions);
        let because = decisions.map(|one| format!("{}: {}", one.by, said(one.vote))).collect();
        let what = match payload.get("approved").and_then(Value::as_bool) {
            Some(true) => "the answer was yes".to_owned(),
            Some(false) => "the answer was no".to_owned(),
            None => format!("what it waited for came: {wait}"),
        };
        (what, because, Some(payload.to_string()))
    }
}

/// What happened, why, and the words.
type Told = (String, Vec<String>, Option<String>);

fn tool_done(
    call: &str,
    state: ToolState,
    output: &Value,
    failure: Option<&neonhub_core::run::Failure>,
) -> Told {
    let why = failure.map(|failure| format!("{}: {}", failure.code, failure.message));
    let what = match state {
        ToolState::Landed if call.starts_with(PREPARE) => "instructions and tools were laid out",
        ToolState::Landed => "the tool answered",
        ToolState::NotLanded => "the call did not happen",
        ToolState::Failed => "the tool failed",
    };
    (what.to_owned(), why.into_iter().collect(), Some(output.to_string()))
}

fn said(vote: Vote) -> &'static str {
    match vote {
        Vote::Approve => "yes",
        Vote::Deny => "no",
        Vote::Delegate => "others are to decide",
    }
}

/// The word for what comes from outside.
fn outside(taint: Taint) -> Option<&'static str> {
    match taint {
        Taint::User => Some("the user"),
        Taint::Retrieved => Some("documents"),
        Taint::Web => Some("the web"),
        Taint::ThirdPartyTool => Some("tools of others"),
        _ => None,
    }
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", words.get(..at).unwrap_or_default()),
        None => words.to_owned(),
    }
}
