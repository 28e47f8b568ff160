//! The known word nearest to a mistyped one, and whether a text holds a phrase.

use unicode_normalization::UnicodeNormalization;

/// The known word that `word` was most likely meant to be, or `None` when nothing is near.
///
/// Near means at most one edit per three letters, and at least one: insertions, deletions, replacements and
/// swaps of neighbours count 1 each. Among equals the first of `known` wins.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let asked: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = (asked.len() / 3).max(1);
    known
        .iter()
        .map(|k| (distance(&asked, &k.chars().collect::<Vec<_>>()), *k))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Optimal string alignment distance (Damerau 1964, each pair edited once).
fn distance(a: &[char], b: &[char]) -> usize {
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut best =
                (at(&last, j) + usize::from(ca != cb)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

/// True when `text` holds `phrase` as whole words, whatever the case, the width of letters and the spaces.
pub(super) fn holds(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (fold(text), fold(phrase));
    if phrase.is_empty() {
        return false;
    }
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(&phrase).any(|(at, hit)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + hit.len()..).and_then(|t| t.chars().next());
        let inside_word = letter(before) && letter(phrase.chars().next())
            || letter(after) && letter(phrase.chars().next_back());
        !inside_word
    })
}

fn fold(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    folded.replace(['\u{2018}', '\u{2019}'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_slips_find_the_word() {
        let known = ["goal", "key_messages", "must_say", "must_not_say", "landing_url", "start"];
        assert_eq!(nearest("gaol", &known), Some("goal"));
        assert_eq!(nearest("key_mesages", &known), Some("key_messages"));
        assert_eq!(nearest("landing-url", &known), Some("landing_url"));
        assert_eq!(nearest("Start", &known), Some("start"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn phrases_are_whole_words() {
        assert!(holds("It is FREE  today", "free"));
        assert!(holds("limited\ntime only!", "Limited time only"));
        assert!(!holds("a sense of freedom", "free"));
        assert!(holds("now 100% guaranteed", "100%"));
        assert!(holds("don\u{2019}t wait", "don't wait"));
        assert!(!holds("anything", ""));
    }
}
