//! The one door: every call of every operation goes through it, whatever language it comes from.
//!
//! Order of the stages: 1 trace span, 2 deadline, cancellation and closing, 3 input, 4 rights and tenant, 5 policy,
//! 6 limits, 7 idempotency, 8 body, 9 masks, redactions and size of the answer, 10 one commit of domain writes, audit
//! rows and the stored answer. A test holds calls that fail at two stages against each other, pair by pair.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tracing::Instrument as _;

use super::admit::{Admitted, admit, check_key, is_security, on_behalf_of};
use super::bounds::{as_json, check_answer, check_within};
pub(crate) use super::bounds::{bad_input, check_bounds};
use super::idempotency::{Kept, Slot};
use super::records::commit;
use super::span::{ended, span};
use super::typed::check_typed;
use super::{Audit, CallOptions, Entry, Operation, Unit, entry};
use crate::audit::{AuditDraft, Outcome};
use crate::hub::InFlight;
use crate::permission::Permission;
use crate::policy::Ruling;
use crate::scope::{Principal, Writing, cancelled};
use crate::store::{Consistency, Expected};
use crate::telemetry::hushed;
use crate::{Error, ErrorKind, Result, Retry, Scope, Seed};

impl Scope {
    /// Calls an operation. Inside another operation it joins that one's commit; elsewhere it commits itself.
    ///
    /// # Errors
    /// What the operation documents, and `Unauthenticated`, `PermissionDenied`, `Blocked`, `RateLimited`, `Cancelled`,
    /// `Timeout`, `Unavailable`.
    pub async fn call<O: Operation>(&self, op: O) -> Result<O::Output> {
        self.call_with(op, CallOptions::default()).await
    }

    /// Calls an operation with a key, a shorter deadline or a cancel token.
    ///
    /// # Errors
    /// As [`Scope::call`].
    pub async fn call_with<O: Operation>(&self, op: O, options: CallOptions) -> Result<O::Output> {
        // Boxed: calls nest, and a future that holds all of them by value grows past the compiler's patience.
        Box::pin(call(self, op, options)).await
    }

    /// Calls an operation by its name with JSON, as bindings, tools and servers do.
    ///
    /// # Errors
    /// `NotFound` with the closest names for an unknown name; else as [`Scope::call`].
    pub async fn call_by_name(&self, name: &str, input: Value, options: CallOptions) -> Result<Value> {
        let entry = match self.hub().operation(name) {
            Ok(entry) => entry,
            Err(error) => {
                // A span like that of every other call, under a name of ours: what was given may be anything.
                ended(&span("unknown", self, &options), Some(&error));
                return Err(error);
            }
        };
        (entry.call)(self.clone(), input, options).await
    }
}

/// A call between its stages.
struct Pass {
    scope: Scope,
    unit: Option<Arc<Unit>>,
    /// Where the answer is kept, and what is there now.
    slot: Option<(Slot, Expected)>,
    deadline: Duration,
}

/// A typed call: its input was never JSON, so stage 3 holds by its type, but for values that no JSON has.
async fn call<O: Operation>(cx: &Scope, op: O, options: CallOptions) -> Result<O::Output> {
    let line: &'static Entry = &const { entry::<O>() };
    let span = span(line.name, cx, &options);
    let result: Result<O::Output> = async {
        let busy = begin(line, cx, &options)?;
        check_typed(line.name, &op)?;
        let (output, _) = through::<O>(line, cx, op, options, false).await?;
        drop(busy);
        Ok(output)
    }
    .instrument(span.clone())
    .await;
    ended(&span, result.as_ref().err());
    result
}

