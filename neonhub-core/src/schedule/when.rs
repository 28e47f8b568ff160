//! When a schedule fires: pure functions from an instant to the next one.

use std::str::FromStr as _;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Timestamp, zone};

/// The shortest interval.
// Our choice: below it a loop is the better tool.
const MIN_EVERY_MS: u64 = 1_000;
/// Days in a row that a calendar may leave out before it counts as never.
const MAX_SKIPPED: usize = 4_000;

/// The rule of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// A cron expression of 5 fields, or 6 with seconds first, in a time zone. A fixed time that the change to
    /// summer time leaves out fires right after it; one that comes twice in autumn fires at the first.
    Cron {
        /// Such as `0 9 * * mon-fri` or `@hourly`; lists, ranges, steps, names, `L`, `W` and `#`.
        expr: String,
        /// IANA time zone.
        zone: String,
    },
    /// An interval in elapsed time, whatever clocks do.
    Every {
        /// Milliseconds, at least 1000.
        ms: u64,
        /// Counts from here. Default: when the schedule was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anchor: Option<Timestamp>,
    },
    /// Once.
    At {
        /// The instant.
        instant: Timestamp,
    },
    /// Every day at a local time.
    LocalDaily {
        /// `HH:MM` or `HH:MM:SS`.
        time: String,
        /// IANA time zone.
        zone: String,
    },
}

/// Days that a schedule leaves out, in its own time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Calendar {
    /// Dates, such as `2026-12-25`.
    pub skip_dates: Vec<String>,
    /// Only on these days of the week, `mon` to `sun`. Empty: all.
    pub only_weekdays: Vec<String>,
}

/// A rule that was read and is ready to be asked.
#[derive(Debug)]
pub(super) struct Plan {
    rule: Rule,
    pub(super) zone: TimeZone,
    skip: Vec<Date>,
    only: Vec<Weekday>,
}

#[derive(Debug)]
enum Rule {
    Cron(Box<Cron>),
    Every { ms: i64, anchor: i64 },
    At(Timestamp),
}

impl When {
    /// The time zone it names.
    #[must_use]
    pub fn zone_name(&self) -> Option<&str> {
        match self {
            When::Cron { zone, .. } | When::LocalDaily { zone, .. } => Some(zone),
            When::Every { .. } | When::At { .. } => None,
        }
    }

    /// Reads the rule. `home` is the zone of rules that name none; `anchor` is where intervals count from by default.
    pub(super) fn plan(&self, home: &str, anchor: Timestamp, calendar: Option<&Calendar>) -> Result<Plan> {
        let zone = zone("when.zone", self.zone_name().unwrap_or(home))?;
        let rule = match self {
            When::Cron { expr, .. } => Rule::Cron(Box::new(cron(expr)?)),
            When::LocalDaily { time, .. } => Rule::Cron(Box::new(cron(&daily(time)?)?)),
            When::Every { ms, anchor: own } => {
                let fits = (MIN_EVERY_MS..=366 * 86_400_000).contains(ms);
                if !fits {
                    return Err(bad("when.ms", "expected 1000 milliseconds to 366 days"));
                }
                Rule::Every { ms: ms.cast_signed(), anchor: own.unwrap_or(anchor).as_millis() }
            }
            When::At { instant } => Rule::At(*instant),
        };
        let calendar = calendar.cloned().unwrap_or_default();
        let skip = calendar.skip_dates.iter().enumerate().map(|(n, date)| {
            Date::from_str(date)
                .map_err(|_| bad(&format!("calendar.skip_dates[{n}]"), "expected a date such as 2026-12-25"))
        });
        let only = calendar.only_weekdays.iter().enumerate().map(|(n, word)| {
            weekday(word).ok_or_else(|| bad(&format!("calendar.only_weekdays[{n}]"), "expected mon to sun"))
        });
        let plan =
            Plan { rule, zone, skip: skip.collect::<Result<_>>()?, only: only.collect::<Result<_>>()? };
        Ok(plan)
    }
}

fn bad(field: &str, why: &str) -> Error {
    Error::invalid("schedules.create", field.to_owned(), why.to_owned())
}

fn cron(expr: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(expr).map_err(|cause| {
        let why = format!("expected a cron expression of 5 or 6 fields: {cause}");
        bad("when.expr", &why)
    })
}

