//! The policies in force, compiled, and the order they are heard in.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expr::{Expr, Facts, Named, Truth};
use super::model::{Policy, PolicyEffect, PolicyRef, PolicyScope, PolicyState, Verdict};
use crate::Timestamp;

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Which. Shared with the set, as are the effect and the reason: a call is judged by many.
    pub policy: Arc<PolicyRef>,
    /// What it does when it fires.
    pub effect: Arc<PolicyEffect>,
    /// Why, in its author's words.
    pub reason: Arc<str>,
    /// Whether its condition held.
    pub truth: Truth,
    /// True when it counted.
    pub fired: bool,
    /// Why it could not be judged: then the whole decision is a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The answer of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The operation asked about.
    pub operation: String,
    /// The outcome.
    pub verdict: Verdict,
    /// True when no policy spoke and the default of the catalogue decided.
    pub by_default: bool,
    /// True when a policy could not be judged.
    pub failed: bool,
    /// Every policy whose scope fits, strongest first; among equals by priority, then name.
    pub rules: Vec<Rule>,
    /// What a person would be asked, as an answer of `policies.evaluate`; absent where nobody would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

impl Decision {
    /// The rules that fired.
    pub fn fired(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|r| r.fired)
    }

    /// The rule that decided: the first that fired with the strength of the verdict.
    #[must_use]
    pub fn deciding(&self) -> Option<&Rule> {
        self.fired().find(|r| r.fault.is_some() || r.effect.verdict() == self.verdict)
    }

    /// Fields of the answer to hide.
    #[must_use]
    pub fn redactions(&self) -> Vec<&str> {
        let fields = self.fired().filter_map(|r| match r.effect.as_ref() {
            PolicyEffect::Redact { fields } => Some(fields.iter().map(String::as_str)),
            _ => None,
        });
        fields.flatten().collect()
    }
}

#[derive(Debug)]
struct Compiled {
    policy: Policy,
    /// A stored condition that no longer reads is a refusal within its scope, never silently left out.
    when: Result<Expr, String>,
    said: Said,
}

/// What every rule of a policy says of it.
#[derive(Debug)]
struct Said {
    policy: Arc<PolicyRef>,
    effect: Arc<PolicyEffect>,
    reason: Arc<str>,
}

impl Said {
    fn of(policy: &Policy) -> Self {
        let id = PolicyRef { id: policy.id.clone(), name: policy.name.clone(), version: policy.version };
        Said {
            policy: Arc::new(id),
            effect: Arc::new(policy.effect.clone()),
            reason: policy.reason.as_str().into(),
        }
    }
}

/// The versions in force and in dry run, compiled. The order of the stored records does not matter.
#[derive(Debug, Default)]
pub struct PolicySet {
    rules: Vec<Compiled>,
    /// The facts that the conditions name.
    named: Named,
    by_operation: RwLock<HashMap<String, Arc<[usize]>>>,
}

/// Most operation names whose candidates are remembered: those of a catalogue and then some.
const REMEMBERED: usize = 4096;

impl PolicySet {
    /// Compiles policies. Drafts and retired versions are left out.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let in_force = |p: &Policy| matches!(p.state, PolicyState::Active | PolicyState::DryRun);
        let mut rules: Vec<Compiled> = policies
            .into_iter()
            .filter(in_force)
            .map(|policy| Compiled {
                when: Expr::compile(&policy.when).map_err(|fault| fault.to_string()),
                said: Said::of(&policy),
                policy,
            })
            .collect();
        rules.sort_by(|a, b| a.place().cmp(&b.place()));
        let mut named = Named::default();
        rules.iter_mut().filter_map(|r| r.when.as_mut().ok()).for_each(|when| when.join(&mut named));
        PolicySet { rules, named, by_operation: RwLock::default() }
    }

    /// True when nothing is in force or in dry run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The policies, strongest first.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.rules.iter().map(|r| &r.policy)
    }

    /// The rules that may speak about an operation.
    pub(crate) fn candidates(&self, operation: &str) -> Arc<[usize]> {
        if self.rules.is_empty() {
            return Arc::new([]);
        }
        let known = self.by_operation.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(operation) {
            return Arc::clone(found);
        }
        drop(known);
        let fits = |r: &Compiled| {
            #[cfg(test)]
            work::matched();
            listed(&r.policy.scope.operations, operation)
        };
        let found: Arc<[usize]> =
            self.rules.iter().enumerate().filter(|(_, r)| fits(r)).map(|(n, _)| n).collect();
        let mut known = self.by_operation.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < REMEMBERED {
            known.insert(operation.to_owned(), Arc::clone(&found));
        }
        found
    }

    /// Judges a call by its facts with the versions in force; `default` speaks when none decides.
    #[must_use]
    pub fn decide(&self, operation: &str, facts: &Value, at: Timestamp, default: Verdict) -> Decision {
        self.judge(operation, facts, at, default, |p| p.state == PolicyState::Active)
    }

    /// The same with the versions in dry run as if they were in force; `None` when there are none for the call.
    #[must_use]
    pub fn rehearse(
        &self,
        operation: &str,
        facts: &Value,
        at: Timestamp,
        default: Verdict,
    ) -> Option<Decision> {
        let candidates = self.candidates(operation);
        let mut rules = candidates.iter().filter_map(|n| self.rules.get(*n));
        rules
            .any(|r| r.policy.state == PolicyState::DryRun)
            .then(|| self.judge(operation, facts, at, default, |_| true))
    }

    fn judge(
        &self,
        operation: &str,
        facts: &Value,
        at: Timestamp,
        default: Verdict,
        counts: impl Fn(&Policy) -> bool,
    ) -> Decision {
        let candidates = self.candidates(operation);
        let (caller, facts) = (Caller::of(facts), self.named.facts(facts));
        let in_scope = candidates
            .iter()
            .filter_map(|n| self.rules.get(*n))
            .filter(|r| counts(&r.policy) && r.is_valid(at) && caller.fits(&r.policy.scope));
        let mut rules = Vec::with_capacity(candidates.len());
        rules.extend(in_scope.map(|r| r.hear(&facts)));
        let failed = rules.iter().any(|r| r.fault.is_some());
        let spoken = rules.iter().filter(|r| r.fired).map(|r| r.effect.verdict()).max();
        // Notes, limits and redactions say how, not whether: the default still has its say.
        let decisive = rules.iter().any(|r| {
            let verdict = r.effect.verdict();
            r.fired && (verdict >= Verdict::RequireApproval || verdict == Verdict::Allow)
        });
        let verdict = match (failed, decisive, spoken) {
            (true, ..) => Verdict::Deny,
            (false, true, Some(spoken)) => spoken.max(Verdict::Allow),
            (false, _, spoken) => spoken.unwrap_or(Verdict::Allow).max(default),
        };
        Decision {
            operation: operation.to_owned(),
            verdict,
            by_default: !failed && !decisive,
            failed,
            rules,
            question: None,
        }
    }
}

