//! Identifiers that live in a namespace, and those that are opaque.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::{Key, Normal, Refusal, malformed};
use crate::people::IdentityKind;
use crate::people::limits::{MAX_GIVEN_BYTES, MAX_KEY_BYTES};

/// Trims, drops zero-width characters and refuses what is empty, too long or holds control characters.
pub(super) fn clean(given: &str) -> Result<Cow<'_, str>, Refusal> {
    if given.len() > MAX_GIVEN_BYTES {
        return Err(malformed("is too long for an identifier"));
    }
    let cleaned = if given.chars().any(is_zero_width) {
        let kept: String = given.chars().filter(|c| !is_zero_width(*c)).collect();
        Cow::Owned(kept.trim().to_owned())
    } else {
        Cow::Borrowed(given.trim())
    };
    if cleaned.is_empty() {
        Err(Refusal::Empty)
    } else if cleaned.chars().any(char::is_control) {
        Err(malformed("holds control characters"))
    } else {
        Ok(cleaned)
    }
}

/// Characters without width that copy and paste brings along: soft hyphen, joiners, marks of direction, BOM.
fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}')
}

/// How names look on a platform.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    /// Its word.
    pub name: &'static str,
    /// What profile addresses begin with, after scheme and `www.`.
    pub profiles: &'static [&'static str],
    /// Shortest and longest name, in characters.
    pub length: (usize, usize),
    /// Characters beside a-z and 0-9.
    pub also: &'static str,
}

/// Known platforms. Others take 1 to 64 characters of `a-z 0-9 . _ -`.
// Lengths and characters: the sign-up rules of each platform as of 2026-11.
pub const PLATFORMS: [Platform; 9] = [
    Platform {
        name: "x",
        profiles: &["x.com/", "twitter.com/", "mobile.twitter.com/"],
        length: (1, 15),
        also: "_",
    },
    Platform { name: "instagram", profiles: &["instagram.com/"], length: (1, 30), also: "._" },
    Platform {
        name: "facebook",
        profiles: &["facebook.com/", "fb.com/", "m.facebook.com/"],
        length: (1, 50),
        also: ".",
    },
    Platform {
        name: "linkedin",
        profiles: &["linkedin.com/in/", "linkedin.com/company/"],
        length: (3, 100),
        also: "-_",
    },
    Platform { name: "tiktok", profiles: &["tiktok.com/"], length: (2, 24), also: "._" },
    Platform { name: "youtube", profiles: &["youtube.com/"], length: (3, 30), also: "._-" },
    Platform {
        name: "reddit",
        profiles: &["reddit.com/user/", "reddit.com/u/"],
        length: (3, 20),
        also: "_-",
    },
    Platform { name: "telegram", profiles: &["t.me/", "telegram.me/"], length: (4, 32), also: "_" },
    Platform { name: "github", profiles: &["github.com/"], length: (1, 39), also: "-" },
];

const UNKNOWN_PLATFORM: Platform = Platform { name: "", profiles: &[], length: (1, 64), also: "._-" };

/// `platform:name`: NFKC, without `@`, `u/` and the start of a profile address, lower-case.
pub(super) fn handle(given: &str, namespace: Option<&str>) -> Result<Normal, Refusal> {
    let platform = word(namespace, "expected the platform of the handle as namespace, such as instagram")?;
    let rules = PLATFORMS.iter().find(|p| p.name == platform).copied().unwrap_or(UNKNOWN_PLATFORM);
    let folded = given.nfkc().collect::<String>().to_lowercase();
    let name = bare_handle(&folded, &rules);
    let (min, max) = rules.length;
    let fits = (min..=max).contains(&name.chars().count())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || rules.also.contains(c));
    if fits {
        Ok(Normal::unchecked(in_namespace(IdentityKind::Handle, &platform, name)))
    } else {
        Err(malformed("is no name that this platform gives out"))
    }
}

fn bare_handle<'a>(folded: &'a str, rules: &Platform) -> &'a str {
    let mut rest = folded.strip_prefix("https://").or(folded.strip_prefix("http://")).unwrap_or(folded);
    rest = rest.strip_prefix("www.").unwrap_or(rest);
    for profile in rules.profiles {
        if let Some(name) = rest.strip_prefix(profile) {
            rest = name.split(['/', '?', '#']).next().unwrap_or(name);
            break;
        }
    }
    rest = rest.strip_prefix("/u/").or(rest.strip_prefix("u/")).unwrap_or(rest);
    rest.strip_prefix('@').unwrap_or(rest)
}

/// `namespace:value`, NFC, case kept.
pub(super) fn namespaced(
    kind: IdentityKind,
    given: &str,
    namespace: Option<&str>,
) -> Result<Normal, Refusal> {
    let space = match (kind, namespace) {
        // A host with one user table needs no name for it.
        (IdentityKind::UserId, None) => "default".to_owned(),
        (IdentityKind::PlatformId, given) => account(given)?,
        (_, given) => word(given, "expected the system of the id as namespace, such as shop")?,
    };
    let value: String = given.nfc().collect();
    fits(&space, &value)?;
    Ok(Normal::unchecked(in_namespace(kind, &space, &value)))
}

/// As given, trimmed.
pub(super) fn opaque(kind: IdentityKind, given: &str) -> Result<Normal, Refusal> {
    fits("", given)?;
    Ok(Normal::unchecked(Key::plain(kind, given)))
}

fn fits(space: &str, value: &str) -> Result<(), Refusal> {
    if space.len() + value.len() < MAX_KEY_BYTES { Ok(()) } else { Err(malformed("has at most 255 bytes")) }
}

fn in_namespace(kind: IdentityKind, space: &str, value: &str) -> Key {
    Key { kind, namespace: Some(space.into()), text: format!("{space}:{value}").into() }
}

/// A namespace: a word of `a-z 0-9 _ -`.
fn word(given: Option<&str>, what: &'static str) -> Result<String, Refusal> {
    let word = given.unwrap_or_default().trim().to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=64).contains(&word.len()) && word.bytes().all(plain) { Ok(word) } else { Err(malformed(what)) }
}

/// `platform:account`; the account keeps its case.
fn account(given: Option<&str>) -> Result<String, Refusal> {
    const WHAT: &str = "expected platform:account as namespace, such as instagram:17841400000000000";
    let (platform, account) = given.and_then(|g| g.trim().split_once(':')).ok_or(malformed(WHAT))?;
    let platform = word(Some(platform), WHAT)?;
    if account.is_empty() || account.len() > 128 || account.contains([':', ' ']) {
        return Err(malformed(WHAT));
    }
    Ok(format!("{platform}:{account}"))
}
