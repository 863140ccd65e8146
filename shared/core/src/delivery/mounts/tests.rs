use serde_json::json;

use super::super::fixtures::{HOST, ago, arn, definition, facts, now};
use super::super::{Facts, decide, differences};
use super::*;
use crate::config::AccessPoint;
use crate::config::asked::{Back, BackTo};

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

fn wanted_point() -> AccessPoint {
    serde_json::from_value(json!({
        "file-system": FILE_SYSTEM, "path": "/shop/web", "uid": 1000, "gid": 1000, "permissions": "0750",
    }))
    .unwrap()
}

fn base(volumes: &Value) -> Value {
    let image = format!("{HOST}/shop/web:1.2.3");
    let mut answer = definition(7, &[("web", &image), ("log", "public.ecr.aws/log:1")]);
    answer["taskDefinition"]["volumes"] = volumes.clone();
    answer
}

fn efs() -> Value {
    json!([
        { "name": "other", "efsVolumeConfiguration": { "fileSystemId": FILE_SYSTEM, "rootDirectory": "/x" } },
        { "name": "shared", "efsVolumeConfiguration": {
            "fileSystemId": FILE_SYSTEM, "rootDirectory": "/shop", "transitEncryption": "DISABLED",
            "transitEncryptionPort": 2049, "authorizationConfig": { "iam": "ENABLED" }, "new": 1,
        } },
    ])
}

/// A service whose volume `shared` has an access point, which is there.
fn shop(volumes: &Value) -> Facts {
    let rule = json!([{ "volume": "shared", "access-point": wanted_point() }]);
    let provided = Provided {
        id: "fsap-1".to_owned(),
        of: wanted_point(),
    };
    Facts {
        storage: serde_json::from_value(rule).unwrap(),
        access_points: Known::Yes([("shared".to_owned(), provided)].into()),
        definition: Known::Yes(Some(base(volumes))),
        ..facts()
    }
}

/// The outcome and the codes, and the volumes that are registered.
fn check(facts: &Facts, expected: &str) -> Option<Value> {
    let decided = decide(facts, now());
    let codes: Vec<_> = decided
        .decision
        .reasons
        .iter()
        .map(|reason| reason.code.as_str())
        .collect();
    let told = format!("{:?} {}", decided.decision.outcome, codes.join(" "));
    assert_eq!(told, expected, "{:#?}", decided.decision.reasons);
    decided.decision.actions.iter().find_map(|action| match action {
        Action::RegisterTaskDefinition { request } => Some(request["volumes"].clone()),
        _ => None,
    })
}

#[test]
fn the_next_revision_mounts_through_the_access_point_and_all_else_stays() {
    let made = check(&shop(&efs()), "Act RolloutStarts AccessPointMounted").unwrap();
    let mut expected = efs();
    expected[1]["efsVolumeConfiguration"] = json!({
        "fileSystemId": FILE_SYSTEM, "transitEncryption": "ENABLED", "transitEncryptionPort": 2049,
        "authorizationConfig": { "iam": "ENABLED", "accessPointId": "fsap-1" }, "new": 1,
    });
    assert_eq!(made, expected);
    // What is mounted so already is not touched, nor said.
    let again = check(&shop(&made), "Act RolloutStarts").unwrap();
    assert_eq!(again, made);
}

#[test]
fn a_change_of_the_access_point_alone_rolls_nothing_out() {
    let mut still = shop(&efs());
    still.definition = Known::Yes(Some({
        let image = format!("{HOST}/shop/web@{}", super::super::fixtures::digest(4));
        let mut answer = definition(7, &[("web", &image), ("log", "public.ecr.aws/log:1")]);
        answer["taskDefinition"]["volumes"] = efs();
        answer
    }));
    assert_eq!(check(&still, "Ignore AlreadyDeployed"), None);
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let mut none = shop(&efs());
    none.access_points = Known::Yes([].into());
    assert_eq!(check(&none, "Wait AccessPointMissing"), None);
    let waiting = decide(&none, now()).memory;
    assert!(
        waiting.next_look().is_some() && waiting.waiting.is_some(),
        "{waiting:?}"
    );
    // It was found for what was configured before.
    let mut older = shop(&efs());
    older.storage[0].access_point.as_mut().unwrap().uid = 1;
    assert_eq!(check(&older, "Wait AccessPointMissing"), None);
    let mut unknown = shop(&efs());
    unknown.access_points = Known::No;
    assert_eq!(check(&unknown, "Wait FactsMissing"), None);
    assert_eq!(decide(&unknown, now()).decision.missing, ["DescribeAccessPoints"]);
}

