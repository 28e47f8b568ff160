//! What makes a brief good, field by field.

use neonhub_core::{Fault, Timestamp, zone};
use url::Url;

use super::near::holds;
use super::{Brief, CampaignChannel};

/// The longest campaign (ours): ten years. A longer one is a slip of the pen in a year.
const MAX_DAYS: i64 = 3_653;
/// RFC 5321 (2008), 4.5.3.1: octets of the local part and of the whole path.
const MAX_LOCAL: usize = 64;
const MAX_ADDRESS: usize = 254;
/// The longest address that every mail program follows (ours).
const MAX_URL: usize = 2_000;

/// Marks of template languages: none may reach a reader.
const MARKS: [&str; 6] = ["{{", "}}", "{%", "%}", "{#", "#}"];

#[derive(Default)]
struct Check(Vec<Fault>);

impl Check {
    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }

    /// Text of 1..=max characters without control characters; line ends only where `lines` allows them.
    fn text(&mut self, field: &str, text: &str, max: usize, lines: bool) {
        let count = text.chars().count();
        if text.trim().is_empty() {
            self.fault(field, "missing or empty, write a text");
        } else if count > max {
            self.fault(field, format!("has {count} characters, at most {max} are allowed"));
        } else if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))) {
            let place = if lines { "" } else { " or line breaks" };
            self.fault(field, format!("must not hold control characters{place}"));
        } else if let Some(mark) = MARKS.iter().find(|mark| text.contains(*mark)) {
            self.fault(field, format!("must not hold the template mark {mark}, a brief is plain text"));
        }
    }

    fn list(&mut self, field: &str, items: &[String], most: usize, max: usize) {
        if items.len() > most {
            self.fault(field, format!("has {} entries, at most {most} are allowed", items.len()));
        }
        for (i, item) in items.iter().enumerate() {
            self.text(&format!("{field}[{i}]"), item, max, false);
        }
    }
}

/// Every fault of the brief, in the order of its fields.
pub(super) fn faults(brief: &Brief) -> Vec<Fault> {
    let mut check = Check::default();
    check.text("goal", &brief.goal, 1_000, true);
    check.text("brand", &brief.brand, 100, false);
    check.text("audience_text", &brief.audience_text, 2_000, true);
    messages(&mut check, brief);
    channels(&mut check, &brief.channels);
    if brief.budget.minor < 0 {
        check.fault("budget.amount", "must not be negative");
    }
    window(&mut check, brief.start, brief.end);
    check.list("must_say", &brief.must_say, 20, 200);
    check.list("must_not_say", &brief.must_not_say, 50, 200);
    contradictions(&mut check, brief);
    if !is_locale(&brief.locale) {
        check.fault("locale", "expected language and region such as en-GB");
    }
    if zone("timezone", &brief.timezone).is_err() {
        check.fault("timezone", "expected an IANA time zone such as Europe/London");
    }
    sender(&mut check, brief);
    if let Err(why) = web_address(&brief.landing_url, &["https", "http"]) {
        check.fault("landing_url", why);
    }
    check.0
}

fn messages(check: &mut Check, brief: &Brief) {
    if brief.key_messages.is_empty() {
        check.fault("key_messages", "missing or empty, write 1 to 10 messages");
    }
    check.list("key_messages", &brief.key_messages, 10, 300);
    if let Some(offer) = &brief.offer {
        check.text("offer", offer, 300, false);
    }
}

fn channels(check: &mut Check, channels: &[CampaignChannel]) {
    if channels.is_empty() {
        check.fault("channels", format!("missing or empty, {}", super::channel::expected()));
    }
    for (i, channel) in channels.iter().enumerate() {
        if channels.iter().take(i).any(|c| c == channel) {
            check.fault(format!("channels[{i}]"), format!("{channel} is named twice, keep one"));
        }
    }
}

fn window(check: &mut Check, start: Timestamp, end: Timestamp) {
    let span = end.as_millis() - start.as_millis();
    if span <= 0 {
        check.fault("end", "must be after start");
    } else if span > MAX_DAYS * 86_400_000 {
        check.fault("end", format!("must be at most {MAX_DAYS} days after start"));
    }
}

