//! The GSM 7-bit default alphabet and its extension table.
// Source: 3GPP TS 23.038 version 16.0.0 (2020-07), clauses 6.2.1 and 6.2.1.1, generated from the mapping table of
// the Encode distribution (GSM0338 2.10), 2026-11-21. The escape cell 0x1B holds itself.

/// Character of each septet, by code.
#[rustfmt::skip]
pub(super) const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// Characters that cost two septets: the escape and one more.
pub(super) const EXTENSION: [char; 10] = ['\u{c}', '^', '{', '}', '\\', '[', '~', ']', '|', '€'];

/// Septets of a character: 1, 2, or `None` when the alphabet lacks it.
#[must_use]
pub(super) fn septets(c: char) -> Option<u32> {
    if c != '\u{1b}' && BASIC.contains(&c) {
        return Some(1);
    }
    EXTENSION.contains(&c).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_the_standard_holds() {
        let mut seen: Vec<char> = BASIC.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 128);
        for (code, c) in [
            (0x00, '@'),
            (0x02, '$'),
            (0x09, 'Ç'),
            (0x11, '_'),
            (0x24, '¤'),
            (0x40, '¡'),
            (0x60, '¿'),
            (0x7f, 'à'),
        ] {
            assert_eq!(BASIC[code], c, "{code:#x}");
        }
        // Cells that equal ASCII: space to ? but the currency sign, and the letters.
        let same = (0x20_u8..=0x3f).filter(|c| *c != 0x24).chain(b'A'..=b'Z').chain(b'a'..=b'z');
        assert!(same.into_iter().all(|c| BASIC[c as usize] == c as char));
        assert_eq!((septets('ç'), septets('€'), septets('\t'), septets('`')), (None, Some(2), None, None));
        assert_eq!((septets('\u{1b}'), septets('Δ')), (None, Some(1)));
    }
}
