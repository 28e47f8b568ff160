//! The schedule as lanes over time.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use neonhub_core::Timestamp;
use serde::Serialize;

use super::chart::{per_mille, tenths};
use super::{CampaignChannel, ScheduleEntry};

/// Lanes of marks, as percent of the width. Shown is the time in which something happens, not the whole window of
/// a campaign that runs for years.
#[derive(Serialize)]
pub(super) struct Timeline {
    lanes: Vec<Lane>,
    ticks: Vec<Tick>,
}

#[derive(Serialize)]
struct Lane {
    name: &'static str,
    marks: Vec<Mark>,
}

#[derive(Serialize)]
struct Mark {
    from: String,
    /// Width of a span; empty for a point.
    width: String,
    at: String,
    title: String,
}

#[derive(Serialize)]
struct Tick {
    from: String,
    name: String,
}

/// Labels along the axis.
const TICKS: i64 = 5;

/// From the first mark to some time after the last, inside the window.
fn shown(start: Timestamp, end: Timestamp, schedule: &[ScheduleEntry]) -> (Timestamp, Timestamp) {
    let instants = || schedule.iter().map(|e| e.at);
    let (Some(first), Some(last)) = (instants().min(), instants().max()) else { return (start, end) };
    let tail = (last.as_millis() - first.as_millis()) / 4;
    let after = Timestamp::from_millis(last.as_millis() + tail.max(86_400_000));
    (first, after.min(end).max(first))
}

impl Timeline {
    pub(super) fn of(start: Timestamp, end: Timestamp, schedule: &[ScheduleEntry], zone: &TimeZone) -> Self {
        let (start, end) = shown(start, end, schedule);
        let span = u64::try_from(end.as_millis() - start.as_millis()).unwrap_or(0);
        let place = |at: Timestamp| {
            let past = u64::try_from(at.as_millis() - start.as_millis()).unwrap_or(0);
            per_mille(past.min(span), span)
        };
        let mut lanes: BTreeMap<CampaignChannel, Vec<Mark>> = BTreeMap::new();
        for entry in schedule {
            let from = place(entry.at);
            lanes.entry(entry.channel).or_default().push(Mark {
                from: tenths(from),
                width: entry.until.map_or(String::new(), |until| tenths(place(until).saturating_sub(from))),
                at: entry.at.in_zone(zone).strftime("%a %-d %b, %H:%M").to_string(),
                title: entry.title.clone(),
            });
        }
        let tick = |i: i64| {
            let at = Timestamp::from_millis(
                start.as_millis() + (end.as_millis() - start.as_millis()) / (TICKS - 1) * i,
            );
            Tick { from: tenths(place(at)), name: at.in_zone(zone).strftime("%-d %b").to_string() }
        };
        let lanes = lanes.into_iter().map(|(channel, marks)| Lane { name: channel.title(), marks }).collect();
        Timeline { lanes, ticks: (0..TICKS).map(tick).collect() }
    }
}
