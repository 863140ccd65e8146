//! What AWS may change at any time, and what anybody may send: neither breaks the reading of an event.

use std::collections::BTreeSet;

use expect_test::{ExpectFile, expect_file};
use proptest::prelude::*;
use serde_json::{Value, json};
use wharfinger_core::event::{Detail, Event, Rejected};

use crate::files::{Corpus, UNDERSTOOD};

/// The events that are read, of every kind.
fn readable() -> Vec<(String, Value, Event)> {
    let Some(corpus) = Corpus::find() else {
        return Vec::new();
    };
    let files = UNDERSTOOD.iter().flat_map(|kind| {
        corpus
            .folder(kind)
            .into_iter()
            .map(move |(name, json)| (format!("{kind}/{name}"), json))
    });
    files
        .filter_map(|(name, json)| Event::parse(&json).ok().map(|event| (name, json, event)))
        .collect()
}

/// Reads it, and asks what every domain asks next.
fn read(json: &Value) -> Result<Event, Rejected> {
    let event = Event::parse(json)?;
    if let Detail::Task(task) = &event.detail {
        let _: (Result<_, Rejected>, bool, bool) = (task.target(), task.is_leaving(), task.is_running());
    }
    Ok(event)
}

/// The JSON pointer of everything inside.
fn pointers(json: &Value) -> Vec<String> {
    fn walk(json: &Value, at: &str, found: &mut Vec<String>) {
        let mut step = |key: &str, value: &Value| {
            let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            walk(value, &at, found);
            found.push(at);
        };
        match json {
            Value::Object(members) => members.iter().for_each(|(key, value)| step(key, value)),
            Value::Array(elements) => elements
                .iter()
                .enumerate()
                .for_each(|(i, value)| step(&i.to_string(), value)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(json, "", &mut found);
    found
}

/// The pointer with every index as `*`, so that files can be compared.
fn pattern(pointer: &str) -> String {
    pointer
        .split('/')
        .map(|part| if part.parse::<usize>().is_ok() { "*" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

fn without(json: &Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut changed = json.clone();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.shift_remove(&key.replace("~1", "/").replace("~0", "~"))),
        Value::Array(elements) => drop(elements.remove(key.parse().unwrap())),
        other => panic!("{other} has no members"),
    }
    changed
}

fn with(json: &Value, pointer: &str, value: &Value) -> Value {
    let mut changed = json.clone();
    *changed.pointer_mut(pointer).unwrap() = value.clone();
    changed
}

/// A field and an element that nobody knows, everywhere.
fn extend(json: &mut Value) {
    match json {
        Value::Object(members) => {
            members.values_mut().for_each(extend);
            members.insert("aFieldOfTomorrow".into(), json!({ "name": [1, null, "x"] }));
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(extend);
            elements.push(json!({ "anElementOfTomorrow": true }));
        }
        _ => {}
    }
}

/// Pins which places of a readable event cannot bear a change, by the kind of event.
fn check_needed(change: impl Fn(&Value, &str) -> Vec<Value>, expected: &ExpectFile) {
    let mut needed = BTreeSet::new();
    let events = readable();
    for (name, json, event) in &events {
        for pointer in pointers(json) {
            for changed in change(json, &pointer) {
                if let Err(rejected) = read(&changed) {
                    assert!(!rejected.to_string().is_empty(), "{name}: {pointer}");
                    let form = if json.get("detail-type").is_some() {
                        ""
                    } else {
                        " (Lambda action)"
                    };
                    needed.insert(format!("{}{form} {}", event.detail.kind(), pattern(&pointer)));
                }
            }
        }
    }
    if !events.is_empty() {
        expected.assert_eq(&needed.into_iter().map(|line| line + "\n").collect::<String>());
    }
}

#[test]
fn unknown_fields_change_nothing() {
    for (name, json, event) in readable() {
        let mut changed = json.clone();
        extend(&mut changed);
        assert_ne!(changed, json);
        assert_eq!(read(&changed).as_ref(), Ok(&event), "{name}");
    }
}

#[test]
fn only_these_fields_are_needed() {
    check_needed(
        |json, pointer| vec![without(json, pointer)],
        &expect_file!["needed.txt"],
    );
}

#[test]
fn only_these_fields_must_have_their_type() {
    let others = [
        json!(null),
        json!(7),
        json!(-1.5e300),
        json!(true),
        json!([]),
        json!({}),
        json!([[{}]]),
    ];
    check_needed(
        |json, pointer| others.iter().map(|other| with(json, pointer, other)).collect(),
        &expect_file!["typed.txt"],
    );
}

#[test]
fn only_these_texts_have_a_form() {
    let change = |json: &Value, pointer: &str| match json.pointer(pointer) {
        Some(Value::String(_)) => vec![with(json, pointer, &json!("TOMORROW")), with(json, pointer, &json!(""))],
        _ => Vec::new(),
    };
    check_needed(change, &expect_file!["formed.txt"]);
}

/// Names and values that the parsers look for, so that random JSON gets past the first check.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("aws.ecs"),
        Just("eni"),
        Just("service:web"),
        Just("family:"),
        Just("RUNNING"),
        Just("privateIPv4Address"),
        Just("ALARM"),
        Just("2019-10-02T17:04:40.989+0000"),
        Just("-009999-01-01T00:00:00Z"),
        Just("arn:aws:ecs:eu-west-1:123456789012:task/prod/1"),
        Just("arn:aws:ecs:eu-west-1:123456789012:cluster/prod"),
        Just("arn:aws:ecs:eu-west-1:123456789012:service/prod/web"),
        Just("arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7"),
        Just("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        Just(
            r#"{"recentDatapoints":[null,1e308],"threshold":"x","evaluatedDatapoints":[{"timestamp":1e300,"value":0}]}"#
        ),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &[
        "source",
        "detail-type",
        "detail",
        "resources",
        "time",
        "alarmData",
        "alarmName",
        "state",
        "value",
        "timestamp",
        "reasonData",
        "muteDetail",
        "taskArn",
        "clusterArn",
        "taskDefinitionArn",
        "version",
        "group",
        "attachments",
        "type",
        "details",
        "name",
        "containers",
        "networkInterfaces",
        "networkBindings",
        "containerPort",
        "startedAt",
        "repository-name",
        "image-digest",
        "image-tag",
        "action-type",
        "result",
        "sync-status",
        "scan-status",
        "artifact-media-type",
        "eventName",
        "deploymentId",
    ];
    prop_oneof![9 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

fn any_event() -> impl Strategy<Value = Value> {
    let kinds = [
        ("aws.ecs", "ECS Task State Change"),
        ("aws.ecs", "ECS Deployment State Change"),
        ("aws.cloudwatch", "CloudWatch Alarm State Change"),
        ("aws.ecr", "ECR Image Action"),
        ("aws.ecr", "ECR Replication Action"),
        ("aws.ecr", "ECR Pull Through Cache Action"),
        ("aws.ecr", "ECR Referrer Action"),
        ("aws.ecr", "ECR Image Scan"),
        ("aws.inspector2", "Inspector2 Scan"),
        ("aws.events", "Scheduled Event"),
    ];
    let detail = prop::collection::vec((any_name(), any_json()), 0..24)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    (prop::sample::select(kinds.to_vec()), detail, any_json()).prop_map(|((source, kind), detail, resources)| {
        json!({ "source": source, "detail-type": kind, "detail": detail, "resources": resources })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_or_rejected_with_a_reason(json in prop_oneof![any_json(), any_event()]) {
        if let Err(rejected) = read(&json) {
            prop_assert!(!rejected.to_string().is_empty());
        }
    }
}

#[test]
fn any_few_changes_of_a_real_event_are_read_or_rejected() {
    let events = readable();
    if events.is_empty() {
        return;
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any_json())), 1..5);
    let check = |(file, changes): (prop::sample::Index, Vec<(prop::sample::Index, Option<Value>)>)| {
        let mut json = events[file.index(events.len())].1.clone();
        for (place, value) in changes {
            let places = pointers(&json);
            if places.is_empty() {
                break;
            }
            let pointer = &places[place.index(places.len())];
            json = value.map_or_else(|| without(&json, pointer), |value| with(&json, pointer, &value));
        }
        drop(read(&json));
        Ok(())
    };
    runner.run(&(any::<prop::sample::Index>(), changes), check).unwrap();
}
