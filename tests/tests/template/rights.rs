//! What each function may do: exactly the calls that it makes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharfinger_cloud::ports::SOURCE;
use wharfinger_core::storage::{MANAGED_TAG, OWNER_TAG};

use crate::document::{Template, list, words};

/// What every function does: read its configuration, keep its state, log, and hand over what failed.
const EVERY: [&str; 7] = [
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:SendMessage",
];

/// The calls of each function to the services that it is about, and what it does in the tables besides.
const OWN: [(&str, &[&str]); 6] = [
    (
        "BalancingFunction",
        &[
            "dynamodb:ConditionCheckItem",
            "dynamodb:DeleteItem",
            "ec2:DescribeInstances",
            "ecs:DescribeContainerInstances",
            "ecs:DescribeTasks",
            "ecs:ListContainerInstances",
            "ecs:ListTasks",
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:DescribeTargetHealth",
            "elasticloadbalancing:RegisterTargets",
            "ssm:DescribeInstanceInformation",
        ],
    ),
    (
        "DiscoveryFunction",
        &[
            "dynamodb:DeleteItem",
            "ec2:DescribeInstances",
            "ec2:DescribeNetworkInterfaces",
            "ecs:DescribeContainerInstances",
            "ecs:DescribeTasks",
            "ecs:ListContainerInstances",
            "ecs:ListTasks",
            "ssm:DescribeInstanceInformation",
            "servicediscovery:DeregisterInstance",
            "servicediscovery:GetOperation",
            "servicediscovery:ListInstances",
            "servicediscovery:RegisterInstance",
            "servicediscovery:UpdateInstanceCustomHealthStatus",
            // Cloud Map asks Route 53 in the caller's name.
            "route53:ChangeResourceRecordSets",
            "route53:CreateHealthCheck",
            "route53:DeleteHealthCheck",
            "route53:GetHealthCheck",
            "route53:UpdateHealthCheck",
        ],
    ),
    (
        "ScalingFunction",
        &[
            "application-autoscaling:DescribeScalableTargets",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:GetMetricData",
            "dynamodb:BatchGetItem",
            "ecs:DescribeServices",
            "ecs:UpdateService",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
        ],
    ),
    (
        "CapacityFunction",
        &[
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:RecordLifecycleActionHeartbeat",
            "autoscaling:SetDesiredCapacity",
            "autoscaling:SetInstanceHealth",
            "dynamodb:BatchGetItem",
            "ecs:DescribeCapacityProviders",
            "ecs:DescribeContainerInstances",
            "ecs:DescribeServices",
            "ecs:DescribeTasks",
            "ecs:ListContainerInstances",
            "ecs:ListTasks",
            "ecs:StopTask",
            "ecs:UpdateContainerInstancesState",
            "ecs:UpdateService",
            "events:PutEvents",
        ],
    ),
    (
        "StorageFunction",
        &[
            "dynamodb:BatchGetItem",
            "ec2:CreateSnapshot",
            "ec2:CreateTags",
            "ec2:DeleteSnapshot",
            "ec2:DeleteVolume",
            "ec2:DescribeSnapshotAttribute",
            "ec2:DescribeSnapshots",
            "ec2:DescribeVolumes",
            "ecs:DescribeServiceRevisions",
            "ecs:DescribeServices",
            "ecs:DescribeTasks",
            "ecs:ListTasks",
            "ecs:RunTask",
            "ecs:TagResource",
            "ecs:UpdateService",
            "elasticfilesystem:CreateAccessPoint",
            "elasticfilesystem:DescribeAccessPoints",
            "elasticfilesystem:TagResource",
            "events:PutEvents",
            "iam:PassRole",
        ],
    ),
    (
        "DeliveryFunction",
        &[
            "dynamodb:BatchGetItem",
            "ec2:DescribeSnapshots",
            "ecr:BatchGetImage",
            "ecr:DescribeImageScanFindings",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
            "ecs:DescribeServiceRevisions",
            "ecs:DescribeServices",
            "ecs:DescribeTaskDefinition",
            "ecs:ListServiceDeployments",
            "ecs:RegisterTaskDefinition",
            "ecs:StopServiceDeployment",
            "ecs:TagResource",
            "ecs:UpdateService",
            "events:ListRuleNamesByTarget",
            "events:ListTargetsByRule",
            "events:PutEvents",
            "events:PutTargets",
            "iam:PassRole",
            // ECR asks Inspector in the caller's name.
            "inspector2:ListCoverage",
            "inspector2:ListFindings",
            "scheduler:GetSchedule",
            "scheduler:ListSchedules",
            "scheduler:UpdateSchedule",
            "ssm:PutParameter",
        ],
    ),
];

