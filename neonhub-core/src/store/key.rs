//! Order-preserving index keys.

use std::fmt;

use crate::Timestamp;

/// The key of one index entry: parts joined so that byte order is the order of the parts.
///
/// Text is compared by its UTF-8 bytes, numbers by value. A key is a prefix of every key that goes on
/// after it, so `Key::text("email")` as a prefix finds all `("email", ..)` keys and no `("emails", ..)`.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    /// The empty key, a prefix of all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A key of one text part.
    #[must_use]
    pub fn text(part: impl AsRef<str>) -> Self {
        Key::new().and_text(part)
    }

    /// A key of one number.
    #[must_use]
    pub fn int(part: i64) -> Self {
        Key::new().and_int(part)
    }

    /// A key of raw bytes.
    #[must_use]
    pub fn bytes(part: &[u8]) -> Self {
        Key::new().and_bytes(part)
    }

    /// Adds a text part.
    #[must_use]
    pub fn and_text(self, part: impl AsRef<str>) -> Self {
        self.and_bytes(part.as_ref().as_bytes())
    }

    /// Adds a number.
    #[must_use]
    pub fn and_int(mut self, part: i64) -> Self {
        self.0.extend((part ^ i64::MIN).to_be_bytes());
        self
    }

    /// Adds an instant.
    #[must_use]
    pub fn and_time(self, at: Timestamp) -> Self {
        self.and_int(at.as_millis())
    }

    /// Adds raw bytes.
    #[must_use]
    pub fn and_bytes(mut self, part: &[u8]) -> Self {
        // 0x00 ends a part and is written 0x00 0xff inside one: the order of byte strings is kept.
        for byte in part {
            self.0.push(*byte);
            if *byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.push(0);
        self
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key from encoded bytes, as an engine stored them.
    #[must_use]
    pub fn from_encoded(bytes: Vec<u8>) -> Self {
        Key(bytes)
    }

    /// The first part as text, when it is one.
    pub(crate) fn first_text(&self) -> Option<String> {
        let mut out = Vec::new();
        let mut bytes = self.0.iter().copied().peekable();
        loop {
            match bytes.next()? {
                0 if bytes.peek() == Some(&0xff) => {
                    bytes.next();
                    out.push(0);
                }
                0 => return String::from_utf8(out).ok(),
                byte => out.push(byte),
            }
        }
    }

    /// The first key after all that start with this one, or `None` at the end of the key space.
    #[must_use]
    pub fn after_prefix(&self) -> Option<Key> {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if last < 0xff {
                bytes.push(last + 1);
                return Some(Key(bytes));
            }
        }
        None
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

impl From<&str> for Key {
    fn from(part: &str) -> Self {
        Key::text(part)
    }
}

impl From<&String> for Key {
    fn from(part: &String) -> Self {
        Key::text(part)
    }
}

impl From<i64> for Key {
    fn from(part: i64) -> Self {
        Key::int(part)
    }
}

impl From<Timestamp> for Key {
    fn from(at: Timestamp) -> Self {
        Key::int(at.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn byte_order_is_part_order(a in ("[\\x00-\\x7f]{0,6}", any::<i64>()), b in ("[\\x00-\\x7f]{0,6}", any::<i64>())) {
            let key = |(t, n): &(String, i64)| Key::text(t).and_int(*n);
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn the_first_part_is_read_back(a in "[\\x00-\\x7f\u{e9}]{0,6}", b in "[a-z]{0,3}") {
            let first = Key::text(&a).and_text(&b).first_text();
            prop_assert_eq!(first, Some(a));
        }

        #[test]
        fn after_prefix_is_after_all_that_start_with_it(p in "[a-z]{1,4}", tail in any::<i64>()) {
            let prefix = Key::text(&p);
            let end = prefix.after_prefix().unwrap();
            prop_assert!(prefix.clone().and_int(tail) < end);
            let longer = p + "a";
            prop_assert!(Key::text(longer) > prefix);
        }
    }
}
