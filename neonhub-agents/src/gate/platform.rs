//! G07: what the platform of the message allows.

use std::time::Duration;

use neonhub_core::Timestamp;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::facts::{Facts, Origin, PersonFacts};
use super::urls::find_urls;
use super::verdict::Finding;
use super::{Channel, Network, RuleId};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The human-agent tag of Instagram and Facebook lets a person answer this long.
const HUMAN_AGENT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The same public text draws a warning for this long.
const WARN_SAME_TEXT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The session window of the platform.
pub(super) fn window(facts: &Facts<'_>, person: &PersonFacts, now: Timestamp, out: &mut Vec<Finding>) {
    let wrote_within = |span: Duration| person.last_inbound_at.is_some_and(|at| now < at.plus(span));
    let deny =
        |code, message| Finding::deny(RuleId::Window, code, message).with("channel", facts.draft.channel);
    match facts.draft.channel {
        Channel::Whatsapp => {
            if person.consent.state != Some(crate::consent::Status::Granted) {
                out.push(deny("not_opted_in", "the person has not opted in to messages on this platform"));
            }
            if !wrote_within(DAY) && !facts.draft.has_platform_template {
                let message = "24 hours after the person's last message only an approved template may go";
                out.push(deny("template_required", message));
            }
        }
        Channel::Dm(network) => {
            let by_human = matches!(network, Network::Instagram | Network::Facebook)
                && facts.draft.origin == Origin::Human
                && wrote_within(HUMAN_AGENT);
            let has_window = matches!(network, Network::Instagram | Network::Facebook);
            if person.last_inbound_at.is_none() {
                out.push(deny("no_prior_contact", "the person has not written first"));
            } else if has_window && !wrote_within(DAY) && !by_human {
                out.push(deny("window_closed", "the person's last message is more than 24 hours old"));
            }
        }
        _ => {}
    }
}

/// Limits of text and media, found when the text was rendered.
pub(super) fn limits(facts: &Facts<'_>, out: &mut Vec<Finding>) {
    for violation in &facts.draft.content.violations {
        out.push(
            Finding::deny(
                RuleId::Limits,
                "over_limit",
                "the text or the media break a limit of the platform",
            )
            .with("field", &violation.field)
            .with("limit", violation.limit)
            .with("actual", violation.actual),
        );
    }
}

/// The same public text on the same account: denied within a day, a warning within thirty.
pub(super) fn duplicate(facts: &Facts<'_>, now: Timestamp, out: &mut Vec<Finding>) {
    let Some(last) = facts.send.same_text_at else { return };
    if last > now.minus(DAY) {
        let message = "the same text went out on this account within 24 hours";
        out.push(Finding::deny(RuleId::Duplicate, "duplicate_text", message).with("last", last));
    } else if last > now.minus(WARN_SAME_TEXT) {
        let message = "the same text went out on this account within 30 days";
        let reason = Finding::warn(RuleId::Duplicate, "duplicate_text", message);
        out.push(reason.with("last", last));
    }
}

/// The form in which two public texts count as the same: NFKC, lower case, every link alike, single spaces.
#[must_use]
pub fn normalise_post(text: &str) -> String {
    let text: String = text.nfkc().collect::<String>().to_lowercase();
    text.split_whitespace().map(fold_links).collect::<Vec<_>>().join(" ")
}

/// A word with its links replaced. What begins as a link is one, whatever its top-level domain.
fn fold_links(word: &str) -> String {
    if word.starts_with("http://") || word.starts_with("https://") {
        return "link:".to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut at = 0;
    for url in find_urls(word) {
        out.push_str(word.get(at..url.start).unwrap_or_default());
        out.push_str("link:");
        at = url.end;
    }
    out.push_str(word.get(at..).unwrap_or_default());
    out
}

/// A short fingerprint of [`normalise_post`], so that the text itself need not be kept for the comparison.
#[must_use]
pub fn post_fingerprint(text: &str) -> String {
    let hash = Sha256::digest(normalise_post(text).as_bytes());
    hash.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_case_spaces_width_or_link_are_the_same() {
        let a = normalise_post("Big  NEWS: see https://example.com/a?x=1 now");
        assert_eq!(a, normalise_post("big news: see http://shop.example/b now"));
        assert_eq!(a, normalise_post("big news: see example.org/b now"));
        assert_eq!(normalise_post("ＡＢＣ"), "abc");
        assert_ne!(post_fingerprint("one"), post_fingerprint("two"));
        assert_eq!(post_fingerprint("one").len(), 32);
    }
}
