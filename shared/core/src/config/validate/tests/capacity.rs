use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{check, web};
use crate::config::{Capacity, Document, Fallback, Share};

fn check_cluster(capacity: Value, expected: Expect) {
    check(
        json!({ "version": 1, "clusters": { "prod": { "capacity": capacity } } }),
        expected,
    );
}

fn check_spot(spot: Value, expected: Expect) {
    check(web(&json!({ "capacity": { "spot": spot } })), expected);
}

#[test]
fn clusters() {
    check_cluster(json!({}), expect![""]);
    check_cluster(
        json!({
            "dry-run": true,
            "drain": { "deadline": "1000m", "hooks": ["drain"], "standalone": "stop" },
            "spot": { "rebalance": "drain" },
            "maintenance": { "action": "drain", "before": "0s" },
            "disconnected": { "after": "5m", "action": "replace", "at-most": "10%" },
            "placement": { "auto-scaling-group": "web", "add": 2, "max": 20, "cooldown": "5m" },
            "crash-loops": { "after": 20, "within": "10m" },
        }),
        expect![""],
    );
    check_cluster(
        json!({
            "drain": { "deadline": "0s", "hooks": [] },
            "disconnected": { "after": "59s" },
            "placement": { "auto-scaling-group": "", "max": 0, "cooldown": "30s" },
            "crash-loops": { "within": "0s" },
        }),
        expect![[r#"
            Error clusters.prod.capacity.drain.deadline: must be longer than `0s`: at once the hook would be completed with every task still there
            Error clusters.prod.capacity.drain.hooks: names no lifecycle hook: leave it out for each terminating hook, or name those that are ours
            Error clusters.prod.capacity.disconnected.after: must be at least `1m`: agents reconnect all the time, and lose nothing by it
            Error clusters.prod.capacity.placement.auto-scaling-group: the Auto Scaling group's name is empty
            Error clusters.prod.capacity.placement.max: is 0: the group would never grow; leave `placement` out for that
            Warning clusters.prod.capacity.placement.cooldown: is shorter than an instance needs to start: one lack of room may add several instances
            Error clusters.prod.capacity.crash-loops.within: must be longer than `0s`
        "#]],
    );
    check_cluster(
        json!({ "drain": { "deadline": "3d", "hooks": [""] } }),
        expect![[r#"
        Error clusters.prod.capacity.drain.deadline: must be at most `48h`: Auto Scaling keeps no hook for longer
        Error clusters.prod.capacity.drain.hooks[0]: the lifecycle hook's name is empty
    "#]],
    );
    check_cluster(
        json!({ "drain": { "deadline": "30s" } }),
        expect![[r#"
        Warning clusters.prod.capacity.drain.deadline: a hook that waits is looked at once a minute: it may be completed up to a minute later
    "#]],
    );
}

#[test]
fn what_is_likely_not_meant_is_warned_of() {
    check_cluster(
        json!({
            "drain": { "deadline": "48h", "hooks": ["drain", "ecs-managed-draining-termination-hook"] },
            "disconnected": { "after": "119s" },
            "placement": { "auto-scaling-group": "web", "add": 21, "max": 20 },
            "crash-loops": { "after": 21 },
        }),
        expect![[r#"
            Warning clusters.prod.capacity.drain.deadline: takes a lifecycle hook with a heartbeat time-out of 29 minutes or more: Auto Scaling keeps a hook for 100 times that
            Warning clusters.prod.capacity.drain.hooks[1]: is ECS's own hook, which ECS completes itself: leave it out
            Warning clusters.prod.capacity.disconnected.after: an agent must be seen disconnected twice, a minute apart: it may take `2m`, and many are back by then
            Warning clusters.prod.capacity.placement.add: is more than `max`, where the group stops growing
            Error clusters.prod.capacity.crash-loops.after: must be at most 20: the last 20 failures of a service are kept
        "#]],
    );
    check_spot(
        json!({ "fallback": { "twin": "prod/web-on-demand" }, "after": "59s", "return-after": "0s" }),
        expect![[r#"
            Warning services.prod/web.capacity.spot.after: is looked at once a minute: any shorter lack of room would move tasks, too
            Warning services.prod/web.capacity.spot.return-after: is looked at once a minute: tasks would go to and fro with each change of Spot
        "#]],
    );
}

/// Each service falls back to the twin after it.
fn check_twins(twins: &[(&str, &str)], expected: Expect) {
    let service = |(name, twin): &(&str, &str)| {
        let capacity = json!({ "capacity": { "spot": { "fallback": { "twin": twin } } } });
        ((*name).to_owned(), capacity)
    };
    let services: serde_json::Map<_, _> = twins.iter().map(service).collect();
    check(json!({ "version": 1, "services": services }), expected);
}

#[test]
fn each_service_has_a_twin_of_its_own_whose_count_nothing_else_sets() {
    let twin = json!({ "capacity": { "spot": { "fallback": { "twin": "prod/b" } } } });
    let scaled = json!({ "scaling": { "min": 1, "max": 2 } });
    check(
        json!({ "version": 1, "services": { "prod/a": twin, "prod/b": scaled } }),
        expect![[r#"
            Error services.prod/a.capacity.spot.fallback.twin: prod/b has `scaling`, which sets its count as well: take that out, or name another service
        "#]],
    );
    check_twins(
        &[("prod/a", "prod/z"), ("prod/b", "prod/z")],
        expect![[r#"
            Error services.prod/b.capacity.spot.fallback.twin: is the twin of prod/a already, and would get the count of the one or the other: make one of its own
        "#]],
    );
    check_twins(
        &[
            ("prod/a", "prod/b"),
            ("prod/b", "prod/c"),
            ("prod/c", "prod/a"),
            ("prod/d", "prod/e"),
        ],
        expect![[r#"
            Error services.prod/a.capacity.spot.fallback.twin: leads back to this service: let the last of them be one that does not use Spot, without a twin
            Error services.prod/b.capacity.spot.fallback.twin: leads back to this service: let the last of them be one that does not use Spot, without a twin
            Error services.prod/c.capacity.spot.fallback.twin: leads back to this service: let the last of them be one that does not use Spot, without a twin
        "#]],
    );
    check_twins(&[("prod/a", "prod/b"), ("prod/b", "prod/c")], expect![""]);
    check_twins(
        &[("prod/a", "dev/a")],
        expect![[r#"
            Warning services.prod/a.capacity.spot.fallback.twin: is in another cluster: it needs room there, and `dry-run` and pauses of dev do not count for it
        "#]],
    );
}

#[test]
fn what_may_be_left_out_has_its_default_in_the_schema() {
    let schema = crate::config::schema();
    let mut without = Vec::new();
    for name in [
        "Capacity",
        "InstanceDrain",
        "Spot",
        "Maintenance",
        "Disconnected",
        "Placement",
        "CrashLoops",
        "SpotFallback",
        "StrategyItem",
    ] {
        let of = &schema["$defs"][name];
        let required: Vec<_> = of["required"].as_array().into_iter().flatten().collect();
        for (key, property) in of["properties"].as_object().unwrap() {
            let needed = required.iter().any(|required| *required == key);
            if needed == property.get("default").is_some() {
                without.push(format!("{name}.{key}"));
            }
        }
    }
    // Without these there is none.
    assert_eq!(
        without,
        ["Capacity.disconnected", "Capacity.placement", "InstanceDrain.hooks"]
    );
    let read: Capacity = serde_json::from_value(json!({
        "drain": schema["$defs"]["Capacity"]["properties"]["drain"]["default"],
    }))
    .unwrap();
    assert_eq!(read, Capacity::default());
}

#[test]
fn a_fallback_is_one_of_two() {
    let read = |keys: Value| {
        let read = serde_json::from_value::<Fallback>(keys.clone());
        match read {
            Ok(fallback) => assert_eq!(serde_json::to_value(fallback).unwrap(), keys),
            Err(error) => return error.to_string(),
        }
        String::new()
    };
    let strategy = json!([{ "capacity-provider": "FARGATE" }]);
    for (keys, told) in [
        (json!({ "twin": "prod/web" }), ""),
        (json!({ "strategy": strategy }), ""),
        (json!({}), "a fallback needs `twin`"),
        (json!({ "twin": "prod/web", "strategy": strategy }), "not both"),
        (json!({ "twim": "prod/web" }), "unknown field `twim`"),
    ] {
        let found = read(keys);
        assert!(found.contains(told) && found.is_empty() == told.is_empty(), "{found}");
    }
}

#[test]
fn spot_fallbacks() {
    check_spot(
        json!({ "fallback": { "twin": "prod/web-on-demand" }, "after": "2m", "return-after": "10m" }),
        expect![""],
    );
    check_spot(
        json!({ "fallback": { "strategy": [{ "capacity-provider": "FARGATE", "weight": 1, "base": 0 }] } }),
        expect![""],
    );
    check_spot(
        json!({ "fallback": { "twin": "prod/web" } }),
        expect![[r#"
        Error services.prod/web.capacity.spot.fallback.twin: is the service itself: name another, which does not use Spot
    "#]],
    );
    check_spot(
        json!({ "fallback": { "twin": "web" } }),
        expect![[r#"
        Error services.prod/web.capacity.spot.fallback.twin: `web` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_`
    "#]],
    );
    check_spot(
        json!({ "fallback": { "strategy": [] } }),
        expect![[r#"
        Error services.prod/web.capacity.spot.fallback.strategy: names no capacity provider
    "#]],
    );
    check_spot(
        json!({ "fallback": { "strategy": [
            { "capacity-provider": "FARGATE_SPOT", "base": 1 },
            { "capacity-provider": "FARGATE_SPOT", "base": 200_000 },
            { "capacity-provider": "", "base": 0 },
        ] } }),
        expect![[r#"
            Error services.prod/web.capacity.spot.fallback.strategy: has several bases; ECS takes one in a strategy
            Error services.prod/web.capacity.spot.fallback.strategy: gives no provider a weight: ECS would place no task beyond a base
            Warning services.prod/web.capacity.spot.fallback.strategy[0].capacity-provider: is Spot too: it may lack room at the same time
            Error services.prod/web.capacity.spot.fallback.strategy[1].capacity-provider: `FARGATE_SPOT` stands here twice
            Warning services.prod/web.capacity.spot.fallback.strategy[1].capacity-provider: is Spot too: it may lack room at the same time
            Error services.prod/web.capacity.spot.fallback.strategy[1].base: must be at most 100000
            Error services.prod/web.capacity.spot.fallback.strategy[2].capacity-provider: the capacity provider's name is empty
        "#]],
    );
    check_spot(
        json!({ "fallback": { "strategy": [{ "capacity-provider": "FARGATE", "weight": 1001 }] } }),
        expect![[r#"
            Error services.prod/web.capacity.spot.fallback.strategy[0].weight: must be at most 1000
        "#]],
    );
}

#[test]
fn what_is_left_out_is_as_usual_and_not_written() {
    let read: Capacity = serde_json::from_value(json!({})).unwrap();
    let written = json!({
        "dry-run": false,
        "drain": { "deadline": "10m", "standalone": "leave" },
        "spot": { "rebalance": "ignore" },
        "maintenance": { "action": "drain", "before": "1h" },
        "crash-loops": { "after": 3, "within": "10m" },
    });
    assert_eq!(read, serde_json::from_value(written).unwrap());
    assert_eq!(read, Capacity::default());
    assert_eq!(serde_json::to_value(&read).unwrap(), json!({}));
    assert!(read.drain.takes("any"));
    let named = json!({ "drain": { "hooks": ["drain"] } });
    let named: Capacity = serde_json::from_value(named).unwrap();
    assert!(named.drain.takes("drain") && !named.drain.takes("any"));
}

#[test]
fn a_share_is_one_at_least() {
    for (share, all, expected) in [
        ("10%", 100, 10),
        ("10%", 19, 1),
        ("1%", 0, 1),
        ("100%", 7, 7),
        ("50%", 3, 1),
    ] {
        let share: Share = share.parse().unwrap();
        assert_eq!(share.of(all), expected, "{share} of {all}");
    }
    for bad in ["", "10", "0%", "101%", "-1%", "1.5%", "%"] {
        assert!(bad.parse::<Share>().is_err(), "{bad}");
    }
}

#[test]
fn a_service_may_not_have_what_only_a_cluster_has() {
    for capacity in [
        json!({}),
        json!({ "drain": {} }),
        json!({ "spot": { "fallback": { "twin": "a/b", "strategy": [] } } }),
    ] {
        let document = web(&json!({ "capacity": capacity }));
        assert!(serde_json::from_value::<Document>(document).is_err(), "{capacity}");
    }
}
