#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![expect(clippy::needless_pass_by_value, reason = "the cases read better so")]

mod capacity;
mod gates;
mod promotions;
mod storage;
mod tags;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::config::unsupported::unsupported;
use crate::config::{Document, Problem, validate};

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| format!("{:?} {}: {}\n", p.level, p.path, p.message))
        .collect();
    lines.concat()
}

fn document(json: Value) -> Document {
    serde_json::from_value(json).unwrap()
}

/// A document with one service, `prod/web`.
fn web(service: &Value) -> Value {
    json!({ "version": 1, "services": { "prod/web": service } })
}

fn check(json: Value, expected: Expect) {
    expected.assert_eq(&lines(&validate(&document(json))));
}

fn check_rule(rule: Value, expected: Expect) {
    check(
        web(&json!({ "scaling": { "min": 1, "max": 9, "rules": [rule] } })),
        expected,
    );
}

fn check_steps(steps: Value, expected: Expect) {
    check_rule(json!({ "alarm": "a", "steps": steps }), expected);
}

fn check_attributes(attributes: Value, expected: Expect) {
    check(
        web(&json!({ "discovery": [{ "to": "srv-1", "attributes": attributes }] })),
        expected,
    );
}

fn check_delivery(rules: Value, expected: Expect) {
    check(web(&json!({ "delivery": rules })), expected);
}

