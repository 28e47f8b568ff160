//! What the models of a run cost.

use std::collections::BTreeMap;

use neonhub_core::economy::TokenUsage;
use neonhub_core::store::{Key, Query};
use neonhub_core::{Result, Scope};

// A run makes at most 500 calls of models.
const MOST: usize = 500;

/// Micros by currency, and how many calls have no known price.
pub(crate) async fn of(cx: &Scope, run: &str) -> Result<(BTreeMap<String, u64>, u64)> {
    let (mut cost, mut unpriced) = (BTreeMap::new(), 0);
    for used in cx.query::<TokenUsage>(&Query::index("run").prefix(Key::text(run)).limit(MOST)).await? {
        match (used.cost_micros, &used.currency) {
            (Some(micros), Some(currency)) => *cost.entry(currency.clone()).or_default() += micros,
            _ => unpriced += 1,
        }
    }
    Ok((cost, unpriced))
}
