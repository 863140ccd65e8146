use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{check, check_delivery};

fn check_shop(services: &[(&str, Value)], expected: Expect) {
    let rule = |more: &Value| {
        let mut rule = json!({ "repository": "a", "tags": { "exact": "x" } });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let entry = |(name, rules): &(&str, Value)| {
        let rules: Vec<_> = rules.as_array().unwrap().iter().map(rule).collect();
        ((*name).to_owned(), json!({ "delivery": rules }))
    };
    let services: serde_json::Map<_, _> = services.iter().map(entry).collect();
    check(json!({ "version": 1, "services": services }), expected);
}

#[test]
fn a_container_has_one_rule() {
    let rule = |repository: &str, container: &str| json!({ "repository": repository, "container": container, "tags": { "exact": "x" } });
    check_delivery(
        json!([
            rule("a", "x"),
            rule("b", "y"),
            rule("c", "x"),
            rule("a", "y"),
            rule("a", "z")
        ]),
        expect![[r#"
            Error services.prod/web.delivery[2]: the rule for `a` takes the container `x` already: a container has one rule
            Error services.prod/web.delivery[3]: the rule for `b` takes the container `y` already: a container has one rule
        "#]],
    );
}

#[test]
fn services_do_not_wait_for_each_other_in_a_circle() {
    let after = |name: &str| json!({ "after": name });
    check_shop(
        &[
            ("prod/a", json!([after("prod/c")])),
            ("prod/b", json!([after("prod/a")])),
            ("prod/c", json!([after("prod/b")])),
            // Waits for the circle, but is not in it.
            ("prod/d", json!([after("prod/a")])),
        ],
        expect![[r#"
            Error services.prod/a.delivery[0].after: `prod/c` waits for `prod/a` in its turn: none of them ever goes first; leave `after` out of the first
            Error services.prod/b.delivery[0].after: `prod/a` waits for `prod/b` in its turn: none of them ever goes first; leave `after` out of the first
            Error services.prod/c.delivery[0].after: `prod/b` waits for `prod/c` in its turn: none of them ever goes first; leave `after` out of the first
        "#]],
    );
    check_shop(
        &[
            ("prod/a", json!([after("prod/b")])),
            (
                "prod/b",
                json!([{ "container": "x", "after": "prod/a" }, { "container": "y" }]),
            ),
            // Of another repository.
            (
                "prod/c",
                json!([{ "repository": "b", "after": "prod/d" }, { "container": "y" }]),
            ),
            ("prod/d", json!([after("prod/c"), { "repository": "b" }])),
        ],
        expect![""],
    );
}

#[test]
fn after_names_who_takes_the_same_images() {
    check_shop(
        &[
            (
                "prod/a",
                json!([{ "after": "staging/a" }, { "repository": "b", "after": "staging/a" }]),
            ),
            ("prod/c", json!([{ "after": "staging/c" }])),
            (
                "staging/a",
                json!([{ "repository": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a" }]),
            ),
            ("staging/c", json!([])),
        ],
        expect![[r#"
            Warning services.prod/a.delivery[1].after: `staging/a` has no `delivery` for `b` in this document: nothing proves an image there
            Warning services.prod/c.delivery[0].after: `staging/c` has no `delivery` for `a` in this document: nothing proves an image there
        "#]],
    );
}

#[test]
fn a_repository_has_the_same_waves_everywhere() {
    let waves = |shares: &str| json!([{ "waves": shares }]);
    check_shop(
        &[
            ("prod/a", waves("10%, 100%")),
            ("prod/b", waves("50%, 100%")),
            ("prod/c", waves("10%,100%")),
            ("prod/d", json!([{ "repository": "b", "waves": "20%, 100%" }])),
        ],
        expect![[r#"
            Warning services.prod/b.delivery[0].waves: differs from `10%, 100%` of prod/a: each target goes by its own waves; give every rule for `a` the same
            Warning services.prod/d.delivery[0].waves: has no effect: no other service or family here takes images of `b` in waves
        "#]],
    );
}

#[test]
fn after_takes_a_service_and_a_family_is_not_watched() {
    let rule = |more: Value| {
        let mut rule = json!({ "repository": "a", "tags": { "exact": "x" } });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "delivery": [rule] })
    };
    let document = json!({
        "version": 1,
        "services": {
            "prod/a": rule(json!({ "after": "prod/nightly" })),
            "prod/b": rule(json!({ "after": "prod/nobody", "rollback": { "timeout": "10m" } })),
        },
        "tasks": { "prod/nightly": rule(json!({ "rollback": { "timeout": "10m" } })) },
    });
    check(
        document,
        expect![[r#"
            Warning services.prod/a.delivery[0].after: `prod/nightly` is a family under `tasks`: `after` takes a service, whose running tasks prove an image; name one of `services`
            Warning services.prod/b.delivery[0].after: `prod/nobody` is not among the `services` of this document: nothing proves an image there; `after` takes a service, as `cluster/service`
            Warning tasks.prod/nightly.delivery[0].rollback: has no effect: of a family nothing is watched; its next revision is there once it is registered
        "#]],
    );
}

#[test]
fn of_the_hosts_of_two_registries_one_is_never_heard() {
    let host = |account: &str, region: &str| format!("{account}.dkr.ecr.{region}.amazonaws.com");
    let rule = |host: String| json!([{ "repository": format!("{host}/a") }]);
    check_shop(
        &[
            ("prod/a", rule(host("111122223333", "eu-west-1"))),
            ("prod/b", rule(host("111122223333", "us-east-1"))),
            ("prod/c", rule(host("111122223333", "eu-west-1"))),
            ("prod/d", json!([{}])),
        ],
        expect![[r#"
            Warning services.prod/b.delivery[0].repository: 111122223333.dkr.ecr.us-east-1.amazonaws.com is another registry than 111122223333.dkr.ecr.eu-west-1.amazonaws.com, which prod/a names: only pushes to the one of the stack's own account and Region are heard, so one of them deploys nothing
        "#]],
    );
}
