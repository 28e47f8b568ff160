//! Prompts as data: a template, its declared variables, and the hashes a run log keeps.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::engine::{Engine, Escape, untagged};
use super::fence;
use super::variable::{PromptValue, PromptVar};
use crate::llm::{LlmRequest, Message, OfflineTemplate, Part, Role, Taint};
use crate::{Error, Faults, Result};

/// Most bytes of an offline template, as of any template.
const MAX_OFFLINE: usize = 1 << 18;

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptMessage {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: Role,
    /// Its template.
    pub template: String,
}

/// How a model is to be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptConfig {
    /// The route that chooses the model. Default: that of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Sampling temperature, 0..=2. Default: that of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

impl PromptConfig {
    fn is_default(&self) -> bool {
        *self == PromptConfig::default()
    }
}

/// One version of a named prompt; a version never changes.
///
/// ```
/// use neonhub_core::prompt::{Prompt, PromptVar, VarKind};
/// let prompt = Prompt::new("mail/subject", 1, "Write a subject line about {{ topic }}.")
///     .var(PromptVar::required("topic", VarKind::Text))
///     .offline_template("{{ pick(['New', 'Now here']) }}: {{ topic }}");
/// let rendered = prompt.render(&[("topic".to_owned(), "green tea".into())].into())?;
/// assert_eq!(rendered.text, "Write a subject line about green tea.");
/// assert_eq!(rendered.hash, prompt.hash()?);
/// # Ok::<(), neonhub_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// Path of the name: `mail/subject`.
    pub name: String,
    /// Number of the version, from 1.
    pub version: u32,
    /// The template for a real model; empty for a chat.
    pub template: String,
    /// The messages of a chat, in the place of `template`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<PromptMessage>,
    /// What it may read.
    pub variables: Vec<PromptVar>,
    /// Escaping of the output. Default: text.
    pub escape: Escape,
    /// The template that the offline model fills instead; it reads the same variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_template: Option<String>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// How a model is to be asked.
    #[serde(skip_serializing_if = "PromptConfig::is_default")]
    pub config: PromptConfig,
}

/// A rendered message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenderedMessage {
    /// Who says it.
    pub role: Role,
    /// The text.
    pub text: String,
}

