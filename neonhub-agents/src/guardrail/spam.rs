//! Spam score on the scale of SpamAssassin, where 5 is spam.
//!
//! Points of the named rules: SpamAssassin rule files, score set 3 (50_scores.cf, read 2026). Rules whose word
//! starts with `spam.own` are ours, on the same scale.

use super::finding::{Finding, FindingKind, Level};
use super::html;
use crate::voice::text::{self, Span};

/// A mail as the spam rules see it.
#[derive(Clone, Debug, Default)]
pub struct SpamMail<'a> {
    /// Subject; absent = the mail has none.
    pub subject: Option<&'a str>,
    /// Plain text.
    pub body: &'a str,
    /// HTML part, if there is one.
    pub html: Option<&'a str>,
    /// Whether the Message-ID header is there; absent = the mail is not built yet.
    pub has_message_id: Option<bool>,
    /// Whether the Date header is there; absent = the mail is not built yet.
    pub has_date: Option<bool>,
}

/// The test string of SpamAssassin (GTUBE); it exceeds every threshold.
const GTUBE: &str = concat!("XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");

/// Hosts that shorten links. Ours, the common public ones in 2025.
const SHORTENERS: &[&str] = &[
    "bit.ly",
    "tinyurl.com",
    "t.co",
    "goo.gl",
    "ow.ly",
    "is.gd",
    "buff.ly",
    "cutt.ly",
    "rebrand.ly",
    "t.ly",
    "rb.gy",
];

fn hit(rule: &str, points: f64, message: &str, fix: &str) -> Finding {
    let level = if points >= 2.0 { Level::Warn } else { Level::Info };
    Finding::new(rule, FindingKind::Spam, level, message, fix).scored(points)
}

/// All rules, for a mail.
#[must_use]
pub fn spam_mail(mail: &SpamMail<'_>) -> Vec<Finding> {
    let mut out = subject_rules(mail.subject.unwrap_or(""));
    if mail.body.trim().is_empty() && mail.html.is_none_or(|h| html::read(h).text.trim().is_empty()) {
        out.push(hit("spam.empty", 2.32, "the mail has no text", "write a body"));
    }
    if mail.has_message_id == Some(false) {
        out.push(hit("spam.missing_message_id", 0.497, "no Message-ID header", "set one"));
    }
    if mail.has_date == Some(false) {
        out.push(hit("spam.missing_date", 1.36, "no Date header", "set one"));
    }
    out.extend(spam_text(mail.body).into_iter().map(|f| f.within("body")));
    if let Some(html) = mail.html {
        out.extend(html_rules(html, mail.body).into_iter().map(|f| f.within("html")));
    }
    out
}

fn subject_rules(subject: &str) -> Vec<Finding> {
    let mut core = subject.trim();
    while let Some(rest) = ["re:", "fwd:", "fw:", "aw:", "wg:"].iter().find_map(|p| {
        core.get(..p.len()).filter(|h| h.eq_ignore_ascii_case(p)).and_then(|_| core.get(p.len()..))
    }) {
        core = rest.trim_start();
    }
    let letters: String = core.chars().filter(|c| c.is_alphabetic()).collect();
    let several = core.split_whitespace().count() > 1;
    let mut out = Vec::new();
    if core.is_empty() {
        out.push(hit("spam.missing_subject", 1.799, "the mail has no subject", "write one"));
    } else if core.chars().count() >= 10
        && several
        && !letters.is_empty()
        && !letters.chars().any(char::is_lowercase)
    {
        out.push(hit(
            "spam.subject_capitals",
            0.5,
            "the subject is in capitals only",
            "write it in sentence case",
        ));
    }
    out.into_iter().map(|f| f.within("subject")).collect()
}

