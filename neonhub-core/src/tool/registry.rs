//! The tools that were added to a hub, for all of its workspaces or for one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::Tool;
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Faults, Hub, Result};

/// One added tool with its turnstile.
#[derive(Debug)]
pub(crate) struct Added {
    pub(super) tool: Arc<dyn Tool>,
    pub(super) turns: Option<Semaphore>,
}

/// A workspace, or none for all of them, and a name.
type Place = (Option<WorkspaceId>, String);

/// Tools by whose they are and name. They belong to the process: another one that opens the store adds its own.
#[derive(Default)]
pub(crate) struct Registry(RwLock<BTreeMap<Place, Arc<Added>>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Registry {
    pub(super) fn names(&self) -> Vec<String> {
        let tools = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tools.keys().map(|(_, name)| name.clone()).collect()
    }

    /// The tool that has this name in a workspace.
    pub(super) fn get(&self, workspace: &WorkspaceId, name: &str) -> Option<Arc<Added>> {
        let tools = self.0.read().unwrap_or_else(PoisonError::into_inner);
        [Some(workspace.clone()), None]
            .into_iter()
            .find_map(|whose| tools.get(&(whose, name.to_owned())).map(Arc::clone))
    }

    /// The tools of a workspace.
    pub(super) fn all(&self, workspace: &WorkspaceId) -> Vec<Arc<Added>> {
        let tools = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_here = |whose: &Option<WorkspaceId>| whose.as_ref().is_none_or(|whose| whose == workspace);
        tools.iter().filter(|((whose, _), _)| is_here(whose)).map(|(_, added)| Arc::clone(added)).collect()
    }

    /// Takes away the tools of one workspace that a test fits.
    #[cfg(feature = "mcp")]
    pub(crate) fn remove_of(&self, workspace: &WorkspaceId, fits: impl Fn(&str) -> bool) {
        let mut tools = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tools.retain(|(whose, name), _| whose.as_ref() != Some(workspace) || !fits(name));
    }
}

impl Hub {
    /// Adds a tool. It is visible from now on to callers with the rights it needs.
    ///
    /// # Errors
    /// `InvalidInput` listing every fault of its description; `AlreadyExists` when an operation or another tool has
    /// its name.
    pub fn add_tool(&self, tool: Arc<dyn Tool>) -> Result<()> {
        self.add_tool_for(None, tool)
    }

    /// Adds a tool that one workspace alone sees, or all.
    pub(crate) fn add_tool_for(&self, workspace: Option<WorkspaceId>, tool: Arc<dyn Tool>) -> Result<()> {
        let info = tool.info();
        info.check()?;
        let mut faults = Faults::new();
        for (n, word) in info.needs.iter().enumerate() {
            self.check_declared(&mut faults, &format!("needs[{n}]"), *word);
        }
        faults.into_result("tools.register")?;
        let taken = |message: &'static str| {
            Err(Error::new(ErrorKind::AlreadyExists, "tools.register", message)
                .with_context("tool", &info.name))
        };
        if self.operation(&info.name).is_ok() {
            return taken("an operation has this name: choose another");
        }
        let mut tools = self.tools().0.write().unwrap_or_else(PoisonError::into_inner);
        let is_taken = |(whose, name): &Place| {
            *name == info.name && (whose.is_none() || workspace.is_none() || *whose == workspace)
        };
        if tools.keys().any(is_taken) {
            return taken("a tool has this name: remove it first");
        }
        let turns = info.concurrency.map(|n| Semaphore::new(n as usize));
        let name = info.name.clone();
        tools.insert((workspace, name), Arc::new(Added { tool, turns }));
        Ok(())
    }

    /// Takes a tool away; calls under way end as they would. False when there was none of this name.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.tools()
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(None, name.to_owned()))
            .is_some()
    }
}
