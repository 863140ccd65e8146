//! Forms and answers as in the Auto Scaling API reference.

use super::super::replay::replay;
use super::*;
use crate::error::Kind;

const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

fn action() -> Waiting {
    Waiting {
        group: "web".into(),
        hook: "drain".into(),
        token: Some("bcd2f1b8-9a78-44d3-8a7a-4dd07d7cf635".into()),
        instance: "i-1".into(),
    }
}

fn answer(operation: &str, result: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}

const ACTION: [&str; 4] = [
    "AutoScalingGroupName=web",
    "LifecycleHookName=drain",
    "InstanceId=i-1",
    "LifecycleActionToken=bcd2f1b8-9a78-44d3-8a7a-4dd07d7cf635",
];

#[test]
fn an_action_is_kept_waiting_and_completed() {
    let alive = answer("RecordLifecycleActionHeartbeat", "");
    let (made, asked) = replay(&[(200, &alive)], async |aws| aws.heartbeat(&action()).await);
    assert_eq!(made, Ok(Upheld::Done));
    assert_eq!(asked[0].host, "autoscaling");
    assert_eq!(
        asked[0].form()[..2],
        ["Action=RecordLifecycleActionHeartbeat", "Version=2011-01-01"]
    );
    assert_eq!(asked[0].form()[2..], ACTION);

    let done = answer("CompleteLifecycleAction", "");
    let (made, asked) = replay(&[(200, &done)], async |aws| aws.complete(&action()).await);
    assert_eq!(made, Ok(Upheld::Done));
    assert_eq!(asked[0].form()[0], "Action=CompleteLifecycleAction");
    assert_eq!(asked[0].form()[2..6], ACTION);
    assert_eq!(asked[0].form()[6..], ["LifecycleActionResult=CONTINUE"]);
}

#[test]
fn without_a_token_the_instance_names_the_action() {
    let action = Waiting {
        token: None,
        ..action()
    };
    let done = answer("CompleteLifecycleAction", "");
    let (_, asked) = replay(&[(200, &done)], async |aws| aws.complete(&action).await);
    assert_eq!(asked[0].form()[2..5], ACTION[..3]);
    assert_eq!(asked[0].form().len(), 6);
}

#[test]
fn what_is_over_is_no_error() {
    for message in [
        "No active Lifecycle Action found with token f66c3d47-e602-4af0-8edd-d4e4d2fe4620",
        "No active Lifecycle Action found with instance ID i-1",
        "AutoScalingGroup name not found - AutoScalingGroup &apos;web&apos; not found",
    ] {
        let refused = refusal("ValidationError", message);
        let words = message.replace("&apos;", "'");
        let (made, _) = replay(&[(400, &refused)], async |aws| aws.heartbeat(&action()).await);
        assert_eq!(made, Ok(Upheld::Over(words.clone())));
        let (made, _) = replay(&[(400, &refused)], async |aws| aws.complete(&action()).await);
        assert_eq!(made, Ok(Upheld::Over(words)));
    }
}

#[test]
fn other_refusals_are_errors() {
    for (status, code, message, kind) in [
        (400, "ValidationError", "1 validation error detected", Kind::Invalid),
        (400, "AccessDenied", "No active Lifecycle Action found", Kind::Denied),
        (500, "ResourceContention", "a pending update", Kind::Throttled),
        (400, "Throttling", "Rate exceeded", Kind::Throttled),
    ] {
        let refused = refusal(code, message);
        let (made, _) = replay(&[(status, &refused)], async |aws| aws.complete(&action()).await);
        assert_eq!(made.unwrap_err().kind, kind, "{code}");
    }
}

#[test]
fn an_instance_is_set_unhealthy_at_once() {
    let answer = format!(
        "<SetInstanceHealthResponse xmlns=\"{NAMESPACE}\"><ResponseMetadata><RequestId>1</RequestId>\
         </ResponseMetadata></SetInstanceHealthResponse>"
    );
    let (made, asked) = replay(&[(200, &answer)], async |aws| aws.set_unhealthy("i-1").await);
    assert_eq!(made, Ok(Upheld::Done));
    assert_eq!(
        asked[0].form(),
        [
            "Action=SetInstanceHealth",
            "Version=2011-01-01",
            "InstanceId=i-1",
            "HealthStatus=Unhealthy",
            "ShouldRespectGracePeriod=false",
        ]
    );
    let words = "Instance Id not found - No managed instance found for instance ID i-1";
    let refused = refusal("ValidationError", words);
    let (made, _) = replay(&[(400, &refused)], async |aws| aws.set_unhealthy("i-1").await);
    assert_eq!(made, Ok(Upheld::Over(words.into())));
}

