//! The one door: every call of every operation goes through it, whatever language it comes from.
//!
//! Order of the stages: trace span, cancellation and closing, rights, idempotency, body under its deadline,
//! masks and size cap, one commit of domain writes, audit rows and the stored answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tracing::Instrument as _;

use super::idempotency::Slot;
use super::records::commit;
use super::{Audit, Entry, Operation, Unit, entry};
use crate::audit::{AuditDraft, Outcome};
use crate::hub::InFlight;
use crate::permission::Permission;
use crate::scope::{CancelToken, Writing, cancelled};
use crate::telemetry::{TraceContext, redact};
use crate::{Error, ErrorKind, Fault, Result, Retry, Scope, Seed};

/// The largest input as JSON.
const MAX_INPUT_BYTES: usize = 1 << 20;
/// The largest answer as JSON.
const MAX_OUTPUT_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 64;
const MAX_ITEMS: usize = 10_000;

/// How to make one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// A repeated call with the same key and input gives the first answer for 24 h.
    pub idempotency_key: Option<String>,
    /// Shortens the operation's deadline.
    pub deadline: Option<Duration>,
    /// Stops the call when cancelled.
    pub cancel: Option<CancelToken>,
    /// The caller's trace, which the call becomes part of.
    pub trace: Option<TraceContext>,
}

impl CallOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the idempotency key: 1 to 255 bytes.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Shortens the deadline.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Makes the call part of the caller's trace.
    #[must_use]
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.trace = Some(context);
        self
    }

    /// Sets a token that stops the call.
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }
}

impl Scope {
    /// Calls an operation. Inside another operation it joins that one's commit; elsewhere it commits itself.
    ///
    /// # Errors
    /// What the operation documents, and `PermissionDenied`, `Cancelled`, `Timeout`, `Unavailable`.
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
        let entry = self.hub().operation(name)?;
        (entry.call)(self.clone(), input, options).await
    }
}

/// What the first stages let through.
struct Pass {
    scope: Scope,
    unit: Option<Arc<Unit>>,
    slot: Option<Slot>,
    deadline: Duration,
    _in_flight: InFlight,
}

pub(crate) async fn call<O: Operation>(cx: &Scope, op: O, options: CallOptions) -> Result<O::Output> {
    let line: &'static Entry = &const { entry::<O>() };
    let span = tracing::info_span!(
        "operation",
        name = line.name,
        workspace_id = %cx.workspace(),
        correlation_id = cx.correlation(),
    );
    through::<O>(line, cx, op, options).instrument(span).await
}

async fn through<O: Operation>(
    line: &'static Entry,
    cx: &Scope,
    op: O,
    options: CallOptions,
) -> Result<O::Output> {
    let traced = options.trace.clone().map(|context| cx.with_trace(context));
    let cx = traced.as_ref().unwrap_or(cx);
    let slot = match &options.idempotency_key {
        Some(key) => Some(Slot::new(cx, line.name, key, &op)?),
        None => None,
    };
    let turn = match &slot {
        Some(slot) => Some(cx.hub().turn(&slot.lock_name(cx)).await),
        None => None,
    };
    let fixed = if cx.hub().is_seeded() && !line.effect.is_read_only() {
        Some(crate::store::canonical_json(&op)?)
    } else {
        None
    };
    for run in 0_u8.. {
        let pass = admit(line, cx, &options, slot.clone(), fixed.as_deref()).await?;
        if let Some(slot) = &pass.slot
            && let Some(stored) = slot.replay(&pass.scope, line.name).await?
        {
            return serde_json::from_value(stored).map_err(|cause| Error::internal(line.name, cause));
        }
        let body = AssertUnwindSafe(op.clone().run(&pass.scope)).catch_unwind();
        let mut output = match bounded(line, &pass, body).await {
            Ok(output) => output,
            // Another process rotated the data key: read it and run again, once.
            Err(error) if run == 0 && pass.unit.is_some() && error.code() == "keys_stale" => {
                cx.hub().read_keys(cx.workspace()).await?;
                continue;
            }
            Err(error) => return Err(refused(line, &pass, error).await),
        };
        if !cx.permissions().has(Permission::ReadPii) {
            O::mask(&mut output);
        }
        let answer = match &pass.slot {
            Some(_) => {
                Some(serde_json::to_value(&output).map_err(|cause| Error::internal(line.name, cause))?)
            }
            None => None,
        };
        match leave(line, &pass, answer).await {
            Ok(()) => {
                drop(turn);
                if pass.unit.is_some() && cx.sealer().takes_care() {
                    cx.hub().tend_keys(cx.workspace()).await?;
                }
                return Ok(output);
            }
            Err(error) if run < O::RERUNS && lost_a_race(&error) => {}
            Err(error) => return Err(error.for_operation(line.name)),
        }
    }
    unreachable!("the loop ends by returning")
}

fn lost_a_race(error: &Error) -> bool {
    matches!(error.code(), "stale_revision" | "unique_taken")
}

