//! From the cells of a row to a contact, with what was wrong.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, Target, name};
use super::consent::{self, ConsentCells, GivenConsent};
use super::record::Cells;
use crate::people::fields;
use crate::people::limits::{MAX_NAME_CHARS, MAX_TAG_CHARS, MAX_TAGS, MAX_TRAIT_BYTES};
use crate::people::normalise::{Normal, Refusal, Region, email, is_blocked, phone};

/// What is wrong with one field of one row. The reason never holds the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowFault {
    /// The data row, from 1; the header is not counted.
    pub row: u64,
    /// The line in the file that the row begins at, from 1.
    pub line: u64,
    /// The column, or `row`.
    pub field: String,
    /// What was expected.
    pub reason: String,
    /// True when nobody was imported from this row.
    pub row_rejected: bool,
}

/// An identifier of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenIdentity {
    /// The key it is found by.
    pub normal: Normal,
    /// The value as the file has it, trimmed.
    pub value: Box<str>,
}

/// One data row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactRow {
    /// The data row, from 1.
    pub row: u64,
    /// The line in the file, from 1.
    pub line: u64,
    /// The e-mail address.
    pub email: Option<GivenIdentity>,
    /// The phone number.
    pub phone: Option<GivenIdentity>,
    /// First name.
    pub first_name: Option<Box<str>>,
    /// Last name.
    pub last_name: Option<Box<str>>,
    /// Language, BCP 47.
    pub locale: Option<Box<str>>,
    /// Time zone, IANA.
    pub timezone: Option<Box<str>>,
    /// Country, ISO 3166.
    pub country: Option<Box<str>>,
    /// Consents with their proof.
    pub consents: Vec<GivenConsent>,
    /// Tags, each once.
    pub tags: Vec<Box<str>>,
    /// Other columns, by name.
    pub traits: Vec<(Arc<str>, Box<str>)>,
    /// What was wrong.
    pub faults: Vec<RowFault>,
}

impl ContactRow {
    /// False when the row has nothing that a person could be found by.
    #[must_use]
    pub fn is_importable(&self) -> bool {
        self.email.is_some() || self.phone.is_some()
    }
}

/// Collects the faults of one row.
pub(super) struct Faulty<'a> {
    row: u64,
    line: u64,
    faults: &'a mut Vec<RowFault>,
}

impl Faulty<'_> {
    pub(super) fn note(&mut self, field: impl Into<String>, reason: impl Into<Cow<'static, str>>) {
        self.faults.push(RowFault {
            row: self.row,
            line: self.line,
            field: field.into(),
            reason: reason.into().into_owned(),
            row_rejected: false,
        });
    }
}

/// What rows without a country fall back to, and what was looked up before.
#[derive(Debug, Default)]
pub struct Defaults {
    region: Option<Region>,
    /// Countries repeat from row to row; their look-up is worth keeping.
    countries: Mutex<HashMap<Box<str>, Option<Country>>>,
    zones: Mutex<HashMap<Box<str>, Option<()>>>,
}

/// Most different values of a column that are remembered: a column of rubbish must not grow without end.
const MAX_REMEMBERED: usize = 1_000;

/// Looks a value up once.
fn remembered<T: Clone>(
    known: &Mutex<HashMap<Box<str>, Option<T>>>,
    cell: &str,
    look_up: impl FnOnce() -> Option<T>,
) -> Option<T> {
    let Ok(mut known) = known.lock() else { return look_up() };
    if let Some(found) = known.get(cell) {
        return found.clone();
    }
    let found = look_up();
    if known.len() < MAX_REMEMBERED {
        known.insert(cell.into(), found.clone());
    }
    found
}

/// A country code, and its region when it has a numbering plan.
type Country = (Box<str>, Option<Region>);

impl Defaults {
    pub(super) fn new(region: Option<&str>) -> Self {
        Defaults { region: region.and_then(Region::parse), ..Self::default() }
    }

    fn country(&self, cell: &str) -> Option<Country> {
        remembered(&self.countries, cell, || {
            let code = fields::country(cell)?;
            let region = Region::parse(&code);
            Some((code.into(), region))
        })
    }

    fn is_zone(&self, cell: &str) -> bool {
        remembered(&self.zones, cell, || neonhub_core::zone("timezone", cell).ok().map(|_| ())).is_some()
    }
}

/// A row that could not be cut into cells.
pub(super) fn broken(row: u64, line: u64, reason: &'static str) -> ContactRow {
    let mut out = ContactRow { row, line, ..ContactRow::default() };
    out.faults.push(RowFault { row, line, field: "row".into(), reason: reason.into(), row_rejected: true });
    out
}

