//! Fills a JSON Schema from facts: what is known is taken, what is not is left open, and the result always fits.
//!
//! A property may say how: `x-offline: {"fact": name}`, `{"template": text}`, `{"summary": sentences}`,
//! `{"phrases": count}`, `{"title": characters}` or `{"classify": facet}`. Without a hint its name, type, `enum`
//! and `format` decide. Unknown values are `null` where the schema allows it, else `[needs input: field]`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::coerce::{coerce, list_of};
use super::facts::{Facts, normal};
use super::{Made, classify, summary, template, unsupported};
use crate::llm::{Facet, LlmRequest, OfflineTemplate, schema};
use crate::prompt::clip;
use crate::{Error, Result};

/// Nesting after which optional and nullable parts are left out, so that recursive schemas end.
const MAX_DEPTH: usize = 12;
/// Sentences of a summary and phrases of a list when no hint says how many.
const SENTENCES: usize = 2;
const PHRASES: usize = 5;
/// Characters of a title when the schema does not say.
const TITLE: usize = 80;

/// A value, and whether something in the context stands behind it.
struct Filled {
    value: Value,
    known: bool,
}

impl Filled {
    fn known(value: Value) -> Self {
        Filled { value, known: true }
    }
}

pub(super) fn fill(request: &LlmRequest, given: &Value) -> Result<Made> {
    let root = request.output_schema.as_ref().ok_or_else(|| {
        Error::invalid("llm.offline", "output_schema", "expected the schema that the facts are to fill")
    })?;
    schema::lint(root)?;
    let facts = Facts::of(request, given);
    let mut work = Fill { root, seed: request.seed.unwrap_or(0), open: Vec::new() };
    let filled = work.value(root, "", &facts, "", 0)?;
    if let Some(fault) = schema::faults(root, root, &filled.value).first() {
        let what = format!("fill {} of the schema ({})", shown(&fault.field), fault.message);
        return Err(unsupported(&what));
    }
    let made = Made::json(&filled.value)?;
    if work.open.is_empty() {
        return Ok(made);
    }
    Ok(made.warn("needs_input", format!("no fact for {}", work.open.join(", "))))
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the root" } else { path }
}

struct Fill<'s> {
    root: &'s Value,
    seed: u64,
    /// Paths for which the context held nothing.
    open: Vec<String>,
}

