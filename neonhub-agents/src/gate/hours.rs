//! Weekly opening hours on local clocks, and the next instant at which all of them are open.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use neonhub_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// No zone moves its clock by more than this at once (Antarctica/Troll: two hours), so a local time further than
/// this from both edges of a window needs no look at the transitions.
const MARGIN: u16 = 120;

/// Open from `start` until just before `end`, in minutes after local midnight. An `end` at or before `start`
/// lies on the next day; equal values are open for 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayWindow {
    /// First open minute of the local day, 0..=1439.
    #[schemars(range(max = 1439))]
    pub start_minute: u16,
    /// First closed minute, 0..=1440.
    #[schemars(range(max = 1440))]
    pub end_minute: u16,
}

impl DayWindow {
    /// A window from and to full hours.
    #[must_use]
    pub const fn hours(start: u16, end: u16) -> Self {
        DayWindow { start_minute: start * 60, end_minute: end * 60 }
    }

    /// The part that both windows share; neither may cross midnight. `None` when nothing is left.
    fn intersect(self, other: DayWindow) -> Option<DayWindow> {
        let start_minute = self.start_minute.max(other.start_minute);
        let end_minute = self.end_minute.min(other.end_minute);
        (start_minute < end_minute).then_some(DayWindow { start_minute, end_minute })
    }

    fn crosses_midnight(self) -> bool {
        self.end_minute <= self.start_minute
    }
}

/// One window a day, Monday first; a day without one is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Week(pub [Option<DayWindow>; 7]);

impl Week {
    /// The same window every day.
    #[must_use]
    pub const fn daily(window: DayWindow) -> Self {
        Week([Some(window); 7])
    }

    /// The same window every day but Sunday.
    #[must_use]
    pub const fn with_sunday(window: DayWindow, sunday: Option<DayWindow>) -> Self {
        let w = Some(window);
        Week([w, w, w, w, w, w, sunday])
    }

    /// Everything but the quiet minutes; equal values mean no quiet time.
    #[must_use]
    pub const fn around_quiet(start: u16, end: u16) -> Self {
        Week::daily(DayWindow { start_minute: end, end_minute: start })
    }

    /// The hours in which both are open, when neither crosses midnight.
    #[must_use]
    pub fn intersect(self, other: Week) -> Option<Week> {
        let pairs = || self.0.iter().zip(other.0.iter());
        if pairs().any(|(a, b)| {
            a.is_some_and(DayWindow::crosses_midnight) || b.is_some_and(DayWindow::crosses_midnight)
        }) {
            return None;
        }
        let mut days = [None; 7];
        for (day, (a, b)) in days.iter_mut().zip(pairs()) {
            *day = a.zip(*b).and_then(|(a, b)| a.intersect(b));
        }
        Some(Week(days))
    }

    fn on(&self, date: Date) -> Option<DayWindow> {
        let index = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.0.get(index).copied().flatten()
    }

    /// True when `at` lies in a window on the clock of `zone`.
    #[must_use]
    pub fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let local = zone.to_datetime(at.to_jiff());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        if let Some(w) = self.on(local.date())
            && !w.crosses_midnight()
            && minute >= w.start_minute + MARGIN
            && minute + MARGIN < w.end_minute
        {
            return true;
        }
        self.intervals(zone, local.date()).any(|(start, end)| start <= at && at < end)
    }

    /// The first instant at or after `at` that lies in a window; `None` when the week is closed.
    fn opening(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(zone, at) {
            return Some(at);
        }
        let today = zone.to_datetime(at.to_jiff()).date();
        (0..=8)
            .filter_map(|days| today.checked_add(i32::from(days as u8).days()).ok())
            .filter_map(|date| self.interval(zone, date))
            .find(|(start, end)| *start >= at && start < end)
            .map(|(start, _)| start)
    }

    /// The windows that begin the day before, on, and after `date`.
    fn intervals(&self, zone: &TimeZone, date: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let days = [date.yesterday().ok(), Some(date), date.tomorrow().ok()];
        days.into_iter().flatten().filter_map(move |date| self.interval(zone, date))
    }

    /// The window that begins on `date`. Where the clock jumps, it starts at the later and ends at the earlier
    /// possible instant, so that no reading of the local time is outside it.
    fn interval(&self, zone: &TimeZone, date: Date) -> Option<(Timestamp, Timestamp)> {
        let window = self.on(date)?;
        let end_date = if window.crosses_midnight() { date.tomorrow().ok()? } else { date };
        let start = instant(zone, date, window.start_minute, true)?;
        let end = instant(zone, end_date, window.end_minute, false)?;
        Some((start, end))
    }
}

fn instant(zone: &TimeZone, date: Date, minute: u16, is_later: bool) -> Option<Timestamp> {
    let (date, minute) = if minute >= DAY { (date.tomorrow().ok()?, minute - DAY) } else { (date, minute) };
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let local = date.to_datetime(Time::new(hour, minute, 0, 0).ok()?);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let at = if is_later { ambiguous.later() } else { ambiguous.earlier() };
    at.ok().map(Timestamp::from)
}

