//! Policies as records, and what they decide.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expr::Truth;
use crate::store::{Index, Keep, Key, Record};
use crate::{Result, Timestamp, id_type};

id_type!(PolicyId, "pol", "A version of a policy.");
id_type!(DecisionId, "pdc", "A recorded decision.");

/// Where a version of a policy stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    /// Written, without effect.
    #[default]
    Draft,
    /// Evaluated and recorded beside the active ones, without effect.
    DryRun,
    /// In force.
    Active,
    /// No longer in force.
    Retired,
}

impl PolicyState {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            PolicyState::Draft => "draft",
            PolicyState::DryRun => "dry_run",
            PolicyState::Active => "active",
            PolicyState::Retired => "retired",
        }
    }
}

/// Which calls a policy speaks about. An empty list leaves that part open; a list that names channels or regions
/// leaves out calls that are about none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyScope {
    /// Names of operations; `*` stands for any characters: `campaigns.*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Roles of the principal, any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Names of the calling agent; `*` for every agent. With a list, callers that are no agent are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// What a policy does when its condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum PolicyEffect {
    /// Allows; it also takes the place of the catalogue's default for acts of agents on the outside.
    Allow {},
    /// Refuses. An unknown condition refuses too.
    Deny {},
    /// Needs a person's yes first. An unknown condition needs it too.
    RequireApproval {
        /// How many must agree, 1..=10.
        #[serde(default = "one")]
        quorum: u8,
        /// Roles or users who may, such as `admin` or `user:ada`; empty: who holds `approve:effects`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvers: Vec<String>,
        /// How long the question stands, in milliseconds. Default 72 h.
        #[serde(default = "three_days")]
        ttl_ms: u64,
    },
    /// Takes one from a bucket of the workspace; an empty bucket refuses with the instant that admits.
    Limit {
        /// Name of the bucket: policies that name the same share it.
        bucket: String,
        /// Calls per `per_ms`, 1..=1 000 000.
        max: u32,
        /// The window in milliseconds, 1 000..=31 days.
        per_ms: u64,
    },
    /// Hides fields of the answer: text becomes `***`, the rest `null`.
    Redact {
        /// Names of fields wherever they stand, or dotted paths from the top.
        fields: Vec<String>,
    },
    /// Only leaves a note in the decision.
    Annotate {},
}

fn one() -> u8 {
    1
}

/// 72 h: the life of an approval.
fn three_days() -> u64 {
    72 * 3_600_000
}

impl PolicyEffect {
    /// Strength: what is larger beats what is smaller.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            PolicyEffect::Annotate {} => Verdict::Annotate,
            PolicyEffect::Allow {} => Verdict::Allow,
            PolicyEffect::Limit { .. } => Verdict::Limit,
            PolicyEffect::Redact { .. } => Verdict::Redact,
            PolicyEffect::RequireApproval { .. } => Verdict::RequireApproval,
            PolicyEffect::Deny {} => Verdict::Deny,
        }
    }

    /// Whether a condition with this truth fires the effect: what restricts fires on unknown, what permits does not.
    #[must_use]
    pub const fn fires(&self, truth: Truth) -> bool {
        match truth {
            Truth::True => true,
            Truth::False => false,
            Truth::Unknown => !matches!(self, PolicyEffect::Allow {} | PolicyEffect::Annotate {}),
        }
    }
}

/// The outcome of a decision, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing but a note.
    Annotate,
    /// May go on.
    Allow,
    /// May go on while its bucket has room.
    Limit,
    /// May go on; fields of the answer are hidden.
    Redact,
    /// A person must agree first.
    RequireApproval,
    /// May not.
    Deny,
}

/// One version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Id of this version.
    pub id: PolicyId,
    /// Name, the same in all versions.
    pub name: String,
    /// Number of the version, from 1.
    pub version: u32,
    /// Where it stands.
    #[serde(default)]
    pub state: PolicyState,
    /// Which calls it speaks about.
    #[serde(default)]
    pub scope: PolicyScope,
    /// The condition; empty: always.
    #[serde(default)]
    pub when: String,
    /// What it does.
    pub effect: PolicyEffect,
    /// Why, for the people it concerns.
    pub reason: String,
    /// Where it comes from: a law, a pack, a decision.
    #[serde(default)]
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

