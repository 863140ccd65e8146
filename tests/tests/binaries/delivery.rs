//! What a push leads to, and what that costs.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{configure, push_event, replication_event, scan_event, service, task_definition};
use wharfinger_tests::lambda::{CONFIG_TABLE, item};

use super::{Rig, has, in_turn};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

/// A function with a service that takes the images of `shop/web`.
fn rig() -> Rig {
    let rig = Rig::start("delivery");
    let config = json!({ "delivery": [{ "repository": "shop/web", "tags": { "semver": ">=1.0.0" } }] });
    rig.lambda.world(|world| {
        world.services.insert("web".into(), service("web", 2));
        world.task_definitions.push(task_definition("web", "shop/web:1.0.0"));
        configure(world, "prod/web", &config).unwrap();
        world.push("shop/web", "1.2.0", DIGEST);
    });
    rig
}

fn image_of_the_service(rig: &Rig) -> Value {
    rig.lambda.world(|world| {
        let arn = &world.services["web"]["taskDefinition"];
        let definition = world
            .task_definitions
            .iter()
            .find(|d| d["taskDefinitionArn"] == *arn)
            .unwrap();
        definition["containerDefinitions"][0]["image"].clone()
    })
}

#[test]
fn a_push_is_rolled_out_by_its_digest_once() {
    let rig = rig();
    rig.lambda.latency(Duration::from_millis(150));
    let event = push_event("shop/web", "1.2.0", DIGEST);
    let pushed = rig.done(&event);
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    assert_eq!(
        image_of_the_service(&rig),
        format!("{registry}/shop/web@{DIGEST}"),
        "{}",
        rig.said()
    );
    let update = pushed
        .calls
        .iter()
        .find(|call| call.operation == "UpdateService")
        .unwrap();
    let members: Vec<_> = update.input.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        ["cluster", "service", "taskDefinition"],
        "nothing else is sent"
    );
    expect![[r#"
        Query
        Query
        DescribeImages
        UpdateItem
        UpdateItem
        DescribeServices Query
        DescribeTaskDefinition
        BatchGetImage DescribeImages
        UpdateItem
        UpdateItem
        DescribeTaskDefinition
        RegisterTaskDefinition
        DescribeTaskDefinition
        UpdateItem
        UpdateItem
        UpdateService
        PutEvents PutItem
        Query
        UpdateItem
        UpdateItem"#]]
    .assert_eq(&in_turn(&pushed).join("\n"));

    let again = rig.done(&event);
    for call in ["RegisterTaskDefinition", "UpdateService"] {
        assert!(!again.operations().contains(&call), "{:?}", again.operations());
    }
    assert_eq!(rig.lambda.world(|world| world.task_definitions.len()), 2);
}

#[test]
fn the_base_is_what_the_service_runs_or_the_newest_active_revision_of_its_family() {
    for (base, cpu, made_of) in [("service", "256", "web:1"), ("latest", "512", "web:2")] {
        let rig = Rig::start("delivery");
        let rule = json!({ "repository": "shop/web", "tags": { "semver": ">=1.0.0" }, "base": base });
        rig.lambda.world(|world| {
            world.services.insert("web".into(), service("web", 2));
            // Someone registered two more since, and took the last one back.
            for (revision, cpu, status) in [(1, "256", "ACTIVE"), (2, "512", "ACTIVE"), (3, "1024", "INACTIVE")] {
                let mut definition = task_definition("web", "shop/web:1.0.0");
                definition["taskDefinitionArn"] = json!(format!(
                    "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:{revision}"
                ));
                (definition["revision"], definition["cpu"], definition["status"]) =
                    (json!(revision), json!(cpu), json!(status));
                world.task_definitions.push(definition);
            }
            configure(world, "prod/web", &json!({ "delivery": [rule] })).unwrap();
            world.push("shop/web", "1.2.0", DIGEST);
        });
        let pushed = rig.done(&push_event("shop/web", "1.2.0", DIGEST));
        let described = pushed
            .calls
            .iter()
            .filter(|call| call.operation == "DescribeTaskDefinition");
        let asked: Vec<_> = described.map(|call| call.input["taskDefinition"].clone()).collect();
        assert!(asked.contains(&json!("web")), "the family by its name: {asked:?}");
        let registered = pushed
            .calls
            .iter()
            .find(|call| call.operation == "RegisterTaskDefinition")
            .unwrap();
        assert_eq!(registered.input["cpu"], cpu, "made of {made_of}");
        let runs = rig
            .lambda
            .world(|world| world.services["web"]["taskDefinition"].clone());
        assert!(runs.as_str().unwrap().ends_with("/web:4"), "{runs}: {}", rig.said());
        rig.process
            .line(|line| has(line, &[("message", "decision"), ("reasons", "NewerRevision")]))
            .unwrap();
    }
}

#[test]
fn a_push_that_no_rule_wants_changes_nothing_and_says_why() {
    let rig = rig();
    let pushed = rig.done(&push_event("shop/web", "nightly", DIGEST));
    assert!(
        !pushed.operations().contains(&"RegisterTaskDefinition"),
        "{:?}",
        pushed.operations()
    );
    rig.process
        .line(|line| has(line, &[("message", "decision"), ("outcome", "ignore")]))
        .unwrap();
    let other = push_event("shop/other", "1.2.0", DIGEST);
    assert_eq!(rig.done(&other).operations(), ["Query"]);
}

#[test]
fn a_replicated_image_is_rolled_out_like_a_push() {
    let rig = rig();
    rig.done(&replication_event("shop/web", "1.2.0", DIGEST));
    let image = image_of_the_service(&rig);
    assert!(image.as_str().unwrap().ends_with(DIGEST), "{image}: {}", rig.said());
}

#[test]
fn the_end_of_a_scan_concerns_who_waits_for_one() {
    let rig = rig();
    let scan = scan_event("shop/web", DIGEST);
    assert_eq!(rig.done(&scan).operations(), ["Query"], "no rule waits for scans");

    let rule = json!({ "repository": "shop/api", "tags": { "semver": ">=1.0.0" }, "scan": { "block": "HIGH" } });
    rig.lambda.world(|world| {
        world.services.insert("api".into(), service("api", 2));
        world.task_definitions.push(task_definition("api", "shop/api:1.0.0"));
        configure(world, "prod/api", &json!({ "delivery": [rule] })).unwrap();
        world.push("shop/api", "1.2.0", DIGEST);
    });
    let scan = scan_event("shop/api", DIGEST);
    let quiet = rig.done(&scan);
    assert!(
        !quiet.operations().contains(&"DescribeServices"),
        "no image waits: {:?}",
        quiet.operations()
    );
    rig.done(&push_event("shop/api", "1.2.0", DIGEST));
    let resumed = rig.done(&scan);
    assert!(
        resumed.operations().contains(&"DescribeServices"),
        "{:?}",
        resumed.operations()
    );
}

#[test]
fn a_malformed_neighbour_under_the_same_repository_is_reported_and_the_others_are_served() {
    let rig = rig();
    let bad =
        json!({ "pk": "repository#shop/web", "sk": "service#prod/bad", "target": { "config": { "delivery": 7 } } });
    rig.lambda
        .world(|world| world.tables.put(CONFIG_TABLE, item(bad.as_object().unwrap())));
    rig.done(&push_event("shop/web", "1.2.0", DIGEST));
    assert!(
        image_of_the_service(&rig).as_str().unwrap().ends_with(DIGEST),
        "{}",
        rig.said()
    );
    let key = "repository#shop/web / service#prod/bad";
    rig.process
        .line(|line| has(line, &[("level", "ERROR"), ("key", key)]))
        .unwrap();
}
