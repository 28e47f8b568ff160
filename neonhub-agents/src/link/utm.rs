//! Campaign parameters (`utm_*`) on links.

use neonhub_core::{Error, Faults, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

const OPERATION: &str = "utm.apply";
/// Longest value of a parameter, in characters. Our setting: longer ones are cut by common reports.
const MAX_VALUE: usize = 200;

/// The parameters. Values are lower-cased and percent-encoded; personal data is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Utm {
    /// Where the click comes from: `newsletter`.
    pub source: String,
    /// The kind of channel: `email`, `sms`, `social`.
    pub medium: String,
    /// The campaign.
    pub campaign: String,
    /// Id of the campaign in another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Keyword of a search ad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// Which link or variant of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Utm {
    /// Names and values in writing order.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let needed =
            [("utm_source", &self.source), ("utm_medium", &self.medium), ("utm_campaign", &self.campaign)];
        let optional = [("utm_id", &self.id), ("utm_term", &self.term), ("utm_content", &self.content)];
        needed
            .into_iter()
            .map(|(name, value)| (name, value.trim()))
            .chain(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?.trim()))))
            .collect()
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        for (name, value) in self.pairs() {
            faults.check(!value.is_empty(), name, "expected a value");
            faults.check(value.chars().count() <= MAX_VALUE, name, "expected at most 200 characters");
            faults.check(!value.chars().any(char::is_control), name, "expected no control characters");
            faults.check(
                !holds_personal_data(value),
                name,
                "expected no e-mail address, phone or card number",
            );
        }
        faults.into_result(OPERATION)
    }
}

/// Puts the parameters on `link`, before its fragment. The existing query stays as it is, an existing `utm_*` is
/// never overwritten, and applying twice is applying once. Links that are not `http(s)`, links to
/// `internal_hosts`, and unsubscribe or preference links come back unchanged.
///
/// # Errors
/// `InvalidInput` when the link is not absolute, a required parameter is empty, or a value holds personal data.
pub fn apply(link: &str, utm: &Utm, internal_hosts: &[String]) -> Result<String> {
    utm.check()?;
    let url = Url::parse(link).map_err(|_| {
        Error::invalid(OPERATION, "url", "expected an absolute link such as https://shop.example/page")
    })?;
    if !is_tagged(&url, internal_hosts) {
        return Ok(link.to_owned());
    }
    let (page, fragment) = match link.split_once('#') {
        Some((page, fragment)) => (page, Some(fragment)),
        None => (link, None),
    };
    let present: Vec<String> = url.query_pairs().map(|(name, _)| name.to_lowercase()).collect();
    let mut out = page.to_owned();
    for (name, value) in utm.pairs() {
        if present.iter().any(|p| p == name) {
            continue;
        }
        match out.split_once('?') {
            None => out.push('?'),
            Some((_, query)) if query.is_empty() || query.ends_with('&') => {}
            Some(_) => out.push('&'),
        }
        out.push_str(name);
        out.push('=');
        encode(&value.to_lowercase(), &mut out);
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    Ok(out)
}

fn is_tagged(url: &Url, internal_hosts: &[String]) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_internal = internal_hosts.iter().any(|h| h.eq_ignore_ascii_case(host));
    let words = ["unsubscribe", "opt-out", "optout", "preferences", "preference"];
    let is_choice = url.path_segments().is_some_and(|mut segments| {
        segments.any(|segment| words.iter().any(|word| segment.eq_ignore_ascii_case(word)))
    });
    matches!(url.scheme(), "http" | "https") && !is_internal && !is_choice
}

// Unreserved characters of RFC 3986 (2005) stay; everything else is percent-encoded.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// An e-mail address, a phone number or a card number.
fn holds_personal_data(value: &str) -> bool {
    let has_address = value.split(|c: char| c.is_whitespace() || ",;<>()".contains(c)).any(|word| {
        word.rsplit_once('@').is_some_and(|(local, domain)| {
            let domain = domain.trim_end_matches('.');
            !local.is_empty()
                && domain.split('.').count() > 1
                && domain.split('.').all(|label| !label.is_empty())
        })
    });
    has_address || digit_runs(value).any(|run| is_number_of_a_person(&run))
}