/// The first instant at or after `at` when every week is open on the clock of every zone beside it; `None` when
/// there is none within two weeks.
#[must_use]
pub fn next_opening(at: Timestamp, all: &[(Week, &TimeZone)]) -> Option<Timestamp> {
    let last = at.to_jiff().checked_add(SignedDuration::from_hours(14 * 24)).ok()?;
    let mut at = at;
    loop {
        let mut moved = at;
        for (week, zone) in all {
            moved = week.opening(zone, moved)?;
        }
        if moved == at {
            return Some(at);
        }
        if moved.to_jiff() > last {
            return None;
        }
        at = moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tz(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }
    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text).unwrap()
    }
    fn open(week: Week, zones: &[&str], from: &str) -> Option<String> {
        let zones: Vec<TimeZone> = zones.iter().map(|z| tz(z)).collect();
        let all: Vec<_> = zones.iter().map(|z| (week, z)).collect();
        next_opening(at(from), &all).map(|t| t.to_string())
    }
    const DAYTIME: Week = Week::daily(DayWindow::hours(8, 21));

    #[test]
    fn edges_of_the_window_are_exact() {
        let zone = tz("America/New_York");
        for (local, is_open) in [
            ("2026-11-20T07:59:59-05:00", false),
            ("2026-11-20T08:00:00-05:00", true),
            ("2026-11-20T13:00:00-05:00", true),
            ("2026-11-20T20:59:59-05:00", true),
            ("2026-11-20T21:00:00-05:00", false),
        ] {
            assert_eq!(DAYTIME.is_open(&zone, at(local)), is_open, "{local}");
        }
    }

    #[test]
    fn the_next_opening_is_open_in_every_candidate_zone() {
        assert_eq!(
            open(DAYTIME, &["America/New_York", "America/Los_Angeles"], "2026-11-20T09:00:00-05:00").unwrap(),
            "2026-11-20T16:00:00Z"
        );
        // At 18:30 in California it is past nine in New York: both open next morning.
        assert_eq!(
            open(DAYTIME, &["America/New_York", "America/Los_Angeles"], "2026-11-20T18:30:00-08:00").unwrap(),
            "2026-11-21T16:00:00Z"
        );
    }

    #[test]
    fn windows_that_never_meet_give_none() {
        let week = Week::daily(DayWindow::hours(9, 12));
        assert_eq!(open(week, &["Asia/Tokyo", "America/New_York"], "2026-11-20T00:00:00Z"), None);
        assert_eq!(open(Week([None; 7]), &["UTC"], "2026-11-20T00:00:00Z"), None);
    }

    #[test]
    fn gaps_and_folds_use_the_safe_side() {
        // 2026-03-08 02:00-03:00 does not exist in New York: a window from 02:30 opens at 03:30.
        let week = Week::daily(DayWindow { start_minute: 150, end_minute: 600 });
        assert_eq!(
            open(week, &["America/New_York"], "2026-03-08T01:00:00-05:00").unwrap(),
            "2026-03-08T07:30:00Z"
        );
        // 2026-11-01 01:00-02:00 happens twice: a window from 01:30 opens at the second 01:30, and one to 01:30
        // closes at the first.
        let from = Week::daily(DayWindow { start_minute: 90, end_minute: 600 });
        assert_eq!(
            open(from, &["America/New_York"], "2026-11-01T00:00:00-04:00").unwrap(),
            "2026-11-01T06:30:00Z"
        );
        let to = Week::daily(DayWindow { start_minute: 0, end_minute: 90 });
        assert!(!to.is_open(&tz("America/New_York"), at("2026-11-01T05:30:00Z")));
        assert!(to.is_open(&tz("America/New_York"), at("2026-11-01T05:29:59Z")));
    }

    #[test]
    fn a_window_may_cross_midnight() {
        let night = Week::around_quiet(8 * 60, 22 * 60);
        let zone = tz("Europe/Vienna");
        assert!(night.is_open(&zone, at("2026-11-20T23:30:00+01:00")));
        assert!(night.is_open(&zone, at("2026-11-21T07:59:00+01:00")));
        assert!(!night.is_open(&zone, at("2026-11-21T08:00:00+01:00")));
        assert!(Week::around_quiet(60, 60).is_open(&zone, at("2026-11-21T01:00:00+01:00")));
    }

    #[test]
    fn sundays_may_differ() {
        let texas = Week::with_sunday(DayWindow::hours(9, 21), Some(DayWindow::hours(12, 21)));
        assert_eq!(
            open(texas, &["America/Chicago"], "2026-11-22T09:30:00-06:00").unwrap(),
            "2026-11-22T18:00:00Z"
        );
        let both = texas.intersect(DAYTIME).unwrap();
        assert_eq!(both.0[6], Some(DayWindow::hours(12, 21)));
    }
}
