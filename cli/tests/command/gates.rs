//! `explain` of pushes that wait behind gates, with what the registry says among the facts.

use serde_json::{Value, json};

use crate::events::{push, service};
use crate::explain::codes;
use crate::folder::{CONFIG, Folder};

/// The image that is pushed.
fn digest() -> String {
    format!("sha256:{}", "7f".repeat(32))
}

/// The configuration with a gate, and the facts of a service that could be rolled out at once.
fn gated(folder: &Folder, gate: &str, more: &[(&str, Value)]) -> Value {
    folder.write("w.yaml", &CONFIG.replace("tags: {", &format!("{gate}, tags: {{")));
    let definition = json!({
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3", "family": "shop-web",
        "containerDefinitions": [{ "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0" }],
    });
    let mut facts = json!({
        "DescribeServices": { "services": [service()] }, "DescribeTaskDefinition": { "taskDefinition": definition },
    });
    for (operation, answer) in more {
        facts[*operation] = answer.clone();
    }
    folder.write_json("facts.json", &facts);
    let (code, answer) = folder.explain(&push(), &["--facts", "facts.json"]);
    assert_eq!(code, 0, "{answer}");
    answer
}

#[test]
fn explain_says_which_gate_is_closed() {
    let folder = Folder::new();
    let check = |gate: &str, expect: &[&str]| {
        let answer = gated(&folder, gate, &[]);
        let outcome = if expect == ["RolloutStarts"] { "act" } else { "wait" };
        assert_eq!(
            (&answer["outcome"], codes(&answer)),
            (&json!(outcome), expect.to_vec()),
            "{gate}"
        );
        assert_eq!(answer["missing"], json!([]), "{gate}");
    };
    check("approval: none", &["RolloutStarts"]);
    check("approval: required", &["ApprovalNeeded"]);
    check("after: staging/web, bake: 1h", &["FactsMissing"]);
    check("mature: 1h, approval: required", &["Maturing", "ApprovalNeeded"]);
    // A single target is in the first wave, which waits for nobody.
    check("waves: '50%, 100%'", &["RolloutStarts"]);
}

#[test]
fn explain_knows_the_waves_of_a_repository() {
    let folder = Folder::new();
    let rule = "delivery: [{ repository: shop/web, tags: { exact: 1.5.0 }, waves: '50%, 100%' }]";
    folder.write(
        "w.yaml",
        &format!("version: 1\nservices:\n  prod/a: {{ {rule} }}\n  prod/web: {{ {rule} }}\n"),
    );
    let definition = json!({
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3", "family": "shop-web",
        "containerDefinitions": [{ "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0" }],
    });
    let facts = json!({
        "DescribeServices": { "services": [service()] }, "DescribeTaskDefinition": { "taskDefinition": definition },
    });
    folder.write_json("facts.json", &facts);
    let (_, answer) = folder.explain(&push(), &["--facts", "facts.json"]);
    let reasons = answer["reasons"].as_array().unwrap();
    let waits = reasons.iter().find(|reason| reason["code"] == "FactsMissing").unwrap();
    let message = waits["message"].as_str().unwrap();
    assert!(
        message.starts_with("prod/web: wave 2 of 2 waits: whether the targets before it have proved "),
        "{message}"
    );
}

#[test]
fn check_says_to_quote_waves_within_braces() {
    let folder = Folder::new();
    let rule = "{ repository: shop/web, tags: { exact: x }, waves: 50%, 100% }";
    folder.write(
        "w.yaml",
        &format!("version: 1\nservices:\n  prod/a:\n    delivery: [{rule}]\n"),
    );
    let ran = folder.run(&["check", "w.yaml"]);
    let first = ran.out.lines().next().unwrap_or_default();
    assert!(
        ran.code == 1 && first.contains("in quotes where they stand in braces: `waves: \"10%, 50%, 100%\"`"),
        "{ran:?}"
    );
}

const SCANS: &str = "DescribeImageScanFindings";

fn scanned(digest: &str, counts: &Value) -> Value {
    json!({
        "repositoryName": "shop/web", "imageId": { "imageDigest": digest }, "imageScanStatus": { "status": "COMPLETE" },
        "imageScanFindings": { "imageScanCompletedAt": 1_735_689_600, "findingSeverityCounts": counts },
    })
}