/// A call by name: its answer is JSON.
pub(super) async fn call_json<O: Operation>(cx: Scope, input: Value, options: CallOptions) -> Result<Value> {
    let line: &'static Entry = &const { entry::<O>() };
    let span = span(line.name, &cx, &options);
    let result: Result<Value> = async {
        let busy = begin(line, &cx, &options)?;
        check_within(line.name, line.max_input, &input)?;
        let op: O = serde_path_to_error::deserialize(input).map_err(|e| bad_input(line.name, &e))?;
        let (output, json) = through::<O>(line, &cx, op, options, true).await?;
        drop(busy);
        match json {
            Some(json) => Ok(json),
            None => as_json(line.name, &output),
        }
    }
    .instrument(span.clone())
    .await;
    ended(&span, result.as_ref().err());
    result
}

/// An input as the operation reads it.
pub(super) fn normal<O: Operation>(input: Value) -> Result<Value> {
    check_within(O::NAME, O::MAX_INPUT, &input)?;
    let op: O = serde_path_to_error::deserialize(input).map_err(|e| bad_input(O::NAME, &e))?;
    as_json(O::NAME, &op)
}

/// Stage 2.
fn begin(line: &'static Entry, cx: &Scope, options: &CallOptions) -> Result<InFlight> {
    options.cancel.as_ref().unwrap_or_else(|| cx.cancel_token()).check(line.name)?;
    cx.hub().enter(line.name)
}

/// Stages 3 (what is left of it) to 10.
async fn through<O: Operation>(
    line: &'static Entry,
    cx: &Scope,
    op: O,
    options: CallOptions,
    as_value: bool,
) -> Result<(O::Output, Option<Value>)> {
    check_key(line, options.idempotency_key.as_deref())?;
    let traced = options.trace.clone().map(|context| cx.with_trace(context));
    let cx = traced.as_ref().unwrap_or(cx);
    let slot = match &options.idempotency_key {
        Some(key) => Some(Slot::new(cx, line.name, key, &op)?),
        None => None,
    };
    let cancel = options.cancel.clone().unwrap_or_else(|| cx.cancel_token().clone());
    let mut admitted = admit(line, cx, cancel, slot.as_ref(), || as_json(line.name, &op)).await?;
    if let Some(stored) = admitted.ruling.answer.take() {
        return again::<O>(line, &admitted, stored);
    }
    // Held over the body: of two calls with one key the second waits, and finds the answer of the first.
    let _turn = match &slot {
        Some(slot) => Some(cx.hub().turn(&slot.lock_name(cx)).await),
        None => None,
    };
    let fixed = match cx.hub().is_seeded() && !line.effect.is_read_only() {
        true => Some(crate::store::canonical_json(&op)?),
        false => None,
    };
    for run in 0_u8.. {
        let expected = match &slot {
            Some(slot) => match slot.look(&admitted.scope, line.name).await? {
                Kept::Answer(stored) => return again::<O>(line, &admitted, stored),
                Kept::Nothing(expected) => expected,
            },
            None => Expected::Any,
        };
        let pass =
            open(line, cx, &admitted, &options, slot.clone().map(|slot| (slot, expected)), fixed.as_deref());
        // Boxed: every stage around the body would hold it by value once more, and calls nest.
        let body = AssertUnwindSafe(hushed(op.clone().run(&pass.scope).boxed())).catch_unwind();
        let output = match bounded(line, &pass, body).await {
            Ok(output) => output,
            // Another process rotated the data key: read it and run again, once.
            Err(error) if run == 0 && pass.unit.is_some() && error.code() == "keys_stale" => {
                cx.hub().read_keys(cx.workspace()).await?;
                continue;
            }
            Err(error) => {
                let error = refusal(line, &pass.scope, error, &admitted.ruling).await;
                cx.hub().report(&pass.scope, line.name, &error);
                return Err(error);
            }
        };
        let as_value = as_value || slot.is_some();
        let (output, json) = shown::<O>(line, &pass.scope, &admitted.ruling, output, as_value)?;
        match leave(line, &pass, &admitted.ruling, json.as_ref()).await {
            Ok(()) => {
                if pass.unit.is_some() && cx.sealer().takes_care() {
                    cx.hub().tend_keys(cx.workspace()).await?;
                }
                return Ok((output, json));
            }
            Err(error) if run < O::RERUNS && error.is_lost_race() => {}
            Err(error) => {
                // Another process may have made this very call: what it answered is the answer.
                if let Some(slot) = &slot
                    && error.is_lost_race()
                    && let Kept::Answer(stored) = slot.look(&admitted.scope, line.name).await?
                {
                    return again::<O>(line, &admitted, stored);
                }
                return Err(error.for_operation(line.name));
            }
        }
    }
    unreachable!("the loop ends by returning")
}

