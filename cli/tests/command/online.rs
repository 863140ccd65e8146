//! `apply`, `check --online` and `sync`, as far as they go to AWS.

use serde_json::{Value, json};

use crate::aws::Aws;
use crate::folder::Folder;

const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067";
const FUNCTIONS: [(&str, &str); 2] = [("DiscoveryFunctionName", "d"), ("BalancingFunctionName", "b")];
const SHOP: &str = "version: 1
services:
  prod/web:
    discovery:
      - { to: shop.local/web, port: 8080 }
    balancing:
      - { target-group: web, port: 8080 }
";

fn shop() -> Folder {
    let folder = Folder::new();
    folder.write("w.yaml", SHOP);
    folder
}

fn groups(groups: &[&str]) -> String {
    let member = |name: &&str| {
        let arn = GROUP.replace("targetgroup/web/", &format!("targetgroup/{name}/"));
        format!(
            "<member><TargetGroupArn>{arn}</TargetGroupArn><TargetGroupName>{name}</TargetGroupName>\
             <TargetType>ip</TargetType></member>"
        )
    };
    let members = groups.iter().map(member).collect::<Vec<_>>().concat();
    format!(
        "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>{members}</TargetGroups>\
         </DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
    )
}

/// A Cloud Map and target groups in which everything of the shop is there.
fn world(aws: &Aws) {
    let namespace = json!({ "Id": "ns-1", "Name": "shop.local", "Type": "DNS_PRIVATE" });
    let records = json!({ "DnsRecords": [{ "Type": "A", "TTL": 10 }] });
    let service = json!({ "Id": "srv-1", "Name": "web", "DnsConfig": records });
    aws.says("ListNamespaces", &json!({ "Namespaces": [namespace] }));
    aws.says("ListServices", &json!({ "Services": [service] }));
    aws.says_text("DescribeTargetGroups", groups(&["web"]));
}

fn answer(planned: &[&str]) -> Value {
    let planned: Vec<_> = planned
        .iter()
        .map(|call| json!({ "call": call, "input": {} }))
        .collect();
    json!({
        "tasks": 1, "missing": planned.len(), "ghosts": 0, "unconfigured": 0,
        "collections": [{ "id": "srv-1", "members": 900, "quota": 1000 }], "planned": planned,
    })
}

fn invoked(aws: &Aws) -> Vec<(String, Value)> {
    let asked = aws.asked().into_iter();
    asked
        .filter(|(operation, _)| operation.starts_with("Invoke"))
        .map(|(operation, body)| {
            let event: Value = serde_json::from_str(&body).unwrap();
            (operation, event["detail"].clone())
        })
        .collect()
}

