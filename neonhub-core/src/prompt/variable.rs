//! What a template may read: declared variables, and values with the label of where they came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::llm::{Source, Taint};

/// What a variable holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VarKind {
    /// Text.
    #[default]
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// An array.
    List,
    /// An object.
    Object,
}

impl VarKind {
    pub(super) fn holds(self, value: &Value) -> bool {
        match self {
            VarKind::Text => value.is_string(),
            VarKind::Number => value.is_number(),
            VarKind::Flag => value.is_boolean(),
            VarKind::List => value.is_array(),
            VarKind::Object => value.is_object(),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            VarKind::Text => "text",
            VarKind::Number => "a number",
            VarKind::Flag => "true or false",
            VarKind::List => "a list",
            VarKind::Object => "an object",
        }
    }
}

/// A declared variable of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptVar {
    /// Its name in the template.
    pub name: String,
    /// What it holds.
    pub kind: VarKind,
    /// True when a rendering without it fails.
    pub required: bool,
    /// What is used when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Labels its value may carry beside first party. Foreign text (retrieved, web, other tools) that is allowed is
    /// put between marks that name its source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taint_allowed: Vec<Taint>,
}

impl PromptVar {
    /// A required variable for first-party and user values.
    #[must_use]
    pub fn required(name: impl Into<String>, kind: VarKind) -> Self {
        PromptVar { name: name.into(), kind, required: true, default: None, taint_allowed: vec![Taint::User] }
    }

    /// A variable with a default, for first-party and user values.
    #[must_use]
    pub fn optional(name: impl Into<String>, kind: VarKind, default: Value) -> Self {
        PromptVar { required: false, default: Some(default), ..PromptVar::required(name, kind) }
    }

    /// Allows values of this label too.
    #[must_use]
    pub fn allow(mut self, taint: Taint) -> Self {
        self.taint_allowed.push(taint);
        self
    }
}

/// A value for a variable, with its label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptValue {
    /// The value.
    pub value: Value,
    /// Where it came from. Default: first party.
    pub taint: Taint,
    /// The document or record behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl PromptValue {
    /// A value with a label.
    #[must_use]
    pub fn tainted(value: impl Into<Value>, taint: Taint) -> Self {
        PromptValue { value: value.into(), taint, source: None }
    }
}

impl<V: Into<Value>> From<V> for PromptValue {
    fn from(value: V) -> Self {
        PromptValue { value: value.into(), taint: Taint::FirstParty, source: None }
    }
}
