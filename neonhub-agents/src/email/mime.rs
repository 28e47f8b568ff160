//! Writes a complete message: same input, same bytes.
// RFC 5322 (format), 2045-2047 (MIME), 2369 and 8058 (unsubscribe), read 2026-11-21.

use neonhub_core::{Error, Faults, Result, Timestamp};

use super::Mailbox;
use super::encode::{fold, quoted_printable, text_words};

const OPERATION: &str = "email.write";
/// Longest header line (RFC 5322, section 2.1.1), without CRLF.
const MAX_HEADER_LINE: usize = 998;
/// Headers the writer sets itself, and those that would add recipients.
const OWN: [&str; 16] = [
    "date",
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "return-path",
    "received",
];

/// How a recipient leaves the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUnsubscribe {
    /// The link, `https` only, with the recipient's token.
    pub url: String,
    /// An address that takes the same wish by mail.
    pub mailto: Option<String>,
    /// True when the host answers a POST to `url` (RFC 8058): then `List-Unsubscribe-Post` is set.
    pub one_click: bool,
}

/// A message to one recipient. Parts are UTF-8 text.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// Id of the effect: Message-ID and part boundary come from it.
    pub effect_id: &'a str,
    /// The `Date` header.
    pub date: Timestamp,
    /// Who sends.
    pub from: &'a Mailbox,
    /// Who receives.
    pub to: &'a Mailbox,
    /// Where answers go, if not to `from`.
    pub reply_to: Option<&'a Mailbox>,
    /// Subject, one line.
    pub subject: &'a str,
    /// Plain text part.
    pub text: &'a str,
    /// HTML part.
    pub html: &'a str,
    /// How to leave the list. Marketing mail needs it.
    pub unsubscribe: Option<&'a ListUnsubscribe>,
    /// More headers, in writing order: name and one-line value.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The written message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The bytes, ASCII with CRLF line ends.
    pub bytes: Vec<u8>,
    /// Message-ID without angle brackets.
    pub message_id: String,
}

impl Mail<'_> {
    /// Writes the message as `multipart/alternative` of text and HTML.
    ///
    /// # Errors
    /// `InvalidInput` listing every fault: line breaks in a header value, an empty subject, text or HTML part, a
    /// header the writer sets itself, an unsubscribe link that is not `https`.
    pub fn write(&self) -> Result<Message> {
        self.check()?;
        let message_id = format!("{}@{}", token(self.effect_id), self.from.domain());
        let boundary = format!("=_nh_{}", token(self.effect_id).chars().take(60).collect::<String>());
        let mut out = String::with_capacity(self.html.len() * 5 / 4 + self.text.len() * 5 / 4 + 1024);
        self.write_headers(&message_id, &boundary, &mut out);
        out.push_str("\r\nThis is a message in several formats.\r\n");
        for (kind, body) in [("plain", self.text), ("html", self.html)] {
            out.push_str(&format!(
                "--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            ));
            out.push_str(&quoted_printable(body));
            out.push_str("\r\n");
        }
        out.push_str(&format!("--{boundary}--\r\n"));
        Ok(Message { bytes: out.into_bytes(), message_id })
    }

    fn write_headers(&self, message_id: &str, boundary: &str, out: &mut String) {
        let date = self.date.to_jiff().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        fold("Date", &[date], out);
        fold("From", &self.from.header_words(), out);
        fold("To", &self.to.header_words(), out);
        if let Some(reply_to) = self.reply_to {
            fold("Reply-To", &reply_to.header_words(), out);
        }
        fold("Subject", &text_words(self.subject.trim()), out);
        fold("Message-ID", &[format!("<{message_id}>")], out);
        if let Some(leave) = self.unsubscribe {
            let mut words = vec![format!("<{}>", leave.url)];
            if let (Some(mailto), Some(first)) = (&leave.mailto, words.first_mut()) {
                first.push(',');
                words.push(format!("<mailto:{mailto}>"));
            }
            fold("List-Unsubscribe", &words, out);
            if leave.one_click {
                fold("List-Unsubscribe-Post", &["List-Unsubscribe=One-Click".to_owned()], out);
            }
        }
        for (name, value) in self.headers {
            fold(name, &text_words(value.trim()), out);
        }
        fold("MIME-Version", &["1.0".to_owned()], out);
        let words = ["multipart/alternative;".to_owned(), format!("boundary=\"{boundary}\"")];
        fold("Content-Type", &words, out);
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let mut one_line = |field: &str, value: &str| {
            faults.check(
                !value.chars().any(char::is_control),
                field,
                "expected no line breaks or control characters",
            );
        };
        one_line("subject", self.subject);
        for (name, value) in self.headers {
            one_line(name, value);
        }
        if let Some(leave) = self.unsubscribe {
            one_line("unsubscribe.url", &leave.url);
            one_line("unsubscribe.mailto", leave.mailto.as_deref().unwrap_or_default());
            faults.check(
                is_https(&leave.url),
                "unsubscribe.url",
                "expected an https link in ASCII without spaces",
            );
            let mailto_ok =
                leave.mailto.as_deref().is_none_or(|m| m.is_ascii() && !m.contains(['<', '>', ' ', ',']));
            faults.check(mailto_ok, "unsubscribe.mailto", "expected an address");
        }
        for (name, _) in self.headers {
            let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            faults.check(
                is_token && name.len() <= 70,
                *name,
                "expected a header name of letters, digits and hyphens",
            );
            let is_own = OWN.contains(&name.to_ascii_lowercase().as_str());
            faults.check(!is_own, *name, "this header is set by the writer");
        }
        faults.check(!self.subject.trim().is_empty(), "subject", "expected a subject");
        faults.check(!self.text.trim().is_empty(), "text", "expected a text part");
        faults.check(!self.html.trim().is_empty(), "html", "expected an html part");
        faults.check(!token(self.effect_id).is_empty(), "effect_id", "expected letters, digits or hyphens");
        faults.into_result(OPERATION)
    }
}

fn is_https(url: &str) -> bool {
    let fits = url.len() <= MAX_HEADER_LINE - 40;
    let has_host =
        url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    fits && has_host && url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b))
}

/// The characters of an id that stand unquoted in a Message-ID and a boundary.
fn token(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

impl Message {
    /// The Message-ID that the effect with this id has, when sent from `domain`.
    #[must_use]
    pub fn id_of(effect_id: &str, domain: &str) -> String {
        format!("{}@{domain}", token(effect_id))
    }
}

/// The plain text that stands for an HTML part when none was written.
///
/// # Errors
/// `InvalidInput` when the HTML shows no text.
pub(crate) fn text_of(html: &str) -> Result<String> {
    let text = crate::gate::visible_text(html);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(Error::invalid(OPERATION, "html", "expected html with visible text"));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
#[path = "mime_tests.rs"]
mod tests;
