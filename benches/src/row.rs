//! One row of a table: our value, the rival's, their ratio, the goal.

use serde::Serialize;
use serde_json::{Value, json};

/// What a row must reach. Ratios are always ours / rival's, whatever the unit: with rates a high ratio is good, with
/// times a low one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Goal {
    /// Our value is at least this.
    AtLeast(f64),
    /// Our value is at most this.
    AtMost(f64),
    /// Our value is at least this many times the rival's.
    RatioAtLeast(f64),
    /// Our value is at most this many times the rival's.
    RatioAtMost(f64),
    /// None: the value stands in the result file, and not in the table.
    Shown,
}

/// One measured row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    name: String,
    ours: f64,
    unit: String,
    peer: Option<(String, f64)>,
    goal: Goal,
}

impl Row {
    /// A row with our value alone. `unit` is written out, for example `rows/s`, `us`, `ms`, `MB`.
    #[must_use]
    pub fn new(name: impl Into<String>, ours: f64, unit: impl Into<String>, goal: Goal) -> Self {
        Self { name: name.into(), ours, unit: unit.into(), peer: None, goal }
    }

    /// The same row with the rival's value on the same work, in the same unit.
    #[must_use]
    pub fn against(mut self, peer: impl Into<String>, value: f64) -> Self {
        self.peer = Some((peer.into(), value));
        self
    }

    /// Name of the row.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Our value over the rival's; `None` without a rival or when its value is not above zero.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().filter(|(_, value)| *value > 0.0).map(|(_, value)| self.ours / value)
    }

    /// Whether the goal is reached. A goal on a ratio without a rival is missed.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.goal {
            Goal::AtLeast(bound) => self.ours >= bound,
            Goal::AtMost(bound) => self.ours <= bound,
            Goal::RatioAtLeast(bound) => self.ratio().is_some_and(|ratio| ratio >= bound),
            Goal::RatioAtMost(bound) => self.ratio().is_some_and(|ratio| ratio <= bound),
            Goal::Shown => true,
        }
    }

    /// Whether there is a goal to reach.
    #[must_use]
    pub fn has_goal(&self) -> bool {
        self.goal != Goal::Shown
    }

    /// The goal in words: `>= 5000 sends/s`, `<= 3x`; `-` without one.
    #[must_use]
    pub fn goal(&self) -> String {
        match self.goal {
            Goal::AtLeast(bound) => format!(">= {bound} {}", self.unit),
            Goal::AtMost(bound) => format!("<= {bound} {}", self.unit),
            Goal::RatioAtLeast(bound) => format!(">= {bound}x"),
            Goal::RatioAtMost(bound) => format!("<= {bound}x"),
            Goal::Shown => "-".to_owned(),
        }
    }

    /// The row as it is written to the result file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "ours": self.ours,
            "unit": self.unit,
            "peer": self.peer.as_ref().map(|(name, _)| name),
            "peer_value": self.peer.as_ref().map(|(_, value)| value),
            "ratio": self.ratio(),
            "goal": self.goal(),
            "holds": self.has_goal().then(|| self.holds()),
        })
    }

    /// The cells of the printed table: name, ours, rival, its value, ratio, goal, verdict.
    #[must_use]
    pub fn cells(&self) -> [String; 7] {
        let (peer, value) = match &self.peer {
            Some((peer, value)) => (peer.clone(), format!("{} {}", rounded(*value), self.unit)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let ratio = self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let verdict = if self.holds() { "holds" } else { "MISSED" };
        let ours = format!("{} {}", rounded(self.ours), self.unit);
        [self.name.clone(), ours, peer, value, ratio, self.goal(), verdict.to_owned()]
    }
}

/// Three significant digits are what a bench of this kind can promise; no number is `none`.
pub(crate) fn rounded(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "none".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_below_half_of_the_rival_misses_its_goal() {
        let row =
            |ours| Row::new("import", ours, "rows/s", Goal::RatioAtLeast(0.5)).against("bare SQLite", 100.0);
        assert!(row(50.0).holds() && !row(49.0).holds());
        assert_eq!(row(49.0).cells()[4..], ["0.49x", ">= 0.5x", "MISSED"]);
    }

    #[test]
    fn goal_on_a_ratio_without_a_rival_is_missed() {
        assert!(!Row::new("hop", 1.0, "us", Goal::RatioAtMost(3.0)).holds());
        assert!(!Row::new("hop", 1.0, "us", Goal::RatioAtMost(3.0)).against("hop", 0.0).holds());
    }

    #[test]
    fn result_file_says_what_was_missed() {
        let json = Row::new("open", 120.0, "ms", Goal::AtMost(100.0)).to_json();
        assert_eq!(json["holds"], false);
        assert_eq!((&json["goal"], &json["peer"]), (&json!("<= 100 ms"), &Value::Null));
    }
}
