use expect_test::expect;
use serde_json::json;

use super::{check, web};

#[test]
fn what_is_sound_is_not_told() {
    for keep in [
        json!({ "last": 8 }),
        json!({ "hourly": 24, "daily": 7, "weekly": 4, "monthly": 12 }),
    ] {
        check(
            web(&json!({
                "scaling": { "min": 0, "max": 1 },
                "delivery": [{ "repository": "a", "tags": { "exact": "x" } }],
                "storage": [
                    { "volume": "a", "snapshot": { "every": "1m", "keep": keep }, "restore": "newest" },
                    { "volume": "b", "snapshot": { "every": "6h" } },
                ],
            })),
            expect![[r#""#]],
        );
    }
}

#[test]
fn names_times_and_what_has_no_effect() {
    check(
        web(&json!({ "storage": [
            { "volume": "a", "snapshot": { "every": "59s", "keep": {} } },
            { "volume": "a", "restore": "newest" },
            { "volume": "" },
            { "volume": "x/y", "snapshot": { "every": "0s", "keep": { "last": 0, "monthly": 0 } } },
        ] })),
        expect![[r#"
            Error services.prod/web.storage[0].snapshot.every: must be at least `1m`: volumes are looked at once a minute
            Warning services.prod/web.storage[0].snapshot.keep: has no effect: where `last`, `hourly`, `daily`, `weekly` and `monthly` are left out or 0, every snapshot is kept for ever
            Error services.prod/web.storage[1].volume: volume `a` stands here twice
            Warning services.prod/web.storage[1].restore: only snapshots that Wharfinger made are restored, and `snapshot` does not say that any are made
            Warning services.prod/web.storage[1].restore: only rollouts of `delivery` restore, and there are none: see `wharfinger restore`
            Error services.prod/web.storage[2].volume: the volume's name is empty
            Warning services.prod/web.storage[2]: nothing is done for this volume: give it `snapshot: { every: 6h }`
            Error services.prod/web.storage[3].volume: the volume's name has a `/`: write letters, digits, `-` and `_`, as the task definition does
            Error services.prod/web.storage[3].snapshot.every: must be at least `1m`: volumes are looked at once a minute
            Warning services.prod/web.storage[3].snapshot.keep: has no effect: where `last`, `hourly`, `daily`, `weekly` and `monthly` are left out or 0, every snapshot is kept for ever
        "#]],
    );
}

#[test]
fn more_tasks_than_one() {
    let storage = json!([
        { "volume": "a", "snapshot": { "every": "6h" }, "restore": "newest" }, { "volume": "b", "snapshot": { "every": "6h" } },
    ]);
    for scaling in [
        json!({ "min": 1, "max": 4 }),
        json!({ "min": 0, "max": 1, "schedule": [{ "cron": "0 8 * * *", "max": 4 }] }),
        json!({ "min": 0, "max": 1, "schedule": [{ "cron": "0 8 * * *", "min": 4, "max": 4 }] }),
    ] {
        check(
            web(&json!({
                "scaling": scaling, "storage": storage,
                "delivery": [{ "repository": "a", "tags": { "exact": "x" } }],
            })),
            expect![[r#"
                Warning services.prod/web.storage[0].snapshot: `scaling` may go to 4 tasks, each with a volume of its own: with more than one no snapshot is made, since a new task would start from that of a random sibling
                Warning services.prod/web.storage[0].restore: `scaling` may go to 4 tasks, and a service has one `volumeConfigurations` for all: each would start from the same snapshot, that of a random sibling
                Warning services.prod/web.storage[1].snapshot: `scaling` may go to 4 tasks, each with a volume of its own: with more than one no snapshot is made, since a new task would start from that of a random sibling
            "#]],
        );
    }
}

#[test]
fn stateful_tasks() {
    let stateful = |more: serde_json::Value| {
        let mut stateful = json!({ "volume": "data", "size": 20, "role": "arn:aws:iam::111122223333:role/ecs" });
        stateful
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "version": 1, "tasks": { "prod/ledger": { "stateful": stateful } } })
    };
    let network = json!({ "subnets": ["subnet-1"], "security-groups": ["sg-1"] });
    check(
        stateful(json!({
            "count": 3, "network": network, "launch-type": "FARGATE", "snapshot": { "every": "6h", "keep": { "last": 3 } },
        })),
        expect![[r#""#]],
    );
    check(
        stateful(json!({
            "count": 0, "size": 0, "volume": "a/b", "role": "ecs", "launch-type": "EC2",
            "capacity-providers": [{ "capacity-provider": "a" }], "network": { "subnets": [] },
            "snapshot": { "every": "1s", "keep": {} },
        })),
        expect![[r#"
            Error tasks.prod/ledger.stateful.volume: the volume's name has a `/`: write letters, digits, `-` and `_`, as the task definition does
            Error tasks.prod/ledger.stateful.count: must be 1 to 100
            Error tasks.prod/ledger.stateful.size: is in GiB: must be 1 to 65536
            Error tasks.prod/ledger.stateful.role: must be the ARN of a role, `arn:aws:iam::ACCOUNT:role/NAME`: the one with the policy AmazonECSInfrastructureRolePolicyForVolumes
            Error tasks.prod/ledger.stateful.capacity-providers: stands beside `launch-type`: ECS takes one of them
            Error tasks.prod/ledger.stateful.network.subnets: must name 1 to 16 subnets
            Error tasks.prod/ledger.stateful.snapshot.every: must be at least `1m`: volumes are looked at once a minute
            Warning tasks.prod/ledger.stateful.snapshot.keep: has no effect: where `last`, `hourly`, `daily`, `weekly` and `monthly` are left out or 0, every snapshot is kept for ever
        "#]],
    );
    let under = json!({ "volume": "a", "size": 1, "role": "arn:aws:iam::111122223333:role/ecs" });
    check(
        web(&json!({ "stateful": under })),
        expect![[r#"
        Error services.prod/web.stateful: stands under `services`: the volumes of a service's tasks are always deleted with them. Write the family under `tasks`, and delete the service
    "#]],
    );
}

#[test]
fn orphans() {
    let of = |storage| json!({ "version": 1, "clusters": { "prod": { "storage": storage } } });
    check(of(json!({ "orphans": {} })), expect![[r#""#]]);
    check(
        of(json!({ "orphans": { "after": "1h", "action": "remove" } })),
        expect![[r#""#]],
    );
    check(
        of(json!({ "orphans": { "after": "59m" } })),
        expect![[r#"
            Error clusters.prod.storage.orphans.after: must be at least `1h`: ECS may be about to attach the volume, or to delete it
        "#]],
    );
    check(
        of(json!({})),
        expect![[r#"
            Warning clusters.prod.storage: has no effect: give it `orphans: { after: 24h }`
        "#]],
    );
}

#[test]
fn orphans_are_listed_after_a_day_unless_it_is_said_otherwise() {
    use crate::config::{ClusterStorage, OrphanAction, Span};
    let read: ClusterStorage = serde_json::from_value(json!({ "orphans": {} })).unwrap();
    let orphans = read.orphans.unwrap();
    assert_eq!(
        (orphans.after, orphans.action),
        (Span::minutes(24 * 60), OrphanAction::Report)
    );
    let written = serde_json::to_value(read).unwrap();
    assert_eq!(written, json!({ "orphans": { "after": "1d" } }));
    let wrong = |orphans| serde_json::from_value::<ClusterStorage>(json!({ "orphans": orphans })).is_err();
    assert!(wrong(json!({ "action": "delete" })) && wrong(json!({ "before": "1h" })));
}

#[test]
fn a_keep_without_a_line_is_not_left_out() {
    let read = |keep| serde_json::from_value::<crate::config::Snapshot>(json!({ "every": "6h", "keep": keep }));
    assert!(read(json!(null)).is_err());
    assert!(read(json!({ "last": 1 })).is_ok());
}
