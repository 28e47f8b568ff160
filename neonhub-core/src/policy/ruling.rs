//! The door's question to the engine, and what follows from the answer.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::facts;
use super::model::{DecisionId, PolicyDecision, PolicyEffect, Verdict};
use super::{Ask, Decision};
use crate::bus::Event;
use crate::op::{Effect, Entry, Kept, Sink, Slot, Unit, commit};
use crate::resilience::Rate;
use crate::run::EffectClass;
use crate::scope::{Principal, Writing};
use crate::store::{Expected, Kind, Row, Write, canonical_json};
use crate::tool::ToolInfo;
use crate::{Error, ErrorKind, Result, Scope};

/// What the engine said to a call that goes on.
#[derive(Debug, Default)]
pub(crate) struct Ruling {
    decision: Option<Decision>,
    rehearsed: Option<Verdict>,
    facts: Option<Value>,
    /// The sinks that words from outside would reach.
    sinks: Vec<Sink>,
    /// The approval that let it through.
    pub(crate) approval: Option<String>,
    /// The stored answer of this very call, which needs no second yes.
    pub(crate) answer: Option<Value>,
}

/// A refusal with what is known about it, for the audit log.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    pub(crate) ruling: Ruling,
}

/// What the catalogue says when no policy speaks: agents act on the outside only with a person's yes.
fn default_of(acts_outside: bool, principal: &Principal) -> Verdict {
    match (acts_outside, principal) {
        (true, Principal::Agent { .. }) => Verdict::RequireApproval,
        _ => Verdict::Allow,
    }
}

fn default_for(line: &Entry, principal: &Principal) -> Verdict {
    default_of(acts_outside(line), principal)
}

pub(super) fn acts_outside(line: &Entry) -> bool {
    line.effect == Effect::Write && !line.forwards
}

/// The sinks of a call that do not accept what its caller had read. Those who are no agents answer for their words themselves.
///
/// What acts on the outside and declares no sink may be any; there policies speak for an agent without a run, of which
/// nothing is ever known.
async fn reached(sinks: &[Sink], acts_outside: bool, cx: &Scope) -> Result<Vec<Sink>> {
    let Principal::Agent { run, .. } = cx.principal() else { return Ok(Vec::new()) };
    // Where nothing is declared, what an agent without a run has read is not held against it.
    let if_unknown = !sinks.is_empty();
    let sinks = sinks_of(sinks, acts_outside);
    if sinks.is_empty() {
        return Ok(Vec::new());
    }
    let reaches = crate::approval::may_carry(cx, run, sinks).await?.unwrap_or(if_unknown);
    Ok(if reaches { sinks.to_vec() } else { Vec::new() })
}

/// The sinks of a call: those that it declares, or all where it acts on the outside and declares none.
pub(super) fn sinks_of(declared: &[Sink], acts_outside: bool) -> &[Sink] {
    if declared.is_empty() && acts_outside { Sink::ALL } else { declared }
}

/// No policy lets words from outside through a sink unseen: a person's yes is for words that this person has read.
pub(super) fn at_sinks(verdict: Verdict, is_tainted: bool) -> Verdict {
    if is_tainted { verdict.max(Verdict::RequireApproval) } else { verdict }
}

/// Judges a call. `input` is asked for only when a policy may speak about the operation; `slot` is where the answer of
/// a call with a key is kept.
pub(crate) async fn rule(
    line: &'static Entry,
    cx: &Scope,
    slot: Option<&Slot>,
    input: impl Fn() -> Result<Value>,
) -> Result<Ruling, Box<Refusal>> {
    let plain = |error| Box::new(Refusal { error, ruling: Ruling::default() });
    let control = cx.control().await.map_err(plain)?;
    let default = default_for(line, cx.principal());
    let set = &control.policies;
    let sinks = reached(line.sinks, acts_outside(line), cx).await.map_err(plain)?;
    if default == Verdict::Allow && sinks.is_empty() && set.candidates(line.name).is_empty() {
        return Ok(Ruling::default());
    }
    let input = input().map_err(plain)?;
    let facts = facts::of_call(line, cx, &control, !sinks.is_empty(), input.clone());
    let mut decision = set.decide(line.name, &facts, cx.now(), default);
    decision.verdict = at_sinks(decision.verdict, !sinks.is_empty());
    let rehearsed = set.rehearse(line.name, &facts, cx.now(), default);
    let rehearsed = rehearsed.map(|d| at_sinks(d.verdict, !sinks.is_empty()));
    let mut ruling =
        Ruling { decision: Some(decision), rehearsed, facts: Some(facts), sinks, ..Ruling::default() };
    match enforce(line.name, cx, &mut ruling, slot, &input).await {
        Ok(()) => Ok(ruling),
        Err(error) => Err(Box::new(Refusal { error, ruling })),
    }
}

