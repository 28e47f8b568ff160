//! Made texts with the statistics of real ones: few words are common, most are rare.

use neonhub_core::{Rng, Seed};

const SYLLABLES: [&str; 24] = [
    "ba", "den", "ka", "lor", "mi", "ne", "pol", "ra", "sto", "tu", "vel", "wan", "gri", "fo", "hel", "jon",
    "ces", "dra", "em", "ist", "ul", "ov", "per", "qua",
];
/// Different words.
const WORDS: u64 = 20_000;

fn word(mut number: u64) -> String {
    let mut out = String::new();
    loop {
        let syllable = SYLLABLES.get((number % 24) as usize).copied().unwrap_or_default();
        out.push_str(syllable);
        number /= 24;
        if number == 0 {
            return out;
        }
    }
}

/// A word by Zipf's law: the product of two draws makes small numbers common.
fn drawn(rng: &mut Rng) -> String {
    let (a, b) = (rng.below(WORDS), rng.below(WORDS));
    word(a * b / WORDS)
}

/// A document of about 120 words, and words of it as a query.
pub(super) fn document(number: usize) -> (String, String) {
    let mut rng = Seed::from_number(number as u64).rng();
    let words: Vec<String> = (0..120).map(|_| drawn(&mut rng)).collect();
    let query: Vec<&str> = words.iter().skip(17).step_by(29).map(String::as_str).collect();
    let text: Vec<String> = words.chunks(12).map(|sentence| format!("{}.", sentence.join(" "))).collect();
    (text.join(" "), query.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_repeat_by_number_and_differ_between_numbers() {
        assert_eq!(document(3), document(3));
        assert_ne!(document(3), document(4));
        assert!(document(3).1.split(' ').all(|word| document(3).0.contains(word)));
    }
}
