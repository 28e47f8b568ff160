//! Reads a brief file and names every fault, not only the first.

use jiff::civil;
use neonhub_core::{Currency, Error, Fault, Money, Result, Timestamp, zone};
use toml::{Table, Value};

use super::near::nearest;
use super::{Brief, BriefSender, CampaignChannel};

const OPERATION: &str = "campaign.brief";
const FIELDS: &[&str] = &[
    "goal",
    "brand",
    "audience_text",
    "key_messages",
    "offer",
    "channels",
    "budget",
    "start",
    "end",
    "must_say",
    "must_not_say",
    "locale",
    "timezone",
    "sender",
    "landing_url",
];
const BUDGET: &[&str] = &["amount", "currency"];
const SENDER: &[&str] = &["email", "name", "postal_address", "unsubscribe_url"];

/// Parses the file; see [`Brief::from_toml`].
pub(super) fn parse(text: &str) -> Result<Brief> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table: Table = text.parse().map_err(|e: toml::de::Error| syntax(text, &e))?;
    let mut read = Reader { faults: Vec::new() };
    let brief = read.brief(&table);
    let mut faults = read.faults;
    // A field that could not be read holds a stand-in; what the checks say about it would only confuse.
    let stands_in = |field: &str| {
        faults.iter().any(|f| {
            field == f.field
                || field.strip_prefix(&f.field).is_some_and(|rest| rest.starts_with(['.', '[']))
                || (field == "end" && f.field == "start")
        })
    };
    let more: Vec<_> = brief.faults().into_iter().filter(|f| !stands_in(&f.field)).collect();
    faults.extend(more);
    if faults.is_empty() {
        return Ok(brief);
    }
    faults.sort_by_key(|f| place(&f.field));
    Err(Error::faults(OPERATION, faults))
}

/// Where the field stands in the brief; unknown keys come last.
fn place(field: &str) -> usize {
    let head = field.split(['.', '[']).next().unwrap_or(field);
    FIELDS.iter().position(|f| *f == head).unwrap_or(FIELDS.len())
}