impl Fill<'_> {
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        schema::faults(self.root, schema, value).is_empty()
    }

    fn value(
        &mut self,
        schema: &Value,
        name: &str,
        facts: &Facts,
        path: &str,
        depth: usize,
    ) -> Result<Filled> {
        let schema = &*self.flat(schema, 0);
        if let Some(value) = self.hinted(schema, facts)?
            && let Some(value) = self.fitting(schema, value)
        {
            return Ok(Filled::known(value));
        }
        let fact = facts.get(name).filter(|_| !name.is_empty());
        if let Some(value) = fact.and_then(|fact| self.fitting(schema, fact.clone())) {
            return Ok(Filled::known(value));
        }
        for key in ["const", "default"] {
            if let Some(value) = schema.get(key).filter(|v| self.fits(schema, v)) {
                return Ok(Filled::known(value.clone()));
            }
        }
        let found = if depth >= MAX_DEPTH {
            None
        } else if schema.get("properties").is_some() {
            let scope = fact.and_then(Value::as_object).map(|map| facts.within(map));
            let object = self.object(schema, scope.as_ref().unwrap_or(facts), path, depth)?;
            // A nested object nobody knows anything about is left out where it may be null.
            let keep = object.known || depth == 0 || !self.fits(schema, &Value::Null);
            keep.then_some(object)
        } else if let Some(options) = branches(schema) {
            return self.branch(schema, options, name, facts, path, depth);
        } else {
            self.derived(schema, name, facts).map(Filled::known)
        };
        match found {
            Some(filled) if self.fits(schema, &filled.value) => Ok(filled),
            found => {
                let open = self.unknown(schema, name, facts, path, depth)?;
                // An object with one bad field goes on as it is, so that the fault is named where it lies.
                let hopeless = !self.fits(schema, &open.value);
                Ok(found.filter(|f| hopeless && f.value.is_object()).unwrap_or(open))
            }
        }
    }

    /// The value as it is or converted, when it then fits.
    fn fitting(&self, schema: &Value, value: Value) -> Option<Value> {
        if self.fits(schema, &value) {
            return Some(value);
        }
        let options = branches(schema).map_or(vec![schema], |list| list.iter().collect());
        options.into_iter().find_map(|option| {
            let option = self.flat(option, 0);
            let items = option.get("items").map(|items| self.flat(items, 0));
            let coerced = coerce(&value, &option, items.as_deref())?;
            self.fits(schema, &coerced).then_some(coerced)
        })
    }

    /// References followed and `allOf` merged into one object.
    fn flat<'v>(&self, schema: &'v Value, depth: usize) -> Cow<'v, Value> {
        let Value::Object(map) = schema else { return Cow::Borrowed(schema) };
        if depth > MAX_DEPTH || !(map.contains_key("$ref") || map.contains_key("allOf")) {
            return Cow::Borrowed(schema);
        }
        let mut merged = map.clone();
        let target = merged.remove("$ref");
        let parts = merged.remove("allOf");
        let target = target.as_ref().and_then(Value::as_str).and_then(|r| schema::resolve(self.root, r));
        let parts = parts.as_ref().and_then(Value::as_array).into_iter().flatten();
        for part in target.into_iter().chain(parts) {
            if let Value::Object(part) = &*self.flat(part, depth + 1) {
                merge(&mut merged, part);
            }
        }
        Cow::Owned(Value::Object(merged))
    }

    fn hinted(&self, schema: &Value, facts: &Facts) -> Result<Option<Value>> {
        let Some(Value::Object(hint)) = schema.get("x-offline") else { return Ok(None) };
        let Some((kind, value)) = hint.iter().next() else { return Ok(None) };
        let n = value.as_u64().map_or(1, |n| usize::try_from(n).unwrap_or(1).max(1));
        let word = value.as_str().unwrap_or_default();
        Ok(match kind.as_str() {
            "fact" => facts.get(word).cloned(),
            "template" => {
                let task = OfflineTemplate::new(word, facts.as_vars());
                template::fill(&task, self.seed)?.texts.into_iter().next().map(Value::String)
            }
            "summary" => text_of(facts).map(|t| json!(summary::summary_of(t, n))),
            "phrases" => text_of(facts).map(|t| json!(summary::phrases_of(t, n))),
            "title" => text_of(facts).map(|t| json!(summary::title_of(t, n))),
            "classify" => facet(word).zip(text_of(facts)).map(|(f, t)| json!(classified(t, f))),
            other => {
                let message = "expected fact, template, summary, phrases, title or classify";
                return Err(Error::invalid("llm.offline", format!("x-offline.{other}"), message));
            }
        })
    }

    fn object(&mut self, schema: &Value, facts: &Facts, path: &str, depth: usize) -> Result<Filled> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = |name: &str| {
            let list = schema.get("required").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|r| r.as_str() == Some(name)))
        };
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort();
        let mut map = Map::new();
        let mut known = false;
        for name in names {
            let Some(property) = properties.get(name) else { continue };
            let before = self.open.len();
            let filled = self.value(property, name, facts, &schema::join_path(path, name), depth + 1)?;
            known |= filled.known;
            if filled.known || required(name) {
                map.insert(name.clone(), filled.value);
            } else {
                self.open.truncate(before);
            }
        }
        Ok(Filled { value: Value::Object(map), known })
    }

    fn branch(
        &mut self,
        schema: &Value,
        options: &[Value],
        name: &str,
        facts: &Facts,
        path: &str,
        depth: usize,
    ) -> Result<Filled> {
        let mut spare = None;
        let before = self.open.len();
        for option in options {
            let filled = self.value(option, name, facts, path, depth + 1)?;
            let fits = self.fits(schema, &filled.value);
            if fits && filled.known {
                return Ok(filled);
            }
            if fits && (spare.is_none() || filled.value.is_null()) {
                spare = Some(filled.value);
            }
            self.open.truncate(before);
        }
        self.open.push(path.to_owned());
        Ok(Filled { value: spare.unwrap_or(Value::Null), known: false })
    }

    /// What the context says without naming the field: by its name, its options or its format.
    fn derived(&self, schema: &Value, name: &str, facts: &Facts) -> Option<Value> {
        let name = normal(name);
        let text = text_of(facts);
        if let Some(options) = schema.get("enum").and_then(Value::as_array) {
            return enumerated(options, &name, text?);
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && let Some(found) = facts.find_format(format)
        {
            return Some(json!(found));
        }
        let limit = schema.get("maxLength").and_then(Value::as_u64);
        let limit = limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let derived = match name.as_str() {
            "title" | "headline" | "subject" => json!(summary::title_of(text?, limit.min(TITLE))),
            "summary" | "abstract" => json!(clip(&summary::summary_of(text?, SENTENCES), limit)),
            "keywords" | "key_phrases" | "tags" | "topics" => {
                let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(PHRASES as u64);
                json!(summary::phrases_of(text?, PHRASES.min(usize::try_from(most).unwrap_or(PHRASES))))
            }
            other => json!(classified(text?, facet(other)?)),
        };
        Some(derived)
    }

    /// A value that fits and says that it is not known.
    fn unknown(
        &mut self,
        schema: &Value,
        name: &str,
        facts: &Facts,
        path: &str,
        depth: usize,
    ) -> Result<Filled> {
        self.open.push(shown(path).to_owned());
        let mut candidates = vec![Value::Null];
        candidates.extend(schema.get("enum").and_then(Value::as_array).into_iter().flatten().cloned());
        candidates.extend(placeholders(schema, if name.is_empty() { "answer" } else { name }));
        if schema::is_type(&json!([]), type_of(schema)) && depth < MAX_DEPTH {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let mut items = Vec::new();
            for i in 0..least.min(64) {
                let item = list_of(schema, i as usize);
                let label = format!("{name} {}", i + 1);
                let open = self.open.len();
                items.push(self.value(item, &label, facts, path, depth + 1)?.value);
                self.open.truncate(open);
            }
            candidates.push(Value::Array(items));
        }
        let examples = schema.get("examples").and_then(Value::as_array);
        candidates.extend(examples.into_iter().flatten().cloned());
        let value = candidates.into_iter().find(|v| self.fits(schema, v)).unwrap_or(Value::Null);
        Ok(Filled { value, known: false })
    }
}

