//! Sealed columns: AES-256-GCM for values that must not be readable at rest, and blind index keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::store::Key;
use crate::tenancy::WorkspaceId;
use crate::vault::root::{KeyBytes, NONCE_BYTES, cipher, mac, random};
use crate::{Error, ErrorKind, Result, Retry};

pub use crate::vault::RootKey;

/// A value that is wiped on drop and never printed: `Debug`, `Display` and `Serialize` give `***`.
/// `expose` is the one way out.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize = String>(Zeroizing<T>);

impl Secret<String> {
    /// Wraps a text.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Secret(Zeroizing::new(value.into()))
    }

    /// The text itself. Keep it out of logs, errors and records.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Zeroize> Secret<T> {
    /// Wraps a value of any type that can be wiped.
    #[must_use]
    pub fn of(value: T) -> Self {
        Secret(Zeroizing::new(value))
    }

    /// The value itself. Keep it out of logs, errors and records.
    #[must_use]
    pub fn expose_value(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> Serialize for Secret<T> {
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

/// First byte of a sealed value whose key version is one byte.
const SHORT: u8 = 1;
/// First byte of a sealed value whose key version is four bytes, little endian.
const LONG: u8 = 2;
/// Bytes of a GCM tag.
const TAG_BYTES: usize = 16;

/// A sealed value taken apart.
struct Parts {
    version: u32,
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// A text that may be a sealed value, or `None` when it does not have the shape.
    pub(crate) fn recognise(text: &str) -> Option<Self> {
        let sealed = Sealed(text.to_owned());
        sealed.parts().map(|_| sealed)
    }

    /// The version of the data key it was sealed with.
    #[must_use]
    pub fn key_version(&self) -> Option<u32> {
        self.parts().map(|p| p.version)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> Option<Parts> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).ok()?;
        let (format, rest) = bytes.split_first()?;
        let (version, rest) = match *format {
            SHORT => rest.split_first().map(|(v, rest)| (u32::from(*v), rest))?,
            LONG => rest.split_first_chunk::<4>().map(|(v, rest)| (u32::from_le_bytes(*v), rest))?,
            _ => return None,
        };
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        (ciphertext.len() >= TAG_BYTES).then(|| Parts {
            version,
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
        })
    }

    fn join(version: u32, nonce: &[u8; NONCE_BYTES], ciphertext: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(5 + NONCE_BYTES + ciphertext.len());
        match u8::try_from(version) {
            Ok(short) => bytes.extend([SHORT, short]),
            Err(_) => {
                bytes.push(LONG);
                bytes.extend(version.to_le_bytes());
            }
        }
        bytes.extend(nonce);
        bytes.extend(ciphertext);
        Sealed(URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Seals a data key may make before it is replaced by the next.
// Our choice: a quarter of what NIST SP 800-38D section 8.3 (2007) allows for random 96-bit nonces.
pub(crate) const REPLACE_AT: u64 = 1 << 30;
/// Seals after which a data key refuses to make more.
// NIST SP 800-38D section 8.3, 2007: at most 2^32 invocations with random nonces.
const REFUSE_AT: u64 = 1 << 32;
/// Seals that may be uncounted in the store: what a crash can lose of the count.
const UNCOUNTED: u64 = 1 << 16;

/// One version of a workspace's data key.
struct DataCipher {
    cipher: Aes256Gcm,
    /// Seals so far, of all processes as far as they told.
    seals: AtomicU64,
    /// Seals of this process that the store does not know of.
    uncounted: AtomicU64,
}

/// The keys of one workspace, as far as this process has them.
enum Keys {
    /// Not read from the store yet.
    Unread,
    /// Open.
    Open { current: u32, ciphers: BTreeMap<u32, DataCipher>, index: KeyBytes },
    /// Closed: the hub was opened with another root key, or a data key is damaged.
    Closed { kind: ErrorKind, provider: String, index: KeyBytes },
}

/// Seals and opens values of one workspace.
///
/// AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D); the associated data is
/// `workspace | kind | field | key version`, so a ciphertext moved to another place does not open. The keys are
/// the workspace's data keys, which the root key wraps.
pub struct Sealer {
    workspace: WorkspaceId,
    keys: RwLock<Arc<Keys>>,
    /// A value named a key version this process does not know: another process rotated.
    stale: AtomicBool,
    /// The last version that was asked for in vain.
    missed: AtomicU32,
    /// The counts want to be stored, or the key wants to be replaced.
    wants_care: AtomicBool,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

/// One unwrapped data key, on its way into a sealer.
pub(crate) struct Unwrapped {
    pub(crate) version: u32,
    pub(crate) key: KeyBytes,
    pub(crate) seals: u64,
}

impl Sealer {
    /// A sealer whose keys are still to be read.
    pub(crate) fn unread(workspace: &WorkspaceId) -> Self {
        Sealer {
            workspace: workspace.clone(),
            keys: RwLock::new(Arc::new(Keys::Unread)),
            stale: true.into(),
            missed: 0.into(),
            wants_care: false.into(),
        }
    }

    /// A sealer with one key of its own, for tests of what is built on it.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn fixed(root: &RootKey, workspace: &WorkspaceId) -> Self {
        let sealer = Sealer::unread(workspace);
        let key = root.derive(b"fixed");
        sealer.install(vec![Unwrapped { version: 1, key, seals: 0 }], root.derive(b"fixed index"));
        sealer
    }

    pub(crate) fn install(&self, keys: Vec<Unwrapped>, index: KeyBytes) {
        let mut slot = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let uncounted = |version: u32| match &**slot {
            Keys::Open { ciphers, .. } => {
                ciphers.get(&version).map_or(0, |c| c.uncounted.load(Ordering::Relaxed))
            }
            _ => 0,
        };
        let current = keys.iter().map(|k| k.version).max().unwrap_or_default();
        let made = keys.into_iter().map(|k| {
            let open = uncounted(k.version);
            let cipher =
                DataCipher { cipher: cipher(&k.key), seals: (k.seals + open).into(), uncounted: open.into() };
            (k.version, cipher)
        });
        *slot = Arc::new(Keys::Open { current, ciphers: made.collect(), index });
        drop(slot);
        self.stale.store(false, Ordering::Release);
    }

    pub(crate) fn close(&self, kind: ErrorKind, root: &RootKey, index: KeyBytes) {
        let closed = Keys::Closed { kind, provider: root.provider().to_owned(), index };
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(closed);
        self.stale.store(false, Ordering::Release);
    }

    /// True when the keys should be read from the store before they are used.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// True once after the counts passed a bound.
    pub(crate) fn takes_care(&self) -> bool {
        self.wants_care.load(Ordering::Relaxed) && self.wants_care.swap(false, Ordering::AcqRel)
    }

    /// Seals that the store does not know of, by version, taken out.
    pub(crate) fn take_uncounted(&self) -> Vec<(u32, u64)> {
        match &*self.keys() {
            Keys::Open { ciphers, .. } => ciphers
                .iter()
                .map(|(version, c)| (*version, c.uncounted.swap(0, Ordering::AcqRel)))
                .filter(|(_, n)| *n > 0)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The version that seals, once the keys are open.
    pub(crate) fn current_version(&self) -> Option<u32> {
        match &*self.keys() {
            Keys::Open { current, .. } => Some(*current),
            _ => None,
        }
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The error for keys that are not open.
    fn closed(&self, keys: &Keys) -> Error {
        match keys {
            Keys::Closed { kind: ErrorKind::Config, provider, .. } => Error::new(
                ErrorKind::Config,
                "seal",
                "this is not the root key the store was made with: sealed values stay closed until it is given",
            )
            .with_context("key", provider),
            Keys::Closed { kind, provider, .. } => {
                Error::new(*kind, "seal", "a data key of this workspace is damaged: restore it from a backup")
                    .with_context("key", provider)
            }
            _ => self.unknown_version(),
        }
    }

    fn unknown_version(&self) -> Error {
        self.mark_stale();
        Error::new(ErrorKind::Unavailable, "seal", "the keys of this workspace are being read: call again")
            .with_code("keys_stale")
            .with_retry(Retry::Backoff)
    }

    fn aad(&self, kind: &str, field: &str, version: u32) -> String {
        format!("{}|{kind}|{field}|{version}", self.workspace)
    }

    /// SHA-256 over the associated data of a value sealed now, in hex.
    pub(crate) fn aad_hash(&self, kind: &str, field: &str) -> String {
        use sha2::{Digest as _, Sha256};
        let version = self.current_version().unwrap_or_default();
        crate::store_hex(&Sha256::digest(self.aad(kind, field, version).as_bytes()))
    }

    /// Seals a value of `kind.field`.
    ///
    /// # Errors
    /// `Config` when the store was opened with another root key; `Unavailable` when the system gives no
    /// randomness for the nonce.
    pub fn seal(&self, kind: &str, field: &str, plain: &str) -> Result<Sealed> {
        let keys = self.keys();
        let Keys::Open { current, ciphers, .. } = &*keys else { return Err(self.closed(&keys)) };
        let data = ciphers.get(current).ok_or_else(|| self.unknown_version())?;
        self.count(data)?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let aad = self.aad(kind, field, *current);
        let payload = Payload { msg: plain.as_bytes(), aad: aad.as_bytes() };
        let ciphertext = data
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::new(ErrorKind::Internal, "seal", "the value is too long to seal"))?;
        Ok(Sealed::join(*current, &nonce, &ciphertext))
    }

    fn count(&self, data: &DataCipher) -> Result<()> {
        let uncounted = data.uncounted.fetch_add(1, Ordering::Relaxed) + 1;
        let seals = data.seals.fetch_add(1, Ordering::Relaxed) + 1;
        if seals > REFUSE_AT {
            return Err(Error::new(
                ErrorKind::Config,
                "seal",
                "the data key is used up: call vault.rotate_data_key",
            ));
        }
        if uncounted.is_multiple_of(UNCOUNTED) || seals == REPLACE_AT {
            self.wants_care.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Opens a sealed value of `kind.field`.
    ///
    /// # Errors
    /// `Corrupted` for a moved or swapped value or a flipped bit, never part of a plain text; `Config` when the
    /// store was opened with another root key; `Unavailable` with the code `keys_stale` when another process
    /// rotated the key and this one has still to read it: the door reads it and calls again.
    pub fn open(&self, kind: &str, field: &str, sealed: &Sealed) -> Result<Secret> {
        let refuse = || {
            Error::new(
                ErrorKind::Corrupted,
                "seal.open",
                "the sealed value does not open: it was changed or moved; restore it from a backup",
            )
            .with_context("kind", kind)
            .with_context("field", field)
        };
        let keys = self.keys();
        let Keys::Open { current, ciphers, .. } = &*keys else { return Err(self.closed(&keys)) };
        let parts = sealed.parts().ok_or_else(refuse)?;
        let Some(data) = ciphers.get(&parts.version) else {
            // The next versions may have been made by another process; far ones are damage.
            let is_next = parts.version > *current && parts.version - *current <= 8;
            let was_read_since = self.missed.swap(parts.version, Ordering::AcqRel) == parts.version;
            let is_known = was_read_since && !self.is_stale();
            return Err(if is_next && !is_known { self.unknown_version() } else { refuse() });
        };
        let aad = self.aad(kind, field, parts.version);
        let payload = Payload { msg: &parts.ciphertext, aad: aad.as_bytes() };
        let plain = data.cipher.decrypt(&Nonce::from(parts.nonce), payload).map_err(|_| refuse())?;
        String::from_utf8(plain).map(Secret::new).map_err(|bad| {
            bad.into_bytes().zeroize();
            refuse()
        })
    }

    /// A keyed hash (HMAC-SHA256) of a value, to look it up without storing it readable.
    #[must_use]
    pub fn blind(&self, label: &str, value: &str) -> [u8; 32] {
        let parts: [&[u8]; 2] = [label.as_bytes(), value.as_bytes()];
        match &*self.keys() {
            Keys::Open { index, .. } | Keys::Closed { index, .. } => mac(&index[..], &parts),
            // A scope is made after its keys were read; nothing that was stored can meet this one.
            Keys::Unread => mac(self.workspace.as_str().as_bytes(), &parts),
        }
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
mod tests;
