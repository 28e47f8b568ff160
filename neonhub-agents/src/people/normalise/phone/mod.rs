//! Phone numbers: E.164 by the rules and metadata of libphonenumber.
//!
//! Numbers that come in full (`+43 1 ...`) are checked here against patterns compiled once; national numbers,
//! extensions and odd forms go through the parser of the `phonenumber` crate first. That crate keeps 100
//! compiled patterns behind a lock, so that a file with numbers of many countries would compile for each row.

mod plan;

use std::borrow::Cow;

use phonenumber::country;
use phonenumber::metadata::DATABASE;
use unicode_normalization::UnicodeNormalization;

use super::{Key, Normal, Quality, Refusal, malformed};
use crate::people::IdentityKind;

/// Longest text that is read as a number, in bytes; 15 digits with generous punctuation.
const MAX_PHONE_BYTES: usize = 64;
/// Most digits of a number with its country code (ITU-T E.164, 6.1).
const MAX_DIGITS: usize = 15;

const NO_NUMBER: &str = "expected a phone number with + and country code, such as +12025550100";
const NO_REGION: &str =
    "expected a phone number with + and country code, or a country that national numbers are read in";
const NOT_POSSIBLE: &str = "has too few or too many digits for a phone number of its country";

/// A region that has a numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(country::Id);

impl Region {
    /// The region of an ISO 3166 code, in any case; `None` when it has no numbering plan.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let code = code.trim();
        let id = code.parse().or_else(|_| code.to_ascii_uppercase().parse()).ok()?;
        // The parser of the crate expects metadata for every region it is given.
        DATABASE.by_id(country::Id::as_ref(&id)).is_some().then_some(Region(id))
    }
}

/// Normalises a phone number to E.164. A number that is possible but not assigned as far as is known has
/// quality `possible`.
///
/// # Errors
/// A [`Refusal`] when it is no possible number, or national and no region is known.
pub fn phone(given: &str, region: Option<Region>) -> Result<Normal, Refusal> {
    let given = super::named::clean(given)?;
    if given.len() > MAX_PHONE_BYTES {
        return Err(malformed(NO_NUMBER));
    }
    if let Some(digits) = international_digits(&given)
        && let Some((code, national)) = plan::split(&digits)
        && plan::is_valid(code, national)
    {
        return Ok(normal(&digits, Quality::Valid, None));
    }
    let number = parse(&given, region)?;
    let digits = format!(
        "{}{}{}",
        number.code().value(),
        "0".repeat(number.national().zeros().into()),
        number.national().value()
    );
    let (code, national) = plan::split(&digits).ok_or(malformed(NO_NUMBER))?;
    let quality = if plan::is_valid(code, national) {
        Quality::Valid
    } else if digits.len() <= MAX_DIGITS && plan::is_possible(code, national) {
        Quality::Possible
    } else {
        return Err(malformed(NOT_POSSIBLE));
    };
    Ok(normal(&digits, quality, number.extension().map(|e| e.to_string().into())))
}

fn normal(digits: &str, quality: Quality, extension: Option<Box<str>>) -> Normal {
    let mut text = String::with_capacity(digits.len() + 1);
    text.push('+');
    text.push_str(digits);
    Normal { key: Key::plain(IdentityKind::Phone, text), quality, extension }
}

/// The digits of `+..` numbers that hold nothing but digits and the usual separators.
fn international_digits(given: &str) -> Option<String> {
    let mut digits = String::with_capacity(MAX_DIGITS);
    for b in given.strip_prefix('+')?.bytes() {
        match b {
            b'0'..=b'9' => digits.push(char::from(b)),
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' => {}
            _ => return None,
        }
    }
    (digits.len() <= MAX_DIGITS).then_some(digits)
}

fn parse(given: &str, region: Option<Region>) -> Result<phonenumber::PhoneNumber, Refusal> {
    // Full-width digits and plus signs become plain ones.
    let plain: Cow<'_, str> =
        if given.is_ascii() { Cow::Borrowed(given) } else { Cow::Owned(given.nfkc().collect()) };
    let known = |c: char| {
        c.is_ascii_alphanumeric() || "+-./() *,;=:#~\u{2010}\u{2011}\u{2012}\u{2013}\u{2212}".contains(c)
    };
    if !plain.chars().all(known) || !plain.bytes().any(|b| b.is_ascii_digit()) {
        return Err(malformed(NO_NUMBER));
    }
    if region.is_none() && !plain.contains('+') {
        return Err(malformed(NO_REGION));
    }
    phonenumber::parse(region.map(|r| r.0), plain.as_ref()).map_err(|_| malformed(NO_NUMBER))
}
