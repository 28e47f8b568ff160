//! Reading the agents of a workspace.

use std::ops::Deref;

use neonhub_core::health::HealthRecord;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::resilience::BreakerState;
use neonhub_core::run::EffectClass;
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builtin;
use super::directory::{Directory, unknown};
use super::model::{AgentSpec, AgentState};

/// One intent of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentLine {
    /// `agent.intent`, as `agents.execute` takes it.
    pub address: String,
    /// What it does.
    pub doc: String,
    /// The most it does to the world.
    pub effect_max: EffectClass,
    /// True when a model works on it; else it is one operation.
    pub is_model: bool,
}

/// One version of an agent in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentLine {
    /// Its name.
    pub name: String,
    /// The version.
    pub version: String,
    /// For people.
    pub title: String,
    /// What it is for.
    pub purpose: String,
    /// Where the version stands.
    pub state: AgentState,
    /// True for the version that new runs take.
    pub is_current: bool,
    /// True for the one that came with this release.
    pub is_builtin: bool,
    /// True while nothing starts it: it failed its checks three times in a row, or its circuit breaker is open.
    pub is_unavailable: bool,
    /// What its last check found: `healthy`, `degraded` or `unhealthy`. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Where its circuit breaker stands.
    pub breaker: BreakerState,
    /// The agent that stands in while it is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// What it can be asked for.
    pub intents: Vec<IntentLine>,
}

/// How an agent is, whichever version of it is meant.
struct Shape {
    is_unavailable: bool,
    health: Option<String>,
    breaker: BreakerState,
}

impl Shape {
    async fn of(cx: &Scope, agent: &str) -> Result<Self> {
        let subject = format!("agent:{agent}");
        let breaker = cx.breaker_at(&subject).await?;
        Ok(Shape {
            is_unavailable: cx.hub().is_unavailable(cx, &subject).await? || breaker.refuses(cx.now()),
            health: cx.get::<HealthRecord>(&subject).await?.map(|found| found.body.status),
            breaker: breaker.state,
        })
    }
}

fn line(spec: &AgentSpec, is_current: bool, shape: Shape) -> AgentLine {
    let built_in = builtin::find(&spec.name).is_some_and(|own| own.version == spec.version);
    let intents = spec.intents.iter().map(|intent| IntentLine {
        address: format!("{}.{}", spec.name, intent.name),
        doc: intent.doc.clone(),
        effect_max: intent.effect_max,
        is_model: intent.operation.is_none(),
    });
    AgentLine {
        name: spec.name.clone(),
        version: spec.version.clone(),
        title: spec.title.clone(),
        purpose: spec.purpose.clone(),
        state: spec.state,
        is_current,
        is_builtin: built_in,
        is_unavailable: shape.is_unavailable,
        health: shape.health,
        breaker: shape.breaker,
        fallback: spec.fallback.clone(),
        intents: intents.collect(),
    }
}

/// Lists the agents of the workspace by name: the version in use of each, how it is, and what it can be asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListAgents {
    /// True to list agents without a version in use too: drafts, and those that are switched off.
    pub all: bool,
}

impl Operation for ListAgents {
    type Output = Vec<AgentLine>;
    const NAME: &'static str = "agents.list";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<AgentLine>> {
        let directory = Directory::load(cx).await?;
        let mut lines = Vec::with_capacity(directory.0.len());
        for agent in directory.0.values() {
            let current = agent.current();
            if let Some(spec) =
                current.or_else(|| agent.versions.last().filter(|_| self.all).map(Deref::deref))
            {
                lines.push(line(spec, current.is_some(), Shape::of(cx, &spec.name).await?));
            }
        }
        Ok(lines)
    }

    fn examples() -> Vec<Self> {
        vec![ListAgents::default(), ListAgents { all: true }]
    }
}

/// Gives the whole description of an agent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetAgent {
    /// Its name.
    pub name: String,
    /// The version. Default: the one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Operation for GetAgent {
    type Output = AgentSpec;
    const NAME: &'static str = "agents.get";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["unknown_agent", "agent_disabled"];

    async fn run(self, cx: &Scope) -> Result<AgentSpec> {
        let directory = Directory::load(cx).await?;
        let Some(version) = &self.version else {
            return directory.need(Self::NAME, &self.name, None).cloned();
        };
        let names = directory.0.keys().map(String::as_str);
        let agent = directory.0.get(&self.name).ok_or_else(|| unknown(Self::NAME, &self.name, names))?;
        agent.at(version).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, Self::NAME, "the agent has no such version")
                .with_context("agent", &self.name)
        })
    }

    fn examples() -> Vec<Self> {
        vec![GetAgent { name: "campaign".into(), version: None }]
    }
}

/// Lists every version of an agent, the built-in one first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentVersions {
    /// Its name.
    pub name: String,
}

impl Operation for AgentVersions {
    type Output = Vec<AgentLine>;
    const NAME: &'static str = "agents.versions";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["unknown_agent"];

    async fn run(self, cx: &Scope) -> Result<Vec<AgentLine>> {
        let directory = Directory::load(cx).await?;
        let names = directory.0.keys().map(String::as_str);
        let agent = directory.0.get(&self.name).ok_or_else(|| unknown(Self::NAME, &self.name, names))?;
        let current = agent.current().map(|spec| spec.version.as_str());
        let mut lines = Vec::with_capacity(agent.versions.len());
        for spec in &agent.versions {
            let is_current = current == Some(spec.version.as_str());
            lines.push(line(spec, is_current, Shape::of(cx, &self.name).await?));
        }
        Ok(lines)
    }

    fn examples() -> Vec<Self> {
        vec![AgentVersions { name: "campaign".into() }]
    }
}