#[test]
fn a_group_is_given_its_capacity() {
    let answer = format!(
        "<SetDesiredCapacityResponse xmlns=\"{NAMESPACE}\"><ResponseMetadata><RequestId>1</RequestId>\
         </ResponseMetadata></SetDesiredCapacityResponse>"
    );
    let (made, asked) = replay(&[(200, &answer)], async |aws| aws.set_desired_capacity("web", 5).await);
    assert_eq!(made, Ok(()));
    assert_eq!(
        asked[0].form()[2..],
        ["AutoScalingGroupName=web", "DesiredCapacity=5", "HonorCooldown=false"]
    );
    let refused = refusal("ScalingActivityInProgress", "Scaling activity is in progress");
    let (made, _) = replay(&[(400, &refused)], async |aws| aws.set_desired_capacity("web", 5).await);
    assert_eq!(made.unwrap_err().kind, Kind::Throttled);
}

#[test]
fn instances_are_described_fifty_at_a_time() {
    let member = "<member><InstanceId>i-1</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName>\
                  <AvailabilityZone>eu-west-1a</AvailabilityZone><LifecycleState>Terminating:Wait</LifecycleState>\
                  <HealthStatus>HEALTHY</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>";
    let first = answer(
        "DescribeAutoScalingInstances",
        &format!("<AutoScalingInstances>{member}</AutoScalingInstances>"),
    );
    let second = answer("DescribeAutoScalingInstances", "<AutoScalingInstances/>");
    let ids: Vec<_> = (1..=51).map(|n| format!("i-{n}")).collect();
    let (found, asked) = replay(&[(200, &first), (200, &second)], async |aws| {
        aws.auto_scaling_instances(&ids).await
    });
    let expected = AutoScalingInstance {
        instance_id: "i-1".into(),
        group: "web".into(),
        lifecycle_state: "Terminating:Wait".into(),
        health_status: "HEALTHY".into(),
    };
    assert_eq!(found, Ok(vec![expected]));
    assert_eq!(asked[0].form().len(), 52);
    assert_eq!(asked[1].form()[2..], ["InstanceIds.member.1=i-51"]);
}

#[test]
fn a_group_is_found_by_its_name() {
    let group = |name: &str, policy: &str| {
        format!(
            "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>20</MaxSize>\
             <DesiredCapacity>3</DesiredCapacity><DefaultCooldown>300</DefaultCooldown><Instances/>{policy}</member>"
        )
    };
    let share = |percentage: u32| {
        format!(
            "<MixedInstancesPolicy><InstancesDistribution><OnDemandBaseCapacity>0</OnDemandBaseCapacity>\
             <OnDemandPercentageAboveBaseCapacity>{percentage}</OnDemandPercentageAboveBaseCapacity>\
             </InstancesDistribution><LaunchTemplate/></MixedInstancesPolicy>"
        )
    };
    let result = |groups: &str| {
        answer(
            "DescribeAutoScalingGroups",
            &format!("<AutoScalingGroups>{groups}</AutoScalingGroups>"),
        )
    };
    let expected = |spot: Option<bool>| AutoScalingGroup {
        name: "web".into(),
        min_size: 1,
        max_size: 20,
        desired_capacity: 3,
        spot,
    };
    for (groups, expected) in [
        (group("web", ""), Some(expected(None))),
        (group("web", "<MixedInstancesPolicy/>"), Some(expected(Some(false)))),
        (group("web", &share(100)), Some(expected(Some(false)))),
        (group("web", &share(30)), Some(expected(Some(true)))),
        (group("api", ""), None),
        (String::new(), None),
    ] {
        let answer = result(&groups);
        let (found, asked) = replay(&[(200, &answer)], async |aws| aws.auto_scaling_group("web").await);
        assert_eq!(found, Ok(expected));
        assert_eq!(asked[0].form()[2..], ["AutoScalingGroupNames.member.1=web"]);
    }
}
