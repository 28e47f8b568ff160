//! Frequency caps: how often one person may be written to.

use std::time::Duration;

use neonhub_core::Timestamp;

use super::facts::RecentSend;
use super::{Category, Channel};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapScope {
    /// Messages to the person on the channel of the send.
    Channel,
    /// Messages to the person on all channels.
    Person,
}

/// At most `max` messages of a category in any span of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// What it counts.
    pub scope: CapScope,
    /// Category it binds and counts.
    pub category: Category,
    /// Most messages in the window; 0 lets none through.
    pub max: u32,
    /// Length of the window.
    pub window: Duration,
}

/// Three a week per channel and five a week over all channels, marketing only. Our setting.
pub const DEFAULT_CAPS: &[Cap] = &[
    Cap { scope: CapScope::Channel, category: Category::Marketing, max: 3, window: WEEK },
    Cap { scope: CapScope::Person, category: Category::Marketing, max: 5, window: WEEK },
];

/// When the next message fits under `cap`: `None` when it fits now, else the time of the oldest of the newest
/// `max` plus the window. Counts messages with a time in `(now - window, now]`, and those in the future.
#[must_use]
pub fn next_slot(cap: &Cap, channel: Channel, recent: &[RecentSend], now: Timestamp) -> Option<Timestamp> {
    let since = now.minus(cap.window);
    let mut times: Vec<Timestamp> = recent
        .iter()
        .filter(|s| s.category == cap.category && s.at > since)
        .filter(|s| cap.scope == CapScope::Person || s.channel == channel)
        .map(|s| s.at)
        .collect();
    let max = usize::try_from(cap.max).unwrap_or(usize::MAX);
    if times.len() < max {
        return None;
    }
    if max == 0 {
        return Some(now.plus(cap.window));
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(max - 1).map(|oldest| oldest.plus(cap.window))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(times: &[&str]) -> Vec<RecentSend> {
        let one = |t: &&str| RecentSend {
            at: Timestamp::parse("at", &format!("2026-11-20T{t}:00Z")).unwrap(),
            channel: Channel::Email,
            category: Category::Marketing,
        };
        times.iter().map(one).collect()
    }
    fn cap(max: u32, scope: CapScope) -> Cap {
        Cap { scope, category: Category::Marketing, max, window: Duration::from_secs(24 * 3600) }
    }
    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text).unwrap()
    }

    #[test]
    fn the_fourth_of_three_a_day_waits_for_the_first_to_leave_the_window() {
        let recent = sends(&["09:00", "10:00", "11:00"]);
        let cap = cap(3, CapScope::Channel);
        let noon = at("2026-11-20T12:00:00Z");
        let next = next_slot(&cap, Channel::Email, &recent, noon).unwrap();
        assert_eq!(next, at("2026-11-21T09:00:00Z"));
        assert_eq!(next_slot(&cap, Channel::Email, &recent, next), None);
        assert!(next_slot(&cap, Channel::Email, &recent, at("2026-11-21T08:59:59Z")).is_some());
    }

    #[test]
    fn more_than_the_cap_counts_from_the_newest() {
        let recent = sends(&["11:00", "08:00", "10:00", "09:00"]);
        let next = next_slot(&cap(2, CapScope::Channel), Channel::Email, &recent, at("2026-11-20T12:00:00Z"));
        assert_eq!(next, Some(at("2026-11-21T10:00:00Z")));
    }

    #[test]
    fn channel_caps_count_one_channel_and_person_caps_all() {
        let recent = sends(&["09:00"]);
        let noon = at("2026-11-20T12:00:00Z");
        assert_eq!(next_slot(&cap(1, CapScope::Channel), Channel::Sms, &recent, noon), None);
        assert!(next_slot(&cap(1, CapScope::Person), Channel::Sms, &recent, noon).is_some());
        let receipt = RecentSend { category: Category::Transactional, ..recent[0] };
        assert_eq!(next_slot(&cap(1, CapScope::Person), Channel::Sms, &[receipt], noon), None);
    }
}
