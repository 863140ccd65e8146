//! `explain` of what concerns the volumes of a service.

use serde_json::{Value, json};

use crate::events::{event, task};
use crate::explain::codes;
use crate::folder::Folder;

const CONFIG: &str = "version: 1\nservices:\n  prod/db:\n    storage:\n      - volume: data\n        \
                      snapshot: { every: 6h, keep: { last: 1 } }\n";

/// The answer on an event, with these facts.
fn answer(event: &Value, facts: &Value) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", CONFIG);
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &["--facts", "facts.json"]);
    assert_eq!(code, 0, "{answer}");
    answer
}

/// The event of a task of `prod/db` with the volume `data`.
fn mounted() -> Value {
    let mut event = task(4, "RUNNING", "service:db");
    let details = json!([{ "name": "volumeName", "value": "data" }, { "name": "volumeId", "value": "vol-1" }]);
    let volume = json!({ "type": "amazonebs", "status": "ATTACHED", "details": details });
    event["detail"]["attachments"].as_array_mut().unwrap().push(volume);
    event
}

fn snapshot(id: &str, start: &str, volume: &str) -> Value {
    let tags = [
        ("wharfinger:owner", "wharfinger"),
        ("wharfinger:lineage", &format!("prod/db/{volume}")),
    ];
    let tags: Vec<_> = tags.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
    json!({ "SnapshotId": id, "VolumeId": "vol-0", "State": "completed", "StartTime": start, "VolumeSize": 8, "Tags": tags })
}

fn service() -> Value {
    let mut service = crate::events::service();
    service["serviceArn"] = json!("arn:aws:ecs:eu-west-1:111122223333:service/prod/db");
    service["desiredCount"] = json!(1);
    service
}

fn told(id: &str) -> Value {
    let arn = format!("arn:aws:ec2::eu-west-1:snapshot/{id}");
    let detail = json!({
        "event": "createSnapshot", "result": "succeeded", "cause": "", "request-id": "", "snapshot_id": arn,
        "source": "arn:aws:ec2::eu-west-1:volume/vol-0", "startTime": "yyyy-mm-ddThh:mm:ssZ",
    });
    event("EBS Snapshot Notification", "aws.ec2", &[&arn], &detail)
}

#[test]
fn the_event_of_a_task_tells_its_volume() {
    let nothing = answer(&mounted(), &json!({}));
    assert_eq!(
        (&nothing["outcome"], &nothing["missing"]),
        (&json!("wait"), &json!(["DescribeSnapshots"]))
    );
    let none = json!({ "Snapshots": [] });
    let unknown = answer(&mounted(), &json!({ "DescribeSnapshots": none }));
    assert_eq!(unknown["missing"], json!(["DescribeServices"]));
    let facts = json!({ "DescribeSnapshots": none, "DescribeServices": { "services": [service()] } });
    let due = answer(&mounted(), &facts);
    assert_eq!((&due["outcome"], codes(&due)), (&json!("act"), vec!["SnapshotDue"]));
    assert_eq!(due["actions"][0]["call"], "CreateSnapshot");
    let input = &due["actions"][0]["input"];
    assert_eq!(
        (&input["VolumeId"], &input["Description"]),
        (&json!("vol-1"), &json!("prod/db/data by Wharfinger"))
    );
    let tags = input["TagSpecifications"][0]["Tags"].as_array().unwrap();
    let task = json!({ "Key": "wharfinger:task", "Value": "0123456789abcdef0123456789abcdef" });
    assert!(tags.contains(&task), "{tags:?}");
}

#[test]
fn a_task_without_a_volume_and_a_service_of_several() {
    let bare = answer(&task(4, "RUNNING", "service:db"), &json!({}));
    assert_eq!((&bare["outcome"], codes(&bare)), (&json!("ignore"), vec!["NoVolume"]));
    let stopping = {
        let mut event = mounted();
        event["detail"]["desiredStatus"] = json!("STOPPED");
        answer(&event, &json!({}))
    };
    assert_eq!(codes(&stopping), ["NoVolume"]);
    let mut several = service();
    several["desiredCount"] = json!(3);
    let facts = json!({ "DescribeSnapshots": { "Snapshots": [] }, "DescribeServices": { "services": [several] } });
    assert_eq!(codes(&answer(&mounted(), &facts)), ["PerTaskState"]);
}

#[test]
fn a_service_with_endpoints_too_is_told_of_both() {
    let folder = Folder::new();
    let config = format!("{CONFIG}    discovery: [{{ to: srv-abc }}]\n");
    folder.write("w.yaml", &config);
    folder.write_json("facts.json", &json!({ "DescribeSnapshots": { "Snapshots": [] } }));
    let (code, answer) = folder.explain(&mounted(), &["--facts", "facts.json"]);
    assert_eq!((code, codes(&answer)), (0, vec!["TaskJoins", "FactsMissing"]));
    assert_eq!(answer["actions"][0]["call"], "RegisterInstance");
}