/// A rendered prompt and what a run log keeps of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rendered {
    /// The text; of a chat the texts of its messages with an empty line between.
    pub text: String,
    /// The messages of a chat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<RenderedMessage>,
    /// The prompt.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the prompt itself, in hex.
    pub hash: String,
    /// SHA-256 of the text, in hex.
    pub rendered_hash: String,
    /// Labels of the values that went in, sorted.
    pub taints: Vec<Taint>,
    /// Values that the prompt does not declare; they were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl Prompt {
    /// A prompt without variables.
    #[must_use]
    pub fn new(name: impl Into<String>, version: u32, template: impl Into<String>) -> Self {
        Prompt { name: name.into(), version, template: template.into(), ..Prompt::default() }
    }

    /// Adds a message, which makes the prompt a chat.
    #[must_use]
    pub fn message(mut self, role: Role, template: impl Into<String>) -> Self {
        self.messages.push(PromptMessage { role, template: template.into() });
        self
    }

    /// Its templates with who says them.
    fn templates(&self) -> Vec<(Role, &str)> {
        if self.messages.is_empty() {
            return vec![(Role::User, self.template.as_str())];
        }
        self.messages.iter().map(|m| (m.role, m.template.as_str())).collect()
    }

    /// Declares a variable.
    #[must_use]
    pub fn var(mut self, var: PromptVar) -> Self {
        self.variables.push(var);
        self
    }

    /// Sets the template for the offline model.
    #[must_use]
    pub fn offline_template(mut self, template: impl Into<String>) -> Self {
        self.offline_template = Some(template.into());
        self
    }

    /// Asks for an answer of this JSON Schema.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// SHA-256 over the RFC 8785 form of the prompt, in hex.
    ///
    /// # Errors
    /// `InvalidInput` when a default holds a number that is not finite.
    pub fn hash(&self) -> Result<String> {
        let bytes = serde_json_canonicalizer::to_vec(self).map_err(|cause| {
            Error::invalid("prompt.hash", "default", "expected only finite numbers").with_source(cause)
        })?;
        Ok(hex_of(&bytes))
    }

    /// Checks the prompt itself: it parses, and reads only what it declares.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault.
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        faults.check(!self.name.is_empty(), "name", "expected a name such as mail/subject");
        faults.check(self.version > 0, "version", "expected 1 or more");
        let mut names = BTreeSet::new();
        for (i, var) in self.variables.iter().enumerate() {
            let field = format!("variables[{i}]");
            faults.check(names.insert(var.name.as_str()), &*field, "expected each name once");
            if let Some(default) = &var.default {
                faults.check(var.kind.holds(default), field, format!("expected {}", var.kind.word()));
            }
        }
        let is_one = self.messages.is_empty() || self.template.is_empty();
        faults.check(is_one, "template", "expected either a template or messages");
        let said = self.messages.iter().all(|m| m.role != Role::Tool);
        faults.check(said, "messages", "expected the roles system, user or assistant");
        let warm = self.config.temperature.is_none_or(|t| (0.0..=2.0).contains(&t));
        faults.check(warm, "config.temperature", "expected 0 to 2");
        for (i, (_, template)) in self.templates().into_iter().enumerate() {
            let field =
                if self.messages.is_empty() { "template".to_owned() } else { format!("messages[{i}]") };
            self.check_template(&field, template, &names, &mut faults);
        }
        if let Some(template) = &self.offline_template
            && template.len() > MAX_OFFLINE
        {
            faults.push("offline_template", "expected at most 256 KiB");
        }
        faults.into_result("prompt.check")
    }

    fn check_template(&self, field: &str, template: &str, names: &BTreeSet<&str>, faults: &mut Faults) {
        let mut engine = Engine::new(self.escape);
        if let Err(err) = engine.add("template", template) {
            return faults.push(field, err.message());
        }
        for path in engine.reads("template") {
            let root = path.split('.').next().unwrap_or_default();
            faults.check(names.contains(root), field, format!("{path} is not declared as a variable"));
        }
    }

    /// Renders the prompt.
    ///
    /// # Errors
    /// `InvalidInput` that lists every missing, mistyped or forbidden value by name, or names the line of a fault
    /// in the template.
    pub fn render(&self, values: &BTreeMap<String, PromptValue>) -> Result<Rendered> {
        let bound = self.bind(values, true)?;
        let bound = Value::Object(bound);
        let mut said = Vec::new();
        for (role, template) in self.templates() {
            let text = match untagged(template) {
                Some(text) => text.to_owned(),
                None => {
                    let engine = Engine::new(self.escape).with(self.name.as_str(), template)?;
                    engine.render(&self.name, &bound)?
                }
            };
            said.push(RenderedMessage { role, text });
        }
        let text = said.iter().map(|m| m.text.as_str()).collect::<Vec<_>>().join("\n\n");
        let messages = if self.messages.is_empty() { Vec::new() } else { said };
        let declared: BTreeSet<&str> = self.variables.iter().map(|v| v.name.as_str()).collect();
        let known = values.iter().filter(|(n, _)| declared.contains(n.as_str()));
        let taints: BTreeSet<Taint> = known.map(|(_, v)| v.taint).collect();
        Ok(Rendered {
            name: self.name.clone(),
            version: self.version,
            hash: self.hash()?,
            rendered_hash: rendered_hash(&text, &messages)?,
            messages,
            taints: taints.into_iter().collect(),
            unknown: values.keys().filter(|n| !declared.contains(n.as_str())).cloned().collect(),
            text,
        })
    }

    /// The request for a model: the rendered prompt as the user's message, labelled with the least trusted value
    /// in it, and the offline template with the same values.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn request(&self, values: &BTreeMap<String, PromptValue>) -> Result<LlmRequest> {
        let rendered = self.render(values)?;
        let taint = rendered.taints.last().copied().unwrap_or_default();
        let mut request = LlmRequest::new();
        if rendered.messages.is_empty() {
            let part = Part::text(rendered.text).tainted(taint);
            request = request.message(Message::new(Role::User, vec![part]));
        }
        for said in rendered.messages {
            let part = Part::text(said.text).tainted(taint);
            request = match said.role {
                Role::System => request.system(part),
                role => request.message(Message::new(role, vec![part])),
            };
        }
        request.route.clone_from(&self.config.route);
        request.temperature = self.config.temperature;
        request.output_schema.clone_from(&self.output_schema);
        if let Some(task) = self.offline_task(values)? {
            request = request.offline(task);
        }
        Ok(request)
    }

    /// What answers without a model: the offline template, where the prompt has one, with the values as they are.
    ///
    /// # Errors
    /// `InvalidInput` with every value that is missing, of another type, or of a label that is not allowed.
    pub fn offline_task(&self, values: &BTreeMap<String, PromptValue>) -> Result<Option<OfflineTemplate>> {
        let Some(template) = &self.offline_template else { return Ok(None) };
        let vars = Value::Object(self.bind(values, false)?);
        Ok(Some(OfflineTemplate::new(template.as_str(), vars)))
    }

    fn bind(
        &self,
        values: &BTreeMap<String, PromptValue>,
        fenced: bool,
    ) -> Result<serde_json::Map<String, Value>> {
        let mut faults = Faults::new();
        let mut bound = serde_json::Map::new();
        for var in &self.variables {
            let Some(given) = values.get(&var.name).filter(|v| !v.value.is_null()) else {
                match &var.default {
                    Some(default) => drop(bound.insert(var.name.clone(), default.clone())),
                    None => faults.check(!var.required, &*var.name, "a value is missing"),
                }
                continue;
            };
            let kind = var.kind;
            faults.check(kind.holds(&given.value), &*var.name, format!("expected {}", kind.word()));
            let trusted = given.taint == Taint::FirstParty || var.taint_allowed.contains(&given.taint);
            faults.check(trusted, &*var.name, "a value with this label is not allowed here");
            let value = if fenced { fenced_value(given) } else { given.value.clone() };
            bound.insert(var.name.clone(), value);
        }
        faults.into_result("prompt.render")?;
        Ok(bound)
    }
}

/// Foreign text, alone or in a list, between its marks.
fn fenced_value(given: &PromptValue) -> Value {
    if !given.taint.is_foreign() {
        return given.value.clone();
    }
    let mark = |text: &str| Value::String(fence::fence(text, given.taint, given.source.as_ref()));
    match &given.value {
        Value::String(text) => mark(text),
        Value::Array(items) => {
            items.iter().map(|i| i.as_str().map_or_else(|| mark(&i.to_string()), mark)).collect()
        }
        // An object of foreign origin is printed as a whole, in its fence.
        Value::Object(_) => mark(&given.value.to_string()),
        other => other.clone(),
    }
}

/// The hash of a text, or of who says what in a chat.
fn rendered_hash(text: &str, messages: &[RenderedMessage]) -> Result<String> {
    if messages.is_empty() {
        return Ok(hex_of(text.as_bytes()));
    }
    Ok(hex_of(crate::store::canonical_json(&messages)?.as_bytes()))
}

fn hex_of(bytes: &[u8]) -> String {
    crate::llm::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