/// The text rules, for every channel.
#[must_use]
pub fn spam_text(body: &str) -> Vec<Finding> {
    let mut out = phrase_rules(body);
    out.extend(link_rules(body));
    let words = text::words(body);
    let letters = body.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = body.chars().filter(|c| c.is_uppercase()).count();
    let share = if letters == 0 { 0.0 } else { capitals as f64 / letters as f64 };
    if letters >= 20 && share >= 0.75 {
        out.push(hit("spam.body_capitals", 0.001, "the text is in capitals", "write it in sentence case"));
    }
    // Short texts are left out: a name and an abbreviation would be over the line.
    if words.len() >= 8 && share > 0.30 {
        out.push(hit(
            "spam.own_capitals",
            1.0,
            "over 30 % of the letters are capitals",
            "write in sentence case",
        ));
    }
    let marks = body.matches('!').count();
    if marks > 3 {
        let points = (0.5 + 0.2 * (marks - 4) as f64).min(1.5);
        out.push(hit(
            "spam.own_exclamation",
            points,
            "more than three exclamation marks",
            "keep one at most",
        ));
    }
    if ["?!", "!?"].iter().any(|run| body.contains(run)) {
        out.push(hit("spam.mixed_marks", 0.1, "a run of question and exclamation marks", "use one mark"));
    }
    if body.contains(GTUBE) {
        out.push(hit("spam.gtube", 1000.0, "the spam test string", "take it out"));
    }
    out
}

fn phrase_rules(body: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let folded = text::Folded::new(body);
    let mut phrase = |rule: &str, points: f64, phrases: &[&str]| {
        if let Some(span) = phrases.iter().find_map(|p| folded.find(p).first().copied()) {
            out.push(hit(rule, points, "a phrase that mail filters punish", "say it another way").at(span));
        }
    };
    phrase(
        "spam.guaranteed",
        2.699,
        &["100% guaranteed", "100 % guaranteed", "one hundred percent guaranteed"],
    );
    phrase("spam.dear_friend", 2.577, &["dear friend", "dear friends"]);
    phrase("spam.dear_winner", 3.099, &["dear winner"]);
    phrase(
        "spam.dear_something",
        1.973,
        &[
            "dear sir",
            "dear sirs",
            "dear madam",
            "dear investor",
            "dear candidate",
            "dear traveler",
            "dear traveller",
            "dear internet",
            "dear web",
        ],
    );
    out.extend(pair(body, "spam.excuse_remove", 3.299, &["to be removed from"], &["mailings", "offers"], 20));
    out.extend(pair(
        body,
        "spam.urgent_business",
        0.573,
        &["urgent"],
        &[
            "assistance",
            "business",
            "buy",
            "confidential",
            "notice",
            "proposal",
            "reply",
            "request",
            "response",
        ],
        16,
    ));
    out.extend(pair(
        body,
        "spam.free_quote",
        1.297,
        &["free instant", "free online", "free express", "free no-obligation", "free no obligation"],
        &["quote"],
        32,
    ));
    out
}

/// `first` followed by one of `second` within `gap` characters.
fn pair(body: &str, rule: &str, points: f64, first: &[&str], second: &[&str], gap: usize) -> Option<Finding> {
    let heads = first.iter().flat_map(|f| text::find_phrase(body, f));
    heads.into_iter().find_map(|head| {
        let rest = Span::new(head.end, body.len()).of(body);
        let longest = second.iter().map(|s| s.len()).max().unwrap_or(0);
        let near: String = rest.chars().take(gap + longest + 1).collect();
        second
            .iter()
            .any(|s| text::has_phrase(&near, s))
            .then(|| hit(rule, points, "a phrase that mail filters punish", "say it another way").at(head))
    })
}

fn host_of(link: &str) -> String {
    let rest = link.split_once("://").map_or(link, |(_, r)| r);
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = host.rsplit('@').next().unwrap_or(host).split(':').next().unwrap_or("");
    host.trim_start_matches("www.").to_ascii_lowercase()
}

fn link_rules(body: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let links = text::links(body);
    let words = text::words(body).len();
    // One link is always fine; a second needs its 40 words.
    if links.len() > 1 && links.len() * 40 > words {
        out.push(hit(
            "spam.own_link_density",
            1.0,
            "more than one link per 40 words",
            "keep the one link that matters",
        ));
    }
    for span in links {
        out.extend(host_rules(&host_of(span.of(body))).into_iter().map(|f| f.at(span)));
    }
    out
}

fn host_rules(host: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        out.push(hit("spam.numeric_host", 1.242, "a link to a number instead of a name", "link to a domain"));
    }
    if SHORTENERS.contains(&host) {
        out.push(hit("spam.own_shortener", 0.8, "a link of a public shortener", "link to your own domain"));
    }
    out
}

