//! `tags`: which tag would be deployed, offline.

use serde_json::{Value, json};

use crate::folder::Folder;

const RULES: &str = r#"version: 1
services:
  prod/web:
    delivery:
      - { repository: shop/web, tags: { semver: ">=1.2, <2" } }
  prod/main:
    delivery:
      - { repository: shop/main, tags: { glob: "main*" } }
  prod/both:
    delivery:
      - { repository: shop/web, container: web, tags: { regex: "^r([0-9]+)$", extract: "$1", order: numeric } }
      - { repository: shop/web, container: worker, tags: { exact: stable } }
      - { repository: shop/proxy, tags: { exact: stable } }
  prod/plain: {}
tasks:
  prod/nightly:
    delivery:
      - { repository: shop/jobs, tags: { exact: stable } }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("t.yaml", RULES);
    folder
}

fn answer(args: &[&str]) -> Value {
    let ran = folder().run(&[&["tags", "t.yaml"], args, &["--output", "json"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// Tag, whether it is selected, and the code of its reason.
fn judged(answer: &Value) -> Vec<(&str, bool, &str)> {
    let keys = |json: &Value| -> Vec<String> { json.as_object().unwrap().keys().cloned().collect() };
    let tags = answer["tags"].as_array().unwrap().iter().map(|judged| {
        assert_eq!(keys(judged), ["tag", "selected", "reasons"]);
        let reasons = judged["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{judged}");
        assert_eq!(keys(&reasons[0]), ["code", "message"]);
        let code = reasons[0]["code"].as_str().unwrap();
        (
            judged["tag"].as_str().unwrap(),
            judged["selected"].as_bool().unwrap(),
            code,
        )
    });
    tags.collect()
}

#[test]
fn the_winner_is_told_and_why_not_the_others() {
    let signature = format!("sha256-{}.sig", "a".repeat(64));
    let found = answer(&[
        "prod/web",
        "1.9.0",
        "1.10.0",
        "2.0.0",
        "1.11.0-rc.1",
        "latest",
        &signature,
    ]);
    let keys: Vec<_> = found.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["winner", "tags"]);
    assert_eq!(found["winner"], "1.10.0");
    assert_eq!(
        judged(&found),
        [
            ("1.9.0", true, "Superseded"),
            ("1.10.0", true, "RolloutStarts"),
            ("2.0.0", false, "TagNotWanted"),
            ("1.11.0-rc.1", false, "TagNotWanted"),
            ("latest", false, "TagNotWanted"),
            (&signature, false, "NotAnImage"),
        ]
    );
    assert_eq!(
        found["tags"][0]["reasons"][0]["message"],
        "`1.9.0` loses to `1.10.0`, which ranks higher"
    );
}

#[test]
fn where_the_latest_push_wins_it_is_the_last_that_is_named() {
    let found = answer(&["prod/main", "main-2", "main-3", "main-1", "dev"]);
    assert_eq!(found["winner"], "main-1");
    assert_eq!(
        found["tags"][0]["reasons"][0]["message"],
        "`main-2` loses to `main-1`, which was pushed later"
    );
    let twice = answer(&["prod/main", "main", "main"]);
    assert_eq!(
        judged(&twice),
        [("main", true, "Superseded"), ("main", true, "RolloutStarts")]
    );
}

#[test]
fn none_may_be_wanted() {
    let found = answer(&["prod/web", "latest"]);
    assert_eq!(found["winner"], Value::Null);
    assert_eq!(judged(&found), [("latest", false, "TagNotWanted")]);
    let ran = folder().run(&["tags", "t.yaml", "prod/web", "latest"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.ends_with("none of them is wanted\n"), "{ran:?}");
}

#[test]
fn each_rule_is_told_by_itself_unless_one_is_chosen() {
    let found = answer(&["prod/both", "r9", "r10", "stable"]);
    let rules = found["rules"].as_array().unwrap();
    let named: Vec<_> = rules
        .iter()
        .map(|rule| (&rule["repository"], &rule["container"], &rule["winner"]))
        .collect();
    assert_eq!(
        named,
        [
            (&json!("shop/web"), &json!("web"), &json!("r10")),
            (&json!("shop/web"), &json!("worker"), &json!("stable")),
            (&json!("shop/proxy"), &Value::Null, &json!("stable")),
        ]
    );
    assert_eq!(found.as_object().unwrap().len(), 1);
    for (options, winner) in [
        (&["--container", "web"][..], "r10"),
        (&["--repository", "shop/proxy"], "stable"),
        (&["--repository", "shop/web", "--container", "worker"], "stable"),
    ] {
        let found = answer(&[&["prod/both", "r9", "r10", "stable"], options].concat());
        assert_eq!(found["winner"], winner, "{options:?}");
    }
    let found = answer(&["prod/both", "r9", "--repository", "shop/web"]);
    assert_eq!(found["rules"].as_array().unwrap().len(), 2);
}

#[test]
fn a_family_has_rules_too() {
    assert_eq!(answer(&["prod/nightly", "stable", "dev"])["winner"], "stable");
}

#[test]
fn people_read_a_table() {
    let ran = folder().run(&["tags", "t.yaml", "prod/web", "1.2.0", "1.10.0", "dev"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(
        lines[0],
        "1.2.0   loses  Superseded: `1.2.0` loses to `1.10.0`, which ranks higher"
    );
    assert_eq!(lines[1], "1.10.0  wins   RolloutStarts: `1.10.0` would be deployed");
    assert!(lines[2].starts_with("dev     no     TagNotWanted: "), "{ran:?}");
    assert_eq!(lines.len(), 3);
    let ran = folder().run(&["tags", "t.yaml", "prod/both", "stable"]);
    let heads: Vec<_> = ran.out.lines().filter(|line| line.starts_with("shop/")).collect();
    assert_eq!(
        heads,
        ["shop/web, container web", "shop/web, container worker", "shop/proxy"]
    );
}

#[test]
fn what_is_not_there_is_named() {
    for (args, expected) in [
        (
            &["prod/wbe", "1.2.3"][..],
            "t.yaml has no target prod/wbe (there is prod/web)",
        ),
        (
            &["prod/plain", "1.2.3"],
            "prod/plain has no `delivery` in t.yaml: no tag is deployed",
        ),
        (
            &["prod/both", "x", "--container", "w"],
            "prod/both has no such delivery rule in t.yaml: there is shop/web for the container `web`, shop/web for \
             the container `worker`, shop/proxy",
        ),
    ] {
        let ran = folder().run(&[&["tags", "t.yaml"], args].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(expected), "{ran:?}");
    }
    let ran = folder().run(&["tags", "t.yaml", "prod/web"]);
    assert_eq!(ran.code, 2, "no tags: {ran:?}");
}

#[test]
fn what_is_said_of_tags_fits_them() {
    let folder = Folder::new();
    let rule = "tags: { exact: main }, approval: required";
    folder.write(
        "t.yaml",
        &format!("version: 1\nservices:\n  prod/web: {{ delivery: [{{ repository: shop/web, {rule} }}] }}\n"),
    );
    let ran = folder.run(&["tags", "t.yaml", "prod/web", "main", "a b", "main"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(
        lines[0].ends_with("this push of `main` loses to the one that came later"),
        "{ran:?}"
    );
    assert!(lines[1].contains("TagNotWanted: `a b` cannot be a tag: "), "{ran:?}");
    assert!(
        lines[2].ends_with("`main` would be deployed, once the rule's gates are open"),
        "{ran:?}"
    );
}
