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
            "drain": { "deadline": "48h", "hooks": ["drain"], "standalone": "stop" },
            "spot": { "rebalance": "drain" },
            "maintenance": { "action": "drain", "before": "0s" },
            "disconnected": { "after": "5m", "action": "replace", "at-most": "10%" },
            "placement": { "auto-scaling-group": "web", "add": 2, "max": 20, "cooldown": "5m" },
            "crash-loops": { "after": 3, "within": "10m" },
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
        let share = Share::try_from(share.to_owned()).unwrap();
        assert_eq!(share.of(all), expected, "{share} of {all}");
    }
    for bad in ["", "10", "0%", "101%", "-1%", "1.5%", "%"] {
        assert!(Share::try_from(bad.to_owned()).is_err(), "{bad}");
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