#[test]
fn a_snapshot_is_known_by_its_tags() {
    let nothing = answer(&told("snap-2"), &json!({}));
    assert_eq!(
        (&nothing["outcome"], &nothing["missing"], &nothing["event"]["target"]),
        (&json!("wait"), &json!(["DescribeSnapshots"]), &Value::Null)
    );
    let all = json!({ "DescribeSnapshots": { "Snapshots": [
        snapshot("snap-1", "2026-01-31T03:00:00Z", "data"), snapshot("snap-2", "2026-01-31T09:00:00Z", "data"),
    ] } });
    let fresh = answer(&told("snap-2"), &all);
    assert_eq!(fresh["event"]["target"], "prod/db");
    assert_eq!(codes(&fresh), ["SnapshotSucceeded", "SnapshotFresh", "FactsMissing"]);
    assert_eq!(
        fresh["missing"],
        json!(["DescribeServices", "DescribeServiceRevisions"])
    );
    let foreign = answer(&told("snap-9"), &all);
    assert_eq!(
        (&foreign["outcome"], codes(&foreign)),
        (&json!("ignore"), vec!["NotOurs"])
    );
    let old = json!({ "DescribeSnapshots": { "Snapshots": [snapshot("snap-3", "2026-01-31T09:00:00Z", "logs")] } });
    let strange = answer(&told("snap-3"), &old);
    assert!(codes(&strange).contains(&"StrangeSnapshot"), "{strange}");
}

#[test]
fn what_goes_is_told_once_nothing_refers_to_it() {
    let mut facts = json!({
        "DescribeSnapshots": { "Snapshots": [
            snapshot("snap-1", "2026-01-31T03:00:00Z", "data"), snapshot("snap-2", "2026-01-31T09:00:00Z", "data"),
        ] },
        "DescribeServices": { "services": [service()] },
        "DescribeServiceRevisions": { "serviceRevisions": [] },
    });
    assert_eq!(
        answer(&told("snap-2"), &facts)["missing"],
        json!(["DescribeSnapshotAttribute"])
    );
    facts["DescribeSnapshotAttribute"] = json!({ "SnapshotId": "snap-1", "CreateVolumePermissions": [] });
    let goes = answer(&told("snap-2"), &facts);
    assert_eq!(
        goes["actions"],
        json!([{ "call": "DeleteSnapshot", "input": { "SnapshotId": "snap-1" } }])
    );
    let mut shared = facts.clone();
    shared["DescribeSnapshotAttribute"]["CreateVolumePermissions"] = json!([{ "UserId": "444455556666" }]);
    assert_eq!(
        codes(&answer(&told("snap-2"), &shared)),
        ["SnapshotSucceeded", "SnapshotFresh", "SnapshotHeld"]
    );
    let volumes = json!([{ "name": "data", "managedEBSVolume": { "roleArn": "r", "snapshotId": "snap-1" } }]);
    facts["DescribeServiceRevisions"]["serviceRevisions"] = json!([{ "serviceRevisionArn": "arn:aws:ecs:eu-west-1:1:service-revision/prod/db/7", "volumeConfigurations": volumes }]);
    let held = answer(&told("snap-2"), &facts);
    assert_eq!(codes(&held), ["SnapshotSucceeded", "SnapshotFresh", "SnapshotHeld"]);
    assert!(
        held["reasons"][2]["message"]
            .as_str()
            .unwrap()
            .contains("service revision 7"),
        "{held}"
    );
}

#[test]
fn what_no_configuration_concerns_is_ignored() {
    let folder = Folder::new();
    let (code, answer) = folder.explain(&told("snap-1"), &[]);
    assert_eq!((code, &answer["outcome"]), (0, &json!("ignore")));
    assert_eq!(codes(&answer), ["NotManaged"]);
}

const STATEFUL: &str = "version: 1\ntasks:\n  prod/ledger:\n    stateful:\n      { volume: data, size: 8, role: \"arn:aws:iam::111122223333:role/ecs\" }\n";

/// The event of a task of identity 0 that is over.
fn over() -> Value {
    let mut event = mounted();
    let detail = &mut event["detail"];
    detail["lastStatus"] = json!("STOPPED");
    detail["desiredStatus"] = json!("STOPPED");
    detail["group"] = json!("family:ledger");
    detail["startedBy"] = json!("wharfinger/0");
    event
}

