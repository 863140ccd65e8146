//! What an alarm leads to, and what that costs.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{alarm_event, configure, service};
use wharfinger_tests::lambda::{CONFIG_TABLE, item};

use super::{Rig, has, in_turn};

/// A function with a service of two tasks, which the alarm `web-cpu` moves.
fn rig() -> Rig {
    let rig = Rig::start("scaling");
    let rules = json!([{ "alarm": "web-cpu", "target": 60 }]);
    let config = json!({ "scaling": { "min": 1, "max": 9, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } } });
    rig.lambda.world(|world| {
        world.services.insert("web".into(), service("web", 2));
        configure(world, "prod/web", &config).unwrap();
    });
    rig
}

/// The alarm, now, at twice its threshold.
fn alarm() -> Value {
    #[allow(clippy::disallowed_methods, reason = "an old alarm would be looked up first")]
    let now = jiff::Timestamp::now();
    alarm_event(
        "web-cpu",
        &now.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
        120.0,
        60.0,
    )
}

fn count(rig: &Rig) -> Value {
    rig.lambda.world(|world| world.services["web"]["desiredCount"].clone())
}

#[test]
fn an_alarm_moves_the_count_once() {
    let rig = rig();
    rig.lambda.latency(Duration::from_millis(150));
    let event = alarm();
    let moved = rig.done(&event);
    assert_eq!(count(&rig), 4, "{}", rig.said());
    let update = moved
        .calls
        .iter()
        .find(|call| call.operation == "UpdateService")
        .unwrap();
    let members: Vec<_> = update.input.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["cluster", "service", "desiredCount"], "nothing else is sent");
    expect![[r#"
        Query
        UpdateItem
        UpdateItem
        DescribeScalableTargets DescribeServices
        UpdateItem UpdateItem
        UpdateService
        BatchGetItem PutItem
        UpdateItem
        UpdateItem"#]]
    .assert_eq(&in_turn(&moved).join("\n"));

    let copy = rig.done(&event);
    assert!(!copy.operations().contains(&"UpdateService"), "{:?}", copy.operations());
    assert_eq!(count(&rig), 4);
    rig.process
        .line(|line| has(line, &[("outcome", "stale"), ("reasons", "DuplicateEvent")]))
        .unwrap();
}

#[test]
fn an_alarm_that_nobody_configured_costs_one_look_up() {
    let rig = rig();
    let event = alarm_event("other", "2026-01-05T12:00:00.000+0000", 1.0, 1.0);
    assert_eq!(rig.done(&event).operations(), ["Query"]);
    assert!(rig.done(&event).operations().is_empty());
}

#[test]
fn a_malformed_neighbour_under_the_same_alarm_is_reported_and_the_others_are_moved() {
    let rig = rig();
    let bad = json!({ "pk": "alarm#web-cpu", "sk": "service#prod/bad", "target": { "config": { "scaling": 7 } } });
    rig.lambda
        .world(|world| world.tables.put(CONFIG_TABLE, item(bad.as_object().unwrap())));
    rig.done(&alarm());
    assert_eq!(count(&rig), 4, "{}", rig.said());
    let key = "alarm#web-cpu / service#prod/bad";
    rig.process
        .line(|line| has(line, &[("level", "ERROR"), ("key", key)]))
        .unwrap();
}

/// A look at what is active, or at everything.
fn look(only: Option<&str>) -> Value {
    let detail = only.map_or_else(|| json!({}), |only| json!({ "only": only }));
    json!({ "id": "tick", "detail-type": "Scheduled Event", "source": "aws.events", "detail": detail })
}

fn is_scaled(rig: &Rig, rules: &Value, tasks: u32) {
    let scaling = json!({ "min": 0, "max": 9, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } });
    rig.lambda.world(|world| {
        world.services.insert("web".into(), service("web", tasks));
        configure(world, "prod/web", &json!({ "scaling": scaling })).unwrap();
    });
}

#[test]
fn a_queue_is_found_by_the_long_pass_and_followed_by_the_short_one() {
    let rig = Rig::start("scaling");
    let jobs = |visible: u64, in_flight: u64| {
        rig.lambda
            .world(|world| world.queues.insert("jobs".into(), (visible, in_flight)))
    };
    is_scaled(&rig, &json!([{ "queue": "jobs", "per-task": 10 }]), 0);
    jobs(1, 0);
    let short = rig.done(&look(Some("active")));
    assert!(
        !short.operations().contains(&"GetQueueAttributes"),
        "{:?}",
        short.operations()
    );
    rig.done(&look(None));
    assert_eq!(count(&rig), 1, "one message wakes it: {}", rig.said());
    jobs(20, 11);
    rig.done(&look(Some("active")));
    assert_eq!(count(&rig), 4, "what is in flight counts: {}", rig.said());
    jobs(31, 0);
    let quiet = rig.done(&look(Some("active")));
    assert!(
        !quiet.operations().contains(&"UpdateService"),
        "{:?}",
        quiet.operations()
    );
}

#[test]
fn a_value_that_the_alarm_does_not_say_is_asked_for() {
    let rig = Rig::start("scaling");
    is_scaled(&rig, &json!([{ "alarm": "web-cpu", "target": 60 }]), 2);
    let members = [
        ("AlarmName", "web-cpu"),
        ("StateValue", "ALARM"),
        ("StateTransitionedTimestamp", "2026-01-05T12:00:00Z"),
        ("Threshold", "60.0"),
        ("Namespace", "Shop"),
        ("MetricName", "Load"),
        ("Statistic", "Average"),
        ("Period", "60"),
    ];
    rig.lambda.world(|world| {
        let alarm = members.map(|(name, value)| (name.to_owned(), value.to_owned()));
        world.alarms.insert("web-cpu".into(), alarm.into());
        world.metrics.insert("Load".into(), 120.0);
    });
    let swept = rig.done(&look(None));
    assert!(
        swept.operations().contains(&"GetMetricData"),
        "{:?}",
        swept.operations()
    );
    assert_eq!(count(&rig), 4, "{}", rig.said());
}

#[test]
fn a_service_that_application_auto_scaling_moves_is_left_to_it() {
    let rig = rig();
    rig.lambda
        .world(|world| world.scalable.insert("service/prod/web".into()));
    rig.done(&alarm());
    assert_eq!(count(&rig), 2, "{}", rig.said());
    rig.process
        .line(|line| has(line, &[("reasons", "ManagedByApplicationAutoScaling")]))
        .unwrap();
}
