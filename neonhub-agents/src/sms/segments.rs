//! Encoding, units and segments of a text message.
// Rules: 3GPP TS 23.038 (alphabets) and TS 23.040, clause 9.2.3.24.1 (concatenation), version 16.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gsm;

/// A concatenated message has at most this many parts.
pub const MAX_SEGMENTS: u32 = 255;

/// How a text message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// GSM 7-bit default alphabet: 160 septets alone, 153 per part.
    Gsm7,
    /// UCS-2: 70 UTF-16 units alone, 67 per part.
    Ucs2,
}

impl Encoding {
    /// Units of a message that travels alone.
    #[must_use]
    pub const fn single(self) -> u32 {
        match self {
            Encoding::Gsm7 => 160,
            Encoding::Ucs2 => 70,
        }
    }

    /// Units of one part of a longer message: a header takes the rest.
    #[must_use]
    pub const fn part(self) -> u32 {
        match self {
            Encoding::Gsm7 => 153,
            Encoding::Ucs2 => 67,
        }
    }

    fn cost(self, c: char) -> u32 {
        match self {
            Encoding::Gsm7 => gsm::septets(c).unwrap_or(1),
            Encoding::Ucs2 => u32::try_from(c.len_utf16()).unwrap_or(2),
        }
    }
}

/// What a text takes on the air.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segmentation {
    /// The alphabet it needs.
    pub encoding: Encoding,
    /// Septets (`gsm7`) or UTF-16 units (`ucs2`), without headers.
    pub units: u32,
    /// Segments that are sent and paid; 0 for an empty text.
    pub segments: u32,
    /// Units still free in the last segment.
    pub free_units: u32,
    /// Characters that force `ucs2`, each once, in order of appearance.
    pub forced_by: Vec<String>,
    /// Text of each segment. A pair (extension character, surrogate pair) is never split.
    pub parts: Vec<String>,
}

/// Counts a text. Cost: one pass.
#[must_use]
pub fn segment(text: &str) -> Segmentation {
    let mut forced_by: Vec<String> = Vec::new();
    for c in text.chars().filter(|c| gsm::septets(*c).is_none()) {
        let word = c.to_string();
        if !forced_by.contains(&word) {
            forced_by.push(word);
        }
    }
    let encoding = if forced_by.is_empty() { Encoding::Gsm7 } else { Encoding::Ucs2 };
    let units = text.chars().map(|c| encoding.cost(c)).sum();
    let capacity = if units <= encoding.single() { encoding.single() } else { encoding.part() };
    let mut parts: Vec<String> = Vec::new();
    let mut free = 0;
    for c in text.chars() {
        let cost = encoding.cost(c);
        match parts.last_mut().filter(|_| cost <= free) {
            Some(part) => part.push(c),
            None => {
                parts.push(c.to_string());
                free = capacity;
            }
        }
        free -= cost;
    }
    let segments = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    Segmentation { encoding, units, segments, free_units: free, forced_by, parts }
}

/// One folding of a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// The character as it stands.
    pub from: String,
    /// What would stand for it.
    pub to: String,
    /// How often.
    pub count: u32,
}

/// A text that reads the same and travels in the cheaper alphabet. Never applied by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// The folded text.
    pub text: String,
    /// What was folded.
    pub replacements: Vec<Replacement>,
    /// Segments of the folded text.
    pub segments: u32,
    /// Segments saved.
    pub saved_segments: u32,
}

/// Typographic characters and what a phone keyboard would write.
const FOLDS: &[(char, &str)] = &[
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{201a}', "'"),
    ('\u{201b}', "'"),
    ('\u{2032}', "'"),
    ('`', "'"),
    ('\u{b4}', "'"),
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{201e}', "\""),
    ('\u{ab}', "\""),
    ('\u{bb}', "\""),
    ('\u{2033}', "\""),
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2012}', "-"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{2015}', "-"),
    ('\u{2212}', "-"),
    ('\u{2026}', "..."),
    ('\u{2022}', "-"),
    ('\u{a0}', " "),
    ('\u{2007}', " "),
    ('\u{2009}', " "),
    ('\u{202f}', " "),
    ('\t', " "),
    ('\u{200b}', ""),
    ('\u{feff}', ""),
    ('\u{ad}', ""),
];