fn html_rules(source: &str, body: &str) -> Vec<Finding> {
    let html = html::read(source);
    let mut out = Vec::new();
    if body.trim().is_empty() {
        out.push(hit("spam.html_only", 0.1, "the mail has no text part", "add one"));
    }
    let bytes = html.text.split_whitespace().map(str::len).sum::<usize>();
    // HTML_IMAGE_ONLY_04 .. _32: an image and this many hundred bytes of words.
    let points = [1.172, 1.651, 2.059, 1.092, 1.546, 1.618, 1.404, 0.001];
    if let Some(points) = points.get(bytes / 400).filter(|_| html.images > 0) {
        out.push(hit("spam.image_only", *points, "an image and few words", "say it in words too"));
    }
    if html.has_hidden_colour {
        out.push(hit("spam.low_contrast", 0.001, "text in the colour of its background", "make it readable"));
    }
    for (href, label) in &html.links {
        let shown = host_of(label);
        let looks_like_host = shown.contains('.') && !shown.contains(' ') && !label.contains(' ');
        if looks_like_host && !label.contains('@') && shown != host_of(href) {
            out.push(hit(
                "spam.own_link_mismatch",
                2.5,
                "a link shows one address and leads to another",
                "show where it leads",
            ));
        }
        out.extend(host_rules(&host_of(href)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(found: &[Finding]) -> Vec<&str> {
        found.iter().map(|f| f.rule.as_str()).collect()
    }

    #[test]
    fn each_text_rule_has_its_points() {
        for (text, rule, points) in [
            ("This is 100% guaranteed to work.", "spam.guaranteed", 2.699),
            ("Dear friend, hello.", "spam.dear_friend", 2.577),
            ("Dear Sir, hello.", "spam.dear_something", 1.973),
            ("Dear winner, hello.", "spam.dear_winner", 3.099),
            ("To be removed from all future mailings, write.", "spam.excuse_remove", 3.299),
            ("An URGENT and small business matter.", "spam.urgent_business", 0.573),
            ("Get a free instant home quote.", "spam.free_quote", 1.297),
            ("Go to http://203.0.113.5/x now", "spam.numeric_host", 1.242),
            ("Go to https://bit.ly/abc now", "spam.own_shortener", 0.8),
            ("Really?! Yes.", "spam.mixed_marks", 0.1),
            ("A! B! C! D! E!", "spam.own_exclamation", 0.7),
        ] {
            let found = spam_text(text);
            assert_eq!(rules(&found), [rule], "{text}");
            assert!((found[0].score - points).abs() < 1e-9, "{text}");
        }
        assert!(spam_text(GTUBE).iter().any(|f| f.score > 100.0));
    }

    #[test]
    fn mail_parts_are_checked() {
        let mail = SpamMail {
            subject: Some("RE: BUY THIS NOW OK"),
            body: "Fine.",
            has_date: Some(false),
            has_message_id: Some(false),
            ..SpamMail::default()
        };
        assert_eq!(
            rules(&spam_mail(&mail)),
            ["spam.subject_capitals", "spam.missing_message_id", "spam.missing_date"]
        );
        assert_eq!(rules(&spam_mail(&SpamMail::default())), ["spam.missing_subject", "spam.empty"]);
        assert!(
            spam_mail(&SpamMail { subject: Some("NASA"), body: "Fine.", ..SpamMail::default() }).is_empty()
        );
    }

    #[test]
    fn html_is_read_for_images_and_false_links() {
        let html = "<img src='a'><p>Hi</p><a href='https://evil.example/x'>bank.example</a>";
        let found = html_rules(html, "");
        assert_eq!(rules(&found), ["spam.html_only", "spam.image_only", "spam.own_link_mismatch"]);
        assert!((found[1].score - 1.172).abs() < 1e-9);
    }

    #[test]
    fn one_link_in_a_short_text_is_fine() {
        assert!(spam_text("Book here: https://brand.example/tasting").is_empty());
        assert_eq!(rules(&spam_text("https://a.example https://b.example")), ["spam.own_link_density"]);
    }
}
