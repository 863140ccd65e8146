//! What is known of an ECS service: the part of `DescribeServices` that deciders need.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::StrategyItem;
use crate::event::time_from_json;
use crate::ids::same_revision;

/// A service, as `DescribeServices` answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceFacts {
    /// Its ARN.
    pub service_arn: String,
    /// ACTIVE, DRAINING or INACTIVE.
    pub status: String,
    /// The count that it is to have.
    pub desired_count: u32,
    /// How many of its tasks run, of every deployment.
    pub running_count: u32,
    /// How many of its tasks are on their way up.
    pub pending_count: u32,
    /// The task definition of its newest deployment.
    pub task_definition: String,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`; ECS when the answer says nothing.
    pub deployment_controller: String,
    /// Its deployments: PRIMARY, and those on their way out.
    pub deployments: Vec<DeploymentFacts>,
    /// That its tasks could not be placed or started, unless it has reached a steady state since.
    #[serde(default)]
    pub unplaceable: Option<Unplaceable>,
    /// The ARN of the service deployment that runs: what `StopServiceDeployment` takes.
    #[serde(default)]
    pub current_service_deployment: Option<String>,
    /// `ECS` for an Express service, which ECS manages as a whole; else `CUSTOMER`, or nothing.
    #[serde(default)]
    pub resource_management_type: Option<String>,
    /// REPLICA or DAEMON.
    #[serde(default)]
    pub scheduling_strategy: Option<String>,
    /// `minimumHealthyPercent`: how many of its tasks stay in a deployment, and while an instance is drained.
    #[serde(default)]
    pub minimum_healthy_percent: Option<u64>,
    /// `maximumPercent`: how many of its tasks there may be meanwhile.
    #[serde(default)]
    pub maximum_percent: Option<u64>,
    /// From which capacity providers its tasks come; empty where a launch type says it.
    #[serde(default)]
    pub capacity_provider_strategy: Vec<StrategyItem>,
    /// How long its deployment configuration makes a healthy deployment wait, besides what its tasks take.
    #[serde(default)]
    pub deployment_patience: Duration,
}

/// A service event that says that tasks cannot be placed, or do not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unplaceable {
    /// When ECS said so.
    pub at: Timestamp,
    /// What it said.
    pub message: String,
}

impl Unplaceable {
    /// The newest such event of a service's, in any order; `None` when a steady state came after it.
    ///
    /// The messages are those of the ECS developer guide, "Viewing Amazon ECS service event messages".
    pub fn newest(events: impl IntoIterator<Item = (Timestamp, String)>) -> Option<Self> {
        const FAILURES: [&str; 2] = ["unable to place a task", "unable to consistently start"];
        const STEADY: &str = "has reached a steady state";
        let is_failure = |message: &str| FAILURES.iter().any(|failure| message.contains(failure));
        let told = events
            .into_iter()
            .filter(|(_, message)| is_failure(message) || message.contains(STEADY));
        let (at, message) = told.max_by_key(|(at, message)| (*at, is_failure(message)))?;
        is_failure(&message).then_some(Self { at, message })
    }
}

/// A deployment of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentFacts {
    /// `ecs-svc/…`.
    pub id: String,
    /// PRIMARY, ACTIVE or INACTIVE.
    pub status: String,
    /// The task definition.
    pub task_definition: String,
    /// IN_PROGRESS, COMPLETED or FAILED; absent for other controllers than ECS's.
    pub rollout_state: Option<String>,
    /// Why it is in that state, in ECS's words.
    #[serde(default)]
    pub rollout_state_reason: Option<String>,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// How many tasks it is to have.
    #[serde(default)]
    pub desired_count: u32,
    /// How many of its tasks run.
    #[serde(default)]
    pub running_count: u32,
    /// How many of its tasks are on their way up.
    #[serde(default)]
    pub pending_count: u32,
    /// How many of its tasks did not reach a steady state: the circuit breaker counts them.
    #[serde(default)]
    pub failed_tasks: u32,
}

/// How long a deployment configuration makes a healthy deployment wait, besides what its tasks take to start and stop:
/// `DescribeServices`' `deploymentConfiguration` (ECS API reference, `DeploymentConfiguration`, with its defaults).
///
/// A PAUSE hook counts with its time-out, since until then someone may let the deployment go on; of one at a stage that
/// comes back with each step only the first is counted. What a Lambda hook takes is part of its time-out, and is not
/// waited for by design; it is left out.
#[must_use]
pub fn deployment_patience(configuration: &Value) -> Duration {
    let number = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_f64);
    let strategy = configuration
        .get("strategy")
        .and_then(Value::as_str)
        .unwrap_or("ROLLING");
    let shift = match strategy {
        "LINEAR" => {
            let step = number(configuration, "/linearConfiguration/stepPercent").unwrap_or(10.0);
            let bake = number(configuration, "/linearConfiguration/stepBakeTimeInMinutes").unwrap_or(6.0);
            (100.0 / step.max(1.0)).ceil() * bake
        }
        "CANARY" => number(configuration, "/canaryConfiguration/canaryBakeTimeInMinutes").unwrap_or(10.0),
        _ => 0.0,
    };
    let bake = number(configuration, "/bakeTimeInMinutes").unwrap_or_default();
    let hooks = configuration.get("lifecycleHooks").and_then(Value::as_array);
    let pauses = hooks.map(Vec::as_slice).unwrap_or_default().iter();
    let pauses = pauses
        .filter(|hook| hook.get("targetType").and_then(Value::as_str) == Some("PAUSE"))
        .map(|hook| number(hook, "/timeoutConfiguration/timeoutInMinutes").unwrap_or(1_440.0))
        .sum::<f64>();
    Duration::try_from_secs_f64((shift + bake + pauses).max(0.0) * 60.0).unwrap_or_default()
}

impl DeploymentFacts {
    /// Reads one deployment of a service; `None` when it has no id.
    fn parse(deployment: &Value) -> Option<Self> {
        let text = |field: &str| deployment.get(field).and_then(Value::as_str).map(str::to_owned);
        let time = |field: &str| deployment.get(field).and_then(time_from_json);
        let count = |field: &str| {
            let number = deployment.get(field).and_then(Value::as_u64);
            number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
        };
        Some(Self {
            id: text("id")?,
            status: text("status").unwrap_or_default(),
            task_definition: text("taskDefinition").unwrap_or_default(),
            rollout_state: text("rolloutState"),
            rollout_state_reason: text("rolloutStateReason"),
            created_at: time("createdAt"),
            updated_at: time("updatedAt"),
            desired_count: count("desiredCount"),
            running_count: count("runningCount"),
            pending_count: count("pendingCount"),
            failed_tasks: count("failedTasks"),
        })
    }
}

impl ServiceFacts {
    /// Reads one service of `DescribeServices`; `None` when it has no ARN, status, counts or task definition.
    #[must_use]
    pub fn parse(service: &Value) -> Option<Self> {
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let count = |field: &str| {
            let number = service.get(field).and_then(Value::as_u64);
            number.and_then(|n| u32::try_from(n).ok())
        };
        let list = |field| {
            let found = service.get(field).and_then(Value::as_array);
            found.map(Vec::as_slice).unwrap_or_default()
        };
        let percent = |field: &str| service.pointer("/deploymentConfiguration")?.get(field)?.as_u64();
        let (deployments, events) = (list("deployments"), list("events"));
        let desired_count = count("desiredCount")?;
        Some(Self {
            service_arn: text(service, "serviceArn")?,
            status: text(service, "status")?,
            desired_count,
            // ECS always says it; where a hand-made answer does not, nothing is known to be missing.
            running_count: count("runningCount").unwrap_or(desired_count),
            pending_count: count("pendingCount").unwrap_or_default(),
            task_definition: text(service, "taskDefinition").unwrap_or_default(),
            deployment_controller: service
                .get("deploymentController")
                .and_then(|c| text(c, "type"))
                .unwrap_or_else(|| "ECS".into()),
            deployments: deployments.iter().filter_map(DeploymentFacts::parse).collect(),
            unplaceable: Unplaceable::newest(events.iter().filter_map(|event| {
                let at = event.get("createdAt").and_then(time_from_json)?;
                Some((at, text(event, "message")?))
            })),
            current_service_deployment: text(service, "currentServiceDeployment"),
            resource_management_type: text(service, "resourceManagementType"),
            scheduling_strategy: text(service, "schedulingStrategy"),
            minimum_healthy_percent: percent("minimumHealthyPercent"),
            maximum_percent: percent("maximumPercent"),
            capacity_provider_strategy: list("capacityProviderStrategy")
                .iter()
                .filter_map(|item| {
                    let number = |field: &str| u32::try_from(item.get(field)?.as_u64()?).ok();
                    Some(StrategyItem {
                        capacity_provider: text(item, "capacityProvider")?,
                        weight: number("weight"),
                        base: number("base"),
                    })
                })
                .collect(),
            deployment_patience: service
                .get("deploymentConfiguration")
                .map(deployment_patience)
                .unwrap_or_default(),
        })
    }

    /// Whether it exists and takes changes.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// Whether it is on a revision, or has a deployment of it, also one that failed or is on its way out.
    #[must_use]
    pub fn has_had(&self, revision: &str) -> bool {
        let deployments = self.deployments.iter().map(|d| d.task_definition.as_str());
        std::iter::once(self.task_definition.as_str())
            .chain(deployments)
            .any(|one| same_revision(one, revision))
    }

    /// The deployment that is to stay.
    #[must_use]
    pub fn primary(&self) -> Option<&DeploymentFacts> {
        self.deployments.iter().find(|d| d.status == "PRIMARY")
    }

    /// The deployment that is in progress, also when it is a rollback: either PRIMARY says so, or an old one still goes.
    #[must_use]
    pub fn in_progress(&self) -> Option<&DeploymentFacts> {
        let primary = self.primary()?;
        match primary.rollout_state.as_deref() {
            Some("IN_PROGRESS") => Some(primary),
            Some(_) => None,
            None => (self.deployments.len() > 1).then_some(primary),
        }
    }
}

/// Where ECS itself registers the tasks of a service, by ARN, and where they have their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Target groups.
    pub target_groups: BTreeSet<String>,
    /// Cloud Map services, those of Service Connect included.
    pub registries: BTreeSet<String>,
    /// Whether its tasks have network interfaces of their own: `networkConfiguration` is for network mode `awsvpc` alone
    /// (ECS API reference, `Service`).
    pub awsvpc: bool,
}

impl Attached {
    /// Reads one service of `DescribeServices`: what the service names, what its task sets name, and the second group of a
    /// blue/green deployment.
    #[must_use]
    pub fn parse(service: &Value) -> Self {
        let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let mut attached = Self {
            awsvpc: service
                .pointer("/networkConfiguration/awsvpcConfiguration")
                .is_some_and(Value::is_object),
            ..Self::default()
        };
        for owner in std::iter::once(service.clone()).chain(list(service, "taskSets")) {
            for balancer in list(&owner, "loadBalancers") {
                let groups = ["/targetGroupArn", "/advancedConfiguration/alternateTargetGroupArn"];
                attached
                    .target_groups
                    .extend(groups.iter().filter_map(|group| text(&balancer, group)));
            }
            let registries = list(&owner, "serviceRegistries");
            attached
                .registries
                .extend(registries.iter().filter_map(|r| text(r, "/registryArn")));
        }
        for deployment in list(service, "deployments") {
            let connected = list(&deployment, "serviceConnectResources");
            attached
                .registries
                .extend(connected.iter().filter_map(|r| text(r, "/discoveryArn")));
        }
        attached
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_placement_failure_lasts_until_a_steady_state() {
        const PLACE: &str =
            "(service web) was unable to place a task because no container instance met all of its requirements.";
        const START: &str = "(service web) is unable to consistently start tasks successfully.";
        const STEADY: &str = "(service web) has reached a steady state.";
        const OTHER: &str = "(service web) has started 1 tasks: (task 1).";
        for (events, expected) in [
            (vec![(3, OTHER), (2, PLACE), (1, STEADY)], Some(2)),
            (vec![(1, PLACE), (3, START), (2, PLACE)], Some(3)),
            (vec![(3, STEADY), (2, PLACE)], None),
            (vec![(3, OTHER)], None),
            (vec![], None),
        ] {
            let events: Vec<_> = events
                .into_iter()
                .map(|(at, message)| json!({ "id": "e", "createdAt": at, "message": message }))
                .collect();
            let service = json!({ "serviceArn": "a", "status": "ACTIVE", "desiredCount": 1, "events": events });
            let found = ServiceFacts::parse(&service).unwrap().unplaceable;
            assert_eq!(found.map(|found| found.at.as_second()), expected, "{events:?}");
        }
    }

    #[test]
    fn a_deployment_lasts_as_long_as_its_configuration_says() {
        let pause = json!({ "targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"] });
        let short = json!({ "targetType": "PAUSE", "timeoutConfiguration": { "timeoutInMinutes": 20 } });
        let lambda = json!({ "targetType": "AWS_LAMBDA", "timeoutConfiguration": { "timeoutInMinutes": 20 } });
        for (configuration, minutes) in [
            (json!({}), 0),
            (json!({ "maximumPercent": 200, "minimumHealthyPercent": 100 }), 0),
            (json!({ "strategy": "ROLLING", "bakeTimeInMinutes": 5 }), 5),
            (json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 30 }), 30),
            (
                json!({ "strategy": "BLUE_GREEN", "lifecycleHooks": [pause, lambda] }),
                1_440,
            ),
            (json!({ "bakeTimeInMinutes": 1, "lifecycleHooks": [short] }), 21),
            (json!({ "strategy": "LINEAR" }), 60),
            (
                json!({ "strategy": "LINEAR", "bakeTimeInMinutes": 2,
                    "linearConfiguration": { "stepPercent": 30.0, "stepBakeTimeInMinutes": 3 } }),
                14,
            ),
            (json!({ "strategy": "CANARY" }), 10),
            (
                json!({ "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 1.5, "canaryBakeTimeInMinutes": 7 } }),
                7,
            ),
            // What another strategy is configured for has no effect.
            (
                json!({ "strategy": "ROLLING", "linearConfiguration": { "stepPercent": 3.0 } }),
                0,
            ),
        ] {
            let found = deployment_patience(&configuration);
            assert_eq!(found, Duration::from_secs(minutes * 60), "{configuration}");
        }
    }

    #[test]
    fn what_a_rollout_is_judged_by_is_read() {
        let deployment = json!({
            "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": "web:2", "rolloutState": "FAILED",
            "rolloutStateReason": "tasks failed to start.", "createdAt": 1, "updatedAt": 2,
            "desiredCount": 3, "runningCount": 1, "pendingCount": 2, "failedTasks": 4,
        });
        let service = json!({
            "serviceArn": "a", "status": "ACTIVE", "desiredCount": 3, "deployments": [deployment, {}],
            "currentServiceDeployment": "arn:1", "resourceManagementType": "ECS", "schedulingStrategy": "DAEMON",
            "deploymentConfiguration": { "bakeTimeInMinutes": 5 },
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0 }, {}],
        });
        let facts = ServiceFacts::parse(&service).unwrap();
        let expected = DeploymentFacts {
            id: "ecs-svc/1".into(),
            status: "PRIMARY".into(),
            task_definition: "web:2".into(),
            rollout_state: Some("FAILED".into()),
            rollout_state_reason: Some("tasks failed to start.".into()),
            created_at: Timestamp::from_second(1).ok(),
            updated_at: Timestamp::from_second(2).ok(),
            desired_count: 3,
            running_count: 1,
            pending_count: 2,
            failed_tasks: 4,
        };
        assert_eq!(facts.deployments, [expected]);
        assert_eq!(facts.current_service_deployment.as_deref(), Some("arn:1"));
        assert_eq!(facts.resource_management_type.as_deref(), Some("ECS"));
        assert_eq!(facts.scheduling_strategy.as_deref(), Some("DAEMON"));
        assert_eq!(facts.deployment_patience, Duration::from_mins(5));
        let spot = StrategyItem {
            capacity_provider: "FARGATE_SPOT".into(),
            weight: Some(1),
            base: Some(0),
        };
        assert_eq!(facts.capacity_provider_strategy, [spot]);
    }

    #[test]
    fn every_place_in_which_ecs_names_a_group_or_a_registry_is_read() {
        let attached = Attached::parse(&json!({
            "loadBalancers": [
                { "targetGroupArn": "blue", "advancedConfiguration": { "alternateTargetGroupArn": "green" } },
                { "loadBalancerName": "classic" },
            ],
            "serviceRegistries": [{ "registryArn": "a" }],
            "taskSets": [{ "loadBalancers": [{ "targetGroupArn": "set" }], "serviceRegistries": [{ "registryArn": "b" }] }],
            "deployments": [{ "serviceConnectResources": [{ "discoveryName": "web", "discoveryArn": "c" }] }],
        }));
        assert_eq!(
            attached.target_groups.into_iter().collect::<Vec<_>>(),
            ["blue", "green", "set"]
        );
        assert_eq!(attached.registries.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(Attached::parse(&json!({})), Attached::default());
        let network = json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["a"] } } });
        assert!(Attached::parse(&network).awsvpc);
    }
}
