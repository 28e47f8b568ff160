//! The agents of a workspace: built-in ones, and rows that override or add.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use neonhub_core::hub::closest;
use neonhub_core::store::{Key, Query, Record as _};
use neonhub_core::{Error, ErrorKind, Result, Scope};

use super::builtin;
use super::model::{AgentSpec, AgentState, SpecRow, Standing};

/// Rows read at once.
const PAGE: usize = 500;

/// All versions of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent {
    /// The versions in the order they are kept; the built-in one first.
    pub(super) versions: Vec<Cow<'static, AgentSpec>>,
    pub(super) standing: Standing,
}

impl Agent {
    /// The version in use, unless the agent is switched off.
    pub(super) fn current(&self) -> Option<&AgentSpec> {
        if self.standing.is_off {
            return None;
        }
        match &self.standing.production {
            Some(version) => self.at(version).filter(|spec| spec.state == AgentState::Active),
            None => {
                self.versions.first().map(Deref::deref).filter(|spec| builtin::find(&spec.name).is_some())
            }
        }
    }

    /// The version to use when none is named: the one in use, else the only one there is.
    pub(super) fn obvious(&self) -> Option<&AgentSpec> {
        self.current().or(match self.versions.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }

    pub(super) fn at(&self, version: &str) -> Option<&AgentSpec> {
        self.versions.iter().map(Deref::deref).find(|spec| spec.version == version)
    }
}

/// The agents of a workspace by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(pub(super) BTreeMap<String, Agent>);

impl Directory {
    pub(crate) async fn load(cx: &Scope) -> Result<Self> {
        let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
        for spec in builtin::all() {
            agents.entry(spec.name.clone()).or_default().versions.push(Cow::Borrowed(spec));
        }
        let mut query = Query::by_id().limit(PAGE);
        loop {
            let rows = cx.query::<SpecRow>(&query).await?;
            let last = rows.last().map(|row| row.body.id().to_owned());
            let is_full = rows.len() == PAGE;
            for row in rows {
                let spec = row.body.spec;
                agents.entry(spec.name.clone()).or_default().versions.push(Cow::Owned(spec));
            }
            match last.filter(|_| is_full) {
                Some(id) => query = query.after(Key::new(), id),
                None => break,
            }
        }
        // An agent has one standing, so there are no more of them than names.
        let mut query = Query::by_id().limit(PAGE);
        loop {
            let rows = cx.query::<Standing>(&query).await?;
            let last = rows.last().map(|row| row.body.id.clone());
            let is_full = rows.len() == PAGE;
            for row in rows {
                if let Some(agent) = agents.get_mut(&row.body.id) {
                    agent.standing = row.body;
                }
            }
            match last.filter(|_| is_full) {
                Some(id) => query = query.after(Key::new(), id),
                None => return Ok(Directory(agents)),
            }
        }
    }

    /// The versions in use, by name.
    pub(crate) fn current(&self) -> impl Iterator<Item = &AgentSpec> {
        self.0.values().filter_map(Agent::current)
    }

    /// The version of an agent that a new run takes: the pinned one, else the one in use.
    ///
    /// # Errors
    /// `NotFound` with the closest names; `Unavailable`, code `agent_disabled`, for one that is switched off.
    pub(crate) fn need(
        &self,
        operation: &'static str,
        name: &str,
        version: Option<&str>,
    ) -> Result<&AgentSpec> {
        let Some(agent) = self.0.get(name) else {
            return Err(unknown(operation, name, self.0.keys().map(String::as_str)));
        };
        let disabled = || {
            Error::new(ErrorKind::Unavailable, operation, "the agent is disabled here: activate it first")
                .with_code("agent_disabled")
                .with_context("agent", name)
        };
        if agent.standing.is_off {
            return Err(disabled());
        }
        let Some(version) = version else { return agent.current().ok_or_else(disabled) };
        let spec = agent.at(version).ok_or_else(|| {
            let known = agent.versions.iter().map(|spec| spec.version.as_str());
            Error::new(ErrorKind::NotFound, operation, "the agent has no such version")
                .with_context("agent", name)
                .with_context("closest", closest(version, known).join(", "))
        })?;
        match spec.state {
            AgentState::Active | AgentState::Deprecated => Ok(spec),
            AgentState::Disabled => Err(disabled()),
            AgentState::Draft => {
                let why = "this version is a draft: activate it first";
                Err(Error::new(ErrorKind::Conflict, operation, why).with_context("version", version))
            }
        }
    }
}

pub(super) fn unknown<'a>(
    operation: &'static str,
    name: &str,
    names: impl Iterator<Item = &'a str>,
) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no agent {name:?}"))
        .with_code("unknown_agent")
        .with_context("closest", closest(name, names).join(", "))
}

/// The version that a run began with, whatever its state is now.
pub(crate) async fn pinned(cx: &Scope, name: &str, version: &str) -> Result<AgentSpec> {
    if let Some(row) = cx.get::<SpecRow>(&SpecRow::id_of(name, version)).await? {
        return Ok(row.body.spec);
    }
    builtin::find(name).filter(|spec| spec.version == version).cloned().ok_or_else(|| {
        let why = "the version of the agent that began this run is gone: cancel the run";
        Error::new(ErrorKind::Conflict, "agents.drive", why)
            .with_code("spec_changed")
            .with_context("agent", name)
            .with_context("version", version)
    })
}