/// The stored answer of a call that was made before, with what the caller may see of it now.
fn again<O: Operation>(
    line: &'static Entry,
    admitted: &Admitted,
    stored: Value,
) -> Result<(O::Output, Option<Value>)> {
    let output = serde_json::from_value(stored).map_err(|cause| Error::internal(line.name, cause))?;
    shown::<O>(line, &admitted.scope, &admitted.ruling, output, true)
}

/// A unit of work for the body: its own, or that of the operation it is called in.
fn open(
    line: &'static Entry,
    cx: &Scope,
    admitted: &Admitted,
    options: &CallOptions,
    slot: Option<(Slot, Expected)>,
    fixed: Option<&str>,
) -> Pass {
    let seed = split_seed(line, cx, fixed);
    let (writing, unit) = match &cx.0.writing {
        Writing::Operation(unit) => (Writing::Operation(Arc::clone(unit)), None),
        Writing::None | Writing::Job(_) => {
            let unit = Arc::new(Unit::default());
            (Writing::Operation(Arc::clone(&unit)), Some(unit))
        }
    };
    let deadline = options.deadline.map_or(line.deadline, |d| d.min(line.deadline));
    let end = cx.now().plus(deadline);
    let end = cx.deadline().map_or(end, |outer| outer.min(end));
    let scope = admitted.scope.inside(line.name, seed, writing, admitted.cancel.clone()).until(end);
    let consistency = if line.effect.is_read_only() { cx.0.consistency } else { Consistency::Strong };
    let scope = scope.with_consistency(consistency);
    Pass { scope, unit, slot, deadline }
}

/// Chance per call. With a fixed seed it hangs on the input, not on the order of calls, so concurrency does
/// not change ids; a counter tells equal inputs apart.
fn split_seed(line: &'static Entry, cx: &Scope, fixed: Option<&str>) -> Seed {
    if line.effect.is_read_only() {
        return cx.seed();
    }
    let nth = cx.hub().count_call(line.name, fixed);
    let input = fixed.unwrap_or_default();
    cx.seed().split(&[line.name.as_bytes(), input.as_bytes(), &nth.to_le_bytes()])
}

/// Runs the body under its deadline and its cancel token; a panic becomes `Internal`.
async fn bounded<T>(
    line: &'static Entry,
    pass: &Pass,
    body: impl Future<Output = std::thread::Result<Result<T>>>,
) -> Result<T> {
    let limit = tokio::time::timeout(pass.deadline, body);
    let cancel = pass.scope.cancel_token();
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled(line.name)),
        () = pass.scope.hub().grace_over() => Err(cancelled(line.name)),
        done = limit => match done {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(Error::new(ErrorKind::Internal, line.name, "the operation panicked: this is a fault of neonhub, please report it")),
            Err(_) => Err(Error::new(ErrorKind::Timeout, line.name, "the operation did not end before its deadline; nothing was written")
                .with_context("deadline_ms", pass.deadline.as_millis())
                .with_retry(Retry::Backoff)),
        },
    }
}

