//! Values that name nobody.

use crate::people::limits::BLOCKED_WORDS;

/// True for values that stand for "no value": `^[0-]*$`, `-1`, and the words of [`BLOCKED_WORDS`] in any case.
#[must_use]
pub fn is_blocked(value: &str) -> bool {
    value.bytes().all(|b| b == b'0' || b == b'-')
        || value == "-1"
        || BLOCKED_WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_4_placeholders_are_blocked_and_others_are_not() {
        for word in ["", "0", "000", "-", "0-0", "-1", "NULL", "Anonymous", "n/a", "test", "NaN", "unknown"] {
            assert!(is_blocked(word), "{word}");
        }
        for word in ["a@b.example", "10", "tester", "+12025550100", "-2"] {
            assert!(!is_blocked(word), "{word}");
        }
    }
}
