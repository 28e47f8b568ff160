//! The end of a question's time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decide::settle;
use super::model::{Approval, ApprovalId, ApprovalState};
use crate::audit::{AuditDraft, Outcome as Ended};
use crate::job::{Job, Outcome};
use crate::{Error, Result, Scope};

/// The job that writes it down.
pub(crate) const EXPIRE: &str = "approval.expire";

/// Its payload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expire {
    /// The question.
    pub(crate) approval: ApprovalId,
}

/// Ends a question whose time is over: for the run that waits it is a no.
pub(crate) async fn expire(cx: &Scope, job: &Job) -> Result<Outcome> {
    let Expire { approval } =
        serde_json::from_value(job.payload.clone()).map_err(|cause| Error::internal(EXPIRE, cause))?;
    let Some(mut found) = cx.get::<Approval>(approval.as_str()).await? else { return Ok(Outcome::Done) };
    if !found.live || cx.now() < found.expires_at {
        return Ok(Outcome::Done);
    }
    found.body.live = false;
    // A no stays a no; only nobody is held to it any more.
    if found.state != ApprovalState::Denied {
        found.body.state = ApprovalState::Expired;
        settle(cx, &found).await?;
        cx.note(AuditDraft::of(cx, "approvals.expire", Ended::Ok).on("approval", approval.as_str()))?;
    }
    cx.save(&found)?;
    Ok(Outcome::Done)
}
