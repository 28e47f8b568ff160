//! What is in a rendered message, found once and judged by the rules of G02 and G07.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{DraftStatus, Facts, Origin};
use super::limits::Violation;
use super::verdict::Finding;
use super::{Category, Channel, RuleId};

/// Findings in a rendered message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentFacts {
    /// Moderation of the rendered text: passed or not; `None` when there is no verdict.
    pub moderation_passed: Option<bool>,
    /// Guardrail rules at block level; `None` when the guardrail did not run.
    pub guardrail_blocks: Option<Vec<String>>,
    /// A template mark was left in the text.
    pub has_placeholder: bool,
    /// The postal address is visible in every text part.
    pub has_postal_address: bool,
    /// A way to opt out is visible in every text part.
    pub has_opt_out: bool,
    /// The sender is named in every text part.
    pub has_sender: bool,
    /// Limits of the platform that are broken.
    pub violations: Vec<Violation>,
}

/// What a marketing e-mail must show.
#[derive(Clone, Copy, Debug)]
pub struct FooterNeeds<'a> {
    /// Postal address of the sender. Empty is never found.
    pub postal_address: &'a str,
    /// Link to opt out, as it stands in the message.
    pub unsubscribe: &'a str,
    /// Name of the sender.
    pub sender: &'a str,
}

/// Looks at a rendered e-mail. Leaves moderation and guardrail to their own checks.
#[must_use]
pub fn inspect_email(needs: &FooterNeeds<'_>, subject: &str, html: &str, text: &str) -> ContentFacts {
    let seen_html = visible_text(html);
    let parts = [fold(&seen_html), fold(text)];
    let everywhere = |wanted: &str| {
        let wanted = fold(wanted);
        !wanted.is_empty() && parts.iter().all(|part| part.contains(&wanted))
    };
    let link = needs.unsubscribe.trim();
    let has_link = !link.is_empty() && html.replace("&amp;", "&").contains(link) && text.contains(link);
    ContentFacts {
        has_placeholder: [subject, &seen_html, text].into_iter().any(has_placeholder),
        has_postal_address: everywhere(needs.postal_address),
        has_opt_out: has_link,
        has_sender: everywhere(needs.sender),
        ..ContentFacts::default()
    }
}

/// Words that tell the reader of a text message how to stop: the federal list and its common translations.
// Source: 47 CFR 64.1200(a)(10), read 2026-11-21.
const STOP_WORDS: [&str; 8] =
    ["stop", "quit", "end", "revoke", "opt out", "opt-out", "cancel", "unsubscribe"];

/// Looks at a rendered text message.
#[must_use]
pub fn inspect_sms(body: &str, sender: &str) -> ContentFacts {
    let folded = fold(body);
    let has_word = |word: &str| {
        folded.match_indices(word).any(|(at, _)| {
            let before = folded.get(..at).and_then(|s| s.chars().next_back());
            let after = folded.get(at + word.len()..).and_then(|s| s.chars().next());
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    };
    let sender = fold(sender);
    ContentFacts {
        has_placeholder: has_placeholder(body),
        has_opt_out: STOP_WORDS.into_iter().any(has_word),
        has_sender: !sender.is_empty() && folded.contains(&sender),
        ..ContentFacts::default()
    }
}

/// True when a mark of a template language is left in what a reader sees.
#[must_use]
pub(crate) fn has_placeholder(text: &str) -> bool {
    ["{{", "}}", "{%", "%}", "{#", "*|", "|*", "${", "<<", "[insert "].iter().any(|mark| text.contains(mark))
}

/// Lower case with single spaces.
fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Text of an HTML document without tags, styles and scripts; the entities our layouts write are resolved.
pub(crate) fn visible_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(rest.get(..open).unwrap_or_default());
        rest = rest.get(open..).unwrap_or_default();
        let hidden = ["style", "script", "head"].into_iter().find(|name| is_tag(rest, name));
        let close = match hidden {
            Some(name) => after_closing(rest, name),
            None => rest.find('>').map(|i| i + 1),
        };
        out.push(' ');
        rest = close.and_then(|i| rest.get(i..)).unwrap_or_default();
    }
    out.push_str(rest);
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&#x2f;", "/"),
    ]
    .into_iter()
    .fold(out, |text, (entity, plain)| text.replace(entity, plain))
    .replace("&amp;", "&")
}

fn is_tag(rest: &str, name: &str) -> bool {
    let Some(word) = rest.get(1..=name.len()) else { return false };
    let next = rest.as_bytes().get(name.len() + 1);
    word.eq_ignore_ascii_case(name) && next.is_some_and(|b| !b.is_ascii_alphanumeric())
}

