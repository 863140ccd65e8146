//! What each kind of rule makes of each state of its alarm.

use serde_json::json;

use super::*;

#[test]
fn each_kind_of_rule_in_alarm() {
    for (rule, reading, to) in [
        (json!({ "target": 60 }), Some((90.0, 60.0)), 6),
        (json!({ "target": 60 }), Some((30.0, 60.0)), 2),
        (json!({ "target": 60, "tolerance": 0.5 }), Some((91.0, 60.0)), 7),
        (json!({ "add": 3 }), None, 7),
        (json!({ "add": -1 }), None, 3),
        (json!({ "percent": 50 }), None, 6),
        (json!({ "percent": 10, "min-step": 2 }), None, 6),
        (json!({ "percent": -25 }), None, 3),
        (json!({ "set": 9 }), None, 9),
        (json!({ "set": 0 }), None, 2),
        (json!({ "set": 3 }), None, 3),
        (
            json!({ "steps": [{ "from": 0, "to": 200, "add": 1 }, { "from": 200, "add": 4 }] }),
            Some((699.0, 500.0)),
            5,
        ),
        (
            json!({ "steps": [{ "from": 0, "to": 200, "add": 1 }, { "from": 200, "add": 4 }] }),
            Some((700.0, 500.0)),
            8,
        ),
        (
            json!({ "steps": [{ "from": 0, "percent": 25 }], "min-step": 2 }),
            Some((500.0, 500.0)),
            6,
        ),
        (json!({ "steps": [{ "to": 0, "set": 2 }] }), Some((1.0, 5.0)), 2),
    ] {
        let mut rule = rule;
        rule["alarm"] = "a".into();
        let state = reading.map_or(alarm(0), |(value, threshold)| alarm(0).reads(value, threshold));
        let code = if to > 4 { Code::ScaleOut } else { Code::ScaleIn };
        look(json!([rule]))
            .knows("a", state)
            .expect(Some(to), Outcome::Act, &[code, code]);
    }
}

#[test]
fn each_kind_of_rule_without_a_wish() {
    use Code::*;
    let insufficient = || state(AlarmValue::InsufficientData, 0);
    let muted = || AlarmState {
        muted: true,
        ..alarm(0).reads(90.0, 60.0)
    };
    let cpu = json!({ "target": 60 });
    let slow = json!({ "steps": [{ "from": 10, "add": 1 }] });
    for (rule, state, code) in [
        (json!({ "add": 3 }), ok(0), AlarmNotActive),
        (slow.clone(), ok(0).reads(90.0, 60.0), AlarmNotActive),
        (json!({ "add": 3 }), insufficient(), InsufficientData),
        (
            json!({ "add": 3, "missing": "ignore" }),
            insufficient(),
            InsufficientData,
        ),
        (cpu.clone(), insufficient().reads(90.0, 60.0), InsufficientData),
        (json!({ "add": 3 }), state(AlarmValue::Unknown, 0), InsufficientData),
        (json!({ "add": 3 }), muted(), AlarmMuted),
        (cpu.clone(), muted(), AlarmMuted),
        (cpu.clone(), alarm(0), NoReading),
        (cpu.clone(), ok(0), NoReading),
        (slow.clone(), alarm(0), NoReading),
        (slow, alarm(0).reads(65.0, 60.0), NoStep),
        (cpu.clone(), alarm(0).reads(66.0, 60.0), WithinTolerance),
        (cpu.clone(), ok(0).reads(54.0, 60.0), WithinTolerance),
        (cpu, ok(0).reads(53.0, 60.0), AlreadyAtDesiredCapacity), // ceil(4 × 0.88) is 4
        (json!({ "add": 0 }), alarm(0), AlreadyAtDesiredCapacity),
        (json!({ "set": 4 }), alarm(0), AlreadyAtDesiredCapacity),
        (json!({ "add": 1, "set": 2 }), alarm(0), ConfigMalformed),
        (json!({}), alarm(0), ConfigMalformed),
        (json!({ "target": 0 }), alarm(0).reads(90.0, 60.0), ConfigMalformed),
        (
            json!({ "steps": [{ "add": 1, "set": 1 }] }),
            alarm(0).reads(90.0, 60.0),
            ConfigMalformed,
        ),
    ] {
        let mut rule = rule;
        rule["alarm"] = "a".into();
        look(json!([rule]))
            .knows("a", state)
            .expect(None, Outcome::Ignore, &[code]);
    }
}

