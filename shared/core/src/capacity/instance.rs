//! A container instance: `DescribeContainerInstances`, and the detail of `ECS Container Instance State Change`, which
//! resembles it.
//!
//! The event has `clusterArn`, which the answer lacks, and lacks the counts of tasks, when it was registered and its
//! capacity provider (ECS developer guide, "Amazon ECS container instance state change events"). One type takes both.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Envelope, Incomplete, Rejected, text, time_from_json};
use crate::ids::{Arn, cluster_name};

const KIND: &str = "ECS Container Instance State Change";

/// Where a container instance is in its life (ECS API reference, `ContainerInstance`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    /// It is being registered; with trunking only.
    Registering,
    /// Its registration failed, and it will be deregistered.
    RegistrationFailed,
    /// It takes tasks.
    Active,
    /// It was deregistered, and is remembered for a while.
    Inactive,
    /// It is being deregistered; with trunking only.
    Deregistering,
    /// It takes no tasks, and those of services leave it.
    Draining,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl InstanceStatus {
    /// As ECS writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registering => "REGISTERING",
            Self::RegistrationFailed => "REGISTRATION_FAILED",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Deregistering => "DEREGISTERING",
            Self::Draining => "DRAINING",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether it is not part of its cluster any more, or never was.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Inactive | Self::Deregistering | Self::RegistrationFailed)
    }
}

/// What is known of a container instance at one `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstance {
    /// Its ARN.
    pub arn: String,
    /// Its cluster's name; absent when the ARN has the old form and nothing else says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The EC2 instance, or the managed instance of an external host (`mi-…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_instance_id: Option<String>,
    /// Its state.
    #[serde(default)]
    pub status: InstanceStatus,
    /// Whether its agent talks to ECS; short disconnects are normal.
    pub agent_connected: bool,
    /// How many of its tasks run; absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_tasks_count: Option<u32>,
    /// How many of its tasks are on their way up; absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_tasks_count: Option<u32>,
    /// The capacity provider that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_provider_name: Option<String>,
    /// Rises with every change that ECS tells of; copies of one event have the same
    /// (ECS developer guide, "Handling Amazon ECS events").
    #[serde(default)]
    pub version: i64,
    /// When it was registered; absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
}

impl ContainerInstance {
    /// Reads one container instance of `DescribeContainerInstances`, or `detail` of the event.
    ///
    /// # Errors
    /// When `containerInstanceArn` is missing or no ARN of a container instance, or `agentConnected` is missing or neither
    /// true nor false: a host must not pass for dead because a field was lost.
    pub fn parse(instance: &Value) -> Result<Self, Incomplete> {
        Self::read(instance, "").map_err(Incomplete)
    }

    /// Reads `detail` of the event; the ARN may be missing in it, as in trimmed events, and is then taken from the envelope's
    /// `resources`.
    ///
    /// # Errors
    /// As [`ContainerInstance::parse`].
    pub fn parse_event(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        let named = match (text(detail, "containerInstanceArn"), envelope.resources.first(), detail) {
            (None, Some(arn), Value::Object(fields)) => {
                let mut fields = fields.clone();
                fields.insert("containerInstanceArn".into(), Value::from(arn.as_str()));
                Self::read(&Value::Object(fields), "detail.")
            }
            _ => Self::read(detail, "detail."),
        };
        named.map_err(|reason| Rejected::Malformed { kind: KIND, reason })
    }

    /// `at` is what stands before a field where the caller found it, for the reason.
    fn read(instance: &Value, at: &str) -> Result<Self, String> {
        let arn = text(instance, "containerInstanceArn")
            .ok_or_else(|| format!("`{at}containerInstanceArn` is missing or no text"))?;
        let in_arn = named(arn)
            .ok_or_else(|| format!("`{at}containerInstanceArn`: `{arn}` is not the ARN of a container instance"))?;
        let agent_connected = instance
            .get("agentConnected")
            .and_then(Value::as_bool)
            .ok_or_else(|| format!("`{at}agentConnected` is missing or neither true nor false"))?;
        let owned = |field: &str| text(instance, field).filter(|t| !t.is_empty()).map(str::to_owned);
        let count = |field: &str| {
            let number = instance.get(field).and_then(Value::as_u64);
            number.and_then(|n| u32::try_from(n).ok())
        };
        let said = text(instance, "clusterArn").filter(|arn| !arn.is_empty());
        Ok(Self {
            arn: arn.to_owned(),
            cluster: said.map(cluster_name).or(in_arn.cluster).map(str::to_owned),
            ec2_instance_id: owned("ec2InstanceId"),
            status: instance
                .get("status")
                .and_then(|v| InstanceStatus::deserialize(v).ok())
                .unwrap_or_default(),
            agent_connected,
            running_tasks_count: count("runningTasksCount"),
            pending_tasks_count: count("pendingTasksCount"),
            capacity_provider_name: owned("capacityProviderName"),
            version: instance.get("version").and_then(Value::as_i64).unwrap_or_default(),
            registered_at: instance.get("registeredAt").and_then(time_from_json),
        })
    }

