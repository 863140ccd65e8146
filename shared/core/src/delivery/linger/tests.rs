#![allow(clippy::needless_pass_by_value, reason = "the cases read better so")]

mod lossless;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::delivery::{Images, differences, revise};

/// A service's configuration.
fn asked(config: Value) -> Option<Linger> {
    Linger::of(&serde_json::from_value(config).unwrap())
}

fn fifteen() -> Option<Linger> {
    asked(json!({ "drain": { "linger": "15s" } }))
}

/// The answer of `DescribeTaskDefinition` for a task on Fargate.
fn described(containers: Value, more: Value) -> Value {
    let mut definition = json!({
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
        "family": "web", "memory": "512", "cpu": "256", "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": containers,
    });
    definition
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "taskDefinition": definition, "tags": [] })
}

fn web() -> Value {
    json!([{ "name": "web", "image": "shop/web:1", "essential": true, "portMappings": [{ "containerPort": 8080 }] }])
}

/// The same with the side container, as ECS describes it: with the lists that it adds.
fn with_side(containers: Value, config: Option<&Linger>) -> Value {
    let mut answer = described(containers, json!({}));
    linger(&answer, config).side.apply(&mut answer["taskDefinition"]);
    for container in answer["taskDefinition"]["containerDefinitions"].as_array_mut().unwrap() {
        for list in ["mountPoints", "volumesFrom", "systemControls"] {
            container[list] = json!([]);
        }
    }
    answer
}

fn told(lingering: &Lingering) -> String {
    let side = match &lingering.side {
        Side::Keep => "keep\n".to_owned(),
        Side::Remove => "remove\n".to_owned(),
        Side::Put(side) => format!("put {}\n", serde_json::to_string(side).unwrap()),
    };
    let reasons = lingering.reasons.iter().map(|r| format!("{}: {}\n", r.code, r.message));
    side + &reasons.collect::<String>()
}

fn check(answer: Value, config: Option<Linger>, expected: Expect) {
    expected.assert_eq(&told(&linger(&answer, config.as_ref())));
}

