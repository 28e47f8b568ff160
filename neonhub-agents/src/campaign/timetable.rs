//! When things of a campaign happen, inside its window and on the clock of its zone.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use neonhub_core::Timestamp;

use super::CampaignChannel;

/// Days after the first mail at which the second and the third follow (ours): far enough apart that three
/// mails stay under the default cap of three in seven days together with the text message.
pub(super) const FOLLOW_UP_DAYS: [i64; 2] = [3, 7];

/// The window in which a campaign may act: from the later of its start and now, to its end.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    zone: TimeZone,
}

impl Window {
    /// The window as seen at `now`, or `None` when it is over.
    pub(super) fn new(start: Timestamp, end: Timestamp, now: Timestamp, zone: TimeZone) -> Option<Self> {
        let from = start.max(now);
        (from < end).then_some(Window { from, to: end, zone })
    }

    fn share(&self, part: i64, of: i64) -> Timestamp {
        let span = self.to.as_millis() - self.from.as_millis();
        // Whole minutes: nobody plans a mail for 09:13:42.517.
        let offset = span / of * part / 60_000 * 60_000;
        Timestamp::from_millis(self.from.as_millis() + offset)
    }

    /// When mail `position` (from 1) of the sequence is due: at once, after 3 days, after 7 days at the same
    /// time of day, or at one and two thirds of a window that is too short for that.
    pub(super) fn mail(&self, position: u32) -> Timestamp {
        let Some(index) = position.checked_sub(2).map(|i| i as usize) else { return self.from };
        let days = FOLLOW_UP_DAYS.get(index).or(FOLLOW_UP_DAYS.last()).copied().unwrap_or(0);
        let local = self.from.in_zone(&self.zone);
        let planned = local.checked_add(days.days()).map_or(self.to, |at| at.timestamp().into());
        planned.min(self.share(i64::from(position) - 1, 3))
    }

    /// True when the window holds the whole sequence at its full distances.
    pub(super) fn is_roomy(&self) -> bool {
        let last = FOLLOW_UP_DAYS.last().copied().unwrap_or(0);
        self.to.as_millis() - self.from.as_millis() >= last * 86_400_000 * 3 / 2
    }

    /// When a post appears: the network's first slot inside the window, or its beginning.
    pub(super) fn post(&self, channel: CampaignChannel) -> Timestamp {
        let (hour, minute, weekdays) = slot(channel);
        let mut day: Zoned = self.from.in_zone(&self.zone);
        for _ in 0..8 {
            let at = day.date().to_datetime(Time::constant(hour, minute, 0, 0));
            let instant = self.zone.to_timestamp(at).map(Timestamp::from).unwrap_or(self.from);
            if instant >= self.from && instant <= self.to && weekdays.contains(&day.weekday()) {
                return instant;
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => break,
            }
        }
        self.from
    }
}

/// Hour, minute and weekdays of a network's slot in the campaign's zone. Ours: a cold start until the brand's
/// own best times are known; LinkedIn in the middle of the working week, the others on every day.
fn slot(channel: CampaignChannel) -> (i8, i8, &'static [Weekday]) {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    const MIDWEEK: &[Weekday] = &[Tuesday, Wednesday, Thursday];
    const EVERY_DAY: &[Weekday] = &[Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    match channel {
        CampaignChannel::Linkedin => (9, 30, MIDWEEK),
        CampaignChannel::X => (12, 0, EVERY_DAY),
        CampaignChannel::Facebook => (13, 0, EVERY_DAY),
        CampaignChannel::Instagram => (18, 0, EVERY_DAY),
        _ => (9, 0, EVERY_DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neonhub_core::zone;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text).unwrap()
    }

    fn window(start: &str, end: &str, now: &str, name: &str) -> Window {
        Window::new(at(start), at(end), at(now), zone("zone", name).unwrap()).unwrap()
    }

    #[test]
    fn mails_keep_their_time_of_day_over_a_clock_change() {
        // Vienna leaves summer time on 2026-10-25: 09:00 is 07:00Z before and 08:00Z after.
        let w =
            window("2026-10-20T07:00:00Z", "2026-12-01T00:00:00Z", "2026-10-01T00:00:00Z", "Europe/Vienna");
        assert_eq!(w.mail(1), at("2026-10-20T07:00:00Z"));
        assert_eq!(w.mail(2), at("2026-10-23T07:00:00Z"));
        assert_eq!(w.mail(3), at("2026-10-27T08:00:00Z"));
        assert!(w.is_roomy());
    }

    #[test]
    fn short_windows_squeeze_the_sequence_and_keep_its_order() {
        for minutes in [3, 10, 60, 1_440, 5_000] {
            let end = at("2026-11-24T09:00:00Z").plus(std::time::Duration::from_secs(minutes * 60));
            let zone = zone("zone", "UTC").unwrap();
            let w = Window::new(at("2026-11-24T09:00:00Z"), end, Timestamp::EPOCH, zone).unwrap();
            assert!(w.mail(1) < w.mail(2) && w.mail(2) < w.mail(3) && w.mail(3) <= end, "{minutes} min");
            assert!(!w.is_roomy());
        }
    }

    #[test]
    fn late_launch_moves_the_window_and_a_past_one_is_none() {
        let w = window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11-10T08:00:00Z", "UTC");
        assert_eq!(w.mail(1), at("2026-11-10T08:00:00Z"));
        let utc = zone("zone", "UTC").unwrap();
        assert!(
            Window::new(Timestamp::EPOCH, at("2026-11-01T00:00:00Z"), at("2026-11-01T00:00:00Z"), utc)
                .is_none()
        );
    }

    #[test]
    fn posts_take_the_next_slot_inside_the_window() {
        // 2026-11-27 is a Friday; the next LinkedIn slot is Tuesday morning.
        let w =
            window("2026-11-27T10:00:00Z", "2026-12-20T00:00:00Z", "2026-11-01T00:00:00Z", "Europe/London");
        assert_eq!(w.post(CampaignChannel::Linkedin), at("2026-12-01T09:30:00Z"));
        assert_eq!(w.post(CampaignChannel::X), at("2026-11-27T12:00:00Z"));
        let short =
            window("2026-11-27T10:00:00Z", "2026-11-27T11:00:00Z", "2026-11-01T00:00:00Z", "Europe/London");
        assert_eq!(short.post(CampaignChannel::Instagram), short.from);
    }
}
