//! G06 and G08: the right hour and not too often.

use jiff::tz::TimeZone;
use neonhub_core::Timestamp;

use super::facts::{Facts, PersonFacts};
use super::person::THREAD_OPEN;
use super::verdict::Finding;
use super::{CapScope, Category, RuleId, Week, candidate_zones, hours_for, next_opening, next_slot};

/// Judges hours and caps; returns the zones it looked at.
pub(super) fn judge(
    facts: &Facts<'_>,
    person: &PersonFacts,
    now: Timestamp,
    out: &mut Vec<Finding>,
) -> Vec<String> {
    let (zones, source) = candidate_zones(&person.place, &facts.tenant.zone);
    law(facts, person, &zones, now, out);
    if skips_wishes(facts.draft.category) {
        return names(&zones);
    }
    if facts.draft.category != Category::Legal {
        wishes(person, &zones, now, out);
    }
    if let Some(week) = facts.tenant.brand_window {
        let found =
            opening(RuleId::BrandTime, &[week], &zones, now, "brand_window", "the brand does not send now");
        out.extend(found.map(|r| r.with("zone_from", source.as_str())));
    }
    names(&zones)
}

fn skips_wishes(category: Category) -> bool {
    category == Category::Transactional
}

fn names(zones: &[TimeZone]) -> Vec<String> {
    zones.iter().map(|z| z.iana_name().unwrap_or("UTC").to_owned()).collect()
}

fn law(facts: &Facts<'_>, person: &PersonFacts, zones: &[TimeZone], now: Timestamp, out: &mut Vec<Finding>) {
    let draft = facts.draft;
    let is_answer = draft.category == Category::Conversational
        && person.last_inbound_at.is_some_and(|at| now < at.plus(THREAD_OPEN));
    if is_answer {
        return;
    }
    let rows = hours_for(facts.policy.hours, &person.place, draft.channel, draft.category);
    if rows.is_empty() {
        return;
    }
    let weeks: Vec<Week> = rows.iter().map(|row| row.week).collect();
    let ids = rows.iter().map(|row| row.id).collect::<Vec<_>>().join(",");
    let message = "outside the legal hours where the person is";
    out.extend(
        opening(RuleId::Law, &weeks, zones, now, "legal_hours", message).map(|r| r.with("hours", ids)),
    );
}

fn wishes(person: &PersonFacts, zones: &[TimeZone], now: Timestamp, out: &mut Vec<Finding>) {
    let rule = RuleId::PersonTime;
    let preferences = &person.preferences;
    if let Some(until) = preferences.pause_until.filter(|until| *until > now) {
        out.push(Finding::defer(rule, until, "paused", "the person asked for a pause"));
    }
    if let Some((start, end)) = preferences.quiet_minutes {
        let weeks = [Week::around_quiet(start, end)];
        out.extend(opening(rule, &weeks, zones, now, "quiet_hours", "the person asked for quiet now"));
    }
}

/// Defers to the first instant when all weeks are open in all zones; denies when there is none.
fn opening(
    rule: RuleId,
    weeks: &[Week],
    zones: &[TimeZone],
    now: Timestamp,
    code: &'static str,
    message: &'static str,
) -> Option<Finding> {
    let merged = merge(weeks);
    let all: Vec<(Week, &TimeZone)> =
        merged.iter().flat_map(|week| zones.iter().map(move |zone| (*week, zone))).collect();
    match next_opening(now, &all) {
        Some(at) if at == now => None,
        Some(at) => Some(Finding::defer(rule, at, code, message)),
        None => Some(Finding::deny(rule, "never_open", "the hours of the possible zones never meet")),
    }
}

/// Several laws on one clock are one week, where none crosses midnight: fewer instants to compute.
fn merge(weeks: &[Week]) -> Vec<Week> {
    let mut out: Vec<Week> = Vec::new();
    for week in weeks {
        match out.pop() {
            Some(last) => match last.intersect(*week) {
                Some(both) => out.push(both),
                None => out.extend([last, *week]),
            },
            None => out.push(*week),
        }
    }
    out
}

/// G08.frequency. The cap of the person joins those of the policy, so the smaller one holds.
pub(super) fn frequency(facts: &Facts<'_>, person: &PersonFacts, now: Timestamp, out: &mut Vec<Finding>) {
    let draft = facts.draft;
    let is_exempt = facts.send.is_test || matches!(draft.category, Category::Confirmation | Category::Legal);
    if is_exempt || draft.category == Category::Transactional {
        return;
    }
    let caps = facts.policy.caps.iter().chain(&person.preferences.cap);
    let binding = caps
        .filter(|cap| cap.category == draft.category)
        .filter(|cap| !(cap.scope == CapScope::Person && draft.category == Category::Conversational));
    let latest = binding
        .filter_map(|cap| Some((next_slot(cap, draft.channel, &person.recent, now)?, cap)))
        .max_by_key(|(at, _)| *at);
    if let Some((at, cap)) = latest {
        let message = "the person got as many messages as the cap allows";
        let reason = Finding::defer(RuleId::Frequency, at, "frequency_cap", message);
        out.push(reason.with("max", cap.max).with("window_s", cap.window.as_secs()));
    }
}
