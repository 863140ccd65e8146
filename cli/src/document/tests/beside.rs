//! What is told beside a part that does not fit.

use expect_test::expect;
use proptest::prelude::*;
use proptest::{collection, sample};
use serde_json::json;
use wharfinger_core::config::{Document, Level};

use super::{check, check_web};
use crate::document::load;

#[test]
fn what_does_not_fit_is_not_said_to_be_left_out() {
    check_web(
        "storage:\n- volume: a\n  access-point: { file-system: fs-01234567, path: /, uid: 1, gid: 1, permissions: 0750 }",
        expect![[r#"
            w.yaml:6:87: expected text, found a number: write it in quotes, `"0750"` (in services.prod/web.storage[0].access-point.permissions)
        "#]],
    );
}

#[test]
fn beside_a_part_that_does_not_fit_everything_else_is_checked() {
    // What is missing or wrong in one place hides nothing in another, neither beside it, nor around it, nor elsewhere.
    check(
        "version: x\nservices:\n  web:\n    discovery: [ { to: nowhere, port: x } ]\n",
        expect![[r#"
            w.yaml:1:10: expected a whole number from 0 to 4294967295, found the text `x` (in version)
            w.yaml:3:3: `web` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_` (in services.web)
            w.yaml:4:24: `nowhere` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it (in services.web.discovery[0].to)
            w.yaml:4:39: expected a whole number from 1 to 65535, found the text `x` (in services.web.discovery[0].port)
        "#]],
    );
    check(
        "services:\n  prod/web:\n    discovery: [ { to: nowhere } ]\n",
        expect![[r#"
        w.yaml:1:1: `version` is missing
        w.yaml:3:24: `nowhere` names no Cloud Map service: write `namespace/service`, its id (`srv-…`), or its ARN when another account shares it (in services.prod/web.discovery[0].to)
    "#]],
    );
    check_web(
        "scaling:\n  min: x\n  rules:\n  - { alarm: a, target: 0 }\n  - { alarm: 5, tolerance: 2, target: 1 }",
        expect![[r#"
            w.yaml:4:5: `max` is missing (in services.prod/web.scaling)
            w.yaml:5:12: expected a whole number from 0 to 4294967295, found the text `x` (in services.prod/web.scaling.min)
            w.yaml:7:29: `target: 0` is out of range: greater than 0, since the count follows value / target (in services.prod/web.scaling.rules[0].target)
            w.yaml:8:18: expected text, found a number: write it in quotes, `"5"` (in services.prod/web.scaling.rules[1].alarm)
            w.yaml:8:32: `tolerance: 2` is out of range: 0 to less than 1, as `0.1` is 10 % (in services.prod/web.scaling.rules[1].tolerance)
        "#]],
    );
    check_web(
        "scaling: { max: 2, rules: [ { alarm: a, queue: b }, { queue: c, per-task: 0 } ] }",
        expect![[r#"
            w.yaml:4:5: `min` is missing (in services.prod/web.scaling)
            w.yaml:4:33: a rule has `alarm` or `queue`, not both: write two rules (in services.prod/web.scaling.rules[0])
            w.yaml:4:79: `per-task: 0` is out of range: 1 to 4294967295 (in services.prod/web.scaling.rules[1].per-task)
        "#]],
    );
    check_web(
        "delivery:\n- { repository: Shop/Web }\n- { repository: 5, tags: { regex: '(' } }\n- 7\n- { repository: b, tags: { glob: '[' } }",
        expect![[r#"
            w.yaml:5:7: `tags` is missing (in services.prod/web.delivery[0])
            w.yaml:5:21: the names of repositories are in lower case (in services.prod/web.delivery[0].repository)
            w.yaml:6:21: expected text, found a number: write it in quotes, `"5"` (in services.prod/web.delivery[1].repository)
            w.yaml:6:39: `(` is not a regular expression: unclosed group (in services.prod/web.delivery[1].tags.regex)
            w.yaml:7:7: expected keys and values (`repository`, `tags`, `container`, `base`, `after`, `bake`, `waves`, `approval`, `scan`, `mature`, `windows`, `rollback`), found `7` (in services.prod/web.delivery[2])
            w.yaml:8:38: `[` is not a pattern: unclosed character class; missing ']' (in services.prod/web.delivery[3].tags.glob)
        "#]],
    );
    check_web(
        "discovery: none\nstorage:\n- { snapshot: { every: 0s } }",
        expect![[r#"
            w.yaml:4:16: expected a list (each element after `- `, or all in `[ ]`), found the text `none` (in services.prod/web.discovery)
            w.yaml:6:7: `volume` is missing (in services.prod/web.storage[0])
            w.yaml:6:28: must be at least `1m`: volumes are looked at once a minute (in services.prod/web.storage[0].snapshot.every)
        "#]],
    );
}

#[test]
fn what_follows_from_a_part_that_does_not_fit_is_not_told() {
    for (service, told) in [
        // The bounds are not known, and so nothing is beyond them.
        (
            "scaling: { min: 5, max: x, rules: [ { alarm: a, set: 30 } ], schedule: [ { cron: '0 8 * * *', min: 9 } ] }",
            1,
        ),
        (
            "scaling: { max: 4, rules: [ { alarm: a, set: 0 } ], schedule: [ { cron: '0 8 * * *', max: 1 } ] }",
            1,
        ),
        // The rule has what it needs, though wrong.
        (
            "scaling: { min: 1, max: 2, rules: [ { alarm: 5, add: 1 }, { alarm: 6, add: 1 } ] }",
            2,
        ),
        (
            "scaling: { min: 1, max: 2, rules: [ { alarn: a, add: 1 }, { alarm: a, tarqet: 1 } ] }",
            2,
        ),
        ("scaling: { min: 1, max: 2, rules: [ { queue: q, per-task: x } ] }", 1),
        (
            "scaling: { min: 1, max: 2, rules: [ { alarm: a, steps: [ 5 ] }, { alarm: b, steps: all } ] }",
            2,
        ),
        (
            "scaling: { min: 1, max: 2, rules: [ { alarm: a, steps: [ { from: 0, to: x, add: 1 }, { from: 9, add: x } ] } ] }",
            2,
        ),
        ("scaling: { mim: 1, max: 2 }", 1),
        (
            "scaling: { min: 1, max: 2, limit: { out: { tasks: x, per: 1m } }, schedule: [ { cron: '0 8 * * *', min: x } ] }",
            2,
        ),
        // No two of these are known to be the same.
        (
            "discovery: [ { to: srv-1, port: x }, { to: srv-1 }, { to: 5, port: 80 }, { to: 6, port: 80 } ]",
            3,
        ),
        (
            "delivery: [ { repository: a, container: 5, tags: { exact: x } }, { repository: a, container: y, tags: { exact: x } } ]",
            1,
        ),
        (
            "delivery: [ { repository: a, tags: { exact: 5 } }, { repository: b, tags: { semvar: '1' } } ]",
            2,
        ),
        (
            "storage: [ { volume: 5 }, { volume: 6 }, { volume: a, snapshot: { every: x } } ]",
            3,
        ),
    ] {
        let loaded = load(
            "w.yaml",
            &format!("version: 1\nservices:\n  prod/web:\n    {service}\n"),
        );
        let errors = loaded
            .all()
            .into_iter()
            .filter(|placed| placed.problem.level == Level::Error);
        let lines: Vec<_> = errors.map(|placed| loaded.line(placed)).collect();
        assert_eq!(lines.len(), told, "{service}: {lines:#?}");
    }
}

/// Documents of known keys in places where they fit and where they do not.
fn muddle() -> impl Strategy<Value = serde_json::Value> {
    let leaf = sample::select(vec![
        json!(null),
        json!(0),
        json!(-1.5),
        json!("x"),
        json!("5m"),
        json!(true),
    ]);
    let keys = [
        "version",
        "services",
        "tasks",
        "a/b",
        "discovery",
        "to",
        "port",
        "scaling",
        "min",
        "max",
        "rules",
        "alarm",
        "queue",
        "per-task",
        "steps",
        "from",
        "add",
        "target",
        "tarqet",
        "cooldown",
        "out",
        "limit",
        "per",
        "delivery",
        "repository",
        "tags",
        "exact",
        "storage",
        "volume",
        "snapshot",
        "every",
        "drain",
        "linger",
        "foo",
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        let map = collection::btree_map(sample::select(keys.to_vec()), inner.clone(), 0..6);
        prop_oneof![
            map.prop_map(|map| json!(map)),
            collection::vec(inner, 0..3).prop_map(serde_json::Value::Array)
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_to_its_end(inner in muddle(), rule in muddle()) {
        let around = [
            inner.clone(),
            json!({ "version": 1, "services": { "a/b": inner } }),
            json!({ "version": 1, "services": { "a/b": { "scaling": { "min": 1, "max": 2, "rules": [rule, rule] } } } }),
        ];
        for document in around {
            let loaded = load("w.yaml", &document.to_string());
            if let Some(valid) = loaded.valid() {
                prop_assert_eq!(valid, &serde_json::from_value::<Document>(document).unwrap());
            }
        }
    }
}
