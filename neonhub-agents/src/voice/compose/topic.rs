//! What a campaign is about, as a noun phrase that fits into a sentence, read from its goal.

use crate::voice::text;

/// A noun phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// With its article: `the Aurora lamp`, `our spring menu`.
    pub(super) full: String,
    /// Without: `Aurora lamp`.
    pub(super) bare: String,
    /// `are` rather than `is`.
    pub(super) is_plural: bool,
}

/// Goals of the form "verb + thing".
const VERBS: &[&str] = &[
    "launch",
    "relaunch",
    "introduce",
    "announce",
    "promote",
    "present",
    "unveil",
    "release",
    "showcase",
    "sell",
    "market",
    "advertise",
    "open",
    "publish",
    "celebrate",
    "fill",
    "pre-sell",
    "highlight",
    "tell people about",
    "tell customers about",
    "raise awareness of",
    "raise awareness for",
    "build awareness of",
    "build awareness for",
    "spread the word about",
    "create interest in",
    "generate interest in",
    "drive traffic to",
    "drive sales of",
    "increase sales of",
    "boost sales of",
    "grow sales of",
    "announce the launch of",
    "support the launch of",
    "celebrate the launch of",
    "promote the launch of",
    "the launch of",
    "launch of",
    "introduction of",
];
/// Goals of the form "verb + count noun + for + thing".
const COUNTED: &[&str] = &[
    "sign-ups",
    "signups",
    "sign ups",
    "registrations",
    "bookings",
    "orders",
    "pre-orders",
    "preorders",
    "seats",
    "tickets",
    "places",
    "leads",
    "demos",
    "trials",
    "visits",
    "visitors",
    "downloads",
    "attendees",
    "guests",
    "participants",
    "reservations",
    "subscriptions",
    "applications",
    "interest",
    "attention",
    "members",
    "entries",
    "people",
    "customers",
    "subscribers",
    "readers",
    "enquiries",
    "inquiries",
];
/// Words of the office that no reader should meet.
const INTERNAL: &[&str] = &[
    "customer",
    "customers",
    "lead",
    "leads",
    "revenue",
    "churn",
    "conversion",
    "conversions",
    "traffic",
    "awareness",
    "kpi",
    "kpis",
    "roi",
    "quarter",
    "list",
    "database",
    "subscribers",
    "users",
    "segment",
    "segments",
    "sales",
    "turnover",
    "margin",
    "engagement",
    "reach",
    "retention",
    "audience",
    "visibility",
    "signups",
    "sign-ups",
    "registrations",
    "bookings",
    "campaign",
    "pipeline",
    "target",
    "targets",
    "people",
    "more",
    "brand",
];
/// Where the thing ends and circumstances begin.
const ENDS: &[&str] = &[
    " to ",
    " before ",
    " by ",
    " until ",
    " among ",
    " amongst ",
    " with ",
    " so ",
    " from ",
    " ahead of ",
    " through ",
    " via ",
    " during ",
    " this ",
    " next ",
    " who ",
    " that ",
    " which ",
    " and ",
    " because ",
    " within ",
    " while ",
    " when ",
    " as ",
    " using ",
    ",",
    ";",
    ". ",
    " (",
    ":",
    " \u{2013} ",
    " \u{2014} ",
    " - ",
    " against ",
    " towards ",
    " between ",
    " over ",
    " on ",
];

impl Topic {
    /// A topic that the caller names.
    pub(super) fn named(phrase: &str) -> Option<Self> {
        noun_phrase(phrase)
    }

    /// The words as they are, for languages whose articles change with the case.
    pub(super) fn verbatim(phrase: &str) -> Option<Self> {
        let phrase = phrase.trim();
        let fits = (1..=48).contains(&phrase.chars().count());
        fits.then(|| Topic { full: phrase.to_owned(), bare: phrase.to_owned(), is_plural: false })
    }

    /// The topic of a goal; `None` when the goal does not name a thing in a form that can be trusted.
    pub(super) fn of_goal(goal: &str) -> Option<Self> {
        let goal = goal.trim().trim_end_matches(['.', '!']);
        let lower = goal.to_lowercase();
        if lower.len() != goal.len() {
            return None;
        }
        counted(goal, &lower).or_else(|| invited(goal, &lower)).or_else(|| direct(goal, &lower))
    }

    pub(super) fn capital(&self) -> String {
        text::capitalised(&self.full)
    }
}

fn direct(goal: &str, lower: &str) -> Option<Topic> {
    let verb = VERBS
        .iter()
        .filter(|v| lower.strip_prefix(**v).is_some_and(|r| r.starts_with(' ')))
        .max_by_key(|v| v.len())?;
    noun_phrase(goal.get(verb.len()..)?)
}

/// `Get 200 registrations for our webinar`, `Sell 40 seats at the spring workshop`.
fn counted(goal: &str, lower: &str) -> Option<Topic> {
    let (at, word) =
        COUNTED.iter().filter_map(|w| text::find_phrase(lower, w).first().map(|s| (s.end, w))).min()?;
    let head = lower.get(..at)?;
    if head.split_whitespace().count() > 6 + word.split_whitespace().count() {
        return None;
    }
    let rest = goal.get(at..)?;
    let mark = [" for ", " of ", " at ", " in ", " on ", " to "]
        .iter()
        .filter(|m| rest.starts_with(**m))
        .max_by_key(|m| m.len())?;
    noun_phrase(rest.get(mark.len()..)?)
}

