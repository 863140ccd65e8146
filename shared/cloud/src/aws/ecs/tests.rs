//! How often ECS is asked, and what of its answers is read.

use aws_config::retry::RetryConfig;

use super::super::replay::replay_with;
use super::*;

const THROTTLED: (u16, &str) = (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);

/// How many attempts a call makes that is always throttled.
fn attempts<T: std::fmt::Debug>(calls: impl AsyncFnOnce(&Aws) -> Result<T, CloudError>) -> usize {
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(1));
    let (made, asked) = replay_with(retries, &[THROTTLED; 3], calls);
    assert_eq!(made.unwrap_err().kind, Kind::Throttled);
    asked.len()
}

#[test]
fn what_is_paced_is_tried_once() {
    let target = Target::service("prod", "web");
    let definition = ServiceChange::TaskDefinition("web:2".into());
    assert_eq!(attempts(async |aws| aws.update_service(&target, &definition).await), 1);
    assert_eq!(attempts(async |aws| aws.register_task_definition(&json!({})).await), 1);
    let volumes = ServiceChange::Volumes {
        task_definition: Some("web:2".into()),
        configurations: json!([]),
    };
    assert_eq!(attempts(async |aws| aws.update_service(&target, &volumes).await), 1);
    let count = ServiceChange::DesiredCount(2);
    assert_eq!(attempts(async |aws| aws.update_service(&target, &count).await), 3);
    assert_eq!(attempts(async |aws| aws.describe_task_definition("web").await), 3);
}

#[test]
fn the_sdk_reads_of_a_service_what_is_read_of_raw_json() {
    let service = json!({
        "serviceArn": "arn:1", "serviceName": "web", "status": "ACTIVE", "taskDefinition": "web:2",
        "desiredCount": 3, "runningCount": 2, "pendingCount": 1,
        "currentServiceDeployment": "arn:2", "resourceManagementType": "CUSTOMER", "schedulingStrategy": "REPLICA",
        "deploymentConfiguration": {
            "minimumHealthyPercent": 50, "maximumPercent": 150,
            "strategy": "LINEAR", "bakeTimeInMinutes": 5, "linearConfiguration": { "stepPercent": 25.0 },
            "lifecycleHooks": [
                { "targetType": "PAUSE", "timeoutConfiguration": { "timeoutInMinutes": 30 } },
                { "targetType": "AWS_LAMBDA", "hookTargetArn": "arn:3" },
            ],
        },
        "deployments": [{
            "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": "web:2", "rolloutState": "IN_PROGRESS",
            "rolloutStateReason": "in progress.", "createdAt": 1, "updatedAt": 2,
            "desiredCount": 3, "runningCount": 1, "pendingCount": 2, "failedTasks": 4,
        }],
    });
    let answer = json!({ "services": [service] }).to_string();
    let (found, _) = replay_with(RetryConfig::disabled(), &[(200, &answer)], async |aws| {
        aws.describe_services("prod", &["web".into()]).await
    });
    let raw = ServiceFacts::parse(&service).unwrap();
    assert_eq!(raw.deployment_patience, Duration::from_mins(5 + 4 * 6 + 30));
    assert_eq!(found.unwrap()["web"], raw);
}

#[test]
fn another_strategy_comes_with_a_new_deployment() {
    let target = Target::service("prod", "web");
    let item = |name: &str, weight, base| StrategyItem {
        capacity_provider: name.into(),
        weight,
        base,
    };
    let change = ServiceChange::Strategy(vec![
        item("FARGATE", Some(1), None),
        item("FARGATE_SPOT", None, Some(2)),
    ]);
    let (made, asked) = replay_with(RetryConfig::disabled(), &[(200, "{}")], async |aws| {
        aws.update_service(&target, &change).await
    });
    assert_eq!(made, Ok(()));
    assert_eq!(
        asked[0].json(),
        json!({
            "cluster": "prod", "service": "web", "forceNewDeployment": true,
            "capacityProviderStrategy": [
                { "capacityProvider": "FARGATE", "weight": 1, "base": 0 },
                { "capacityProvider": "FARGATE_SPOT", "weight": 0, "base": 2 },
            ],
        })
    );
}

#[test]
fn volumes_are_sent_as_they_were_answered() {
    let configurations = json!([{ "name": "data", "managedEBSVolume": { "roleArn": "r", "new": [1.50, null] } }]);
    let change = ServiceChange::Volumes {
        task_definition: Some("web:2".into()),
        configurations: configurations.clone(),
    };
    let target = Target::service("prod", "web");
    let send = async |aws: &Aws| aws.update_service(&target, &change).await;
    let (made, asked) = replay_with(RetryConfig::disabled(), &[(200, "{}")], send);
    assert_eq!(made, Ok(()));
    let expected = json!({
        "cluster": "prod", "service": "web", "taskDefinition": "web:2", "volumeConfigurations": configurations,
    });
    assert_eq!(asked[0].json(), expected);
}
