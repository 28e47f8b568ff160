//! The root key: 32 bytes that wrap the data key of every workspace, and nothing else.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result, Secret};

/// Bytes of every key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a nonce: 96 bits (NIST SP 800-38D, 2007).
pub(crate) const NONCE_BYTES: usize = 12;

/// Key bytes that are wiped on drop.
pub(crate) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// The root key of a store: 32 bytes from a [`KeyProvider`](super::KeyProvider).
#[derive(Clone)]
pub struct RootKey {
    bytes: KeyBytes,
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
        Ok(RootKey { bytes: random_key()?, provider: provider.into() })
    }

    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// `Config` naming the provider.
    pub fn from_hex(text: &str, provider: impl Into<String>) -> Result<Self> {
        let provider = provider.into();
        let text = text.trim();
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let ok = text.len() == 64
            && bytes.iter_mut().enumerate().all(|(i, byte)| {
                text.get(i * 2..i * 2 + 2)
                    .and_then(|h| u8::from_str_radix(h, 16).ok())
                    .map(|b| *byte = b)
                    .is_some()
            });
        if ok {
            return Ok(RootKey { bytes, provider });
        }
        Err(Error::new(ErrorKind::Config, "hub.open", "the root key must be 64 hex digits")
            .with_context("provider", provider))
    }

    /// The key as 64 hex digits, for the key file.
    #[must_use]
    pub fn to_hex(&self) -> Secret {
        Secret::new(crate::store_hex(&*self.bytes))
    }

    /// Where it came from.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// A keyed fingerprint: tells whether a store was made with this key, and nothing about it.
    pub(crate) fn fingerprint(&self) -> String {
        crate::store_hex(&mac(&*self.bytes, &[b"neonhub-key-check-v1"]))
    }

    pub(crate) fn derive(&self, label: &[u8]) -> KeyBytes {
        Zeroizing::new(mac(&*self.bytes, &[b"neonhub-derive-v1", label]))
    }

    /// Seals a key for a place named by `aad`.
    pub(crate) fn wrap(&self, key: &KeyBytes, aad: &str) -> Result<String> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let payload = Payload { msg: &key[..], aad: aad.as_bytes() };
        let sealed = cipher(&self.derive(b"wrap-v1"))
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::new(ErrorKind::Internal, "vault.wrap", "the key was not wrapped"))?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what [`wrap`](Self::wrap) made.
    ///
    /// # Errors
    /// `Corrupted` for another root key, another place or a flipped bit.
    pub(crate) fn unwrap_key(&self, wrapped: &str, aad: &str) -> Result<KeyBytes> {
        let refuse = || {
            Error::new(
                ErrorKind::Corrupted,
                "vault.unwrap",
                "a data key does not open: it was changed or moved; restore it from a backup",
            )
            .with_context("provider", &self.provider)
        };
        let bytes = URL_SAFE_NO_PAD.decode(wrapped).map_err(|_| refuse())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(refuse)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| refuse())?;
        let plain = cipher(&self.derive(b"wrap-v1"))
            .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: aad.as_bytes() })
            .map_err(|_| refuse())?;
        let plain = Zeroizing::new(plain);
        <[u8; KEY_BYTES]>::try_from(plain.as_slice()).map(Zeroizing::new).map_err(|_| refuse())
    }
}

/// A cipher for a key.
pub(crate) fn cipher(key: &KeyBytes) -> Aes256Gcm {
    let Ok(cipher) = Aes256Gcm::new_from_slice(&key[..]) else { unreachable!("the key has 32 bytes") };
    cipher
}

/// HMAC-SHA256 over length-prefixed parts.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Fills bytes from the operating system: keys and nonces never come from a seed.
pub(crate) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "seal", "the operating system gives no randomness")
            .with_source(std::io::Error::other(cause.to_string()))
    })
}

/// A new key from the operating system.
pub(crate) fn random_key() -> Result<KeyBytes> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    random(&mut bytes[..])?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keys_go_through_hex() {
        let key = RootKey::generate("test").unwrap();
        let again = RootKey::from_hex(key.to_hex().expose(), "test").unwrap();
        assert_eq!(*key.bytes, *again.bytes);
        assert_eq!(RootKey::from_hex("zz", "NEONHUB_KEY").unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(format!("{key:?}"), "RootKey { provider: \"test\", .. }");
    }

    #[test]
    fn a_wrapped_key_opens_in_its_place_with_its_root_alone() {
        let root = RootKey::from_bytes([1; 32], "a");
        let data = random_key().unwrap();
        let wrapped = root.wrap(&data, "w1|seal|1").unwrap();
        assert_eq!(*root.unwrap_key(&wrapped, "w1|seal|1").unwrap(), *data);
        let moved = root.unwrap_key(&wrapped, "w2|seal|1").unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::Corrupted);
        let other = RootKey::from_bytes([2; 32], "b").unwrap_key(&wrapped, "w1|seal|1").unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Corrupted);
    }
}
