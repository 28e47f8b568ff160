//! The counter `approx-1`: the larger of the number of words and a quarter of the UTF-8 bytes.

/// Tokens of a text by `approx-1`: `max(words, ceil(bytes / 4))`.
#[must_use]
pub fn count_tokens(text: &str) -> u32 {
    tokens(text.split_whitespace().count(), text.len())
}

fn tokens(words: usize, bytes: usize) -> u32 {
    u32::try_from(words.max(bytes.div_ceil(4))).unwrap_or(u32::MAX)
}

/// Counts any range of one text in logarithmic time.
#[derive(Debug)]
pub(super) struct Counter {
    /// Byte ranges of the words, in order.
    words: Vec<(usize, usize)>,
}

impl Counter {
    pub(super) fn new(source: &str) -> Self {
        let base = source.as_ptr() as usize;
        let words = source
            .split_whitespace()
            .map(|w| {
                let start = w.as_ptr() as usize - base;
                (start, start + w.len())
            })
            .collect();
        Self { words }
    }

    /// Tokens of a range; equal to [`count_tokens`] of its text.
    pub(super) fn count(&self, start: usize, end: usize) -> u32 {
        if end <= start {
            return 0;
        }
        let first = self.words.partition_point(|w| w.1 <= start);
        let after = self.words.partition_point(|w| w.0 < end);
        tokens(after.saturating_sub(first), end - start)
    }

    /// The furthest end such that the range holds at most `limit` tokens; always past `start`.
    pub(super) fn furthest(&self, source: &str, start: usize, limit: u32) -> usize {
        let limit = limit.max(1) as usize;
        let by_bytes = start.saturating_add(limit * 4).min(source.len());
        let first = self.words.partition_point(|w| w.1 <= start);
        let by_words = self.words.get(first + limit).map_or(source.len(), |w| w.0);
        let mut end = by_bytes.min(by_words);
        while end > start && !source.is_char_boundary(end) {
            end -= 1;
        }
        if end > start { end } else { next_boundary(source, start) }
    }

    /// The earliest start such that the range up to `end` holds at most `limit` tokens.
    pub(super) fn earliest(&self, source: &str, end: usize, limit: u32) -> usize {
        let limit = limit as usize;
        let by_bytes = end.saturating_sub(limit * 4);
        let after = self.words.partition_point(|w| w.0 < end);
        let by_words = after.checked_sub(limit + 1).and_then(|n| self.words.get(n)).map_or(0, |w| w.1);
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
}
