//! Whom to ask next, by rules: each of the team once, in order, as soon as what it needs is there.

use neonhub_core::llm::schema;
use serde_json::{Map, Value};

use super::crew::Crew;
use super::member::Member;

/// Fields that the words of a goal fill, when nothing else does.
const WORDS: &[&str] = &["ask", "goal", "message", "query", "question", "task", "text", "topic"];

/// What was decided about the next errand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pick {
    /// Who is asked; none: the work is done.
    pub(super) next: Option<String>,
    pub(super) input: Value,
    pub(super) why: String,
}

/// The next of the team. Its input is made of fields with the same name: those of the latest output first, then earlier
/// ones, then the input of the whole; the words of the goal stand where words are wanted.
pub(super) fn next(team: &[Member], goal: &str, input: &Value, crew: &Crew) -> Pick {
    let mut skipped = Vec::new();
    for member in team {
        let address = member.address();
        if crew.tasks.iter().any(|task| task.address() == address) {
            continue;
        }
        match filled(member, goal, input, crew) {
            Ok(input) => {
                let why = "the first of the team that was not asked and has what it needs".to_owned();
                return Pick { next: Some(address), input, why };
            }
            Err(lacks) => skipped.push(format!("{address} lacks {lacks}")),
        }
    }
    let why = if skipped.is_empty() {
        "each of the team was asked".to_owned()
    } else {
        format!("nobody else can be asked: {}", skipped.join("; "))
    };
    Pick { why, ..Pick::default() }
}

/// The input of a member, or what is missing for it.
fn filled(member: &Member, goal: &str, input: &Value, crew: &Crew) -> Result<Value, String> {
    let none = Map::new();
    let fields = member.input.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required: Vec<&str> = member
        .input
        .get("required")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |all| all.iter().filter_map(Value::as_str).collect());
    let outputs = crew.tasks.iter().rev().filter(|task| task.is_done()).map(|task| &task.output);
    let known: Vec<&Value> = outputs.chain([input]).collect();
    let mut found = Map::new();
    for (name, wanted) in fields {
        let is_needed = required.contains(&name.as_str());
        let fits = |value: &&Value| {
            // What refers to definitions of the whole is checked with the whole.
            let is_whole = wanted.to_string().contains("$ref");
            is_whole || schema::check(wanted, value).is_ok_and(|faults| faults.is_empty())
        };
        let value = known.iter().filter_map(|value| value.get(name)).find(fits).cloned();
        let words = || (is_needed && WORDS.contains(&name.as_str())).then(|| Value::from(goal));
        if let Some(value) = value.or_else(words) {
            found.insert(name.clone(), value);
        }
    }
    let missing: Vec<&str> = required.iter().copied().filter(|name| !found.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(missing.join(", "));
    }
    let made = Value::Object(found);
    match schema::check(&member.input, &made) {
        Ok(faults) if faults.is_empty() => Ok(made),
        Ok(faults) => {
            Err(faults.first().map_or_else(String::new, |f| format!("{} ({})", f.field, f.message)))
        }
        Err(error) => Err(error.message().to_owned()),
    }
}
