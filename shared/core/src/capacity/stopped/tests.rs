//! Real texts, and what they say.

#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use serde_json::{Value, json};

use super::*;

const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0123456789abcdef0123456789abcdef";

/// A service's task that is over.
fn task(code: Option<&str>, reason: &str, containers: &Value) -> TaskStateChange {
    TaskStateChange::parse(&json!({
        "taskArn": ARN,
        "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
        "version": 5,
        "group": "service:web",
        "desiredStatus": "STOPPED",
        "lastStatus": "STOPPED",
        "stopCode": code,
        "stoppedReason": reason,
        "containers": containers,
    }))
    .unwrap()
}

fn check(code: &str, cases: &[(&str, Class)]) {
    for (reason, expected) in cases {
        let stopped = Stopped::of(&task(Some(code), reason, &json!([{ "name": "web" }]))).unwrap();
        assert_eq!(stopped.class, *expected, "{reason}");
        // Some events have the agent's words at the container, and "Task failed to start" at the task.
        if code == "TaskFailedToStart" {
            let containers = json!([{ "name": "log" }, { "name": "web", "reason": reason }]);
            let stopped = Stopped::of(&task(Some(code), "Task failed to start", &containers)).unwrap();
            let container = Some("web".to_owned());
            // Of a container without words of its own nothing is known.
            assert_eq!((stopped.class, stopped.container), (*expected, container), "{reason}");
        }
    }
}

#[test]
fn an_image_that_is_not_pulled() {
    check(
        "TaskFailedToStart",
        &[
            (
                "CannotPullContainerError: API error (500): Get https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/: net/http: request canceled while waiting for connection",
                Class::ImageUnreachable,
            ),
            (
                "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/tryretool/backend:2.110.5: failed to do request: Head \"https://registry-1.docker.io/v2/tryretool/backend/manifests/2.110.5\": dial tcp 34.205.13.154:443: i/o timeout",
                Class::ImageUnreachable,
            ),
            (
                "CannotPullContainerError: API error (404): repository 111122223333.dkr.ecr.us-east-1.amazonaws.com/shop/web not found",
                Class::ImageNotFound,
            ),
            (
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 802388215838.dkr.ecr.eu-west-1.amazonaws.com/example-service@sha256:2bb501e6429: not found",
                Class::ImageNotFound,
            ),
            (
                "CannotPullContainerError: Error response from daemon: manifest for shop/web:9 not found: manifest unknown: manifest unknown",
                Class::ImageNotFound,
            ),
            (
                "CannotPullContainerError: inspect image has been retried 1 time(s): failed to resolve ref \"docker.io/library/shop:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                Class::ImageDenied,
            ),
            (
                "CannotPullContainerError: ref pull has been retried 1 time(s): failed to pull and unpack image \"123456789.dkr.ecr.us-east-1.amazonaws.com/myapp:latest\": failed to resolve reference: unexpected status code 403 Forbidden",
                Class::ImageDenied,
            ),
            (
                "CannotPullContainerError: inspect image has been retried 5 time(s): httpReaderSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/manifests/sha256:2bb501e6429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
                Class::ImageRateLimited,
            ),
            (
                "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob111111111: no space left on device",
                Class::DiskFull,
            ),
            (
                "CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'.",
                Class::PlatformMismatch,
            ),
            (
                "CannotPullContainerError: failed to find a descriptor for platform {linux/amd64}",
                Class::PlatformMismatch,
            ),
            (
                "CannotPullContainerError: no matching manifest for linux/arm64/v8 in the manifest list entries",
                Class::PlatformMismatch,
            ),
            (
                "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: httpReaderSeeker: failed open: unexpected status code",
                Class::ImageNotPulled,
            ),
        ],
    );
}

