//! Mailboxes of message headers.

use neonhub_core::{Error, Result};

use super::encode;

/// A display name and an address, ready for a header and an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    name: String,
    address: String,
}

impl Mailbox {
    /// Reads an address; an international domain becomes its A-labels (UTS 46).
    ///
    /// # Errors
    /// `InvalidInput` naming `field` for control characters in name or address, or an address without a valid local
    /// part and domain. A local part outside ASCII stays as it is (RFC 6532): its mail needs SMTPUTF8 on every hop.
    pub fn new(field: &str, name: &str, address: &str) -> Result<Self> {
        let fault = |message: &str| Err(Error::invalid("email.address", field, message));
        if name.chars().chain(address.chars()).any(char::is_control) {
            return fault("expected no line breaks or control characters");
        }
        let Some((local, domain)) = address.trim().rsplit_once('@') else {
            return fault("expected an address such as name@shop.example");
        };
        if !(is_dot_atom(local) || is_quoted(local)) || local.len() > 64 {
            return fault("expected at most 64 bytes of letters, digits and ._%+- before the @");
        }
        let Ok(domain) = idna::domain_to_ascii_strict(domain) else {
            return fault("expected a valid domain after the @");
        };
        let address = format!("{local}@{domain}");
        if domain.is_empty() || address.len() > 254 {
            return fault("expected an address of at most 254 bytes");
        }
        Ok(Mailbox { name: name.split_whitespace().collect::<Vec<_>>().join(" "), address })
    }

    /// The address for the envelope: ASCII.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The domain of the address.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The words of the header value, to be folded between them.
    pub(super) fn header_words(&self) -> Vec<String> {
        if self.name.is_empty() {
            return vec![self.address.clone()];
        }
        let mut words = if !self.name.is_ascii() || self.name.contains("=?") || self.name.len() > 70 {
            encode::encoded_words(&self.name)
        } else if self.name.split(' ').all(is_atom) {
            self.name.split(' ').map(str::to_owned).collect()
        } else {
            vec![format!("\"{}\"", self.name.replace('\\', "\\\\").replace('"', "\\\""))]
        };
        words.push(format!("<{}>", self.address));
        words
    }
}

// atext and dot-atom: RFC 5322, section 3.2.3.
fn is_atom(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

fn is_dot_atom(local: &str) -> bool {
    // RFC 6531 adds the letters of every script.
    let is_international = |c: char| !c.is_ascii() && !c.is_control() && !c.is_whitespace();
    let ascii: String = local.chars().map(|c| if is_international(c) { 'x' } else { c }).collect();
    ascii.split('.').all(is_atom)
}

/// A quoted string without a quote or backslash inside.
fn is_quoted(local: &str) -> bool {
    let inner = local.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
    inner.is_some_and(|i| !i.is_empty() && !i.contains(['"', '\\', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn international_domains_become_a_labels() {
        let to = Mailbox::new("to", "", "jane@münchen.example").unwrap();
        assert_eq!(to.address(), "jane@xn--mnchen-3ya.example");
        assert_eq!(to.domain(), "xn--mnchen-3ya.example");
        assert_eq!(Mailbox::new("to", "", "jäne@b.example").unwrap().address(), "jäne@b.example");
        assert_eq!(Mailbox::new("to", "", "\"a b\"@c.example").unwrap().address(), "\"a b\"@c.example");
    }

    #[test]
    fn names_are_atoms_quoted_or_encoded() {
        let words = |name: &str| Mailbox::new("to", name, "a@b.example").unwrap().header_words().join(" ");
        assert_eq!(words("Jane Doe"), "Jane Doe <a@b.example>");
        assert_eq!(words("Doe, Jane \"J\""), "\"Doe, Jane \\\"J\\\"\" <a@b.example>");
        assert_eq!(words("Café"), "=?utf-8?Q?Caf=C3=A9?= <a@b.example>");
        assert_eq!(words(""), "a@b.example");
    }

    #[test]
    fn what_is_no_address_or_would_break_the_header_is_refused() {
        for (name, address) in [
            ("", "jane"),
            ("", "@b.example"),
            ("", "a b@c.example"),
            ("", "a..b@c.example"),
            ("", "a@"),
            ("", "a@-b-.example"),
            ("Jane\r\nBcc: x@y.example", "a@b.example"),
            ("", "a@b.example\r\nBcc: x@y.example"),
            ("", "a@b.example>,<c@d.example"),
        ] {
            assert!(Mailbox::new("to", name, address).is_err(), "{name} {address}");
        }
    }
}
