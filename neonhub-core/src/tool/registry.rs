//! The tools that were added to a hub.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::Tool;
use crate::{Error, ErrorKind, Hub, Result};

/// One added tool with its turnstile.
#[derive(Debug)]
pub(crate) struct Added {
    pub(super) tool: Arc<dyn Tool>,
    pub(super) turns: Option<Semaphore>,
}

/// Tools by name. They belong to the process: another one that opens the store adds its own.
#[derive(Default)]
pub(crate) struct Registry(RwLock<BTreeMap<String, Arc<Added>>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Registry {
    pub(super) fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Added>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    pub(super) fn all(&self) -> Vec<Arc<Added>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }
}

impl Hub {
    /// Adds a tool. It is visible from now on to callers with the rights it needs.
    ///
    /// # Errors
    /// `InvalidInput` listing every fault of its description; `AlreadyExists` when an operation or another tool has
    /// its name.
    pub fn add_tool(&self, tool: Arc<dyn Tool>) -> Result<()> {
        let info = tool.info();
        info.check()?;
        let taken = |message: &'static str| {
            Err(Error::new(ErrorKind::AlreadyExists, "tools.register", message)
                .with_context("tool", &info.name))
        };
        if self.operation(&info.name).is_ok() {
            return taken("an operation has this name: choose another");
        }
        let mut tools = self.tools().0.write().unwrap_or_else(PoisonError::into_inner);
        if tools.contains_key(&info.name) {
            return taken("a tool has this name: remove it first");
        }
        let turns = info.concurrency.map(|n| Semaphore::new(n as usize));
        let name = info.name.clone();
        tools.insert(name, Arc::new(Added { tool, turns }));
        Ok(())
    }

    /// Takes a tool away; calls under way end as they would. False when there was none of this name.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.tools().0.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }
}
