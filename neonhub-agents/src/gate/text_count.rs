//! How long a text is in the units that networks count in.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::urls::find_urls;

/// Weights are in hundredths. Source: twitter-text configuration version 3.
const SCALE: u32 = 100;
/// Every link counts as 23, whatever its length.
const URL_WEIGHT: u32 = 23 * SCALE;
/// An emoji sequence counts as 2, whatever its length.
const EMOJI_WEIGHT: u32 = 2 * SCALE;

/// The length of a text on X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// Weighted length, rounded down to whole characters.
    pub length: u32,
    /// How many Unicode scalar values of the NFC text fit into the limit.
    pub valid_chars: usize,
}

struct Counter {
    weight: u32,
    chars: usize,
    valid_chars: usize,
    limit: u32,
}

impl Counter {
    fn add(&mut self, cost: u32, chars: usize) {
        self.weight = self.weight.saturating_add(cost);
        self.chars += chars;
        if self.weight <= self.limit.saturating_mul(SCALE) {
            self.valid_chars = self.chars;
        }
    }

    fn add_text(&mut self, text: &str) {
        for cluster in text.graphemes(true) {
            if is_emoji(cluster) {
                self.add(EMOJI_WEIGHT, cluster.chars().count());
            } else {
                cluster.chars().for_each(|c| self.add(char_weight(c), 1));
            }
        }
    }
}

/// The weighted length of `text` on X (twitter-text version 3): NFC, 1 for Latin and similar letters, 2 for
/// others, 23 for a link, 2 for an emoji sequence. `hello https://example.com` is 29.
#[must_use]
pub fn weighted_length(text: &str, limit: u32) -> Weighted {
    let text: String = text.nfc().collect();
    let mut counter = Counter { weight: 0, chars: 0, valid_chars: 0, limit };
    let mut at = 0;
    for url in find_urls(&text) {
        counter.add_text(text.get(at..url.start).unwrap_or_default());
        counter.add(URL_WEIGHT, text.get(url.clone()).unwrap_or_default().chars().count());
        at = url.end;
    }
    counter.add_text(text.get(at..).unwrap_or_default());
    Weighted { length: counter.weight / SCALE, valid_chars: counter.valid_chars }
}

// Ranges of weight 100: twitter-text configuration version 3.
fn char_weight(c: char) -> u32 {
    match u32::from(c) {
        0..=0x10ff | 0x2000..=0x200d | 0x2010..=0x201f | 0x2032..=0x2037 => SCALE,
        _ => 2 * SCALE,
    }
}

/// True for a grapheme cluster that is drawn as one picture.
fn is_emoji(cluster: &str) -> bool {
    let mut chars = cluster.chars();
    let Some(first) = chars.next() else { return false };
    let rest = chars.as_str();
    if rest.is_empty() {
        return false; // A single emoji weighs 2 as a character too.
    }
    let joins =
        |c: char| matches!(u32::from(c), 0x200d | 0x20e3 | 0xfe0f | 0xe0020..=0xe007f) || is_picture(c);
    let base = is_picture(first)
        || matches!(first, '©' | '®')
        || matches!(first, '0'..='9' | '#' | '*') && rest.ends_with('\u{20e3}');
    base && rest.chars().all(joins)
}

/// Blocks that hold pictures, flags and skin tones.
// Source: Unicode emoji-data.txt 16.0, rounded to whole blocks: only clusters with a joiner are judged by it.
fn is_picture(c: char) -> bool {
    matches!(u32::from(c), 0x203c | 0x2049 | 0x2122..=0x2bff | 0x3030 | 0x303d | 0x3297 | 0x3299 | 0x1f000..=0x1faff)
}

/// Length in UTF-16 code units.
#[must_use]
pub fn utf16_len(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

/// Length in what a reader sees as characters.
pub(super) fn grapheme_len(text: &str) -> u32 {
    u32::try_from(text.graphemes(true).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weighted lengths as twitter-text 3.1.0 (npm) answers them, recorded 2026-11-21.
    const GOLDEN: &[(&str, u32)] = &[
        ("\u{a9}", 1),
        ("\u{a9}\u{fe0f}", 2),
        ("1\u{fe0f}\u{20e3}", 2),
        ("\u{263a}", 2),
        ("\u{263a}\u{fe0f}", 2),
        ("\u{1f1e6}\u{1f1f9}", 2),
        ("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", 2),
        ("\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", 2),
        ("\u{2764}", 2),
        ("\u{2764}\u{fe0f}", 2),
        ("\u{2122}", 2),
        ("\u{2122}\u{fe0f}", 2),
        ("\u{1f44d}\u{1f3fd}", 2),
        ("\u{1f1e6}", 2),
        ("\u{1f431}", 2),
        ("H\u{1f431}\u{263a}", 5),
        ("hello https://example.com", 29),
        ("test.com", 23),
        ("see test.com.", 28),
        ("a.b test.shop i.e. e.g. 3.5 node.js is.it www.example.com/path?x=1", 97),
        ("foo@test.com", 12),
        ("http://test.com/a_(b)", 23),
        ("é", 1),
        ("é", 1),
        ("저찀", 4),
        ("\u{10000}", 2),
        ("の", 2),
        ("https://example.com/Русские_слова end", 27),
        ("@test.com", 9),
        ("#test.com", 9),
        ("$test.com", 9),
        ("xhttp://test.com", 16),
        ("http://test", 11),
        ("go to http://t.co/abc, now", 34),
        ("test.com/x, y", 26),
        ("日本http://test.com語", 29),
        ("日本test.com", 27),
        ("test.co.jp", 23),
        ("example.museum", 23),
        ("\u{260e}\u{fe0f}", 2),
        ("\u{3030}\u{fe0f}", 2),
        ("\u{3297}\u{fe0f}", 2),
        ("\u{2702}", 2),
        ("\u{231a}", 2),
        ("\u{23cf}", 2),
        ("#\u{fe0f}\u{20e3}", 2),
        ("a\u{200d}b", 3),
        ("\u{200d}", 1),
        ("https://例え.jp/", 23),
        ("munich.bayern", 23),
        ("http://a.b.c.com:8080/x#y!", 24),
        ("http://user:pw@test.com/", 24),
        ("Test https://test.com test https://test.com test.com test", 86),
        ("test-.com", 9),
        ("-test.com", 9),
        ("http://test.com?x=1&y=2", 23),
        ("http://test.com/.", 24),
        ("hi.there", 8),
        ("1.5.com", 23),
        ("abc_def.com", 11),
        ("http://abc_def.com", 18),
        ("1.com", 23),
        ("https://x.com/a?b=c\u{2019}s", 25),
        ("\u{201c}https://x.com/a\u{201d}", 25),
        ("(https://x.com/a)", 25),
        ("https://x.com/a-", 23),
        ("https://x.com/a...", 26),
        ("x.co", 23),
        ("amazon.it/dp", 23),
    ];

    #[test]
    fn lengths_equal_those_of_twitter_text() {
        for (text, expected) in GOLDEN {
            assert_eq!(weighted_length(text, 280).length, *expected, "{text:?}");
        }
    }

    #[test]
    fn the_valid_part_ends_before_what_does_not_fit() {
        let text = format!("{}の", "a".repeat(279));
        let counted = weighted_length(&text, 280);
        assert_eq!((counted.length, counted.valid_chars), (281, 279));
        assert_eq!(weighted_length("e\u{301}", 280), Weighted { length: 1, valid_chars: 1 });
    }
}
