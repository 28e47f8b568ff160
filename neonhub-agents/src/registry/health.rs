//! How agents are: whether their parts are there, and what a probe answers.

use std::sync::Arc;

use async_trait::async_trait;
use neonhub_core::health::{Health, HealthSource, Status};
use neonhub_core::op::{CallOptions, Effect, Operation};
use neonhub_core::{Faults, Permission, PermissionSet, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Addressed;
use super::directory::Directory;
use super::model::AgentSpec;
use super::{builtin, check, guard, instruct};

/// Looks at an agent: its tools, operations and handoffs, then the probe if it has one.
pub(super) async fn look(cx: &Scope, directory: &Directory, spec: &AgentSpec) -> Status {
    let mut faults = Faults::new();
    check::parts(cx, directory, spec, &mut faults);
    if let Err(error) = instruct::check(cx, spec, &mut faults).await {
        return Status::Unhealthy { why: format!("its prompt cannot be read: {}", error.code()) };
    }
    if let Err(error) = faults.into_result("agents.health") {
        return Status::Unhealthy { why: error.message().to_owned() };
    }
    match probe(cx, spec).await {
        Ok(()) => Status::Healthy,
        Err(error) => Status::Unhealthy { why: format!("the probe failed: {}", error.code()) },
    }
}

/// Asks for the intent of the probe with the agent's rights, outside of any run. It only reads. Who may not ask for it
/// learns nothing by it.
async fn probe(cx: &Scope, spec: &AgentSpec) -> Result<()> {
    let Some(probe) = &spec.health_probe else { return Ok(()) };
    let asked = Addressed::of(cx.hub(), "agents.health", spec, &probe.intent)?;
    let Some(operation) = &asked.intent.operation else { return Ok(()) };
    let entry = cx.hub().operation(operation)?;
    if entry.needs.iter().any(|word| !cx.permissions().has(*word)) {
        return Ok(());
    }
    let agent = cx.outside().for_agent(&spec.name, "health", PermissionSet::of(&spec.permissions));
    agent.call_by_name(operation, asked.joined(&probe.input), CallOptions::new()).await.map(drop)
}

/// The agents that a workspace added; the built-in ones are parts of the hub.
#[derive(Debug)]
pub(super) struct OwnAgents;

#[async_trait]
impl HealthSource for OwnAgents {
    async fn checks(&self, cx: &Scope) -> Result<Vec<Arc<dyn Health>>> {
        let directory = Arc::new(Directory::load(cx).await?);
        let own = directory.current().filter(|spec| builtin::find(&spec.name).is_none());
        let check = |spec: &AgentSpec| {
            let (directory, spec) = (Arc::clone(&directory), spec.clone());
            Arc::new(OwnAgent { directory, spec }) as Arc<dyn Health>
        };
        Ok(own.map(check).collect())
    }
}

/// An agent of one workspace.
#[derive(Debug)]
struct OwnAgent {
    directory: Arc<Directory>,
    spec: AgentSpec,
}

#[async_trait]
impl Health for OwnAgent {
    fn subject(&self) -> String {
        format!("agent:{}", self.spec.name)
    }

    async fn check(&self, cx: &Scope) -> Result<Status> {
        Ok(look(cx, &self.directory, &self.spec).await)
    }
}

/// How one agent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentCheck {
    /// Its name.
    pub agent: String,
    /// The version in use.
    pub version: String,
    /// How it is now.
    #[serde(flatten)]
    pub status: Status,
    /// True while nothing starts it: it failed three checks in a row, or its circuit breaker is open.
    pub is_unavailable: bool,
}

/// Looks at the agents in use: whether their tools are there and their probes answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckAgents {
    /// Only this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Operation for CheckAgents {
    type Output = Vec<AgentCheck>;
    const NAME: &'static str = "agents.health";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["unknown_agent", "agent_disabled"];

    async fn run(self, cx: &Scope) -> Result<Vec<AgentCheck>> {
        let directory = Directory::load(cx).await?;
        let specs: Vec<&AgentSpec> = match &self.name {
            Some(name) => vec![directory.need(Self::NAME, name, None)?],
            None => directory.current().collect(),
        };
        let mut found = Vec::with_capacity(specs.len());
        for spec in specs {
            found.push(AgentCheck {
                agent: spec.name.clone(),
                version: spec.version.clone(),
                status: look(cx, &directory, spec).await,
                is_unavailable: guard::is_away(cx, &spec.name).await?,
            });
        }
        Ok(found)
    }

    fn examples() -> Vec<Self> {
        vec![CheckAgents { name: Some("support".into()) }, CheckAgents::default()]
    }
}
