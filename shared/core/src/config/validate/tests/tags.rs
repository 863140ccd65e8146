use expect_test::expect;
use serde_json::{Value, json};

use super::check_delivery;

#[test]
fn tag_policies() {
    let rule = |tags: Value| json!({ "repository": "a", "container": tags.to_string(), "tags": tags });
    check_delivery(
        json!([
            rule(json!({ "semver": ">=1.2, <2" })),
            rule(json!({})),
            rule(json!({ "exact": "a", "glob": "b" })),
            rule(json!({ "semver": "one.two" })),
            rule(json!({ "regex": "(" })),
            rule(json!({ "glob": "[" })),
            rule(json!({ "regex": "^v(.*)$", "extract": "$2" })),
            rule(json!({ "exact": "-x" })),
            rule(json!({ "exact": "x", "order": "semver" })),
            rule(json!({ "regex": "^release-([0-9]+)$", "order": "numeric" })),
            rule(json!({ "regex": "^release-([0-9]+)$", "order": "numeric", "extract": "$1" })),
            rule(json!({ "regex": "^web-.*$", "order": "semver" })),
            rule(json!({ "regex": "^web-.*$", "order": "alphabetical" })),
            rule(json!({ "semver": "1.x", "filter": "^web-(.*)$" })),
            rule(json!({ "semver": "1.x", "filter": "^web-(.*)$", "extract": "$1" })),
            rule(json!({ "semver": "1.x", "filter": "-rc[0-9]+$" })),
        ]),
        expect![[r#"
            Error services.prod/web.delivery[1].tags: no tags are named: write one of `exact`, `glob`, `regex`, `semver`
            Error services.prod/web.delivery[2].tags.glob: `exact` and `glob` both name tags: keep one of them, and write a rule for each if both are meant
            Error services.prod/web.delivery[3].tags.semver: `one.two` is no part of a version range: write `1.2.x`, `^1.2`, `~1.2.3`, `>=1.2 <2`, `1.2 - 1.4`, `1.x || 2.x`
            Error services.prod/web.delivery[4].tags.regex: `(` is not a regular expression: unclosed group
            Error services.prod/web.delivery[5].tags.glob: `[` is not a pattern: unclosed character class; missing ']'
            Error services.prod/web.delivery[6].tags.extract: `$2` names the group `2`, which `^v(.*)$` has not: it has 0, 1
            Error services.prod/web.delivery[7].tags.exact: `-x` cannot be a tag: a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with neither `.` nor `-`
            Error services.prod/web.delivery[8].tags.order: `order` has no meaning with `exact`: the latest push wins; use `regex` with `order` for another order
            Warning services.prod/web.delivery[9].tags.order: no tag is wanted: without `extract` the whole tag is compared, and none that `^release-([0-9]+)$` matches is a number; write what of it is compared, like `extract: $1` for the expression's first group
            Warning services.prod/web.delivery[11].tags.order: no tag is wanted: without `extract` the whole tag is compared, and none that `^web-.*$` matches is a version like 1.2.3; write what of it is compared, like `extract: $1` for the expression's first group
            Warning services.prod/web.delivery[13].tags.filter: no tag is wanted: without `extract` the whole tag is compared, and none that `^web-(.*)$` matches is a version like 1.2.3; write what of it is compared, like `extract: $1` for the expression's first group
        "#]],
    );
}
