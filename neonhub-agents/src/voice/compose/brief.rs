//! What is to be said, and its check.

use neonhub_core::{Fault, Faults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::voice::text;

/// What a text should bring about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// People know of it.
    #[default]
    Awareness,
    /// People visit.
    Traffic,
    /// People leave their details.
    Leads,
    /// People buy.
    Sales,
    /// People come back or stay.
    Retention,
    /// People attend.
    Event,
}

impl Objective {
    /// Reads the objective off the words of a goal; `Awareness` when none tells.
    #[must_use]
    pub fn of_goal(goal: &str) -> Self {
        let has = |list: &[&str]| list.iter().any(|w| text::has_phrase(goal, w));
        if has(&[
            "win back",
            "retain",
            "retention",
            "loyal",
            "loyalty",
            "lapsed",
            "renew",
            "renewal",
            "come back",
            "reactivate",
            "existing customers",
            "churn",
        ]) {
            Objective::Retention
        } else if has(&[
            "event",
            "webinar",
            "workshop",
            "tasting",
            "seats",
            "tickets",
            "attend",
            "attendees",
            "rsvp",
            "conference",
            "festival",
            "open day",
            "open house",
            "party",
            "meetup",
            "concert",
            "opening",
            "invite",
        ]) {
            Objective::Event
        } else if has(&[
            "sell",
            "sales",
            "sale",
            "orders",
            "order",
            "buy",
            "purchase",
            "revenue",
            "discount",
            "pre-orders",
            "bookings",
            "book",
        ]) {
            Objective::Sales
        } else if has(&[
            "leads",
            "sign-ups",
            "signups",
            "sign up",
            "register",
            "registrations",
            "demo",
            "demos",
            "trial",
            "trials",
            "subscribers",
            "waitlist",
            "members",
            "membership",
            "join",
            "newsletter",
            "contact",
        ]) {
            Objective::Leads
        } else if has(&["traffic", "visits", "visitors", "read", "readers", "clicks"]) {
            Objective::Traffic
        } else {
            Objective::Awareness
        }
    }
}

/// What is to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brief {
    /// What the text should reach; for the writer, never printed.
    pub goal: String,
    /// What it is about as a noun phrase, such as `the Aurora lamp`; absent = read from the goal.
    pub topic: Option<String>,
    /// Whom it speaks to; printed only when it is a short name such as `café owners`.
    pub audience_text: String,
    /// What should stick, most important first (at most 10).
    pub key_messages: Vec<String>,
    /// What is offered.
    pub offer: Option<String>,
    /// Phrases that must appear.
    pub must_say: Vec<String>,
    /// Phrases that must not appear.
    pub must_not_say: Vec<String>,
    /// Where links lead: an `http` or `https` address.
    pub landing_url: String,
    /// Language tag, such as `en-GB`.
    pub locale: String,
    /// Name the reader knows the sender by; absent = the brand.
    pub sender_name: Option<String>,
    /// The sender's own contact details, which may stand in a text.
    pub own_contacts: Vec<String>,
}

/// Marks of template languages: a brief is data and never code.
const MARKS: &[&str] = &["{{", "}}", "{%", "%}", "{#", "#}"];

impl Brief {
    /// Every fault by field; empty when the brief is good.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::new();
        let says_something =
            !self.goal.trim().is_empty() || !self.key_messages.is_empty() || self.offer.is_some();
        faults.check(says_something, "goal", "expected a goal, key messages or an offer");
        faults.check(self.key_messages.len() <= 10, "key_messages", "expected at most 10");
        let url = Url::parse(&self.landing_url);
        let is_web = url.as_ref().is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        faults.check(is_web, "landing_url", "expected an address such as https://brand.example/page");
        let lists = [
            ("key_messages", &self.key_messages),
            ("must_say", &self.must_say),
            ("must_not_say", &self.must_not_say),
        ];
        for (field, list) in lists {
            for (i, item) in list.iter().enumerate() {
                check_text(&mut faults, &format!("{field}[{i}]"), item);
            }
        }
        for (field, text) in
            [("offer", &self.offer), ("topic", &self.topic), ("sender_name", &self.sender_name)]
        {
            if let Some(text) = text {
                check_text(&mut faults, field, text);
            }
        }
        for (i, phrase) in self.must_say.iter().enumerate() {
            let clash = self.must_not_say.iter().any(|no| text::has_phrase(phrase, no));
            faults.check(
                !clash,
                format!("must_say[{i}]"),
                "it holds a phrase of must_not_say: take one of them out",
            );
        }
        match faults.into_result("voice.compose") {
            Ok(()) => Vec::new(),
            Err(err) => err.field_faults().to_vec(),
        }
    }
}

fn check_text(faults: &mut Faults, field: &str, text: &str) {
    faults.check(!text.trim().is_empty(), field, "expected text, or leave it out");
    faults.check(text.chars().count() <= 1_000, field, "expected at most 1,000 characters");
    faults.check(
        !MARKS.iter().any(|m| text.contains(m)),
        field,
        "expected plain text without template marks",
    );
    faults.check(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        field,
        "expected text without control characters",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_tell_their_objective() {
        for (goal, want) in [
            ("Win back lapsed guests", Objective::Retention),
            ("Fill 40 seats at the tasting", Objective::Event),
            ("Sell the winter range", Objective::Sales),
            ("Collect sign-ups for the beta", Objective::Leads),
            ("Bring traffic to the blog", Objective::Traffic),
            ("Launch the Aurora lamp", Objective::Awareness),
        ] {
            assert_eq!(Objective::of_goal(goal), want, "{goal}");
        }
    }

    #[test]
    fn every_fault_is_listed() {
        let brief = Brief {
            landing_url: "ftp://x".into(),
            key_messages: vec!["{{ evil }}".into(), " ".into()],
            must_say: vec!["very cheap".into()],
            must_not_say: vec!["cheap".into()],
            ..Brief::default()
        };
        let faults = brief.faults();
        let fields: Vec<_> = faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["landing_url", "key_messages[0]", "key_messages[1]", "must_say[0]"]);
        assert_eq!(
            Brief { landing_url: "https://a.example".into(), ..Brief::default() }.faults()[0].field,
            "goal"
        );
    }
}
