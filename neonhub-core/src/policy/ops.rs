//! Operations on policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Decision;
pub use super::dry_run::{Changed, DryRun, DryRunPolicy};
use super::model::{Policy, PolicyEffect, PolicyId, PolicyScope, PolicyState};
use super::told::told;
use crate::op::{Effect, Entry, Operation, Page, entry};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Error, Result, Scope, Timestamp};

/// Operations of this room.
pub static CATALOGUE: &[Entry] = &[
    entry::<PutPolicy>(),
    entry::<ActivatePolicy>(),
    entry::<RetirePolicy>(),
    entry::<ListPolicies>(),
    entry::<PolicyHistory>(),
    entry::<EvaluatePolicies>(),
    entry::<DryRunPolicy>(),
];

/// What a policy says, before it has a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyDraft {
    /// Name, 1..80 lower-case letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Which calls it speaks about.
    #[serde(default)]
    pub scope: PolicyScope,
    /// The condition, such as `input.budget > money("500", "EUR")`; empty: always.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub when: String,
    /// What it does.
    pub effect: PolicyEffect,
    /// Why, 1..500 characters, for the people it concerns.
    pub reason: String,
    /// Where it comes from: a law, a pack, a decision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Among effects of one strength the higher speaks first.
    #[serde(default)]
    pub priority: i32,
    /// In force from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// In force before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
}

impl PolicyDraft {
    pub(super) fn with(self, id: PolicyId, version: u32, state: PolicyState) -> Policy {
        Policy {
            id,
            name: self.name,
            version,
            state,
            scope: self.scope,
            when: self.when,
            effect: self.effect,
            reason: self.reason,
            source: self.source,
            priority: self.priority,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
        }
    }

    pub(super) fn example() -> Self {
        PolicyDraft {
            name: "large-budgets".into(),
            scope: PolicyScope { operations: vec!["campaigns.*".into()], ..PolicyScope::default() },
            when: "input.budget > money(\"500\", \"EUR\")".into(),
            effect: PolicyEffect::RequireApproval {
                quorum: 1,
                approvers: vec!["admin".into()],
                ttl_ms: 259_200_000,
            },
            reason: "budgets over 500 EUR need a second pair of eyes".into(),
            source: "house rule".into(),
            priority: 0,
            valid_from: None,
            valid_to: None,
        }
    }
}

const EXAMPLE_ID: &str = "pol_01kaf3w0000000000000000000";

async fn versions(cx: &Scope, name: &str) -> Result<Vec<Stored<Policy>>> {
    cx.query::<Policy>(&Query::index("version").prefix(Key::text(name)).limit(10_000)).await
}

/// Writes a policy as a draft: a new name starts at version 1, a known one gets its next version.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPolicy {
    /// What it says.
    pub policy: PolicyDraft,
}

impl Operation for PutPolicy {
    type Output = Policy;
    const NAME: &'static str = "policies.put";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Policy> {
        let last = versions(cx, &self.policy.name).await?.pop();
        let next = last.as_ref().map_or(1, |l| l.version + 1);
        let policy = self.policy.with(PolicyId::new(cx), next, PolicyState::Draft);
        policy.check(Self::NAME)?;
        if let Some(last) = last {
            let same =
                Policy { id: last.id.clone(), version: last.version, state: last.state, ..policy.clone() };
            if same == last.body {
                return Ok(last.body);
            }
        }
        cx.create(&policy)?;
        cx.concern("policy", policy.id.as_str());
        Ok(policy)
    }
    fn examples() -> Vec<Self> {
        vec![PutPolicy { policy: PolicyDraft::example() }]
    }
}

/// Puts a version of a policy in force, or in dry run. Another version of the same name that was in that state ends.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivatePolicy {
    /// Id of the version.
    pub id: PolicyId,
    /// True to only evaluate and record it beside those in force.
    #[serde(default)]
    pub dry_run: bool,
}