/// What would be said to a call, without making or recording it.
pub(crate) async fn preview(
    line: &'static Entry,
    cx: &Scope,
    control: &crate::hub::WorkspaceControl,
    input: serde_json::Map<String, Value>,
) -> Result<Decision> {
    let sinks = reached(line.sinks, acts_outside(line), cx).await?;
    let facts = facts::of_call(line, cx, control, !sinks.is_empty(), Value::Object(input));
    let mut decision =
        control.policies.decide(line.name, &facts, cx.now(), default_for(line, cx.principal()));
    decision.verdict = at_sinks(decision.verdict, !sinks.is_empty());
    Ok(decision)
}

/// Judges an effect that is about to be dispatched. Nothing asks a person here: the operation that led to it was
/// judged with its defaults, and what policies say now refuses or lets pass. A yes to a channel would be one to every
/// message in it.
pub(crate) async fn rule_effect(operation: &'static str, channel: &str, cx: &Scope) -> Result<()> {
    let control = cx.control().await?;
    if control.policies.candidates(operation).is_empty() {
        return Ok(());
    }
    let facts = facts::of_effect(operation, channel, cx, &control);
    let decision = control.policies.decide(operation, &facts, cx.now(), Verdict::Allow);
    let mut ruling = Ruling { decision: Some(decision), facts: Some(facts), ..Ruling::default() };
    let result = match &ruling.decision {
        Some(decision) if decision.verdict == Verdict::RequireApproval => {
            Err(unapproved(operation, &ask(decision, &[], &Value::from(channel))))
        }
        _ => enforce(operation, cx, &mut ruling, None, &Value::Null).await,
    };
    kept(operation, cx, &ruling, result).await
}

/// Judges a call of a tool that is no operation, by the tool's own name.
pub(crate) async fn rule_tool(
    operation: &'static str,
    cx: &Scope,
    tool: &ToolInfo,
    args: &Value,
) -> Result<()> {
    let control = cx.control().await?;
    let acts = tool.effect == EffectClass::Write;
    let default = default_of(acts || tool.approval, cx.principal());
    let is_free = default == Verdict::Allow && tool.sinks.is_empty();
    if is_free && control.policies.candidates(&tool.name).is_empty() {
        return Ok(());
    }
    let sinks = reached(&tool.sinks, acts, cx).await?;
    let facts = facts::of_tool(tool, cx, &control, !sinks.is_empty(), args.clone());
    let mut decision = control.policies.decide(&tool.name, &facts, cx.now(), default);
    decision.verdict = at_sinks(decision.verdict, !sinks.is_empty());
    let mut ruling = Ruling { decision: Some(decision), facts: Some(facts), sinks, ..Ruling::default() };
    let result = enforce(operation, cx, &mut ruling, None, args).await;
    kept(operation, cx, &ruling, result).await?;
    match &ruling.approval {
        // A tool acts before anything is committed: the yes is used up first, so that it cannot act twice on one.
        Some(approval) => cx.hub().approvals().spend(&cx.outside(), approval).await,
        None => Ok(()),
    }
}