fn check_scan(more: &[(&str, Value)], outcome: &str, expect: &str, missing: &[&str]) {
    let answer = gated(&Folder::new(), "scan: { block: HIGH }", more);
    assert_eq!(
        (&answer["outcome"], codes(&answer)),
        (&json!(outcome), vec![expect]),
        "{more:?}"
    );
    assert_eq!(answer["missing"], json!(missing), "{more:?}");
}

#[test]
fn explain_takes_scans_from_the_facts() {
    let findings = |counts: Value| [(SCANS, scanned(&digest(), &counts))];
    check_scan(&[], "wait", "ScanPending", &[SCANS, "BatchGetImage"]);
    check_scan(&findings(json!({ "LOW": 3 })), "act", "RolloutStarts", &[]);
    check_scan(&findings(json!({ "HIGH": 1 })), "wait", "ScanBlocked", &[]);
}

#[test]
fn explain_takes_an_index_for_as_good_as_the_worst_of_its_images() {
    let child = |hex: &str| format!("sha256:{}", hex.repeat(64));
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifests: Vec<_> = ["a", "b"]
        .map(|hex| json!({ "mediaType": media, "digest": child(hex) }))
        .into();
    let index = "application/vnd.oci.image.index.v1+json";
    let manifest = json!({ "mediaType": index, "manifests": manifests }).to_string();
    let manifest = json!({ "images": [{
        "repositoryName": "shop/web", "imageId": { "imageDigest": digest() }, "imageManifest": manifest,
        "imageManifestMediaType": index,
    }] });
    let check = |scans: Value, outcome: &str, expect: &str, missing: &[&str]| {
        check_scan(
            &[("BatchGetImage", manifest.clone()), (SCANS, scans)],
            outcome,
            expect,
            missing,
        );
    };
    let good = || scanned(&child("a"), &json!({}));
    check(good(), "wait", "ScanPending", &[SCANS]);
    let bad = scanned(&child("b"), &json!({ "CRITICAL": 1 }));
    check(json!([good(), bad]), "wait", "ScanBlocked", &[]);
    check(
        json!([good(), scanned(&child("b"), &json!({}))]),
        "act",
        "RolloutStarts",
        &[],
    );
}

#[test]
fn explain_rolls_out_no_image_that_cannot_be_pulled() {
    let folder = Folder::new();
    let digest = digest();
    let listed = |tags: Value, status: &str| {
        json!({ "imageDetails": [{
            "repositoryName": "shop/web", "imageDigest": digest, "imageTags": tags, "imageStatus": status,
            "imagePushedAt": "2026-01-31T10:00:00Z",
        }] })
    };
    let failure = json!({ "imageId": { "imageDigest": digest }, "failureCode": "ImageNotFound" });
    let check = |operation: &str, answer: Value, outcome: &str, code: &str| {
        let answer = gated(&folder, "approval: none", &[(operation, answer)]);
        assert_eq!(
            (&answer["outcome"], codes(&answer)[0]),
            (&json!(outcome), code),
            "{answer}"
        );
    };
    check(
        "DescribeImages",
        listed(json!(["1.5.0"]), "ACTIVE"),
        "act",
        "RolloutStarts",
    );
    check(
        "DescribeImages",
        listed(json!(["1.5.0"]), "ARCHIVED"),
        "wait",
        "ImageUnavailable",
    );
    check(
        "DescribeImages",
        listed(json!(["other"]), "ACTIVE"),
        "stale",
        "Superseded",
    );
    check(
        "BatchGetImage",
        json!({ "images": [], "failures": [failure] }),
        "ignore",
        "ImageUnavailable",
    );
}