#[test]
fn a_volume_that_is_not_there_is_rolled_out_without_and_one_elsewhere_waits() {
    for volumes in [
        json!([]),
        json!([{ "name": "shared" }]),
        json!([{ "name": "shared", "host": {} }]),
    ] {
        let made = check(&shop(&volumes), "Act RolloutStarts AccessPointRefused").unwrap();
        assert_eq!(made, volumes);
    }
    let elsewhere = json!([{ "name": "shared", "efsVolumeConfiguration": { "fileSystemId": "fs-01234567" } }]);
    assert_eq!(check(&shop(&elsewhere), "Wait AccessPointRefused"), None);
    assert_eq!(decide(&shop(&elsewhere), now()).memory.next_look(), None);
}

#[test]
fn a_way_back_takes_the_older_revision_as_it_is() {
    let mut back = shop(&efs());
    back.access_points = Known::Yes([].into());
    back.back = Some(Back {
        to: BackTo::Revision("shop-web:6".to_owned()),
        at: ago(1),
        by: None,
    });
    let mut older = base(&efs());
    older["taskDefinition"]["taskDefinitionArn"] = json!(arn(6));
    older["taskDefinition"]["containerDefinitions"][0]["image"] = json!(format!("{HOST}/shop/web:1.2.2"));
    back.back_to = Known::Yes(Some(older));
    let decided = decide(&back, now());
    let calls: Vec<_> = decided
        .decision
        .actions
        .iter()
        .map(crate::report::Effect::call)
        .collect();
    assert_eq!(calls, ["UpdateService"], "{:?}", decided.decision.reasons);
}

/// The revision is registered and the invocation dies: it goes on with it as long as the same access point is wanted.
#[test]
fn what_is_registered_is_gone_on_with_while_the_same_is_wanted() {
    let mut facts = shop(&efs());
    let mut memory = decide(&facts, now()).before_call();
    memory.registered(&arn(8));
    facts.memory = memory;
    assert_eq!(
        check(&facts, "Act RolloutStarts AccessPointMounted IntentResumed"),
        None
    );
    let Known::Yes(points) = &mut facts.access_points else {
        panic!("known")
    };
    points.get_mut("shared").unwrap().id = "fsap-2".to_owned();
    let made = check(&facts, "Act RolloutStarts AccessPointMounted").unwrap();
    assert_eq!(
        made[1]["efsVolumeConfiguration"]["authorizationConfig"]["accessPointId"],
        "fsap-2"
    );
}

#[test]
fn another_access_point_or_a_volume_that_is_not_named_is_a_difference() {
    let mounts: Mounts = [(
        "shared".to_owned(),
        Mount {
            file_system: FILE_SYSTEM.to_owned(),
            access_point: "fsap-1".to_owned(),
        },
    )]
    .into_iter()
    .collect();
    let mut made = base(&efs());
    mounts.apply(&mut made["taskDefinition"]);
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let mut new = made.clone();
        change(&mut new["taskDefinition"]["volumes"]);
        let found = differences(&base(&efs()), &new, &[].into(), &super::super::Side::Keep, &mounts).unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.join("; "), expected);
    };
    check(&|_| {}, "");
    check(
        &|volumes| volumes[1]["efsVolumeConfiguration"]["rootDirectory"] = json!("/"),
        "",
    );
    check(
        &|volumes| volumes[1]["efsVolumeConfiguration"]["rootDirectory"] = json!("/shop"),
        "`volumes[1].efsVolumeConfiguration.rootDirectory` is new",
    );
    check(
        &|volumes| volumes[1]["efsVolumeConfiguration"]["authorizationConfig"]["accessPointId"] = json!("fsap-2"),
        "`volumes[1].efsVolumeConfiguration.authorizationConfig.accessPointId` has another value",
    );
    check(
        &|volumes| volumes[0]["efsVolumeConfiguration"]["transitEncryption"] = json!("ENABLED"),
        "`volumes[0].efsVolumeConfiguration.transitEncryption` is new",
    );
}
