//! Taking, keeping and giving up the hold on a run.

use std::time::Duration;

use super::entry::RunStatus;
use super::record::{AgentRun, RunLease};
use crate::store::Stored;
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// How long a hold lasts, and how often it is renewed.
// 30 s and 10 s: ours; the same as for jobs.
pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const RENEW: Duration = Duration::from_secs(10);

/// Marks the run as held by this process; the caller commits it.
///
/// # Errors
/// `Conflict`, code `leased`, while another living process holds it.
pub(super) fn take(cx: &Scope, run: &mut Stored<AgentRun>) -> Result<()> {
    let me = cx.hub().worker_name().to_owned();
    let other = run.lease.as_ref().filter(|l| l.owner != me);
    if let Some(lease) = other
        && run.is_held(cx)
    {
        let left = lease.until.as_millis().saturating_sub(cx.now().as_millis());
        let wait = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        return Err(Error::new(ErrorKind::Conflict, "runs.drive", "another process works on this run")
            .with_code("leased")
            .with_retry(Retry::After(wait))
            .with_context("run", &run.id));
    }
    let token = run.lease.as_ref().map_or(0, |l| l.token) + 1;
    run.body.lease = Some(RunLease { owner: me, token, until: cx.now().plus(LEASE) });
    run.body.status = RunStatus::Running;
    Ok(())
}

/// Sets the end of the hold anew.
pub(super) fn renew(cx: &Scope, run: &mut AgentRun) {
    if let Some(lease) = &mut run.lease {
        lease.until = cx.now().plus(LEASE);
    }
}

/// Lets go, keeping the token so that the next hold has a higher one.
pub(super) fn release(run: &mut AgentRun) {
    if let Some(lease) = &mut run.lease {
        lease.until = crate::Timestamp::EPOCH;
    }
}

/// True when `now` is still the hold that `before` was.
pub(super) fn is_same(before: &AgentRun, now: &AgentRun) -> bool {
    let of = |run: &AgentRun| run.lease.as_ref().map(|l| (l.owner.clone(), l.token));
    of(before) == of(now)
}

/// The error of a process that lost its hold.
pub(super) fn fenced(run: &str) -> Error {
    Error::new(ErrorKind::Conflict, "runs.append", "another process has taken over this run")
        .with_code("fenced")
        .with_context("run", run)
}