#[test]
fn explain_takes_the_newest_revision_of_the_family_from_the_facts() {
    let folder = Folder::new();
    let definition = |revision: u64, cpu: &str| {
        let container = json!({
            "name": "web", "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.4.0",
        });
        json!({ "taskDefinition": {
            "taskDefinitionArn": format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:{revision}"),
            "family": "shop-web", "cpu": cpu, "containerDefinitions": [container],
        } })
    };
    let both = json!([definition(3, "256"), definition(5, "512")]);
    let explain = |base: &str, definitions: Option<&Value>| {
        folder.write("w.yaml", &CONFIG.replace("tags: {", &format!("base: {base}, tags: {{")));
        let mut facts = json!({ "DescribeServices": { "services": [service()] } });
        if let Some(definitions) = definitions {
            facts["DescribeTaskDefinition"] = definitions.clone();
        }
        folder.write_json("facts.json", &facts);
        let (code, answer) = folder.explain(&push(), &["--facts", "facts.json"]);
        assert_eq!(code, 0, "{answer}");
        answer
    };
    for (base, cpu, told) in [
        ("service", "256", "`base: latest` would take it"),
        ("latest", "512", "the next revision is made of shop-web:5"),
    ] {
        let answer = explain(base, Some(&both));
        assert_eq!(codes(&answer), ["RolloutStarts", "NewerRevision"], "{base}");
        assert_eq!(answer["actions"][0]["input"]["cpu"], cpu, "{base}");
        let message = answer["reasons"][1]["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
    }
    let answer = explain("latest", None);
    assert_eq!(answer["missing"], json!(["DescribeTaskDefinition"]));
    let message = answer["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("the newest revision of `shop-web`"), "{message}");
}

#[test]
fn rules_that_ask_for_two_bases_are_told_with_the_place() {
    let folder = Folder::new();
    let rules = "      - { repository: shop/web, base: latest, tags: { exact: v1 } }
      - { repository: shop/log, base: service, tags: { exact: v1 } }
";
    folder.write(
        "w.yaml",
        &format!("version: 1\nservices:\n  prod/web:\n    delivery:\n{rules}"),
    );
    let ran = folder.run(&["check", "w.yaml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let all = format!("{}{}", ran.out, ran.err);
    assert!(
        all.contains("w.yaml:6:39: ") && all.contains("`service` contradicts `base: latest`"),
        "{ran:?}"
    );
    folder.write(
        "w.yaml",
        &format!(
            "version: 1\nservices:\n  prod/web:\n    delivery:\n{}",
            rules.replace("latest", "newest")
        ),
    );
    let ran = folder.run(&["check", "w.yaml"]);
    let all = format!("{}{}", ran.out, ran.err);
    assert!(ran.code == 1 && all.contains("w.yaml:5:39: "), "{ran:?}");
    let schema = folder.run(&["schema"]).out;
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let words = &schema["$defs"]["Base"]["oneOf"];
    let words: Vec<_> = words
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word["const"].clone())
        .collect();
    assert_eq!(words, ["service", "latest"]);
}

#[test]
fn check_tells_which_containers_there_are() {
    let folder = Folder::new();
    folder.write(
        "w.yaml",
        "version: 1\nservices:\n  prod/web:\n    delivery:\n      - { repository: shop/web, container: wbe, tags: { exact: v1 } }\n",
    );
    let mut service = service();
    service["taskDefinition"] = json!("arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3");
    let definition = json!({
        "taskDefinitionArn": service["taskDefinition"], "family": "shop-web",
        "containerDefinitions": [{ "name": "web", "image": "shop/web:1" }],
    });
    let facts = json!({
        "DescribeServices": { "services": [service] }, "DescribeTaskDefinition": { "taskDefinition": definition },
    });
    folder.write_json("facts.json", &facts);
    let ran = folder.run(&["check", "w.yaml", "--facts", "facts.json"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            0,
            "w.yaml:5:44: warning: shop-web:3 has no container `wbe`: it has `web` (shop/web:1); name one of them as the \
             rule's `container` (in services.prod/web.delivery[0].container)\nw.yaml: valid, 1 target, 1 warning\n"
        ),
        "{ran:?}"
    );
}

#[test]
fn everything_wrong_with_a_window_is_told_at_once() {
    let folder = Folder::new();
    folder.write(
        "w.yaml",
        "version: 1
services:
  prod/web:
    delivery:
      - repository: shop/web
        tags: { exact: v1 }
        windows:
          allow: [{ cron: 0 25 * * *, for: soon, timezone: Mars }]
          freeze: [{ cron: 61 9 * * *, for: 0s, timezone: Mars }]
",
    );
    let ran = folder.run(&["check", "w.yaml"]);
    let places: Vec<_> = ran
        .out
        .lines()
        .filter_map(|line| line.rsplit_once("windows."))
        .collect();
    let places: Vec<_> = places.iter().map(|(_, place)| *place).collect();
    assert_eq!(
        places,
        [
            "allow[0].cron)",
            "allow[0].for)",
            "allow[0].timezone)",
            "freeze[0].cron)",
            "freeze[0].for)",
            "freeze[0].timezone)"
        ],
        "{ran:?}"
    );
}
