use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{check, web};

#[test]
fn gates() {
    let check_gates = |gates: Value, expected: Expect| {
        let mut rule = json!({ "repository": "a", "tags": { "exact": "x" } });
        rule.as_object_mut().unwrap().extend(gates.as_object().unwrap().clone());
        check(web(&json!({ "delivery": [rule] })), expected);
    };
    check_gates(
        json!({
            "mature": "0s", "scan": { "block": "HIGH" },
            "windows": {
                "allow": [{ "cron": "0 9 * * MON-FRI", "for": "8h", "timezone": "Europe/Madrid" }],
                "freeze": [{ "cron": "0 0 24 12 *", "for": "10d" }],
            },
        }),
        expect![""],
    );
    check_gates(
        json!({ "windows": {
            "allow": [{ "cron": "0 9 * *", "for": "0s" }, { "cron": "60 9 * 13 *", "for": "1h", "timezone": "Mars" }],
            "freeze": [{ "cron": "0 24 * * *", "for": "1h" }, { "cron": "0 9 * * *", "for": "1h", "timezone": "Madrid" }],
        } }),
        expect![[r#"
            Error services.prod/web.delivery[0].windows.allow[0].cron: `0 9 * *` has 4 fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like `0 8 * * MON-FRI`
            Error services.prod/web.delivery[0].windows.allow[0].for: must be longer than `0s`
            Error services.prod/web.delivery[0].windows.allow[1].cron: `60` is no minute: write 0 to 59, a range `a-b`, a list `a,b`, a step `*/n`, or `*`
            Error services.prod/web.delivery[0].windows.allow[1].cron: `13` is no month: write 1 to 12, or JAN to DEC, a range `a-b`, a list `a,b`, a step `*/n`, or `*`
            Error services.prod/web.delivery[0].windows.allow[1].timezone: `Mars` is no time zone: write an IANA name, like `Europe/Madrid` or `UTC`
            Error services.prod/web.delivery[0].windows.freeze[0].cron: `24` is no hour: write 0 to 23, a range `a-b`, a list `a,b`, a step `*/n`, or `*`
            Error services.prod/web.delivery[0].windows.freeze[1].timezone: `Madrid` is no time zone: write an IANA name, like `Europe/Madrid` or `UTC`
        "#]],
    );
    check_gates(
        json!({ "windows": {} }),
        expect![[r#"
        Warning services.prod/web.delivery[0].windows: has no effect: write `allow`, `freeze` or both
    "#]],
    );
    check_gates(
        json!({ "windows": { "freeze": [{ "cron": "0 0 * * *", "for": "1d" }] } }),
        expect![[r#"
            Warning services.prod/web.delivery[0].windows: nothing is rolled out: what is allowed is always frozen
        "#]],
    );
}

#[test]
fn a_target_has_one_base() {
    let rule = |repository: &str, base: &str| {
        let mut rule = json!({ "repository": repository, "tags": { "exact": "x" } });
        if !base.is_empty() {
            rule["base"] = json!(base);
        }
        rule
    };
    let rules = |bases: [&str; 3]| json!([rule("a", bases[0]), rule("b", bases[1]), rule("c", bases[2])]);
    for bases in [["", "", ""], ["", "latest", ""], ["service", "", "service"]] {
        check(web(&json!({ "delivery": rules(bases) })), expect![""]);
    }
    check(
        web(&json!({ "delivery": rules(["", "latest", "service"]) })),
        expect![[r#"
            Error services.prod/web.delivery[2].base: `service` contradicts `base: latest` of the rule for `b`: their images go into one revision, which is made of one
        "#]],
    );
    let family = json!({ "version": 1, "tasks": { "prod/report": { "delivery": [rule("a", "latest"), rule("b", "service")] } } });
    check(
        family,
        expect![[r#"
            Warning tasks.prod/report.delivery[0].base: has no effect: the next revision of a family is always made of its newest
            Warning tasks.prod/report.delivery[1].base: has no effect: the next revision of a family is always made of its newest
        "#]],
    );
}