impl Operation for ActivatePolicy {
    type Output = Policy;
    const NAME: &'static str = "policies.activate";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Policy> {
        let mut chosen = cx.need::<Policy>(self.id.as_str()).await?;
        chosen.body.check(Self::NAME)?;
        let state = if self.dry_run { PolicyState::DryRun } else { PolicyState::Active };
        if chosen.state == state {
            return Ok(chosen.body);
        }
        for mut other in versions(cx, &chosen.name).await? {
            if other.id != chosen.id && other.state == state {
                other.body.state = PolicyState::Retired;
                cx.save(&other)?;
            }
        }
        chosen.body.state = state;
        cx.save(&chosen)?;
        cx.concern("policy", chosen.id.as_str());
        Ok(chosen.body)
    }
    fn examples() -> Vec<Self> {
        let id = EXAMPLE_ID.to_owned().try_into();
        id.map(|id| ActivatePolicy { id, dry_run: false }).into_iter().collect()
    }
}

/// Takes a version of a policy out of force.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetirePolicy {
    /// Id of the version.
    pub id: PolicyId,
}

impl Operation for RetirePolicy {
    type Output = Policy;
    const NAME: &'static str = "policies.retire";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Policy> {
        let mut chosen = cx.need::<Policy>(self.id.as_str()).await?;
        if chosen.state != PolicyState::Retired {
            chosen.body.state = PolicyState::Retired;
            cx.save(&chosen)?;
            cx.concern("policy", chosen.id.as_str());
        }
        Ok(chosen.body)
    }
    fn examples() -> Vec<Self> {
        EXAMPLE_ID.to_owned().try_into().map(|id| RetirePolicy { id }).into_iter().collect()
    }
}

/// Lists policies, by state and name, or by name and version.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListPolicies {
    /// Only this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PolicyState>,
    /// Most policies of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListPolicies {
    type Output = Page<Policy>;
    const NAME: &'static str = "policies.list";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Policy>> {
        let query = match self.state {
            Some(state) => Query::index("state").prefix(Key::text(state.word())),
            None => Query::index("version"),
        };
        let query = query.limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Policy>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|p| p.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListPolicies { state: Some(PolicyState::Active), ..Self::default() }]
    }
}

/// Lists all versions of a policy, the newest last.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyHistory {
    /// Name of the policy.
    pub name: String,
}

impl Operation for PolicyHistory {
    type Output = Vec<Policy>;
    const NAME: &'static str = "policies.history";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<Policy>> {
        let all = versions(cx, &self.name).await?;
        if all.is_empty() {
            return Err(cx.missing("policy"));
        }
        Ok(all.into_iter().map(|p| p.body).collect())
    }
    fn examples() -> Vec<Self> {
        vec![PolicyHistory { name: "large-budgets".into() }]
    }
}

/// Asks what would be said to a call with these facts, with the word of each policy in force. An agent that had read words from
/// outside is told as the facts `agent` and `tainted`: where a sink of the operation does not take such words, a person is asked
/// whatever policies allow, and `question` says what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluatePolicies {
    /// Name of the operation.
    pub operation: String,
    /// Facts by name: `roles`, `agent`, `tainted`, `channel`, `region`, `input` and so on. What is left out is unknown.
    pub facts: Value,
}

impl Operation for EvaluatePolicies {
    type Output = Decision;
    const NAME: &'static str = "policies.evaluate";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, cx: &Scope) -> Result<Decision> {
        let Value::Object(mut facts) = self.facts else {
            return Err(Error::invalid(Self::NAME, "facts", "expected an object of facts by name"));
        };
        facts.insert("operation".into(), self.operation.as_str().into());
        facts.entry("now").or_insert_with(|| cx.now().as_millis().into());
        let at = facts.get("now").and_then(Value::as_i64).map_or(cx.now(), Timestamp::from_millis);
        let line = cx.hub().operation(&self.operation).ok();
        let control = cx.control().await?;
        Ok(told(&self.operation, line, &control.policies, facts, at))
    }
    fn examples() -> Vec<Self> {
        vec![EvaluatePolicies {
            operation: "campaigns.launch".into(),
            facts: json!({ "roles": ["member"], "input": { "budget": { "minor": 60_000, "currency": "EUR" } } }),
        }]
    }
}
