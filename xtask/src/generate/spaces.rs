//! The tree of namespaces that the dotted names of operations make.

use std::collections::BTreeMap;

use super::shapes::{Call, Surface};
use crate::failure::{Failure, Result};

/// A namespace with its operations and the namespaces below it.
#[derive(Debug, Default)]
pub(crate) struct Space<'a> {
    pub(crate) calls: BTreeMap<&'a str, &'a Call<'a>>,
    pub(crate) spaces: BTreeMap<&'a str, Space<'a>>,
}

impl<'a> Space<'a> {
    /// The tree of all operations.
    pub(crate) fn of(surface: &'a Surface<'a>) -> Result<Self> {
        let mut root = Space::default();
        for call in &surface.calls {
            let mut space = &mut root;
            let mut words: Vec<&str> = call.operation.name.split('.').collect();
            let method = words.pop().unwrap_or_default();
            for word in words {
                space = space.spaces.entry(word).or_default();
            }
            space.calls.insert(method, call);
        }
        root.check("")?;
        Ok(root)
    }

    /// A word is a method or a namespace, not both.
    fn check(&self, path: &str) -> Result<()> {
        if let Some(name) = self.calls.keys().find(|name| self.spaces.contains_key(*name)) {
            return Err(Failure::new(format!(
                "{path}.{name} is both an operation and a namespace: rename one"
            )));
        }
        self.spaces.iter().try_for_each(|(name, below)| below.check(&format!("{path}.{name}")))
    }
}
