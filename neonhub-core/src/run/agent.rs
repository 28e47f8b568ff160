//! Agents by name: what a schedule, or another caller that holds no type, starts and drives.

use async_trait::async_trait;
use serde_json::Value;

use super::driver::{Driver, NewRun, RunView};
use super::machine::Program;
use super::record::AgentRun;
use crate::health::Status;
use crate::hub::closest;
use crate::{Error, ErrorKind, Hub, Result, Scope};

/// An agent of this program, known by its name. Every [`Driver`] is one, with the single intent of its
/// [`Program`]; [`HubBuilder::agent`](crate::HubBuilder::agent) adds it.
#[async_trait]
pub trait Agent: std::fmt::Debug + Send + Sync + 'static {
    /// Its name: `campaign`.
    fn name(&self) -> &str;

    /// The intents it knows, at least one: `audit`.
    fn intents(&self) -> Vec<&str>;

    /// Checks the input of an intent before anything is started. Default: any input.
    ///
    /// # Errors
    /// `InvalidInput` naming the field.
    fn check(&self, _intent: &str, _input: &Value) -> Result<()> {
        Ok(())
    }

    /// How it is, looked at every five minutes without acting on anything. After three failures in a row schedules start
    /// no run of it until it is well. Default: healthy.
    ///
    /// # Errors
    /// Counts as unhealthy.
    async fn health(&self, _cx: &Scope) -> Result<Status> {
        Ok(Status::Healthy)
    }

    /// True for an agent that looks itself whether it may start, and has another one stand in for it when it may not.
    /// Default: false, schedules look.
    fn stands_in(&self) -> bool {
        false
    }

    /// Makes a run, or finds the one with the same key, and drives nothing yet.
    ///
    /// # Errors
    /// As [`Driver::start`].
    async fn start(&self, cx: &Scope, intent: &str, new: NewRun) -> Result<AgentRun>;

    /// Goes on with a run until it ends or waits.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    async fn drive(&self, cx: &Scope, run: &str) -> Result<RunView>;
}

#[async_trait]
impl<P: Program> Agent for Driver<P> {
    fn name(&self) -> &str {
        self.program.agent()
    }

    fn intents(&self) -> Vec<&str> {
        vec![self.program.intent()]
    }

    async fn start(&self, cx: &Scope, _intent: &str, new: NewRun) -> Result<AgentRun> {
        Driver::start(self, cx, new).await
    }

    async fn drive(&self, cx: &Scope, run: &str) -> Result<RunView> {
        Driver::drive(self, cx, run).await
    }
}

/// The intent that is meant: the named one, or the only one.
///
/// # Errors
/// `NotFound` for an unknown intent, with the closest; `InvalidInput` when none is named and there are several.
pub(crate) fn intent_of<'a>(agent: &'a dyn Agent, intent: Option<&str>) -> Result<&'a str> {
    let known = agent.intents();
    let Some(wanted) = intent else {
        return match known.as_slice() {
            [only] => Ok(*only),
            _ => Err(Error::invalid(
                "agents.find",
                "intent",
                format!("expected one of the agent's intents: {}", known.join(", ")),
            )),
        };
    };
    known.iter().find(|i| **i == wanted).copied().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "agents.find", "the agent has no such intent")
            .with_context("agent", agent.name())
            .with_context("closest", closest(wanted, known.iter().copied()).join(", "))
    })
}

impl Hub {
    /// The agent with this name.
    ///
    /// # Errors
    /// `NotFound` with the closest names.
    pub fn agent(&self, name: &str) -> Result<std::sync::Arc<dyn Agent>> {
        let all = self.agents();
        all.iter().find(|a| a.name() == name).map(std::sync::Arc::clone).ok_or_else(|| {
            let close = closest(name, all.iter().map(|a| a.name())).join(", ");
            Error::new(ErrorKind::NotFound, "agents.find", "there is no such agent in this program")
                .with_context("closest", close)
        })
    }
}