/// Runs of digits that may be broken by single separators, with a leading plus kept.
fn digit_runs(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split(|c: char| !(c.is_ascii_digit() || "+- .()/".contains(c))).map(|run| {
        let digits: String = run.chars().filter(char::is_ascii_digit).collect();
        if run.trim_start().starts_with('+') { format!("+{digits}") } else { digits }
    })
}

/// With a plus 8 to 15 digits are a phone number (E.164); without one, 10 or 11 digits, or 13 to 19 that pass the
/// Luhn check. Dates (8 digits) and time stamps (12, 14) are not.
fn is_number_of_a_person(run: &str) -> bool {
    match run.strip_prefix('+') {
        Some(digits) => (8..=15).contains(&digits.len()),
        None => matches!(run.len(), 10 | 11) || (13..=19).contains(&run.len()) && luhn(run),
    }
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            let doubled = if i % 2 == 1 { digit * 2 } else { digit };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utm() -> Utm {
        Utm {
            source: "Newsletter".into(),
            medium: "email".into(),
            campaign: "Spring Sale".into(),
            content: Some("step-1".into()),
            ..Utm::default()
        }
    }
    const TAGS: &str = "utm_source=newsletter&utm_medium=email&utm_campaign=spring%20sale&utm_content=step-1";

    #[test]
    fn query_and_fragment_stay() {
        let rows = [
            ("https://shop.example", format!("https://shop.example?{TAGS}")),
            ("https://shop.example/a?x=1&y=%20#top", format!("https://shop.example/a?x=1&y=%20&{TAGS}#top")),
            ("https://shop.example/?#", format!("https://shop.example/?{TAGS}#")),
            ("https://shop.example/a?x=1&", format!("https://shop.example/a?x=1&{TAGS}")),
            ("https://shop.example/#/route?x=1", format!("https://shop.example/?{TAGS}#/route?x=1")),
            (
                "https://shop.example/?UTM_SOURCE=ads",
                format!("https://shop.example/?UTM_SOURCE=ads&{}", TAGS.split_once('&').unwrap().1),
            ),
        ];
        for (link, expected) in rows {
            assert_eq!(apply(link, &utm(), &[]).unwrap(), expected);
        }
    }

    #[test]
    fn some_links_are_never_tagged() {
        let internal = ["intern.example".to_owned()];
        for link in [
            "mailto:a@b.example",
            "tel:+12025550100",
            "sms:+12025550100",
            "https://intern.example/x",
            "https://shop.example/unsubscribe/abc",
            "https://shop.example/Preferences",
        ] {
            assert_eq!(apply(link, &utm(), &internal).unwrap(), link);
        }
        assert!(apply("/relative", &utm(), &[]).is_err());
    }

    #[test]
    fn personal_data_and_missing_values_are_refused_by_field() {
        for value in ["jane@shop.example", "+43 1 234 56 78", "202-555-0100", "4111 1111 1111 1111"] {
            let err = apply("https://a.example", &Utm { campaign: value.into(), ..utm() }, &[]).unwrap_err();
            assert_eq!(err.field_faults()[0].field, "utm_campaign", "{value}");
        }
        for value in ["2026-11-21", "spring_2026", "20261121", "v1.2.3", "202611210900"] {
            assert!(
                apply("https://a.example", &Utm { campaign: value.into(), ..utm() }, &[]).is_ok(),
                "{value}"
            );
        }
        assert_eq!(apply("https://a.example", &Utm::default(), &[]).unwrap_err().field_faults().len(), 3);
    }

    proptest! {
        #[test]
        fn twice_is_once(path in "[a-z/]{0,10}", query in "[a-z=&%0-9]{0,12}", fragment in "[a-z?/]{0,6}") {
            let link = format!("https://shop.example/{path}?{query}#{fragment}");
            let once = apply(&link, &utm(), &[]).unwrap();
            prop_assert_eq!(apply(&once, &utm(), &[]).unwrap(), once.clone());
            let fragment = format!("#{fragment}");
            prop_assert!(once.contains(&query) && once.ends_with(&fragment));
        }
    }
}
