//! The stages before the body: cancellation and closing, rights and tenant, policy, limits.

use serde_json::Value;

use super::door::refusal;
use super::{Entry, Idempotency, Slot};
use crate::policy::{self, Ruling};
use crate::scope::{CancelToken, Principal, Writing};
use crate::store::Consistency;
use crate::tenancy::WorkspaceStatus;
use crate::{Error, ErrorKind, Permission, Result, Scope};

/// What the stages let through: the scope with the rights that hold now, and what policies said.
pub(super) struct Admitted {
    pub(super) scope: Scope,
    pub(super) ruling: Ruling,
    pub(super) cancel: CancelToken,
}

/// Stages 4, 5 and 6 in their order.
pub(super) async fn admit(
    line: &'static Entry,
    cx: &Scope,
    cancel: CancelToken,
    slot: Option<&Slot>,
    input: impl Fn() -> Result<Value>,
) -> Result<Admitted> {
    // What a caller may do is never asked of a copy.
    let cx = &cx.with_consistency(Consistency::Strong);
    let scope = match permitted(line, cx).await {
        Ok(scope) => scope,
        Err(error) => return Err(refusal(line, cx, error, &Ruling::default()).await),
    };
    let ruling = match policy::rule(line, &scope, slot, input).await {
        Ok(ruling) => ruling,
        Err(refused) => return Err(refusal(line, &scope, refused.error, &refused.ruling).await),
    };
    counted(line, &scope).await?;
    Ok(Admitted { scope, ruling, cancel })
}

/// Stage 4: the rights that hold now, then the state of the workspace.
async fn permitted(line: &'static Entry, cx: &Scope) -> Result<Scope> {
    let current = cx.current_rights().await.map_err(|e| e.for_operation(line.name))?;
    let scope = match current {
        Some(rights) => {
            rights.check(line.name, cx.now())?;
            cx.with_current(&rights)
        }
        None => cx.clone(),
    };
    if line.host_only && matches!(scope.principal(), Principal::Agent { .. }) {
        let message = "no agent may call this: it reaches into the machine, so it is for the host alone";
        return Err(Error::new(ErrorKind::PermissionDenied, line.name, message).with_code("host_only"));
    }
    for word in line.needs {
        if !scope.permissions().has(*word) {
            return Err(denied(line.name, *word));
        }
    }
    if !line.effect.is_read_only() && !line.while_suspended {
        let status = scope.control().await?.status;
        if status.takes_writes() {
            return Ok(scope);
        }
        let code = match status {
            WorkspaceStatus::Closed => "workspace_closed",
            _ => "workspace_suspended",
        };
        return Err(Error::new(
            ErrorKind::Blocked,
            line.name,
            "the workspace is suspended or closed: it answers reads until it is restored",
        )
        .with_code(code));
    }
    Ok(scope)
}

/// Stage 6: one call of a principal from outside. What an operation, a job or a run calls belongs to the call that
/// started it.
async fn counted(line: &'static Entry, cx: &Scope) -> Result<()> {
    if line.uncounted || !matches!(cx.0.writing, Writing::None) || !cx.is_host() {
        return Ok(());
    }
    match cx.own_bucket() {
        Some((counted, bucket)) => {
            cx.admit_bucket(counted, &bucket).await.map_err(|e| e.for_operation(line.name))
        }
        None => Ok(()),
    }
}

/// The part of stage 3 that holds for every call: a key where one is required.
pub(super) fn check_key(line: &'static Entry, key: Option<&str>) -> Result<()> {
    match (line.idempotency, key) {
        (Idempotency::Required, None) => Err(Error::invalid(
            line.name,
            "idempotency_key",
            "expected a key of 1..255 bytes: this operation is made once per key",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn denied(operation: &'static str, word: Permission) -> Error {
    Error::new(ErrorKind::PermissionDenied, operation, format!("needs the permission {word}"))
        .with_context("permission", word)
}

/// True for refusals that leave a row in the audit log: rights, policy, tenant.
pub(super) fn is_security(error: &Error) -> bool {
    let is_rule = matches!(
        error.code(),
        "policy_denied"
            | "policy_failed"
            | "approval_required"
            | "approval_denied"
            | "approval_used"
            | "workspace_suspended"
            | "workspace_closed"
            | "residency"
    );
    is_rule || matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unauthenticated)
}

/// Whom an agent acts for, for the audit log.
pub(crate) fn on_behalf_of(principal: &Principal) -> Option<&str> {
    match principal {
        Principal::Agent { acts_for, .. } => Some(acts_for),
        Principal::ApiKey { on_behalf_of, .. } => on_behalf_of.as_deref(),
        Principal::User { .. } | Principal::System { .. } => None,
    }
}
