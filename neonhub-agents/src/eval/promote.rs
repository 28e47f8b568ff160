//! A real run becomes a case.

use neonhub_core::Scope;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{Failure, GetRun, LogLine, RunDetails, RunStatus, ToolState, What};
use neonhub_core::{Error, ErrorKind, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fake::Fakes;
use super::grade::Grader;
use super::model::{EvalCase, EvalSetHead, RecordedAnswer, RecordedTool, Snapshot};
use super::set;
use crate::people::Person;
use crate::registry::PrepareRun;

/// What makes an answer good, unless the caller says it.
const RUBRIC: &str =
    "It does what the task asks, says nothing that the task or its sources do not, and is as clear.";

/// Makes a case of a run that completed: its input, what tools and models answered, and its output as what is expected.
/// Personal data is replaced by stable fakes: mail addresses, phone numbers, bank accounts, cards and the like by the
/// finder of the guardrail, the names of the run's person, names in fields that are called so, and the names given here.
/// Other names in running text are not known to be names: give them, or read the case before it is passed on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromoteRun {
    /// The run.
    pub run: String,
    /// The set it is added to; a new one is made for the run's agent.
    pub set: String,
    /// Name of the case. Default: the id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the output is judged. Default: by its schema and by a judge; for an intent that one operation does, that it is
    /// the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub graders: Vec<Grader>,
    /// Words to choose the case by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Further names of people that are to be replaced, at most 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Country of phone numbers without a country code, ISO 3166-1 alpha-2. Default: that of the run's person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl Operation for PromoteRun {
    type Output = EvalCase;
    const NAME: &'static str = "evals.promote";
    // The log of a run is read with what it says of people, to take that out.
    const NEEDS: &'static [Permission] =
        &[Permission::WriteContent, Permission::ReadAnalytics, Permission::ReadPii];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["run_not_completed", "case_taken"];

    async fn run(self, cx: &Scope) -> Result<EvalCase> {
        if self.names.len() > 200 {
            return Err(Error::invalid(Self::NAME, "names", "expected at most 200"));
        }
        let details = cx.outside().call(GetRun { id: self.run.clone(), with_log: true }).await?;
        let agent = details.run.agent.clone();
        if details.run.status != RunStatus::Completed {
            let why = "only a run that completed shows what is wanted";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why).with_code("run_not_completed"));
        }
        let person = match &details.run.person_id {
            Some(id) => cx.get::<Person>(id).await?.map(|row| row.body),
            None => None,
        };
        let case = self.case(cx, &details, person.as_ref())?;
        set::check_case(Self::NAME, &case)?;
        let head = cx.get::<EvalSetHead>(&self.set).await?;
        if let Some(other) = head.as_ref().filter(|head| head.agent != agent) {
            let why = format!("the set is for the agent {}: take another set", other.agent);
            return Err(Error::invalid(Self::NAME, "set", why));
        }
        set::add(cx, Self::NAME, (&self.set, &agent), head, &case).await?;
        Ok(case)
    }

    fn examples() -> Vec<Self> {
        vec![PromoteRun {
            run: "run_01kaf3w0000000000000000000".into(),
            set: "support/returns".into(),
            tags: vec!["returns".into()],
            ..Self::default()
        }]
    }
}

impl PromoteRun {
    fn case(&self, cx: &Scope, details: &RunDetails, person: Option<&Person>) -> Result<EvalCase> {
        let raw = case_of(Self::NAME, details)?;
        let mut seen = vec![&raw.input];
        seen.extend(raw.expected.as_ref());
        seen.extend(raw.context.tools.iter().flat_map(|tool| tool.args.iter().chain([&tool.output])));
        seen.extend(raw.context.answers.iter().map(|answer| &answer.answer));
        let mut names = self.names.clone();
        names.extend(person.map(names_of).unwrap_or_default());
        let country = person.and_then(|person| person.country.as_deref());
        let fakes = Fakes::new(cx, &names, self.region.as_deref().or(country), &seen)?;
        let is_model = !raw.context.answers.is_empty();
        let graders = if self.graders.is_empty() { default_graders(is_model) } else { self.graders.clone() };
        Ok(EvalCase {
            name: self.name.clone().unwrap_or_else(|| self.run.clone()),
            graders,
            tags: self.tags.clone(),
            ..faked(&fakes, &raw)
        })
    }
}