/// Keeps the decision about a call that the door does not see: with the commit that the call belongs to, or, for a
/// refusal and where there is none, with one of its own.
async fn kept(operation: &'static str, cx: &Scope, ruling: &Ruling, result: Result<()>) -> Result<()> {
    // The same call may be judged again, and each time is a decision of its own.
    let nth = cx.hub().count_call(operation, cx.hub().is_seeded().then_some(operation));
    let Some(write) = ruling.record(&cx.fork(&[operation, &nth.to_string()]))? else { return result };
    if let (Ok(()), Writing::Operation(unit) | Writing::Job(unit)) = (&result, &cx.0.writing) {
        unit.staged().stage(write);
        return result;
    }
    let unit = Unit::default();
    unit.staged().stage(write);
    unit.staged().events.extend(ruling.alert(cx));
    match (commit(cx, &unit).await, result) {
        (Err(cause), Err(refused)) => {
            // The refusal stands whether or not it could be written down.
            tracing::warn!(operation, %cause, "a refusal's decision was not kept");
            Err(refused)
        }
        (done, result) => result.and(done.map(|_| ())),
    }
}

async fn enforce(
    operation: &'static str,
    cx: &Scope,
    ruling: &mut Ruling,
    slot: Option<&Slot>,
    args: &Value,
) -> Result<()> {
    let Some(decision) = &ruling.decision else { return Ok(()) };
    match decision.verdict {
        Verdict::Deny => return Err(refused(operation, decision)),
        // Who decides must be able to: a rule for every operation would ask for a yes to each yes.
        Verdict::RequireApproval if !operation.starts_with("approvals.") => {
            // A call that was made is not made again by repeating it: its yes is used up, its answer is there.
            let kept = match slot {
                Some(slot) => slot.look(cx, operation).await?,
                None => Kept::Nothing(Expected::Any),
            };
            match kept {
                Kept::Answer(answer) => ruling.answer = Some(answer),
                Kept::Nothing(_) => {
                    ruling.approval = Some(approve(operation, cx, decision, &ruling.sinks, args).await?)
                }
            }
        }
        _ => {}
    }
    let Some(decision) = &ruling.decision else { return Ok(()) };
    for rule in decision.fired() {
        if let PolicyEffect::Limit { bucket, max, per_ms } = rule.effect.as_ref() {
            cx.take(&format!("policy|{bucket}"), Rate { max: *max, per_ms: *per_ms }).await?;
        }
    }
    Ok(())
}

fn refused(operation: &'static str, decision: &Decision) -> Error {
    let rule = decision.rules.iter().find(|r| r.fault.is_some()).or_else(|| decision.deciding());
    let (code, message) = match rule.map(|r| (r.fault.is_some(), &r.reason)) {
        Some((true, _)) => ("policy_failed", "a policy could not be judged, so the call is refused".into()),
        Some((false, reason)) => ("policy_denied", format!("a policy refuses this: {reason}")),
        None => ("policy_denied", "a policy refuses this".into()),
    };
    if let Some(fault) = rule.and_then(|r| r.fault.as_deref()) {
        tracing::error!(operation, policy = ?rule.map(|r| r.policy.label()), fault, "a policy failed: calls are refused");
    }
    let error = Error::new(ErrorKind::Blocked, operation, message).with_code(code);
    match rule {
        Some(rule) => error.with_context("policy", rule.policy.label()),
        None => error,
    }
}

/// The question that all asking policies together put: the largest quorum, all approvers, the shortest life.
pub(super) fn ask(decision: &Decision, sinks: &[Sink], args: &Value) -> Ask {
    let mut ask = Ask {
        operation: decision.operation.clone(),
        args: args.clone(),
        summary: decision.deciding().map_or_else(|| default_reason(sinks), |rule| rule.reason.to_string()),
        args_hash: call_hash(&decision.operation, args),
        quorum: 1,
        approvers: Vec::new(),
        ttl_ms: 72 * 3_600_000,
        policies: Vec::new(),
    };
    for rule in decision.fired() {
        if let PolicyEffect::RequireApproval { quorum, approvers, ttl_ms } = rule.effect.as_ref() {
            ask.quorum = ask.quorum.max(*quorum);
            ask.ttl_ms = ask.ttl_ms.min(*ttl_ms);
            ask.approvers
                .extend(approvers.iter().filter(|a| !ask.approvers.contains(a)).cloned().collect::<Vec<_>>());
            ask.policies.push(rule.policy.label());
        }
    }
    ask
}