/// A local time as a cron expression: both follow the same rules when clocks change.
fn daily(time: &str) -> Result<String> {
    let parts: Vec<&str> = time.split(':').collect();
    let number = |text: &&str, below: u8| {
        let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u8>().ok().filter(|n| fits && *n < below)
    };
    let read = match parts.as_slice() {
        [h, m] => number(h, 24).zip(number(m, 60)).map(|(h, m)| (h, m, 0)),
        [h, m, s] => number(h, 24).zip(number(m, 60)).zip(number(s, 60)).map(|((h, m), s)| (h, m, s)),
        _ => None,
    };
    let (h, m, s) = read.ok_or_else(|| bad("when.time", "expected a local time such as 09:30"))?;
    Ok(format!("{s} {m} {h} * * *"))
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

impl Plan {
    /// The first instant after `after`; `None` when there is none.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut at = after;
        for _ in 0..MAX_SKIPPED {
            let next = self.raw(at).filter(|next| *next > at)?;
            if self.is_open(next) {
                return Some(next);
            }
            // Nothing of this day will do: an interval of a second would look at 86 400 of them.
            at = self.end_of_day(next).map_or(next, |end| end.max(next));
            if !matches!(self.rule, Rule::At(_)) && at > next {
                at = at.minus(std::time::Duration::from_millis(1));
            }
        }
        None
    }

    /// The last instant up to `now`, from `first` on, and how many there are; counts to `max`.
    pub(super) fn passed(&self, first: Timestamp, now: Timestamp, max: usize) -> (Vec<Timestamp>, usize) {
        let mut last = std::collections::VecDeque::new();
        let mut count = 0;
        let mut at = Some(first);
        while let Some(instant) = at.filter(|i| *i <= now) {
            count += 1;
            last.push_back(instant);
            if last.len() > max {
                last.pop_front();
            }
            at = match self.jump(instant, now, count) {
                Some((to, between)) => {
                    count += between;
                    Some(to)
                }
                None => self.next(instant),
            };
        }
        (last.into(), count)
    }

    /// After very many instants the rest of an interval is counted at once.
    fn jump(&self, at: Timestamp, now: Timestamp, count: usize) -> Option<(Timestamp, usize)> {
        let Rule::Every { ms, .. } = self.rule else { return None };
        let left = (now.as_millis() - at.as_millis()) / ms;
        let is_long = count >= 200 && left > 200 && self.skip.is_empty() && self.only.is_empty();
        let steps = left - 150;
        let to = Timestamp::from_millis(at.as_millis() + steps * ms);
        is_long.then(|| (to, usize::try_from(steps - 1).unwrap_or(0)))
    }

    fn raw(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron(cron) => {
                let from = after.in_zone(&self.zone);
                cron.find_next_occurrence(&from, false).ok().map(|at| at.timestamp().into())
            }
            Rule::Every { ms, anchor } => {
                let since = after.as_millis() - anchor;
                let steps = if since < 0 { 0 } else { since / ms + 1 };
                Some(Timestamp::from_millis(anchor + steps * ms))
            }
            Rule::At(instant) => Some(*instant),
        }
    }

    fn is_open(&self, at: Timestamp) -> bool {
        if self.skip.is_empty() && self.only.is_empty() {
            return true;
        }
        let local = at.in_zone(&self.zone);
        !self.skip.contains(&local.date()) && (self.only.is_empty() || self.only.contains(&local.weekday()))
    }

    fn end_of_day(&self, at: Timestamp) -> Option<Timestamp> {
        let local = at.in_zone(&self.zone);
        let midnight: Zoned = local.tomorrow().ok()?.start_of_day().ok()?;
        Some(midnight.timestamp().into())
    }

    /// What a reader should know about an instant near a change of clocks.
    pub(super) fn note(&self, at: Timestamp) -> Option<String> {
        let local = at.in_zone(&self.zone);
        let before = at.minus(std::time::Duration::from_millis(1)).in_zone(&self.zone);
        if before.offset() != local.offset() {
            let gap = local.offset().seconds() > before.offset().seconds();
            let what = if gap {
                "the first instant after local time was skipped"
            } else {
                "local time was set back right here"
            };
            return Some(format!("{what}: {} became {}", before.offset(), local.offset()));
        }
        let ambiguous = self.zone.to_ambiguous_zoned(local.datetime());
        if ambiguous.is_ambiguous() {
            let first = ambiguous.earlier().ok()?.timestamp();
            let which = if first == local.timestamp() { "first" } else { "second" };
            return Some(format!("this local time comes twice: the {which} pass"));
        }
        None
    }
}

#[cfg(test)]
#[path = "when_tests.rs"]
mod tests;
