//! E-mail addresses.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{Key, Normal, Quality, Refusal, malformed};
use crate::people::IdentityKind;
use crate::people::limits::{MAX_EMAIL_BYTES, MAX_EMAIL_LOCAL_BYTES, MAX_GIVEN_BYTES};

/// Normalises an address: trimmed, without zero-width characters, taken out of `Name <a@b>`, split at the last
/// `@`; the domain as lower-case A-labels (UTS-46) without trailing dot, the local part NFC and lower-case.
/// Plus-tags and dots stay.
///
/// # Errors
/// A [`Refusal`] that says what was expected.
pub fn email(given: &str) -> Result<Normal, Refusal> {
    let given = super::named::clean(given)?;
    if given.len() > MAX_GIVEN_BYTES {
        return Err(malformed("an address has at most 254 bytes"));
    }
    let address = addr_spec(&given).trim();
    let (local, domain) =
        address.rsplit_once('@').ok_or(malformed("expected an address such as name@shop.example"))?;
    let local = local_part(local)?;
    let domain = domain_part(domain)?;
    if local.len() + 1 + domain.len() > MAX_EMAIL_BYTES {
        return Err(malformed("an address has at most 254 bytes"));
    }
    let mut text = String::with_capacity(local.len() + 1 + domain.len());
    text.push_str(&local);
    text.push('@');
    text.push_str(&domain);
    Ok(Normal { key: Key::plain(IdentityKind::Email, text), quality: Quality::Valid, extension: None })
}

/// The part between the last `<` and its `>`, else everything; a leading `mailto:` is not part of an address.
fn addr_spec(given: &str) -> &str {
    let inner = match (given.rfind('<'), given.rfind('>')) {
        (Some(open), Some(close)) if open < close => given.get(open + 1..close).unwrap_or(given),
        _ => given,
    };
    match inner.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => inner.get(7..).unwrap_or(inner),
        _ => inner,
    }
}

fn local_part(local: &str) -> Result<Cow<'_, str>, Refusal> {
    let local = if local.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(local)
    } else if is_nfc(local) {
        Cow::Owned(local.to_lowercase())
    } else {
        // Lower-casing can undo NFC, so that it is made after.
        Cow::Owned(local.to_lowercase().nfc().collect())
    };
    if local.is_empty() || local.len() > MAX_EMAIL_LOCAL_BYTES {
        return Err(malformed("the part before @ has 1 to 64 bytes"));
    }
    if is_quoted(&local) || is_dot_atom(&local) {
        Ok(local)
    } else {
        Err(malformed(
            "the part before @ has letters, digits and .!#$%&'*+/=?^_`{|}~- without dots at its ends or in a row",
        ))
    }
}

/// RFC 5322 dot-atom, with the letters of RFC 6531.
fn is_dot_atom(local: &str) -> bool {
    !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || ".!#$%&'*+/=?^_`{|}~-".contains(c)
                || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
        })
}

/// RFC 5322 quoted-string.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if c.is_control() => return false,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped && local.len() > 2
}

fn domain_part(domain: &str) -> Result<Cow<'_, str>, Refusal> {
    const BAD: &str = "expected a domain such as shop.example after @";
    let domain = domain.trim().strip_suffix('.').unwrap_or(domain.trim());
    if is_plain_domain(domain) {
        return if domain.bytes().any(|b| b.is_ascii_uppercase()) {
            Ok(Cow::Owned(domain.to_ascii_lowercase()))
        } else {
            Ok(Cow::Borrowed(domain))
        };
    }
    // What UTS-46 does with the full-width and ideographic stops can leave a trailing dot.
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::VerifyAllowRootDot,
        )
        .map_err(|_| malformed(BAD))?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii).to_owned();
    if ascii.contains('.') && !has_numeric_end(&ascii) { Ok(Cow::Owned(ascii)) } else { Err(malformed(BAD)) }
}

/// The usual case, without the tables of UTS-46: letters, digits and inner hyphens in at least two labels, none
/// of them already an A-label (those are checked).
fn is_plain_domain(domain: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
            && !l.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("xn--"))
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label) && !has_numeric_end(domain)
}

/// No top-level domain is all digits (RFC 3696, 2): `a@10.0.0.1` is no mail domain.
fn has_numeric_end(domain: &str) -> bool {
    domain.rsplit('.').next().is_none_or(|tld| tld.bytes().all(|b| b.is_ascii_digit()))
}
