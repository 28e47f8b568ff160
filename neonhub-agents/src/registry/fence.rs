//! What an agent's own bounds make of the arguments of a tool: its spaces, its purposes of memory, its handoffs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::MemoryUse;

/// The tool by which a model has another agent do something.
pub(crate) const HAND_OFF: &str = "agents.hand_off";

/// The bounds of one agent on what its tools are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fence {
    pub(super) spaces: Vec<String>,
    pub(super) memory: MemoryUse,
    pub(super) handoff: Vec<String>,
}

impl Fence {
    /// The arguments within the bounds: what was left open is filled in.
    ///
    /// # Errors
    /// What is out of bounds, for the model to read.
    pub(super) fn hold(&self, tool: &str, args: Value) -> Result<Value, String> {
        let Value::Object(mut args) = args else { return Ok(args) };
        match tool {
            "knowledge.search" | "knowledge.context" => list(&mut args, "spaces", &self.spaces)?,
            "memory.search" => one(&mut args, "purpose", &self.memory.read)?,
            "memory.add" => list(&mut args, "purposes", &self.memory.write)?,
            HAND_OFF => {
                let to = args.get("to").and_then(Value::as_str).unwrap_or_default();
                if !self.handoff.iter().any(|address| address == to) {
                    return Err(format!("to: expected one of {}", self.handoff.join(", ")));
                }
            }
            _ => {}
        }
        Ok(Value::Object(args))
    }
}

/// A field that is a list of allowed words; left out, it is all of them.
fn list(args: &mut Map<String, Value>, field: &str, allowed: &[String]) -> Result<(), String> {
    if allowed.is_empty() {
        return Ok(());
    }
    let given: Vec<Value> = args.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let is_allowed = |value: &Value| value.as_str().is_some_and(|word| allowed.iter().any(|a| a == word));
    if let Some(other) = given.iter().find(|value| !is_allowed(value)) {
        return Err(format!("{field}: {other} is not among {}", allowed.join(", ")));
    }
    if given.is_empty() {
        args.insert(field.to_owned(), allowed.iter().cloned().map(Value::from).collect());
    }
    Ok(())
}

/// A field that is one allowed word; left out, it is the first.
fn one(args: &mut Map<String, Value>, field: &str, allowed: &[String]) -> Result<(), String> {
    let Some(first) = allowed.first() else { return Ok(()) };
    match args.get(field).filter(|value| !value.is_null()) {
        None => {
            args.insert(field.to_owned(), Value::from(first.as_str()));
            Ok(())
        }
        Some(Value::String(word)) if allowed.contains(word) => Ok(()),
        Some(other) => Err(format!("{field}: {other} is not among {}", allowed.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fence() -> Fence {
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        Fence {
            spaces: words(&["faq", "docs"]),
            memory: MemoryUse { read: words(&["support"]), write: words(&["support"]) },
            handoff: words(&["sms.compose"]),
        }
    }

    #[test]
    fn what_is_left_open_is_filled_and_the_rest_is_refused() {
        let hold = |tool: &str, args: Value| fence().hold(tool, args);
        assert_eq!(
            hold("knowledge.search", json!({ "query": "x" })).unwrap()["spaces"],
            json!(["faq", "docs"])
        );
        assert_eq!(hold("knowledge.search", json!({ "spaces": ["faq"] })).unwrap()["spaces"], json!(["faq"]));
        assert!(
            hold("knowledge.search", json!({ "spaces": ["faq", "payroll"] }))
                .unwrap_err()
                .contains("payroll")
        );
        assert_eq!(hold("memory.search", json!({})).unwrap()["purpose"], "support");
        assert!(hold("memory.search", json!({ "purpose": "ads" })).unwrap_err().contains("ads"));
        assert!(hold("memory.add", json!({ "purposes": ["ads"] })).is_err());
        assert!(hold(HAND_OFF, json!({ "to": "email.send_personalized" })).is_err());
        assert!(hold(HAND_OFF, json!({ "to": "sms.compose" })).is_ok());
        assert_eq!(
            hold("people.get", json!({ "spaces": ["payroll"] })).unwrap()["spaces"],
            json!(["payroll"])
        );
    }

    #[test]
    fn an_empty_list_is_no_bound() {
        let open = Fence::default();
        assert_eq!(
            open.hold("knowledge.search", json!({ "spaces": ["x"] })).unwrap(),
            json!({ "spaces": ["x"] })
        );
        assert_eq!(open.hold("memory.search", json!({})).unwrap(), json!({}));
    }
}
