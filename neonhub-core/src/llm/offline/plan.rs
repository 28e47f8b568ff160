//! Fixed plans of tool calls: which are due, with which arguments, and what to say at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Made, template};
use crate::llm::{LlmRequest, OfflinePlan, OfflineTemplate, PartBody, PlanStep, ToolCall};
use crate::{Error, ErrorKind, Faults, Result};

/// Where each step stands, read from the conversation.
struct Progress<'r> {
    asked: BTreeSet<&'r str>,
    results: BTreeMap<&'r str, &'r Value>,
    failed: BTreeSet<&'r str>,
}

/// Emits every call that is due; when none is due or open, the closing answer.
pub(super) fn follow(request: &LlmRequest, plan: &OfflinePlan) -> Result<Made> {
    check(request, plan)?;
    let progress = progress(request);
    let mut skipped: BTreeSet<&str> = BTreeSet::new();
    let mut made = Made::default();
    // Steps stand in any order; a pass that skips one may skip those behind it.
    for _ in 0..plan.steps.len() {
        for step in plan.steps.iter().filter(|s| !progress.asked.contains(s.id.as_str())) {
            let gone = |id: &&str| skipped.contains(id) || progress.failed.contains(id);
            let needs = needs(step);
            let is_off = needs.iter().all(|id| progress.results.contains_key(id)) && !holds(step, &progress);
            if is_off || needs.iter().any(gone) {
                skipped.insert(&step.id);
            }
        }
    }
    for step in &plan.steps {
        let is_new = !progress.asked.contains(step.id.as_str()) && !skipped.contains(step.id.as_str());
        if is_new && needs(step).iter().all(|id| progress.results.contains_key(id)) {
            // A step without arguments calls with an empty object.
            let args = match &step.args {
                Value::Null => Value::Object(serde_json::Map::new()),
                args => fill(args, &progress)?,
            };
            made.calls.push(ToolCall { id: step.id.clone(), name: step.tool.clone(), args });
        }
    }
    let open =
        progress.asked.iter().any(|id| !progress.results.contains_key(id) && !progress.failed.contains(id));
    if !made.calls.is_empty() {
        return Ok(made);
    }
    if open {
        return Err(Error::invalid("llm.offline", "messages", "expected the result of every tool call"));
    }
    close(request, plan, &progress)
}

/// The steps whose results this one needs: declared, and named in its arguments and condition.
fn needs(step: &PlanStep) -> BTreeSet<&str> {
    let mut ids: BTreeSet<&str> = step.after.iter().map(String::as_str).collect();
    collect(&step.args, &mut ids);
    ids.extend(step.when.as_deref().map(root));
    ids
}

fn collect<'v>(value: &'v Value, ids: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) => ids.extend(text.strip_prefix('$').map(root)),
        Value::Array(items) => items.iter().for_each(|v| collect(v, ids)),
        Value::Object(map) => map.values().for_each(|v| collect(v, ids)),
        _ => {}
    }
}

fn root(path: &str) -> &str {
    path.trim_start_matches('$').split('.').next().unwrap_or_default()
}

fn check(request: &LlmRequest, plan: &OfflinePlan) -> Result<()> {
    let mut faults = Faults::new();
    let ids: BTreeSet<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    faults.check(ids.len() == plan.steps.len(), "offline.steps", "expected each id once");
    for (i, step) in plan.steps.iter().enumerate() {
        if !request.tools.iter().any(|t| t.name == step.tool) {
            let near = crate::hub::closest(&step.tool, request.tools.iter().map(|t| t.name.as_str()));
            let hint = if near.is_empty() { String::new() } else { format!(", such as {}", near.join(", ")) };
            faults.push(format!("offline.steps[{i}].tool"), format!("expected a tool of the request{hint}"));
        }
        for id in needs(step).into_iter().filter(|id| !ids.contains(id)) {
            faults.push(format!("offline.steps[{i}]"), format!("there is no step {id}"));
        }
    }
    faults.check(!is_circular(plan), "offline.steps", "expected no step to need itself");
    faults.into_result("llm.offline")
}

/// True when some step can never come first.
fn is_circular(plan: &OfflinePlan) -> bool {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..plan.steps.len() {
        let ready = plan.steps.iter().filter(|s| needs(s).iter().all(|id| done.contains(id)));
        let ready: Vec<&str> = ready.map(|s| s.id.as_str()).collect();
        done.extend(ready);
    }
    done.len() < plan.steps.iter().map(|s| &s.id).collect::<BTreeSet<_>>().len()
}

fn progress(request: &LlmRequest) -> Progress<'_> {
    let mut progress = Progress { asked: BTreeSet::new(), results: BTreeMap::new(), failed: BTreeSet::new() };
    for part in request.messages.iter().flat_map(|m| m.parts.iter()) {
        match &part.body {
            PartBody::ToolCall { id, .. } => drop(progress.asked.insert(id)),
            PartBody::ToolResult { id, is_error: true, .. } => drop(progress.failed.insert(id)),
            PartBody::ToolResult { id, output, .. } => drop(progress.results.insert(id, output)),
            _ => {}
        }
    }
    progress
}