#[test]
fn names_and_version() {
    check(
        json!({
            "version": 2,
            "services": { "web": {}, "prod/a b": {}, "prod/web": {} },
            "tasks": { "prod/web/x": {} },
            "clusters": { "prod": {}, "a/b": {}, "": {} },
        }),
        expect![[r#"
            Error version: this program reads version 1, not 2
            Error services.prod/a b: `prod/a b` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_`
            Error services.web: `web` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_`
            Error tasks.prod/web/x: `prod/web/x` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_`
            Error clusters.: `` is not the name of a cluster: write letters, digits, `-` and `_`, at most 255
            Error clusters.a/b: `a/b` is not the name of a cluster: write letters, digits, `-` and `_`, at most 255
        "#]],
    );
}

#[test]
fn registries() {
    let entry = |to: &str| json!({ "to": to });
    check(
        web(&json!({ "discovery": [
            entry("shop.local/web"), entry("srv-abc123"),
            entry("arn:aws:servicediscovery:eu-west-1:1:service/srv-1"),
            entry("shop.local"), entry("a/b/c"), entry("/web"), entry("srv-"), entry("shop local/web"),
            entry("arn:aws:servicediscovery:eu-west-1:1:namespace/ns-1"), entry("arn:aws:ecs:eu-west-1:1:service/srv-1"),
        ] })),
        expect![[r#"
            Error services.prod/web.discovery[3].to: `shop.local` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[4].to: `a/b/c` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[5].to: `/web` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[6].to: `srv-` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[7].to: `shop local/web` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[8].to: `arn:aws:servicediscovery:eu-west-1:1:namespace/ns-1` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
            Error services.prod/web.discovery[9].to: `arn:aws:ecs:eu-west-1:1:service/srv-1` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it
        "#]],
    );
}

#[test]
fn one_instance_per_registry_and_port() {
    check(
        web(&json!({ "discovery": [
            { "to": "srv-1", "port": 80 }, { "to": "srv-1", "port": 81 }, { "to": "srv-2", "port": 80 },
            { "to": "srv-1", "port": 80, "container": "b" }, { "to": "srv-2" }, { "to": "srv-2", "port": 0 },
            { "to": "srv-2", "container": "" },
        ] })),
        expect![[r#"
            Error services.prod/web.discovery[3]: another entry registers the same instance `<task id>-80` in `srv-1`: give each its own `port`, or another registry
            Error services.prod/web.discovery[5].port: `port: 0` is out of range: 1 to 65535
            Error services.prod/web.discovery[6].container: the container's name is empty
            Error services.prod/web.discovery[6]: another entry registers the same instance `<task id>` in `srv-2`: give each its own `port`, or another registry
        "#]],
    );
}

#[test]
fn creations() {
    check(
        web(&json!({ "discovery": [
            { "to": "a/b", "create": { "vpc": "main", "records": ["SRV"], "ttl": "36500d" } },
            { "to": "a/c", "address": "ipv6", "port": 1, "create": { "vpc": "vpc-1", "records": ["AAAA", "SRV"] } },
            { "to": "a/c", "address": "ipv6", "port": 2, "create": { "records": ["AAAA"] } },
            { "to": "a/c", "address": "ipv6", "port": 3 },
            { "to": "srv-1", "create": {} },
        ] })),
        expect![[r#"
            Error services.prod/web.discovery[0].create.vpc: `main` is no VPC: write its id, `vpc-…`
            Error services.prod/web.discovery[0].create.records: `a/b` has SRV records, which need a port: give the entry a `port`
            Error services.prod/web.discovery[0].create.ttl: Cloud Map takes 2147483647 seconds at most
            Error services.prod/web.discovery[4].create: `srv-1` exists already: there is nothing to create
            Error services.prod/web.discovery[1].create.vpc: another entry creates the namespace a in another VPC
            Error services.prod/web.discovery[2].create: another entry creates `a/c` differently: write the same in both
        "#]],
    );
}

#[test]
fn attributes() {
    check_attributes(
        json!({
            "version": "${image.tag}-${task.az}", "a b": "x", "AWS_INSTANCE_PORT": "1", "WHARFINGER_OWNER": "x", "REGION": "x",
            "empty": "", "open": "${image.tag", "unknown": "x${image.tog}", "money": "$5 {x}", "long": "x".repeat(1025),
        }),
        expect![[r#"
            Error services.prod/web.discovery[0].attributes.AWS_INSTANCE_PORT: `AWS_INSTANCE_PORT` is set by Wharfinger or reserved by AWS: choose another name
            Error services.prod/web.discovery[0].attributes.REGION: `REGION` is set by Wharfinger or reserved by AWS: choose another name
            Error services.prod/web.discovery[0].attributes.WHARFINGER_OWNER: `WHARFINGER_OWNER` is set by Wharfinger or reserved by AWS: choose another name
            Error services.prod/web.discovery[0].attributes.a b: `a b` cannot be an attribute's name: write 1 to 255 of the visible ASCII characters, no blanks
            Error services.prod/web.discovery[0].attributes.empty: the value is empty: leave the attribute out
            Error services.prod/web.discovery[0].attributes.long: the value has 1025 characters; Cloud Map takes 1024
            Error services.prod/web.discovery[0].attributes.open: `${` without `}`; these are filled in: `${image.tag}`, `${image.digest}`, `${task.id}`, `${task.family}`, `${task.revision}`, `${task.az}`, `${tag:KEY}`
            Error services.prod/web.discovery[0].attributes.unknown: `${image.tog}` is not known; these are filled in: `${image.tag}`, `${image.digest}`, `${task.id}`, `${task.family}`, `${task.revision}`, `${task.az}`, `${tag:KEY}`
        "#]],
    );
    let many = |n: usize| {
        (0..n)
            .map(|i| (format!("k{i}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
    };
    check_attributes(many(23).into(), expect![""]);
    check_attributes(
        many(24).into(),
        expect![[r#"
            Error services.prod/web.discovery[0].attributes: 24 attributes; Cloud Map takes 30, of which Wharfinger sets 7: 23 are left
        "#]],
    );
}

#[test]
fn rules() {
    for good in [
        json!({ "alarm": "a", "target": 60, "tolerance": 0 }),
        json!({ "alarm": "a", "add": 0 }),
        json!({ "alarm": "a", "percent": -100, "min-step": 2 }),
        json!({ "alarm": "a", "set": 5 }),
        json!({ "queue": "q", "per-task": 10 }),
    ] {
        check_rule(good, expect![""]);
    }
    check_rule(
        json!({ "alarm": "a" }),
        expect![[r#"
            Error services.prod/web.scaling.rules[0]: a rule with `alarm` needs one of `target`, `steps`, `add`, `percent` and `set`
        "#]],
    );
    check_rule(
        json!({ "alarm": "a", "add": 1, "set": 30, "min-step": 1, "tolerance": 0.2 }),
        expect![[r#"
            Error services.prod/web.scaling.rules[0]: a rule with `alarm` takes only one of `target`, `steps`, `add`, `percent` and `set`; this has `add` and `set`
            Error services.prod/web.scaling.rules[0].tolerance: `tolerance` goes with `target` only
            Error services.prod/web.scaling.rules[0].min-step: `min-step` goes with `percent` only: it is the least change of a percentage
            Warning services.prod/web.scaling.rules[0].set: 30 is outside of 1 to 9: the count stops at the bound
        "#]],
    );
    check_rule(
        json!({ "alarm": "", "target": 0, "tolerance": 1 }),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].alarm: the alarm's name is empty
            Error services.prod/web.scaling.rules[0].target: `target: 0` is out of range: greater than 0, since the count follows value / target
            Error services.prod/web.scaling.rules[0].tolerance: `tolerance: 1` is out of range: 0 to less than 1, as `0.1` is 10 %
        "#]],
    );
    check_rule(
        json!({ "alarm": "a", "percent": -101 }),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].percent: `percent: -101` is out of range: -100 or more, since no more than all tasks can be removed
        "#]],
    );
    check_rule(
        json!({ "queue": "", "per-task": 0 }),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].queue: the queue's name is empty
            Error services.prod/web.scaling.rules[0].per-task: `per-task: 0` is out of range: 1 to 4294967295
        "#]],
    );
}

#[test]
fn schedules_and_what_has_no_effect() {
    check(
        web(&json!({ "scaling": {
            "min": 1, "max": 9, "rules": [
                { "queue": "a", "per-task": 1, "activate-above": 5, "idle-for": "5m" },
                { "queue": "a", "max-age": "0s" },
            ],
            "schedule": [
                { "cron": "0 8 * *", "min": 2 }, { "cron": "0 25 * * *", "min": 2 }, { "cron": "0 0 31 2 *", "min": 2 },
                { "cron": "0 8 * * MON-FRI", "timezone": "Europe/Madird", "min": 2 },
                { "cron": "0 8 * * MON-FRI", "timezone": "Europe/Madrid", "min": 7, "max": 6 },
            ],
        } })),
        expect![[r#"
            Warning services.prod/web.scaling.rules[0].activate-above: has no effect: `min` is 1, so there are never 0 tasks to start from or to go to
            Warning services.prod/web.scaling.rules[0].idle-for: has no effect: `min` is 1, so there are never 0 tasks to start from or to go to
            Error services.prod/web.scaling.rules[1].max-age: must be longer than `0s`
            Warning services.prod/web.scaling.rules[1].queue: another rule has the queue `a` too
            Error services.prod/web.scaling.schedule[0].cron: `0 8 * *` has 4 fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like `0 8 * * MON-FRI`
            Error services.prod/web.scaling.schedule[1].cron: `25` is no hour: write 0 to 23, a range `a-b`, a list `a,b`, a step `*/n`, or `*`
            Error services.prod/web.scaling.schedule[2].cron: `0 0 31 2 *` never comes: no month that it names has such a day
            Error services.prod/web.scaling.schedule[3].timezone: `Europe/Madird` is no time zone: write an IANA name, like `Europe/Madrid` or `UTC`
            Error services.prod/web.scaling.schedule[4]: from then on `min` would be 7, more than `max`, which would be 6
        "#]],
    );
    check(
        web(&json!({ "scaling": { "min": 3, "max": 3, "rules": [{ "alarm": "a", "add": 1 }] } })),
        expect![[r#"
            Warning services.prod/web.scaling.rules: the rules have no effect: `min` and `max` are both 3, and no schedule changes them
        "#]],
    );
    check(
        web(&json!({ "scaling": {
            "min": 1, "max": 3, "rules": [{ "queue": "a", "per-task": 1, "activate-above": 5, "idle-for": "5m" }],
            "schedule": [{ "cron": "0 20 * * *", "min": 0 }],
        } })),
        expect![[r#""#]],
    );
}

#[test]
fn bounds() {
    check(
        web(&json!({ "scaling": {
            "min": 5, "max": 4,
            "rules": [{ "alarm": "a", "add": 1 }, { "alarm": "a", "add": 2 }],
            "limit": { "out": { "per": "1m" }, "in": { "percent": -1, "per": "0s" } },
            "schedule": [{ "cron": "0 8 * * *" }, { "cron": "0 8 * * *", "min": 9 }],
        } })),
        expect![[r#"
            Error services.prod/web.scaling.min: `min` is 5, more than `max`, which is 4
            Warning services.prod/web.scaling.rules[1].alarm: another rule has the alarm `a` too
            Error services.prod/web.scaling.limit.out: a limit needs `tasks`, `percent` or both
            Error services.prod/web.scaling.limit.in.percent: `percent: -1` is out of range: 0 or more
            Error services.prod/web.scaling.limit.in.per: the period must be longer than `0s`
            Error services.prod/web.scaling.schedule[0]: a schedule needs `min`, `max` or both
            Error services.prod/web.scaling.schedule[1]: from then on `min` would be 9, more than `max`, which would be 4
        "#]],
    );
}

#[test]
fn steps() {
    for good in [
        json!([{ "from": 0, "to": 200, "add": 1 }, { "from": 200, "add": 4 }]),
        // The order in which they are written does not matter.
        json!([{ "from": -10, "to": 0, "add": 0 }, { "to": -10, "percent": -50 }]),
        json!([{ "to": 0, "set": 1 }, { "from": 0, "set": 2 }]),
    ] {
        check_steps(good, expect![""]);
    }
    check_steps(
        json!([{ "from": 0, "to": 200, "add": 1 }, { "from": 100, "add": 4 }]),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].steps[1]: overlaps the step from 0 to 200
        "#]],
    );
    check_steps(
        json!([{ "from": 300, "add": 4 }, { "from": 0, "to": 200, "add": 1 }]),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].steps[0]: there is a gap from 200 to 300: make the ranges meet
        "#]],
    );
    check_steps(
        json!([{ "from": -10, "to": 10, "add": 1 }]),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].steps[0].from: below the threshold the lowest step must be open: leave its `from` out
            Error services.prod/web.scaling.rules[0].steps[0].to: above the threshold the highest step must be open: leave its `to` out
        "#]],
    );
    check_steps(
        json!([{ "add": 1 }, { "from": 5, "to": 5, "add": 1, "set": 2 }, { "from": 9 }]),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].steps[0]: a step needs `from`, `to` or both; for one change always, give it to the rule
            Error services.prod/web.scaling.rules[0].steps[1]: a step takes only one of `add`, `percent` and `set`; this has `add` and `set`
            Error services.prod/web.scaling.rules[0].steps[1]: `from` (5) must be less than `to` (5)
            Error services.prod/web.scaling.rules[0].steps[2]: a step needs one of `add`, `percent` and `set`
        "#]],
    );
    let many: Vec<_> = (0..21)
        .map(|n| json!({ "from": n, "to": (n < 20).then_some(n + 1), "add": n }))
        .collect();
    check_steps(
        many.into(),
        expect![[r#"
            Error services.prod/web.scaling.rules[0].steps: 21 steps; there may be 20
        "#]],
    );
}

#[test]
fn repositories_and_promotions() {
    check_delivery(
        json!([
            { "repository": "shop/web:1", "tags": { "exact": "x" } },
            { "repository": "Shop/Web", "tags": { "exact": "x" } },
            { "repository": "shop//web", "tags": { "exact": "x" } },
            { "repository": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web", "tags": { "exact": "x" } },
            { "repository": "localhost:5000/shop/web", "tags": { "exact": "x" }, "rollback": { "timeout": "0s" } },
        ]),
        expect![[r#"
            Error services.prod/web.delivery[0].repository: `shop/web:1` is not a repository: write its name in this account's and Region's registry, like `shop/web`, without tag or digest
            Error services.prod/web.delivery[1].repository: the names of repositories are in lower case
            Error services.prod/web.delivery[2].repository: `shop//web` is not a repository: write its name in this account's and Region's registry, like `shop/web`, without tag or digest
            Warning services.prod/web.delivery[4].repository: `localhost:5000` is not a registry of Amazon ECR: no event tells of pushes there, so nothing is rolled out
            Error services.prod/web.delivery[4].rollback.timeout: must be longer than `0s`
        "#]],
    );
    check_delivery(
        json!([
            { "repository": "a", "container": "x", "tags": { "exact": "x" } },
            { "repository": "a", "container": "y", "tags": { "exact": "x" }, "after": "prod/web" },
            { "repository": "a", "tags": { "exact": "x" }, "after": "prod/api", "bake": "1m" },
            { "repository": "b", "tags": { "exact": "x" }, "bake": "1m" },
        ]),
        expect![[r#"
            Error services.prod/web.delivery[1].after: a service cannot wait for itself
            Error services.prod/web.delivery[2]: another rule takes images of `a` for the same container: join them, or give each its own `container`
            Warning services.prod/web.delivery[2].after: `prod/api` is not among the `services` of this document: nothing proves an image there; `after` takes a service, as `cluster/service`
            Error services.prod/web.delivery[3].bake: `bake` goes with `after` or `waves`: it is for how long that service, or the wave before, must have proved the image
        "#]],
    );
}

#[test]
fn balancing_and_size() {
    let rules: Vec<_> = (0..50).map(|n| json!({ "alarm": format!("a{n}"), "add": 1 })).collect();
    check(
        web(&json!({
            "balancing": [{ "target-group": "x".repeat(33), "port": 0 }, { "target-group": "" }],
            "scaling": { "min": 0, "max": 1, "rules": rules },
        })),
        expect![[r#"
            Error services.prod/web.balancing[0].target-group: the target group's name has 33 characters; AWS takes 32
            Error services.prod/web.balancing[0].port: `port: 0` is out of range: 1 to 65535
            Error services.prod/web.balancing[1].target-group: the target group's name is empty
            Error services.prod/web: names 50 different alarms and repositories; 49 fit into the one transaction in which a target is stored
        "#]],
    );
}

fn check_drain(drain: Value, expected: Expect) {
    check(web(&json!({ "drain": drain })), expected);
}

#[test]
fn lingering() {
    for good in [
        json!({ "linger": "1s" }),
        json!({ "linger": "110s" }),
        json!({ "linger": "15s", "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools/busybox:1.37.0" }),
    ] {
        check_drain(good, expect![""]);
    }
    check_drain(
        json!({ "linger": "0s", "image": "" }),
        expect![[r#"
            Error services.prod/web.drain.linger: must be longer than `0s`: without lingering leave `drain` out
            Error services.prod/web.drain.image: `` is not an image reference: it is `[registry/]repository[:tag][@digest]`
        "#]],
    );
    check_drain(
        json!({ "linger": "111s", "image": "busybox:1 2" }),
        expect![[r#"
            Warning services.prod/web.drain.linger: on Fargate ECS stops a container after 120 s, so tasks linger for 110 s there
            Error services.prod/web.drain.image: `busybox:1 2` is not an image reference: it is `[registry/]repository[:tag][@digest]`
        "#]],
    );
    check_drain(
        json!({ "linger": "2h" }),
        expect![[r#"
            Error services.prod/web.drain.linger: must be at most `1h`: a deployment waits for its old tasks
        "#]],
    );
}

#[test]
fn waves_are_of_several_targets() {
    let rule = |repository: &str, more: Value| {
        let mut rule = json!({ "repository": repository, "tags": { "exact": "x" } });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let waves = || json!({ "waves": "50%, 100%", "bake": "5m" });
    let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a";
    let json = json!({
        "version": 1,
        "services": {
            "prod/one": { "delivery": [rule("a", waves()), rule("b", waves())] },
            "prod/two": { "delivery": [rule(host, waves()), rule("b", json!({}))] },
        },
        "tasks": { "prod/job": { "delivery": [rule("c", waves())] } },
    });
    expect![[r#"
        Warning services.prod/one.delivery[1].waves: has no effect: no other service or family here takes images of `b` in waves
        Warning tasks.prod/job.delivery[0].waves: has no effect: no other service or family here takes images of `c` in waves
    "#]]
    .assert_eq(&lines(&validate(&document(json))));
}

#[test]
fn what_has_no_effect_is_told() {
    let delivery = json!([{
        "repository": "a", "tags": { "exact": "x" }, "after": "prod/api", "bake": "1m", "approval": "required",
        "scan": { "block": "HIGH" }, "mature": "1m", "windows": {},
    }]);
    let json = json!({
        "version": 1,
        "services": { "prod/api": { "delivery": [{ "repository": "a", "tags": { "exact": "x" } }] }, "prod/web": {
            "discovery": [{ "to": "srv-1", "address": "public" }],
            "balancing": [{ "target-group": "t", "port": 80 }],
            "drain": { "linger": "15s" },
            "scaling": {
                "min": 0, "max": 1, "rules": [{ "queue": "q", "per-task": 1 }], "schedule": [{ "cron": "0 8 * * *", "min": 1 }],
                "stabilise": { "in": "5m" }, "limit": { "out": { "tasks": 1, "per": "1m" } },
            },
            "delivery": delivery,
            "storage": [{ "volume": "v", "snapshot": { "every": "6h" }, "restore": "newest" }],
        } },
        "tasks": { "prod/nightly": { "delivery": [{ "repository": "a", "tags": { "exact": "x" }, "approval": "required" }] } },
        "clusters": { "prod": { "capacity": {} }, "staging": {} },
    });
    assert_eq!(
        lines(&validate(&document(json.clone()))),
        "Warning services.prod/web.delivery[0].windows: has no effect: write `allow`, `freeze` or both\n"
    );
    expect![[r#"
        Warning services.prod/web.storage[0].restore: has no effect in this version: a rollout starts from an empty volume
    "#]]
    .assert_eq(&lines(&unsupported(&document(json))));
}