fn answer_of_identity(event: &Value, facts: &Value) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", STATEFUL);
    folder.write_json("facts.json", facts);
    let (code, answer) = folder.explain(event, &["--facts", "facts.json"]);
    assert_eq!(code, 0, "{answer}");
    answer
}

#[test]
fn the_volume_of_a_stateful_task_that_is_over_is_saved_first() {
    let tags = json!([
        { "Key": "wharfinger:owner", "Value": "wharfinger" }, { "Key": "wharfinger:lineage", "Value": "prod/ledger.0/data" },
    ]);
    let volume = json!({
        "VolumeId": "vol-1", "State": "available", "CreateTime": "2026-01-01T00:00:00Z", "Size": 8, "Tags": tags,
    });
    let mut facts = json!({ "DescribeSnapshots": { "Snapshots": [] } });
    let unknown = answer_of_identity(&over(), &facts);
    assert_eq!(unknown["missing"], json!(["DescribeVolumes"]), "{unknown}");
    facts["DescribeVolumes"] = json!({ "Volumes": [volume] });
    let due = answer_of_identity(&over(), &facts);
    assert_eq!(due["actions"][0]["call"], "CreateSnapshot", "{due}");
    let mut done = snapshot("snap-1", "2026-03-01T12:00:00Z", "");
    done["VolumeId"] = json!("vol-1");
    done["Tags"] = tags;
    let end = json!({ "Key": "wharfinger:final", "Value": "true" });
    done["Tags"].as_array_mut().unwrap().push(end);
    facts["DescribeSnapshots"] = json!({ "Snapshots": [done] });
    let saved = answer_of_identity(&over(), &facts);
    assert_eq!(
        (&saved["actions"][0]["call"], &saved["actions"][0]["input"]),
        (&json!("DeleteVolume"), &json!({ "VolumeId": "vol-1" }))
    );
    facts["ListTasks"] = json!({ "taskArns": ["arn:aws:ecs:eu-west-1:111122223333:task/prod/ffff"] });
    let unknown = answer_of_identity(&over(), &facts);
    assert_eq!(
        (&unknown["outcome"], &unknown["actions"]),
        (&json!("wait"), &json!([])),
        "{unknown}"
    );
    let mut by_hand = over();
    by_hand["detail"]["startedBy"] = json!("me");
    assert_eq!(codes(&answer_of_identity(&by_hand, &facts)), ["NotOurs"]);
}

#[test]
fn the_event_of_a_snapshot_is_newer_than_what_is_still_pending() {
    let mut pending = snapshot("snap-1", "2026-01-31T09:59:00Z", "data");
    pending["State"] = json!("pending");
    let facts = json!({ "DescribeSnapshots": { "Snapshots": [pending] } });
    let done = answer(&told("snap-1"), &facts);
    let reasons = done["reasons"].to_string();
    assert_eq!(codes(&done), ["SnapshotSucceeded", "SnapshotFresh"], "{reasons}");
    assert!(
        reasons.contains("snap-1") && reasons.contains("is the newest recovery point"),
        "{reasons}"
    );
    let mut event = told("snap-1");
    event["detail"]["result"] = json!("failed");
    event["detail"]["cause"] = json!("it broke");
    let failed = answer(&event, &facts);
    assert!(codes(&failed).iter().all(|code| *code == "SnapshotFailed"), "{failed}");
}

#[test]
fn a_list_that_is_no_answer_is_refused() {
    for wrong in [
        json!([snapshot("snap-1", "2026-01-31T09:59:00Z", "data")]),
        json!({ "snapshots": [] }),
    ] {
        let folder = Folder::new();
        folder.write("w.yaml", CONFIG);
        folder.write_json("facts.json", &json!({ "DescribeSnapshots": wrong }));
        folder.write_json("event.json", &told("snap-1"));
        let ran = folder.run(&["explain", "event.json", "--config", "w.yaml", "--facts", "facts.json"]);
        assert_eq!(ran.code, 2);
        assert!(
            ran.err
                .contains("DescribeSnapshots: an answer of this has a list `Snapshots`"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn an_answer_that_goes_on_is_told() {
    let folder = Folder::new();
    folder.write("w.yaml", CONFIG);
    folder.write_json("event.json", &told("snap-1"));
    let page = |token: Value| json!({ "Snapshots": [], "NextToken": token });
    let goes_on = |answers: Value| {
        folder.write_json("facts.json", &json!({ "DescribeSnapshots": answers }));
        let ran = folder.run(&["explain", "event.json", "--config", "w.yaml", "--facts", "facts.json"]);
        ran.err.contains("DescribeSnapshots: the answer goes on (`NextToken`)")
    };
    assert!(goes_on(page(json!("abc"))));
    assert!(!goes_on(page(json!(null))));
    assert!(!goes_on(json!([page(json!("abc")), page(json!(null))])));
}
