//! Backtests: the rules over values of the past.

use serde_json::json;

use super::*;
use crate::scaling::backtest::{AlarmDefinition, Backtest, Comparison, Missing, Row};

fn backtest(scaling: Value) -> Backtest {
    let alarm = |threshold, comparison| AlarmDefinition {
        threshold,
        comparison,
        evaluation_periods: 2,
        datapoints_to_alarm: 2,
        missing: Missing::Missing,
        period: SignedDuration::from_secs(60),
    };
    Backtest {
        target: Target::service("prod", "web"),
        scaling: serde_json::from_value(scaling).unwrap(),
        alarms: BTreeMap::from([
            ("high".to_owned(), alarm(60.0, Comparison::GreaterThanThreshold)),
            ("low".to_owned(), alarm(20.0, Comparison::LessThanThreshold)),
        ]),
        from: None,
    }
}

/// A row every so many seconds, with these values under both names.
fn rows(every: i64, names: [&str; 2], values: &[Option<f64>]) -> Vec<Row> {
    let row = |(i, value): (i64, &Option<f64>)| Row {
        time: at(i * every),
        values: names.iter().map(|name| ((*name).to_owned(), *value)).collect(),
    };
    (0..).zip(values).map(row).collect()
}

fn counts(backtest: &Backtest, rows: &[Row]) -> Vec<u32> {
    backtest.run(rows).into_iter().map(|moment| moment.desired).collect()
}

const ALARMS: [&str; 2] = ["high", "low"];

fn steps() -> Value {
    json!({ "min": 2, "max": 6, "rules": [{ "alarm": "high", "add": 2 }, { "alarm": "low", "add": -1 }], "cooldown": { "out": "2m", "in": "3m" } })
}

#[test]
fn alarms_step_minute_by_minute() {
    let load: Vec<_> = [90, 90, 90, 90, 90, 10, 10, 10, 10, 10, 10, 10, 10]
        .map(|v| Some(f64::from(v)))
        .into();
    // ALARM with the second datapoint; a step every two minutes while it stays; down every three after the last change.
    let expected = [2, 4, 4, 6, 6, 6, 5, 5, 5, 4, 4, 4, 3];
    assert_eq!(counts(&backtest(steps()), &rows(60, ALARMS, &load)), expected);
    let from = Backtest {
        from: Some(5),
        ..backtest(steps())
    };
    assert_eq!(counts(&from, &rows(60, ALARMS, &load))[..3], [5, 6, 6]);
}

#[test]
fn between_two_rows_the_schedule_goes_on() {
    use Code::*;
    let load = [Some(90.0), Some(90.0), Some(90.0)];
    let mut slow = backtest(steps());
    for alarm in slow.alarms.values_mut() {
        alarm.evaluation_periods = 1;
        alarm.datapoints_to_alarm = 1;
        alarm.period = SignedDuration::from_secs(300);
    }
    let moments = slow.run(&rows(300, ALARMS, &load));
    assert_eq!(moments.iter().map(|m| m.desired).collect::<Vec<_>>(), [4, 6, 6]);
    let told: Vec<_> = moments[1].reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(
        told,
        [
            ScaleOut,
            AlarmNotActive,
            ScaleOut,
            ScaleOut,
            AlarmNotActive,
            AlreadyAtMaxCapacity
        ]
    );
    let own: Vec<_> = moments[1].own().iter().map(|reason| reason.code).collect();
    assert_eq!(own, told[3..]);
}