#[test]
fn a_target_is_read_in_ok_too() {
    use Code::*;
    let cpu = json!([{ "alarm": "a", "target": 60 }]);
    look(cpu.clone())
        .knows("a", ok(0).reads(30.0, 80.0))
        .expect(Some(2), Outcome::Act, &[ScaleIn, ScaleIn]);
    look(cpu)
        .knows("a", ok(0).reads(75.0, 80.0))
        .expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn who_objects_to_fewer_tasks() {
    use Code::*;
    let insufficient = || state(AlarmValue::InsufficientData, 0);
    for (rule, other, code, blocks) in [
        (json!({ "add": 1 }), ok(0), AlarmNotActive, false),
        (json!({ "add": 1 }), insufficient(), InsufficientData, true),
        (
            json!({ "add": 1, "missing": "ignore" }),
            insufficient(),
            InsufficientData,
            false,
        ),
        (
            json!({ "add": 1 }),
            AlarmState {
                muted: true,
                ..alarm(0)
            },
            AlarmMuted,
            false,
        ),
        (
            json!({ "add": 1 }),
            AlarmState {
                muted: true,
                ..insufficient()
            },
            AlarmMuted,
            false,
        ),
        (json!({ "add": 0 }), alarm(0), AlreadyAtDesiredCapacity, true),
        (json!({ "target": 60 }), ok(0).reads(60.0, 60.0), WithinTolerance, true),
        (json!({ "target": 60 }), alarm(0), NoReading, true),
        (json!({ "target": 60 }), ok(0), NoReading, false),
        (
            json!({ "steps": [{ "from": 10, "add": 1 }] }),
            alarm(0).reads(65.0, 60.0),
            NoStep,
            false,
        ),
    ] {
        let mut rule = rule;
        rule["alarm"] = "other".into();
        let look = look(json!([{ "alarm": "idle", "add": -1 }, rule]))
            .knows("idle", alarm(0))
            .knows("other", other);
        if blocks {
            look.expect(None, Outcome::Ignore, &[ScaleIn, code, ScaleInBlocked]);
        } else {
            look.expect(Some(3), Outcome::Act, &[ScaleIn, code, ScaleIn]);
        }
    }
}

#[test]
fn any_out_wins_and_the_largest_count() {
    use Code::*;
    let rules = json!([{ "alarm": "a", "add": 1 }, { "alarm": "b", "percent": 100 }, { "alarm": "c", "add": -2 }]);
    let all = look(rules)
        .knows("a", alarm(0))
        .knows("b", alarm(0))
        .knows("c", alarm(0));
    let decided = all.expect(Some(8), Outcome::Act, &[ScaleOut, ScaleOut, ScaleIn, ScaleOut]);
    let used: Vec<_> = decided.intent.unwrap().used.into_keys().collect();
    assert_eq!(used, ["a", "b"], "what was outvoted was not acted upon");
}

#[test]
fn in_takes_the_largest_count_of_those_that_agree() {
    use Code::*;
    let rules = json!([{ "alarm": "a", "add": -1 }, { "alarm": "b", "percent": -75 }, { "alarm": "c", "add": 5 }]);
    let all = look(rules)
        .tasks(8)
        .knows("a", alarm(0))
        .knows("b", alarm(0))
        .knows("c", ok(0));
    all.expect(Some(7), Outcome::Act, &[ScaleIn, ScaleIn, AlarmNotActive, ScaleIn]);
}

#[test]
fn what_is_not_known_is_named() {
    use Code::*;
    let rules = json!([{ "alarm": "a", "add": 1 }, { "alarm": "b", "add": -1 }]);
    let unknown = look(rules).with(|facts| facts.service = Known::No);
    let missing = |look: &Look| look.decide().decision.missing;

    unknown.expect(None, Outcome::Wait, &[FactsMissing, FactsMissing]);
    assert_eq!(missing(&unknown), ["DescribeAlarms"]);

    let one = unknown.clone().knows("a", alarm(0));
    one.expect(None, Outcome::Wait, &[FactsMissing, FactsMissing]);
    assert_eq!(missing(&one), ["DescribeServices", "DescribeAlarms"]);

    let idle = unknown.clone().knows("a", ok(0)).knows("b", ok(0));
    idle.expect(None, Outcome::Ignore, &[AlarmNotActive, AlarmNotActive]);
    assert!(
        missing(&idle).is_empty(),
        "a service that no rule would change is not looked up"
    );

    let out = look(json!([{ "alarm": "a", "add": 1 }, { "alarm": "b", "add": -1 }])).knows("a", alarm(0));
    out.expect(Some(5), Outcome::Act, &[ScaleOut, FactsMissing, ScaleOut]);
    assert_eq!(missing(&out), ["DescribeAlarms"], "more tasks need no other's consent");

    let inward = look(json!([{ "alarm": "a", "add": 1 }, { "alarm": "b", "add": -1 }])).knows("b", alarm(0));
    inward.expect(None, Outcome::Wait, &[FactsMissing, ScaleIn, ScaleInBlocked]);
    assert_eq!(missing(&inward), ["DescribeAlarms"]);

    let ignored = look(json!([{ "alarm": "a", "add": 1, "missing": "ignore" }, { "alarm": "b", "add": -1 }]));
    ignored
        .knows("b", alarm(0))
        .expect(Some(3), Outcome::Act, &[FactsMissing, ScaleIn, ScaleIn]);
}

#[test]
fn an_unfinished_change_needs_the_count() {
    let intent = Intent {
        from: 4,
        to: 6,
        at: at(0),
        repeated: None,
        base: 4,
        wanted: 0,
        limited: false,
        bounds: None,
        used: BTreeMap::new(),
    };
    let look = look(json!([{ "alarm": "a", "add": 1 }]))
        .knows("a", ok(0))
        .with(|facts| {
            facts.service = Known::No;
            facts.memory.intent = Some(intent);
        });
    let decided = look.expect(None, Outcome::Wait, &[Code::FactsMissing, Code::AlarmNotActive]);
    assert_eq!(decided.decision.missing, ["DescribeServices"]);
}

#[test]
fn an_alarm_that_is_no_more_is_said_and_objects() {
    use Code::*;
    let gone = AlarmFacts::described(None, at(10));
    let rules = json!([{ "alarm": "gone", "add": 1 }, { "alarm": "b", "add": -1 }]);
    let look = look(rules).knows("b", alarm(0)).with(|facts| {
        facts.alarms.insert("gone".into(), gone);
    });
    let decided = look.expect(None, Outcome::Ignore, &[AlarmNotFound, ScaleIn, ScaleInBlocked]);
    assert!(decided.decision.missing.is_empty());
}

#[test]
fn an_alarm_of_long_ago_is_confirmed_first() {
    use Code::*;
    let look = look(json!([{ "alarm": "a", "add": 1 }])).knows("a", alarm(0));
    look.clone()
        .at(900)
        .expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    let late = look.clone().at(901);
    let decided = late.expect(None, Outcome::Wait, &[FactsMissing]);
    assert_eq!(decided.decision.missing, ["DescribeAlarms"]);
    assert!(needs_confirmation(&alarm(0), at(901)) && !needs_confirmation(&alarm(0), at(900)));

    let confirmed = |state, when| {
        look.clone().at(901).with(|facts| {
            facts
                .alarms
                .insert("a".into(), AlarmFacts::described(Some(state), at(when)));
        })
    };
    confirmed(alarm(0), 901).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    confirmed(ok(800), 901).expect(None, Outcome::Ignore, &[AlarmNotActive]);
    confirmed(alarm(0), -5).expect(None, Outcome::Wait, &[FactsMissing]);
    look.knows("a", ok(0))
        .at(10_000)
        .expect(None, Outcome::Ignore, &[AlarmNotActive]);
}

#[test]
fn a_stale_reading_asks_for_nothing() {
    use Code::*;
    let cpu = |state| {
        look(json!([{ "alarm": "cpu", "target": 60 }, { "alarm": "idle", "add": -1 }]))
            .knows("cpu", state)
            .knows("idle", alarm(0))
    };
    let high = || alarm(0).reads(90.0, 60.0);
    let after = |from, to, when: i64| {
        move |facts: &mut Facts| {
            facts.memory = changed(from, to, when);
            facts.scaling.cooldown = serde_json::from_value(json!({ "out": "0s", "in": "0s" })).unwrap();
        }
    };
    // Read before the last change: acted upon again it would compound. It objects to fewer tasks while it is high.
    cpu(high())
        .with(after(2, 4, 5))
        .expect(None, Outcome::Ignore, &[StaleReading, ScaleIn, ScaleInBlocked]);
    cpu(ok(0).reads(58.0, 60.0)).with(after(2, 4, 5)).expect(
        None,
        Outcome::Ignore,
        &[StaleReading, ScaleIn, ScaleInBlocked],
    );
    cpu(ok(0).reads(20.0, 60.0))
        .with(after(2, 4, 5))
        .expect(Some(3), Outcome::Act, &[StaleReading, ScaleIn, ScaleIn]);
    // Read after the last change.
    cpu(high())
        .with(after(2, 4, -5))
        .expect(Some(6), Outcome::Act, &[ScaleOut, ScaleIn, ScaleOut]);
    // The datapoint's own time counts, not the transition's.
    let mut early = high();
    early.reading.as_mut().unwrap().at = Some(at(-300));
    cpu(early)
        .with(after(2, 4, -5))
        .expect(None, Outcome::Ignore, &[StaleReading, ScaleIn, ScaleInBlocked]);
    // Too old to say anything: in OK it is silent then.
    let old = cpu(ok(-1_000).reads(100.0, 120.0));
    old.expect(Some(3), Outcome::Act, &[StaleReading, ScaleIn, ScaleIn]);
    // A long period's datapoint is as new as can be when the alarm was evaluated.
    let mut hourly = high();
    hourly.reading.as_mut().unwrap().at = Some(at(-3_600));
    cpu(hourly).expect(Some(6), Outcome::Act, &[ScaleOut, ScaleIn, ScaleOut]);
}

#[test]
fn the_sentences_have_the_numbers() {
    let rules = json!([
        { "alarm": "web-cpu", "target": 60 },
        { "alarm": "web-slow", "steps": [{ "from": 0, "add": 1 }] },
        { "alarm": "web-idle", "add": -1 },
        { "alarm": "web-calm", "target": 0.5 },
    ]);
    let decided = look(rules)
        .knows("web-cpu", alarm(0).reads(99.501_602, 60.0))
        .knows("web-slow", alarm(0).reads(0.75, 0.5))
        .knows("web-idle", ok(0))
        .knows("web-calm", ok(0).reads(0.52, 0.9))
        .decide();
    let text: Vec<_> = decided
        .decision
        .reasons
        .iter()
        .map(|r| format!("{} {}", r.code, r.message))
        .collect();
    expect_test::expect![[r#"
        ScaleOut alarm `web-cpu` is at 99.5016, its target is 60: asks for 7 tasks, there are 4
        ScaleOut alarm `web-slow` is at 0.75, 0.25 over its threshold: asks for 5 tasks, there are 4
        AlarmNotActive alarm `web-idle` is OK
        WithinTolerance alarm `web-calm` is at 0.52, its target is 0.5: within 10 %
        ScaleOut service prod/web goes from 4 to 7 tasks"#]]
    .assert_eq(&text.join("\n"));
    let [action] = decided.decision.actions.as_slice() else {
        panic!("one call")
    };
    assert_eq!(action.call(), "UpdateService");
    assert_eq!(
        action.input(),
        json!({ "cluster": "prod", "service": "web", "desiredCount": 7 })
    );
}
