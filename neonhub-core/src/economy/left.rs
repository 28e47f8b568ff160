//! What quotas leave for the next call.

use super::meter::{load, quotas};
use crate::{Result, Scope};

/// What is left for a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// True when what was used and is held of a quota has reached its soft share.
    pub is_soft: bool,
    /// Micros left of each quota of money, with its currency.
    pub money: Vec<(String, u64)>,
}

impl Left {
    /// Whether a call of this worst case fits into every quota of money in its currency.
    pub(crate) fn holds(&self, currency: &str, micros: u64) -> bool {
        self.money.iter().all(|(of, left)| of != currency || micros <= *left)
    }
}

/// Looks at the quotas that bound calls of a scope.
///
/// # Errors
/// Those of the store.
pub(crate) async fn left(cx: &Scope, campaign: Option<&str>) -> Result<Left> {
    let mut out = Left::default();
    for (quota, id) in quotas(cx, campaign).await? {
        let (mut spend, _) = load(cx, &id).await?;
        spend.expire(cx.now());
        let (micros, tokens) = spend.taken();
        for (used, limit) in [(micros, spend.micros_of(&quota)), (tokens, spend.tokens_of(&quota))] {
            let Some(limit) = limit else { continue };
            out.is_soft |= used as f64 >= quota.soft_share * limit as f64;
        }
        if let (Some(money), Some(limit)) = (quota.money, spend.micros_of(&quota)) {
            out.money.push((money.currency.as_str().to_owned(), limit.saturating_sub(micros)));
        }
    }
    Ok(out)
}
