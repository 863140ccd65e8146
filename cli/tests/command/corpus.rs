//! Every event of the corpus about instances, clusters and services is explained, whether its cluster is configured or not.

#[expect(
    dead_code,
    clippy::print_stderr,
    reason = "it is shared with the test that reads every kind"
)]
#[path = "../../../tests/tests/corpus/files.rs"]
mod files;

use std::fmt::Write;

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::explain::codes;
use crate::folder::Folder;
use files::Corpus;

const KINDS: &[&str] = &[
    "autoscaling-instance-launch-terminate",
    "autoscaling-instance-refresh",
    "autoscaling-lifecycle-action",
    "aws-health-event",
    "ec2-instance-state-change",
    "ec2-rebalance-recommendation",
    "ec2-spot-interruption-warning",
    "ecs-container-instance-state-change",
    "ecs-service-action",
];

/// The cluster that an event names: in the ARN of a service or container instance, or by its own; `prod` where it names none.
fn cluster(event: &Value) -> &str {
    let own = named(&event["detail"]["clusterArn"], 2);
    named(&event["resources"][0], 3).or(own).unwrap_or("prod")
}

/// The second part of an ARN of ECS that has so many at least.
fn named(arn: &Value, least: usize) -> Option<&str> {
    let arn = arn.as_str().filter(|arn| arn.starts_with("arn:aws:ecs:"))?;
    arn.split('/').nth(1).filter(|_| arn.split('/').count() >= least)
}

/// What is answered, in a line. Of what is not rejected it is told why, and an action comes with nothing missing.
fn told(folder: &Folder, event: &Value, config: &Value) -> String {
    folder.write_json("w.yaml", config);
    let (code, answer) = folder.explain(event, &[]);
    let outcome = answer["outcome"].as_str().unwrap();
    assert_eq!(code, i32::from(outcome == "rejected"), "{answer}");
    assert_eq!(answer["event"]["kind"], event["detail-type"]);
    let codes = codes(&answer);
    assert!(!codes.is_empty(), "{answer}");
    for reason in answer["reasons"].as_array().unwrap() {
        assert!(!reason["message"].as_str().unwrap().is_empty(), "{answer}");
    }
    // Nothing is done offline about what nobody has described.
    assert_eq!(answer["actions"], json!([]), "{answer}");
    let missing: Vec<_> = answer["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    let target = answer["event"]["target"].as_str().unwrap_or("-");
    format!("{outcome} {target} {} [{}]", codes.join(", "), missing.join(", "))
}

#[test]
fn every_event_of_an_instance_a_cluster_or_a_service_is_explained() {
    let Some(corpus) = Corpus::find() else { return };
    let folder = Folder::new();
    let mut table = String::new();
    for kind in KINDS {
        for (name, event) in corpus.folder(kind) {
            let with = json!({ "version": 1, "clusters": { cluster(&event): { "capacity": {} } } });
            let with = told(&folder, &event, &with);
            let without = told(&folder, &event, &json!({ "version": 1 }));
            writeln!(table, "{kind}/{name}\n    with    {with}\n    without {without}").unwrap();
        }
    }
    expect_file!["corpus.txt"].assert_eq(&table);
}