#[test]
fn apply_stores_what_the_names_mean_and_has_the_endpoints_move() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS));
    world(&aws);
    aws.says("Invoke d", &answer(&["RegisterInstance"]));
    aws.says("Invoke b", &answer(&[]));
    let ran = aws.run(&folder, &["apply", "w.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err
            .contains("prod/web: discovery makes these calls: 1 RegisterInstance\n"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("prod/web: nothing has to move for balancing\n"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("applied as version 1") && ran.out.contains("900 of 1000, 90 % full"),
        "{ran:?}"
    );
    let asked = aws.asked();
    let stored = asked
        .iter()
        .find(|(operation, _)| operation == "TransactWriteItems")
        .unwrap();
    assert!(stored.1.contains("srv-1") && stored.1.contains(GROUP), "{stored:?}");
    let details: Vec<_> = asked
        .iter()
        .filter(|(operation, _)| operation.starts_with("Invoke"))
        .map(|(operation, body)| {
            (
                operation.as_str(),
                serde_json::from_str::<Value>(body).unwrap()["detail"].clone(),
            )
        })
        .collect();
    let dry = json!({ "target": "prod/web", "dry-run": true });
    assert_eq!(
        details,
        [
            ("Invoke d", dry.clone()),
            ("Invoke b", dry),
            ("Invoke d", json!({ "target": "prod/web" }))
        ]
    );
    let ran = aws.run(&folder, &["apply", "w.yaml", "--no-sync", "--output", "json"]);
    assert_eq!((ran.code, invoked(&aws)), (0, vec![]), "{ran:?}");
}

#[test]
fn functions_that_cannot_be_had_are_a_warning_and_the_configuration_is_stored() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS[..1]));
    world(&aws);
    let ran = aws.run(&folder, &["apply", "w.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for told in [
        "warning: the stack `wharfinger` has no output `BalancingFunctionName`",
        "warning: prod/web was not swept by discovery at once",
        "the next sweep does it, in 5 minutes at most",
    ] {
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
}

#[test]
fn what_does_not_fit_aws_is_told_at_once_and_nothing_is_stored() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS));
    world(&aws);
    aws.says("ListServices", &json!({ "Services": [] }));
    aws.says_text("DescribeTargetGroups", groups(&["web"]));
    let service = json!({ "serviceName": "web", "status": "ACTIVE", "loadBalancers": [{ "targetGroupArn": GROUP }] });
    aws.says("DescribeServices", &json!({ "services": [service] }));
    let ran = aws.run(&folder, &["apply", "w.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    let lines: Vec<_> = ran.err.lines().collect();
    assert!(
        lines[0].starts_with("w.yaml:5:15: Cloud Map has no service shop.local/web: create it"),
        "{ran:?}"
    );
    assert!(
        lines[1].starts_with("w.yaml:7:25: ECS registers the tasks of prod/web in `web` itself"),
        "{ran:?}"
    );
    assert_eq!(
        lines[2],
        "error: w.yaml does not fit what is in AWS: nothing was applied"
    );
    assert!(
        aws.asked()
            .iter()
            .all(|(operation, _)| operation != "TransactWriteItems")
    );

    let ran = aws.run(&folder, &["check", "w.yaml", "--online"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.ends_with("w.yaml: 2 errors, 0 warnings\n"), "{ran:?}");
    world(&aws);
    aws.says("DescribeServices", &json!({ "services": [] }));
    let ran = aws.run(&folder, &["check", "w.yaml", "--online"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .starts_with("w.yaml:3:3: warning: ECS has no service `web` in the cluster `prod`"),
        "{ran:?}"
    );
    let ran = aws.run(&folder, &["apply", "w.yaml", "--no-sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.starts_with("w.yaml:3:3: warning: ECS has no service `web`"),
        "{ran:?}"
    );
}

#[test]
fn what_is_missing_is_created_as_the_entry_says() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS));
    world(&aws);
    aws.says("ListServices", &json!({ "Services": [] }));
    aws.says("CreateService", &json!({ "Service": { "Id": "srv-new" } }));
    let create = "port: 8080, create: { records: [SRV], ttl: 30s, health-check: custom } }\n    b";
    folder.write("w.yaml", &SHOP.replacen("port: 8080 }\n    b", create, 1));
    let ran = aws.run(&folder, &["apply", "w.yaml", "--create", "--no-sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("created service shop.local/web\n"), "{ran:?}");
    let asked = aws.asked();
    let (_, made) = asked
        .iter()
        .find(|(operation, _)| operation == "CreateService")
        .unwrap();
    let made: Value = serde_json::from_str(made).unwrap();
    assert_eq!(made["DnsConfig"]["DnsRecords"], json!([{ "Type": "SRV", "TTL": 30 }]));
    assert_eq!(made["HealthCheckCustomConfig"], json!({}));
    let (_, stored) = asked
        .iter()
        .find(|(operation, _)| operation == "TransactWriteItems")
        .unwrap();
    assert!(stored.contains("srv-new"), "{stored}");
}

#[test]
fn sync_tells_what_the_functions_answer_and_ends_as_it_is_promised() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS));
    aws.says("Invoke d", &answer(&[]));
    aws.says("Invoke b", &answer(&[]));
    let ran = aws.run(&folder, &["sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("discovery: 1 task ") && ran.out.contains("balancing: 1 task "),
        "{ran:?}"
    );
    assert_eq!(
        invoked(&aws),
        [("Invoke d".to_owned(), json!({})), ("Invoke b".to_owned(), json!({}))]
    );

    table(&aws);
    aws.says("Invoke b", &answer(&["RegisterTargets"]));
    let ran = aws.run(&folder, &["sync", "prod/web", "--dry-run", "--output", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, &report["target"], &report["dry-run"]),
        (1, &json!("prod/web"), &json!(true))
    );
    assert_eq!(
        report["functions"][1]["answer"]["planned"][0]["call"],
        "RegisterTargets"
    );

    aws.fails(
        "b",
        &json!({ "errorType": "Partly", "errorMessage": "1 of 2 parts of the sweep failed" }),
    );
    let ran = aws.run(&folder, &["sync"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out
            .contains("balancing: it failed (Partly): 1 of 2 parts of the sweep failed\n"),
        "{ran:?}"
    );

    let ran = aws.run(
        &folder,
        &["sync", "--discovery-function", "x", "--balancing-function", "y"],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("no function could be invoked"), "{ran:?}");
    let none = Aws::start(&[]);
    assert_eq!(none.run(&folder, &["sync"]).code, 2);
}

/// A config table with one service that scales; every partition is the same here.
fn table(aws: &Aws) {
    let number = |n: u32| json!({ "N": n.to_string() });
    let scaling = json!({ "M": { "min": number(1), "max": number(5) } });
    let target = json!({ "M": { "config": { "M": { "scaling": scaling } } } });
    let item = json!({ "pk": { "S": "targets" }, "sk": { "S": "service#prod/web" }, "target": target });
    aws.says("Query", &json!({ "Items": [item], "Count": 1 }));
}

#[test]
fn scale_stores_the_bounds_and_has_scaling_look() {
    let (folder, aws) = (shop(), Aws::start(&[("ScalingFunctionName", "s")]));
    table(&aws);
    aws.says("Invoke s", &Value::Null);
    let scale = ["scale", "prod/web", "--min", "3", "--for", "2h"];
    let ran = aws.run(&folder, &scale);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with("prod/web: min is 3 until ") && ran.out.contains("stored as version 1"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("the scaling function has looked at its services"),
        "{ran:?}"
    );
    let asked = aws.asked();
    let (_, stored) = asked
        .iter()
        .find(|(operation, _)| operation == "TransactWriteItems")
        .unwrap();
    assert!(stored.contains("until") && stored.contains("targets"), "{stored}");
    let (_, event) = asked.iter().find(|(operation, _)| operation == "Invoke s").unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["detail"], json!({ "target": "prod/web" }));
    // Without the function it is stored all the same.
    let none = Aws::start(&[]);
    table(&none);
    let ran = none.run(&folder, &scale);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("warning: scaling does not look at prod/web at once")
            && ran.err.contains("`ScalingFunctionName`"),
        "{ran:?}"
    );
    let ran = none.run(&folder, &[&scale[..], &["--no-sync"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("at once"), "{ran:?}");
}

#[test]
fn pause_and_resume_tell_what_holds_and_who_is_not_configured() {
    let (folder, aws) = (shop(), Aws::start(&[]));
    table(&aws);
    let ran = aws.run(
        &folder,
        &["pause", "prod/web", "scaling", "--for", "2h", "--output", "json"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["target"], &told["changed"]), (&json!("prod/web"), &json!(true)));
    assert!(
        told["paused"]["scaling"].is_string() && told["override"].is_null(),
        "{told}"
    );
    let ran = aws.run(&folder, &["resume", "prod/web"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .starts_with("prod/web: nothing is paused, and no bound is overridden\nnothing was written"),
        "{ran:?}"
    );
    for (domain, has) in [("scaling", true), ("all", true), ("balancing", false)] {
        let ran = aws.run(&folder, &["pause", "prod/web", domain, "--for", "1h"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let told = format!("prod/web has no `{domain}`: there is nothing that this holds back");
        assert_eq!(ran.err.contains(&told), !has, "{ran:?}");
    }
    for command in [
        &["pause", "prod/wbe"][..],
        &["resume", "prod/wbe"],
        &["scale", "prod/wbe", "--clear"],
    ] {
        let ran = aws.run(&folder, command);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(
            ran.err.contains("prod/wbe is not configured (there is prod/web)"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_count_that_application_auto_scaling_moves_is_refused_unless_that_cannot_be_told() {
    let (folder, aws) = (Folder::new(), Aws::start(&FUNCTIONS));
    folder.write(
        "w.yaml",
        "version: 1\nservices:\n  prod/web:\n    scaling: { min: 1, max: 2 }\n",
    );
    let service = json!({ "serviceName": "web", "status": "ACTIVE" });
    aws.says("DescribeServices", &json!({ "services": [service] }));
    let target = json!({ "ResourceId": "service/prod/web", "MinCapacity": 1, "MaxCapacity": 4 });
    aws.says("DescribeScalableTargets", &json!({ "ScalableTargets": [target] }));
    let ran = aws.run(&folder, &["check", "w.yaml", "--online"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out
            .starts_with("w.yaml:4:5: Application Auto Scaling moves the count of prod/web too"),
        "{ran:?}"
    );
    let ran = aws.run(&folder, &["apply", "w.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.err
            .contains("error: w.yaml does not fit what is in AWS: nothing was applied"),
        "{ran:?}"
    );
    assert!(
        aws.asked()
            .iter()
            .all(|(operation, _)| operation != "TransactWriteItems")
    );

    let target = json!({ "ResourceId": "service/prod/web" });
    folder.write_json(
        "f.json",
        &json!({ "DescribeScalableTargets": { "ScalableTargets": [target] } }),
    );
    let offline = folder.run(&["check", "w.yaml", "--facts", "f.json"]);
    assert_eq!(offline.code, 1, "{offline:?}");
    assert!(
        offline
            .out
            .contains("Application Auto Scaling moves the count of prod/web too"),
        "{offline:?}"
    );

    aws.says("DescribeScalableTargets", &json!({ "ScalableTargets": [] }));
    assert_eq!(aws.run(&folder, &["check", "w.yaml", "--online"]).code, 0);
    // Nobody may ask.
    let other = Aws::start(&FUNCTIONS);
    let ran = other.run(&folder, &["apply", "w.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains(
            "warning: whether Application Auto Scaling moves a count too cannot be told: DescribeScalableTargets"
        ),
        "{ran:?}"
    );
}

#[test]
fn status_asks_for_targets_and_clusters_once_and_twice_for_each_target() {
    let (folder, aws) = (shop(), Aws::start(&[]));
    table(&aws);
    let ran = aws.run(&folder, &["status", "--output", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["targets"][0]["scaling"]["bounds"], json!({ "min": 1, "max": 5 }));
    let mut asked: Vec<_> = aws.asked().into_iter().map(|(operation, _)| operation).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["Query", "Query", "Query", "Query"]);
    let ran = aws.run(&folder, &["status", "prod/wbe"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.err.contains("prod/wbe is not configured (there is prod/web)"),
        "{ran:?}"
    );
}

#[test]
fn history_and_sync_tell_who_is_not_configured() {
    let (folder, aws) = (shop(), Aws::start(&FUNCTIONS));
    table(&aws);
    for command in ["history", "sync"] {
        let ran = aws.run(&folder, &[command, "prod/wbe"]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(
            ran.err.contains("prod/wbe is not configured (there is prod/web)"),
            "{ran:?}"
        );
    }
    assert_eq!(invoked(&aws), []);
    let ran = aws.run(&folder, &["history", "prod/web", "--domain", "scaling"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("nothing was decided yet for scaling; "), "{ran:?}");
    for (arguments, told) in [
        (&["-n", "0"][..], "must be 1 or more"),
        (&["-n", "-1"], "must not be negative: write a whole number, 1 or more"),
        (&["--domain", "scalign"], "a similar value exists: 'scaling'"),
    ] {
        let ran = aws.run(&folder, &[&["history"], arguments].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
    // Who may not read the table may still invoke.
    let other = Aws::start(&FUNCTIONS);
    other.says_text("Query", "{".to_owned());
    other.says("Invoke d", &answer(&[]));
    other.says("Invoke b", &answer(&[]));
    let ran = other.run(&folder, &["sync", "prod/web"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err
            .contains("warning: whether prod/web is configured cannot be told: "),
        "{ran:?}"
    );
}

#[test]
fn history_prints_the_newest_records_of_a_domain() {
    let (folder, aws) = (shop(), Aws::start(&[]));
    let record = |second: u32, domain: &str| {
        let text = |text: &str| json!({ "S": text });
        let record = json!({
            "at": text(&format!("2026-01-05T10:00:0{second}Z")), "domain": text(domain), "target": text("prod/web"),
            "cause": text("a test"), "outcome": text("ignore"), "actions": { "L": [] }, "reasons": { "L": [] },
        });
        let sort = second.to_string();
        json!({ "pk": text("history#prod/web"), "sk": text(&sort), "record": { "M": record } })
    };
    let items = [
        record(1, "scaling"),
        record(2, "discovery"),
        record(3, "scaling"),
        record(4, "delivery"),
    ];
    aws.says("Query", &json!({ "Items": items, "Count": 4 }));
    let ran = aws.run(&folder, &["history", "prod/web", "--domain", "scaling", "-n", "1"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.starts_with("2026-01-05T10:00:03Z prod/web scaling "), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
}
