//! Unsubscribe tokens: opaque text that names recipient and list, encrypted and signed.
//!
//! Encrypt, then MAC: AES-256-CTR hides the ids, HMAC-SHA256 over version, key id, IV and ciphertext proves who
//! wrote them. The IV is made of the claim (as in RFC 5297), so that equal claims give equal tokens and different
//! ones never share a key stream. A token never expires and holds no address. Keys carry an id, so that links in
//! old mails go on working after a new key was made.

use std::fmt;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use neonhub_core::{Error, ErrorKind, Result};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Channel, ConsentScope};
use crate::people::{IdentityId, PersonId};

const OPERATION: &str = "email.unsubscribe";
const VERSION: u8 = 1;
/// Version and key id.
const HEAD_BYTES: usize = 5;
/// One block of AES.
const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// Longest token accepted, in characters; ours are about 230.
const MAX_TOKEN_CHARS: usize = 1_024;

/// A signing key with the id that tokens name it by.
#[derive(Clone)]
pub struct SigningKey {
    /// The number that tokens carry.
    pub id: u32,
    secret: Zeroizing<[u8; 32]>,
}

impl SigningKey {
    /// A key from 32 random bytes.
    #[must_use]
    pub fn new(id: u32, secret: [u8; 32]) -> Self {
        SigningKey { id, secret: Zeroizing::new(secret) }
    }

