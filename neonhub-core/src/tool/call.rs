//! One call of a tool, between its schemas and its bounds.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;

use super::alias::alias;
use super::find::{self, Found};
use super::info::{MAX_RESULT_BYTES, ToolInfo};
use super::registry::Added;
use crate::audit::{AuditDraft, Outcome};
use crate::connector::EffectId;
use crate::hub::Called;
use crate::llm::schema;
use crate::op::{CallOptions, door, on_behalf_of};
use crate::run::{EffectClass, ProbeAnswer};
use crate::scope::Principal;
use crate::{Error, ErrorKind, Fault, Result, Retry, Scope};

const CALL: &str = "tools.call";

/// The tools the caller of `cx` has, sorted by name: the operations it may call and the added tools it may use.
#[must_use]
pub fn visible(cx: &Scope) -> Vec<ToolInfo> {
    visible_among(cx, |_| true)
}

/// Those of [`visible`] whose names are wanted. The description of an operation is made from its types each time, which for the
/// whole catalogue costs more than the rest of a short run: ask for those that are needed.
#[must_use]
pub fn visible_among(cx: &Scope, wanted: impl Fn(&str) -> bool) -> Vec<ToolInfo> {
    find::among(cx, wanted).iter().map(Found::info).collect()
}

/// The names of [`visible`], without their descriptions.
#[must_use]
pub fn visible_names(cx: &Scope) -> Vec<String> {
    find::all(cx).iter().map(|found| found.name().to_owned()).collect()
}

/// A tool of the caller by its name, or another name of it such as `sendEmail`.
///
/// # Errors
/// `NotFound`, code `unknown_tool`, with the closest names, also for a tool the caller may not use.
pub fn described(cx: &Scope, name: &str) -> Result<ToolInfo> {
    find::find(cx, name).map(|found| found.info())
}

/// The operation that another name stands for: `sends.create` for `sendEmail` and `send_email`.
#[must_use]
pub fn stands_for(name: &str) -> Option<&'static str> {
    alias(name).map(|alias| alias.operation)
}

/// Calls a tool by its name, or another name of it, and gives its whole answer.
///
/// What the tool stages goes to the unit of work of `cx`.
///
/// # Errors
/// `NotFound`, code `unknown_tool`, with the closest names; `InvalidInput` with every fault of the arguments by
/// path; `Corrupted`, code `tool_answer`, when the answer does not fit its schema; `Timeout`, or `OutcomeUnknown`
/// for a tool that acts on the world; else what the tool answers.
pub async fn call(cx: &Scope, name: &str, args: Value) -> Result<Value> {
    through(cx, &find::find(cx, name)?, args).await
}

pub(super) async fn through(cx: &Scope, found: &Found, args: Value) -> Result<Value> {
    match found {
        Found::Operation(entry, alias) => {
            let args = match alias {
                Some(alias) => joined(args, (alias.fixed)())?,
                None => args,
            };
            let call = cx.call_by_name(entry.name, args, CallOptions::new());
            // The door keeps the deadline of the call itself; a fault of a test may hang before it.
            tokio::time::timeout(entry.deadline, cx.hub().faulted(Called::Tool(found.name()), CALL, call))
                .await
                .unwrap_or_else(|_| Err(timed_out(&found.info())))
        }
        Found::Added(added) => of_added(cx, added, args).await,
    }
}

/// What the alias fixes wins over nothing and against everything: a call that says otherwise is refused.
fn joined(args: Value, fixed: Value) -> Result<Value> {
    let (Value::Object(mut args), Value::Object(fixed)) = (args, fixed) else {
        return Err(Error::invalid(CALL, "args", "expected an object"));
    };
    for (name, value) in fixed {
        if args.get(&name).is_some_and(|given| *given != value) {
            return Err(Error::invalid(CALL, name, format!("expected {value}, which this tool stands for")));
        }
        args.insert(name, value);
    }
    Ok(Value::Object(args))
}

async fn of_added(cx: &Scope, added: &Added, args: Value) -> Result<Value> {
    let info = added.tool.info();
    door::check_bounds(CALL, &args)?;
    let faults = schema::faults(&info.input_schema, &info.input_schema, &args);
    if !faults.is_empty() {
        return Err(Error::faults(CALL, named(faults)).with_context("tool", &info.name));
    }
    if let Some(rate) = info.rate {
        cx.take(&format!("tool:{}", info.name), rate).await.map_err(|error| error.for_operation(CALL))?;
    }
    crate::policy::rule_tool(CALL, cx, info, &args).await?;
    let answer = asked(cx, added, args).await;
    if !info.effect.is_ours() {
        told(cx, &info.name, answer.as_ref().err()).await?;
    }
    answer
}

/// A row of the audit log for a call that may have acted on the outside: with what the caller commits, or by itself when
/// the call failed and nothing of it is committed.
async fn told(cx: &Scope, tool: &str, failure: Option<&Error>) -> Result<()> {
    let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Ok };
    let mut draft = AuditDraft::of(cx, CALL, outcome).on("tool", tool);
    if let Some(who) = on_behalf_of(cx.principal()) {
        draft = draft.on_behalf_of(who);
    }
    if let Principal::Agent { run, .. } = cx.principal() {
        draft = draft.in_run(run);
    }
    match failure {
        None if cx.unit().is_some() => cx.note(draft),
        None => by_itself(cx, draft).await,
        Some(error) => {
            if let Err(cause) = by_itself(cx, draft.because(error.code())).await {
                // What the tool answered says more than this.
                tracing::warn!(tool, code = cause.code(), "the audit row of a failed call was not written");
            }
            Ok(())
        }
    }
}