/// Actions that name no resource, so that `*` is all there is to say; each is narrowed by a condition if it can be.
/// Source: Service Authorization Reference; for alarms the CloudWatch API reference, DescribeAlarms.
const WITHOUT_RESOURCE: [(&str, bool); 19] = [
    ("application-autoscaling:DescribeScalableTargets", true),
    ("autoscaling:DescribeAutoScalingGroups", true),
    ("autoscaling:DescribeAutoScalingInstances", true),
    ("cloudwatch:DescribeAlarms", true),
    ("cloudwatch:GetMetricData", true),
    ("ec2:DescribeInstances", true),
    ("ec2:DescribeNetworkInterfaces", true),
    ("ec2:DescribeSnapshots", true),
    ("ec2:DescribeVolumes", true),
    ("ecs:DescribeTaskDefinition", true),
    ("ecs:ListTasks", true),
    ("elasticloadbalancing:DescribeTargetHealth", true),
    ("events:ListRuleNamesByTarget", true),
    ("inspector2:ListCoverage", true),
    ("inspector2:ListFindings", true),
    ("scheduler:ListSchedules", true),
    ("servicediscovery:GetOperation", true),
    ("ssm:DescribeInstanceInformation", true),
    // Made for Cloud Map in Route 53, which has no Region that could be asked for.
    ("route53:CreateHealthCheck", false),
];

/// The logical id of a function's role.
fn role<'a>(template: &'a Template, function: &str) -> &'a str {
    template
        .function_property(function, "Role")
        .as_str()
        .unwrap()
        .strip_suffix(".Arn")
        .unwrap()
}

/// The statements of a function's role.
fn statements<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let policies = template.properties(role(template, function))["Policies"]
        .as_array()
        .unwrap();
    policies
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
        .collect()
}

#[test]
fn every_function_has_a_role_of_its_own_that_nobody_else_can_take() {
    let template = Template::load();
    let roles: BTreeSet<_> = template.functions().map(|id| role(&template, id)).collect();
    assert_eq!(roles.len(), template.functions().count());
    assert_eq!(
        words(&roles),
        words(template.of_type("AWS::IAM::Role")),
        "a role without a function"
    );
    for id in roles {
        let trust = template.properties(id)["AssumeRolePolicyDocument"]["Statement"]
            .as_array()
            .unwrap();
        assert_eq!(trust.len(), 1, "{id}");
        assert_eq!(
            trust[0]["Principal"],
            json!({ "Service": "lambda.amazonaws.com" }),
            "{id}"
        );
        assert_eq!(template.properties(id).get("ManagedPolicyArns"), None, "{id}");
    }
}

#[test]
fn a_role_allows_exactly_the_calls_that_its_function_makes() {
    let template = Template::load();
    assert_eq!(words(template.functions()), words(OWN.map(|(id, _)| id)));
    for (id, own) in OWN {
        let allowed = words(
            statements(&template, id)
                .into_iter()
                .flat_map(|statement| list(&statement["Action"])),
        );
        assert_eq!(allowed, words(EVERY.iter().chain(own)), "{id}");
    }
}

#[test]
fn no_statement_allows_more_than_it_says() {
    let template = Template::load();
    for id in template.functions() {
        for statement in statements(&template, id) {
            let sid = &statement["Sid"];
            assert_eq!(statement["Effect"], "Allow", "{id} {sid}");
            assert_eq!(
                statement.get("NotAction").or(statement.get("NotResource")),
                None,
                "{id} {sid}"
            );
            let actions = list(&statement["Action"]);
            assert!(
                actions.iter().all(|action| !action.contains('*')),
                "{id} {sid} allows a family of actions"
            );
            if list(&statement["Resource"]).contains(&"*") {
                for action in actions {
                    let known = WITHOUT_RESOURCE.iter().find(|(name, _)| *name == action);
                    let (_, narrowed) = known.unwrap_or_else(|| panic!("{id}: {action} can name its resource"));
                    assert_eq!(statement.get("Condition").is_some(), *narrowed, "{id}: {action}");
                }
            }
        }
    }
}

#[test]
fn functions_only_read_the_configuration() {
    let template = Template::load();
    for id in template.functions() {
        let of_tables: Vec<_> = statements(&template, id)
            .into_iter()
            .filter(|statement| {
                list(&statement["Action"])
                    .iter()
                    .any(|action| action.starts_with("dynamodb:"))
            })
            .collect();
        for statement in &of_tables {
            match list(&statement["Resource"])[..] {
                ["ConfigTable.Arn"] => {
                    assert_eq!(
                        list(&statement["Action"]),
                        match id {
                            "CapacityFunction" | "DeliveryFunction" | "ScalingFunction" | "StorageFunction" =>
                                vec!["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"],
                            _ => vec!["dynamodb:GetItem", "dynamodb:Query"],
                        },
                        "{id}"
                    );
                }
                ["StateTable.Arn"] => {}
                ref other => panic!("{id} reaches {other:?}"),
            }
        }
        assert_eq!(of_tables.len(), 2, "{id}");
    }
}