fn default_graders(is_model: bool) -> Vec<Grader> {
    if is_model {
        vec![Grader::Schema { schema: Value::Null }, Grader::Judge { rubric: RUBRIC.to_owned(), model: None }]
    } else {
        vec![Grader::Exact { path: String::new() }]
    }
}

/// Names of a person, alone and together.
fn names_of(person: &Person) -> Vec<String> {
    let parts = person.first_name.iter().chain(&person.last_name);
    let whole = parts.clone().map(String::as_str).collect::<Vec<_>>().join(" ");
    parts.cloned().chain([whole]).collect()
}

/// A run as a case, with all that is personal in it.
///
/// # Errors
/// `InvalidInput` for a run of a program that is no agent made of data.
pub(super) fn case_of(operation: &'static str, details: &RunDetails) -> Result<EvalCase> {
    let (Some(pin), Some(intent)) = (&details.run.spec, &details.run.intent) else {
        return Err(Error::invalid(operation, "run", "expected the run of an agent of `agents.list`"));
    };
    let mut context = Snapshot { version: Some(pin.version.clone()), ..Snapshot::default() };
    let mut planned: Vec<(String, String, Value)> = Vec::new();
    for line in &details.log {
        match entry(operation, line)? {
            What::Started { seed, .. } => context.seed = seed,
            What::ToolPlanned { call, tool, args, .. } => planned.push((call, tool, args)),
            What::ToolDone { call, state, output, failure, .. } => {
                let Some(at) = planned.iter().position(|(name, ..)| *name == call) else { continue };
                let (_, tool, args) = planned.swap_remove(at);
                if tool == PrepareRun::NAME {
                    context.desk = output;
                    continue;
                }
                let failure = failure.filter(|_| state != ToolState::Landed);
                context.tools.push(RecordedTool { tool, args: Some(args), output, failure });
            }
            What::ModelDone { call, answer, failure, .. } => {
                let answer =
                    serde_json::to_value(&answer).map_err(|cause| Error::internal(operation, cause))?;
                context.answers.push(RecordedAnswer { call, answer, failure });
            }
            _ => {}
        }
    }
    Ok(EvalCase {
        name: details.run.id.clone(),
        intent: intent.clone(),
        input: details.input.clone(),
        context,
        expected: Some(details.output.clone()),
        from_run: Some(details.run.id.clone()),
        ..EvalCase::default()
    })
}

fn entry(operation: &'static str, line: &LogLine) -> Result<What> {
    serde_json::from_value(line.data.clone()).map_err(|cause| {
        let why = "the log cannot be read: promote with `read:pii`";
        Error::new(ErrorKind::Corrupted, operation, why).with_context("seq", line.seq).with_source(cause)
    })
}

fn faked(fakes: &Fakes<'_>, raw: &EvalCase) -> EvalCase {
    let context = &raw.context;
    let failure = |failure: &Failure| Failure { message: fakes.text(&failure.message), ..failure.clone() };
    let mut desk = context.desk.clone();
    // The rest of a desk is the agent's own: instructions, tools, schemas.
    for field in ["act", "offline"] {
        if let Some(value) = desk.get_mut(field) {
            *value = fakes.value(value);
        }
    }
    EvalCase {
        input: fakes.value(&raw.input),
        expected: raw.expected.as_ref().map(|value| fakes.value(value)),
        context: Snapshot {
            desk,
            tools: context
                .tools
                .iter()
                .map(|tool| RecordedTool {
                    tool: tool.tool.clone(),
                    args: tool.args.as_ref().map(|args| fakes.value(args)),
                    output: fakes.value(&tool.output),
                    failure: tool.failure.as_ref().map(failure),
                })
                .collect(),
            answers: context
                .answers
                .iter()
                .map(|answer| RecordedAnswer {
                    call: answer.call.clone(),
                    answer: answer_of(fakes, &answer.answer),
                    failure: answer.failure.as_ref().map(failure),
                })
                .collect(),
            ..context.clone()
        },
        ..raw.clone()
    }
}

/// An answer keeps its provider and model, and nothing that only the provider can read.
fn answer_of(fakes: &Fakes<'_>, answer: &Value) -> Value {
    let mut fake = fakes.value(answer);
    if let (Some(map), Some(old)) = (fake.as_object_mut(), answer.as_object()) {
        map.remove("reasoning");
        for field in ["provider", "model", "usage", "stop", "origin"] {
            map.insert(field.to_owned(), old.get(field).cloned().unwrap_or(json!(null)));
        }
    }
    fake
}
