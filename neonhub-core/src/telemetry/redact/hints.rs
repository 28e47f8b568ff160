//! What a text could hold, by one look at its bytes: most texts hold nothing, and no pattern is tried on them.

/// One thing that a rule cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    Cookie,
    SecretName,
    Scheme,
    Jwt,
    Key,
    Pem,
    UserInfo,
    At,
    Phone,
    Card,
}

/// What may begin with a byte. Names and schemes are looked for in any case.
const fn words(byte: u8) -> &'static [(&'static str, Hint)] {
    match byte.to_ascii_lowercase() {
        b'a' => &[
            ("authorization", Hint::SecretName),
            ("apikey", Hint::SecretName),
            ("api_key", Hint::SecretName),
            ("api-key", Hint::SecretName),
        ],
        b'b' => &[("bearer", Hint::Scheme), ("basic", Hint::Scheme)],
        b'c' => &[("cookie", Hint::Cookie)],
        b'e' => &[("eyj", Hint::Jwt)],
        b'p' => &[
            ("pass", Hint::SecretName),
            ("private_key", Hint::SecretName),
            ("private-key", Hint::SecretName),
        ],
        b's' => &[("secret", Hint::SecretName)],
        b't' => &[("token", Hint::SecretName)],
        b'-' => &[("-----begin", Hint::Pem)],
        b':' => &[("://", Hint::UserInfo)],
        b'%' => &[("%40", Hint::At), ("%2b", Hint::Phone)],
        b'&' => &[("&#64;", Hint::At)],
        // The wide forms of the at sign and of the plus.
        0xef => &[("\u{ff20}", Hint::At), ("\u{ff0b}", Hint::Phone)],
        _ => &[],
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hints(u16);

impl Hints {
    pub(super) fn of(text: &str) -> Self {
        let mut found = Hints(0);
        let mut digits = 0_u32;
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => digits += 1,
                b'@' => found.add(Hint::At),
                b'+' => found.add(Hint::Phone),
                _ => {}
            }
            if super::key::prefix_at(bytes, at).is_some() {
                found.add(Hint::Key);
            }
            let words = words(*byte);
            if words.is_empty() {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            for (word, hint) in words {
                if rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes())) {
                    found.add(*hint);
                }
            }
        }
        if digits >= 13 {
            found.add(Hint::Card);
        }
        if digits < 7 {
            found.remove(Hint::Phone);
        }
        found
    }

    pub(super) const fn has(self, hint: Hint) -> bool {
        self.0 & (1 << hint as u16) != 0
    }

    const fn add(&mut self, hint: Hint) {
        self.0 |= 1 << hint as u16;
    }

    const fn remove(&mut self, hint: Hint) {
        self.0 &= !(1 << hint as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_looked_for() {
        for (word, hint) in (0..=u8::MAX).flat_map(words) {
            assert!(Hints::of(&format!("x{}1234567", word.to_uppercase())).has(*hint), "{word}");
        }
        let nothing = Hints::of("an ordinary line about 12 things");
        assert_eq!(nothing.0, 0);
    }
}
