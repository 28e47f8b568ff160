//! Time-ordered ids: 128 bits in UUIDv7 layout, written as `<prefix>_<26 Crockford base32>`.

use crate::rng::Rng;
use crate::{Error, Result, Timestamp};

/// Crockford base32, lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes the text form of a new id. Later instants sort later.
// Layout: RFC 9562, section 5.7 (48 bits of Unix milliseconds, version, 74 random bits, variant).
#[must_use]
pub fn new_id(prefix: &str, at: Timestamp, rng: &mut Rng) -> String {
    let mut random = [0; 10];
    rng.fill(&mut random);
    let mut bytes = [0_u8; 16];
    let ms = (at.as_millis() as u64).to_be_bytes();
    let (_, ms) = ms.split_at(2);
    let (head, tail) = bytes.split_at_mut(6);
    head.copy_from_slice(ms);
    tail.copy_from_slice(&random);
    let [a, _, b, ..] = tail else { unreachable!("ten bytes") };
    *a = 0x70 | (*a & 0x0f);
    *b = 0x80 | (*b & 0x3f);
    encode(prefix, u128::from_be_bytes(bytes))
}

fn encode(prefix: &str, mut n: u128) -> String {
    let mut text = [b'0'; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET.get((n & 31) as usize).copied().unwrap_or(b'0');
        n >>= 5;
    }
    let mut out = String::with_capacity(prefix.len() + 27);
    out.push_str(prefix);
    out.push('_');
    out.extend(text.iter().map(|b| char::from(*b)));
    out
}

/// The id right after `id`, for ids of one instant that must keep their order.
pub(crate) fn next(id: &str) -> String {
    let mut bytes = id.as_bytes().to_vec();
    for slot in bytes.iter_mut().rev() {
        let Some(place) = ALPHABET.iter().position(|b| b == slot) else { break };
        match ALPHABET.get(place + 1) {
            Some(up) => {
                *slot = *up;
                break;
            }
            None => *slot = b'0',
        }
    }
    bytes.into_iter().map(char::from).collect()
}

/// Checks that `text` is an id with this prefix.
///
/// # Errors
/// `InvalidInput` naming `field` and the accepted form.
pub fn check_id(field: &str, prefix: &str, text: &str) -> Result<()> {
    let body = text.strip_prefix(prefix).and_then(|t| t.strip_prefix('_'));
    match body {
        Some(body) if body.len() == 26 && body.bytes().all(|b| ALPHABET.contains(&b)) => Ok(()),
        _ => Err(Error::invalid(
            "id.parse",
            field,
            format!("expected {prefix}_ and 26 characters of lower-case Crockford base32"),
        )),
    }
}

/// Declares an id newtype: `id_type!(PersonId, "per", "A person.")`.
#[macro_export]
macro_rules! id_type {
    ($name:ident, $prefix:literal, $doc:literal) => {
        #[doc = $doc]
        #[doc = concat!("\n\nText form: `", $prefix, "_` and 26 characters; later ones sort later.")]
        #[derive(
            Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(::std::sync::Arc<str>);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the clock and chance of a Scope.
            #[must_use]
            pub fn new(cx: &$crate::Scope) -> Self {
                Self(cx.new_id($prefix).into())
            }

            /// The text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Error;
            fn try_from(text: String) -> ::std::result::Result<Self, $crate::Error> {
                $crate::id::check_id(stringify!($name), $prefix, &text)?;
                Ok(Self(text.into()))
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Error;
            fn from_str(text: &str) -> ::std::result::Result<Self, $crate::Error> {
                Self::try_from(text.to_owned())
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({
                    "type": "string",
                    "description": $doc,
                    "pattern": concat!("^", $prefix, "_[0-9a-hjkmnp-tv-z]{26}$"),
                    "examples": [concat!($prefix, "_01kaf3w0000000000000000000")]
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_id_is_the_one_right_after() {
        assert_eq!(next("job_0000000000000000000000000a"), "job_0000000000000000000000000b");
        assert_eq!(next("job_000000000000000000000000zz"), "job_00000000000000000000000100");
    }
    use crate::rng::Seed;

    #[test]
    fn ids_sort_by_time_and_repeat_by_seed() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
        let a = new_id("per", early, &mut Seed::from_number(1).rng());
        let b = new_id("per", late, &mut Seed::from_number(2).rng());
        assert!(a < b);
        assert_eq!(a, new_id("per", early, &mut Seed::from_number(1).rng()));
        assert!(check_id("id", "per", &a).is_ok());
        assert!(check_id("id", "ide", &a).is_err());
    }
}
