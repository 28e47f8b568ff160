//! Legal sending hours by jurisdiction, as dated data. They inform the gate; they are not legal advice.

use super::{Category, Channel, DayWindow, Place, Week};

/// Version of the built-in table; verdicts store it.
pub const LAW_VERSION: &str = "hours-2026-11-21";

const TEXT_AND_CALL: &[Channel] = &[Channel::Sms, Channel::Phone];
const MARKETING: &[Category] = &[Category::Marketing];
const ALL_BUT_CONFIRMATION: &[Category] =
    &[Category::Marketing, Category::Transactional, Category::Conversational, Category::Legal];

/// The hours of one jurisdiction.
#[derive(Clone, Copy, Debug)]
pub struct HoursRow {
    /// Short name, shown as evidence: `US`, `US-FL`, `default`.
    pub id: &'static str,
    /// ISO 3166-1 code; `None` is the row for countries without one of their own.
    pub country: Option<&'static str>,
    /// State or province; `None` covers the whole country.
    pub region: Option<&'static str>,
    /// Channels it binds.
    pub channels: &'static [Channel],
    /// Categories it binds.
    pub categories: &'static [Category],
    /// Open hours on the recipient's clock.
    pub week: Week,
    /// Where the row comes from, with the date it was read.
    pub source: &'static str,
}

const fn state(id: &'static str, region: &'static str, week: Week, source: &'static str) -> HoursRow {
    let (country, region) = (Some("US"), Some(region));
    HoursRow { id, country, region, channels: TEXT_AND_CALL, categories: MARKETING, week, source }
}

const STATE_PAGES: &str =
    "summaries of state telemarketing laws by senders of text messages, read 2026-11-21";

static HOURS: &[HoursRow] = &[
    HoursRow {
        id: "US",
        country: Some("US"),
        region: None,
        channels: TEXT_AND_CALL,
        categories: MARKETING,
        week: Week::daily(DayWindow::hours(8, 21)),
        source: "47 CFR 64.1200(c)(1): not before 8 a.m. or after 9 p.m. at the called party's location",
    },
    HoursRow {
        id: "US-FL",
        country: Some("US"),
        region: Some("FL"),
        channels: TEXT_AND_CALL,
        categories: ALL_BUT_CONFIRMATION,
        week: Week::daily(DayWindow::hours(8, 20)),
        source: "Florida Telephone Solicitation Act, summary in the Postscript help pages",
    },
    state("US-CT", "CT", Week::daily(DayWindow::hours(9, 20)), STATE_PAGES),
    state("US-MD", "MD", Week::daily(DayWindow::hours(8, 20)), STATE_PAGES),
    state("US-MS", "MS", Week::daily(DayWindow::hours(8, 20)), STATE_PAGES),
    state("US-OK", "OK", Week::daily(DayWindow::hours(8, 20)), STATE_PAGES),
    state(
        "US-TX",
        "TX",
        Week::with_sunday(DayWindow::hours(9, 21), Some(DayWindow::hours(12, 21))),
        STATE_PAGES,
    ),
    HoursRow {
        id: "default",
        country: None,
        region: None,
        channels: TEXT_AND_CALL,
        categories: &[Category::Marketing, Category::Conversational],
        week: Week::daily(DayWindow::hours(9, 20)),
        source: "our setting for countries without a row, and for unknown countries in the workspace zone",
    },
];

/// The built-in rows.
#[must_use]
pub fn default_hours() -> &'static [HoursRow] {
    HOURS
}

/// US territories stand under the federal rule.
// 47 USC 153(58): "United States" includes the territories and possessions.
fn law_country(country: &str) -> &str {
    if ["AS", "GU", "MP", "PR", "VI"].contains(&country) { "US" } else { country }
}

/// The rows that bind a message to `place`. A country without a row of its own, and an unknown country, get the
/// default row. Where a country has state rows and the state is unknown, all of them bind.
#[must_use]
pub fn hours_for<'r>(
    rows: &'r [HoursRow],
    place: &Place,
    channel: Channel,
    category: Category,
) -> Vec<&'r HoursRow> {
    let country = place.law_country().map(law_country);
    let regions = place.law_regions();
    let own = |row: &&HoursRow| row.country.is_some() && row.country == country;
    let has_own = rows.iter().any(|row| own(&row) && row.region.is_none());
    rows.iter()
        .filter(|row| if has_own { own(row) } else { row.country.is_none() })
        .filter(|row| row.region.is_none_or(|r| regions.is_empty() || regions.iter().any(|known| known == r)))
        .filter(|row| row.channels.contains(&channel) && row.categories.contains(&category))
        .collect()
}
