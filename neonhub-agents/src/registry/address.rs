//! Finding the intent that is meant.

use neonhub_core::hub::closest;
use neonhub_core::llm::schema;
use neonhub_core::{Error, ErrorKind, Fault, Hub, Result};
use serde_json::{Value, json};

use super::directory::Directory;
use super::model::{AgentSpec, IntentSpec};

/// An agent, one of its intents, and the schemas of that intent.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// The agent.
    pub spec: AgentSpec,
    /// The intent.
    pub intent: IntentSpec,
    /// JSON Schema of the input.
    pub input: Value,
    /// JSON Schema of the output.
    pub output: Value,
}

impl Addressed {
    /// The intent of a spec with its schemas filled in.
    ///
    /// # Errors
    /// `NotFound` with the closest intents; `Config` when the operation behind it is not in this program.
    pub(crate) fn of(hub: &Hub, operation: &'static str, spec: &AgentSpec, intent: &str) -> Result<Self> {
        let Some(intent) = spec.intent(intent) else {
            let known = spec.intents.iter().map(|i| i.name.as_str());
            return Err(Error::new(ErrorKind::NotFound, operation, format!("there is no intent {intent:?}"))
                .with_code("unknown_intent")
                .with_context("agent", &spec.name)
                .with_context("closest", closest(intent, known).join(", ")));
        };
        let (input, output) = schemas(hub, operation, intent)?;
        Ok(Addressed { spec: spec.clone(), intent: intent.clone(), input, output })
    }

    /// `agent.intent`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", self.spec.name, self.intent.name)
    }

    /// Checks an input of the intent.
    ///
    /// # Errors
    /// `InvalidInput` with every fault by path.
    pub(crate) fn check(&self, hub: &Hub, operation: &'static str, input: &Value) -> Result<()> {
        let mut faults = match &self.intent.operation {
            // An operation knows more about its input than its schema says.
            Some(name) if self.intent.input_schema.is_null() => self.operation_faults(hub, name, input)?,
            _ => schema::check(&self.input, input)?,
        };
        if faults.is_empty() {
            return Ok(());
        }
        for fault in &mut faults {
            let joint = if fault.field.is_empty() || fault.field.starts_with('[') { "" } else { "." };
            fault.field = format!("input{joint}{}", fault.field);
        }
        Err(Error::faults(operation, faults).with_context("intent", self.address()))
    }

    fn operation_faults(&self, hub: &Hub, name: &str, input: &Value) -> Result<Vec<Fault>> {
        let Some(given) = input.as_object() else {
            return Ok(vec![Fault { field: String::new(), message: "expected an object".to_owned() }]);
        };
        let fixed: Vec<Fault> = given
            .keys()
            .filter(|key| self.intent.fixed.contains_key(*key))
            .map(|key| Fault { field: key.clone(), message: "the intent gives this field itself".to_owned() })
            .collect();
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        match (hub.operation(name)?.normal)(self.joined(input)) {
            Ok(_) => Ok(Vec::new()),
            Err(error) if !error.field_faults().is_empty() => Ok(error.field_faults().to_vec()),
            Err(error) => Ok(vec![Fault { field: String::new(), message: error.message().to_owned() }]),
        }
    }

    /// The input of the operation behind the intent: that of the caller with the fixed fields.
    pub(super) fn joined(&self, input: &Value) -> Value {
        let mut args = input.as_object().cloned().unwrap_or_default();
        args.extend(self.intent.fixed.clone());
        Value::Object(args)
    }
}

