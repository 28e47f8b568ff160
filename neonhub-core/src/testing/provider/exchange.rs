//! Recorded exchanges: what was asked, and what was answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Reaction, Seen};

/// One exchange, as a file holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Where it comes from.
    pub source: String,
    /// What must be asked.
    pub request: RecordedRequest,
    /// What is answered.
    pub response: RecordedResponse,
}

/// What must be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// With the query.
    pub path: String,
    /// Headers that must be there with these values; others may be.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, field by field.
    pub body: Value,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as lines, joined by line feeds, with one at the end.
    pub lines: Vec<String>,
}

impl RecordedResponse {
    /// The bytes of the body.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.bytes().chain([b'\n'])).collect()
    }

    pub(super) fn reaction(&self) -> Reaction {
        let headers = self.headers.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        Reaction { status: self.status, headers, pieces: vec![self.bytes()], ..Reaction::default() }
    }
}

impl RecordedRequest {
    /// Where a request differs, one line each.
    pub(crate) fn differences(&self, seen: &Seen) -> Vec<String> {
        let mut out = Vec::new();
        if seen.path != self.path {
            out.push(format!("path: expected {}, got {}", self.path, seen.path));
        }
        for (name, value) in &self.headers {
            if seen.header(name) != Some(value) {
                out.push(format!("header {name}: expected {value}, got {:?}", seen.header(name)));
            }
        }
        compare("body", &self.body, &seen.body, &mut out);
        out
    }
}

fn compare(path: &str, wanted: &Value, got: &Value, out: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                match b.get(name) {
                    Some(other) => compare(&format!("{path}.{name}"), value, other, out),
                    None => out.push(format!("{path}.{name}: expected {value}, got nothing")),
                }
            }
            for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                out.push(format!("{path}.{name}: expected nothing, got {value}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), x, y, out);
            }
        }
        _ if wanted == got => {}
        _ => out.push(format!("{path}: expected {wanted}, got {got}")),
    }
}
