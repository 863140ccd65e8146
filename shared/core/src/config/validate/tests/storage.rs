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

fn point(change: &serde_json::Value) -> serde_json::Value {
    let mut point = json!({
        "file-system": "fs-0123456789abcdef0", "path": "/shop/web", "uid": 1000, "gid": 1000, "permissions": "0750",
    });
    point
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    point
}

#[test]
fn access_points_that_efs_would_refuse() {
    let sound = [json!({}), json!({ "path": "/" }), json!({ "path": "/a/b/c/d" })];
    let sound: Vec<_> = sound
        .iter()
        .enumerate()
        .map(|(i, change)| json!({ "volume": format!("v{i}"), "access-point": point(change) }))
        .collect();
    check(web(&json!({ "storage": sound })), expect![[r#""#]]);
    let odd = [
        json!({ "file-system": "fsap-1" }),
        json!({ "path": "shop" }),
        json!({ "path": "/a/b/c/d/e" }),
        json!({ "path": format!("/{}", "a".repeat(100)) }),
        json!({ "path": "/a//b" }),
        json!({ "path": "/a/" }),
        json!({ "path": "/a/../b" }),
        json!({ "path": "/a*" }),
        json!({ "tenant": "" }),
        json!({ "tenant": "a*b" }),
    ];
    let odd: Vec<_> = odd
        .iter()
        .enumerate()
        .map(|(i, change)| json!({ "volume": format!("v{i}"), "access-point": point(change) }))
        .chain([
            json!({ "volume": "both", "snapshot": { "every": "1h" }, "access-point": point(&json!({})) }),
            json!({ "volume": "back", "restore": "newest", "access-point": point(&json!({})) }),
        ])
        .collect();
    check(
        web(&json!({ "storage": odd })),
        expect![[r#"
            Error services.prod/web.storage[0].access-point.file-system: `fsap-1` is no id of a file system: write it as EFS does, like `fs-0123456789abcdef0`
            Error services.prod/web.storage[1].access-point.path: must begin with `/`: it is seen from the file system's root
            Error services.prod/web.storage[2].access-point.path: has 5 levels; EFS takes 4
            Error services.prod/web.storage[3].access-point.path: has 101 characters; EFS takes 100
            Error services.prod/web.storage[4].access-point.path: has a level without a name: write it without `//`, and without a `/` at its end
            Error services.prod/web.storage[5].access-point.path: has a level without a name: write it without `//`, and without a `/` at its end
            Error services.prod/web.storage[6].access-point.path: `..` begins with a dot, which EFS refuses
            Error services.prod/web.storage[7].access-point.path: has `*`, which EFS refuses
            Error services.prod/web.storage[8].access-point.tenant: the tenant's name is empty
            Error services.prod/web.storage[9].access-point.tenant: has `*`, which EFS takes in no tag
            Error services.prod/web.storage[10]: the volume is on EFS or on EBS: `access-point` is for the one, `snapshot` and `restore` are for the other; write two entries if they are two volumes
            Error services.prod/web.storage[11]: the volume is on EFS or on EBS: `access-point` is for the one, `snapshot` and `restore` are for the other; write two entries if they are two volumes
        "#]],
    );
}

#[test]
fn a_tenant_has_one_access_point_of_a_file_system() {
    let acme = |change: serde_json::Value| {
        let mut point = point(&change);
        point["tenant"] = json!("acme");
        point
    };
    check(
        web(&json!({ "storage": [
            { "volume": "a", "access-point": acme(json!({})) },
            { "volume": "b", "access-point": acme(json!({ "permissions": "750" })) },
            { "volume": "c", "access-point": acme(json!({ "file-system": "fs-01234567", "uid": 1 })) },
            { "volume": "d", "access-point": acme(json!({ "uid": 1 })) },
            { "volume": "e", "access-point": acme(json!({ "path": "/" })) },
            { "volume": "f", "access-point": point(&json!({ "uid": 1 })) },
        ] })),
        expect![[r#"
            Error services.prod/web.storage[3].access-point: tenant `acme` has another path, user or permissions at services.prod/web.storage[0].access-point: write the same in both, or name another tenant
            Error services.prod/web.storage[4].access-point: tenant `acme` has another path, user or permissions at services.prod/web.storage[0].access-point: write the same in both, or name another tenant
        "#]],
    );
}
