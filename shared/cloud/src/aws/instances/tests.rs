//! Requests and answers as in the ECS API reference.

use super::super::replay::replay;
use super::*;
use crate::error::Kind;
use wharfinger_core::capacity::InstanceStatus;

fn arn(n: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/{n:032x}")
}

fn task(n: u32) -> TaskArn {
    format!("arn:aws:ecs:eu-west-1:111122223333:task/prod/{n:032x}")
        .parse()
        .unwrap()
}

fn listed(numbers: &[u32], token: Option<&str>) -> String {
    let arns: Vec<_> = numbers.iter().map(|n| arn(*n)).collect();
    json!({ "containerInstanceArns": arns, "nextToken": token }).to_string()
}

fn described(numbers: &[u32]) -> String {
    let one = |n: &u32| {
        json!({
            "containerInstanceArn": arn(*n), "ec2InstanceId": format!("i-{n}"), "status": "ACTIVE", "agentConnected": true,
            "runningTasksCount": 2, "pendingTasksCount": 1, "version": 5, "registeredAt": 1_480_869_666,
            "capacityProviderName": "web",
        })
    };
    let instances: Vec<_> = numbers.iter().map(one).collect();
    json!({ "containerInstances": instances, "failures": [{ "arn": arn(99), "reason": "MISSING" }] }).to_string()
}

const NO_CLUSTER: &str = r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#;

#[test]
fn those_that_drain_are_listed_by_every_page() {
    let answers = [(200, listed(&[1], Some("more"))), (200, listed(&[2], None))];
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, body.as_str())).collect();
    let (found, asked) = replay(&answers, async |aws| aws.draining("prod").await);
    assert_eq!(found, Ok(vec![arn(1), arn(2)]));
    assert_eq!(asked[0].json(), json!({ "cluster": "prod", "status": "DRAINING" }));
    assert_eq!(asked[1].json()["nextToken"], "more");
    let (found, _) = replay(&[(400, NO_CLUSTER)], async |aws| aws.draining("prod").await);
    assert_eq!(found, Ok(vec![]));
}

#[test]
fn one_instance_is_filtered_for() {
    let answers = [(200, listed(&[1], None)), (200, described(&[1]))];
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, body.as_str())).collect();
    let (found, asked) = replay(&answers, async |aws| {
        aws.container_instances("prod", Some(&["i-1".into()])).await
    });
    let expected = ContainerInstance {
        arn: arn(1),
        cluster: Some("prod".into()),
        ec2_instance_id: Some("i-1".into()),
        status: InstanceStatus::Active,
        agent_connected: true,
        running_tasks_count: Some(2),
        pending_tasks_count: Some(1),
        capacity_provider_name: Some("web".into()),
        version: 5,
        registered_at: Some("2016-12-04T16:41:06Z".parse().unwrap()),
    };
    assert_eq!(found, Ok(vec![expected]));
    assert_eq!(
        asked[0].json(),
        json!({ "cluster": "prod", "filter": "ec2InstanceId == i-1" })
    );
    assert_eq!(
        asked[1].json(),
        json!({ "cluster": "prod", "containerInstances": [arn(1)] })
    );
}

#[test]
fn several_are_picked_from_every_page_of_all() {
    let answers = [
        (200, listed(&[1, 2], Some("t"))),
        (200, listed(&[3], None)),
        (200, described(&[1, 2, 3])),
    ];
    let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, body.as_str())).collect();
    let wanted = ["i-1".to_owned(), "i-3".to_owned(), "i-9".to_owned()];
    let (found, asked) = replay(&answers, async |aws| {
        aws.container_instances("prod", Some(&wanted)).await
    });
    let found: Vec<_> = found.unwrap().into_iter().map(|one| one.arn).collect();
    assert_eq!(found, [arn(1), arn(3)]);
    assert_eq!(asked[1].json(), json!({ "cluster": "prod", "nextToken": "t" }));
}

#[test]
fn nothing_is_asked_of_none_and_a_cluster_that_is_gone_has_none() {
    let (found, asked) = replay(&[], async |aws| aws.container_instances("prod", Some(&[])).await);
    assert_eq!((found, asked), (Ok(Vec::new()), Vec::new()));
    let (found, _) = replay(&[(400, NO_CLUSTER)], async |aws| {
        aws.container_instances("prod", None).await
    });
    assert_eq!(found, Ok(Vec::new()));
    let (found, _) = replay(&[(400, NO_CLUSTER)], async |aws| {
        aws.describe_container_instances("prod", &[arn(1)]).await
    });
    assert_eq!(found, Ok(Vec::new()));
}

