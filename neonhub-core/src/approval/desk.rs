//! Where the engine of policies puts its questions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::expire::{EXPIRE, Expire};
use super::model::{Approval, ApprovalId, ApprovalState, live_key};
use super::taint;
use crate::audit::{AuditDraft, Outcome};
use crate::bus::Event;
use crate::job::JobSpec;
use crate::op::{Unit, on_behalf_of};
use crate::policy::{Approvals, Ask};
use crate::schedule::SYSTEM;
use crate::scope::{Principal, Writing};
use crate::store::Stored;
use crate::{Error, ErrorKind, Result, Scope};

const ASK: &str = "approvals.ask";
const SPEND: &str = "approvals.spend";
/// How often a question is put again when another caller was faster.
const RERUNS: u32 = 3;

/// Keeps questions as records of the workspace. What a hub has unless its builder is given another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desk;

#[async_trait]
impl Approvals for Desk {
    async fn granted(&self, cx: &Scope, ask: &Ask) -> Result<Option<String>> {
        let Some(found) = standing(cx, ask).await? else { return Ok(None) };
        match found.state_at(cx.now()) {
            ApprovalState::Approved if found.agreed().count() >= usize::from(ask.quorum) => {
                Ok(Some(found.id.as_str().to_owned()))
            }
            ApprovalState::Denied if cx.now() < found.expires_at => Err(Error::new(
                ErrorKind::Blocked,
                ask.operation.clone(),
                "a person has refused this call: make another one, or ask again after the question has expired",
            )
            .with_code("approval_denied")
            .with_context("approval", &found.id)
            .with_context("expires_at", found.expires_at)),
            _ => Ok(None),
        }
    }

    async fn ask(&self, cx: &Scope, ask: &Ask) -> Result<String> {
        for _ in 0..RERUNS {
            let found = standing(cx, ask).await?;
            if let Some(found) = &found
                && found.state_at(cx.now()) == ApprovalState::Pending
                && is_same(found, ask)
            {
                return Ok(found.id.as_str().to_owned());
            }
            match put(cx, ask, found).await {
                Err(error) if matches!(error.code(), "unique_taken" | "stale_revision") => {}
                other => return other,
            }
        }
        Err(Error::new(ErrorKind::Conflict, ASK, "others ask for the same call: try again"))
    }

    async fn spend(&self, cx: &Scope, id: &str) -> Result<()> {
        let mut approval = cx.need::<Approval>(id).await?;
        if approval.state_at(cx.now()) != ApprovalState::Approved || approval.used_at.is_some() {
            return Err(Error::new(
                ErrorKind::Blocked,
                SPEND,
                "the person's yes was used, or its time is over: make the call again to ask anew",
            )
            .with_code("approval_used")
            .with_context("approval", id));
        }
        (approval.body.used_at, approval.body.live) = (Some(cx.now()), false);
        if matches!(cx.0.writing, Writing::None) {
            let scope = own(cx, SPEND);
            scope.save(&approval)?;
            return scope.flush().await.map(|_| ());
        }
        cx.save(&approval)
    }
}

/// Uses up the yes to a question about an operation, with the commit of `cx`, and gives the input that it is for: as it was
/// asked, or as it was edited. None where there is no yes to be used.
pub(crate) async fn take(cx: &Scope, id: &str, operation: &str) -> Result<Option<Value>> {
    let Some(mut found) = cx.get::<Approval>(id).await? else { return Ok(None) };
    let is_yes = found.state_at(cx.now()) == ApprovalState::Approved && found.used_at.is_none();
    if !is_yes || found.operation != operation {
        return Ok(None);
    }
    let args = found.unseal(cx)?;
    (found.body.used_at, found.body.live) = (Some(cx.now()), false);
    cx.save(&found)?;
    Ok(Some(args))
}

/// A scope whose commit is its own: a question outlives the call that it stops.
fn own(cx: &Scope, operation: &'static str) -> Scope {
    let seed = cx.with_rng(crate::Rng::next_u64).to_le_bytes();
    let seed = cx.seed().split(&[operation.as_bytes(), &seed]);
    let writing = Writing::Job(Arc::new(Unit::default()));
    cx.outside().inside(operation, seed, writing, cx.cancel_token().clone())
}

fn run_of(cx: &Scope) -> Option<&str> {
    match cx.principal() {
        Principal::Agent { run, .. } => Some(run),
        _ => None,
    }
}

async fn standing(cx: &Scope, ask: &Ask) -> Result<Option<Stored<Approval>>> {
    cx.find::<Approval>("live", live_key(&ask.args_hash, cx.label(), run_of(cx))).await
}

/// Whether a question that stands asks the same people for the same reasons.
fn is_same(found: &Approval, ask: &Ask) -> bool {
    // Approvers may have changed by delegation; the policies that name them have versions.
    found.quorum == ask.quorum && found.policies == ask.policies
}

/// Puts a question, in the place of the one that stood.
async fn put(cx: &Scope, ask: &Ask, old: Option<Stored<Approval>>) -> Result<String> {
    let spans = taint::spans(cx, run_of(cx), &ask.operation, &ask.args).await?;
    let scope = own(cx, ASK);
    if let Some(mut old) = old {
        old.body.live = false;
        old.body.state = match old.state_at(cx.now()) {
            ended @ (ApprovalState::Expired | ApprovalState::Denied) => ended,
            _ => ApprovalState::Superseded,
        };
        scope.save(&old)?;
    }
    let mut approval = Approval {
        id: ApprovalId::new(&scope),
        operation: ask.operation.clone(),
        args: None,
        tainted_spans: Vec::new(),
        args_hash: ask.args_hash.clone(),
        summary: ask.summary.clone(),
        requested_by: cx.label().to_owned(),
        on_behalf_of: on_behalf_of(cx.principal()).map(str::to_owned),
        run_id: run_of(cx).map(str::to_owned),
        policies: ask.policies.clone(),
        approvers: ask.approvers.clone(),
        quorum: ask.quorum,
        decisions: Vec::new(),
        state: ApprovalState::Pending,
        sticky_rule: None,
        created_at: cx.now(),
        expires_at: cx.now().plus(Duration::from_millis(ask.ttl_ms)),
        live: true,
        used_at: None,
        sealed_args: None,
        sealed_spans: None,
    };
    approval.seal(&scope, &ask.args, &spans)?;
    scope.create(&approval)?;
    let facts = json!({ "operation": approval.operation, "run": approval.run_id });
    tell(&scope, &approval, "approval.requested", facts)?;
    if let Writing::Job(unit) = &scope.0.writing {
        let draft = AuditDraft::of(&scope, ASK, Outcome::Ok).on("approval", approval.id.as_str());
        unit.staged().audit.push(draft.under(approval.policies.clone()));
    }
    let payload = Expire { approval: approval.id.clone() };
    let payload = serde_json::to_value(payload).map_err(|cause| Error::internal(ASK, cause))?;
    scope.enqueue(JobSpec::new(SYSTEM, EXPIRE, payload).run_at(approval.expires_at))?;
    scope.flush().await?;
    Ok(approval.id.as_str().to_owned())
}

pub(super) fn tell(cx: &Scope, approval: &Approval, kind: &str, data: Value) -> Result<()> {
    cx.emit(Event::new(cx, kind, "approval", approval.id.as_str(), data))
}
