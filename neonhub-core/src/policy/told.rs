//! Calls of which only facts are told.

use serde_json::{Map, Value, json};

use super::model::Verdict;
use super::ruling::{acts_outside, ask, at_sinks, sinks_of};
use super::{Decision, PolicySet};
use crate::Timestamp;
use crate::op::{Effect, Entry};

/// What would be said to a call of which only facts are told: of an agent where they name one, which has read words from
/// outside where they say `tainted`.
pub(super) fn told(
    operation: &str,
    line: Option<&Entry>,
    set: &PolicySet,
    mut facts: Map<String, Value>,
    at: Timestamp,
) -> Decision {
    let is_agent = facts.contains_key("agent");
    let is_write = facts.get("effect").and_then(Value::as_str) == Some(Effect::Write.word());
    let acts = line.map_or(is_write, acts_outside);
    let sinks = sinks_of(line.map_or(&[], |line| line.sinks), acts);
    let is_tainted = is_agent && !sinks.is_empty() && facts.get("tainted") == Some(&Value::Bool(true));
    if line.is_some_and(|line| !line.sinks.is_empty()) {
        let words: Vec<&str> = sinks.iter().map(|sink| sink.word()).collect();
        facts.entry("sinks").or_insert_with(|| json!(words));
    }
    if facts.contains_key("sinks") || facts.contains_key("tainted") {
        facts.insert("tainted".into(), is_tainted.into());
    }
    let default = if is_agent && acts { Verdict::RequireApproval } else { Verdict::Allow };
    let mut decision = set.decide(operation, &Value::Object(facts), at, default);
    decision.verdict = at_sinks(decision.verdict, is_tainted);
    if decision.verdict == Verdict::RequireApproval {
        let sinks = if is_tainted { sinks } else { &[] };
        decision.question = Some(ask(&decision, sinks, &Value::Null).summary);
    }
    decision
}
