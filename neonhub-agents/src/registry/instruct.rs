//! What the model of an agent is told: instructions of its own, or a prompt of the registry.

use std::collections::BTreeMap;

use neonhub_core::llm::OfflineTemplate;
use neonhub_core::op::Operation as _;
use neonhub_core::prompt::{Assigned, FoundPrompt, GetPrompt, Prompt, PromptConfig, PromptValue};
use neonhub_core::{Error, ErrorKind, Faults, Result, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::Addressed;
use super::model::AgentSpec;

/// The field of a description that names a prompt of the registry.
const FIELD: &str = "prompt";
/// What is not published changes under a run.
const DRAFT: &str = "@draft";

/// Which prompt was rendered, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PromptMark {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) hash: String,
    pub(super) rendered_hash: String,
    /// The reference of the description, for a prompt of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    /// Who or what it is for: what a test of prompts assigns variants to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    /// The variant that a test of prompts has chosen, with its chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) assigned: Option<Assigned>,
}

/// What a run is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) system: String,
    pub(super) mark: Option<PromptMark>,
    /// How the prompt of the registry wants the model to be asked.
    pub(super) config: PromptConfig,
    /// What the offline model says in the place of a real one.
    pub(super) template: Option<OfflineTemplate>,
}

/// Faults of the shape of what an agent tells its model.
pub(super) fn shape(spec: &AgentSpec, faults: &mut Faults) {
    let Some(reference) = &spec.prompt else { return };
    faults.check(spec.instructions.is_none(), FIELD, "expected either instructions or a prompt, not both");
    let why = "expected a version or a label: a draft changes under the runs";
    faults.check(!reference.ends_with(DRAFT), FIELD, why);
}

/// Faults of the prompt that an agent names: it is not there, or the agent cannot fill it.
///
/// # Errors
/// What the store answers.
pub(super) async fn check(cx: &Scope, spec: &AgentSpec, faults: &mut Faults) -> Result<()> {
    match resolve(cx, "agents.put", spec, None).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            faults.push(FIELD, error.message());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The prompt that an agent names, for a unit; none when its instructions are in its description. The rights of
/// whoever asks do not matter: who described the agent has chosen the prompt.
///
/// # Errors
/// `NotFound`, code `unknown_prompt`, `unknown_label` or `unknown_version`; `InvalidInput` for a prompt that the agent
/// cannot fill. Both name the field `prompt`.
pub(super) async fn resolve(
    cx: &Scope,
    operation: &'static str,
    spec: &AgentSpec,
    unit: Option<&str>,
) -> Result<Option<FoundPrompt>> {
    let Some(reference) = &spec.prompt else { return Ok(None) };
    let named = |error: Error| {
        let error = error.for_operation(operation).with_context("field", FIELD);
        error.with_context("agent", &spec.name).with_context("reference", reference)
    };
    let get = GetPrompt { reference: reference.clone(), unit: unit.map(str::to_owned), fallback: None };
    let found = get.run(cx).await.map_err(named)?;
    if let Some(why) = unfit(&found.prompt) {
        return Err(named(Error::invalid(operation, FIELD, why)));
    }
    Ok(Some(found))
}

/// Why an agent cannot be told this.
fn unfit(prompt: &Prompt) -> Option<String> {
    if !prompt.messages.is_empty() {
        return Some("expected a prompt of kind text: the task of a run is its message".to_owned());
    }
    let error = prompt.render(&values(["agent", "purpose", "intent", "task"])).err()?;
    let faults = error.field_faults().iter().map(|fault| format!("{}: {}", fault.field, fault.message));
    let why = faults.collect::<Vec<_>>().join(", ");
    let why = if why.is_empty() { error.message() } else { &why };
    let given = "an agent gives agent, purpose, intent and task";
    Some(format!("version {} cannot be filled: {why}; {given}", prompt.version))
}

fn values(texts: [&str; 4]) -> BTreeMap<String, PromptValue> {
    let names = ["agent", "purpose", "intent", "task"];
    names.into_iter().zip(texts).map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// What the run of an intent is told.
///
/// # Errors
/// As [`resolve`]; those of rendering.
pub(super) async fn told(
    cx: &Scope,
    operation: &'static str,
    asked: &Addressed,
    input: &Value,
    unit: Option<&str>,
) -> Result<Told> {
    let Addressed { spec, intent, .. } = asked;
    let found = resolve(cx, operation, spec, unit).await?;
    let (prompt, assigned) = match (found, &spec.instructions) {
        (Some(found), _) => (found.prompt, found.assigned),
        (None, Some(prompt)) => (prompt.clone(), None),
        (None, None) => return Ok(Told::default()),
    };
    let texts = [&spec.title, &spec.purpose, &intent.name, &intent.doc].map(String::as_str);
    let values = values(texts);
    let rendered = prompt.render(&values)?;
    let mut template = prompt.offline_task(&values)?;
    // What a model reads as its task, this reads as a variable.
    if let Some(Value::Object(vars)) = template.as_mut().map(|task| &mut task.vars) {
        vars.insert("input".to_owned(), input.clone());
    }
    let is_named = spec.prompt.is_some();
    let mark = PromptMark {
        name: rendered.name,
        version: rendered.version,
        hash: rendered.hash,
        rendered_hash: rendered.rendered_hash,
        reference: spec.prompt.clone(),
        unit: unit.filter(|_| is_named).map(str::to_owned),
        assigned,
    };
    let config = if is_named { prompt.config } else { PromptConfig::default() };
    Ok(Told { system: rendered.text, mark: Some(mark), config, template })
}
