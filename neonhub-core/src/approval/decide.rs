//! Who may decide, and what follows from it.

use serde_json::{Value, json};

use super::desk::tell;
use super::model::{Approval, ApprovalDecision, ApprovalState, Vote, signal_of};
use super::taint;
use crate::permission::Permission;
use crate::run::AgentRun;
use crate::scope::Principal;
use crate::store::{Query, Stored};
use crate::tenancy::Membership;
use crate::{Error, ErrorKind, Faults, Result, Scope};

/// Characters of a note at most.
const MAX_NOTE: usize = 2_000;

/// What somebody says to a question.
pub(super) struct Answer {
    pub(super) vote: Vote,
    pub(super) note: Option<String>,
    /// Another input that the yes is for.
    pub(super) edit: Option<Value>,
}

/// The one who decides: for a key the user it acts for. Agents and built-in jobs decide nothing.
fn person(cx: &Scope) -> Result<String> {
    match cx.principal() {
        Principal::User { .. } => Ok(cx.label().to_owned()),
        Principal::ApiKey { on_behalf_of, .. } => {
            Ok(on_behalf_of.as_ref().map_or_else(|| cx.label().to_owned(), |user| format!("user:{user}")))
        }
        Principal::Agent { .. } | Principal::System { .. } => Err(Error::new(
            ErrorKind::PermissionDenied,
            cx.operation(),
            "only people decide: sign in as a user, or use the key of one",
        )
        .with_code("not_a_person")),
    }
}

/// The question, when it can be decided by the caller now.
pub(super) async fn open(cx: &Scope, id: &str) -> Result<(Stored<Approval>, String)> {
    let by = person(cx)?;
    let found = cx.need::<Approval>(id).await?;
    let state = found.state_at(cx.now());
    if state != ApprovalState::Pending {
        return Err(Error::new(
            ErrorKind::Conflict,
            cx.operation(),
            format!("the question is {}: nothing is left to decide", state.word()),
        )
        .with_code("approval_ended")
        .with_context("state", state.word()));
    }
    let is_named = |who: &String| *who == by || cx.roles().iter().any(|role| role == who);
    if !found.approvers.is_empty() && !found.approvers.iter().any(is_named) {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            cx.operation(),
            "this question is for others: the approvers are named in it",
        )
        .with_code("not_an_approver")
        .with_context("approvers", found.approvers.join(", ")));
    }
    Ok((found, by))
}

pub(super) fn check_note(operation: &'static str, note: Option<&str>) -> Result<()> {
    let mut faults = Faults::new();
    let fits = note.is_none_or(|note| !note.trim().is_empty() && note.chars().count() <= MAX_NOTE);
    faults.check(fits, "note", "expected 1 to 2000 characters");
    faults.into_result(operation)
}

/// Takes an answer, and wakes the run that waits for it once the question is decided.
pub(super) async fn decide(cx: &Scope, id: &str, answer: Answer) -> Result<Stored<Approval>> {
    check_note(cx.operation(), answer.note.as_deref())?;
    let (mut approval, by) = open(cx, id).await?;
    if answer.vote == Vote::Approve && answer.edit.is_none() && approval.agreed().any(|who| who == by) {
        return Err(Error::new(ErrorKind::Conflict, cx.operation(), "you have said yes already")
            .with_code("already_decided"));
    }
    let edited = answer.edit.is_some();
    if let Some(args) = &answer.edit {
        approval.body.args_hash = crate::policy::call_hash(&approval.operation, args);
        let run = approval.run_id.clone();
        let spans = taint::spans(cx, run.as_deref(), &approval.operation, args).await?;
        approval.body.seal(cx, args, &spans)?;
    }
    let decision =
        ApprovalDecision { by: by.clone(), vote: answer.vote, edited, note: answer.note, at: cx.now() };
    approval.body.decisions.push(decision);
    approval.body.state = match answer.vote {
        Vote::Deny => ApprovalState::Denied,
        Vote::Approve if approval.agreed().count() >= usize::from(approval.quorum) => {
            not_alone(cx, &approval, &by).await?;
            ApprovalState::Approved
        }
        Vote::Approve | Vote::Delegate => ApprovalState::Pending,
    };
    if approval.state != ApprovalState::Pending {
        settle(cx, &approval).await?;
    }
    cx.save(&approval)?;
    cx.concern("approval", id);
    Ok(approval)
}

/// Who asks is not the only one who agrees, where there are others to ask.
async fn not_alone(cx: &Scope, approval: &Approval, by: &str) -> Result<()> {
    if approval.requested_by != by || approval.agreed().any(|who| who != by) {
        return Ok(());
    }
    let members = cx.query::<Membership>(&Query::index("role").limit(2)).await?.len();
    if members <= 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PermissionDenied,
        cx.operation(),
        "who asks for a call cannot be the only one to approve it: let another member decide",
    )
    .with_code("own_request")
    .with_context("permission", Permission::ApproveEffects))
}

/// Tells that a question is at its end: to subscribers, and to the run that waits.
pub(super) async fn settle(cx: &Scope, approval: &Stored<Approval>) -> Result<()> {
    let last = approval.decisions.last();
    let facts = json!({
        "operation": approval.operation,
        "state": approval.state.word(),
        "run": approval.run_id,
        "by": last.map(|d| &d.by),
    });
    let kind = if approval.state == ApprovalState::Expired { "approval.expired" } else { "approval.decided" };
    tell(cx, approval, kind, facts)?;
    let Some(run) = &approval.run_id else { return Ok(()) };
    let Some(mut run) = cx.get::<AgentRun>(run).await? else { return Ok(()) };
    if run.status.is_final() {
        return Ok(());
    }
    let mut payload = json!({
        "approved": approval.state == ApprovalState::Approved,
        "state": approval.state.word(),
        "note": last.and_then(|d| d.note.as_ref()),
    });
    if approval.decisions.iter().any(|d| d.edited)
        && let Some(map) = payload.as_object_mut()
    {
        map.insert("args".to_owned(), approval.unseal(cx)?);
    }
    run.body.signals.insert(signal_of(approval.id.as_str()), payload);
    cx.save(&run)
}