fn syntax(text: &str, fault: &toml::de::Error) -> Error {
    let before = fault.span().and_then(|s| text.get(..s.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let why = fault.message().lines().next().unwrap_or("").trim_end_matches('.').to_owned();
    Error::invalid(OPERATION, format!("line {line}"), format!("not TOML: {why}"))
}

struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { field: field.into(), message: message.into() });
    }

    fn brief(&mut self, table: &Table) -> Brief {
        self.unknown("", table, FIELDS);
        let timezone = self.text(table, "", "timezone");
        let window = |read: &mut Self, field, last| read.instant(table, field, &timezone, last);
        Brief {
            start: window(self, "start", false),
            end: window(self, "end", true),
            goal: self.text(table, "", "goal"),
            brand: self.text(table, "", "brand"),
            audience_text: self.text(table, "", "audience_text"),
            key_messages: self.list(table, "key_messages", true),
            offer: table.contains_key("offer").then(|| self.text(table, "", "offer")),
            channels: self.channels(table),
            budget: self.budget(table),
            must_say: self.list(table, "must_say", false),
            must_not_say: self.list(table, "must_not_say", false),
            locale: locale(&self.text(table, "", "locale")),
            sender: self.sender(table),
            landing_url: self.text(table, "", "landing_url"),
            timezone,
        }
    }

    fn unknown(&mut self, path: &str, table: &Table, known: &[&str]) {
        for key in table.keys().filter(|k| !known.contains(&k.as_str())) {
            let cure = match nearest(key, known) {
                Some(meant) => format!("unknown key, did you mean {path}{meant}"),
                None => format!("unknown key, known are {}", known.join(", ")),
            };
            self.fault(format!("{path}{key}"), cure);
        }
    }

    /// The text of a key, trimmed; a stand-in and a fault when it is missing or no text.
    fn text(&mut self, table: &Table, path: &str, key: &str) -> String {
        match table.get(key) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(other) => {
                self.fault(format!("{path}{key}"), format!("expected a text, found {}", kind(other)));
                String::new()
            }
            None => {
                self.fault(format!("{path}{key}"), missing(path, key));
                String::new()
            }
        }
    }

    fn list(&mut self, table: &Table, key: &str, needed: bool) -> Vec<String> {
        let items = match table.get(key) {
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.fault(key, format!("expected a list of texts, found {}", kind(other)));
                return Vec::new();
            }
            None if needed => {
                self.fault(key, missing("", key));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut texts = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.trim().to_owned()),
                other => {
                    self.fault(format!("{key}[{i}]"), format!("expected a text, found {}", kind(other)));
                    texts.push(String::new());
                }
            }
        }
        texts
    }

    fn channels(&mut self, table: &Table) -> Vec<CampaignChannel> {
        let words = self.list(table, "channels", true);
        let mut channels = Vec::new();
        for (i, word) in words.iter().enumerate() {
            let field = format!("channels[{i}]");
            match CampaignChannel::parse(&field, word) {
                Ok(channel) => channels.push(channel),
                Err(_) if self.faults.iter().any(|f| f.field == field) => {}
                Err(_) => {
                    let shown: String = word.chars().take(40).collect();
                    self.fault(field, format!("{shown:?} is no channel, {}", super::channel::expected()));
                }
            }
        }
        if channels.is_empty() && !words.is_empty() {
            // Each word has its fault already; a stand-in keeps the list from counting as empty too.
            channels.push(CampaignChannel::Email);
        }
        channels
    }

    fn budget(&mut self, table: &Table) -> Money {
        let shape = "{ amount = 500000, currency = \"EUR\" }";
        let Some(part) = self.part(table, "budget", shape) else {
            return Money { minor: 0, currency: stand_in_currency() };
        };
        self.unknown("budget.", part, BUDGET);
        let currency = self.currency(part);
        let minor = match part.get("amount") {
            Some(Value::Integer(minor)) => *minor,
            Some(other) => {
                let found = kind(other);
                self.fault("budget.amount", format!("expected whole minor units (cents), found {found}"));
                0
            }
            None => {
                self.fault("budget.amount", "missing, write the whole amount in minor units (cents)");
                0
            }
        };
        Money::new(minor, currency).unwrap_or_else(|_| {
            self.fault("budget.amount", "is over 10^15 minor units");
            Money { minor: 0, currency }
        })
    }

    fn currency(&mut self, part: &Table) -> Currency {
        let code = self.text(part, "budget.", "currency");
        Currency::parse("budget.currency", &code).unwrap_or_else(|_| {
            if !self.faults.iter().any(|f| f.field == "budget.currency") {
                self.fault("budget.currency", "expected an ISO 4217 code such as EUR");
            }
            stand_in_currency()
        })
    }

    fn sender(&mut self, table: &Table) -> BriefSender {
        let none = Table::new();
        let shape = "a table with email, name, postal_address and unsubscribe_url";
        let part = self.part(table, "sender", shape);
        let mut one = |key| part.map_or(String::new(), |t| self.text(t, "sender.", key));
        let (email, name) = (one("email"), one("name"));
        let (postal_address, unsubscribe_url) = (one("postal_address"), one("unsubscribe_url"));
        self.unknown("sender.", part.unwrap_or(&none), SENDER);
        BriefSender { email, name, postal_address, unsubscribe_url }
    }

    fn part<'t>(&mut self, table: &'t Table, key: &str, shape: &str) -> Option<&'t Table> {
        match table.get(key) {
            Some(Value::Table(part)) => Some(part),
            Some(other) => {
                self.fault(key, format!("expected {shape}, found {}", kind(other)));
                None
            }
            None => {
                self.fault(key, format!("missing, write {shape}"));
                None
            }
        }
    }

    fn instant(&mut self, table: &Table, field: &str, timezone: &str, last: bool) -> Timestamp {
        let text = match table.get(field) {
            Some(Value::Datetime(at)) => at.to_string(),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(other) => {
                self.fault(field, format!("expected a date or time, found {}", kind(other)));
                return Timestamp::EPOCH;
            }
            None => {
                self.fault(field, missing("", field));
                return Timestamp::EPOCH;
            }
        };
        instant(&text, timezone, last).unwrap_or_else(|| {
            // A bad zone has its own fault; then a local time only says what would do without one.
            let cure = match zone("timezone", timezone) {
                Err(_) if civil_time(&text).is_some() => "needs a valid timezone, or an offset as in",
                _ => "expected a date or a time such as 2026-11-24, 2026-11-24T09:00:00 or",
            };
            self.fault(field, format!("{cure} 2026-11-24T09:00:00Z"));
            Timestamp::EPOCH
        })
    }
}