/// Why a person is asked when no policy says so.
fn default_reason(sinks: &[Sink]) -> String {
    let words: Vec<&str> = sinks.iter().map(|sink| sink.word()).collect();
    match words.as_slice() {
        all if all.len() == Sink::ALL.len() => {
            "words from outside may have led to this act: look at where they stand".to_owned()
        }
        [] => "an agent acts on the outside only with a person's yes".to_owned(),
        words => format!(
            "words from outside may have led to this ({}): look at where they stand",
            words.join(", ")
        ),
    }
}

async fn approve(
    operation: &'static str,
    cx: &Scope,
    decision: &Decision,
    sinks: &[Sink],
    args: &Value,
) -> Result<String> {
    let ask = ask(decision, sinks, args);
    let approvals = cx.hub().approvals();
    if let Some(granted) = approvals.granted(cx, &ask).await? {
        return Ok(granted);
    }
    let id = approvals.ask(cx, &ask).await?;
    Err(unapproved(operation, &ask).with_context("approval", id))
}

/// The refusal of a call that nobody said yes to.
fn unapproved(operation: &'static str, ask: &Ask) -> Error {
    let message = format!("a person must approve this first: {}", ask.summary);
    let error = Error::new(ErrorKind::Blocked, operation, message)
        .with_code("approval_required")
        .with_context("args_hash", &ask.args_hash);
    if ask.policies.is_empty() { error } else { error.with_context("policy", ask.policies.join(", ")) }
}

/// SHA-256 over the name of an operation or tool and the canonical JSON of its input, hex.
pub(crate) fn call_hash(operation: &str, args: &Value) -> String {
    hash(&[operation.as_bytes(), canonical_json(args).unwrap_or_default().as_bytes()])
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    crate::store_hex(&hash.finalize())
}

impl Ruling {
    /// Labels of the versions that fired, for the audit log.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.decision.iter().flat_map(Decision::fired).map(|r| r.policy.label()).collect()
    }

    /// Tells that a policy could not be judged: calls are refused until someone mends it.
    pub(crate) fn alert(&self, cx: &Scope) -> Option<Event> {
        let decision = self.decision.as_ref().filter(|d| d.failed)?;
        let broken = &decision.rules.iter().find(|r| r.fault.is_some())?.policy;
        // Chance of its own, as for the record of the decision.
        let cx = cx.fork(&["policy_alert"]);
        let data = json!({ "policy": broken.label(), "operation": decision.operation });
        Some(Event::new(&cx, "policy.failed", "policy", broken.id.as_str(), data))
    }

    /// Fields of the answer to hide.
    pub(crate) fn redactions(&self) -> Vec<&str> {
        self.decision.as_ref().map(Decision::redactions).unwrap_or_default()
    }

    /// True when a policy was in scope.
    pub(crate) fn has_spoken(&self) -> bool {
        self.decision.as_ref().is_some_and(|d| !d.rules.is_empty()) || self.rehearsed.is_some()
    }

    /// The write that keeps the decision beside its audit entry; none when no policy was in scope.
    pub(crate) fn record(&self, cx: &Scope) -> Result<Option<Write>> {
        let (Some(decision), Some(facts)) = (&self.decision, &self.facts) else { return Ok(None) };
        if !self.has_spoken() {
            return Ok(None);
        }
        // Chance of its own: whether a policy exists must not change the ids inside the operation.
        let cx = cx.fork(&["policy_decision"]);
        let record = PolicyDecision {
            id: DecisionId::new(&cx),
            operation: decision.operation.clone(),
            subject: cx.label().to_owned(),
            verdict: decision.verdict,
            policies: decision.fired().map(|r| r.policy.clone()).collect(),
            dry_run: self.rehearsed,
            facts_hash: crate::store_hex(&Sha256::digest(canonical_json(facts)?.as_bytes())),
            facts: facts::without_personal(facts).unwrap_or_default(),
            at: cx.now(),
        };
        let row = Row::of(&record, cx.now(), cx.label())?;
        Ok(Some(Write::Put { kind: Kind::of::<PolicyDecision>(), row, expected: Expected::Absent }))
    }
}
