//! What the runs of a session cost.

use std::collections::BTreeMap;

use super::model::{AgentSession, SessionCost};
use crate::economy::TokenUsage;
use crate::store::{Key, Query, Record as _};
use crate::{Result, Scope};

/// Model calls read at once.
const PAGE: usize = 500;

/// Adds up what models cost the runs of a session, by currency.
pub(super) async fn add_up(cx: &Scope, session: &mut AgentSession) -> Result<()> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for run in &session.run_ids {
        let mut query = Query::index("run").prefix(Key::text(run)).limit(PAGE);
        loop {
            let page = cx.query::<TokenUsage>(&query).await?;
            for usage in &page {
                if let (Some(currency), Some(micros)) = (&usage.currency, usage.cost_micros) {
                    let sum = sums.entry(currency.clone()).or_default();
                    *sum = sum.saturating_add(micros);
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
            query =
                query.after(last.keys().into_iter().nth(1).flatten().unwrap_or_default(), last.id.as_str());
        }
    }
    session.cost = sums.into_iter().map(|(currency, micros)| SessionCost { currency, micros }).collect();
    Ok(())
}
