//! An item that cannot be read is reported with its key and skipped; its neighbours are served.

use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{configure, schedule_event, task, task_arn, task_event, with_discovery};
use wharfinger_tests::lambda::{CONFIG_TABLE, STATE_TABLE, item};

use super::{Rig, has};

fn put(rig: &Rig, table: &str, plain: &Value) {
    rig.lambda
        .world(|world| world.tables.put(table, item(plain.as_object().unwrap())));
}

fn joining(service: &str, id: &str) -> Value {
    task_event(&task(service, id, 3, "RUNNING", "RUNNING"))
}

#[test]
fn a_malformed_config_item_is_reported_and_its_neighbours_are_served() {
    let broken = [
        ("bad1", json!({})),
        ("bad2", json!({ "target": "text" })),
        (
            "bad3",
            json!({ "target": { "config": { "discovery": [{ "to": 7 }] } } }),
        ),
        ("bad4", json!({ "target": { "config": { "a-key-of-tomorrow": {} } } })),
    ];
    let rig = Rig::start("discovery");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
    for (service, item) in &broken {
        let mut item = item.clone();
        item["pk"] = json!("targets");
        item["sk"] = json!(format!("service#prod/{service}"));
        put(&rig, CONFIG_TABLE, &item);
    }
    put(&rig, CONFIG_TABLE, &json!({ "pk": "targets", "sk": "no target" }));
    for (service, _) in &broken {
        rig.done(&joining(service, "x"));
        let key = format!("targets / service#prod/{service}");
        rig.process
            .line(|line| has(line, &[("level", "ERROR"), ("key", &key)]))
            .unwrap();
    }
    rig.done(&joining("web", "t1"));
    assert_eq!(rig.instances(), ["t1-8080"]);

    rig.lambda.world(|world| {
        world
            .tasks
            .insert(task_arn("t2"), task("web", "t2", 3, "RUNNING", "RUNNING"))
    });
    rig.done(&schedule_event());
    assert!(rig.instances().contains(&"t2-8080".to_owned()), "{}", rig.said());
    rig.process
        .line(|line| has(line, &[("key", "targets / no target")]))
        .unwrap();
}

#[test]
fn a_malformed_ledger_item_is_reported_and_replaced() {
    let facts = task("web", "t0", 2, "RUNNING", "RUNNING");
    let broken = [
        json!({}),
        json!({ "order": "text", "facts": facts }),
        json!({ "order": 9 }),
        json!({ "order": 9, "facts": "text" }),
        json!({ "order": 9, "facts": { "taskArn": 1 } }),
        json!({ "order": 2, "facts": "text", "settled": 2 }),
        json!({ "order": 2, "facts": facts, "intended": "text", "registered": [{ "ServiceId": 1 }], "said": 7 }),
    ];
    let rig = Rig::start("discovery");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
    for (i, item) in broken.iter().enumerate() {
        let mut item = item.clone();
        item["pk"] = json!(format!("task#prod/t{i}"));
        item["sk"] = json!("discovery");
        put(&rig, STATE_TABLE, &item);
        rig.done(&joining("web", &format!("t{i}")));
        assert!(
            rig.instances().contains(&format!("t{i}-8080")),
            "{item}\n{}",
            rig.said()
        );
        if item.get("order").is_some_and(|order| *order != 2) || item.get("registered").is_some() {
            let key = format!("task#prod/t{i} / discovery");
            rig.process
                .line(|line| has(line, &[("level", "ERROR"), ("key", &key)]))
                .unwrap();
        }
    }
    // What was replaced is a ledger like any other.
    for i in 0..broken.len() {
        let left = task_event(&task("web", &format!("t{i}"), 10, "STOPPED", "STOPPED"));
        rig.done(&left);
    }
    assert!(rig.instances().is_empty(), "{:?}", rig.instances());
}