/// Stage 9: what of the answer is shown. As JSON only where JSON is needed: for the caller, for a stored answer, for
/// redactions.
fn shown<O: Operation>(
    line: &'static Entry,
    cx: &Scope,
    ruling: &Ruling,
    mut output: O::Output,
    as_value: bool,
) -> Result<(O::Output, Option<Value>)> {
    if !cx.permissions().has(Permission::ReadPii) {
        O::mask(&mut output);
    }
    let hidden = ruling.redactions();
    if hidden.is_empty() && !as_value {
        return Ok((output, None));
    }
    let mut json = as_json(line.name, &output)?;
    if !hidden.is_empty() {
        crate::policy::redact(&mut json, &hidden);
        output = serde_json::from_value(json.clone()).map_err(|_| {
            Error::new(
                ErrorKind::Blocked,
                line.name,
                "a policy hides a field that this answer cannot go without: name another field in it",
            )
            .with_code("redaction_impossible")
        })?;
    }
    check_answer(line, &json)?;
    Ok((output, Some(json)))
}

/// Stage 10: the one commit. A call that joined another leaves it to the outer one.
async fn leave(line: &'static Entry, pass: &Pass, ruling: &Ruling, answer: Option<&Value>) -> Result<()> {
    let slot_write = match (&pass.slot, answer) {
        (Some((slot, expected)), Some(answer)) => Some(slot.write(&pass.scope, answer, *expected)?),
        _ => None,
    };
    let Writing::Operation(unit) = &pass.scope.0.writing else { return Ok(()) };
    if let Some(approval) = &ruling.approval {
        pass.scope.hub().approvals().spend(&pass.scope, approval).await?;
    }
    let concern = unit.staged().concern.take();
    let before = match &concern {
        Some((kind, id)) => before(&pass.scope, kind, id).await?,
        None => None,
    };
    {
        let mut staged = unit.staged();
        let due = match line.audit {
            // What policies said of a change is kept all the same.
            Audit::None => !staged.is_empty() && ruling.has_spoken(),
            Audit::Business => !staged.is_empty(),
            Audit::Security => true,
        };
        if due {
            let mut draft = draft(&pass.scope, line, Outcome::Ok, ruling);
            if let Some((kind, id)) = concern {
                draft = draft.changed(before.as_deref(), staged.body_of(&kind, &id)).on(kind, id);
            }
            staged.audit.push(draft);
            if let Some(write) = ruling.record(&pass.scope)? {
                staged.stage(write);
            }
        }
        if let Some(write) = slot_write {
            staged.stage(write);
        }
    }
    match &pass.unit {
        Some(unit) => commit(&pass.scope, unit).await.map(|_| ()),
        None => Ok(()),
    }
}

/// The stored body of the record an operation is about.
async fn before(cx: &Scope, kind: &str, id: &str) -> Result<Option<String>> {
    let Some(kind) = cx.hub().kind(kind) else { return Ok(None) };
    Ok(cx.store().get(kind, cx.workspace(), id).await?.map(|row| row.body))
}

fn draft(cx: &Scope, line: &'static Entry, outcome: Outcome, ruling: &Ruling) -> AuditDraft {
    let mut draft = AuditDraft::of(cx, line.name, outcome).under(ruling.labels());
    if let Some(who) = on_behalf_of(cx.principal()) {
        draft = draft.on_behalf_of(who);
    }
    if let Principal::Agent { run, .. } = cx.principal() {
        draft = draft.in_run(run);
    }
    match &ruling.approval {
        Some(approval) => draft.approved_by(approval),
        None => draft,
    }
}

/// What a refused call leaves behind: nothing but, for rights, policy and tenant, a security row.
pub(super) async fn refusal(line: &'static Entry, cx: &Scope, error: Error, ruling: &Ruling) -> Error {
    if !is_security(&error) {
        return error;
    }
    let unit = Unit::default();
    unit.staged().audit.push(draft(cx, line, Outcome::Denied, ruling).because(error.code()));
    unit.staged().events.extend(ruling.alert(cx));
    match ruling.record(cx) {
        Ok(Some(write)) => unit.staged().stage(write),
        Ok(None) => {}
        Err(cause) => tracing::warn!(operation = line.name, %cause, "a refusal's decision was not kept"),
    }
    if let Err(cause) = commit(cx, &unit).await {
        // The refusal stands whether or not its row could be written.
        tracing::warn!(operation = line.name, %cause, "the audit row of a refusal was not written");
    }
    error
}