/// Proposes the folded text when folding returns it to the GSM alphabet; `None` when it is there already or cannot
/// be brought there.
#[must_use]
pub fn suggest(text: &str) -> Option<Suggestion> {
    let before = segment(text);
    if before.encoding == Encoding::Gsm7 {
        return None;
    }
    let mut folded = String::with_capacity(text.len());
    let mut replacements: Vec<Replacement> = Vec::new();
    for c in text.chars() {
        let Some((_, to)) = FOLDS.iter().find(|(from, _)| *from == c) else {
            folded.push(c);
            continue;
        };
        folded.push_str(to);
        let from = c.to_string();
        match replacements.iter_mut().find(|r| r.from == from) {
            Some(known) => known.count += 1,
            None => replacements.push(Replacement { from, to: (*to).to_owned(), count: 1 }),
        }
    }
    let after = segment(&folded);
    (after.encoding == Encoding::Gsm7).then(|| Suggestion {
        text: folded,
        replacements,
        segments: after.segments,
        saved_segments: before.segments.saturating_sub(after.segments),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (text, encoding, units, segments): boundaries of TS 23.040 and the counts of common calculators.
    fn golden() -> Vec<(String, Encoding, u32, u32)> {
        use Encoding::{Gsm7, Ucs2};
        let a = |n: usize| "a".repeat(n);
        vec![
            (String::new(), Gsm7, 0, 0),
            (a(160), Gsm7, 160, 1),
            (a(161), Gsm7, 161, 2),
            (a(306), Gsm7, 306, 2),
            (a(307), Gsm7, 307, 3),
            (a(320), Gsm7, 320, 3),
            (format!("{}€", a(158)), Gsm7, 160, 1),
            (format!("{}€", a(159)), Gsm7, 161, 2),
            // The euro sign does not fit behind 152 septets, so the second part begins with it.
            (format!("{}€{}", a(152), a(152)), Gsm7, 306, 3),
            ("ä".repeat(160), Gsm7, 160, 1),
            ("ç".repeat(70), Ucs2, 70, 1),
            ("ç".repeat(71), Ucs2, 71, 2),
            ("ç".repeat(134), Ucs2, 134, 2),
            ("ç".repeat(135), Ucs2, 135, 3),
            ("😀".repeat(35), Ucs2, 70, 1),
            // 67 is odd: one unit of each part stays free rather than splitting a pair.
            ("😀".repeat(66), Ucs2, 132, 2),
            ("😀".repeat(67), Ucs2, 134, 3),
            ("Hello {name}".to_owned(), Gsm7, 14, 1),
        ]
    }

    #[test]
    fn units_and_segments_equal_the_golden_values() {
        for (text, encoding, units, segments) in golden() {
            let got = segment(&text);
            assert_eq!((got.encoding, got.units, got.segments), (encoding, units, segments), "{text}");
        }
    }

    #[test]
    fn the_second_part_begins_with_the_pair() {
        let got = segment(&format!("{}€{}", "a".repeat(152), "b".repeat(100)));
        assert!(got.parts[1].starts_with('€'));
        assert_eq!(got.free_units, 153 - 102);
    }

    #[test]
    fn folding_is_proposed_only_when_it_returns_to_gsm() {
        let curly = format!("It\u{2019}s \u{201c}here\u{201d}\u{2026} {}", "a".repeat(80));
        let got = suggest(&curly).unwrap();
        assert!(got.text.starts_with("It's \"here\"... aaa"));
        assert_eq!((got.segments, got.saved_segments), (1, 1));
        assert_eq!(got.replacements[0], Replacement { from: "\u{2019}".into(), to: "'".into(), count: 1 });
        assert_eq!(suggest("plain"), None);
        assert_eq!(suggest("It\u{2019}s 😀"), None);
        assert_eq!(segment("It\u{2019}s").forced_by, ["\u{2019}"]);
    }

    proptest! {
        #[test]
        fn parts_join_to_the_text_and_fit(text in "[a-z€😀ç\\[]{0,400}") {
            let got = segment(&text);
            prop_assert_eq!(got.parts.concat(), text.clone());
            let capacity = if got.segments <= 1 { got.encoding.single() } else { got.encoding.part() };
            for part in &got.parts {
                let cost: u32 = part.chars().map(|c| got.encoding.cost(c)).sum();
                prop_assert!(cost <= capacity);
            }
            prop_assert!(got.segments >= got.units.div_ceil(capacity));
        }
    }
}
