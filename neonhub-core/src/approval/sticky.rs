//! "Always allow this": an answer that becomes a policy.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Approval;
use crate::policy::ops::{ActivatePolicy, PolicyDraft, PutPolicy};
use crate::policy::{PolicyEffect, PolicyScope};
use crate::{Error, Result, Scope};

/// Characters of a policy's name at most.
const MAX_NAME: usize = 80;

/// How long, and under which condition, the agent need not ask for this operation again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Always {
    /// For how many days, 1..=365.
    pub days: u32,
    /// The condition of a policy, such as `input.budget <= money("500", "EUR")`; empty: whatever the input.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub when: String,
}

impl Always {
    /// Makes the policy. Its label, `name@version`.
    pub(super) async fn enact(&self, cx: &Scope, approval: &Approval) -> Result<String> {
        if !(1..=365).contains(&self.days) {
            return Err(Error::invalid(cx.operation(), "always.days", "expected 1..=365"));
        }
        let agent = approval.requested_by.strip_prefix("agent:");
        let (Some(agent), true) = (agent, approval.policies.is_empty()) else {
            return Err(Error::invalid(
                cx.operation(),
                "always",
                "a policy asks for this, and another one cannot overrule it: change that policy",
            ));
        };
        let mut name = format!("always-{agent}-{}", approval.operation).to_lowercase();
        name.truncate(MAX_NAME);
        let day = Duration::from_secs(24 * 3_600);
        let policy = PolicyDraft {
            name,
            scope: PolicyScope {
                operations: vec![approval.operation.clone()],
                agents: vec![agent.to_owned()],
                ..PolicyScope::default()
            },
            when: self.when.clone(),
            effect: PolicyEffect::Allow {},
            reason: format!("allowed with the answer to {}", approval.id),
            source: cx.label().to_owned(),
            priority: 0,
            valid_from: None,
            valid_to: Some(cx.now().plus(day * self.days)),
        };
        let put = cx.call(PutPolicy { policy }).await?;
        let active = cx.call(ActivatePolicy { id: put.id, dry_run: false }).await?;
        Ok(format!("{}@{}", active.name, active.version))
    }
}
