//! G01: who sends, and whether what the send comes from is still going on.

use std::time::Duration;

use neonhub_core::Timestamp;

use super::RuleId;
use super::facts::{ActiveState, Facts, SourceState};
use super::verdict::Finding;

/// A paused source is asked again after this long; `sends.wake` asks earlier.
const PAUSE_RECHECK: Duration = Duration::from_secs(3600);

pub(super) fn judge(facts: &Facts<'_>, now: Timestamp, out: &mut Vec<Finding>) {
    tenant(facts, now, out);
    let rule = RuleId::Source;
    if facts.send.expires_at.is_some_and(|end| end <= now) {
        out.push(Finding::deny(rule, "expired", "the send was not possible in time"));
    }
    if facts.send.is_test && !facts.send.is_on_test_list {
        out.push(Finding::deny(rule, "not_on_test_list", "test sends go to addresses of the test list only"));
    }
    let Some(source) = facts.source else { return };
    let reason = match source.state {
        SourceState::Running => None,
        SourceState::Paused => {
            Some(Finding::defer(rule, now.plus(PAUSE_RECHECK), "paused", "the campaign is paused"))
        }
        SourceState::Cancelled => Some(Finding::deny(rule, "cancelled", "the campaign was cancelled")),
        SourceState::Finished => Some(Finding::deny(rule, "finished", "the campaign is finished")),
    };
    out.extend(reason.map(|r| r.with("source", &source.id)));
    if let Some(start) = source.start.filter(|start| *start > now) {
        let reason = Finding::defer(rule, start, "not_started", "the campaign has not begun");
        out.push(reason.with("source", &source.id).with("start", start));
    }
    if let Some(end) = source.end.filter(|end| *end <= now) {
        let reason = Finding::deny(rule, "ended", "the campaign is over");
        out.push(reason.with("source", &source.id).with("end", end));
    }
    if let Some(word) = &source.person_exit {
        let reason = Finding::deny(rule, "person_left", "the person is no longer in the campaign");
        out.push(reason.with("source", &source.id).with("exit", word));
    }
    if source.has_reply {
        let reason = Finding::deny(rule, "replied", "the person replied and the sequence stops on a reply");
        out.push(reason.with("source", &source.id));
    }
}

fn tenant(facts: &Facts<'_>, now: Timestamp, out: &mut Vec<Finding>) {
    let tenant = facts.tenant;
    let parts =
        [("workspace", tenant.workspace), ("organization", tenant.organization), ("brand", tenant.brand)];
    for (part, state) in parts {
        let (code, message) = match state {
            ActiveState::Active => continue,
            ActiveState::Paused => ("paused", "sending is paused for this workspace, organization or brand"),
            ActiveState::Suspended => ("suspended", "the workspace, organization or brand is suspended"),
            ActiveState::Closed => ("closed", "the workspace, organization or brand is closed"),
        };
        out.push(Finding::deny(RuleId::Tenant, code, message).with("part", part));
    }
    if tenant.expires_at.is_some_and(|end| end <= now) {
        out.push(Finding::deny(RuleId::Tenant, "expired", "the plan of the workspace has ended"));
    }
}
