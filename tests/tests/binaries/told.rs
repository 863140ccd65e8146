//! What a function prints: CloudWatch Logs and its metrics are made of it.

use serde_json::Value;
use wharfinger_tests::lambda::Fault;
use wharfinger_tests::lambda::story::{configure, schedule_event, task, task_event, with_discovery};

use super::Rig;

/// Checks a line of metrics against the specification (CloudWatch user guide, "Embedded metric format specification").
fn check_metrics(line: &Value, now_ms: i64) -> Vec<String> {
    let at = line["_aws"]["Timestamp"].as_i64().unwrap_or_else(|| panic!("{line}"));
    // CloudWatch takes what is at most two weeks old or two hours ahead.
    assert!((at - now_ms).abs() < 60_000, "{line}");
    let mut names = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "Wharfinger", "{line}");
        for set in directive["Dimensions"].as_array().unwrap() {
            let set = set.as_array().unwrap();
            assert!(set.len() <= 30, "{line}");
            for dimension in set {
                let value = line[dimension.as_str().unwrap()].as_str();
                assert!(
                    value.is_some_and(|v| !v.is_empty() && v.len() <= 1_024),
                    "{dimension} of {line}"
                );
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!(!metrics.is_empty() && metrics.len() <= 100, "{line}");
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            assert!(
                ["Count", "Milliseconds", "Seconds"].contains(&metric["Unit"].as_str().unwrap()),
                "{line}"
            );
            assert!(line[name].is_number(), "{name} of {line}");
            names.push(name.to_owned());
        }
    }
    names
}

#[test]
fn every_line_is_json_and_every_metric_is_well_formed() {
    let rig = Rig::start("discovery");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
    let joining = task_event(&task("web", "t1", 3, "RUNNING", "RUNNING"));
    rig.done(&joining);
    rig.done(&joining);
    rig.done(&task_event(&task("web", "t1", 5, "STOPPED", "STOPPED")));
    rig.done(&schedule_event());
    rig.done(&schedule_event());
    rig.lambda
        .fail("UpdateItem", usize::MAX, Fault::Refuse(500, "InternalServerError"));
    rig.failed(&task_event(&task("web", "t2", 3, "RUNNING", "RUNNING")));
    rig.failed(&Value::Null);
    rig.process.line(|line| line.contains("detail-type")).unwrap();

    #[allow(
        clippy::disallowed_methods,
        reason = "what a metric says of the time is compared with it"
    )]
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let (mut metrics, mut messages) = (Vec::new(), Vec::new());
    for line in rig.process.stdout() {
        let json: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(json.is_object(), "{line}");
        if json.get("_aws").is_some() {
            metrics.extend(check_metrics(&json, i64::try_from(now.as_millis()).unwrap()));
        } else {
            assert!(json["level"].is_string(), "{line}");
            messages.push(json["message"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned());
        }
    }
    for name in ["Decisions", "Calls", "Latency", "Errors", "Staleness"] {
        assert!(metrics.iter().any(|m| m == name), "{name} is not among {metrics:?}");
    }
    for message in ["decision", "failed", "sweep"] {
        assert!(
            messages.iter().any(|m| m == message),
            "{message} is not among {messages:?}"
        );
    }
    assert_eq!(rig.process.stderr(), Vec::<String>::new());
}
