use proptest::prelude::*;

use super::*;

fn plan(when: &When) -> Plan {
    when.plan("Etc/UTC", Timestamp::EPOCH, None).unwrap()
}

fn cron_in(expr: &str, zone: &str) -> When {
    When::Cron { expr: expr.into(), zone: zone.into() }
}

/// The next instants after `from`, as local time with offset.
fn next(when: &When, from: &str, n: usize) -> Vec<String> {
    let plan = plan(when);
    let mut at = Timestamp::parse("from", from).unwrap();
    (0..n)
        .map(|_| {
            at = plan.next(at).unwrap();
            at.in_zone(&plan.zone).strftime("%m-%d %H:%M:%S%:z").to_string()
        })
        .collect()
}

#[test]
fn fixed_times_in_the_spring_gap_fire_right_after_it_on_the_same_day() {
    // Gaps of 2026: Berlin 03-29 02:00, New York 03-08 02:00, Lord Howe 10-04 02:00 by half an hour.
    for (zone, from, expr, expected) in [
        (
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "30 2 * * *",
            ["03-29 03:00:00+02:00", "03-30 02:30:00+02:00"],
        ),
        (
            "America/New_York",
            "2026-03-07T12:00:00Z",
            "30 2 * * *",
            ["03-08 03:00:00-04:00", "03-09 02:30:00-04:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            "15 2 * * *",
            ["10-04 02:30:00+11:00", "10-05 02:15:00+11:00"],
        ),
    ] {
        assert_eq!(next(&cron_in(expr, zone), from, 2), expected, "{zone}");
        let time = if zone == "Australia/Lord_Howe" { "02:15" } else { "02:30" };
        let daily = When::LocalDaily { time: time.into(), zone: zone.into() };
        assert_eq!(next(&daily, from, 2), expected, "{zone}, daily");
    }
}

#[test]
fn fixed_times_in_the_autumn_fold_fire_once_at_the_first_pass() {
    // Folds of 2026: Berlin 10-25 03:00, New York 11-01 02:00, Lord Howe 04-05 02:00 by half an hour.
    for (zone, from, expr, expected) in [
        (
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "30 2 * * *",
            ["10-25 02:30:00+02:00", "10-26 02:30:00+01:00"],
        ),
        (
            "America/New_York",
            "2026-10-31T16:00:00Z",
            "30 1 * * *",
            ["11-01 01:30:00-04:00", "11-02 01:30:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            "45 1 * * *",
            ["04-05 01:45:00+11:00", "04-06 01:45:00+10:30"],
        ),
    ] {
        assert_eq!(next(&cron_in(expr, zone), from, 2), expected, "{zone}");
    }
}

#[test]
fn patterns_leave_out_the_gap_and_fire_in_both_passes_of_the_fold() {
    let half_hours = cron_in("*/30 * * * *", "Europe/Berlin");
    assert_eq!(
        next(&half_hours, "2026-03-29T00:15:00Z", 3),
        ["03-29 01:30:00+01:00", "03-29 03:00:00+02:00", "03-29 03:30:00+02:00"]
    );
    assert_eq!(
        next(&half_hours, "2026-10-24T23:45:00Z", 5),
        [
            "10-25 02:00:00+02:00",
            "10-25 02:30:00+02:00",
            "10-25 02:00:00+01:00",
            "10-25 02:30:00+01:00",
            "10-25 03:00:00+01:00"
        ]
    );
}

#[test]
fn intervals_know_no_summer_time() {
    let every =
        When::Every { ms: 86_400_000, anchor: Some(Timestamp::parse("a", "2026-03-28T01:30:00Z").unwrap()) };
    let plan = every.plan("Europe/Berlin", Timestamp::EPOCH, None).unwrap();
    let at = plan.next(Timestamp::parse("a", "2026-03-28T12:00:00Z").unwrap()).unwrap();
    assert_eq!(at.to_string(), "2026-03-29T01:30:00Z");
}

#[test]
fn the_dialect_of_cron() {
    for (expr, expected) in [
        ("@hourly", "11-21 10:00:00+00:00"),
        ("0 9 * * mon-fri", "11-23 09:00:00+00:00"),
        ("0 0 L * *", "11-30 00:00:00+00:00"),
        ("0 0 15W 12 *", "12-15 00:00:00+00:00"),
        ("0 0 * * fri#2", "12-11 00:00:00+00:00"),
        ("15 30 9 * * *", "11-21 09:30:15+00:00"),
        ("0 12 1,15 jan-dec/2 *", "01-01 12:00:00+00:00"),
    ] {
        assert_eq!(next(&cron_in(expr, "Etc/UTC"), "2026-11-21T09:00:00Z", 1), [expected], "{expr}");
    }
}

#[test]
fn rules_that_cannot_be_are_refused_by_field() {
    let field = |when: When| {
        let made = when.plan("Etc/UTC", Timestamp::EPOCH, None);
        made.unwrap_err().field_faults()[0].field.clone()
    };
    assert_eq!(field(cron_in("61 * * * *", "Etc/UTC")), "when.expr");
    assert_eq!(field(cron_in("* * *", "Etc/UTC")), "when.expr");
    assert_eq!(field(cron_in("* * * * *", "Mars/Olympus")), "when.zone");
    assert_eq!(field(When::Every { ms: 999, anchor: None }), "when.ms");
    assert_eq!(field(When::LocalDaily { time: "25:00".into(), zone: "Etc/UTC".into() }), "when.time");
    let never = plan(&cron_in("0 0 30 2 *", "Etc/UTC"));
    assert_eq!(never.next(Timestamp::from_millis(1_795_251_600_000)), None, "30 February never comes");
}

#[test]
fn calendars_leave_out_dates_and_weekdays() {
    let calendar =
        Calendar { skip_dates: vec!["2026-12-25".into()], only_weekdays: vec!["thu".into(), "fri".into()] };
    let every = When::Every { ms: 3_600_000, anchor: None };
    let plan = every.plan("Europe/Berlin", Timestamp::EPOCH, Some(&calendar)).unwrap();
    let at = plan.next(Timestamp::parse("a", "2026-12-24T22:30:00Z").unwrap()).unwrap();
    assert_eq!(at.in_zone(&plan.zone).to_string(), "2026-12-31T00:00:00+01:00[Europe/Berlin]");
}

#[test]
fn very_many_missed_instants_are_counted_to_the_last() {
    let plan = plan(&When::Every { ms: 1_000, anchor: None });
    let at = Timestamp::from_millis;
    let (last, count) = plan.passed(at(1_000), at(90_000_500), 3);
    assert_eq!(last, [at(89_998_000), at(89_999_000), at(90_000_000)]);
    assert_eq!(count, 90_000);
}

proptest! {
    #[test]
    fn instants_strictly_increase(
        start in 1_700_000_000_000_i64..1_900_000_000_000,
        minute in 0_u8..60, hour in 0_u8..24, step in 1_u8..40,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/UTC"]),
        shape in 0_u8..4,
    ) {
        let when = match shape {
            0 => cron_in(&format!("{minute} {hour} * * *"), zone),
            1 => cron_in(&format!("*/{step} * * * *"), zone),
            2 => When::LocalDaily { time: format!("{hour:02}:{minute:02}"), zone: zone.into() },
            _ => When::Every { ms: u64::from(step) * 7_919 + 1_000, anchor: None },
        };
        let plan = plan(&when);
        let mut at = Timestamp::from_millis(start);
        for _ in 0..50 {
            let next = plan.next(at).unwrap();
            prop_assert!(next > at);
            at = next;
        }
    }
}
