//! Access points of EFS.

use serde_json::Value;

use super::*;

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

fn point(id: &str, change: &Value) -> AccessPoint {
    let mut point = json!({
        "AccessPointId": id, "FileSystemId": FILE_SYSTEM, "LifeCycleState": "available",
        "PosixUser": { "Uid": 1000, "Gid": 1001 },
        "RootDirectory": {
            "Path": "/shop", "CreationInfo": { "OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "750" },
        },
        "Tags": [
            { "Key": "wharfinger:owner", "Value": OWNER }, { "Key": "wharfinger:access-point", "Value": "prod/db" },
        ],
    });
    point
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    AccessPoint::parse(&point).unwrap()
}

/// A service with one volume on EFS, and these access points of its file system.
fn on_efs(points: Vec<AccessPoint>) -> Facts {
    let rule = json!([{ "volume": "shared", "access-point": {
        "file-system": FILE_SYSTEM, "path": "/shop", "uid": 1000, "gid": 1001, "permissions": "0750",
    } }]);
    let mut facts = facts(json!({}), Vec::new());
    facts.rules = serde_json::from_value(rule).unwrap();
    facts.snapshots = Known::No;
    facts.file_systems = [(FILE_SYSTEM.to_owned(), Some(points))].into();
    facts
}

fn ids(decided: &Decided) -> Vec<&str> {
    decided
        .memory
        .access_points
        .values()
        .map(|known| known.id.as_str())
        .collect()
}

#[test]
fn what_is_not_there_is_made_and_what_is_there_is_remembered() {
    check(&on_efs(Vec::new()), "Act AccessPointStarts [CreateAccessPoint shared]");
    let there = on_efs(vec![point("fsap-1", &json!({}))]);
    check(&there, "Ignore AccessPointReady []");
    let decided = decide(&there, now());
    assert_eq!((ids(&decided), decided.next_look), (vec!["fsap-1"], None));
    assert!(!decided.asks.snapshots);
}

#[test]
fn only_one_that_is_just_so_is_the_one() {
    let others = [
        json!({ "PosixUser": { "Uid": 1, "Gid": 1001 } }),
        json!({ "PosixUser": { "Uid": 1000, "Gid": 1001, "SecondaryGids": [0] } }),
        json!({ "PosixUser": null }),
        json!({ "RootDirectory": { "Path": "/shop" } }),
        json!({ "RootDirectory": {
            "Path": "/shop", "CreationInfo": { "OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "700" },
        } }),
        json!({ "LifeCycleState": "deleting" }),
        json!({ "LifeCycleState": "error" }),
        json!({ "Tags": [{ "Key": "wharfinger:access-point", "Value": "prod/db" }] }),
        json!({ "Tags": [
            { "Key": "wharfinger:owner", "Value": "another" }, { "Key": "wharfinger:access-point", "Value": "prod/db" },
        ] }),
        json!({ "Tags": [
            { "Key": "wharfinger:owner", "Value": OWNER }, { "Key": "wharfinger:access-point", "Value": "prod/web" },
        ] }),
    ];
    for other in others {
        let decided = decide(&on_efs(vec![point("fsap-1", &other)]), now());
        let calls: Vec<_> = decided.decision.actions.iter().map(called).collect();
        assert_eq!(calls, ["CreateAccessPoint shared"], "{other}");
    }
    // Of two that are just so it is the one that is in the revisions already.
    let mut facts = on_efs(vec![point("fsap-1", &json!({})), point("fsap-2", &json!({}))]);
    assert_eq!(ids(&decide(&facts, now())), ["fsap-1"]);
    facts.memory = decide(&on_efs(vec![point("fsap-2", &json!({}))]), now()).memory;
    assert_eq!(ids(&decide(&facts, now())), ["fsap-2"]);
}

#[test]
fn what_efs_makes_or_refuses_is_looked_at_again() {
    let creating = on_efs(vec![point("fsap-1", &json!({ "LifeCycleState": "creating" }))]);
    check(&creating, "Wait AccessPointPending []");
    let decided = decide(&creating, now());
    assert_eq!((ids(&decided), decided.next_look), (vec![], Some(ago(-1))));
    let mut refused = on_efs(Vec::new());
    refused.refused = [("shared".to_owned(), "AccessPointLimitExceeded: no more".to_owned())].into();
    check(&refused, "Wait AccessPointRefused []");
    assert_eq!(decide(&refused, now()).next_look, Some(ago(-5)));
    let mut missing = on_efs(Vec::new());
    missing.file_systems = [(FILE_SYSTEM.to_owned(), None)].into();
    check(&missing, "Wait AccessPointRefused []");
}

#[test]
fn what_is_not_known_makes_and_forgets_nothing() {
    let mut unknown = on_efs(Vec::new());
    unknown.file_systems.clear();
    unknown.memory = decide(&on_efs(vec![point("fsap-1", &json!({}))]), now()).memory;
    check(&unknown, "Wait FactsMissing []");
    let decided = decide(&unknown, now());
    assert_eq!(ids(&decided), ["fsap-1"]);
    assert_eq!(decided.decision.missing, ["DescribeAccessPoints"]);
    assert!(decided.asks.file_systems.contains(FILE_SYSTEM));
    // A snapshot of another volume is made all the same.
    let mut both = facts(json!({}), Vec::new());
    both.rules.extend(unknown.rules);
    check(&both, "Act FactsMissing SnapshotDue [CreateSnapshot vol-new]");
}

#[test]
fn what_is_configured_otherwise_is_another_one_and_the_old_one_stays() {
    let mut facts = on_efs(vec![point("fsap-1", &json!({}))]);
    facts.memory = decide(&facts, now()).memory;
    facts.rules[0].access_point.as_mut().unwrap().path = "/new".to_owned();
    check(
        &facts,
        "Act AccessPointStarts UnusedAccessPoint [CreateAccessPoint shared]",
    );
    let decided = decide(&facts, now());
    assert_eq!(ids(&decided), Vec::<&str>::new());
    assert_eq!(decided.memory.unused[0].id, "fsap-1");
    // While the file system is not known, what was left behind stays told.
    facts.memory = decided.memory;
    facts.file_systems.clear();
    check(&facts, "Wait FactsMissing UnusedAccessPoint []");
    // Nor is what is not ours, or of another service, told.
    let others = [
        json!({ "Tags": [{ "Key": "wharfinger:access-point", "Value": "prod/db" }] }),
        json!({ "Tags": [
            { "Key": "wharfinger:owner", "Value": OWNER }, { "Key": "wharfinger:access-point", "Value": "prod/web" },
        ] }),
    ];
    let others = others.iter().map(|change| point("fsap-9", change));
    let facts = on_efs(others.chain([point("fsap-1", &json!({}))]).collect());
    check(&facts, "Ignore AccessPointReady []");
}

#[test]
fn services_of_a_tenant_share_one() {
    let tenant = |name: &str| {
        let mut facts = on_efs(Vec::new());
        facts.target = Target::service("prod", name);
        facts.rules[0].access_point.as_mut().unwrap().tenant = Some("acme".to_owned());
        facts
    };
    let request = |facts: &Facts| match &decide(facts, now()).decision.actions[..] {
        [Action::CreateAccessPoint(request)] => (request.token.clone(), request.input()),
        other => panic!("{other:?}"),
    };
    assert_eq!(request(&tenant("web")), request(&tenant("db")));
    let (_, input) = request(&tenant("db"));
    assert_eq!(input["Tags"][2], json!({ "Key": "wharfinger:owner", "Value": OWNER }));
    assert_eq!(input["Tags"][1]["Value"], "tenant:acme");
    // So do two volumes of one service.
    let mut twice = on_efs(Vec::new());
    let mut second = twice.rules[0].clone();
    second.volume = "also".to_owned();
    twice.rules.push(second);
    check(
        &twice,
        "Act AccessPointStarts AccessPointPending [CreateAccessPoint shared]",
    );
}

#[test]
fn the_token_tells_what_is_wanted() {
    let token = |facts: &Facts| match &decide(facts, now()).decision.actions[..] {
        [Action::CreateAccessPoint(request)] => request.token.clone(),
        other => panic!("{other:?}"),
    };
    let first = on_efs(Vec::new());
    assert_eq!(token(&first), token(&first.clone()));
    assert!(token(&first).len() <= 64, "{}", token(&first));
    let changes: [fn(&mut Facts); 7] = [
        |facts| facts.owner = "another".to_owned(),
        |facts| facts.target = Target::service("prod", "web"),
        |facts| facts.rules[0].access_point.as_mut().unwrap().path = "/x".to_owned(),
        |facts| facts.rules[0].access_point.as_mut().unwrap().uid = 1,
        |facts| facts.rules[0].access_point.as_mut().unwrap().gid = 1,
        |facts| facts.rules[0].access_point.as_mut().unwrap().permissions = "700".parse().unwrap(),
        |facts| facts.rules[0].access_point.as_mut().unwrap().tenant = Some("prod/db".to_owned()),
    ];
    let mut tokens = std::collections::BTreeSet::from([token(&first)]);
    for change in changes {
        let mut other = first.clone();
        change(&mut other);
        assert!(tokens.insert(token(&other)));
    }
}

#[test]
fn the_request_is_as_the_api_has_it() {
    let decided = decide(&on_efs(Vec::new()), now());
    // Another would make another access point of what is there already.
    let token = "wharfinger-c65a4313b1878c16284fc09d92b473d2";
    assert_eq!(
        decided.decision.actions[0].input(),
        json!({
            "ClientToken": token, "FileSystemId": FILE_SYSTEM, "PosixUser": { "Uid": 1000, "Gid": 1001 },
            "RootDirectory": {
                "Path": "/shop", "CreationInfo": { "OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "0750" },
            },
            "Tags": [
                { "Key": "Name", "Value": "prod/db" }, { "Key": "wharfinger:access-point", "Value": "prod/db" },
                { "Key": "wharfinger:owner", "Value": OWNER },
            ],
        })
    );
    let memory = decide(&on_efs(vec![point("fsap-1", &json!({}))]), now()).memory;
    let stored = serde_json::to_value(&memory).unwrap();
    assert_eq!(serde_json::from_value::<Memory>(stored).unwrap(), memory);
}
