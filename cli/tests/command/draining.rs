//! `explain` of an instance that drains: what stands for its tasks.

use serde_json::{Value, json};

use crate::events::event;
use crate::explain::codes;
use crate::folder::Folder;

const CONFIG: &str =
    "version: 1\nservices:\n  prod/web:\n    discovery:\n      - { to: srv-abcdefgh12345678, port: 8080 }\n";

fn arn(kind: &str, id: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:{kind}/prod/{id}")
}

fn told(status: &str) -> Value {
    let detail = json!({
        "containerInstanceArn": arn("container-instance", "abc"), "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "ec2InstanceId": "i-1", "status": status, "agentConnected": true, "version": 7,
    });
    event("ECS Container Instance State Change", "aws.ecs", &[], &detail)
}

fn task(id: &str, host: &str) -> Value {
    json!({
        "taskArn": arn("task", id), "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7", "version": 3,
        "group": "service:web", "desiredStatus": "RUNNING", "lastStatus": "RUNNING",
        "containerInstanceArn": arn("container-instance", host),
        "attachments": [{ "type": "ElasticNetworkInterface", "details": [
            { "name": "privateIPv4Address", "value": "10.0.0.7" },
        ] }],
        "containers": [{ "name": "web" }],
    })
}

fn answer(event: &Value, facts: &Value) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", CONFIG);
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &["--facts", "facts.json"]);
    assert_eq!(code, 0);
    answer
}

#[test]
fn the_endpoints_of_its_tasks_leave_while_others_run_elsewhere() {
    let tasks = json!({ "DescribeTasks": { "tasks": [task("t1", "abc"), task("t2", "def")], "failures": [] } });
    let leaves = answer(&told("DRAINING"), &tasks);
    let input = json!({ "ServiceId": "srv-abcdefgh12345678", "InstanceId": "t1-8080" });
    let call = json!({ "call": "DeregisterInstance", "input": input });
    assert_eq!(
        (&leaves["outcome"], &leaves["actions"]),
        (&json!("act"), &json!([call]))
    );
    assert_eq!(codes(&leaves), ["HostDraining"]);
    assert_eq!(leaves["event"]["target"], "prod");
}

#[test]
fn what_is_not_known_is_named() {
    let nothing = answer(&told("DRAINING"), &json!({}));
    assert_eq!(
        (&nothing["outcome"], &nothing["missing"]),
        (&json!("wait"), &json!(["ListTasks", "DescribeTasks"]))
    );
    // Whether it is the last is told by who else is registered.
    let alone = answer(
        &told("DRAINING"),
        &json!({ "DescribeTasks": { "tasks": [task("t1", "abc")] } }),
    );
    assert_eq!(
        (&alone["outcome"], &alone["missing"]),
        (&json!("wait"), &json!(["ListInstances"]))
    );
}

#[test]
fn what_is_over_or_never_was_changes_nothing() {
    let again = json!({
        "DescribeContainerInstances": { "containerInstances": [{
            "containerInstanceArn": arn("container-instance", "abc"), "status": "ACTIVE", "agentConnected": true, "version": 9,
        }] },
        "DescribeTasks": { "tasks": [task("t1", "abc"), task("t2", "def")] },
    });
    let over = answer(&told("DRAINING"), &again);
    assert_eq!((&over["outcome"], codes(&over)), (&json!("stale"), vec!["StaleEvent"]));
    for facts in [json!({ "ListTasks": { "taskArns": [] } }), json!({})] {
        let status = if facts.get("ListTasks").is_some() {
            "DRAINING"
        } else {
            "ACTIVE"
        };
        let ignored = answer(&told(status), &facts);
        assert_eq!(
            (&ignored["outcome"], &ignored["actions"]),
            (&json!("ignore"), &json!([])),
            "{status}"
        );
    }
}