#[test]
fn what_a_task_needs_before_its_containers() {
    const SECRETS: &str =
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:";
    let with = |rest: &str, class| {
        check("TaskFailedToStart", &[(&format!("{SECRETS} {rest}"), class)]);
    };
    with(
        "unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from Secrets Manager did not contain json key MY_SECRET",
        Class::SecretMissing,
    );
    with(
        "unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /wishkit/gemini-api-key",
        Class::SecretMissing,
    );
    with(
        "unable to retrieve secrets from ssm: service call has been retried 1 time(s): AccessDeniedException: User: arn:aws:sts::471112983866:assumed-role/ecsTaskExecutionRole/17cb is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:ap-northeast",
        Class::SecretDenied,
    );
    with(
        "unable to retrieve secrets from ssm: service call has been retried 5 time(s): RequestCanceled: request context canceled caused by: context deadline exceeded. Please check your task network configuration.",
        Class::NetworkUnreachable,
    );
    with(
        "unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed caused by: Post \"https://api.ecr.us-east-1.amazonaws.com/\": dial tcp 52.46.156.28:443: i/o timeout. Please check your task network configuration.",
        Class::NetworkUnreachable,
    );
    with(
        "unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: User: arn:aws:sts::1:assumed-role/web is not authorized to perform: ecr:GetAuthorizationToken on resource: *",
        Class::ImageDenied,
    );
    with(
        "unable to retrieve secrets from ssm: ThrottlingException: Rate exceeded",
        Class::Throttled,
    );
    check(
        "TaskFailedToStart",
        &[
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: pull command failed: : signal: killed",
                Class::NetworkUnreachable,
            ),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration.",
                Class::NetworkUnreachable,
            ),
            (
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.: exit status 1",
                Class::LogsFailed,
            ),
            (
                "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined in the task definition. There is a connection issue between the task and Amazon CloudWatch. Check your network configuration. signal: killed",
                Class::NetworkUnreachable,
            ),
            (
                "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: Failed to resolve \"fs-12.efs.us-east-1.amazonaws.com\"",
                Class::VolumeFailed,
            ),
            (
                "ResourceInitializationError: failed to configure ENI: failed to setup regular eni: netplugin failed with no error message",
                Class::NetworkInterface,
            ),
            ("ResourceInitializationError: something new", Class::FailedToStart),
            (
                "Timeout waiting for network interface provisioning to complete.",
                Class::NetworkInterface,
            ),
            (
                "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 'subnet-1': InsufficientFreeAddressesInSubnet",
                Class::NetworkInterface,
            ),
            (
                "Unable to attach network interface to unused device index",
                Class::NetworkInterface,
            ),
            (
                "Timeout waiting for EphemeralStorage provisioning to complete.",
                Class::VolumeFailed,
            ),
            (
                "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
                Class::LogsFailed,
            ),
            (
                "CannotStartContainerError: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/usr/local/env-execute\": stat /usr/local/env-execute: no such file or directory: un",
                Class::NotStarted,
            ),
            (
                "CannotStartContainerError: Error response from daemon: OCI runtime create failed: exec /app: exec format error",
                Class::PlatformMismatch,
            ),
            (
                "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m: <reason>",
                Class::NotStarted,
            ),
            (
                "Capacity is unavailable at this time. Please try again later or in a different availability zone",
                Class::NoCapacity,
            ),
            ("InternalError: something", Class::FailedToStart),
        ],
    );
}

#[test]
fn what_the_scheduler_stops() {
    const GROUP: &str =
        "(target-group arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/web-8080/0d170f313c8a2ffd)";
    check(
        "ServiceSchedulerInitiated",
        &[
            (
                &format!("Task failed ELB health checks in {GROUP}"),
                Class::TargetUnhealthy,
            ),
            (
                &format!("Service web: Task failed ELB health checks in {GROUP}"),
                Class::TargetUnhealthy,
            ),
            ("Task failed container health checks", Class::ContainerUnhealthy),
            (
                "Scaling activity initiated by (deployment ecs-svc/0548903365926546085)",
                Class::ScaledIn,
            ),
            (
                "Service web: ECS is performing maintenance on the underlying infrastructure hosting the task",
                Class::Maintenance,
            ),
            (
                "Task was stopped because its container instance is in DRAINING state",
                Class::Draining,
            ),
            ("something new", Class::ScaledIn),
        ],
    );
    // That a container was killed at the end is no reason.
    let killed =
        json!([{ "name": "web", "exitCode": 137, "reason": "OutOfMemoryError: container killed due to memory usage" }]);
    let reason = "Scaling activity initiated by (deployment ecs-svc/0548903365926546085)";
    let stopped = Stopped::of(&task(Some("ServiceSchedulerInitiated"), reason, &killed)).unwrap();
    assert_eq!(stopped.class, Class::ScaledIn);
}