/// What the brief orders cannot hold what it forbids: no text could satisfy both.
fn contradictions(check: &mut Check, brief: &Brief) {
    let said = brief.must_say.iter().enumerate().map(|(i, s)| (format!("must_say[{i}]"), s.as_str()));
    let fixed = [
        ("brand", brief.brand.as_str()),
        ("sender.name", &brief.sender.name),
        ("sender.postal_address", &brief.sender.postal_address),
    ];
    let always = said.chain(fixed.iter().map(|(f, s)| ((*f).to_owned(), *s)));
    for (field, text) in always {
        for (i, phrase) in brief.must_not_say.iter().enumerate() {
            if holds(text, phrase) {
                let why =
                    format!("holds the phrase of must_not_say[{i}] and stands in every mail, change one");
                check.fault(field.clone(), why);
            }
        }
    }
}

fn sender(check: &mut Check, brief: &Brief) {
    if !is_address(&brief.sender.email) {
        check.fault("sender.email", "expected one address such as hello@brand.example");
    }
    check.text("sender.name", &brief.sender.name, 100, false);
    check.text("sender.postal_address", &brief.sender.postal_address, 300, true);
    if let Err(why) = web_address(&brief.sender.unsubscribe_url, &["https"]) {
        check.fault("sender.unsubscribe_url", why);
    }
}

/// A language of 2 or 3 letters, then an optional script of 4 and an optional region (BCP 47, 2009).
fn is_locale(text: &str) -> bool {
    let letters = |s: &str, n: std::ops::RangeInclusive<usize>| {
        n.contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let region = |s: &str| letters(s, 2..=2) || (s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<_> = text.split('-').collect();
    match parts.as_slice() {
        [language] => letters(language, 2..=3),
        [language, tail] => letters(language, 2..=3) && (letters(tail, 4..=4) || region(tail)),
        [language, script, tail] => letters(language, 2..=3) && letters(script, 4..=4) && region(tail),
        _ => false,
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
    let dots = |s: &str| !s.starts_with('.') && !s.ends_with('.') && !s.contains("..");
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    (1..=MAX_LOCAL).contains(&local.len())
        && text.len() <= MAX_ADDRESS
        && !local.contains(odd)
        && !local.contains('@')
        && dots(local)
        && domain.contains('.')
        && domain.split('.').all(label)
}

fn web_address(text: &str, schemes: &[&str]) -> Result<(), String> {
    let expected = || format!("expected a complete address that begins with {}://", schemes.join(":// or "));
    // The parser drops tabs and line ends in silence and takes spaces; a header or a link must not.
    if text.trim().is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(expected());
    }
    let url = Url::parse(text).map_err(|_| expected())?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(expected());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    if text.len() > MAX_URL {
        return Err(format!("has {} characters, at most {MAX_URL} are allowed", text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_follow_bcp_47() {
        for good in ["en", "en-GB", "sr-Latn-RS", "es-419", "zh-Hant", "gsw-CH"] {
            assert!(is_locale(good), "{good}");
        }
        for bad in ["", "e", "english", "en_GB", "en-", "en-GBR", "12", "en-GB-x-y"] {
            assert!(!is_locale(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_single_and_whole() {
        for good in ["a@b.example", "first.last+tag@sub.brand.example", "grüße@müller.example"] {
            assert!(is_address(good), "{good}");
        }
        for bad in
            ["", "a", "a@b", "@b.example", "a@b.example, c@d.example", "A <a@b.example>", "a@-b.example"]
        {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address("a@b.example\r\nBcc: c@d.example"));
        assert!(!is_address(&format!("{}@b.example", "a".repeat(65))));
    }

    #[test]
    fn web_addresses_are_complete_and_safe() {
        assert!(web_address("https://brand.example/a?b=c#d", &["https"]).is_ok());
        for bad in [
            "",
            "brand.example",
            "http://brand.example",
            "javascript:alert(1)",
            "https://",
            "mailto:a@b.example",
        ] {
            assert!(web_address(bad, &["https"]).is_err(), "{bad}");
        }
        assert!(web_address("https://u:p@brand.example/", &["https"]).is_err());
        assert!(web_address("https://brand.example/a\nb", &["https"]).is_err());
    }
}