/// What the scopes of policies ask of a call.
struct Caller<'a> {
    roles: Vec<&'a str>,
    agent: Option<&'a str>,
    channel: Option<&'a str>,
    region: Option<&'a str>,
}

impl<'a> Caller<'a> {
    fn of(facts: &'a Value) -> Self {
        let word = |fact: &str| facts.get(fact).and_then(Value::as_str);
        let roles = facts.get("roles").and_then(Value::as_array).into_iter().flatten();
        Caller {
            roles: roles.filter_map(Value::as_str).collect(),
            agent: word("agent"),
            channel: word("channel"),
            region: word("region"),
        }
    }

    fn fits(&self, scope: &PolicyScope) -> bool {
        let one = |list: &[String], fact: Option<&str>| {
            list.is_empty() || fact.is_some_and(|word| listed(list, word))
        };
        (scope.roles.is_empty() || scope.roles.iter().any(|role| self.roles.contains(&role.as_str())))
            && one(&scope.agents, self.agent)
            && one(&scope.channels, self.channel)
            && one(&scope.regions, self.region)
    }
}

impl Compiled {
    /// Deny before approval before redact before limit before allow; then priority, name, version.
    fn place(&self) -> (std::cmp::Reverse<Verdict>, std::cmp::Reverse<i32>, &str, u32, &str) {
        let p = &self.policy;
        let strength = std::cmp::Reverse(p.effect.verdict());
        (strength, std::cmp::Reverse(p.priority), &p.name, p.version, p.id.as_str())
    }

    fn is_valid(&self, at: Timestamp) -> bool {
        self.policy.valid_from.is_none_or(|from| from <= at) && self.policy.valid_to.is_none_or(|to| at < to)
    }

    fn hear(&self, facts: &Facts<'_>) -> Rule {
        #[cfg(test)]
        work::heard();
        let judged = match &self.when {
            Ok(when) => when.judge_among(facts).map_err(|fault| fault.to_string()),
            Err(fault) => Err(fault.clone()),
        };
        let (truth, fault) = match judged {
            Ok(truth) => (truth, None),
            Err(fault) => (Truth::Unknown, Some(fault)),
        };
        Rule {
            policy: Arc::clone(&self.said.policy),
            effect: Arc::clone(&self.said.effect),
            reason: Arc::clone(&self.said.reason),
            truth,
            fired: fault.is_some() || self.policy.effect.fires(truth),
            fault,
        }
    }
}

/// True for an empty list, or when one of its globs fits.
fn listed(globs: &[String], word: &str) -> bool {
    globs.is_empty() || globs.iter().any(|g| glob(g, word))
}

/// `*` stands for any characters. Linear in both lengths: the last star alone is tried again.
pub(crate) fn glob(pattern: &str, word: &str) -> bool {
    let (pattern, word) = (pattern.as_bytes(), word.as_bytes());
    let (mut p, mut w) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while w < word.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, w));
                p += 1;
            }
            Some(c) if word.get(w) == Some(c) => {
                p += 1;
                w += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                p = at + 1;
                w = from + 1;
                star = Some((at, w));
            }
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|c| *c == b'*'))
}

/// How much was done on this thread, so that tests count it instead of taking the time.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    }

    pub(super) fn heard() {
        DONE.with(|done| done.set((done.get().0 + 1, done.get().1)));
    }

    pub(super) fn matched() {
        DONE.with(|done| done.set((done.get().0, done.get().1 + 1)));
    }

    /// Policies heard, and scopes matched with the name of an operation, since the last look.
    pub(in crate::policy) fn take() -> (u32, u32) {
        DONE.take()
    }
}