fn merge(into: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (key, value) in part {
        match (into.get_mut(key), value) {
            (Some(Value::Object(have)), Value::Object(more)) => {
                for (k, v) in more {
                    have.entry(k.clone()).or_insert_with(|| v.clone());
                }
            }
            (Some(Value::Array(have)), Value::Array(more)) if key == "required" => {
                have.extend(more.iter().cloned());
            }
            (Some(_), _) => {}
            (None, _) => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn branches(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

/// The first type that is not `null`.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or("null")
        }
        _ => "",
    }
}

fn text_of(facts: &Facts) -> Option<&str> {
    (!facts.text.trim().is_empty()).then_some(facts.text.as_str())
}

fn facet(word: &str) -> Option<Facet> {
    Some(match word {
        "sentiment" => Facet::Sentiment,
        "intent" => Facet::Intent,
        "topic" => Facet::Topic,
        "language" | "lang" => Facet::Language,
        _ => return None,
    })
}

fn classified(text: &str, facet: Facet) -> String {
    classify::best(&classify::scores(text, facet)).to_owned()
}

/// The option the text speaks of: by classification when the field is named for one, else the only one it names.
fn enumerated(options: &[Value], name: &str, text: &str) -> Option<Value> {
    if let Some(facet) = facet(name) {
        let label = classified(text, facet);
        return options.iter().find(|o| o.as_str() == Some(&label)).cloned();
    }
    let words = format!("_{}_", normal(text));
    let named = |o: &&Value| o.as_str().is_some_and(|o| words.contains(&format!("_{}_", normal(o))));
    let mut found = options.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

/// Values that say "not known", most telling first.
fn placeholders(schema: &Value, name: &str) -> Vec<Value> {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let mut out =
        vec![json!(format!("[needs input: {name}]")), json!("[needs input]"), json!("?"), json!("")];
    if let Some(least) = schema.get("minLength").and_then(Value::as_u64) {
        let pad = "?".repeat(usize::try_from(least.min(10_000)).unwrap_or(0));
        out.push(json!(pad));
    }
    // RFC 2606 (1999) reserves `invalid`; the nil UUID is of RFC 9562 (2024); 192.0.2.0 of RFC 5737 (2010).
    for text in [
        "needs-input@unknown.invalid",
        "https://unknown.invalid/needs-input",
        "1970-01-01",
        "1970-01-01T00:00:00Z",
        "00:00:00",
        "00000000-0000-0000-0000-000000000000",
        "192.0.2.0",
        "2001:db8::",
    ] {
        out.push(json!(text));
    }
    let step = number("multipleOf").unwrap_or(1.0);
    let low = number("minimum").or(number("exclusiveMinimum").map(|n| n + step));
    let high = number("maximum").or(number("exclusiveMaximum").map(|n| n - step));
    for n in [Some(0.0), low, high, low.map(|n| (n / step).ceil() * step)].into_iter().flatten() {
        out.push(if n.fract() == 0.0 && n.abs() < 9e15 { json!(n as i64) } else { json!(n) });
    }
    out.extend([json!(false), json!(true), json!([]), json!({})]);
    out
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