#[test]
fn what_delivery_may_change_is_narrowed_by_conditions() {
    let template = Template::load();
    for (action, sid, condition) in [
        (
            "iam:PassRole",
            "PassRolesToTasks",
            json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } }),
        ),
        (
            "iam:PassRole",
            "PassRolesToVolumes",
            json!({ "StringEquals": { "iam:PassedToService": "ecs.amazonaws.com" } }),
        ),
        (
            "iam:PassRole",
            "PassRolesToSchedules",
            json!({ "StringEquals": { "iam:PassedToService": ["events.amazonaws.com", "scheduler.amazonaws.com"] } }),
        ),
        (
            "ecs:TagResource",
            "TagNewTaskDefinitions",
            json!({ "StringEquals": { "ecs:CreateAction": "RegisterTaskDefinition" } }),
        ),
        (
            "events:PutEvents",
            "TellOfRollouts",
            json!({ "StringEquals": { "events:source": SOURCE } }),
        ),
        (
            "events:PutTargets",
            "MoveRules",
            json!({ "ArnLike": {
                "events:TargetArn": "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:cluster/*",
            } }),
        ),
    ] {
        let statements = statements(&template, "DeliveryFunction");
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        assert_eq!(list(&statement["Action"]), [action], "{sid}");
        assert_eq!(statement["Condition"], condition, "{sid}");
        let also = statements.iter().filter(|s| list(&s["Action"]).contains(&action));
        assert_eq!(also.count(), if action == "iam:PassRole" { 3 } else { 1 }, "{action}");
    }
}

/// Source: Service Authorization Reference, "Actions defined by Amazon Elastic Container Service": both are required.
#[test]
fn a_part_of_a_service_needs_the_right_for_the_service_too() {
    let template = Template::load();
    for (function, action, part) in [
        ("DeliveryFunction", "ecs:DescribeServiceRevisions", "service-revision"),
        ("DeliveryFunction", "ecs:StopServiceDeployment", "service-deployment"),
        ("StorageFunction", "ecs:DescribeServiceRevisions", "service-revision"),
    ] {
        let statements = statements(&template, function);
        let allowed = statements.iter().filter(|s| list(&s["Action"]).contains(&action));
        let resources: Vec<_> = allowed.flat_map(|s| list(&s["Resource"])).collect();
        let of = |kind: &str| format!("arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{kind}/*");
        assert_eq!(resources, [of("service"), of(part)], "{action}");
    }
}

#[test]
fn what_capacity_changes_is_in_the_account() {
    let template = Template::load();
    let statements = statements(&template, "CapacityFunction");
    let own = "${AWS::Partition}:SERVICE:${AWS::Region}:${AWS::AccountId}";
    for (action, service, resource) in [
        ("ecs:UpdateContainerInstancesState", "ecs", "container-instance/*"),
        ("ecs:StopTask", "ecs", "task/*"),
        ("ecs:UpdateService", "ecs", "service/*"),
        (
            "autoscaling:SetDesiredCapacity",
            "autoscaling",
            "autoScalingGroup:*:autoScalingGroupName/*",
        ),
        ("events:PutEvents", "events", "event-bus/default"),
    ] {
        let allowed = statements.iter().filter(|s| list(&s["Action"]).contains(&action));
        let resources: Vec<_> = allowed.map(|s| list(&s["Resource"])).collect();
        let expected = format!("arn:{}:{resource}", own.replace("SERVICE", service));
        assert_eq!(resources, [[expected.as_str()]], "{action}");
    }
    let told = statements.iter().find(|s| s["Sid"] == "TellOfCrashLoops").unwrap();
    assert_eq!(
        told["Condition"],
        json!({ "StringEquals": { "events:source": SOURCE } })
    );
}

/// Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
#[test]
fn storage_snaps_what_ecs_made_and_removes_what_is_its_own() {
    let template = Template::load();
    let statements = statements(&template, "StorageFunction");
    let volumes = "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:volume/*";
    let snapshots = "arn:${AWS::Partition}:ec2:${AWS::Region}::snapshot/*";
    let (managed, asked, owned) = (
        format!("aws:ResourceTag/{MANAGED_TAG}"),
        format!("aws:RequestTag/{OWNER_TAG}"),
        format!("aws:ResourceTag/{OWNER_TAG}"),
    );
    for (sid, actions, resource, key, value) in [
        (
            "SnapVolumes",
            &["ec2:CreateSnapshot"][..],
            volumes,
            managed.as_str(),
            "true",
        ),
        (
            "MakeSnapshots",
            &["ec2:CreateSnapshot"],
            snapshots,
            asked.as_str(),
            "AWS::StackName",
        ),
        (
            "TagNewSnapshots",
            &["ec2:CreateTags"],
            snapshots,
            "ec2:CreateAction",
            "CreateSnapshot",
        ),
        (
            "RemoveOwnSnapshots",
            &["ec2:DeleteSnapshot", "ec2:DescribeSnapshotAttribute"],
            snapshots,
            owned.as_str(),
            "AWS::StackName",
        ),
        (
            "RemoveOwnVolumes",
            &["ec2:DeleteVolume"],
            volumes,
            owned.as_str(),
            "AWS::StackName",
        ),
        (
            "RemoveOrphans",
            &["ec2:DeleteVolume"],
            volumes,
            managed.as_str(),
            "true",
        ),
    ] {
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        assert_eq!(list(&statement["Action"]), actions, "{sid}");
        assert_eq!(list(&statement["Resource"]), [resource], "{sid}");
        assert_eq!(
            statement["Condition"],
            json!({ "StringEquals": { key: value } }),
            "{sid}"
        );
    }
    let writes = statements.iter().flat_map(|s| list(&s["Action"]));
    let lists = ["ec2:DescribeSnapshots", "ec2:DescribeVolumes"];
    let writes = writes.filter(|action| action.starts_with("ec2:") && !lists.contains(action));
    assert_eq!(writes.count(), 7, "another statement allows one of them");
}

/// Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic Container Service".
#[test]
fn storage_runs_tasks_in_clusters_of_the_account_and_passes_roles_to_ecs_alone() {
    let template = Template::load();
    let statements = statements(&template, "StorageFunction");
    let own = |kind: &str| format!("arn:${{AWS::Partition}}:ecs:${{AWS::Region}}:${{AWS::AccountId}}:{kind}/*");
    let roles = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*".to_owned();
    let passed = |to: &str| json!({ "StringEquals": { "iam:PassedToService": to } });
    for (sid, action, resource, condition) in [
        (
            "RunStatefulTasks",
            "ecs:RunTask",
            own("task-definition"),
            json!({ "ArnLike": { "ecs:cluster": own("cluster") } }),
        ),
        (
            "TagStatefulTasks",
            "ecs:TagResource",
            own("task"),
            json!({ "StringEquals": { "ecs:CreateAction": "RunTask" } }),
        ),
        (
            "PassRolesToTasks",
            "iam:PassRole",
            roles.clone(),
            passed("ecs-tasks.amazonaws.com"),
        ),
        ("PassRolesToVolumes", "iam:PassRole", roles, passed("ecs.amazonaws.com")),
    ] {
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        assert_eq!(list(&statement["Action"]), [action], "{sid}");
        assert_eq!(list(&statement["Resource"]), [resource.as_str()], "{sid}");
        assert_eq!(statement["Condition"], condition, "{sid}");
        let also = statements.iter().filter(|s| list(&s["Action"]).contains(&action));
        assert_eq!(also.count(), if action == "iam:PassRole" { 2 } else { 1 }, "{action}");
    }
}

/// Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic File System".
#[test]
fn storage_makes_access_points_that_carry_its_mark_and_changes_no_other() {
    let template = Template::load();
    let statements = statements(&template, "StorageFunction");
    let arn =
        |of: &str| format!("arn:${{AWS::Partition}}:elasticfilesystem:${{AWS::Region}}:${{AWS::AccountId}}:{of}/*");
    let asked = format!("aws:RequestTag/{OWNER_TAG}");
    let (action, created) = ("elasticfilesystem:CreateAction", "CreateAccessPoint");
    for (sid, operation, of, condition) in [
        ("ListAccessPoints", "DescribeAccessPoints", "file-system", Value::Null),
        (
            "MakeAccessPoints",
            "CreateAccessPoint",
            "file-system",
            json!({ "StringEquals": { asked: "AWS::StackName" } }),
        ),
        (
            "TagNewAccessPoints",
            "TagResource",
            "access-point",
            json!({ "StringEquals": { action: created } }),
        ),
    ] {
        let statement = statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        assert_eq!(
            list(&statement["Action"]),
            [format!("elasticfilesystem:{operation}")],
            "{sid}"
        );
        assert_eq!(list(&statement["Resource"]), [arn(of)], "{sid}");
        assert_eq!(statement["Condition"], condition, "{sid}");
    }
}

#[test]
fn target_groups_of_the_account_are_all_that_balancing_changes() {
    let template = Template::load();
    let changes: Vec<_> = statements(&template, "BalancingFunction")
        .into_iter()
        .filter(|statement| list(&statement["Action"]).contains(&"elasticloadbalancing:RegisterTargets"))
        .map(|statement| list(&statement["Resource"]))
        .collect();
    let groups = "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/*";
    assert_eq!(changes, [[groups]]);
}