impl Record for Policy {
    const KIND: &'static str = "policy";
    const INDEXES: &'static [Index] = &[Index::unique("version"), Index::on("state")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let version = Key::text(&self.name).and_int(i64::from(self.version));
        vec![Some(version), Some(Key::text(self.state.word()).and_text(&self.name))]
    }
}

/// Names one version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRef {
    /// Id of the version.
    pub id: PolicyId,
    /// Name of the policy.
    pub name: String,
    /// Number of the version.
    pub version: u32,
}

impl PolicyRef {
    /// `name@version`, as audit entries hold it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A decision that was made about a call, kept beside its audit entry for 30 days.
///
/// Of the input only numbers, flags, amounts and plain words are kept: no addresses, no text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyDecision {
    /// Its id.
    pub id: DecisionId,
    /// The operation that was called.
    pub operation: String,
    /// Who called, in short form.
    pub subject: String,
    /// The outcome.
    pub verdict: Verdict,
    /// The versions that fired, strongest first.
    pub policies: Vec<Arc<PolicyRef>>,
    /// What versions in dry run would have made of it; absent without such versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Verdict>,
    /// SHA-256 over the canonical JSON of all facts, hex.
    pub facts_hash: String,
    /// The facts, without what may be personal.
    pub facts: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

impl Record for PolicyDecision {
    const KIND: &'static str = "policy_decision";
    const INDEXES: &'static [Index] = &[Index::on("at")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.at.into())]
    }
    fn retention() -> Keep {
        Keep::Age(KEEP_DECISIONS_DAYS)
    }
}

/// How long recorded decisions are kept, in days.
// Our choice: as long as health records, long enough to try a policy on a month of calls.
const KEEP_DECISIONS_DAYS: u32 = 30;

impl Policy {
    /// Checks everything but the uniqueness of the name.
    ///
    /// # Errors
    /// `InvalidInput` naming every wrong field; for the condition with the position of the fault.
    pub fn check(&self, operation: &'static str) -> Result<()> {
        let mut faults = crate::Faults::new();
        let is_name = (1..=80).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        faults.check(is_name, "name", "expected 1..80 lower-case letters, digits, `.`, `_` and `-`");
        faults.check(
            (1..=500).contains(&self.reason.chars().count()),
            "reason",
            "expected 1..500 characters that say why",
        );
        faults.check(self.source.len() <= 500, "source", "expected at most 500 bytes");
        if let Err(fault) = super::expr::Expr::compile(&self.when) {
            faults.push("when", fault.to_string());
        }
        if let (Some(from), Some(to)) = (self.valid_from, self.valid_to) {
            faults.check(from < to, "valid_to", "expected an instant after valid_from");
        }
        self.check_scope(&mut faults);
        self.check_effect(&mut faults);
        faults.into_result(operation)
    }

    fn check_scope(&self, faults: &mut crate::Faults) {
        let lists = [
            ("scope.operations", &self.scope.operations),
            ("scope.roles", &self.scope.roles),
            ("scope.agents", &self.scope.agents),
            ("scope.channels", &self.scope.channels),
            ("scope.regions", &self.scope.regions),
        ];
        for (field, list) in lists {
            let is_shaped = list.len() <= 100 && list.iter().all(|w| (1..=100).contains(&w.len()));
            faults.check(is_shaped, field, "expected at most 100 words of 1..100 bytes");
        }
    }

    fn check_effect(&self, faults: &mut crate::Faults) {
        match &self.effect {
            PolicyEffect::RequireApproval { quorum, ttl_ms, .. } => {
                faults.check((1..=10).contains(quorum), "effect.quorum", "expected 1..10");
                let is_bounded = (60_000..=90 * 86_400_000).contains(ttl_ms);
                faults.check(is_bounded, "effect.ttl_ms", "expected a minute to 90 days in milliseconds");
            }
            PolicyEffect::Limit { bucket, max, per_ms } => {
                faults.check((1..=80).contains(&bucket.len()), "effect.bucket", "expected 1..80 bytes");
                faults.check((1..=1_000_000).contains(max), "effect.max", "expected 1..1 000 000");
                let is_bounded = (1_000..=31 * 86_400_000).contains(per_ms);
                faults.check(is_bounded, "effect.per_ms", "expected a second to 31 days in milliseconds");
            }
            PolicyEffect::Redact { fields } => {
                faults.check((1..=100).contains(&fields.len()), "effect.fields", "expected 1..100 names");
            }
            PolicyEffect::Allow {} | PolicyEffect::Deny {} | PolicyEffect::Annotate {} => {}
        }
    }
}
