//! Where a rule's value comes from: the alarm, a newer datapoint, the alarms that triggered a composite one.

use serde_json::json;

use super::*;

fn reading(value: f64, seconds: i64) -> Reading {
    Reading {
        value,
        threshold: Some(60.0),
        at: Some(at(seconds)),
        period: Some(60),
    }
}

fn told(state: AlarmValue, since: i64, reading: Option<Reading>) -> AlarmState {
    AlarmState {
        reading,
        ..super::state(state, since)
    }
}

fn cpu() -> Look {
    look(json!([{ "alarm": "cpu", "target": 60 }]))
}

impl Look {
    /// An alarm as the facts have it, confirmed.
    fn has_alarm(self, name: &str, facts: AlarmFacts) -> Self {
        let now = self.now;
        self.with(|all| {
            let confirmed = Some(now);
            all.alarms.insert(name.into(), AlarmFacts { confirmed, ..facts });
        })
    }
}

#[test]
fn a_target_needs_a_fresh_value() {
    use Code::*;
    let high = told(AlarmValue::Alarm, 0, Some(reading(90.0, -60)));
    let alone = |now| cpu().at(now).has_alarm("cpu", AlarmFacts::told(high.clone()));
    // The alarm was evaluated at 0; two periods later its value is old.
    alone(120).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    let old = alone(121).expect(None, Outcome::Wait, &[FactsMissing]);
    assert_eq!(old.decision.missing, ["GetMetricData"]);
    // What GetMetricData says is used when it is newer.
    for (asked, to) in [
        (Some(reading(120.0, 60)), Some(8)),
        (Some(reading(120.0, -120)), Some(6)),
        (None, Some(6)),
        (
            Some(Reading {
                at: None,
                ..reading(120.0, 60)
            }),
            Some(6),
        ),
    ] {
        let look = cpu()
            .at(121)
            .has_alarm("cpu", AlarmFacts::told(high.clone()).with_metric(asked));
        assert_eq!(set_by(&look.decide()), to, "{asked:?}");
    }
    // A datapoint of long ago is none.
    let dead = AlarmFacts::told(high.clone()).with_metric(Some(reading(120.0, 60)));
    cpu()
        .at(1_100)
        .has_alarm("cpu", dead)
        .expect(None, Outcome::Ignore, &[StaleReading]);
    // An alarm that says no value.
    let bare = |state| cpu().has_alarm("cpu", AlarmFacts::told(told(state, 0, None)));
    for state in [AlarmValue::Ok, AlarmValue::Alarm] {
        assert_eq!(bare(state).decide().decision.missing, ["GetMetricData"]);
    }
    let asked = AlarmFacts::told(told(AlarmValue::Ok, 0, None)).with_metric(Some(reading(120.0, 0)));
    cpu()
        .has_alarm("cpu", asked)
        .expect(Some(8), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn who_is_asked_for_a_newer_value() {
    let rule = |json: Value| -> crate::config::AlarmRule {
        let mut json = json;
        json["alarm"] = "a".into();
        match serde_json::from_value(json).unwrap() {
            crate::config::Rule::Alarm(rule) => rule,
            crate::config::Rule::Queue(_) => panic!("it is no queue"),
        }
    };
    let (target, steps) = (json!({ "target": 60 }), json!({ "steps": [{ "from": 0, "add": 1 }] }));
    let old = |state| told(state, -200, Some(reading(90.0, -260)));
    let fresh = |state| told(state, 0, Some(reading(90.0, -60)));
    let composite = AlarmState {
        triggering: vec!["child".into()],
        ..told(AlarmValue::Alarm, -200, None)
    };
    let muted = AlarmState {
        muted: true,
        ..old(AlarmValue::Alarm)
    };
    for (json, state, expected) in [
        (target.clone(), old(AlarmValue::Ok), true),
        (target.clone(), old(AlarmValue::Alarm), true),
        (target.clone(), fresh(AlarmValue::Alarm), false),
        (target.clone(), told(AlarmValue::Ok, 0, None), true),
        (target.clone(), old(AlarmValue::InsufficientData), false),
        (target.clone(), muted, false),
        (target, composite, false),
        (steps.clone(), old(AlarmValue::Alarm), true),
        (steps.clone(), old(AlarmValue::Ok), false),
        (steps, fresh(AlarmValue::Alarm), false),
        (json!({ "add": 1 }), old(AlarmValue::Alarm), false),
    ] {
        assert_eq!(
            needs_metric(&rule(json.clone()), &state, at(0)),
            expected,
            "{json} {state:?}"
        );
    }
}

#[test]
fn steps_follow_a_newer_value_too() {
    let steps = json!([{ "alarm": "slow", "steps": [{ "from": 0, "to": 20, "add": 1 }, { "from": 20, "add": 4 }] }]);
    let state = told(AlarmValue::Alarm, 0, Some(reading(65.0, -60)));
    let with = |facts| set_by(&look(steps.clone()).at(200).has_alarm("slow", facts).decide());
    assert_eq!(
        with(AlarmFacts::told(state.clone())),
        Some(5),
        "its own value does while nobody asked"
    );
    let worse = Reading {
        threshold: None,
        ..reading(99.0, 120)
    };
    assert_eq!(with(AlarmFacts::told(state).with_metric(Some(worse))), Some(8));
}

#[test]
fn a_composite_alarm_has_the_value_of_the_alarm_that_triggered_it() {
    use Code::*;
    let composite = |triggering: &[&str]| AlarmState {
        triggering: triggering.iter().map(|name| (*name).to_owned()).collect(),
        ..told(AlarmValue::Alarm, 0, None)
    };
    let rules = json!([{ "alarm": "both", "target": 60 }]);
    let look = |triggering| look(rules.clone()).has_alarm("both", AlarmFacts::told(composite(triggering)));
    let child = || AlarmFacts::told(told(AlarmValue::Alarm, 0, Some(reading(90.0, -50))));
    look(&["child", "other"])
        .has_alarm("child", child())
        .expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    let unknown = look(&["child"]).expect(None, Outcome::Wait, &[FactsMissing]);
    assert_eq!(unknown.decision.missing, ["DescribeAlarms"]);
    // A composite among them has no value of its own.
    let nested = look(&["inner", "child"])
        .has_alarm("inner", AlarmFacts::told(composite(&["child"])))
        .has_alarm("child", child());
    nested.expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    let gone = look(&["child"]).has_alarm("child", AlarmFacts::described(None, at(0)));
    gone.expect(None, Outcome::Ignore, &[NoReading]);
    let old = look(&["child"]).at(600).has_alarm("child", child());
    let both = old.has_alarm("both", AlarmFacts::told(composite(&["child"])));
    assert_eq!(both.decide().decision.missing, ["GetMetricData"]);
    let steps = json!([{ "alarm": "both", "steps": [{ "from": 0, "to": 20, "add": 1 }, { "from": 20, "add": 4 }] }]);
    let look = super::look(steps).has_alarm("both", AlarmFacts::told(composite(&["child"])));
    look.has_alarm("child", child())
        .expect(Some(8), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn what_was_measured_before_the_tasks_were_warm_is_not_used() {
    use Code::*;
    let warm = |rule: Value, warm_up: &str, begun: i64| {
        let mut rule = rule;
        rule["alarm"] = "cpu".into();
        let scaling = json!({ "min": 2, "max": 20, "rules": [rule], "warm-up": warm_up, "cooldown": { "out": "0s" } });
        configured(scaling)
            .at(310)
            .has_alarm(
                "cpu",
                AlarmFacts::told(told(AlarmValue::Alarm, 300, Some(reading(90.0, begun)))),
            )
            .with(|facts| facts.memory = changed(2, 4, 0))
    };
    let target = || json!({ "target": 60 });
    warm(target(), "4m", 239).expect(None, Outcome::Ignore, &[StaleReading]);
    warm(target(), "4m", 240).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    warm(target(), "0s", 0).expect(None, Outcome::Ignore, &[StaleReading]);
    warm(target(), "0s", 1).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    let steps = || json!({ "steps": [{ "from": 0, "add": 1 }] });
    warm(steps(), "4m", 239).expect(None, Outcome::Ignore, &[StaleReading]);
    warm(steps(), "4m", 240).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    warm(steps(), "0s", -60).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn after_fewer_tasks_none_has_to_get_warm() {
    use Code::*;
    let after = |memory: Memory, begun: i64| {
        let scaling = json!({ "min": 2, "max": 20, "rules": [{ "alarm": "cpu", "target": 60 }], "warm-up": "4m" });
        let alarm = told(AlarmValue::Alarm, 130, Some(reading(90.0, begun)));
        configured(scaling)
            .at(140)
            .has_alarm("cpu", AlarmFacts::told(alarm))
            .with(|facts| facts.memory = memory)
    };
    after(changed(6, 4, 0), 60).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
    after(changed(6, 4, 0), 0).expect(None, Outcome::Ignore, &[StaleReading]);
    let rose_before = |rose: i64| Memory {
        rise: changed(2, 6, rose).rise,
        ..changed(6, 4, 0)
    };
    after(rose_before(-179), 60).expect(None, Outcome::Ignore, &[StaleReading]);
    after(rose_before(-180), 60).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn no_task_is_removed_that_would_be_asked_for_at_once() {
    use Code::*;
    // 50 % on 4 tasks are 100 % on 2. The reading was acted upon, so its rule is silent.
    let rules = json!([{ "alarm": "cpu", "target": 60 }, { "alarm": "idle", "add": -2 }]);
    let calm = |value| {
        let state = told(AlarmValue::Ok, 0, Some(reading(value, 0)));
        let look = look(rules.clone())
            .knows("idle", alarm(0))
            .has_alarm("cpu", AlarmFacts::told(state));
        look.with(|facts| facts.memory = used(Memory::default(), "cpu", 0, -400))
    };
    let flaps = calm(50.0).expect(
        None,
        Outcome::Ignore,
        &[StaleReading, ScaleIn, AutoScalingAnticipatedFlapping],
    );
    assert_eq!(
        flaps.decision.reasons[2].message,
        "service prod/web stays at 4: with 2 tasks alarm `cpu` would be above its target"
    );
    calm(30.0).expect(Some(2), Outcome::Act, &[StaleReading, ScaleIn, ScaleIn]);
    calm(33.0).expect(Some(2), Outcome::Act, &[StaleReading, ScaleIn, ScaleIn]);
    // 34 % on 4 are 68 % on 2, and 45 % on 3.
    let fewer = calm(34.0).expect(Some(3), Outcome::Act, &[StaleReading, ScaleIn, ScaleIn]);
    assert_eq!(
        fewer.decision.reasons[2].message,
        "service prod/web goes from 4 to 3 tasks: with 2 tasks alarm `cpu` would be above its target"
    );
}
