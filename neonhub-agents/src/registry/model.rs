//! Records: the description of an agent, and which version of it is in use.

use neonhub_core::llm::OfflinePlan;
use neonhub_core::prompt::Prompt;
use neonhub_core::run::{EffectClass, Limits, RunSpec};
use neonhub_core::store::{Index, Key, Record, canonical_json};
use neonhub_core::{Error, Money, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Where a version of an agent stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It may still be changed and is not used.
    #[default]
    Draft,
    /// It is used.
    Active,
    /// A later version is used; runs that began with it end with it.
    Deprecated,
    /// Nothing starts it any more.
    Disabled,
}

impl AgentState {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AgentState::Draft => "draft",
            AgentState::Active => "active",
            AgentState::Deprecated => "deprecated",
            AgentState::Disabled => "disabled",
        }
    }
}

/// One thing an agent can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IntentSpec {
    /// Unique in the agent, `[a-z0-9_]`, 1 to 40 characters: `plan`.
    pub name: String,
    /// What it does and when to ask for it; what free text is compared with.
    pub doc: String,
    /// The operation that does it. Without one a model works on it with the agent's instructions and tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Fields of the operation's input that are given by the intent and not by the caller.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub fixed: serde_json::Map<String, Value>,
    /// JSON Schema of the input, an object. Null: that of the operation without the fixed fields.
    pub input_schema: Value,
    /// JSON Schema of the output. Null: that of the operation, else an object with the field `text`.
    pub output_schema: Value,
    /// Inputs that fit.
    pub examples: Vec<Value>,
    /// The most it does to the world. A tool that does more is not shown to the model.
    pub effect_max: EffectClass,
    /// What one run costs about, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_hint: Option<Money>,
}

impl Default for IntentSpec {
    fn default() -> Self {
        IntentSpec {
            name: String::new(),
            doc: String::new(),
            operation: None,
            fixed: serde_json::Map::new(),
            input_schema: Value::Null,
            output_schema: Value::Null,
            examples: Vec::new(),
            effect_max: EffectClass::Idempotent,
            cost_hint: None,
        }
    }
}

/// Purposes under which an agent reads and writes memory. An empty list: any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryUse {
    /// Purposes of `memory.search`.
    pub read: Vec<String>,
    /// Purposes of `memory.add`.
    pub write: Vec<String>,
}

/// What the texts of an answer are checked for before it is given out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guardrails {
    /// The channel whose rules hold: `email`, `sms`, `x`, ...; empty: no channel.
    pub channel: String,
    /// Phrases that must not appear.
    pub must_not_say: Vec<String>,
}

/// A check of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "check", rename_all = "snake_case", deny_unknown_fields)]
pub enum OutputCheck {
    /// Every figure of two digits or more stands in the input or in the answer of a tool.
    FiguresHaveSource,
    /// No text of the answer is longer.
    MaxChars {
        /// Characters.
        chars: u32,
    },
}

/// An intent that is called to see whether an agent works. It may only read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthProbe {
    /// The intent; done by an operation that computes or reads.
    pub intent: String,
    /// Its input.
    #[serde(default)]
    pub input: Value,
}

/// How much of an agent may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentQuotas {
    /// Most runs of a day by UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_per_day: Option<u32>,
    /// Most money for models of a month by UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_month: Option<Money>,
}

/// What an agent is. A version that was activated never changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSpec {
    /// `[a-z][a-z0-9_]*`, 1 to 40 characters: `brand_voice`.
    pub name: String,
    /// Semantic version: `1.2.0`.
    pub version: String,
    /// For people.
    pub title: String,
    /// What it is for, in a sentence.
    pub purpose: String,
    /// What it can be asked for, 1 to 50.
    pub intents: Vec<IntentSpec>,
    /// Words that say what it can do.
    pub capabilities: Vec<String>,
    /// What the model is told; may read `agent`, `purpose`, `intent` and `task`. Needed when an intent is done by a
    /// model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Prompt>,
    /// A prompt of the registry in the place of `instructions`: `name`, `name@label` or `name@3`. A run takes the version
    /// that is meant when it begins, and counts for that version when it ends; a test that runs on the label chooses by
    /// the person of the run, else by the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Tools the model may call, by name.
    pub tools: Vec<String>,
    /// Intents of other agents that the model may have done, as `agent.intent`.
    pub handoff: Vec<String>,
    /// The route that chooses the model. Default: that of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Most money for models of one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// Bounds of one run.
    pub limits: Limits,
    /// The agent that stands in while this one is away: its intent of the same name is run instead, when the input fits it
    /// and it does no more to the world. One step: who stands in has nobody stand in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The rights it may use of those the caller has.
    pub permissions: Vec<Permission>,
    /// Knowledge spaces it may read, by name or id. Empty: any the caller may.
    pub spaces: Vec<String>,
    /// Purposes of memory.
    pub memory: MemoryUse,
    /// Checks of the texts it writes; none: they are not looked at here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Guardrails>,
    /// Further checks of its answers.
    pub output_checks: Vec<OutputCheck>,
    /// What the offline model does in the place of a real one. An argument `$input` or `$input.field` is taken from the
    /// input, `$step.field` from an earlier result. Without a plan an answer with a schema is filled from the input, and
    /// one in words comes from the `offline_template` of the instructions, which may read `input`, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_plan: Option<OfflinePlan>,
    /// How its health is looked at, beside its tools being there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_probe: Option<HealthProbe>,
    /// How much of it may be used.
    pub quotas: AgentQuotas,
    /// Who answers for it.
    pub owner: String,
    /// Where this version stands.
    pub state: AgentState,
}

impl AgentSpec {
    /// The intent with this name.
    #[must_use]
    pub fn intent(&self, name: &str) -> Option<&IntentSpec> {
        self.intents.iter().find(|intent| intent.name == name)
    }

    /// What a run pins: the version, and the hash of everything but the state.
    ///
    /// # Errors
    /// `InvalidInput` for a number that JSON cannot carry.
    pub fn pin(&self) -> Result<RunSpec> {
        let bare = AgentSpec { state: AgentState::Draft, ..self.clone() };
        let value = serde_json::to_value(&bare).map_err(|cause| Error::internal("agents.pin", cause))?;
        Ok(RunSpec { version: self.version.clone(), hash: hash_of(&value)? })
    }
}

/// SHA-256 over the RFC 8785 form of a value, in hex.
///
/// # Errors
/// `InvalidInput` for a number that JSON cannot carry.
pub(crate) fn hash_of(value: &Value) -> Result<String> {
    let digest = Sha256::digest(canonical_json(value)?.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A version of an agent as a workspace keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecRow {
    /// `name@version`.
    pub id: String,
    /// What it is.
    pub spec: AgentSpec,
}

impl SpecRow {
    /// The id of a version.
    #[must_use]
    pub fn id_of(name: &str, version: &str) -> String {
        format!("{name}@{version}")
    }
}

impl Record for SpecRow {
    const KIND: &'static str = "agent_spec";
    const INDEXES: &'static [Index] = &[Index::on("name")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.spec.name))]
    }
}

/// Which version of an agent a workspace uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Name of the agent.
    pub id: String,
    /// The version in use; none: the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<String>,
    /// True when nothing may start the agent.
    #[serde(default)]
    pub is_off: bool,
}

impl Record for Standing {
    const KIND: &'static str = "agent_standing";
    fn id(&self) -> &str {
        &self.id
    }
}
