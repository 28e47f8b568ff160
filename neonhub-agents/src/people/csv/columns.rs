//! The header: which column means what.

use std::sync::Arc;

use neonhub_core::{Faults, Result};

use crate::people::limits::{MAX_TRAIT_NAME_CHARS, MAX_TRAITS};

/// What a column fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The e-mail address.
    Email,
    /// The phone number.
    Phone,
    /// The first name.
    FirstName,
    /// The last name.
    LastName,
    /// The language, BCP 47.
    Locale,
    /// The time zone, IANA.
    Timezone,
    /// The country, ISO 3166.
    Country,
    /// Consent to marketing by e-mail.
    ConsentEmail,
    /// Consent to marketing by SMS.
    ConsentSms,
    /// Since when the consents hold, RFC 3339.
    ConsentAt,
    /// Where the consents were given.
    ConsentSource,
    /// The wording of the consents.
    ConsentText,
    /// Tags, separated by `;`.
    Tags,
    /// A trait of this name.
    Trait(Arc<str>),
    /// Nothing: a column without a name.
    Nothing,
}

/// The columns of a contacts file by name.
pub const KNOWN_COLUMNS: [(&str, Target); 13] = [
    ("email", Target::Email),
    ("phone", Target::Phone),
    ("first_name", Target::FirstName),
    ("last_name", Target::LastName),
    ("locale", Target::Locale),
    ("timezone", Target::Timezone),
    ("country", Target::Country),
    ("consent_email", Target::ConsentEmail),
    ("consent_sms", Target::ConsentSms),
    ("consent_at", Target::ConsentAt),
    ("consent_source", Target::ConsentSource),
    ("consent_text", Target::ConsentText),
    ("tags", Target::Tags),
];

/// The known word of a header cell: trimmed, lower-case, spaces and hyphens as underscores.
fn word(cell: &str) -> String {
    cell.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_lowercase().replace([' ', '-'], "_")
}

pub(super) fn is_known(cell: &str) -> bool {
    let word = word(cell);
    KNOWN_COLUMNS.iter().any(|(name, _)| *name == word)
}

/// The columns of a file, in its order.
#[derive(Clone, Debug)]
pub struct Columns {
    targets: Vec<Target>,
    missing: Vec<&'static str>,
}

impl Columns {
    /// Reads a header. `mapping` renames columns of the file before they are looked up.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault: missing, doubled and too many columns.
    pub(super) fn new(header: &[String], mapping: &[(String, String)]) -> Result<Self> {
        let mut faults = Faults::new();
        let mut targets: Vec<Target> = Vec::with_capacity(header.len());
        for (from, to) in mapping {
            faults.check(
                header.iter().any(|h| word(h) == word(from)),
                "mapping",
                format!("the file has no column for {to}"),
            );
            faults.check(is_known(to), "mapping", "expected a known column name on the right side");
        }
        for cell in header {
            let mapped = mapping.iter().find(|(from, _)| word(from) == word(cell)).map_or(cell, |(_, to)| to);
            let target = target(mapped, &mut faults);
            if target != Target::Nothing && targets.contains(&target) {
                faults.push("header", format!("has two columns for {}", name(&target)));
            }
            targets.push(target);
        }
        faults.check(targets.len() <= MAX_TRAITS, "header", "has more than 500 columns");
        let has = |t: &Target| targets.contains(t);
        let missing: Vec<&'static str> =
            KNOWN_COLUMNS.iter().filter(|(_, t)| !has(t)).map(|(name, _)| *name).collect();
        require(&has, &missing, targets.len(), &mut faults);
        faults.into_result(super::OPERATION)?;
        Ok(Columns { targets, missing })
    }

    /// What each column of the file fills.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Known columns that the file does not have and can do without.
    #[must_use]
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }
}

/// A file needs a column that people are found by. Consents without the columns of their proof are reported row by
/// row: the people are imported all the same.
fn require(has: &impl Fn(&Target) -> bool, missing: &[&str], count: usize, faults: &mut Faults) {
    if has(&Target::Email) || has(&Target::Phone) {
        return;
    }
    let hint = if count <= 1 { " (only one column was found: check the delimiter)" } else { "" };
    faults.push("header", format!("missing columns: {}; needed is email or phone{hint}", missing.join(", ")));
}

fn target(cell: &str, faults: &mut Faults) -> Target {
    let word = word(cell);
    if word.is_empty() {
        return Target::Nothing;
    }
    if let Some((_, target)) = KNOWN_COLUMNS.iter().find(|(name, _)| *name == word) {
        return target.clone();
    }
    let name = cell.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if name.chars().count() > MAX_TRAIT_NAME_CHARS || name.chars().any(char::is_control) {
        faults.push("header", "has a column name of more than 64 characters, or with control characters");
        return Target::Nothing;
    }
    Target::Trait(name.into())
}

/// The name of a column for messages.
pub(super) fn name(target: &Target) -> String {
    match target {
        Target::Trait(name) => name.to_string(),
        other => {
            KNOWN_COLUMNS.iter().find(|(_, t)| t == other).map_or_else(String::new, |(n, _)| (*n).to_owned())
        }
    }
}
