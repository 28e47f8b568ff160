//! Counting tokens: by the tokens of the embedder of a space where it tells them, else by `approx-1`, the larger of the
//! number of words and a quarter of the UTF-8 bytes.

use std::ops::Range;

/// Bytes per token from which `approx-1` counts by bytes.
const APPROX_BYTES: usize = 4;
/// Most bytes that one token of a model's own stands for: some give one token to a word of any length.
// The mean of words in running text is near 5 bytes in the languages of the Latin script; our choice.
const OWN_BYTES: usize = 16;

/// Tokens of a text by `approx-1`: `max(words, ceil(bytes / 4))`.
#[must_use]
pub fn count_tokens(text: &str) -> u32 {
    tokens(text.split_whitespace().count(), text.len(), APPROX_BYTES)
}

fn tokens(units: usize, bytes: usize, per_token: usize) -> u32 {
    u32::try_from(units.max(bytes.div_ceil(per_token))).unwrap_or(u32::MAX)
}

/// Counts any range of one text in logarithmic time.
#[derive(Debug)]
pub(super) struct Counter {
    /// Byte ranges of words or tokens, in order.
    units: Vec<(usize, usize)>,
    /// Most bytes that count as one token.
    bytes: usize,
}

impl Counter {
    pub(super) fn new(source: &str) -> Self {
        let base = source.as_ptr() as usize;
        let units = source
            .split_whitespace()
            .map(|w| {
                let start = w.as_ptr() as usize - base;
                (start, start + w.len())
            })
            .collect();
        Self { units, bytes: APPROX_BYTES }
    }

    /// Counts by these tokens of the text, each a range of bytes, in order.
    pub(super) fn by(spans: Vec<Range<usize>>) -> Self {
        // Several tokens of one character share its bytes, so neither starts nor ends need to grow by themselves.
        let (mut start, mut end) = (0, 0);
        let grown = |span: Range<usize>| {
            (start, end) = (start.max(span.start), end.max(span.end));
            (start, end)
        };
        Self { units: spans.into_iter().map(grown).collect(), bytes: OWN_BYTES }
    }

    /// Tokens of a range; by `approx-1` equal to [`count_tokens`] of its text.
    pub(super) fn count(&self, start: usize, end: usize) -> u32 {
        if end <= start {
            return 0;
        }
        let first = self.units.partition_point(|w| w.1 <= start);
        let after = self.units.partition_point(|w| w.0 < end);
        tokens(after.saturating_sub(first), end - start, self.bytes)
    }

    /// The furthest end such that the range holds at most `limit` tokens; always past `start`.
    pub(super) fn furthest(&self, source: &str, start: usize, limit: u32) -> usize {
        let limit = limit.max(1) as usize;
        let by_bytes = start.saturating_add(limit * self.bytes).min(source.len());
        let first = self.units.partition_point(|w| w.1 <= start);
        let by_words = self.units.get(first + limit).map_or(source.len(), |w| w.0);
        let mut end = by_bytes.min(by_words);
        while end > start && !source.is_char_boundary(end) {
            end -= 1;
        }
        if end > start { end } else { next_boundary(source, start) }
    }

    /// The earliest start such that the range up to `end` holds at most `limit` tokens.
    pub(super) fn earliest(&self, source: &str, end: usize, limit: u32) -> usize {
        let limit = limit as usize;
        let by_bytes = end.saturating_sub(limit * self.bytes);
        let after = self.units.partition_point(|w| w.0 < end);
        let by_words = after.checked_sub(limit + 1).and_then(|n| self.units.get(n)).map_or(0, |w| w.1);
        let mut start = by_bytes.max(by_words);
        while start < end && !source.is_char_boundary(start) {
            start += 1;
        }
        start
    }
}

/// The next character after `start`.
pub(super) fn next_boundary(source: &str, start: usize) -> usize {
    source.get(start..).and_then(|t| t.chars().next()).map_or(source.len(), |c| start + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_words_and_bytes_counts() {
        assert_eq!(count_tokens(""), 0);
        assert_eq!(count_tokens("a b c d"), 4);
        assert_eq!(count_tokens("internationalisation"), 5);
        assert_eq!(count_tokens("日本語"), 3);
    }

    #[test]
    fn ranges_count_like_their_text() {
        let text = "  One two,\n\nthree  fourteen 日本 x ";
        let counter = Counter::new(text);
        for start in (0..=text.len()).filter(|n| text.is_char_boundary(*n)) {
            for end in (start..=text.len()).filter(|n| text.is_char_boundary(*n)) {
                assert_eq!(counter.count(start, end), count_tokens(&text[start..end]), "{start}..{end}");
            }
            let end = counter.furthest(text, start, 3);
            assert!(counter.count(start, end) <= 3 && (end > start || start == text.len()));
            assert!(counter.count(counter.earliest(text, start, 2), start) <= 2);
        }
    }

    #[test]
    fn tokens_of_a_model_count_in_the_place_of_words() {
        // "teapots" as `tea`, `##pot`, `##s`; the last character as two tokens of the same bytes.
        let text = "teapots are \u{1f375}";
        let counter = Counter::by(vec![0..3, 3..6, 6..7, 8..11, 12..16, 12..16]);
        assert_eq!([(0, 7), (0, 11), (8, 16), (3, 7)].map(|(a, b)| counter.count(a, b)), [3, 4, 3, 2]);
        assert_eq!(counter.furthest(text, 0, 3), 8);
        assert_eq!(counter.earliest(text, 11, 2), 6);
        // A word of any length may be one token; its bytes then count.
        let long = "x".repeat(1_600);
        let counter = Counter::by(std::iter::once(0..1_600).collect());
        assert_eq!((counter.count(0, 1_600), counter.furthest(&long, 0, 10)), (100, 160));
    }
}
