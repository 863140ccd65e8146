use proptest::prelude::*;
use serde_json::json;

use super::*;

fn window(cron: &str, lasts: &str, zone: &str) -> Window {
    serde_json::from_value(json!({ "cron": cron, "for": lasts, "timezone": zone })).unwrap()
}

fn all(list: &[(&str, &str, &str)]) -> Vec<Window> {
    list.iter()
        .map(|(cron, lasts, zone)| window(cron, lasts, zone))
        .collect()
}

type Rows<'a> = &'a [(&'a str, &'a str, &'a str)];

/// `open`, `never`, or when it opens.
#[track_caller]
fn check(allow: Rows<'_>, freeze: Rows<'_>, rows: &[(&str, &str)]) {
    let configured = Windows {
        allow: all(allow),
        freeze: all(freeze),
    };
    for (now, expected) in rows {
        let found = windows(&configured, now.parse().unwrap()).map(|closed| {
            assert_eq!(
                (closed.reason.code, closed.missing),
                (Code::WindowClosed, None),
                "{closed:?}"
            );
            closed.until.map_or_else(|| "never".to_owned(), |at| at.to_string())
        });
        assert_eq!(found.as_deref().unwrap_or("open"), *expected, "at {now}");
    }
}

#[test]
fn without_windows_it_is_open() {
    check(&[], &[], &[("2026-03-06T08:00:00Z", "open")]);
}

#[test]
fn a_freeze_is_closed_from_its_first_second_to_its_last() {
    check(
        &[],
        &[("0 18 * * FRI", "62h", "UTC")],
        &[
            ("2026-03-06T17:59:59Z", "open"),
            ("2026-03-06T18:00:00Z", "2026-03-09T08:00:00Z"),
            ("2026-03-08T12:00:00Z", "2026-03-09T08:00:00Z"),
            ("2026-03-09T07:59:59.999Z", "2026-03-09T08:00:00Z"),
            ("2026-03-09T08:00:00Z", "open"),
        ],
    );
}

#[test]
fn what_is_allowed_is_open_from_its_first_second_to_its_last() {
    check(
        &[("0 9 * * MON-FRI", "8h", "Europe/Madrid")],
        &[],
        &[
            ("2026-03-06T07:59:59Z", "2026-03-06T08:00:00Z"),
            ("2026-03-06T08:00:00Z", "open"),
            ("2026-03-06T15:59:59Z", "open"),
            ("2026-03-06T16:00:00Z", "2026-03-09T08:00:00Z"),
        ],
    );
}

#[test]
fn of_several_allowed_windows_one_is_enough() {
    check(
        &[("0 9 * * MON-FRI", "2h", "UTC"), ("0 10 * * *", "3h", "UTC")],
        &[],
        &[
            ("2026-03-06T10:30:00Z", "open"),
            ("2026-03-06T12:59:59Z", "open"),
            ("2026-03-06T13:00:00Z", "2026-03-07T10:00:00Z"),
            ("2026-03-07T13:00:00Z", "2026-03-08T10:00:00Z"),
        ],
    );
}

#[test]
fn a_freeze_goes_over_what_is_allowed() {
    check(
        &[("0 9 * * *", "8h", "UTC")],
        &[("0 12 * * *", "2h", "UTC")],
        &[
            ("2026-03-06T11:59:59Z", "open"),
            ("2026-03-06T12:00:00Z", "2026-03-06T14:00:00Z"),
            ("2026-03-06T14:00:00Z", "open"),
        ],
    );
    // The freeze ends when what is allowed has ended too, and the next day's is frozen.
    check(
        &[("0 9 * * *", "3h", "UTC")],
        &[("0 10 6 3 *", "24h", "UTC")],
        &[
            ("2026-03-06T10:00:00Z", "2026-03-07T10:00:00Z"),
            ("2026-03-05T12:00:00Z", "2026-03-06T09:00:00Z"),
        ],
    );
    // What is allowed next lies within another freeze.
    check(
        &[("0 9 * * *", "1h", "UTC")],
        &[("0 8 7 3 *", "36h", "UTC"), ("0 8 8 3 *", "3h", "UTC")],
        &[("2026-03-06T10:00:00Z", "2026-03-09T09:00:00Z")],
    );
}

#[test]
fn freezes_that_overlap_end_with_the_last_of_them() {
    check(
        &[],
        &[
            ("0 0 24 12 *", "48h", "UTC"),
            ("0 12 25 12 *", "24h", "UTC"),
            ("0 12 26 12 *", "1h", "UTC"),
        ],
        &[
            ("2026-12-24T00:00:00Z", "2026-12-26T13:00:00Z"),
            ("2026-12-26T12:59:59Z", "2026-12-26T13:00:00Z"),
            ("2026-12-26T13:00:00Z", "open"),
        ],
    );
}

#[test]
fn a_window_may_last_longer_than_until_it_begins_again() {
    // From 09:00 to 17:00 every hour for 2 hours: it ends two hours after the last.
    check(
        &[],
        &[("0 9-17 * * *", "2h", "UTC")],
        &[
            ("2026-03-06T08:59:59Z", "open"),
            ("2026-03-06T09:00:00Z", "2026-03-06T19:00:00Z"),
            ("2026-03-06T18:30:00Z", "2026-03-06T19:00:00Z"),
            ("2026-03-06T19:00:00Z", "open"),
        ],
    );
    check(
        &[],
        &[("0 18 * * *", "25h", "UTC")],
        &[("2026-03-06T08:00:00Z", "never")],
    );
    // Without a gap, though none overlaps the next.
    check(
        &[],
        &[("0 0 * * *", "24h", "UTC")],
        &[("2026-03-06T00:00:00Z", "never")],
    );
    check(&[("0 0 * * *", "24h", "UTC")], &[], &[("2026-03-06T00:00:00Z", "open")]);
    check(
        &[("*/5 * * * *", "1h", "UTC")],
        &[],
        &[("2026-03-06T00:00:01Z", "open")],
    );
}

#[test]
fn what_is_allowed_may_be_frozen_for_ever() {
    check(
        &[("0 9 * * SAT", "2h", "UTC")],
        &[("0 0 * * SAT", "48h", "UTC")],
        &[("2026-03-06T08:00:00Z", "never")],
    );
}

#[test]
fn the_clock_on_the_wall_decides_when_a_window_begins() {
    // Madrid goes from +1 to +2 at 2026-03-29T01:00Z, and back at 2026-10-25T01:00Z.
    let nights: Rows<'_> = &[("0 22 * * *", "8h", "Europe/Madrid")];
    check(
        &[],
        nights,
        &[
            ("2026-03-28T21:00:00Z", "2026-03-29T05:00:00Z"),
            ("2026-03-29T20:00:00Z", "2026-03-30T04:00:00Z"),
            ("2026-10-24T20:00:00Z", "2026-10-25T04:00:00Z"),
            ("2026-10-25T20:59:59Z", "open"),
            ("2026-10-25T21:00:00Z", "2026-10-26T05:00:00Z"),
        ],
    );
    // A beginning that the clock skips is when it has skipped it; one that it shows twice is the first.
    let skipped: Rows<'_> = &[("30 2 * * *", "1h", "Europe/Madrid")];
    check(
        skipped,
        &[],
        &[
            ("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
            ("2026-03-29T01:59:59Z", "open"),
            ("2026-10-25T00:30:00Z", "open"),
            ("2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"),
        ],
    );
    // The same moment, by two clocks.
    check(
        &[
            ("0 9 * * *", "1h", "America/New_York"),
            ("0 9 * * *", "1h", "Asia/Tokyo"),
        ],
        &[],
        &[
            ("2026-03-06T14:30:00Z", "open"),
            ("2026-03-06T15:00:00Z", "2026-03-07T00:00:00Z"),
            ("2026-03-07T00:00:00Z", "open"),
        ],
    );
}

#[test]
fn what_cannot_be_read_keeps_it_closed() {
    let configured = Windows {
        allow: Vec::new(),
        freeze: vec![window("0 25 * * *", "1h", "UTC")],
    };
    let closed = windows(&configured, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((closed.reason.code, closed.until), (Code::ConfigMalformed, None));
    assert!(
        closed.reason.message.starts_with("`windows`: `25` is no hour"),
        "{closed:?}"
    );
}

#[test]
fn the_reason_says_what_and_when() {
    let told = |allow: Rows<'_>, freeze: Rows<'_>, now: &str| {
        let configured = Windows {
            allow: all(allow),
            freeze: all(freeze),
        };
        windows(&configured, now.parse().unwrap()).unwrap().reason.message
    };
    assert_eq!(
        told(&[], &[("0 18 * * FRI", "62h", "UTC")], "2026-03-07T00:00:00Z"),
        "rollouts may not begin now: frozen by `0 18 * * FRI` (UTC) for 62h until 2026-03-09T08:00:00Z; they may at \
         2026-03-09T08:00:00Z"
    );
    assert_eq!(
        told(
            &[("0 9 * * MON-FRI", "8h", "Europe/Madrid")],
            &[],
            "2026-03-07T00:00:00Z"
        ),
        "rollouts may not begin now: outside of `0 9 * * MON-FRI` (Europe/Madrid) for 8h; they may at \
         2026-03-09T08:00:00Z"
    );
    assert_eq!(
        told(&[], &[("0 0 * * *", "24h", "UTC")], "2026-03-07T00:00:00Z"),
        "rollouts may not begin now: frozen by `0 0 * * *` (UTC) for 1d until 2026-03-08T00:00:00Z; as far as can be \
         told they never may"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// It opens when it said, and at none of many moments before.
    #[test]
    fn it_opens_when_it_said_and_not_before(
        minute in 29_500_000_i64..29_600_000,
        allow in prop::collection::vec(any_window(), 0..3),
        freeze in prop::collection::vec(any_window(), 0..3),
    ) {
        let configured = Windows { allow, freeze };
        let now = Timestamp::from_second(minute * 60).unwrap();
        let Some(Closed { until: Some(until), .. }) = windows(&configured, now) else {
            return Ok(());
        };
        prop_assert!(until > now);
        prop_assert_eq!(windows(&configured, until), None);
        let minutes = until.duration_since(now).as_mins();
        let some = (0..60).map(|part| minutes * part / 60);
        for ahead in some.chain([minutes - 1]) {
            let at = now + jiff::SignedDuration::from_mins(ahead);
            let closed = windows(&configured, at);
            prop_assert_eq!(closed.and_then(|closed| closed.until), Some(until), "at {}", at);
        }
    }
}

fn any_window() -> impl Strategy<Value = Window> {
    let cron = prop_oneof![
        Just("0 9 * * MON-FRI"),
        Just("30 2 * * *"),
        Just("0 18 * * FRI"),
        Just("15 */6 * * *"),
    ];
    let lasts = prop_oneof![Just("20m"), Just("3h"), Just("7h"), Just("30h")];
    let zone = prop_oneof![Just("UTC"), Just("Europe/Madrid"), Just("America/New_York")];
    (cron, lasts, zone).prop_map(|(cron, lasts, zone)| window(cron, lasts, zone))
}