    /// HMAC-SHA256 for one use of the key; no two uses share a label.
    fn mac(&self, label: &[u8], bytes: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice()).ok()?;
        mac.update(label);
        mac.update(bytes);
        Some(mac)
    }

    fn tag(&self, signed: &[u8]) -> Option<Hmac<Sha256>> {
        self.mac(b"neonhub-unsubscribe-v1\0tag", signed)
    }

    /// The IV of a claim.
    fn iv(&self, claim: &[u8]) -> Option<[u8; IV_BYTES]> {
        let mac = self.mac(b"neonhub-unsubscribe-v1\0iv", claim)?.finalize().into_bytes();
        mac.first_chunk().copied()
    }

    /// Encrypts a claim, or decrypts it: the key stream is its own inverse.
    fn apply(&self, iv: [u8; IV_BYTES], bytes: &mut [u8]) -> Option<()> {
        let key: [u8; 32] = self.mac(b"neonhub-unsubscribe-v1\0key", b"")?.finalize().into_bytes().into();
        let key = Zeroizing::new(key);
        Ctr128BE::<Aes256>::new((&*key).into(), (&iv).into()).apply_keystream(bytes);
        Some(())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a token says: this recipient leaves this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubscribeClaim {
    /// The workspace that sent the mail.
    pub workspace: String,
    /// The recipient.
    pub person: PersonId,
    /// The address the mail went to.
    pub identity: IdentityId,
    /// The channel of the list.
    pub channel: Channel,
    /// The list: `marketing` or one of its topics.
    pub list: ConsentScope,
    /// The brand of the list; none: every brand.
    pub brand: Option<String>,
}

impl UnsubscribeClaim {
    fn to_bytes(&self) -> Vec<u8> {
        let (channel, list) = (self.channel.as_word(), self.list.as_word());
        let fields: [&str; 6] = [
            &self.workspace,
            self.person.as_str(),
            self.identity.as_str(),
            &channel,
            &list,
            self.brand.as_deref().unwrap_or(""),
        ];
        let mut out = Vec::with_capacity(160);
        for field in fields {
            // Every field is an id or a word of at most 255 bytes; a longer one would not verify.
            out.push(u8::try_from(field.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(field.as_bytes());
        }
        out
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut next = || {
            let (len, rest) = bytes.split_first()?;
            let (field, rest) = rest.split_at_checked(usize::from(*len))?;
            bytes = rest;
            std::str::from_utf8(field).ok().map(str::to_owned)
        };
        let (workspace, person, identity) = (next()?, next()?, next()?);
        let (channel, list, brand) = (next()?, next()?, next()?);
        if !bytes.is_empty() {
            return None;
        }
        Some(UnsubscribeClaim {
            workspace,
            person: person.parse().ok()?,
            identity: identity.parse().ok()?,
            channel: channel.parse().ok()?,
            list: list.parse().ok()?,
            brand: (!brand.is_empty()).then_some(brand),
        })
    }
}

/// Makes the token of a claim. Same key and claim, same token.
///
/// # Errors
/// `InvalidInput` when workspace or brand is longer than 255 bytes.
pub fn sign(key: &SigningKey, claim: &UnsubscribeClaim) -> Result<String> {
    let longest = claim.workspace.len().max(claim.brand.as_deref().map_or(0, str::len));
    if longest > usize::from(u8::MAX) {
        return Err(Error::invalid(
            OPERATION,
            "claim",
            "expected a workspace and brand of at most 255 bytes",
        ));
    }
    sealed(key, claim).ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "the key cannot sign"))
}

fn sealed(key: &SigningKey, claim: &UnsubscribeClaim) -> Option<String> {
    let mut claim = claim.to_bytes();
    let iv = key.iv(&claim)?;
    key.apply(iv, &mut claim)?;
    let mut out = vec![VERSION];
    out.extend_from_slice(&key.id.to_be_bytes());
    out.extend_from_slice(&iv);
    out.extend_from_slice(&claim);
    let tag = key.tag(&out)?.finalize().into_bytes();
    out.extend_from_slice(&tag);
    Some(URL_SAFE_NO_PAD.encode(out))
}

/// Checks a token against the keys of a workspace and reads its claim. The signature is compared in constant
/// time, before anything of the claim is read.
///
/// # Errors
/// `InvalidInput` for anything that these keys did not sign; the message does not say which part is wrong.
pub fn verify(keys: &[SigningKey], token: &str) -> Result<UnsubscribeClaim> {
    checked(keys, token).ok_or_else(|| {
        Error::invalid(OPERATION, "token", "expected the unsubscribe token of a mail, complete and unchanged")
            .with_code("bad_token")
    })
}

fn checked(keys: &[SigningKey], token: &str) -> Option<UnsubscribeClaim> {
    if token.len() > MAX_TOKEN_CHARS {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
    let (head, body) = signed.split_at_checked(HEAD_BYTES)?;
    let (&version, key_id) = head.split_first()?;
    let key_id = u32::from_be_bytes(key_id.try_into().ok()?);
    if version != VERSION {
        return None;
    }
    let key = keys.iter().find(|k| k.id == key_id)?;
    key.tag(signed)?.verify_slice(mac).ok()?;
    let (iv, claim) = body.split_first_chunk()?;
    let mut claim = claim.to_vec();
    key.apply(*iv, &mut claim)?;
    UnsubscribeClaim::from_bytes(&claim)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim() -> UnsubscribeClaim {
        UnsubscribeClaim {
            workspace: "wsp_00000000000000000000000001".into(),
            person: format!("per_{:026}", 1).try_into().unwrap(),
            identity: format!("idn_{:026}", 2).try_into().unwrap(),
            channel: Channel::Email,
            list: ConsentScope::Marketing,
            brand: Some("acme".into()),
        }
    }

    fn key(id: u32) -> SigningKey {
        SigningKey::new(id, [7; 32])
    }

    #[test]
    fn signed_claim_comes_back_whole_with_any_known_key() {
        let token = sign(&key(1), &claim()).unwrap();
        assert_eq!(verify(&[key(2), key(1)], &token).unwrap(), claim());
        let bare = UnsubscribeClaim { brand: None, ..claim() };
        assert_eq!(verify(&[key(1)], &sign(&key(1), &bare).unwrap()).unwrap(), bare);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn unknown_key_other_secret_and_rubbish_are_refused_alike() {
        let token = sign(&key(1), &claim()).unwrap();
        let faults = [
            verify(&[key(2)], &token).unwrap_err().to_string(),
            verify(&[SigningKey::new(1, [8; 32])], &token).unwrap_err().to_string(),
            verify(&[key(1)], "").unwrap_err().to_string(),
            verify(&[key(1)], "????").unwrap_err().to_string(),
            verify(&[key(1)], &"A".repeat(5_000)).unwrap_err().to_string(),
        ];
        assert!(faults.iter().all(|f| *f == faults[0]), "{faults:?}");
    }

    #[test]
    fn nothing_of_the_claim_can_be_read_from_the_token() {
        let token = sign(&key(1), &claim()).unwrap();
        let bytes = String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(&token).unwrap()).into_owned();
        for word in ["wsp_", "per_", "idn_", "email", "marketing", "acme"] {
            assert!(!bytes.contains(word), "{word} stands in the token");
        }
        let other = UnsubscribeClaim { brand: Some("acmf".into()), ..claim() };
        let other = URL_SAFE_NO_PAD.decode(sign(&key(1), &other).unwrap()).unwrap();
        let same =
            other.iter().zip(URL_SAFE_NO_PAD.decode(&token).unwrap()).filter(|(a, b)| **a == *b).count();
        assert!(same < 30, "{same} bytes of two tokens are equal: the key stream was used twice");
    }

    #[test]
    fn secret_is_not_printed() {
        assert_eq!(format!("{:?}", key(1)), "SigningKey { id: 1, .. }");
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(at in 0_usize..400, bit in 0_u8..8) {
            let token = sign(&key(1), &claim()).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(verify(&[key(1)], &URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,300}") {
            prop_assert!(verify(&[key(1)], &text).is_err());
        }
    }
}