#[test]
fn what_nobody_is_to_blame_for() {
    for (code, reason, expected) in [
        (Some("UserInitiated"), "Task stopped by user", Class::ByUser),
        (
            Some("UserInitiated"),
            "CannotPullContainerError: so said whoever stopped it",
            Class::ByUser,
        ),
        (None, "Task stopped by user", Class::ByUser),
        (
            None,
            "Scaling activity initiated by (deployment ecs-svc/9223370524860812163)",
            Class::ScaledIn,
        ),
        (
            Some("SpotInterruption"),
            "Your Spot Task was interrupted.",
            Class::SpotInterrupted,
        ),
        (
            Some("TerminationNotice"),
            "Your Spot Task was interrupted.",
            Class::SpotInterrupted,
        ),
        (
            Some("TerminationNotice"),
            "Host EC2 (instance i-03dba81187d65ce7e) terminated.",
            Class::HostGone,
        ),
        (
            None,
            "Host EC2 (instance i-06aab15feb4568492) stopped.",
            Class::HostGone,
        ),
        (Some("TerminationNotice"), "", Class::HostGone),
        (Some("InfrastructureHealth"), "", Class::HostGone),
        (
            None,
            "Container instance deregistration forced by user",
            Class::HostGone,
        ),
        (Some("ANewOne"), "a new one", Class::Unknown),
        (None, "", Class::Unknown),
    ] {
        let stopped = Stopped::of(&task(code, reason, &json!([{ "name": "web", "exitCode": 1 }]))).unwrap();
        assert_eq!(
            (stopped.class, stopped.class.blame()),
            (expected, Blame::Nobody),
            "{code:?} {reason}"
        );
    }
    let failed = Stopped::of(&task(None, "Task failed to start", &json!([]))).unwrap();
    assert_eq!(failed.class, Class::FailedToStart);
}

#[test]
fn the_container_that_ended_first_is_named() {
    let c = |name: &str, code: i64| json!({ "name": name, "exitCode": code });
    for (containers, class, container, code) in [
        (json!([c("log", 0), c("web", 2)]), Class::Exited, Some("web"), Some(2)),
        (
            json!([c("a", 0), c("b", 143), c("c", 1), c("d", 143)]),
            Class::Exited,
            Some("c"),
            Some(1),
        ),
        (json!([c("a", 0), c("b", 137)]), Class::Exited, Some("b"), Some(137)),
        (json!([c("a", 0)]), Class::Exited, Some("a"), Some(0)),
        (
            json!([c("wharfinger-linger", 2), c("a", 0)]),
            Class::Exited,
            Some("a"),
            Some(0),
        ),
        (json!([]), Class::Exited, None, None),
        (
            json!([c("log", 1), { "name": "web", "exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage" }]),
            Class::OutOfMemory,
            Some("web"),
            Some(137),
        ),
    ] {
        let task = task(
            Some("EssentialContainerExited"),
            "Essential container in task exited",
            &containers,
        );
        let stopped = Stopped::of(&task).unwrap();
        let found = (stopped.class, stopped.container.as_deref(), stopped.exit_code);
        assert_eq!(found, (class, container, code), "{containers}");
    }
}

#[test]
fn it_is_said_in_half_a_sentence_and_not_before_the_task_is_over() {
    let containers = json!([{ "name": "web", "exitCode": 127 }]);
    let mut task = task(
        Some("EssentialContainerExited"),
        "Essential container in task exited",
        &containers,
    );
    let stopped = Stopped::of(&task).unwrap();
    assert_eq!(
        stopped.what(),
        "an essential container exited with 127: there is no such command (container `web`)"
    );
    assert_eq!(stopped.text, "Essential container in task exited");
    task.last_status = TaskStatus::Deprovisioning;
    assert_eq!(Stopped::of(&task), None);
    task.last_status = TaskStatus::Stopped;
    task.stopped_reason = Some("é".repeat(1_000));
    assert_eq!(Stopped::of(&task).unwrap().text.chars().count(), KEPT);
}

#[test]
fn who_is_to_blame_gets_a_remedy() {
    for class in Class::ALL {
        assert_eq!(
            class.remedy().is_empty(),
            class.blame() == Blame::Nobody && !matches!(class, Class::HostGone | Class::Unknown),
            "{class:?}"
        );
        assert!(!class.what().is_empty() && !class.what().starts_with(' '));
    }
}
