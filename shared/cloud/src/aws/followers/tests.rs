//! Requests as in the API references of EventBridge and EventBridge Scheduler.

use super::super::replay::{Asked, replay};
use super::*;

const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";

fn asked(asked: &Asked) -> (String, String, String) {
    let target = asked.target.as_deref().unwrap_or_default();
    let path = format!("{} {}", asked.method, asked.path);
    (
        format!("{} {target}", asked.host).trim().to_owned(),
        path,
        asked.body.clone(),
    )
}

fn expect(found: &[Asked], expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(to, path, body)| ((*to).to_owned(), (*path).to_owned(), (*body).to_owned()))
        .collect();
    assert_eq!(found.iter().map(asked).collect::<Vec<_>>(), expected);
}

#[test]
fn every_page_is_read_and_what_is_gone_is_left_out() {
    let gone = r#"{"__type":"ResourceNotFoundException"}"#;
    let list = format!(
        r#"{{"Schedules":[{{"Name":"a b","GroupName":"g","Target":{{"Arn":"{CLUSTER}"}}}},{{"Name":"c","GroupName":"g","Target":{{"Arn":"x"}}}}],"NextToken":"n/1"}}"#
    );
    let (found, asked) = replay(
        &[
            (200, r#"{"RuleNames":["r1"],"NextToken":"t"}"#),
            (200, r#"{"RuleNames":["r2"]}"#),
            (200, r#"{"Targets":[{"Id":"1","new":1.50}]}"#),
            (400, gone),
            (200, &list),
            (200, r#"{"Name":"a b"}"#),
            (200, r#"{"Schedules":[]}"#),
        ],
        async |aws| aws.followers(CLUSTER).await,
    );
    let rule = Follower::Rule {
        bus: "default".into(),
        rule: "r1".into(),
        id: "1".into(),
    };
    let schedule = Follower::Schedule {
        group: "g".into(),
        name: "a b".into(),
    };
    let target: Value = serde_json::from_str(r#"{"Id":"1","new":1.50}"#).unwrap();
    assert_eq!(found, Ok(vec![(rule, target), (schedule, json!({ "Name": "a b" }))]));
    let names = format!(r#"{{"TargetArn":"{CLUSTER}"}}"#);
    let more = format!(r#"{{"TargetArn":"{CLUSTER}","NextToken":"t"}}"#);
    expect(
        &asked,
        &[
            ("events AWSEvents.ListRuleNamesByTarget", "POST /", &names),
            ("events AWSEvents.ListRuleNamesByTarget", "POST /", &more),
            ("events AWSEvents.ListTargetsByRule", "POST /", r#"{"Rule":"r1"}"#),
            ("events AWSEvents.ListTargetsByRule", "POST /", r#"{"Rule":"r2"}"#),
            ("scheduler", "GET /schedules?MaxResults=100", ""),
            ("scheduler", "GET /schedules/a%20b?groupName=g", ""),
            ("scheduler", "GET /schedules?MaxResults=100&NextToken=n%2F1", ""),
        ],
    );
}

fn to(follower: Follower, input: Value) -> Move {
    Move {
        follower,
        from: "r:1".into(),
        to: "r:2".into(),
        input,
    }
}

#[test]
fn a_schedule_is_put_where_it_was() {
    let follower = Follower::Schedule {
        group: "g".into(),
        name: "s".into(),
    };
    let input = serde_json::from_str(r#"{"Name":"s","GroupName":"g","EndDate":1767225600.0}"#).unwrap();
    let (made, asked) = replay(&[(200, r#"{"ScheduleArn":"arn:s"}"#)], async |aws| {
        aws.move_follower(&to(follower, input)).await
    });
    assert_eq!(made, Ok(Moved::Done));
    expect(
        &asked,
        &[(
            "scheduler",
            "PUT /schedules/s",
            r#"{"GroupName":"g","EndDate":1767225600.0}"#,
        )],
    );
}

#[test]
fn a_target_that_was_not_put_is_an_error_and_a_managed_rule_is_none() {
    let put = |status, answer: &str| {
        let follower = Follower::Rule {
            bus: "default".into(),
            rule: "r".into(),
            id: "1".into(),
        };
        replay(&[(status, answer)], async |aws| {
            aws.move_follower(&to(follower, json!({ "Rule": "r", "Targets": [] })))
                .await
        })
    };
    let (made, asked) = put(200, r#"{"FailedEntryCount":0,"FailedEntries":[]}"#);
    assert_eq!(made, Ok(Moved::Done));
    expect(
        &asked,
        &[("events AWSEvents.PutTargets", "POST /", r#"{"Rule":"r","Targets":[]}"#)],
    );
    let failed = r#"{"FailedEntryCount":1,"FailedEntries":[{"TargetId":"1","ErrorCode":"ConcurrentModificationException","ErrorMessage":"no"}]}"#;
    assert!(
        put(200, failed)
            .0
            .unwrap_err()
            .to_string()
            .contains("ConcurrentModification")
    );
    let managed = r#"{"__type":"ManagedRuleException","message":"managed by batch"}"#;
    assert_eq!(put(400, managed).0, Ok(Moved::Managed("managed by batch".into())));
}
