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
            "allow": [{ "cron": "0 9 * *", "for": "0s" }],
            "freeze": [{ "cron": "0 24 * * *", "for": "1h" }, { "cron": "0 9 * * *", "for": "1h", "timezone": "Madrid" }],
        } }),
        expect![[r#"
            Error services.prod/web.delivery[0].windows.allow[0].cron: `0 9 * *` has 4 fields; a cron pattern has 5: minute, hour, day of month, month, day of week, like `0 8 * * MON-FRI`
            Error services.prod/web.delivery[0].windows.allow[0].for: must be longer than `0s`
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