fn after_closing(rest: &str, name: &str) -> Option<usize> {
    let closing = format!("</{name}");
    let at = rest.to_ascii_lowercase().find(&closing)?;
    rest.get(at..)?.find('>').map(|i| at + i + 1)
}

/// G02.approval to G02.deliverability.
pub(super) fn judge(facts: &Facts<'_>, now: neonhub_core::Timestamp, out: &mut Vec<Finding>) {
    let draft = facts.draft;
    out.extend(approval(facts, now));
    let content = &draft.content;
    let moderation =
        |code, message| Finding::deny(RuleId::Moderation, code, message).with("draft", &draft.id);
    match content.moderation_passed {
        Some(true) => {}
        Some(false) => out.push(moderation("moderation_failed", "the text did not pass moderation")),
        None => out.push(moderation("no_moderation", "the text has no moderation verdict")),
    }
    if facts.tenant.is_production && draft.origin == Origin::Offline && !facts.tenant.allow_offline_output {
        let message = "text of the offline model does not leave a production workspace";
        out.push(Finding::deny(RuleId::Offline, "offline_output", message).with("draft", &draft.id));
    }
    guardrail(facts, out);
    footer(facts, now, out);
    if draft.is_bulk && !draft.preflight_red.is_empty() {
        out.push(
            Finding::deny(RuleId::Deliverability, "preflight_red", "a preflight finding of the mail is red")
                .with("findings", draft.preflight_red.join(",")),
        );
    }
}

fn approval(facts: &Facts<'_>, now: neonhub_core::Timestamp) -> Option<Finding> {
    let draft = facts.draft;
    let rule = RuleId::Approval;
    match draft.status {
        DraftStatus::Approved => None,
        DraftStatus::Rejected => Some(Finding::deny(rule, "rejected", "a reviewer rejected the draft")),
        DraftStatus::Archived => Some(Finding::deny(rule, "archived", "the draft is archived")),
        DraftStatus::Draft if !draft.needs_approval => None,
        DraftStatus::Draft | DraftStatus::InReview => {
            // Asked again each hour until it expires; `sends.wake` asks earlier.
            let hour = now.plus(std::time::Duration::from_secs(3600));
            let until = facts.send.expires_at.map_or(hour, |end| hour.min(end).max(now));
            Some(Finding::defer(rule, until, "not_approved", "the draft waits for its approval"))
        }
    }
    .map(|reason| reason.with("draft", &draft.id))
}

fn guardrail(facts: &Facts<'_>, out: &mut Vec<Finding>) {
    let (rule, content) = (RuleId::Guardrail, &facts.draft.content);
    match &content.guardrail_blocks {
        None => out.push(Finding::deny(rule, "unchecked", "the guardrail did not run on the text")),
        Some(blocks) if !blocks.is_empty() => out.push(
            Finding::deny(rule, "guardrail_block", "the guardrail found something that must not go out")
                .with("findings", blocks.join(",")),
        ),
        Some(_) => {}
    }
    if content.has_placeholder {
        out.push(Finding::deny(rule, "placeholder", "a template mark is left in the text"));
    }
}

/// A text message repeats how to opt out after this long.
const OPT_OUT_EVERY: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

fn footer(facts: &Facts<'_>, now: neonhub_core::Timestamp, out: &mut Vec<Finding>) {
    let (draft, content) = (facts.draft, &facts.draft.content);
    let missing = |code, message| Finding::deny(RuleId::Footer, code, message).with("draft", &draft.id);
    match draft.channel {
        Channel::Email if draft.category == Category::Marketing => {
            if !content.has_postal_address {
                out.push(missing("no_postal_address", "the postal address is missing in html or text"));
            }
            if !content.has_opt_out {
                out.push(missing("no_opt_out", "the unsubscribe link is missing in html or text"));
            }
            if !content.has_sender {
                out.push(missing("no_sender", "the sender is not named in html or text"));
            }
        }
        Channel::Sms => {
            if !content.has_sender {
                out.push(missing("no_sender", "the text message does not name its sender"));
            }
            let shown = facts.person.and_then(|p| p.opt_out_shown_at);
            let is_due = shown.is_none_or(|at| at.plus(OPT_OUT_EVERY) <= now);
            if is_due && !content.has_opt_out && draft.category != Category::Transactional {
                out.push(missing("no_opt_out", "the text message does not say how to stop"));
            }
        }
        _ => {}
    }
}
