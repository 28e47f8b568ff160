//! What tokens cost, in exact micros of a currency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::Usage;

/// Tokens that a price is for.
const PER: u128 = 1_000_000;

/// Prices of one model in micros of a currency per million tokens: 2 000 000 is 2.00 per million.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// ISO 4217 code.
    pub currency: String,
    /// Input tokens that were not cached.
    pub input: u64,
    /// Output tokens, reasoning among them.
    pub output: u64,
    /// Input tokens read from a cache. Absent: as `input`, which is never less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_read: Option<u64>,
    /// Input tokens written to a cache that lives 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<u64>,
    /// Input tokens written to a cache that lives an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Output tokens that are pictures. Absent: as `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<u64>,
    /// What a call in a batch costs of the price, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_factor: Option<f64>,
}

/// An amount in millionths of a micro, so that nothing is lost before it is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u128);

impl Cost {
    /// In whole micros, rounded up: never less than what is owed.
    #[must_use]
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.div_ceil(PER)).unwrap_or(u64::MAX)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Cost) -> Cost {
        Cost(self.0.saturating_add(other.0))
    }
}

impl Prices {
    /// The prices of calls whose output is pictures.
    #[must_use]
    pub fn of_pictures(&self) -> Prices {
        Prices { output: self.image.unwrap_or(self.output), ..self.clone() }
    }

    /// What an answer cost. `None` when tokens were written to a cache and no price for that is known: unknown is not
    /// zero.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let written = match (usage.input_cache_write, self.cache_write_5m) {
            (0, _) => 0,
            (_, price) => price?,
        };
        let at = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let output = usage.output_visible + usage.output_reasoning;
        Some(Cost(
            at(usage.input_uncached, self.input)
                + at(usage.input_cache_read, self.cached_read.unwrap_or(self.input))
                + at(usage.input_cache_write, written)
                + at(output, self.output),
        ))
    }

    /// The most that a call can cost before it is made: all input at the highest input price, the whole answer used.
    /// An estimated input counts with a tenth more.
    #[must_use]
    pub fn worst(&self, input: u64, is_exact: bool, max_output: u64) -> Cost {
        let top = [self.cache_write_5m, self.cache_write_1h].into_iter().flatten().max().unwrap_or(0);
        let input = if is_exact { input } else { input + input.div_ceil(10) };
        let at = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        Cost(at(input, self.input.max(top)) + at(max_output, self.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        Prices {
            currency: "USD".into(),
            input: 2_000_000,
            output: 10_000_000,
            cached_read: Some(200_000),
            cache_write_5m: Some(2_500_000),
            cache_write_1h: Some(4_000_000),
            image: None,
            batch_factor: None,
        }
    }

    #[test]
    fn a_cost_is_the_exact_sum() {
        let usage = Usage {
            input_uncached: 1_000,
            input_cache_read: 10_000,
            input_cache_write: 100,
            output_visible: 40,
            output_reasoning: 10,
            exact: true,
        };
        // 2 000 + 2 000 + 250 + 500 micros.
        assert_eq!(prices().cost(&usage).unwrap().micros(), 4_750);
        let one = Usage { input_cache_read: 1, ..Usage::default() };
        let cost = prices().cost(&one).unwrap();
        assert_eq!(cost.micros(), 1, "a fraction counts as one");
        assert_eq!(
            (0..10).fold(Cost::default(), |sum, _| sum.plus(cost)).micros(),
            2,
            "and is kept in a sum"
        );
    }

    #[test]
    fn an_unknown_price_is_not_zero() {
        let bare = Prices { cached_read: None, cache_write_5m: None, ..prices() };
        let read = Usage { input_cache_read: 1_000, ..Usage::default() };
        assert_eq!(bare.cost(&read).unwrap().micros(), 2_000);
        assert_eq!(bare.cost(&Usage { input_cache_write: 1, ..Usage::default() }), None);
    }

    #[test]
    fn the_worst_case_is_never_below_the_bill() {
        let usage = Usage { input_cache_write: 500, output_visible: 100, ..Usage::default() };
        assert!(prices().worst(500, true, 100) >= prices().cost(&usage).unwrap());
        assert_eq!(prices().worst(1_000, false, 0).micros(), 4_400);
    }
}