    /// How many tasks it still has, running or on their way up; `None` when nothing says it.
    #[must_use]
    pub fn tasks(&self) -> Option<u32> {
        match (self.running_tasks_count, self.pending_tasks_count) {
            (None, None) => None,
            (running, pending) => Some(running.unwrap_or_default().saturating_add(pending.unwrap_or_default())),
        }
    }
}

/// What the ARN of a container instance names: `…:container-instance/cluster/id`, or the old form
/// `…:container-instance/id` without a cluster.
struct Named<'a> {
    cluster: Option<&'a str>,
}

/// `None` when it is no such ARN.
fn named(arn: &str) -> Option<Named<'_>> {
    let path = Arn::parse(arn)
        .filter(|arn| arn.service == "ecs")?
        .resource
        .strip_prefix("container-instance/")?;
    let (cluster, id) = match path.split_once('/') {
        None => (None, path),
        Some((cluster, id)) => (Some(cluster), id),
    };
    (!id.is_empty() && cluster != Some("")).then_some(Named { cluster })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/prod/b54a2a04";
    const OLD: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/b54a2a04";

    #[test]
    fn the_answer_and_the_event_are_read_alike() {
        let answer = json!({
            "containerInstanceArn": ARN, "ec2InstanceId": "i-1", "status": "DRAINING", "agentConnected": true,
            "runningTasksCount": 2, "pendingTasksCount": 1, "capacityProviderName": "web", "version": 7,
            "registeredAt": 1_480_869_666.5, "attributes": [], "newField": { "a": 1 },
        });
        let read = ContainerInstance::parse(&answer).unwrap();
        assert_eq!(
            read,
            ContainerInstance {
                arn: ARN.into(),
                cluster: Some("prod".into()),
                ec2_instance_id: Some("i-1".into()),
                status: InstanceStatus::Draining,
                agent_connected: true,
                running_tasks_count: Some(2),
                pending_tasks_count: Some(1),
                capacity_provider_name: Some("web".into()),
                version: 7,
                registered_at: Some("2016-12-04T16:41:06.5Z".parse().unwrap()),
            }
        );
        assert_eq!(read.tasks(), Some(3));

        let event = json!({
            "containerInstanceArn": OLD, "clusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/default",
            "ec2InstanceId": "i-1", "status": "ACTIVE", "agentConnected": false, "version": 14_801,
        });
        let read = ContainerInstance::parse(&event).unwrap();
        assert_eq!(
            (read.cluster.as_deref(), read.agent_connected),
            (Some("default"), false)
        );
        assert_eq!((read.tasks(), read.version), (None, 14_801));
    }

    #[test]
    fn what_a_trimmed_event_lacks_is_taken_from_the_envelope() {
        let envelope = Envelope {
            id: String::new(),
            account: String::new(),
            region: String::new(),
            time: None,
            resources: vec![ARN.into()],
            detail_type: KIND.into(),
            source: "aws.ecs".into(),
        };
        let read = ContainerInstance::parse_event(&envelope, &json!({ "agentConnected": true })).unwrap();
        assert_eq!((read.arn.as_str(), read.cluster.as_deref()), (ARN, Some("prod")));
        assert_eq!(read.status, InstanceStatus::Unknown);
        let rejected = ContainerInstance::parse_event(&envelope, &json!({})).unwrap_err();
        assert_eq!(
            rejected.to_string(),
            "this `ECS Container Instance State Change` event cannot be used: `detail.agentConnected` is missing or neither \
             true nor false"
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let check = |instance: Value, expected: &str| {
            let error = ContainerInstance::parse(&instance).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{instance}: {error}");
        };
        check(json!(null), "`containerInstanceArn` is missing or no text");
        check(
            json!({ "containerInstanceArn": 5 }),
            "`containerInstanceArn` is missing or no text",
        );
        for arn in [
            "container-instance/prod/a",
            "arn:aws:ecs:us-east-1:1:task/prod/a",
            "arn:aws:ec2:us-east-1:1:container-instance/prod/a",
            "arn:aws:ecs:us-east-1:1:container-instance/",
            "arn:aws:ecs:us-east-1:1:container-instance/prod/",
        ] {
            check(
                json!({ "containerInstanceArn": arn, "agentConnected": true }),
                &format!("`containerInstanceArn`: `{arn}` is not the ARN"),
            );
        }
        check(
            json!({ "containerInstanceArn": ARN, "agentConnected": "no" }),
            "`agentConnected` is missing",
        );
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        use InstanceStatus as S;
        for status in [
            S::Registering,
            S::RegistrationFailed,
            S::Active,
            S::Inactive,
            S::Deregistering,
            S::Draining,
        ] {
            let instance = json!({ "containerInstanceArn": OLD, "agentConnected": true, "status": status.as_str() });
            let read = ContainerInstance::parse(&instance).unwrap();
            assert_eq!((read.status, read.cluster), (status, None));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        let instance = json!({ "containerInstanceArn": OLD, "agentConnected": true, "status": "RESTING" });
        assert_eq!(ContainerInstance::parse(&instance).unwrap().status, S::Unknown);
    }
}
