//! Limits of identities and people as data: number, unit, source.

use super::IdentityKind;

/// Where a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// All identities of the kind together.
    Kind,
    /// Each namespace, platform, account or system for itself.
    Namespace,
}

/// How many active identities of one kind a person may hold.
#[derive(Clone, Copy, Debug)]
pub struct KindLimit {
    /// The kind.
    pub kind: IdentityKind,
    /// The highest number.
    pub max: usize,
    /// Where it is counted.
    pub per: Per,
    /// Where the number comes from.
    pub source: &'static str,
}

const SEGMENT: &str = "Segment, Identity Resolution Settings, read 2026-08: user_id 1, others 5";
const OURS: &str = "NeonHub default, 2026-11";

/// The limits of people.md 2.
pub const IDENTITY_LIMITS: [KindLimit; 9] = [
    KindLimit { kind: IdentityKind::UserId, max: 1, per: Per::Namespace, source: SEGMENT },
    KindLimit { kind: IdentityKind::Email, max: 5, per: Per::Kind, source: SEGMENT },
    KindLimit { kind: IdentityKind::AnonymousId, max: 5, per: Per::Kind, source: SEGMENT },
    KindLimit { kind: IdentityKind::External, max: 5, per: Per::Namespace, source: SEGMENT },
    KindLimit { kind: IdentityKind::Handle, max: 5, per: Per::Namespace, source: SEGMENT },
    KindLimit { kind: IdentityKind::Phone, max: 5, per: Per::Kind, source: SEGMENT },
    KindLimit { kind: IdentityKind::PlatformId, max: 5, per: Per::Namespace, source: SEGMENT },
    KindLimit { kind: IdentityKind::DeviceId, max: 20, per: Per::Kind, source: OURS },
    KindLimit { kind: IdentityKind::PushToken, max: 20, per: Per::Kind, source: OURS },
];

/// The limit of a kind.
#[must_use]
pub fn of(kind: IdentityKind) -> KindLimit {
    let [first, ..] = IDENTITY_LIMITS;
    IDENTITY_LIMITS.iter().copied().find(|l| l.kind == kind).unwrap_or(first)
}

/// Values that stand for "no value" and are dropped after normalisation, beside `^[0-]*$` and `-1`.
// `null`, `anonymous`, `-1` and the regex: Segment, Identity Resolution Settings; the others are ours.
pub const BLOCKED_WORDS: [&str; 9] =
    ["null", "anonymous", "undefined", "none", "n/a", "nil", "nan", "unknown", "test"];

/// Largest component of merged people [our choice].
pub const MAX_COMPONENT_PEOPLE: usize = 50;
/// Most identities in a component [our choice].
pub const MAX_COMPONENT_IDENTITIES: usize = 500;
/// Longest local part of an address in bytes (RFC 5321, 4.5.3.1.1).
pub const MAX_EMAIL_LOCAL_BYTES: usize = 64;
/// Longest address in bytes (RFC 5321, 4.5.3.1.3: a path of 256 with its two brackets).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Longest of the other identifiers in bytes.
pub const MAX_KEY_BYTES: usize = 255;
/// Longest given value that is looked at at all, in bytes; display names included.
pub const MAX_GIVEN_BYTES: usize = 1_024;
/// Longest name of a trait, in characters [our choice].
pub const MAX_TRAIT_NAME_CHARS: usize = 64;
/// Largest value of a trait in bytes [our choice].
pub const MAX_TRAIT_BYTES: usize = 4_096;
/// Most traits of a person [our choice].
pub const MAX_TRAITS: usize = 500;
/// Longest first or last name, in characters [our choice].
pub const MAX_NAME_CHARS: usize = 200;
/// Most tags of a person [our choice].
pub const MAX_TAGS: usize = 100;
/// Longest tag, in characters [our choice].
pub const MAX_TAG_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_limit_with_a_source() {
        for kind in IdentityKind::ALL {
            assert_eq!(IDENTITY_LIMITS.iter().filter(|l| l.kind == kind).count(), 1);
            assert!(!of(kind).source.is_empty());
            assert_eq!(of(kind).kind, kind);
        }
    }
}
