//! The rules of daylight saving, told one by one and held against every zone there is.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, ToSpan, civil::date, tz::TimeZoneDatabase};
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn times(expression: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (Cron::new(expression).unwrap(), zone(zone_name));
    let mut time: Timestamp = after.parse().unwrap();
    (0..count)
        .map(|_| {
            time = cron.next(time, &zone).unwrap();
            time.to_zoned(zone.clone()).strftime("%d %H:%M %:z").to_string()
        })
        .collect()
}

/// The clock jumps from 02:00 to 03:00 on 29 March 2026 in Berlin, and from 03:00 back to 02:00 on 25 October.
const BEFORE_SPRING: &str = "2026-03-28T12:00:00Z";
const BEFORE_AUTUMN: &str = "2026-10-24T12:00:00Z";

#[test]
fn a_time_that_is_jumped_over_comes_once_at_the_jump() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", BEFORE_SPRING, 2),
        ["29 03:00 +02:00", "30 02:30 +02:00"]
    );
    assert_eq!(
        times("15,45 2 * * *", "Europe/Berlin", BEFORE_SPRING, 2),
        ["29 03:00 +02:00", "30 02:15 +02:00"]
    );
}

#[test]
fn a_time_that_is_shown_twice_comes_the_first_time() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", BEFORE_AUTUMN, 2),
        ["25 02:30 +02:00", "26 02:30 +01:00"]
    );
}

#[test]
fn a_list_of_hours_is_as_good_as_its_single_times() {
    assert_eq!(
        times("30 2,14 * * *", "Europe/Berlin", BEFORE_SPRING, 4),
        ["28 14:30 +01:00", "29 03:00 +02:00", "29 14:30 +02:00", "30 02:30 +02:00"]
    );
    assert_eq!(
        times("30 2,14 * * *", "Europe/Berlin", BEFORE_AUTUMN, 4),
        ["24 14:30 +02:00", "25 02:30 +02:00", "25 14:30 +01:00", "26 02:30 +01:00"]
    );
}

#[test]
fn a_rhythm_keeps_to_elapsed_time() {
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        ["29 01:30 +01:00", "29 03:00 +02:00", "29 03:30 +02:00"]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 6),
        [
            "25 02:00 +02:00",
            "25 02:30 +02:00",
            "25 02:00 +01:00",
            "25 02:30 +01:00",
            "25 03:00 +01:00",
            "25 03:30 +01:00"
        ]
    );
    assert_eq!(
        times("0 1-3 * * *", "Europe/Berlin", BEFORE_SPRING, 3),
        ["29 01:00 +01:00", "29 03:00 +02:00", "30 01:00 +02:00"]
    );
}

#[test]
fn a_jump_at_midnight_costs_no_day() {
    // In Santiago the clock jumps from midnight to one o'clock.
    assert_eq!(
        times("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", 2),
        ["06 01:00 -03:00", "07 00:00 -03:00"]
    );
}

#[test]
fn a_jump_of_half_an_hour_is_one_too() {
    assert_eq!(
        times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
        ["04 02:30 +11:00", "05 02:15 +11:00"]
    );
    assert_eq!(
        times("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", 2),
        ["05 01:45 +11:00", "06 01:45 +10:30"]
    );
}

#[test]
fn the_next_time_is_after_the_given_one_even_within_a_second() {
    let cron = Cron::new("0 3 * * *").unwrap();
    let three: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();

    assert_eq!(cron.next(three - SignedDuration::from_millis(1), &TimeZone::UTC), Some(three));
    assert_eq!(
        cron.next(three + SignedDuration::from_millis(1), &TimeZone::UTC),
        Some(three + SignedDuration::from_hours(24))
    );
}

#[test]
fn days_of_month_or_of_week_count_unless_both_are_asked_for() {
    let either = times("0 0 13 * 5", "UTC", "2026-11-01T12:00:00Z", 4);
    let both = times("0 0 13 * +5", "UTC", "2026-11-01T12:00:00Z", 1);

    assert_eq!(either, ["06 00:00 +00:00", "13 00:00 +00:00", "20 00:00 +00:00", "27 00:00 +00:00"]);
    assert_eq!(both, ["13 00:00 +00:00"]);
}