/// Reads a row.
pub(super) fn read(row: u64, cells: &Cells<'_>, columns: &Columns, defaults: &Defaults) -> ContactRow {
    let line = cells.line();
    let mut out = ContactRow { row, line, ..ContactRow::default() };
    let mut noted = Vec::new();
    let mut faults = Faulty { row, line, faults: &mut noted };
    if cells.iter().skip(columns.targets().len()).any(|c| !c.trim().is_empty()) {
        // Which cell is the surplus one cannot be told, and a consent must not be read from the wrong column.
        return broken(
            row,
            line,
            "has more cells than the header: a value with the delimiter in it needs quotes",
        );
    }
    let mut consents = ConsentCells::default();
    let (mut mail, mut number, mut country) = ("", "", "");
    for (target, cell) in columns.targets().iter().zip(cells.iter()) {
        match target {
            Target::Email => mail = cell,
            Target::Phone => number = cell,
            Target::Country => country = cell,
            Target::ConsentEmail => consents.email = cell,
            Target::ConsentSms => consents.sms = cell,
            Target::ConsentAt => consents.at = cell,
            Target::ConsentSource => consents.source = cell,
            Target::ConsentText => consents.text = cell,
            other => fill(&mut out, other, cell, defaults, &mut faults),
        }
    }
    let region = read_country(&mut out, country, defaults, &mut faults);
    out.email = identity("email", mail, email, &mut faults);
    out.phone = identity("phone", number, |v| phone(v, region), &mut faults);
    if out.is_importable() {
        out.consents = consent::read(&consents, &mut faults);
    } else {
        faults.note("row", "has no usable email or phone");
        noted.iter_mut().for_each(|f| f.row_rejected = true);
    }
    out.faults = noted;
    out
}

fn read_country(
    out: &mut ContactRow,
    cell: &str,
    defaults: &Defaults,
    faults: &mut Faulty<'_>,
) -> Option<Region> {
    let cell = cell.trim();
    if cell.is_empty() {
        return defaults.region;
    }
    match if cell.len() <= 8 { defaults.country(cell) } else { None } {
        Some((code, region)) => {
            out.country = Some(code);
            region.or(defaults.region)
        }
        None => {
            faults.note("country", "expected a country code of ISO 3166 such as AT");
            defaults.region
        }
    }
}

fn identity(
    field: &'static str,
    cell: &str,
    normalise: impl FnOnce(&str) -> Result<Normal, Refusal>,
    faults: &mut Faulty<'_>,
) -> Option<GivenIdentity> {
    let value = cell.trim();
    if value.is_empty() {
        return None;
    }
    let normal = if is_blocked(value) { Err(Refusal::Blocked) } else { normalise(value) };
    match normal {
        Ok(normal) => Some(GivenIdentity { normal, value: value.into() }),
        Err(refusal) => {
            faults.note(field, refusal.message().to_owned());
            None
        }
    }
}

fn fill(out: &mut ContactRow, target: &Target, cell: &str, defaults: &Defaults, faults: &mut Faulty<'_>) {
    let value = cell.trim();
    if value.is_empty() {
        return;
    }
    match target {
        Target::FirstName => out.first_name = short("first_name", value, faults),
        Target::LastName => out.last_name = short("last_name", value, faults),
        Target::Locale => match fields::locale(value) {
            Some(locale) => out.locale = Some(locale.into()),
            None => faults.note("locale", "expected a language tag such as de-AT"),
        },
        Target::Timezone if value.len() <= 64 && defaults.is_zone(value) => out.timezone = Some(value.into()),
        Target::Timezone => faults.note("timezone", "expected an IANA time zone such as Europe/Vienna"),
        Target::Tags => out.tags = tags(value, faults),
        Target::Trait(name) if value.len() <= MAX_TRAIT_BYTES => {
            out.traits.push((Arc::clone(name), value.into()))
        }
        Target::Trait(_) => faults
            .note(name(target), format!("has {} bytes, at most {MAX_TRAIT_BYTES} are kept", value.len())),
        _ => {}
    }
}

fn short(field: &'static str, value: &str, faults: &mut Faulty<'_>) -> Option<Box<str>> {
    match fields::name(value) {
        Some(name) => Some(name.into()),
        None => {
            faults.note(
                field,
                format!("expected at most {MAX_NAME_CHARS} characters without control characters"),
            );
            None
        }
    }
}

fn tags(value: &str, faults: &mut Faulty<'_>) -> Vec<Box<str>> {
    let mut tags: Vec<Box<str>> = Vec::new();
    for tag in value.split(';').map(str::trim).filter(|t| !t.is_empty()) {
        if tag.chars().count() > MAX_TAG_CHARS || tags.len() >= MAX_TAGS {
            faults.note(
                "tags",
                format!("expected at most {MAX_TAGS} tags of at most {MAX_TAG_CHARS} characters"),
            );
            break;
        }
        if !tags.iter().any(|have| **have == *tag) {
            tags.push(tag.into());
        }
    }
    tags
}