fn schemas(hub: &Hub, operation: &'static str, intent: &IntentSpec) -> Result<(Value, Value)> {
    let (mut input, mut output) = (intent.input_schema.clone(), intent.output_schema.clone());
    if let Some(name) = &intent.operation {
        let entry = hub.operation(name).map_err(|_| {
            let why = "the operation behind this intent is not in this program";
            Error::new(ErrorKind::Config, operation, why).with_context("operation", name)
        })?;
        if input.is_null() {
            input = without(&(entry.input_schema)().to_value(), &intent.fixed);
        }
        if output.is_null() {
            output = (entry.output_schema)().to_value();
        }
    }
    if input.is_null() {
        input = json!({ "type": "object" });
    }
    if output.is_null() {
        output = json!({
            "type": "object",
            "properties": { "text": { "type": "string" } },
            "required": ["text"]
        });
    }
    Ok((input, output))
}

/// A schema that does not ask for what is fixed.
fn without(schema: &Value, fixed: &serde_json::Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !fixed.contains_key(name));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !name.as_str().is_some_and(|name| fixed.contains_key(name)));
    }
    schema
}

impl Directory {
    /// The agent and intent that are meant: `agent` and `intent`, `agent.intent`, or an intent that one agent has.
    ///
    /// # Errors
    /// `InvalidInput`, code `ambiguous_intent`, listing the agents that have it; `NotFound` with the closest
    /// addresses; as [`Directory::need`].
    pub(crate) fn address(
        &self,
        hub: &Hub,
        operation: &'static str,
        agent: Option<&str>,
        intent: Option<&str>,
        version: Option<&str>,
    ) -> Result<Addressed> {
        match (agent, intent) {
            (Some(agent), Some(intent)) => {
                let own =
                    intent.strip_prefix(agent).and_then(|rest| rest.strip_prefix('.')).unwrap_or(intent);
                Addressed::of(hub, operation, self.need(operation, agent, version)?, own)
            }
            (Some(agent), None) => {
                let spec = self.need(operation, agent, version)?;
                match spec.intents.as_slice() {
                    [only] => Addressed::of(hub, operation, spec, &only.name),
                    many => {
                        let names: Vec<&str> = many.iter().map(|i| i.name.as_str()).collect();
                        let why = format!("expected one of {}", names.join(", "));
                        Err(Error::invalid(operation, "intent", why))
                    }
                }
            }
            (None, Some(intent)) => match intent.split_once('.') {
                Some((agent, intent)) => {
                    Addressed::of(hub, operation, self.need(operation, agent, version)?, intent)
                }
                None => self.bare(hub, operation, intent, version),
            },
            (None, None) => Err(Error::invalid(operation, "intent", "expected an agent, an intent, or both")),
        }
    }

    fn bare(
        &self,
        hub: &Hub,
        operation: &'static str,
        intent: &str,
        version: Option<&str>,
    ) -> Result<Addressed> {
        let holders: Vec<&AgentSpec> = self.current().filter(|spec| spec.intent(intent).is_some()).collect();
        match holders.as_slice() {
            [only] => Addressed::of(hub, operation, self.need(operation, &only.name, version)?, intent),
            [] => {
                let all: Vec<String> = self.addresses();
                // A bare name is compared with bare names; what is shown can be called.
                let names = all.iter().filter_map(|a| a.split_once('.')).map(|(_, name)| name);
                let near = closest(intent, names);
                let shown: Vec<&str> = all
                    .iter()
                    .filter(|a| a.split_once('.').is_some_and(|(_, name)| near.contains(&name)))
                    .map(String::as_str)
                    .take(3)
                    .collect();
                Err(Error::new(ErrorKind::NotFound, operation, format!("no agent has the intent {intent:?}"))
                    .with_code("unknown_intent")
                    .with_context("closest", shown.join(", ")))
            }
            many => {
                let names: Vec<String> = many.iter().map(|spec| format!("{}.{intent}", spec.name)).collect();
                let why = format!("several agents have it: say one of {}", names.join(", "));
                Err(Error::invalid(operation, "intent", why).with_code("ambiguous_intent"))
            }
        }
    }

    /// Every `agent.intent` that can be asked for.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.current()
            .flat_map(|spec| spec.intents.iter().map(move |intent| format!("{}.{}", spec.name, intent.name)))
            .collect()
    }
}
