//! Tokens, as OpenAI's formats count them.

use serde_json::Value;

use crate::llm::answer::Usage;
use crate::llm::wire::{count, object};

/// The names of the counts in one of the two formats.
#[derive(Debug)]
pub(super) struct Names {
    pub input: &'static str,
    pub input_details: &'static str,
    pub output: &'static str,
    pub output_details: &'static str,
}

pub(super) const CHAT: Names = Names {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};
pub(super) const RESPONSES: Names = Names {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
};

impl Names {
    /// Cached and reasoning tokens are inside the totals here. What is missing is 0, and then the counts are not
    /// exact.
    pub(super) fn read(&self, usage: &Value) -> Usage {
        let (input, output) = (count(usage, self.input), count(usage, self.output));
        let of = |details: &str, field: &str| object(usage, details).and_then(|inner| count(inner, field));
        let cached = of(self.input_details, "cached_tokens");
        let written = of(self.input_details, "cache_write_tokens").unwrap_or(0);
        let thought = of(self.output_details, "reasoning_tokens");
        let exact = input.is_some() && output.is_some() && cached.is_some() && thought.is_some();
        let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
        let (cached, thought) = (cached.unwrap_or(0).min(input), thought.unwrap_or(0).min(output));
        let written = written.min(input - cached);
        Usage {
            input_uncached: input - cached - written,
            input_cache_read: cached,
            input_cache_write: written,
            output_visible: output - thought,
            output_reasoning: thought,
            exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cached_and_reasoning_tokens_are_taken_out_of_the_totals() {
        let full = CHAT.read(&json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 20},
        }));
        assert_eq!((full.input_uncached, full.input_cache_read, full.input_cache_write), (30, 60, 10));
        assert_eq!((full.output_visible, full.output_reasoning, full.total()), (30, 20, 150));
        assert!(full.exact);
    }

    #[test]
    fn missing_and_odd_counts_are_zero_and_not_exact() {
        let bare = CHAT.read(&json!({"prompt_tokens": 40, "completion_tokens": 9}));
        assert_eq!((bare.total(), bare.exact), (49, false));
        let odd = RESPONSES.read(&json!({"input_tokens": null, "output_tokens": -3,
            "input_tokens_details": {"cached_tokens": 7}, "output_tokens_details": null}));
        assert_eq!((odd.total(), odd.exact), (0, false));
    }
}