async fn by_itself(cx: &Scope, draft: AuditDraft) -> Result<()> {
    let own = cx.staging(CALL, "told");
    own.note(draft)?;
    own.flush().await.map(drop)
}

/// The call itself, within its bounds, and its answer against its schema.
async fn asked(cx: &Scope, added: &Added, args: Value) -> Result<Value> {
    let info = added.tool.info();
    let outside = if info.effect.is_ours() { cx.clone() } else { cx.outside() };
    let work = async {
        let _turn = match &added.turns {
            // A semaphore of ours is never closed.
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let call = added.tool.call(&outside, args);
        let call = cx.hub().faulted(Called::Tool(&info.name), CALL, call);
        AssertUnwindSafe(call).catch_unwind().await
    };
    let cancel = cx.cancel_token();
    let answer = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(crate::scope::cancelled(CALL)),
        done = tokio::time::timeout(Duration::from_millis(info.timeout_ms), work) => match done {
            Ok(Ok(answer)) => answer.map_err(|error| error.with_context("tool", &info.name))?,
            Ok(Err(_panic)) => return Err(panicked(info)),
            Err(_) => return Err(timed_out(info)),
        },
    };
    fits(info, &answer)?;
    Ok(answer)
}

/// What became of a lost call of an added tool: what the tool says within its time, and answers as it would have.
pub(crate) async fn landed(cx: &Scope, name: &str, args: &Value, effect: &EffectId) -> ProbeAnswer {
    let Ok(Found::Added(added)) = find::find(cx, name) else { return ProbeAnswer::Unknown };
    let info = added.tool.info();
    let asked = AssertUnwindSafe(added.tool.landed(cx, args, effect)).catch_unwind();
    let answer = match tokio::time::timeout(Duration::from_millis(info.timeout_ms), asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => Err(panicked(info)),
        Err(_) => Err(timed_out(info)),
    };
    let fitting = answer.and_then(|answer| match &answer {
        ProbeAnswer::Landed(output) => fits(info, output).map(|()| answer),
        _ => Ok(answer),
    });
    fitting.unwrap_or_else(|error| {
        tracing::warn!(tool = name, code = error.code(), "a tool could not tell what became of a call");
        ProbeAnswer::Unknown
    })
}

/// A fault of the arguments as a whole gets a name to show.
fn named(faults: Vec<Fault>) -> Vec<Fault> {
    let name =
        |fault: Fault| if fault.field.is_empty() { Fault { field: "args".into(), ..fault } } else { fault };
    faults.into_iter().map(name).collect()
}

fn fits(info: &ToolInfo, answer: &Value) -> Result<()> {
    let broken = |message: String| {
        // The tool has acted: an error of another kind would invite to call it again.
        let kind = if info.effect.is_ours() { ErrorKind::Corrupted } else { ErrorKind::OutcomeUnknown };
        Err(Error::new(kind, CALL, message).with_code("tool_answer").with_context("tool", &info.name))
    };
    if let Some(fault) = schema::faults(&info.output_schema, &info.output_schema, answer).first() {
        let place = if fault.field.is_empty() { "the answer" } else { &fault.field };
        return broken(format!("the answer of the tool does not fit its schema: {place}: {}", fault.message));
    }
    if answer.to_string().len() as u64 > MAX_RESULT_BYTES {
        return broken("the answer of the tool is over 8 MiB: let it answer page by page".to_owned());
    }
    Ok(())
}

fn panicked(info: &ToolInfo) -> Error {
    let kind = if info.effect.is_ours() { ErrorKind::Internal } else { ErrorKind::OutcomeUnknown };
    Error::new(kind, CALL, "the tool panicked").with_context("tool", &info.name)
}

/// Nobody knows whether a tool that acts on the world has acted by then.
fn timed_out(info: &ToolInfo) -> Error {
    let error = if info.effect.is_ours() {
        Error::new(ErrorKind::Timeout, CALL, "the tool did not answer in its time").with_retry(Retry::Backoff)
    } else {
        let message = "the tool did not answer in its time: it may have acted";
        Error::new(ErrorKind::OutcomeUnknown, CALL, message).with_code("tool_timeout")
    };
    error.with_context("tool", &info.name).with_context("timeout_ms", info.timeout_ms)
}

/// The class of a tool's effect: of an operation, of an added tool, or the worst for one that is not known.
pub(crate) fn effect_class(cx: &Scope, name: &str) -> EffectClass {
    let hub = cx.hub();
    if let Ok(entry) = hub.operation(alias(name).map_or(name, |alias| alias.operation)) {
        return entry.effect.into();
    }
    hub.tools().get(cx.workspace(), name).map_or(EffectClass::Write, |added| added.tool.info().effect)
}
