//! What is known of a tool before it is called.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::llm::{ToolSpec, schema};
use crate::op::Sink;
use crate::resilience::Rate;
use crate::run::EffectClass;
use crate::{Faults, Permission, Result};

/// Time of a call unless the tool says otherwise, in milliseconds. NeonHub, 2026.
const TIMEOUT_MS: u64 = 30_000;
/// Longest time a tool may ask for: a day.
const MAX_TIMEOUT_MS: u64 = 24 * 3600 * 1000;
/// Longest answer a model gets at once unless the tool says otherwise, in bytes of JSON. NeonHub, 2026.
pub(super) const RESULT_CAP_BYTES: u64 = 64 << 10;
/// Longest answer at all: that of every operation.
pub(super) const MAX_RESULT_BYTES: u64 = 8 << 20;
/// Longest window of a rate: 31 days.
const MAX_WINDOW_MS: u64 = 31 * MAX_TIMEOUT_MS;
/// Most characters of a description.
const MAX_DOC: usize = 4_000;

/// What a tool works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// A service.
    Api,
    /// Records.
    Database,
    /// Texts, pictures and other new content.
    Generation,
    /// Figures and judgements.
    Analysis,
    /// Anything else of the host.
    #[default]
    Integration,
}

/// Where a tool comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolSource {
    /// Written in Rust and added to the hub.
    #[default]
    Builtin,
    /// An operation of the catalogue.
    Catalogue,
    /// Written in the language of the host.
    Host,
    /// Of a server that speaks the Model Context Protocol.
    Mcp,
}

/// What a tool is, what it takes and answers, and its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolInfo {
    /// `[a-z0-9_.]`, 1 to 64 characters.
    pub name: String,
    /// Raised when its behaviour changes.
    pub version: u32,
    /// What it does and when to use it.
    pub doc: String,
    /// What it works on.
    pub kind: ToolKind,
    /// Where it comes from.
    pub source: ToolSource,
    /// JSON Schema of its arguments, an object.
    pub input_schema: Value,
    /// JSON Schema of its answer; `true` for any.
    pub output_schema: Value,
    /// Rights a caller needs, all of them.
    pub needs: Vec<Permission>,
    /// What it does to the world.
    pub effect: EffectClass,
    /// Time a call may take, in milliseconds, 1 to 86 400 000.
    pub timeout_ms: u64,
    /// Most calls at the same time in one process; none: any number.
    pub concurrency: Option<u32>,
    /// Longest answer given out at once, in bytes of JSON, 1 024 to 8 388 608. Longer ones are kept aside.
    pub result_cap_bytes: u64,
    /// Calls in a workspace per window, over all processes; one more is refused with the time to wait. None: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// True when an agent calls it with a person's yes only, whatever it does to the world.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// What a call lets out, or keeps for good: an agent that had read foreign words needs a person's yes. Empty: nothing, or
    /// anything where it acts on the world.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<Sink>,
}

impl Default for ToolInfo {
    fn default() -> Self {
        ToolInfo {
            name: String::new(),
            version: 1,
            doc: String::new(),
            kind: ToolKind::default(),
            source: ToolSource::default(),
            input_schema: json!({ "type": "object" }),
            output_schema: Value::Bool(true),
            needs: Vec::new(),
            // What is not known is taken for the worst: a tool says so when it only reads.
            effect: EffectClass::Write,
            timeout_ms: TIMEOUT_MS,
            concurrency: None,
            result_cap_bytes: RESULT_CAP_BYTES,
            rate: None,
            approval: false,
            sinks: Vec::new(),
        }
    }
}

impl ToolInfo {
    /// A tool that takes and answers anything and acts on the world, within the default bounds.
    #[must_use]
    pub fn new(name: impl Into<String>, doc: impl Into<String>) -> Self {
        ToolInfo { name: name.into(), doc: doc.into(), ..Self::default() }
    }

    /// Sets what it does to the world. Default: it acts on it.
    #[must_use]
    pub fn effect(mut self, effect: EffectClass) -> Self {
        self.effect = effect;
        self
    }

    /// Adds a right that a caller needs.
    #[must_use]
    pub fn needs(mut self, word: Permission) -> Self {
        self.needs.push(word);
        self
    }

    /// Adds what a call lets out or keeps for good.
    #[must_use]
    pub fn sink(mut self, sink: Sink) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Sets how many calls there may be in a window.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Has agents ask a person before each call.
    #[must_use]
    pub fn approval(mut self) -> Self {
        self.approval = true;
        self
    }

    /// Sets the time a call may take. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// What a model is told of it.
    #[must_use]
    pub fn spec(&self) -> ToolSpec {
        ToolSpec { name: self.name.clone(), doc: self.doc.clone(), input_schema: self.input_schema.clone() }
    }

    /// Checks names, bounds and schemas.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault by field.
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let shaped = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
        let named = (1..=64).contains(&self.name.len()) && self.name.bytes().all(shaped);
        faults.check(named, "name", "expected 1..64 characters of a-z, 0-9, underscore and dot");
        let told = !self.doc.trim().is_empty() && self.doc.chars().count() <= MAX_DOC;
        faults.check(told, "doc", "expected 1..4 000 characters that say what the tool does");
        let timed = (1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms);
        faults.check(timed, "timeout_ms", "expected 1..86 400 000 milliseconds");
        let capped = (1024..=MAX_RESULT_BYTES).contains(&self.result_cap_bytes);
        faults.check(capped, "result_cap_bytes", "expected 1 024..8 388 608 bytes");
        faults.check(
            self.concurrency != Some(0),
            "concurrency",
            "expected 1 or more, or nothing for no limit",
        );
        if let Some(rate) = self.rate {
            faults.check((1..=1_000_000).contains(&rate.max), "rate.max", "expected 1..1 000 000 calls");
            let is_window = (1..=MAX_WINDOW_MS).contains(&rate.per_ms);
            faults.check(is_window, "rate.per_ms", "expected 1..2 678 400 000 milliseconds");
        }
        let is_object = self.input_schema.get("type").and_then(Value::as_str) == Some("object");
        faults.check(is_object, "input_schema.type", "expected object: arguments have names");
        for (field, schema) in [("input_schema", &self.input_schema), ("output_schema", &self.output_schema)]
        {
            if let Err(error) = schema::lint(schema) {
                for fault in error.field_faults() {
                    let path = if fault.field.is_empty() {
                        field.to_owned()
                    } else {
                        format!("{field}.{}", fault.field)
                    };
                    faults.push(path, fault.message.clone());
                }
            }
        }
        faults.into_result("tools.register")
    }
}
