//! `check` and `explain` of access points of EFS.

use serde_json::{Value, json};

use crate::events::{push, service};
use crate::explain::codes;
use crate::folder::Folder;

fn config(permissions: &str) -> String {
    format!(
        "version: 1\nservices:\n  prod/web:\n    delivery: [{{ repository: shop/web, tags: {{ exact: 1.5.0 }} }}]\n    \
         storage:\n      - volume: shared\n        access-point: {{ file-system: fs-01234567, path: /shop, uid: 1, gid: 2, \
         permissions: {permissions} }}\n"
    )
}

/// What is said of a push, with these facts besides the service's own.
fn pushed(more: &[(&str, Value)]) -> Value {
    let folder = Folder::new();
    folder.write("w.yaml", &config("\"0750\""));
    let efs = json!({ "fileSystemId": "fs-01234567" });
    let definition = json!({
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-web:3", "family": "shop-web",
        "volumes": [{ "name": "shared", "efsVolumeConfiguration": efs }],
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
fn explain_of_a_push_asks_for_the_access_points_and_takes_them() {
    let unknown = pushed(&[]);
    assert_eq!(
        (&unknown["outcome"], codes(&unknown)),
        (&json!("wait"), vec!["FactsMissing"])
    );
    assert_eq!(unknown["missing"], json!(["DescribeAccessPoints"]));
    let none = pushed(&[("DescribeAccessPoints", json!({ "AccessPoints": [] }))]);
    assert_eq!(
        (&none["outcome"], codes(&none)),
        (&json!("wait"), vec!["AccessPointMissing"])
    );
    let tags = [
        ("wharfinger:owner", "wharfinger"),
        ("wharfinger:access-point", "prod/web"),
    ];
    let tags: Vec<_> = tags.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
    let point = json!({
        "AccessPointId": "fsap-1", "FileSystemId": "fs-01234567", "LifeCycleState": "available", "Tags": tags,
        "PosixUser": { "Uid": 1, "Gid": 2 },
        "RootDirectory": { "Path": "/shop", "CreationInfo": { "OwnerUid": 1, "OwnerGid": 2, "Permissions": "0750" } },
    });
    let there = pushed(&[("DescribeAccessPoints", json!({ "AccessPoints": [point] }))]);
    assert_eq!(codes(&there), ["RolloutStarts", "AccessPointMounted"]);
    let volume = &there["actions"][0]["input"]["volumes"][0]["efsVolumeConfiguration"];
    let expected = json!({
        "fileSystemId": "fs-01234567", "transitEncryption": "ENABLED",
        "authorizationConfig": { "accessPointId": "fsap-1" },
    });
    assert_eq!(*volume, expected);
}

#[test]
fn permissions_are_to_stand_in_quotes() {
    let folder = Folder::new();
    for (written, said) in [
        ("0750", "expected text, found a number: write it in quotes, `\"0750\"`"),
        (
            "\"0780\"",
            "`0780` are no permissions: write three or four octal digits in quotes, like \"0750\"",
        ),
    ] {
        folder.write("w.yaml", &config(written));
        let ran = folder.run(&["check", "w.yaml"]);
        assert!(
            ran.code != 0 && format!("{}{}", ran.out, ran.err).contains(said),
            "{ran:?}"
        );
    }
    folder.write("w.yaml", &config("\"0750\""));
    let ran = folder.run(&["check", "w.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}
