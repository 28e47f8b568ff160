//! Values of several runs by name. What is compared is measured by turns, so that a slow minute of the disk meets both
//! sides.

use std::collections::BTreeMap;

use crate::{Goal, Result, Row, median};

/// Values by the name of what was measured.
#[derive(Debug, Default)]
pub(crate) struct Medians(BTreeMap<String, Vec<f64>>);

impl Medians {
    /// Adds the value of one run.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    /// Adds a value of each name.
    pub(crate) fn add_all(&mut self, values: Vec<(String, f64)>) {
        for (name, value) in values {
            self.add(name, value);
        }
    }

    /// The median of the runs.
    ///
    /// # Errors
    /// When nothing was measured under this name.
    pub(crate) fn of(&self, name: &str) -> Result<f64> {
        self.known(name).ok_or_else(|| format!("`{name}` was not measured").into())
    }

    /// The same, `None` when nothing was measured.
    pub(crate) fn known(&self, name: &str) -> Option<f64> {
        median(self.0.get(name)?)
    }

    /// A row of ours beside a rival that may not be installed: then there is no row.
    pub(crate) fn beside(
        &self,
        title: &str,
        ours: &str,
        unit: &str,
        goal: Goal,
        peer: &str,
    ) -> Result<Vec<Row>> {
        let Some(value) = self.known(peer) else { return Ok(Vec::new()) };
        Ok(vec![Row::new(format!("{title}, beside {peer}"), self.of(ours)?, unit, goal).against(peer, value)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_the_medians_of_both_sides() {
        let mut taken = Medians::default();
        for (ours, peer) in [(10.0, 1.0), (30.0, 5.0), (20.0, 90.0)] {
            taken.add("ours", ours);
            taken.add("peer", peer);
        }
        let rows = taken.beside("queue: work", "ours", "jobs/s", Goal::RatioAtLeast(4.0), "peer").unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].name(), rows[0].ratio()), ("queue: work, beside peer", Some(4.0)));
    }

    #[test]
    fn a_missing_rival_is_no_row_and_a_missing_value_of_ours_an_error() {
        let mut taken = Medians::default();
        taken.add("peer", 1.0);
        let row = |ours, peer| taken.beside("work", ours, "jobs/s", Goal::RatioAtLeast(1.0), peer);
        assert!(row("ours", "nobody").unwrap().is_empty());
        assert!(row("ours", "peer").is_err());
    }
}
