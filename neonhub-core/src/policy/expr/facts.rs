//! The facts of a call, each looked for once however many conditions name it.

use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::Value;

use super::node::Path;

/// The facts that a set of conditions names, each with a place of its own.
#[derive(Debug, Default)]
pub(crate) struct Named(HashMap<Vec<String>, usize>);

impl Named {
    pub(super) fn place(&mut self, path: &mut Path) {
        let next = self.0.len();
        path.place = Some(*self.0.entry(path.names.clone()).or_insert(next));
    }

    /// The facts of a call, for conditions whose names were taken in here.
    pub(crate) fn facts<'a>(&self, all: &'a Value) -> Facts<'a> {
        Facts { all, found: vec![OnceCell::new(); self.0.len()] }
    }
}

/// The facts of one call.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    all: &'a Value,
    found: Vec<OnceCell<Option<&'a Value>>>,
}

impl<'a> Facts<'a> {
    /// A fact that is there.
    pub(super) fn find(&self, path: &Path) -> Option<&'a Value> {
        match path.place.and_then(|place| self.found.get(place)) {
            Some(known) => *known.get_or_init(|| self.look(&path.names)),
            None => self.look(&path.names),
        }
    }

    fn look(&self, names: &[String]) -> Option<&'a Value> {
        let found = names.iter().try_fold(self.all, |at, name| at.get(name))?;
        (!found.is_null()).then_some(found)
    }
}