/// EUR, which the table of currencies always knows.
fn stand_in_currency() -> Currency {
    let parsed = Currency::parse("budget.currency", "EUR");
    parsed.unwrap_or_else(|_| unreachable!("EUR is in ISO 4217"))
}

/// A civil time and whether the text named the day only.
fn civil_time(text: &str) -> Option<(civil::DateTime, bool)> {
    if let Ok(day) = text.parse::<civil::Date>()
        && text.len() == 10
    {
        return Some((day.to_datetime(civil::Time::midnight()), true));
    }
    text.replacen(' ', "T", 1).parse().ok().map(|at| (at, false))
}

fn instant(text: &str, timezone: &str, last: bool) -> Option<Timestamp> {
    if let Ok(at) = Timestamp::parse("at", &text.replacen(' ', "T", 1)) {
        return Some(at);
    }
    let (mut at, is_day) = civil_time(text)?;
    // A text with an offset is no local time: reading it as one would move it.
    if text.ends_with(['z', 'Z']) || text.get(10..).is_some_and(|t| t.contains(['+', '-'])) {
        return None;
    }
    if is_day && last {
        at = at.date().tomorrow().ok()?.to_datetime(civil::Time::midnight());
    }
    let zone = zone("timezone", timezone).ok()?;
    Some(zone.to_timestamp(at).ok()?.into())
}

/// `en_gb` as `en-GB`: the form people type, as BCP 47 writes it.
fn locale(text: &str) -> String {
    let parts = text.split(['-', '_']).enumerate().map(|(i, part)| match (i, part.len()) {
        (0, _) => part.to_lowercase(),
        (_, 2) => part.to_uppercase(),
        (_, 4) => {
            let mut chars = part.chars();
            let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
            first + &chars.as_str().to_lowercase()
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("-")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn missing(path: &str, key: &str) -> &'static str {
    match (path, key) {
        ("", "goal") => "missing, say in a sentence what the campaign should reach",
        ("", "brand") => "missing, name the brand that speaks",
        ("", "audience_text") => "missing, say in plain words whom it speaks to",
        ("", "key_messages") => "missing, list 1 to 10 messages that should stick",
        ("", "channels") => {
            "missing, list at least one of email, sms, x, linkedin, instagram, facebook, ads, blog"
        }
        ("", "start") => "missing, write the first instant, such as 2026-11-24T09:00:00Z",
        ("", "end") => "missing, write the last instant, such as 2026-12-15T18:00:00Z",
        ("", "locale") => "missing, write language and region such as en-GB",
        ("", "timezone") => "missing, write an IANA time zone such as Europe/London",
        ("", "landing_url") => "missing, write the https address every link leads to",
        ("budget.", "currency") => "missing, write an ISO 4217 code such as EUR",
        ("sender.", "email") => "missing, write the From address",
        ("sender.", "name") => "missing, write the name in the From line",
        ("sender.", "postal_address") => "missing, the law asks for a postal address in every marketing mail",
        ("sender.", "unsubscribe_url") => "missing, write the https address of one-click unsubscribe",
        _ => "missing, write a text",
    }
}

#[cfg(test)]
#[path = "brief_tests.rs"]
mod tests;