#[test]
fn the_side_container_as_it_is_registered() {
    let mut answer = described(web(), json!({}));
    linger(&answer, fifteen().as_ref())
        .side
        .apply(&mut answer["taskDefinition"]);
    let side = &answer["taskDefinition"]["containerDefinitions"][1];
    expect![[r#"
        {
          "name": "wharfinger-linger",
          "image": "public.ecr.aws/docker/library/busybox:1.37.0",
          "essential": false,
          "cpu": 0,
          "entryPoint": [
            "sh",
            "-c"
          ],
          "command": [
            "trap 'trap \"\" TERM INT QUIT; sleep \"$WHARFINGER_LINGER\"; exit 0' TERM INT QUIT; while sleep 86400 & wait \"$!\"; do :; done"
          ],
          "environment": [
            {
              "name": "WHARFINGER_LINGER",
              "value": "15"
            }
          ],
          "dependsOn": [
            {
              "containerName": "web",
              "condition": "START"
            }
          ],
          "stopTimeout": 25,
          "readonlyRootFilesystem": true,
          "user": "65534"
        }"#]].assert_eq(&serde_json::to_string_pretty(side).unwrap());
}

#[test]
fn an_image_of_ones_own_and_memory_where_the_task_has_none() {
    let config = asked(json!({ "drain": { "linger": "5m", "image": "tools/busybox:1" } }));
    let on_ec2 = json!({ "memory": null, "requiresCompatibilities": ["EC2"] });
    let mut answer = described(web(), on_ec2);
    linger(&answer, config.as_ref())
        .side
        .apply(&mut answer["taskDefinition"]);
    let side = &answer["taskDefinition"]["containerDefinitions"][1];
    let told: Vec<_> = ["image", "stopTimeout", "memoryReservation", "environment"]
        .iter()
        .map(|key| side[key].to_string())
        .collect();
    expect![[r#"
        "tools/busybox:1"
        310
        16
        [{"name":"WHARFINGER_LINGER","value":"300"}]"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn added_kept_changed_and_taken_out() {
    check(
        described(web(), json!({})),
        None,
        expect![[r#"
        keep
    "#]],
    );
    check(
        described(web(), json!({})),
        fifteen(),
        expect![[r#"
        put {"linger":15,"depends-on":["web"],"reserves":false}
        LingerChanges: `wharfinger-linger` is added: `web` stops 15 s after the task was told to
    "#]],
    );
    let with = with_side(web(), fifteen().as_ref());
    check(
        with.clone(),
        fifteen(),
        expect![[r#"
        keep
    "#]],
    );
    check(
        with.clone(),
        asked(json!({ "drain": { "linger": "20s" } })),
        expect![[r#"
            put {"linger":20,"depends-on":["web"],"reserves":false}
            LingerChanges: `wharfinger-linger` is changed: `web` stops 20 s after the task was told to
        "#]],
    );
    check(
        with.clone(),
        None,
        expect![[r#"
        remove
        LingerChanges: `wharfinger-linger` is taken out: tasks stop as ECS stops them
    "#]],
    );
    check(
        with,
        asked(json!({ "drain": { "linger": "0s" } })),
        expect![[r#"
        remove
        LingerChanges: `wharfinger-linger` is taken out: tasks stop as ECS stops them
    "#]],
    );
}

#[test]
fn the_limit_of_the_platform() {
    let long = || asked(json!({ "drain": { "linger": "3m" } }));
    check(
        described(web(), json!({})),
        long(),
        expect![[r#"
        put {"linger":110,"depends-on":["web"],"reserves":false}
        LingerChanges: `wharfinger-linger` is added: `web` stops 110 s after the task was told to
        LingerShortened: tasks linger for 110 s and not 180 s: Fargate stops a container after 120 s
    "#]],
    );
    // What it has been cut to is kept, and said again.
    check(
        with_side(web(), long().as_ref()),
        long(),
        expect![[r#"
        keep
        LingerShortened: tasks linger for 110 s and not 180 s: Fargate stops a container after 120 s
    "#]],
    );
    let open = json!({ "requiresCompatibilities": [], "compatibilities": ["EC2", "FARGATE"] });
    check(
        described(web(), open),
        long(),
        expect![[r#"
        put {"linger":110,"depends-on":["web"],"reserves":false}
        LingerChanges: `wharfinger-linger` is added: `web` stops 110 s after the task was told to
        LingerShortened: tasks linger for 110 s and not 180 s: Fargate stops a container after 120 s
    "#]],
    );
    let on_ec2 = json!({ "requiresCompatibilities": ["EC2"], "compatibilities": ["EC2", "FARGATE"] });
    check(
        described(web(), on_ec2),
        long(),
        expect![[r#"
        put {"linger":180,"depends-on":["web"],"reserves":false}
        LingerChanges: `wharfinger-linger` is added: `web` stops 180 s after the task was told to
    "#]],
    );
    check(
        described(web(), json!({ "requiresCompatibilities": ["EXTERNAL"] })),
        long(),
        expect![[r#"
            put {"linger":180,"depends-on":["web"],"reserves":false}
            LingerChanges: `wharfinger-linger` is added: `web` stops 180 s after the task was told to
        "#]],
    );
}

/// nginx in front of the app, a worker beside them, and a helper that may stop.
fn four() -> Value {
    json!([
        { "name": "front", "dependsOn": [{ "containerName": "app", "condition": "HEALTHY" }], "portMappings": [{ "containerPort": 80 }] },
        { "name": "app", "portMappings": [{ "containerPort": 8080, "hostPort": 0 }] },
        { "name": "worker", "essential": true },
        { "name": "helper", "essential": false, "links": ["app:web"], "portMappings": [{ "containerPort": 9000 }] },
    ])
}

#[test]
fn which_containers_are_held_up() {
    let entries = |discovery: Value, balancing: Value| {
        asked(json!({ "drain": { "linger": "1s" }, "discovery": discovery, "balancing": balancing }))
    };
    let cases = [
        ("no entry", json!([]), json!([])),
        ("a port", json!([{ "to": "srv-1", "port": 80 }]), json!([])),
        (
            "a port behind another",
            json!([{ "to": "srv-1", "port": 8080 }]),
            json!([]),
        ),
        (
            "a name",
            json!([{ "to": "srv-1", "container": "worker", "port": 1 }]),
            json!([]),
        ),
        (
            "both domains",
            json!([{ "to": "srv-1", "container": "worker" }]),
            json!([{ "target-group": "t", "port": 80 }]),
        ),
        ("one that may stop", json!([{ "to": "srv-1", "port": 9000 }]), json!([])),
        (
            "neither name nor port",
            json!([{ "to": "srv-1" }, { "to": "srv-1", "port": 80 }]),
            json!([]),
        ),
        (
            "a port that nobody has",
            json!([{ "to": "srv-1", "port": 81 }]),
            json!([]),
        ),
    ];
    let mut lines = Vec::new();
    for (name, discovery, balancing) in cases {
        let found = linger(&described(four(), json!({})), entries(discovery, balancing).as_ref());
        let Side::Put(side) = found.side else {
            panic!("{name}: {found:?}")
        };
        lines.push(format!("{name}: {}\n", side.depends_on.join(", ")));
    }
    expect![[r#"
        no entry: front, app, worker
        a port: front
        a port behind another: front, app
        a name: worker
        both domains: front, worker
        one that may stop: helper
        neither name nor port: front, app, worker
        a port that nobody has: front, app, worker
    "#]]
    .assert_eq(&lines.concat());
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let foreign = json!([{ "name": "web" }, { "name": SIDE_CONTAINER, "image": "mine", "essential": true }]);
    let foreign = described(foreign, json!({}));
    check(
        foreign.clone(),
        fifteen(),
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: a container of that name is there, without our mark `WHARFINGER_LINGER`
    "#]],
    );
    check(
        foreign,
        None,
        expect![[r#"
        keep
    "#]],
    );
    let windows = json!({ "runtimePlatform": { "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" } });
    check(
        described(web(), windows),
        fifteen(),
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: it is a shell script, and the task runs on Windows
    "#]],
    );
    let placed =
        json!({ "placementConstraints": [{ "type": "memberOf", "expression": "attribute:ecs.os-type == windows" }] });
    check(
        described(web(), placed),
        fifteen(),
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: it is a shell script, and the task runs on Windows
    "#]],
    );
    let many: Vec<_> = (0..10).map(|n| json!({ "name": format!("c{n}") })).collect();
    check(
        described(many.into(), json!({})),
        fifteen(),
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: a task definition takes 10 containers, which it has
    "#]],
    );
}

#[test]
fn containers_that_depend_on_each_other_in_a_circle_are_refused() {
    let on = |name: &str| json!([{ "containerName": name, "condition": "START" }]);
    let waits = json!([{ "name": "web", "dependsOn": on(SIDE_CONTAINER) }]);
    check(
        described(waits, json!({})),
        fifteen(),
        expect![[r#"
            keep
            LingerRefused: the side container `wharfinger-linger` is left as it is: `web` depends on it, so it cannot depend on `web`
        "#]],
    );
    let around = json!([{ "name": "a", "dependsOn": on("b") }, { "name": "b", "dependsOn": on("a") }]);
    check(
        described(around, json!({})),
        fifteen(),
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: `a` depends on itself through others
    "#]],
    );
    check(
        described(json!([{ "name": "a", "essential": false }]), json!({})),
        fifteen(),
        expect![[r#"
            keep
            LingerRefused: the side container `wharfinger-linger` is left as it is: the task definition has no essential container
        "#]],
    );
    let mut needed = with_side(web(), fifteen().as_ref());
    let late = json!({ "name": "late", "essential": false, "dependsOn": on(SIDE_CONTAINER) });
    needed["taskDefinition"]["containerDefinitions"]
        .as_array_mut()
        .unwrap()
        .push(late);
    check(
        needed,
        None,
        expect![[r#"
        keep
        LingerRefused: the side container `wharfinger-linger` is left as it is: `late` depends on it
    "#]],
    );
    check(
        json!({ "taskDefinition": 5 }),
        fifteen(),
        expect![[r#"
        keep
    "#]],
    );
}

#[test]
fn exactly_this_change_is_no_difference() {
    let base = described(web(), json!({}));
    let lingering = linger(&base, fifteen().as_ref());
    let images = Images::from([(0, "shop/web@sha256:2".to_owned())]);
    let new = |change: &dyn Fn(&mut Value)| {
        let mut request = revise(&base, &images).unwrap();
        lingering.side.apply(&mut request);
        change(&mut request["containerDefinitions"]);
        let answer = json!({ "taskDefinition": request });
        let found = differences(
            &base,
            &answer,
            &images,
            &lingering.side,
            &crate::delivery::Mounts::default(),
        )
        .unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        new(&|_| ()),
        new(&|c| c[1]["mountPoints"] = json!([])),
        new(&|c| c[1]["stopTimeout"] = json!(30)),
        new(&|c| c[1]["privileged"] = json!(true)),
        new(&|c| drop(c.as_array_mut().unwrap().remove(1))),
        new(&|c| c[0]["stopTimeout"] = json!(30)),
        new(&|c| c.as_array_mut().unwrap().push(json!({ "name": "more" }))),
    ];
    expect![[r#"


        `containerDefinitions[1].stopTimeout` has another value
        `containerDefinitions[1].privileged` is new
        `containerDefinitions[1]` is gone
        `containerDefinitions[0].stopTimeout` is new
        `containerDefinitions[2]` is new"#]]
    .assert_eq(&lines.join("\n"));
}