/// The value at `$step.field.0`, or nothing.
fn lookup<'r>(path: &str, progress: &Progress<'r>) -> Option<&'r Value> {
    let mut keys = path.trim_start_matches('$').split('.');
    let mut value = *progress.results.get(keys.next()?)?;
    for key in keys {
        value = match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
            other => other.get(key)?,
        };
    }
    Some(value)
}

fn holds(step: &PlanStep, progress: &Progress<'_>) -> bool {
    let Some(path) = &step.when else { return true };
    match lookup(path, progress) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(n)) => n.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Bool(true)) => true,
    }
}

fn fill(args: &Value, progress: &Progress<'_>) -> Result<Value> {
    Ok(match args {
        Value::String(text) if text.starts_with('$') => lookup(text, progress).cloned().ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "llm.offline", "an argument names a value no tool returned")
                .with_context("path", text)
        })?,
        Value::Array(items) => items.iter().map(|v| fill(v, progress)).collect::<Result<_>>()?,
        Value::Object(map) => {
            map.iter().map(|(k, v)| Ok((k.clone(), fill(v, progress)?))).collect::<Result<_>>()?
        }
        other => other.clone(),
    })
}

fn close(request: &LlmRequest, plan: &OfflinePlan, progress: &Progress<'_>) -> Result<Made> {
    if plan.answer.is_empty() {
        return Ok(Made::text(format!("{} of {} steps are done", progress.results.len(), plan.steps.len())));
    }
    // Every step has a name in the template, also one that was skipped.
    let vars = plan.steps.iter().map(|s| {
        let result = progress.results.get(s.id.as_str());
        (s.id.clone(), result.map_or(Value::Bool(false), |v| (*v).clone()))
    });
    let task = OfflineTemplate::new(plan.answer.as_str(), vars.collect());
    template::fill(&task, request.seed.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Message, Part, Role, ToolSpec};
    use serde_json::json;

    fn tool(name: &str) -> ToolSpec {
        ToolSpec { name: name.into(), doc: String::new(), input_schema: json!({}) }
    }

    fn plan() -> OfflinePlan {
        serde_json::from_value(json!({
            "steps": [
                {"id": "find", "tool": "people.list", "args": {"tag": "tea"}},
                {"id": "mail", "tool": "sends.create", "args": {"to": "$find.items.0.id"}, "when": "find.items"},
                {"id": "log", "tool": "notes.add", "after": ["mail"]},
            ],
            "answer": "{% if mail %}sent {{ mail.id }}{% else %}nobody to write to{% endif %}",
        }))
        .unwrap()
    }

    fn request(results: &[(&str, Value, bool)]) -> LlmRequest {
        let mut request = LlmRequest::new().user("go");
        for name in ["people.list", "sends.create", "notes.add"] {
            request = request.tool(tool(name));
        }
        for (id, output, is_error) in results {
            let call = PartBody::ToolCall { id: (*id).into(), name: "x".into(), args: json!({}) };
            let result = PartBody::ToolResult {
                id: (*id).into(),
                name: "x".into(),
                output: output.clone(),
                is_error: *is_error,
            };
            request = request
                .message(Message::new(Role::Assistant, vec![call.into()]))
                .message(Message::new(Role::Tool, vec![Part::from(result)]));
        }
        request
    }

    fn ids(made: &Made) -> Vec<&str> {
        made.calls.iter().map(|c| c.id.as_str()).collect()
    }

    #[test]
    fn steps_run_in_their_order_with_earlier_results() {
        assert_eq!(ids(&follow(&request(&[]), &plan()).unwrap()), ["find"]);
        let found = ("find", json!({"items": [{"id": "per_1"}]}), false);
        let next = follow(&request(std::slice::from_ref(&found)), &plan()).unwrap();
        assert_eq!(next.calls[0].args, json!({"to": "per_1"}));
        let sent = ("mail", json!({"id": "snd_1"}), false);
        assert_eq!(ids(&follow(&request(&[found.clone(), sent.clone()]), &plan()).unwrap()), ["log"]);
        let end = follow(&request(&[found, sent, ("log", json!({}), false)]), &plan()).unwrap();
        assert_eq!(end.texts, ["sent snd_1"]);
    }

    #[test]
    fn conditions_and_failures_skip_what_follows() {
        let none = follow(&request(&[("find", json!({"items": []}), false)]), &plan()).unwrap();
        assert_eq!(none.texts, ["nobody to write to"]);
        let failed = follow(&request(&[("find", json!("no access"), true)]), &plan()).unwrap();
        assert_eq!(failed.texts, ["nobody to write to"]);
    }

    #[test]
    fn faulty_plans_are_refused() {
        let mut circle = plan();
        circle.steps[0].after = vec!["log".into()];
        assert!(follow(&request(&[]), &circle).unwrap_err().message().contains("need itself"));
        let mut typo = plan();
        typo.steps[0].tool = "people.lst".into();
        typo.steps[2].after = vec!["gone".into()];
        let err = follow(&request(&[]), &typo).unwrap_err();
        assert!(err.message().contains("people.list") && err.message().contains("no step gone"), "{err}");
    }
}
