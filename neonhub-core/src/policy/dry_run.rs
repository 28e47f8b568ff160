//! What a policy would have changed.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{Policy, PolicyDecision, PolicyId, PolicyState, Verdict};
use super::ops::PolicyDraft;
use super::ruling::at_sinks;
use super::{PolicyRef, PolicySet};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::Query;
use crate::{Error, Result, Scope, Timestamp};

/// Tries a policy on the decisions that were recorded: which would have come out differently.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunPolicy {
    /// The policy; a version in force of the same name is left out beside it.
    pub policy: PolicyDraft,
    /// Decisions from this instant on. Default: all that are kept, 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Decisions up to this instant. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// One decision that would have come out differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The recorded decision.
    pub decision: super::DecisionId,
    /// The operation.
    pub operation: String,
    /// Who called.
    pub subject: String,
    /// When.
    pub at: Timestamp,
    /// What it was.
    pub was: Verdict,
    /// What it would have been.
    pub would_be: Verdict,
    /// What would have decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<PolicyRef>>,
}

/// What a policy would have changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    /// Recorded decisions that were tried.
    pub tried: u64,
    /// Those that would have come out differently, oldest first, at most 1 000.
    pub changed: Vec<Changed>,
    /// How many there are in all.
    pub changes: u64,
}

/// Changes that are listed.
const LISTED: usize = 1_000;

impl Operation for DryRunPolicy {
    type Output = DryRun;
    const NAME: &'static str = "policies.dry_run";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<DryRun> {
        let policy = self.policy.with(PolicyId::new(cx), u32::MAX, PolicyState::Active);
        policy.check(Self::NAME)?;
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            return Err(Error::invalid(Self::NAME, "to", "expected an instant after `from`"));
        }
        let control = cx.control().await?;
        let stays = |p: &&Policy| p.name != policy.name && p.state == PolicyState::Active;
        let mut tried: Vec<Policy> = control.policies.policies().filter(stays).cloned().collect();
        tried.push(policy);
        let set = PolicySet::new(tried);
        let mut report = DryRun { tried: 0, changed: Vec::new(), changes: 0 };
        let query =
            Query::index("at").from(self.from.unwrap_or(Timestamp::EPOCH)).up_to(self.to.unwrap_or(cx.now()));
        let mut cursor = None;
        loop {
            let page = cx.page::<PolicyDecision>(query.clone().limit(500), cursor.as_deref()).await?;
            page.items.iter().for_each(|d| report.try_one(&set, cx, d));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(report);
            }
            cx.cancel_token().check(Self::NAME)?;
        }
    }
    fn examples() -> Vec<Self> {
        vec![DryRunPolicy { policy: PolicyDraft::example(), from: None, to: None }]
    }
}

impl DryRun {
    fn try_one(&mut self, set: &PolicySet, cx: &Scope, decision: &PolicyDecision) {
        self.tried += 1;
        let is_write = cx.hub().operation(&decision.operation).is_ok_and(|l| l.effect == Effect::Write);
        let default = match decision.facts.get("agent") {
            Some(_) if is_write => Verdict::RequireApproval,
            _ => Verdict::Allow,
        };
        let is_tainted = decision.facts.get("tainted").and_then(Value::as_bool) == Some(true);
        let then = set.decide(&decision.operation, &decision.facts, decision.at, default);
        let would_be = at_sinks(then.verdict, is_tainted);
        if would_be == decision.verdict {
            return;
        }
        self.changes += 1;
        if self.changed.len() < LISTED {
            self.changed.push(Changed {
                decision: decision.id.clone(),
                operation: decision.operation.clone(),
                subject: decision.subject.clone(),
                at: decision.at,
                was: decision.verdict,
                would_be,
                by: then.deciding().map(|r| Arc::clone(&r.policy)),
            });
        }
    }
}