/// The stages before the body.
async fn admit(
    line: &'static Entry,
    cx: &Scope,
    options: &CallOptions,
    slot: Option<Slot>,
    fixed: Option<&str>,
) -> Result<Pass> {
    let cancel = options.cancel.clone().unwrap_or_else(|| cx.cancel_token().clone());
    cancel.check(line.name)?;
    let in_flight = cx.hub().enter(line.name)?;
    for word in line.needs {
        if !cx.permissions().has(*word) {
            let error = denied(line.name, *word);
            record_refusal(line, cx, &error).await;
            return Err(error);
        }
    }
    let seed = split_seed(line, cx, fixed);
    let (writing, unit) = match &cx.0.writing {
        Writing::Operation(unit) => (Writing::Operation(Arc::clone(unit)), None),
        Writing::None | Writing::Job(_) => {
            let unit = Arc::new(Unit::default());
            (Writing::Operation(Arc::clone(&unit)), Some(unit))
        }
    };
    Ok(Pass {
        scope: cx.inside(line.name, seed, writing, cancel),
        unit,
        slot,
        deadline: options.deadline.map_or(line.deadline, |d| d.min(line.deadline)),
        _in_flight: in_flight,
    })
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

/// The one commit. A call that joined another leaves it to the outer one.
async fn leave(line: &'static Entry, pass: &Pass, answer: Option<Value>) -> Result<()> {
    let slot_write = match (&pass.slot, answer) {
        (Some(slot), Some(answer)) => {
            if answer.to_string().len() > MAX_OUTPUT_BYTES {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    line.name,
                    "the answer is over 8 MiB: ask for a smaller page",
                ));
            }
            Some(slot.write(&pass.scope, &answer)?)
        }
        _ => None,
    };
    let Writing::Operation(unit) = &pass.scope.0.writing else { return Ok(()) };
    {
        let mut staged = unit.staged();
        let due = match line.audit {
            Audit::None => false,
            Audit::Business => !staged.is_empty(),
            Audit::Security => true,
        };
        if due {
            let draft = AuditDraft::of(&pass.scope, line.name, Outcome::Ok);
            staged.audit.push(draft);
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

/// What a failed body leaves behind: nothing but, for refusals, a security row.
async fn refused(line: &'static Entry, pass: &Pass, error: Error) -> Error {
    if error.kind() == ErrorKind::PermissionDenied {
        record_refusal(line, &pass.scope, &error).await;
    }
    pass.scope.hub().report(&pass.scope, line.name, &error);
    error
}

async fn record_refusal(line: &'static Entry, cx: &Scope, error: &Error) {
    let unit = Unit::default();
    unit.staged().audit.push(AuditDraft::of(cx, line.name, Outcome::Denied).because(error.code()));
    if let Err(cause) = commit(cx, &unit).await {
        // The refusal stands whether or not its row could be written.
        tracing::warn!(operation = line.name, %cause, "the audit row of a refusal was not written");
    }
}

pub(crate) fn denied(operation: &'static str, word: Permission) -> Error {
    Error::new(ErrorKind::PermissionDenied, operation, format!("needs the permission {word}"))
        .with_context("permission", word)
}

/// The error for JSON that does not fit the input type, with the path of the fault. Its text repeats what was given,
/// so what looks like a secret or an address is taken out of it.
pub(crate) fn bad_input(
    operation: &'static str,
    cause: &serde_path_to_error::Error<serde_json::Error>,
) -> Error {
    let path = cause.path().to_string();
    let text = cause.inner().to_string();
    // `serde_json` ends with the position in a document that the caller never saw.
    let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let field = if path == "." { backticked(&text).unwrap_or("input").to_owned() } else { path };
    Error::faults(operation, vec![Fault { field, message: redact(&text).into_owned() }])
}

fn backticked(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('`')?;
    rest.split_once('`').map(|(name, _)| name)
}

/// Refuses JSON beyond the bounds of every call, naming path and bound.
pub(crate) fn check_bounds(operation: &'static str, input: &Value) -> Result<()> {
    let mut size = 0;
    walk(operation, "input", input, 0, &mut size)
}

fn walk(operation: &'static str, path: &str, value: &Value, depth: usize, size: &mut usize) -> Result<()> {
    let refuse = |message: &str| Err(Error::invalid(operation, path, message));
    if depth > MAX_DEPTH {
        return refuse("expected at most 64 levels");
    }
    *size += 2;
    match value {
        Value::String(text) => {
            *size += text.len();
            if text.contains('\0') {
                return refuse("expected text without NUL");
            }
        }
        Value::Array(items) => {
            if items.len() > MAX_ITEMS {
                return refuse("expected at most 10 000 items");
            }
            for (n, item) in items.iter().enumerate() {
                walk(operation, &format!("{path}[{n}]"), item, depth + 1, size)?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                *size += key.len();
                let path = if depth == 0 { key.clone() } else { format!("{path}.{key}") };
                walk(operation, &path, item, depth + 1, size)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => *size += 8,
    }
    if *size > MAX_INPUT_BYTES {
        return Err(Error::invalid(
            operation,
            "input",
            "expected at most 1 MiB: send large bodies as blobs or files",
        ));
    }
    Ok(())
}
