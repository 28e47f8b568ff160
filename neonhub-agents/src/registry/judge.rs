//! Whether an answer may be given out: its shape, its texts, its figures.

use std::collections::BTreeSet;

use neonhub_core::llm::schema;
use serde_json::Value;

use super::model::{Guardrails, OutputCheck};
use crate::guardrail::{self, Context, Field};

/// Why an answer is not given out: a stable word, and what to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
}

fn fault(code: &'static str, message: impl Into<String>) -> Option<Fault> {
    Some(Fault { code, message: message.into() })
}

/// The first fault of an answer. `known` is what its figures may come from.
pub(super) fn answer(
    output: &Value,
    wanted: &Value,
    guardrails: Option<&Guardrails>,
    checks: &[OutputCheck],
    known: &[&Value],
) -> Option<Fault> {
    match schema::check(wanted, output) {
        Err(error) => return fault("invalid_output", error.message()),
        Ok(faults) => {
            if let Some(first) = faults.first() {
                return fault("invalid_output", format!("{}: {}", first.field, first.message));
            }
        }
    }
    let mut texts = Vec::new();
    collect(output, String::new(), &mut texts);
    if let Some(rails) = guardrails {
        let fields: Vec<Field<'_>> =
            texts.iter().map(|(path, text)| Field::new(path.clone(), text)).collect();
        let context = Context {
            channel: rails.channel.clone(),
            must_not_say: rails.must_not_say.clone(),
            ..Context::default()
        };
        let report = guardrail::check(&fields, &context);
        if let Some(block) = report.blocks().next() {
            return fault("guardrail", format!("{}: {}", block.field, block.message));
        }
    }
    checks.iter().find_map(|check| one(check, &texts, known))
}

fn one(check: &OutputCheck, texts: &[(String, &str)], known: &[&Value]) -> Option<Fault> {
    match check {
        OutputCheck::MaxChars { chars } => {
            let long = texts.iter().find(|(_, text)| text.chars().count() > *chars as usize);
            long.and_then(|(path, _)| {
                fault("too_long", format!("{path}: expected at most {chars} characters"))
            })
        }
        OutputCheck::FiguresHaveSource => {
            let mut sources = BTreeSet::new();
            for value in known {
                numbers_of(value, &mut sources);
            }
            texts.iter().find_map(|(path, text)| {
                let made_up = figures(text).into_iter().find(|figure| !sources.contains(figure))?;
                fault("unsourced_figure", format!("{path}: no tool or input gave the figure {made_up}"))
            })
        }
    }
}

/// Every text of a value with its path.
fn collect<'v>(value: &'v Value, path: String, texts: &mut Vec<(String, &'v str)>) {
    match value {
        Value::String(text) => texts.push((path, text)),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{i}]"), texts);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(item, here, texts);
            }
        }
        _ => {}
    }
}

/// The figures of every text and number of a value.
pub(crate) fn figures_of(value: &Value) -> BTreeSet<String> {
    let mut into = BTreeSet::new();
    numbers_of(value, &mut into);
    into
}

/// Every text of a value with its path.
pub(crate) fn texts_of(value: &Value) -> Vec<(String, &str)> {
    let mut texts = Vec::new();
    collect(value, String::new(), &mut texts);
    texts
}

fn numbers_of(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Number(number) => into.extend(figures(&number.to_string())),
        Value::String(text) => into.extend(figures(text)),
        Value::Array(items) => items.iter().for_each(|item| numbers_of(item, into)),
        Value::Object(map) => map.values().for_each(|item| numbers_of(item, into)),
        _ => {}
    }
}

/// Numbers of two digits or more that stand alone, without the marks that group their digits. A number inside a word,
/// such as an id, is none.
fn figures(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || is_part(c)))
        .map(|word| word.trim_matches(['.', ',']))
        .filter(|word| !word.is_empty() && word.chars().all(is_part))
        .map(|word| word.chars().filter(char::is_ascii_digit).collect::<String>())
        .filter(|digits| digits.len() >= 2)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(text: &str, checks: &[OutputCheck], known: &Value) -> Option<&'static str> {
        answer(&json!({ "text": text }), &json!(true), None, checks, &[known]).map(|f| f.code)
    }

    #[test]
    fn a_figure_needs_a_source() {
        let known = json!({ "hits": [{ "text": "Returns within 30 days, 1,250 shops" }], "rate": 12.5 });
        let judge = |text: &str| judged(text, &[OutputCheck::FiguresHaveSource], &known);
        assert_eq!(judge("You have 30 days in 1250 shops, at 12.5 %."), None);
        assert_eq!(judge("You have 60 days."), Some("unsourced_figure"));
        // A digit alone says little, and ids are no figures.
        assert_eq!(judge("Step 2 of chk_01ab77: done."), None);
    }

    #[test]
    fn shape_length_and_words_are_checked() {
        assert_eq!(judged("four", &[OutputCheck::MaxChars { chars: 3 }], &json!({})), Some("too_long"));
        assert_eq!(judged("abc", &[OutputCheck::MaxChars { chars: 3 }], &json!({})), None);
        let wanted = json!({ "type": "object", "required": ["body"] });
        assert_eq!(answer(&json!({}), &wanted, None, &[], &[]).unwrap().code, "invalid_output");
        let rails = Guardrails { must_not_say: vec!["cheap".into()], ..Guardrails::default() };
        let said = answer(&json!({ "list": ["so cheap"] }), &json!(true), Some(&rails), &[], &[]).unwrap();
        assert_eq!((said.code, said.message.starts_with("list[0]")), ("guardrail", true));
    }
}