#[test]
fn states_are_set_ten_at_a_time_and_failures_told() {
    let arns: Vec<_> = (1..=12).map(arn).collect();
    let failed = json!({ "failures": [{ "arn": arn(2), "reason": "MISSING" }] }).to_string();
    let (made, asked) = replay(&[(200, &failed), (200, "{}")], async |aws| {
        aws.set_container_instances_state("prod", &arns, State::Draining).await
    });
    let expected = NotChanged {
        arn: arn(2),
        reason: "MISSING".into(),
    };
    assert_eq!(made, Ok(vec![expected]));
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[0].json(),
        json!({ "cluster": "prod", "containerInstances": arns[..10], "status": "DRAINING" })
    );
    assert_eq!(asked[1].json()["containerInstances"], json!(arns[10..]));
    let (_, asked) = replay(&[(200, "{}")], async |aws| {
        aws.set_container_instances_state("prod", &arns[..1], State::Active)
            .await
    });
    assert_eq!(asked[0].json()["status"], "ACTIVE");
}

#[test]
fn the_tasks_on_an_instance_are_listed() {
    let answer = json!({ "taskArns": [task(1).as_str(), task(2).as_str()] }).to_string();
    let (found, asked) = replay(&[(200, &answer)], async |aws| aws.tasks_on("prod", &arn(1)).await);
    assert_eq!(found, Ok(vec![task(1), task(2)]));
    let request = |desired: &str| json!({ "cluster": "prod", "containerInstance": arn(1), "desiredStatus": desired });
    assert_eq!(asked[0].json(), request("RUNNING"));
    let (found, asked) = replay(&[(200, &answer)], async |aws| aws.tasks_leaving("prod", &arn(1)).await);
    assert_eq!(found, Ok(vec![task(1), task(2)]));
    assert_eq!(asked[0].json(), request("STOPPED"));
}

#[test]
fn a_task_that_is_forgotten_is_stopped() {
    let refused = |code: &str, message: &str| json!({ "__type": code, "message": message }).to_string();
    let forgotten = refused("InvalidParameterException", "The referenced task was not found.");
    for (status, answer, expected) in [
        (200, "{}".to_owned(), None),
        (400, forgotten, None),
        (
            400,
            refused("InvalidParameterException", "taskId longer than 36."),
            Some(Kind::Invalid),
        ),
        (
            400,
            refused("ThrottlingException", "Rate exceeded"),
            Some(Kind::Throttled),
        ),
    ] {
        let (made, asked) = replay(&[(status, &answer)], async |aws| {
            aws.stop_task("prod", &task(1), "its instance goes").await
        });
        assert_eq!(made.err().map(|e| e.kind), expected, "{answer}");
        assert_eq!(
            asked[0].json(),
            json!({ "cluster": "prod", "task": task(1).as_str(), "reason": "its instance goes" })
        );
    }
}

#[test]
fn providers_are_read_as_raw_json_is() {
    let raw = json!([
        { "name": "FARGATE", "status": "ACTIVE" },
        { "name": "web", "autoScalingGroupProvider": {
            "autoScalingGroupArn": "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:1:autoScalingGroupName/web",
            "managedScaling": { "status": "ENABLED", "targetCapacity": 100 }, "managedDraining": "DISABLED",
        } },
        { "name": "api", "autoScalingGroupProvider": {
            "autoScalingGroupArn": "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:2:autoScalingGroupName/api",
        } },
    ]);
    let answer = json!({ "capacityProviders": raw }).to_string();
    let names = ["FARGATE".to_owned(), "web".to_owned(), "api".to_owned()];
    let (found, asked) = replay(&[(200, &answer)], async |aws| aws.capacity_providers(&names).await);
    let expected: Vec<_> = raw
        .as_array()
        .unwrap()
        .iter()
        .filter_map(CapacityProvider::parse)
        .collect();
    assert_eq!(expected.len(), 3);
    assert_eq!(found, Ok(expected));
    assert_eq!(asked[0].json(), json!({ "capacityProviders": names }));
    let (found, asked) = replay(&[], async |aws| aws.capacity_providers(&[]).await);
    assert_eq!((found, asked), (Ok(Vec::new()), Vec::new()));
}