#[test]
fn every_change_between_two_rows_has_its_time() {
    let scaling = json!({ "min": 2, "max": 20, "rules": [{ "alarm": "high", "add": 3 }], "cooldown": { "out": "1m" } });
    let mut coarse = backtest(scaling);
    for alarm in coarse.alarms.values_mut() {
        alarm.evaluation_periods = 1;
        alarm.datapoints_to_alarm = 1;
        alarm.period = SignedDuration::from_secs(300);
    }
    let moments = coarse.run(&rows(300, ALARMS, &[Some(90.0), Some(90.0), Some(90.0)]));
    let changes = |moment: &crate::scaling::backtest::Moment| -> Vec<_> {
        let changes = moment.between.iter();
        changes
            .map(|change| (change.time.duration_since(at(0)).as_secs(), change.from, change.to))
            .collect()
    };
    assert_eq!(moments.iter().map(|m| m.desired).collect::<Vec<_>>(), [5, 20, 20]);
    assert_eq!(
        changes(&moments[1]),
        [(60, 5, 8), (120, 8, 11), (180, 11, 14), (240, 14, 17)]
    );
    assert_eq!(changes(&moments[2]), []);
    let json = serde_json::to_value(&moments).unwrap();
    assert_eq!(json[1]["between"][0]["to"], 8);
    assert!(json[2].get("between").is_none(), "{json}");
}

#[test]
fn a_target_follows_each_value_once() {
    let scaling = json!({ "min": 1, "max": 20, "rules": [{ "alarm": "high", "target": 50 }], "cooldown": { "out": "0s", "in": "0s" } });
    let mut with = Backtest {
        from: Some(4),
        ..backtest(scaling)
    };
    for alarm in with.alarms.values_mut() {
        alarm.evaluation_periods = 1;
        alarm.datapoints_to_alarm = 1;
    }
    let load = [Some(100.0), Some(50.0), Some(52.0), None, None, Some(25.0), Some(0.0)];
    assert_eq!(counts(&with, &rows(60, ALARMS, &load)), [8, 8, 8, 8, 8, 4, 1]);
}

#[test]
fn a_queue_wakes_the_service_and_lets_it_sleep() {
    let rules = json!([{ "queue": "jobs", "per-task": 10, "idle-for": "2m" }]);
    let scaling = json!({ "min": 0, "max": 20, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } });
    let load = [
        Some(0.0),
        Some(1.0),
        Some(35.0),
        Some(0.5),
        None,
        Some(0.0),
        Some(0.0),
        Some(0.0),
        Some(0.0),
    ];
    let moments = backtest(scaling).run(&rows(60, ["jobs", "jobs"], &load));
    assert_eq!(
        moments.iter().map(|m| m.desired).collect::<Vec<_>>(),
        [0, 1, 4, 1, 1, 1, 1, 0, 0]
    );
    assert_eq!(
        moments[4].reasons[0].code,
        Code::FactsMissing,
        "missing data is not an empty queue"
    );
}

#[test]
fn a_wish_must_last_and_a_schedule_moves_the_count() {
    let scaling = json!({
        "min": 2, "max": 9, "rules": [{ "alarm": "high", "add": 1 }], "cooldown": { "out": "0s" },
        "stabilise": { "out": "2m" }, "schedule": [{ "cron": "0 9 * * *", "min": 2 }, { "cron": "6 12 * * *", "min": 8 }],
    });
    let load: Vec<_> = [90.0; 9].map(Some).into();
    // The ninth task is wished for when there are eight.
    assert_eq!(
        counts(&backtest(scaling), &rows(60, ALARMS, &load)),
        [2, 2, 2, 3, 3, 4, 8, 8, 9]
    );
}

#[test]
fn an_alarm_that_is_not_defined_is_not_known() {
    let scaling = json!({ "min": 2, "max": 9, "rules": [{ "alarm": "other", "add": 1 }] });
    let moments = backtest(scaling).run(&rows(60, ["other", "x"], &[Some(1.0)]));
    assert_eq!(
        (moments[0].desired, moments[0].reasons[0].code),
        (2, Code::FactsMissing)
    );
    assert!(backtest(steps()).run(&[]).is_empty());
    let moment = serde_json::to_value(&moments[0]).unwrap();
    assert_eq!(moment["time"], "2026-03-01T12:00:00Z");
    assert_eq!(moment["reasons"][0]["code"], "FactsMissing");
}