/// `Invite our neighbours to the summer party`.
fn invited(goal: &str, lower: &str) -> Option<Topic> {
    let starts = ["invite ", "bring ", "welcome "].iter().any(|v| lower.starts_with(v));
    let at = starts.then(|| lower.find(" to "))??;
    noun_phrase(goal.get(at + 4..)?)
}

fn noun_phrase(raw: &str) -> Option<Topic> {
    let raw = raw.trim();
    let padded = format!("{raw} ");
    let end = ENDS.iter().filter_map(|m| padded.to_lowercase().find(m)).min().unwrap_or(raw.len());
    let phrase = raw.get(..end.min(raw.len()))?.trim().trim_matches(['"', '\u{201c}', '\u{201d}']);
    let words: Vec<&str> = phrase.split_whitespace().collect();
    let is_internal = |w: &&str| INTERNAL.contains(&w.to_lowercase().as_str());
    let counts = words.iter().any(|w| w.contains('%'))
        || words.first().is_some_and(|w| w.chars().all(|c| c.is_numeric() || c == ','));
    if words.is_empty()
        || words.len() > 7
        || phrase.chars().count() > 48
        || words.iter().any(is_internal)
        || counts
        || has_mark(phrase)
    {
        return None;
    }
    let first = words.first()?.to_lowercase();
    let bare = match first.as_str() {
        "the" | "our" | "a" | "an" | "this" | "my" | "their" | "its" => words.get(1..)?.join(" "),
        _ => phrase.to_owned(),
    };
    let is_plural = plural(&bare);
    let full = match first.as_str() {
        "the" | "our" | "this" | "a" | "an" => format!("{first} {bare}"),
        "their" | "its" | "my" => format!("our {bare}"),
        _ if is_name(&bare) || (is_plural && !bare.chars().next()?.is_lowercase()) => bare.clone(),
        _ => format!("our {bare}"),
    };
    (!bare.is_empty()).then_some(Topic { full, bare, is_plural })
}

fn has_mark(phrase: &str) -> bool {
    phrase.contains(['{', '}', '<', '>', '@', '/', '!', '?'])
}

/// A phrase that begins with a capital and, if it has several words, holds another one or a figure.
fn is_name(bare: &str) -> bool {
    let capital = |w: &str| {
        w.chars().next().is_some_and(|c| c.is_uppercase() || c.is_numeric())
            || w.chars().any(char::is_uppercase)
    };
    let words: Vec<&str> = bare.split_whitespace().collect();
    words.first().is_some_and(|w| capital(w))
        && words.iter().skip(1).filter(|w| !matches!(**w, "of" | "and" | "for")).all(|w| capital(w))
}

/// Number of the head noun: the last word before a preposition.
fn plural(bare: &str) -> bool {
    let head = [" in ", " at ", " of ", " for ", " on "]
        .iter()
        .filter_map(|m| bare.find(m))
        .min()
        .map_or(bare, |p| bare.get(..p).unwrap_or(bare));
    let last = head.split_whitespace().next_back().unwrap_or("").to_lowercase();
    let singular = [
        "ss",
        "us",
        "is",
        "news",
        "series",
        "'s",
        "\u{2019}s",
        "plus",
        "business",
        "access",
        "canvas",
        "campus",
        "atlas",
        "express",
    ];
    matches!(last.as_str(), "people" | "men" | "women" | "children")
        || (last.ends_with('s')
            && last.len() > 3
            && !singular.iter().any(|s| last.ends_with(s))
            && !is_name(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(goal: &str) -> Option<String> {
        Topic::of_goal(goal).map(|t| t.full)
    }

    #[test]
    fn goals_name_their_thing() {
        for (goal, full) in [
            ("Launch the Aurora lamp in Austria", "the Aurora lamp in Austria"),
            ("Promote our spring menu to regulars", "our spring menu"),
            ("Get 200 registrations for our autumn workshop before October", "our autumn workshop"),
            ("Invite neighbours to the summer party on 3 July", "the summer party"),
            ("Sell 40 seats at the wine tasting", "the wine tasting"),
            ("Introduce KestrelDB 5 to platform teams", "KestrelDB 5"),
            ("Promote winter jackets", "our winter jackets"),
            ("Drive sales of the new espresso blend this month", "the new espresso blend"),
            ("Promote spring sale", "our spring sale"),
        ] {
            assert_eq!(of(goal).as_deref(), Some(full), "{goal}");
        }
    }

    #[test]
    fn goals_of_the_office_name_nothing() {
        for goal in [
            "Win back lapsed customers",
            "Increase revenue by 20 %",
            "Grow the newsletter list",
            "Be more visible",
            "",
            "Sell 20% more",
        ] {
            assert_eq!(of(goal), None, "{goal}");
        }
    }

    #[test]
    fn number_follows_the_head_noun() {
        let plural = |g: &str| Topic::of_goal(g).map(|t| t.is_plural);
        assert_eq!(plural("Promote our jackets for children"), Some(true));
        assert_eq!(plural("Promote the glass"), Some(false));
        assert_eq!(plural("Launch the lamp"), Some(false));
    }
}
