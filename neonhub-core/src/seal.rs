//! Sealed columns: AES-256-GCM for values that must not be readable at rest, and blind index keys.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::Key;
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result};

/// Text that is wiped on drop and never printed. `expose` is the one way out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Secret(Zeroizing::new(value.into()))
    }

    /// The value itself. Keep it out of logs, errors and records.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str("***")
    }
}

/// A sealed value as it stands in a record: version, key version, nonce and ciphertext in base64.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// First byte of every sealed value: format 1.
const FORMAT: u8 = 1;
/// Version of the data key; rotation raises it.
const KEY_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// The root key of a store: 32 bytes from the environment or from a file beside the store.
#[derive(Clone)]
pub struct RootKey {
    bytes: Zeroizing<[u8; 32]>,
    provider: String,
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl RootKey {
    /// A key from 32 bytes; `provider` says in errors where it came from.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32], provider: impl Into<String>) -> Self {
        RootKey { bytes: Zeroizing::new(bytes), provider: provider.into() }
    }

    /// A new key from the operating system.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no randomness.
    pub fn generate(provider: impl Into<String>) -> Result<Self> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(RootKey::from_bytes(bytes, provider))
    }

    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// `Config` naming the provider.
    pub fn from_hex(text: &str, provider: impl Into<String>) -> Result<Self> {
        let provider = provider.into();
        let text = text.trim();
        let mut bytes = [0; 32];
        let ok = text.len() == 64
            && bytes.iter_mut().enumerate().all(|(i, byte)| {
                text.get(i * 2..i * 2 + 2)
                    .and_then(|h| u8::from_str_radix(h, 16).ok())
                    .map(|b| *byte = b)
                    .is_some()
            });
        if ok {
            return Ok(RootKey::from_bytes(bytes, provider));
        }
        Err(Error::new(ErrorKind::Config, "hub.open", "the root key must be 64 hex digits")
            .with_context("provider", provider))
    }

    /// The key as 64 hex digits, for the key file.
    #[must_use]
    pub fn to_hex(&self) -> Secret {
        Secret::new(crate::store_hex(&*self.bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.bytes
    }

    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(&*self.bytes, &[b"neonhub-derive-v1", label]))
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "seal", "the operating system gives no randomness")
            .with_source(std::io::Error::other(cause.to_string()))
    })
}

/// Seals and opens values of one workspace.
///
/// AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D); the associated data is
/// `workspace | kind | field | key version`, so a ciphertext moved to another place does not open.
pub struct Sealer {
    cipher: Aes256Gcm,
    index_key: Zeroizing<[u8; 32]>,
    workspace: WorkspaceId,
    provider: String,
    fits: bool,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl Sealer {
    /// The sealer of a workspace. `fits` says whether the key is the one the store was made with.
    #[must_use]
    pub fn new(root: &RootKey, workspace: &WorkspaceId, fits: bool) -> Self {
        let data = root.derive(format!("data|{workspace}|{KEY_VERSION}").as_bytes());
        let Ok(cipher) = Aes256Gcm::new_from_slice(&*data) else { unreachable!("the key has 32 bytes") };
        Sealer {
            cipher,
            index_key: root.derive(format!("index|{workspace}").as_bytes()),
            workspace: workspace.clone(),
            provider: root.provider.clone(),
            fits,
        }
    }

    fn check_key(&self) -> Result<()> {
        if self.fits {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Config,
            "seal",
            "this is not the root key the store was made with: sealed values stay closed until it is given",
        )
        .with_context("key", &self.provider))
    }

    fn aad(&self, kind: &str, field: &str) -> String {
        format!("{}|{kind}|{field}|{KEY_VERSION}", self.workspace)
    }

    /// Seals a value of `kind.field`.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no randomness for the nonce.
    pub fn seal(&self, kind: &str, field: &str, plain: &str) -> Result<Sealed> {
        self.check_key()?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let aad = self.aad(kind, field);
        let payload = Payload { msg: plain.as_bytes(), aad: aad.as_bytes() };
        let ciphertext = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::new(ErrorKind::Internal, "seal", "the value is too long to seal"))?;
        let mut bytes = Vec::with_capacity(2 + NONCE_BYTES + ciphertext.len());
        bytes.extend([FORMAT, KEY_VERSION]);
        bytes.extend(nonce);
        bytes.extend(ciphertext);
        Ok(Sealed(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Opens a sealed value of `kind.field`.
    ///
    /// # Errors
    /// `Corrupted` for a moved or swapped value or a flipped bit, never part of a plain text; `Config` when the
    /// store was opened with another root key.
    pub fn open(&self, kind: &str, field: &str, sealed: &Sealed) -> Result<Secret> {
        let refuse = || {
            Error::new(
                ErrorKind::Corrupted,
                "seal.open",
                "the sealed value does not open: it was changed, or the store was opened with another root key",
            )
            .with_context("kind", kind)
            .with_context("field", field)
            .with_context("key", &self.provider)
        };
        self.check_key()?;
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.0).map_err(|_| refuse())?;
        let (head, rest) = bytes.split_at_checked(2).ok_or_else(refuse)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES).ok_or_else(refuse)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| refuse())?;
        if head != [FORMAT, KEY_VERSION] {
            return Err(refuse());
        }
        let aad = self.aad(kind, field);
        let plain = self
            .cipher
            .decrypt(&Nonce::from(nonce), Payload { msg: ciphertext, aad: aad.as_bytes() })
            .map_err(|_| refuse())?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| refuse())
    }

    /// A keyed hash (HMAC-SHA256) of a value, to look it up without storing it readable.
    #[must_use]
    pub fn blind(&self, label: &str, value: &str) -> [u8; 32] {
        mac(&*self.index_key, &[label.as_bytes(), value.as_bytes()])
    }

    /// The first 128 bits of the blind hash as an index key: random keys cost by their length, and two values
    /// meet by chance once in 2^64.
    #[must_use]
    pub fn blind_key(&self, label: &str, value: &str) -> Key {
        let hash = self.blind(label, value);
        Key::bytes(hash.first_chunk::<16>().map_or(&hash[..], |half| &half[..]))
    }
}

/// Compares without telling by its duration where the difference is.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// HMAC-SHA256 over length-prefixed parts.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&RootKey::from_bytes([7; 32], "test"), &WorkspaceId::hub(), true)
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let sealer = sealer();
        let sealed = sealer.seal("identity", "value", "jane@shop.example").unwrap();
        assert_eq!(sealer.open("identity", "value", &sealed).unwrap().expose(), "jane@shop.example");
        assert_eq!(sealer.open("identity", "key", &sealed).unwrap_err().kind(), ErrorKind::Corrupted);
        assert_ne!(sealed, sealer.seal("identity", "value", "jane@shop.example").unwrap());
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let sealer = sealer();
        let sealed = sealer.seal("identity", "value", "x").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.0).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let bad = Sealed(URL_SAFE_NO_PAD.encode(bad));
            assert_eq!(sealer.open("identity", "value", &bad).unwrap_err().kind(), ErrorKind::Corrupted);
        }
    }

    #[test]
    fn secrets_print_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {secret} {}", serde_json::to_string(&secret).unwrap()),
            "*** *** \"***\""
        );
    }

    #[test]
    fn root_keys_go_through_hex() {
        let key = RootKey::generate("test").unwrap();
        let again = RootKey::from_hex(key.to_hex().expose(), "test").unwrap();
        assert_eq!(*key.bytes, *again.bytes);
        assert_eq!(RootKey::from_hex("zz", "NEONHUB_KEY").unwrap_err().kind(), ErrorKind::Config);
    }
}
