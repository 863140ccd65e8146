#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![expect(clippy::needless_pass_by_value, reason = "the cases read better so")]

mod beside;

use expect_test::{Expect, expect};

use super::load;

fn check(text: &str, expected: Expect) {
    let loaded = load("w.yaml", text);
    let lines: Vec<_> = loaded
        .all()
        .into_iter()
        .map(|placed| loaded.line(placed) + "\n")
        .collect();
    expected.assert_eq(&lines.concat());
}

/// `prod/web` with this, which begins at line 4, column 5.
fn check_web(service: &str, expected: Expect) {
    let indented: Vec<_> = service.lines().map(|line| format!("    {line}\n")).collect();
    check(
        &format!("version: 1\nservices:\n  prod/web:\n{}", indented.concat()),
        expected,
    );
}

#[test]
fn a_wish_that_cannot_be_kept_is_refused_with_the_reason() {
    check_web(
        "storage:\n- { volume: a, snapshot: { on: stop, every: 6h }, restore: latest }\n- { volume: b, attach: vol-1 }",
        expect![[r#"
            w.yaml:5:32: `on` is refused: a snapshot is made by the clock, and not when a task starts or stops: at its start its volume is new, and at its end it still writes, until ECS deletes the volume. Write `every`, as short as the data that may be lost (in services.prod/web.storage[0].snapshot.on)
            w.yaml:5:64: `latest` is refused: a rolling deployment starts the new task before the old one stops, so it cannot start from the latest data, only from the newest snapshot: write `restore: newest` (in services.prod/web.storage[0].restore)
            w.yaml:6:20: `attach` is refused: ECS attaches a new volume to each task, never an existing one, and deletes a service's with its task: what can be kept are snapshots. Write `snapshot` and `restore: newest` (in services.prod/web.storage[1].attach)
        "#]],
    );
}

#[test]
fn an_unknown_key_is_answered_with_its_place_and_the_nearest_key() {
    check_web(
        "discvoery: []",
        expect![[r#"
            w.yaml:4:5: unknown key `discvoery`: did you mean `discovery`? known here: `discovery`, `balancing`, `drain`, `scaling`, `delivery`, `storage`, `capacity`, `stateful` (in services.prod/web.discvoery)
        "#]],
    );
    check_web(
        "Discovery: []",
        expect![[r#"
            w.yaml:4:5: unknown key `Discovery`: did you mean `discovery`? known here: `discovery`, `balancing`, `drain`, `scaling`, `delivery`, `storage`, `capacity`, `stateful` (in services.prod/web.Discovery)
        "#]],
    );
    check_web(
        "foo: []",
        expect![[r#"
            w.yaml:4:5: unknown key `foo`; known here: `discovery`, `balancing`, `drain`, `scaling`, `delivery`, `storage`, `capacity`, `stateful` (in services.prod/web.foo)
        "#]],
    );
    check_web(
        "scaling:\n  min: 1\n  max: 2\n  during_deployment: hold",
        expect![[r#"
            w.yaml:7:7: unknown key `during_deployment`: did you mean `during-deployment`? known here: `min`, `max`, `rules`, `cooldown`, `stabilise`, `limit`, `warm-up`, `schedule`, `during-deployment` (in services.prod/web.scaling.during_deployment)
        "#]],
    );
    check_web(
        "scaling: { min: 1, max: 2, rules: [ { alarm: a, tarqet: 60 } ] }",
        expect![[r#"
            w.yaml:4:53: unknown key `tarqet`: did you mean `target`? known here: `alarm`, `queue`, `target`, `tolerance`, `steps`, `add`, `percent`, `set`, `min-step`, `missing`, `per-task`, `max-age`, `activate-above`, `idle-for` (in services.prod/web.scaling.rules[0].tarqet)
        "#]],
    );
    check_web(
        "delivery:\n- { repository: a, tags: { semvar: '1' } }",
        expect![[r#"
        w.yaml:5:32: unknown key `semvar`: did you mean `semver`? known here: `exact`, `glob`, `regex`, `semver`, `filter`, `extract`, `order` (in services.prod/web.delivery[0].tags.semvar)
    "#]],
    );
    check(
        "version: 1\nservice: {}\n",
        expect![[r#"
        w.yaml:2:1: unknown key `service`: did you mean `services`? known here: `version`, `services`, `tasks`, `clusters` (in service)
    "#]],
    );
}

#[test]
fn a_wrong_value_is_answered_with_what_is_wanted() {
    check_web(
        "discovery:\n- { to: srv-1, port: '80' }\n- { to: srv-1, port: 1.5 }\n- { to: srv-1, port: -1 }\n- { to: srv-2, port: }",
        expect![[r#"
            w.yaml:5:26: expected a whole number from 1 to 65535, found text: write `80` without quotes (in services.prod/web.discovery[0].port)
            w.yaml:6:26: expected a whole number from 1 to 65535, found `1.5` (in services.prod/web.discovery[1].port)
            w.yaml:7:26: `port: -1` is out of range: 1 to 65535 (in services.prod/web.discovery[2].port)
        "#]],
    );
    check_web(
        "discovery: { to: srv-1 }",
        expect![[r#"
            w.yaml:4:16: expected a list (each element after `- `, or all in `[ ]`), found keys and values (in services.prod/web.discovery)
        "#]],
    );
    check_web(
        "discovery: [ srv-1 ]",
        expect![[r#"
            w.yaml:4:18: expected keys and values (`to`, `container`, `port`, `address`, `when`, `attributes`, `create`), found the text `srv-1` (in services.prod/web.discovery[0])
        "#]],
    );
    check_web(
        "discovery: [ { to: srv-1, when: heathy, address: v6 } ]",
        expect![[r#"
        w.yaml:4:37: unknown value `heathy`: did you mean `healthy`? known here: `running`, `healthy` (in services.prod/web.discovery[0].when)
        w.yaml:4:54: unknown value `v6`; known here: `private`, `public`, `ipv6` (in services.prod/web.discovery[0].address)
    "#]],
    );
    check_web(
        "discovery: [ { to: srv-1, attributes: { a: 1.10, b: true, c: , d: [x] } } ]",
        expect![[r#"
            w.yaml:4:48: expected text, found a number: write it in quotes, `"1.10"` (in services.prod/web.discovery[0].attributes.a)
            w.yaml:4:57: expected text, found `true` (in services.prod/web.discovery[0].attributes.b)
            w.yaml:4:64: expected text, found nothing (in services.prod/web.discovery[0].attributes.c)
            w.yaml:4:71: expected text, found a list (in services.prod/web.discovery[0].attributes.d)
        "#]],
    );
    check_web(
        "scaling: { min: few, max: 2, cooldown: { out: 60, in: 5 min } }",
        expect![[r#"
            w.yaml:4:21: expected a whole number from 0 to 4294967295, found the text `few` (in services.prod/web.scaling.min)
            w.yaml:4:51: expected a duration, like `90s`, `10m`, `6h` or `14d`, found the number 60 (in services.prod/web.scaling.cooldown.out)
            w.yaml:4:59: `5 min` is not a duration: write a whole number and a unit, like `90s`, `10m`, `6h` or `14d` (in services.prod/web.scaling.cooldown.in)
        "#]],
    );
    check_web(
        "scaling: []\nstorage: all",
        expect![[r#"
            w.yaml:4:14: expected keys and values (`min`, `max`, `rules`, `cooldown`, `stabilise`, `limit`, `warm-up`, `schedule`, `during-deployment`), found a list (in services.prod/web.scaling)
            w.yaml:5:14: expected a list (each element after `- `, or all in `[ ]`), found the text `all` (in services.prod/web.storage)
        "#]],
    );
}

#[test]
fn what_is_advised_fits() {
    let check = |at_most: &str, expected: Expect| {
        let disconnected = format!("disconnected: {{ after: 5m, action: replace, at-most: {at_most} }}");
        check(
            &format!("version: 1\nclusters:\n  prod:\n    capacity:\n      {disconnected}\n"),
            expected,
        );
    };
    check(
        "10",
        expect![[r#"
        w.yaml:5:60: `10` is not a share: write `10%` (in clusters.prod.capacity.disconnected.at-most)
    "#]],
    );
    check(
        "'10'",
        expect![[r#"
        w.yaml:5:60: `10` is not a share: write a whole number of percent, from `1%` to `100%` (in clusters.prod.capacity.disconnected.at-most)
    "#]],
    );
    check("10%", expect![""]);
    check("'10%'", expect![""]);
    check(
        "0",
        expect![[r#"
        w.yaml:5:60: `0%` is not a share: write a whole number of percent, from `1%` to `100%` (in clusters.prod.capacity.disconnected.at-most)
    "#]],
    );
    check(
        "0.1",
        expect![[r#"
        w.yaml:5:60: expected a share, from `1%` to `100%`, found the number 0.1 (in clusters.prod.capacity.disconnected.at-most)
    "#]],
    );
}

#[test]
fn a_count_that_is_never_zero() {
    check(
        "version: 1\nclusters:\n  prod:\n    capacity:\n      crash-loops: { after: 0 }\n",
        expect![[r#"
            w.yaml:5:29: expected a whole number from 1 on, found the number 0 (in clusters.prod.capacity.crash-loops.after)
        "#]],
    );
}

#[test]
fn within_what_stands_in_nothing_is_told() {
    check_web(
        "capacity: { drain: {} }",
        expect![[r#"
        w.yaml:4:5: `spot` is missing (in services.prod/web.capacity)
        w.yaml:4:17: unknown key `drain`; known here: `spot` (in services.prod/web.capacity.drain)
    "#]],
    );
    check_web(
        "capacity: {}",
        expect![[r#"
        w.yaml:4:5: `spot` is missing (in services.prod/web.capacity)
    "#]],
    );
    check_web(
        "capacity: { spot: { after: 2m } }",
        expect![[r#"
        w.yaml:4:17: `fallback` is missing (in services.prod/web.capacity.spot)
    "#]],
    );
}

#[test]
fn what_is_missing_is_told_where_it_should_be() {
    check(
        "services: {}\n",
        expect![[r#"
        w.yaml:1:1: `version` is missing
    "#]],
    );
    check(
        "",
        expect![[r#"
            w.yaml:1:1: expected keys and values (`version`, `services`, `tasks`, `clusters`), found nothing
        "#]],
    );
    check(
        "[]\n",
        expect![[r#"
            w.yaml:1:1: expected keys and values (`version`, `services`, `tasks`, `clusters`), found a list
        "#]],
    );
    check_web(
        "scaling:\n  min: 1",
        expect![[r#"
        w.yaml:4:5: `max` is missing (in services.prod/web.scaling)
    "#]],
    );
    check_web(
        "discovery:\n- port: 80\n- to: srv-1\ndelivery:\n- repository: a",
        expect![[r#"
            w.yaml:5:7: `to` is missing (in services.prod/web.discovery[0])
            w.yaml:8:7: `tags` is missing (in services.prod/web.delivery[0])
        "#]],
    );
}

#[test]
fn a_part_that_is_told_already_is_not_told_again() {
    // `min` is there, though wrong: that it is missing would be no news. Nor is it news that no rule acts.
    check_web(
        "scaling: { min: x, max: 2 }",
        expect![[r#"
            w.yaml:4:21: expected a whole number from 0 to 4294967295, found the text `x` (in services.prod/web.scaling.min)
        "#]],
    );
    check_web(
        "scaling: { min: 1, max: 2, rules: [ { alarm: a, target: x } ] }",
        expect![[r#"
            w.yaml:4:61: expected a number, found the text `x` (in services.prod/web.scaling.rules[0].target)
        "#]],
    );
}

#[test]
fn behind_a_part_that_does_not_fit_the_rest_is_checked_at_its_own_place() {
    check_web(
        "scaling:\n  min: 1\n  max: 2\n  rules:\n  - { alarm: a, add: 1 }\n  - { alarm: b, queue: c }\n  - { alarm: d }\n  - { add: 1 }\n  - { alarm: e }",
        expect![[r#"
            w.yaml:9:9: a rule has `alarm` or `queue`, not both: write two rules (in services.prod/web.scaling.rules[1])
            w.yaml:10:9: a rule with `alarm` needs one of `target`, `steps`, `add`, `percent` and `set` (in services.prod/web.scaling.rules[2])
            w.yaml:11:9: a rule needs `alarm` (the name of a CloudWatch alarm) or `queue` (the name of an SQS queue) (in services.prod/web.scaling.rules[3])
            w.yaml:12:9: a rule with `alarm` needs one of `target`, `steps`, `add`, `percent` and `set` (in services.prod/web.scaling.rules[4])
        "#]],
    );
}

#[test]
fn ranges_are_told_in_the_same_words_everywhere() {
    check_web(
        "discovery:\n- { to: srv-1, port: 0 }\n- { to: srv-1, port: -1 }\n- { to: srv-1, port: 65536 }\n- { to: srv-1, port: x }",
        expect![[r#"
            w.yaml:5:26: `port: 0` is out of range: 1 to 65535 (in services.prod/web.discovery[0].port)
            w.yaml:6:26: `port: -1` is out of range: 1 to 65535 (in services.prod/web.discovery[1].port)
            w.yaml:7:26: `port: 65536` is out of range: 1 to 65535 (in services.prod/web.discovery[2].port)
            w.yaml:8:26: expected a whole number from 1 to 65535, found the text `x` (in services.prod/web.discovery[3].port)
        "#]],
    );
    check_web(
        "scaling: { min: -1, max: 4294967296, rules: [ { queue: a, per-task: 0 }, { queue: b, per-task: -1 } ] }",
        expect![[r#"
            w.yaml:4:21: `min: -1` is out of range: 0 to 4294967295 (in services.prod/web.scaling.min)
            w.yaml:4:30: `max: 4294967296` is out of range: 0 to 4294967295 (in services.prod/web.scaling.max)
            w.yaml:4:73: `per-task: 0` is out of range: 1 to 4294967295 (in services.prod/web.scaling.rules[0].per-task)
            w.yaml:4:100: `per-task: -1` is out of range: 1 to 4294967295 (in services.prod/web.scaling.rules[1].per-task)
        "#]],
    );
}

#[test]
fn repeated_keys() {
    check(
        "version: 1\nversion: 1\nservices:\n  a/b: {}\n  a/c: {}\n  a/b: {}\n",
        expect![[r#"
            w.yaml:2:1: `version` stands here already, at line 1 (in version)
            w.yaml:6:3: `a/b` stands here already, at line 4 (in services.a/b)
        "#]],
    );
    check_web(
        "discovery: []\ndrain: { linger: 1s, linger: 2s }\ndiscovery: []",
        expect![[r#"
            w.yaml:5:26: `linger` stands here already, at line 5 (in services.prod/web.drain.linger)
            w.yaml:6:5: `discovery` stands here already, at line 4 (in services.prod/web.discovery)
        "#]],
    );
}

#[test]
fn what_the_types_cannot_say_has_its_place_too() {
    check_web(
        "scaling:\n  min: 3\n  max: 2\n  rules:\n  - alarm: a\n  - { alarm: b, steps: [ { from: 0, to: 5, add: 1 }, { from: 9, add: 2 } ] }",
        expect![[r#"
            w.yaml:5:12: `min` is 3, more than `max`, which is 2 (in services.prod/web.scaling.min)
            w.yaml:8:9: a rule with `alarm` needs one of `target`, `steps`, `add`, `percent` and `set` (in services.prod/web.scaling.rules[0])
            w.yaml:9:58: there is a gap from 5 to 9: make the ranges meet (in services.prod/web.scaling.rules[1].steps[1])
        "#]],
    );
    check_web(
        "delivery:\n- repository: a\n  tags: { regex: '(' }\n  approval: required",
        expect![[r#"
            w.yaml:6:22: `(` is not a regular expression: unclosed group (in services.prod/web.delivery[0].tags.regex)
        "#]],
    );
    check(
        "version: 1\nclusters:\n  prod: { capacity: {} }\n  a/b: {}\n",
        expect![[r#"
            w.yaml:4:3: `a/b` is not the name of a cluster: write letters, digits, `-` and `_`, at most 255 (in clusters.a/b)
        "#]],
    );
}

#[test]
fn no_yaml() {
    check(
        "version: [1\nservices: {}\n",
        expect![[r#"
        w.yaml:2:9: illegal placement of ':' indicator
    "#]],
    );
    check(
        "version: 1\nservices:\n\tprod/web: {}\n",
        expect![[r#"
        w.yaml:3:2: tabs disallowed within this context (block indentation)
    "#]],
    );
    check(
        "version: 1\n---\nversion: 1\n",
        expect![[r#"
        w.yaml:3:1: there is a second YAML document: write one document in a file
    "#]],
    );
    check(
        "version: *one\n",
        expect![[r#"
        w.yaml:1:10: alias references unknown anchor
    "#]],
    );
    check(
        "version: 1\nservices: { ? [a] : {}, ~: {} }\n",
        expect![[r#"
            w.yaml:2:1: `~` is not a target: write `cluster/service` or `cluster/family`, each of letters, digits, `-` and `_` (in services.~)
            w.yaml:2:15: a key is text, not a list or keys and values (in services)
        "#]],
    );
}

#[test]
fn anchors_aliases_and_merges_are_yaml_too() {
    let text = "version: 1\nservices:\n  a/b: &common\n    discovery: [ { to: srv-1 } ]\n  a/c:\n    <<: *common\n    drain: { linger: 5s }\n  a/d: *common\n";
    let loaded = load("w.yaml", text);
    let document = loaded.valid().unwrap();
    assert_eq!(document.services["a/b"], document.services["a/d"]);
    assert_eq!(document.services["a/b"].discovery, document.services["a/c"].discovery);
    assert!(document.services["a/c"].drain.is_some());
    // An alias's mistakes stand where its text stands, and are told once.
    check(
        "version: 1\nservices:\n  a/b: &common\n    discvery: []\n  a/c: *common\n",
        expect![[r#"
            w.yaml:4:5: unknown key `discvery`: did you mean `discovery`? known here: `discovery`, `balancing`, `drain`, `scaling`, `delivery`, `storage`, `capacity`, `stateful` (in services.a/b.discvery)
        "#]],
    );
}

#[test]
fn a_good_document_has_nothing_to_tell() {
    check("version: 1\n", expect![[""]]);
    check(
        "# nothing yet\nversion: 1\nservices: {}\ntasks: {}\nclusters: {}\n",
        expect![[""]],
    );
}
