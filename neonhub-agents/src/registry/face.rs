//! The built-in agents as the rest of the hub knows them: schedules start them, the health round looks at them.

use async_trait::async_trait;
use neonhub_core::health::Status;
use neonhub_core::run::{Agent, AgentRun, NewRun, RunView};
use neonhub_core::{Result, Scope};

use super::address::Addressed;
use super::directory::Directory;
use super::health;
use super::model::AgentSpec;
use super::start::{self, Terms};

const START: &str = "agents.start";

/// One built-in agent; what it does is looked up in the workspace at each call.
#[derive(Debug)]
pub(super) struct Face {
    spec: &'static AgentSpec,
}

impl Face {
    pub(super) fn new(spec: &'static AgentSpec) -> Self {
        Face { spec }
    }
}

#[async_trait]
impl Agent for Face {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn intents(&self) -> Vec<&str> {
        self.spec.intents.iter().map(|intent| intent.name.as_str()).collect()
    }

    fn stands_in(&self) -> bool {
        true
    }

    async fn health(&self, cx: &Scope) -> Result<Status> {
        let directory = Directory::load(cx).await?;
        let agent = directory.0.get(&self.spec.name);
        match agent.and_then(|agent| agent.current()) {
            Some(spec) => Ok(health::look(cx, &directory, spec).await),
            // One that is switched off is as it should be.
            None => Ok(Status::Healthy),
        }
    }

    async fn start(&self, cx: &Scope, intent: &str, new: NewRun) -> Result<AgentRun> {
        let directory = Directory::load(cx).await?;
        let spec = directory.need(START, &self.spec.name, None)?;
        let asked = Addressed::of(cx.hub(), START, spec, intent)?;
        start::start(cx, START, &asked, new, &Terms::of_caller(cx).await?).await
    }

    async fn drive(&self, cx: &Scope, run: &str) -> Result<RunView> {
        start::drive(cx, run).await
    }
}
