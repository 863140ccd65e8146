use proptest::prelude::*;

use super::*;

const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";

fn arn(name: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{name}")
}

fn rule() -> Follower {
    Follower::Rule {
        bus: "default".into(),
        rule: "nightly".into(),
        id: "1".into(),
    }
}

fn schedule() -> Follower {
    Follower::Schedule {
        group: "default".into(),
        name: "nightly".into(),
    }
}

fn target(cluster: &str, definition: &str) -> Value {
    json!({ "Arn": cluster, "Id": "1", "EcsParameters": { "TaskDefinitionArn": definition, "TaskCount": 1 } })
}

#[test]
fn only_an_older_revision_of_the_family_in_the_cluster_moves() {
    let other_cluster = CLUSTER.replace("prod", "staging");
    for (cluster, definition, moves) in [
        (CLUSTER, arn("report:6"), Ok(())),
        (CLUSTER, arn("report:7"), Err(Follow::There)),
        (CLUSTER, arn("report:8"), Err(Follow::Newer(arn("report:8")))),
        (CLUSTER, arn("report"), Err(Follow::ByItself)),
        (CLUSTER, arn("reports:6"), Err(Follow::Other)),
        (CLUSTER, arn("reports"), Err(Follow::Other)),
        (
            CLUSTER,
            arn("report:6").replace("111122223333", "444455556666"),
            Err(Follow::Other),
        ),
        (
            CLUSTER,
            arn("report:6").replace("eu-west-1", "us-east-1"),
            Err(Follow::Other),
        ),
        (CLUSTER, "report:6".into(), Err(Follow::Other)),
        (&other_cluster, arn("report:6"), Err(Follow::Other)),
    ] {
        for (follower, raw) in [
            (rule(), target(cluster, &definition)),
            (
                schedule(),
                json!({ "Name": "nightly", "Target": target(cluster, &definition) }),
            ),
        ] {
            let found = match follow(&follower, &raw, CLUSTER, &arn("report:7")) {
                Follow::Moves(moved) => {
                    assert_eq!((moved.from.as_str(), moved.to), (definition.as_str(), arn("report:7")));
                    Ok(())
                }
                other => Err(other),
            };
            assert_eq!(found, moves, "{follower}: {definition}");
        }
    }
    assert_eq!(
        follow(&rule(), &json!({ "Arn": CLUSTER }), CLUSTER, &arn("report:7")),
        Follow::Other
    );
    assert_eq!(
        follow(&schedule(), &json!([]), CLUSTER, &arn("report:7")),
        Follow::Other
    );
}

#[test]
fn a_schedule_goes_back_without_what_only_the_answer_has() {
    let raw: Value = serde_json::from_str(&format!(
        r#"{{"Arn":"arn:s","CreationDate":1.7E9,"LastModificationDate":2,"Name":"nightly","GroupName":"default",
        "StartDate":1767225600.000,"FlexibleTimeWindow":{{"Mode":"OFF"}},"Target":{}}}"#,
        target(CLUSTER, &arn("report:6"))
    ))
    .unwrap();
    let Follow::Moves(moved) = follow(&schedule(), &raw, CLUSTER, &arn("report:7")) else {
        panic!("it does not move");
    };
    assert_eq!(moved.operation(), "UpdateSchedule");
    assert_eq!(
        moved.input.to_string(),
        format!(
            r#"{{"Name":"nightly","GroupName":"default","StartDate":1767225600.000,"FlexibleTimeWindow":{{"Mode":"OFF"}},"Target":{}}}"#,
            target(CLUSTER, &arn("report:7"))
        )
    );
}

#[test]
fn followers_are_told_by_name() {
    let other = Follower::Rule {
        bus: "shop".into(),
        rule: "r".into(),
        id: "t".into(),
    };
    assert_eq!(rule().to_string(), "target 1 of rule nightly");
    assert_eq!(other.to_string(), "target t of rule r on bus shop");
    assert_eq!(schedule().to_string(), "schedule default/nightly");
}

/// JSON as text, with numbers that no float holds.
fn anything() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|s| json!(s).to_string()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let fields = proptest::collection::btree_map(any::<String>(), inner.clone(), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            fields.prop_map(|map| {
                let fields: Vec<_> = map
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", json!(name)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// As text: byte for byte.
    #[test]
    fn nothing_but_the_revision_differs(extra in proptest::collection::vec(anything(), 3)) {
        let target = |revision: &str| format!(
            r#"{{"Id":"1","x":{},"Arn":"{CLUSTER}","EcsParameters":{{"y":{},"TaskDefinitionArn":"{}"}},"z":1.50}}"#,
            extra[0], extra[1], arn(revision),
        );
        let (before, after) = (target("report:6"), target("report:7"));
        let sent = |follower: Follower, raw: &str| {
            // Escapes have several spellings; what is compared is what serde_json writes of either side.
            let raw: Value = serde_json::from_str(raw).unwrap();
            match follow(&follower, &raw, CLUSTER, &arn("report:7")) {
                Follow::Moves(moved) => moved.input.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let plain = |text: &str| serde_json::from_str::<Value>(text).unwrap().to_string();
        let expected = format!(r#"{{"Rule":"nightly","EventBusName":"default","Targets":[{after}]}}"#);
        prop_assert_eq!(sent(rule(), &before), plain(&expected));
        let of = |target: &str| format!(r#"{{"Name":"nightly","w":{},"Target":{target},"EndDate":1767225600.0}}"#, extra[2]);
        prop_assert_eq!(sent(schedule(), &of(&before)), plain(&of(&after)));
    }
}
