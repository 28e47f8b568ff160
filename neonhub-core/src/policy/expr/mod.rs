//! The language of policy conditions: typed, total, without loops or I/O.
//!
//! ```text
//! operation starts_with "campaigns." and not ("admin" in roles)
//! has(input.budget) and input.budget > money("500", "EUR")
//! hour(now, "Europe/Vienna") < 8 or weekday(now, "Europe/Vienna") in ["sat", "sun"]
//! ```
//!
//! What is missing is unknown: a comparison with a missing fact is neither true nor false, and `and`, `or`,
//! `not` carry that on as Kleene's logic does (unknown and false is false, unknown or true is true). Only
//! `has(fact)` asks whether a fact is there.
//!
//! | part | forms |
//! |---|---|
//! | literals | `"text"`, `12`, `true`, `false`, `["a", "b"]`, `money("12.50", "EUR")`, `instant("2026-11-21T09:00:00Z")`, `date("2026-11-21", "Europe/Vienna")` (the first instant of that day there) |
//! | comparisons | `==` `!=` `<` `<=` `>` `>=`, `in`, `not in`, `starts_with`, `ends_with`, `contains`, `subset_of`, `intersects` |
//! | functions | `has(fact)`, `lower(text)`, `length(text or set)`, `union(a, b)`, `common(a, b)`, `minus(a, b)`, `hour(instant, zone)`, `weekday(instant, zone)`, `day(instant, zone)`, `days_between(a, b)` |

mod check;
mod eval;
mod facts;
mod node;
mod parse;
mod token;

use serde_json::Value;

pub use check::VOCABULARY;
pub use eval::Truth;
pub use token::Fault;

pub(crate) use facts::{Facts, Named};
use node::Node;

/// Longest source, in bytes.
// Our choice: a condition that does not fit is several policies.
pub const MAX_SOURCE: usize = 4096;

/// A condition that was read and checked.
#[derive(Clone, Debug)]
pub struct Expr(Node);

impl Expr {
    /// Reads and checks a source. An empty one is always true.
    ///
    /// # Errors
    /// The first fault with its position: a word that has no meaning, a fact that does not exist, values that
    /// cannot be compared.
    pub fn compile(source: &str) -> Result<Self, Fault> {
        if source.len() > MAX_SOURCE {
            return Err(Fault { position: MAX_SOURCE, message: "expected at most 4096 bytes".into() });
        }
        if source.trim().is_empty() {
            return Ok(Expr(Node::always()));
        }
        let node = parse::parse(source)?;
        check::condition(&node)?;
        Ok(Expr(node))
    }

    /// Judges facts. Always ends: the cost is bounded by the length of the source and the sizes of the facts.
    ///
    /// # Errors
    /// A fault when facts of the open part (`input`, `app`) have a type that the expression cannot use.
    pub fn judge(&self, facts: &Value) -> Result<Truth, Fault> {
        self.judge_among(&Named::default().facts(facts))
    }

    /// Gives the facts of this condition their places among those of others.
    pub(crate) fn join(&mut self, named: &mut Named) {
        self.0.each_path(&mut |path| named.place(path));
    }

    /// As [`judge`](Self::judge), with the facts that the conditions of a set share.
    pub(crate) fn judge_among(&self, facts: &Facts<'_>) -> Result<Truth, Fault> {
        eval::truth(&self.0, facts)
    }
}

#[cfg(test)]
mod tests;