#[test]
fn names_and_zones_are_read() {
    assert_eq!(times("@daily", "UTC", "2026-11-22T12:00:00Z", 1), ["23 00:00 +00:00"]);
    assert_eq!(times("@Hourly", "UTC", "2026-11-22T12:30:00Z", 1), ["22 13:00 +00:00"]);

    let (cron, zone) = Cron::with_zone("TZ=Europe/Berlin 0 3 * * *").unwrap();
    assert_eq!((cron.as_str(), zone.unwrap().as_str()), ("0 3 * * *", "Europe/Berlin"));
    let (cron, zone) = Cron::with_zone("CRON_TZ=America/New_York @daily").unwrap();
    assert_eq!((cron.as_str(), zone.unwrap().as_str()), ("@daily", "America/New_York"));
    assert_eq!(Cron::with_zone("0 3 * * *").unwrap().1, None);
    assert!(matches!(Cron::with_zone("TZ=Nowhere 0 3 * * *"), Err(Error::Zone { .. })));
}

#[test]
fn what_is_wrong_is_named_with_its_field_and_the_way_out() {
    for (expression, said) in [
        ("61 * * * *", r#"minute field "61", which is out of range; minutes go from 0 to 59"#),
        ("* 24 * * *", r#"hour field "24", which is out of range; hours go from 0 to 23"#),
        ("0 0 0 * *", r#"day of month field "0""#),
        ("0 0 * 13 *", r#"month field "13", which is out of range; months go from 1 to 12 or JAN to DEC"#),
        ("0 0 * * MOO", r#"day of week field "MOO", which has a character that means nothing there"#),
        ("0 22-2 * * *", "has the range 22-2 that runs backwards: write it as two"),
        ("60 0 0 * * *", r#"second field "60""#),
        ("0 3 * *", "has 4 fields; write five: minute, hour, day of month, month, day of week"),
        ("0 0 3 * * * 2027", "has 7 fields"),
        ("0 1,,3 * * *", "nothing between its commas"),
        ("", "is empty; write it like"),
        ("@noon", "is not one of @yearly"),
        ("@every 5m", "set the period itself"),
        ("@reboot", "does not know when a machine starts"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ] {
        let error = Cron::new(expression).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains(&format!("{expression:?}")), "{error}");
    }
}

fn first_of(year: i16) -> Timestamp {
    date(year, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
}

/// Every zone that differs from all others within the ten years, with the moments at which its clock is set.
fn every_zone() -> Vec<(String, TimeZone, Vec<Timestamp>)> {
    let (from, to) = (first_of(2026), first_of(2036));
    let database = TimeZoneDatabase::bundled();
    let names: Vec<_> = database.available().map(|name| name.to_string()).collect();
    assert!(names.len() > 400, "{} zones", names.len());
    let mut known = HashMap::new();
    for name in names {
        let zone = database.get(&name).unwrap();
        let changes: Vec<_> = zone
            .following(from)
            .take_while(|change| change.timestamp() < to)
            .map(|change| (change.timestamp(), change.offset()))
            .collect();
        known.entry((zone.to_offset(from), changes)).or_insert((name, zone));
    }
    let mut zones: Vec<_> = known
        .into_iter()
        .map(|((_, changes), (name, zone))| (name, zone, changes.into_iter().map(|(at, _)| at).collect()))
        .collect();
    zones.sort_by(|(one, ..): &(String, TimeZone, Vec<Timestamp>), (other, ..)| one.cmp(other));
    zones
}

/// All times in (from, to], found by looking at the clock each minute.
fn by_looking(cron: &Cron, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let minute = SignedDuration::from_mins(1);
    let matches = |shown: DateTime| cron.calendar.is_time_matching(&shown).unwrap();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    // What the clock showed before must be known, to tell what it shows again.
    let mut now = from - SignedDuration::from_hours(3);
    let mut before = zone.to_datetime(now - minute);
    while now <= to {
        let shown = zone.to_datetime(now);
        let mut comes = false;
        if cron.of_the_clock {
            let mut jumped = before + 1.minute();
            while jumped < shown {
                comes |= seen.insert(jumped) && matches(jumped);
                jumped += 1.minute();
            }
            comes |= seen.insert(shown) && matches(shown);
        } else {
            comes = matches(shown);
        }
        if comes && now > from {
            found.push(now);
        }
        (before, now) = (shown, now + minute);
    }
    found
}

fn by_asking(cron: &Cron, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let next = |time: &Timestamp| cron.next(*time, zone);
    std::iter::successors(next(&from), next).take_while(|time| *time <= to).collect()
}

#[test]
fn in_every_zone_each_day_of_ten_years_has_its_run_and_no_more() {
    for (place, (name, zone, changes)) in every_zone().iter().enumerate() {
        // A clock that is never set is the same in every year.
        let end = if changes.is_empty() { date(2027, 1, 1) } else { date(2036, 1, 1) };
        // Times around which clocks are set somewhere; each zone gets one of them.
        let (hour, minute) = [(2, 30), (0, 0), (2, 0), (0, 30), (1, 15), (23, 30), (3, 0)][place % 7];
        let cron = Cron::new(&format!("{minute} {hour} * * *")).unwrap();
        let mut time =
            first_shown(date(2026, 1, 1).at(0, 0, 0, 0), zone).unwrap() - SignedDuration::from_millis(1);
        let mut day = date(2026, 1, 1);
        while day < end {
            let wanted = day.at(hour, minute, 0, 0);
            let next = cron.next(time, zone).unwrap();
            assert!(next > time, "{name}: {next} after {time}");
            let shown = zone.to_datetime(next);
            let ambiguous = zone.to_ambiguous_timestamp(wanted);
            match ambiguous.offset() {
                AmbiguousOffset::Gap { .. } => {
                    let before = zone.to_datetime(next - SignedDuration::from_millis(1));
                    assert!(before < wanted && wanted < shown, "{name}: {wanted} came at {shown}");
                }
                _ => assert_eq!((shown, next), (wanted, ambiguous.earlier().unwrap()), "{name}"),
            }
            (time, day) = (next, day.tomorrow().unwrap());
        }
    }
}

#[test]
fn whenever_a_clock_is_set_times_come_as_if_somebody_looked_at_it_each_minute() {
    let patterns = ["*/30 * * * *", "0 * * * *", "*/20 0-3 * * *", "0,30 0,1,2,3,23 * * *"]
        .map(|text| Cron::new(text).unwrap());
    let around = SignedDuration::from_mins(150);
    let mut compared = 0;
    for (place, (name, zone, changes)) in every_zone().iter().enumerate() {
        // The first years and the last: what lies between follows the same rules.
        for change in changes.iter().take(2).chain(changes.iter().rev().take(2)) {
            let (cron, from, to) = (&patterns[place % patterns.len()], *change - around, *change + around);
            let expected = by_looking(cron, zone, from, to);
            assert_eq!(by_asking(cron, zone, from, to), expected, "{cron} in {name} around {change}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

prop_compose! {
    fn any_field(most: u8)(kind in 0..4, a in 0..=most, b in 0..=most, step in 2_u8..20) -> String {
        match kind {
            0 => a.to_string(),
            1 => format!("{a},{b}"),
            2 => format!("{}-{}", a.min(b), a.max(b)),
            _ => format!("*/{step}"),
        }
    }
}

proptest! {
    #[test]
    fn any_expression_comes_as_if_somebody_looked_at_the_clock_each_minute(
        minutes in any_field(59), hours in any_field(5), name in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut",
            "America/Nuuk", "Asia/Kolkata", "Antarctica/Troll",
        ]), change in 0_usize..12, offset in -300_i64..300,
    ) {
        let cron = Cron::new(&format!("{minutes} {hours} * * *")).unwrap();
        let zone = zone(name);
        let set = zone.following(first_of(2026)).nth(change).map_or(first_of(2027), |change| change.timestamp());
        let from = set + SignedDuration::from_mins(offset);
        let to = from + SignedDuration::from_hours(5);

        prop_assert_eq!(by_asking(&cron, &zone, from, to), by_looking(&cron, &zone, from, to));
    }
}
