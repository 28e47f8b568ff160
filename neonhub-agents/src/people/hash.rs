//! Keyed hashes: how identities and suppressions are found without their values being readable at rest.
//!
//! A suppression of an address uses the hash of the identity itself, so that one look-up serves both.

use neonhub_core::seal::Sealer;

use super::IdentityKind;

/// 128 bits: at 10^9 identities two share a hash by chance with a probability below 10^-20.
const HASH_BYTES: usize = 16;

fn short(sealer: &Sealer, label: &str, value: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let full = sealer.blind(label, value);
    let mut out = String::with_capacity(HASH_BYTES * 2);
    for byte in full.iter().take(HASH_BYTES) {
        for nibble in [byte >> 4, byte & 15] {
            out.push(DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from));
        }
    }
    out
}

/// Hash of an identity.
pub(crate) fn identity(sealer: &Sealer, kind: IdentityKind, key: &str) -> String {
    let label = match kind {
        IdentityKind::Email => "identity.email",
        IdentityKind::Phone => "identity.phone",
        IdentityKind::UserId => "identity.user_id",
        IdentityKind::AnonymousId => "identity.anonymous_id",
        IdentityKind::External => "identity.external",
        IdentityKind::Handle => "identity.handle",
        IdentityKind::PlatformId => "identity.platform_id",
        IdentityKind::DeviceId => "identity.device_id",
        IdentityKind::PushToken => "identity.push_token",
    };
    short(sealer, label, key)
}

/// Hash of a mail domain.
pub(crate) fn domain(sealer: &Sealer, domain: &str) -> String {
    short(sealer, "domain", domain)
}

/// SHA-256 as 64 hex digits.
pub(crate) fn sha256_hex(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    hex(&Sha256::digest(text.as_bytes()))
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
