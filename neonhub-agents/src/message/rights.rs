//! Who may write to whom.

use neonhub_core::run::AgentRun;
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Principal, Result, Scope};

use super::model::{AgentMessage, MessageFrom, MessageKind, MessageTo};
use crate::registry::{Directory, pinned};

/// Runs above a run at most, with room to spare.
const MOST_ABOVE: usize = 32;

/// Who calls.
pub(super) fn caller(cx: &Scope) -> MessageFrom {
    let by = cx.label().to_owned();
    match cx.principal() {
        Principal::Agent { name, run, .. } => {
            MessageFrom { by, agent: Some(name.clone()), run: Some(run.clone()) }
        }
        _ => MessageFrom { by, ..MessageFrom::default() },
    }
}

/// Checks that the caller may write there. People write to every run and agent; the run of an agent writes to the runs of
/// its own work, to agents that it may hand work to, to topics, and to whom it answers.
///
/// # Errors
/// `NotFound` for an agent or run that is not there; `PermissionDenied`, code `not_addressable`; `Conflict`, code
/// `run_finished`.
pub(super) async fn may_write(
    cx: &Scope,
    operation: &'static str,
    from: &MessageFrom,
    to: &MessageTo,
    is_answer: bool,
) -> Result<()> {
    let refused = |why: &'static str| {
        let error = Error::new(ErrorKind::PermissionDenied, operation, why).with_code("not_addressable");
        Err(error.with_context("to", to.parts().1))
    };
    match to {
        MessageTo::Topic { .. } => Ok(()),
        MessageTo::Agent { name } => {
            Directory::load(cx).await?.need(operation, name, None)?;
            let Some(run) = &from.run else { return Ok(()) };
            if is_answer || hands_to(cx, run, name).await? {
                return Ok(());
            }
            refused("an agent writes to agents that its description hands work to")
        }
        MessageTo::Run { id } => {
            let row = cx.need::<AgentRun>(id).await?.body;
            if from.run.as_deref() == Some(id) {
                return refused("a run does not write to itself");
            }
            if row.status.is_final() {
                let why = "the run is at its end: nobody reads this any more";
                return Err(Error::new(ErrorKind::Conflict, operation, why)
                    .with_code("run_finished")
                    .with_context("status", row.status.word()));
            }
            let Some(run) = &from.run else { return Ok(()) };
            if is_answer || root(cx, run).await? == root(cx, id).await? {
                return Ok(());
            }
            refused("a run writes to the runs of its own work")
        }
    }
}

/// True when the description that a run began with hands work to the agent.
async fn hands_to(cx: &Scope, run: &str, agent: &str) -> Result<bool> {
    let Some(row) = cx.get::<AgentRun>(run).await? else { return Ok(false) };
    let Some(pin) = &row.spec else { return Ok(false) };
    let spec = pinned(cx, &row.agent, &pin.version).await?;
    let is_it = |address: &String| address.split_once('.').is_some_and(|(name, _)| name == agent);
    Ok(spec.handoff.iter().any(is_it))
}

/// The run at the top of the work that a run belongs to.
async fn root(cx: &Scope, run: &str) -> Result<String> {
    let mut top = run.to_owned();
    for _ in 0..MOST_ABOVE {
        let above = cx.get::<AgentRun>(&top).await?.and_then(|row| row.body.parent_run);
        match above {
            Some(above) => top = above,
            None => break,
        }
    }
    Ok(top)
}

/// True when a message is for the caller, or was sent by it.
pub(super) fn concerns(message: &AgentMessage, who: &MessageFrom) -> bool {
    let is_from = message.from.run == who.run && message.from.by == who.by;
    let is_for = match (&message.to, &who.run) {
        (MessageTo::Topic { .. }, _) => true,
        (MessageTo::Run { id }, Some(run)) => id == run,
        (MessageTo::Agent { name }, Some(run)) => {
            message.taken_by.as_ref().map_or(who.agent.as_ref() == Some(name), |taken| taken == run)
        }
        (_, None) => false,
    };
    is_from || is_for
}

/// How deep the next message of the caller is: one more than the deepest that it has got, or that it answers.
pub(super) async fn depth(cx: &Scope, from: &MessageFrom, about: Option<&AgentMessage>) -> Result<u8> {
    let mut above = about.map(|message| message.depth);
    if let Some(run) = &from.run {
        let deepest = Query::index("reader").prefix(Key::text(run)).descending().limit(1);
        let taken = cx.query::<AgentMessage>(&deepest).await?;
        above = above.max(taken.first().map(|row| row.depth));
    }
    Ok(above.map_or(0, |depth| depth.saturating_add(1)))
}

/// The message that another one is about.
///
/// # Errors
/// `NotFound`; `PermissionDenied`, code `not_addressable`, for one that was never for the caller; `Conflict` with code
/// `reply_late` after the deadline, `already_answered` for a second answer.
pub(super) async fn about(
    cx: &Scope,
    operation: &'static str,
    from: &MessageFrom,
    kind: MessageKind,
    id: &str,
) -> Result<AgentMessage> {
    let message = cx.need::<AgentMessage>(id).await?.body;
    let is_person = from.run.is_none();
    if !is_person && !concerns(&message, from) {
        let why = "the message was not for this run";
        return Err(Error::new(ErrorKind::PermissionDenied, operation, why).with_code("not_addressable"));
    }
    if kind != MessageKind::Reply {
        return Ok(message);
    }
    let conflict = |code: &'static str, why: &'static str| {
        Err(Error::new(ErrorKind::Conflict, operation, why).with_code(code).with_context("message", id))
    };
    if message.kind != MessageKind::Request {
        return Err(Error::invalid(operation, "in_reply_to", "expected the id of a request"));
    }
    if cx.find::<AgentMessage>("reply", Key::text(id)).await?.is_some() {
        return conflict("already_answered", "the request has its answer");
    }
    if message.failure.is_some() || message.deadline.is_some_and(|until| until <= cx.now()) {
        return conflict("reply_late", "the deadline of the request has passed");
    }
    Ok(message)
}
