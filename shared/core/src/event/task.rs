//! `ECS Task State Change`, and the Task of `DescribeTasks`, which it resembles.
//!
//! The two are not identical: times are ISO text in the event and epoch seconds in the API, the attachment's type is
//! `eni` in the event and `ElasticNetworkInterface` in the API, and the event lacks `healthStatus` and `tags`
//! (ECS developer guide, "Amazon ECS task state change events"; containers-roadmap #1515, #2317). One type takes both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Envelope, Incomplete, Rejected, text, time_from_json};
use crate::ids::{Target, TargetKind, TaskArn, TaskDefinitionRef, cluster_name};
use crate::storage::TaskVolume;

const KIND: &str = "ECS Task State Change";

/// Where a task is in its life, in the order in which ECS passes through
/// (ECS developer guide, "Amazon ECS task lifecycle").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Before launch; the network interface is made here.
    Provisioning,
    /// Waiting for capacity or for the agent.
    Pending,
    /// Launched; ECS registers its own registries and target groups here.
    Activating,
    /// Running.
    Running,
    /// About to stop; ECS deregisters its own target groups here.
    Deactivating,
    /// SIGTERM was sent.
    Stopping,
    /// Stopped; the network interface is deleted here.
    Deprovisioning,
    /// Over.
    Stopped,
    /// Forgotten by ECS; seen in `DescribeTasks` only.
    Deleted,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl TaskStatus {
    /// Whether the task is past its service: DEACTIVATING or later.
    #[must_use]
    pub fn is_leaving(self) -> bool {
        matches!(
            self,
            Self::Deactivating | Self::Stopping | Self::Deprovisioning | Self::Stopped | Self::Deleted
        )
    }

    /// Whether its containers have ended: DEPROVISIONING or later.
    #[must_use]
    pub fn has_stopped(self) -> bool {
        matches!(self, Self::Deprovisioning | Self::Stopped | Self::Deleted)
    }
}

/// A port of a container that is bound on its host; bridge and host networks only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkBinding {
    /// The port inside the container; absent for a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    /// The port on the host; absent for a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The ports of a range inside the container, as `first-last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port_range: Option<String>,
}

impl NetworkBinding {
    /// The port on the host that leads to a port of the container.
    #[must_use]
    pub fn host_port_of(&self, container_port: u16) -> Option<u16> {
        self.host_port.filter(|_| self.container_port == Some(container_port))
    }

    /// Whether the port is one of a range, of which only the whole is bound.
    #[must_use]
    pub fn range_has(&self, container_port: u16) -> bool {
        let range = self.container_port_range.as_deref().and_then(|r| r.split_once('-'));
        range.is_some_and(|(first, last)| {
            let bound = |text: &str| text.trim().parse::<u16>().ok();
            bound(first)
                .zip(bound(last))
                .is_some_and(|(first, last)| (first..=last).contains(&container_port))
        })
    }
}

/// A container of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name in the task definition.
    pub name: String,
    /// The image reference, as ECS shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The digest of the image that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The ports bound on the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_bindings: Vec<NetworkBinding>,
    /// What its main process ended with; absent as long as it runs, and when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Why it did not start, or was killed, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is known of a task at one `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStateChange {
    /// The task.
    pub task_arn: TaskArn,
    /// The ARN of its cluster.
    pub cluster_arn: String,
    /// The ARN of its task definition; empty when it is not said.
    #[serde(default)]
    pub task_definition_arn: String,
    /// Rises with every change; copies of one event have the same
    /// (ECS developer guide, "Handling Amazon ECS events").
    pub version: i64,
    /// `service:NAME`, `family:NAME`, or whatever the caller of RunTask said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What the caller of `RunTask` or the service's deployment said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Where ECS wants it to be: RUNNING or STOPPED.
    #[serde(default)]
    pub desired_status: TaskStatus,
    /// Where it was last seen.
    #[serde(default)]
    pub last_status: TaskStatus,
    /// `HEALTHY`, `UNHEALTHY`, `UNKNOWN`; absent in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_status: Option<String>,
    /// The private IPv4 address of its own network interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<String>,
    /// The IPv6 address of its own network interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// Its own network interface; absent for bridge and host networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_interface_id: Option<String>,
    /// The container instance that it runs on; absent on Fargate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_instance_arn: Option<String>,
    /// Its Availability Zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// When it first ran; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was over; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Who stopped it, in one word of AWS's (ECS API reference, `Task`); absent before, and in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<String>,
    /// Why, in a sentence that no one promises to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    /// The EBS volumes that ECS made for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<TaskVolume>,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Its tags; absent in events, and deleted when the task is stopped (containers-roadmap #80).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

impl TaskStateChange {
    /// Reads `detail` of the event; what names the task may be missing in it, as in trimmed events, and is then taken from the
    /// envelope's `resources`.
    ///
    /// # Errors
    /// As [`TaskStateChange::parse`].
    pub fn parse_event(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        match (text(detail, "taskArn"), envelope.resources.first(), detail) {
            (None, Some(arn), Value::Object(fields)) => {
                let mut fields = fields.clone();
                fields.insert("taskArn".into(), Value::from(arn.as_str()));
                Self::parse(&Value::Object(fields))
            }
            _ => Self::parse(detail),
        }
    }

    /// Reads `detail` of the event.
    ///
    /// # Errors
    /// When `taskArn`, `clusterArn` or `version` is missing or not what it should be: without them neither the task nor the
    /// order of events is known.
    pub fn parse(detail: &Value) -> Result<Self, Rejected> {
        Self::read(detail, "detail.").map_err(|reason| Rejected::Malformed { kind: KIND, reason })
    }

    /// Reads one task of `DescribeTasks`.
    ///
    /// # Errors
    /// As [`TaskStateChange::parse`].
    pub fn from_describe_tasks(task: &Value) -> Result<Self, Incomplete> {
        Self::read(task, "").map_err(Incomplete)
    }

    /// `at` is what stands before a field where the caller found them, for the reason.
    fn read(detail: &Value, at: &str) -> Result<Self, String> {
        let needed =
            |field: &'static str| text(detail, field).ok_or_else(|| format!("`{at}{field}` is missing or no text"));
        let task_arn = needed("taskArn")?.parse().map_err(|e| format!("`{at}taskArn`: {e}"))?;
        let cluster_arn = needed("clusterArn")?.to_owned();
        let version = detail
            .get("version")
            .and_then(Value::as_i64)
            .ok_or_else(|| format!("`{at}version` is missing or no whole number"))?;
        let interfaces = Interfaces::of(detail);
        let owned = |field: &str| text(detail, field).map(str::to_owned);
        let status = |field: &str| {
            detail
                .get(field)
                .and_then(|v| TaskStatus::deserialize(v).ok())
                .unwrap_or_default()
        };
        Ok(Self {
            task_arn,
            cluster_arn,
            task_definition_arn: text(detail, "taskDefinitionArn").unwrap_or_default().to_owned(),
            version,
            group: owned("group"),
            started_by: owned("startedBy"),
            desired_status: status("desiredStatus"),
            last_status: status("lastStatus"),
            health_status: owned("healthStatus"),
            private_ipv4: interfaces.private_ipv4,
            ipv6: interfaces.ipv6,
            network_interface_id: interfaces.id,
            container_instance_arn: owned("containerInstanceArn"),
            availability_zone: owned("availabilityZone"),
            started_at: detail.get("startedAt").and_then(time_from_json),
            stopped_at: detail.get("stoppedAt").and_then(time_from_json),
            stop_code: owned("stopCode"),
            stopped_reason: owned("stoppedReason"),
            volumes: TaskVolume::of_attachments(elements(detail, "attachments")),
            containers: elements(detail, "containers").filter_map(container).collect(),
            tags: detail
                .get("tags")
                .is_some()
                .then(|| elements(detail, "tags").filter_map(tag).collect()),
        })
    }

    /// Which target it belongs to.
    ///
    /// `service:NAME` is a service's task and `family:NAME` a standalone one; any other group, or none, belongs to the
    /// family of its definition.
    ///
    /// # Errors
    /// When the names in it are not names that ECS allows.
    pub fn target(&self) -> Result<Target, Rejected> {
        let family = TaskDefinitionRef::parse(&self.task_definition_arn).map_or("", |d| d.family);
        let (kind, name) = match self.group.as_deref().and_then(|g| g.split_once(':')) {
            Some(("service", name)) => (TargetKind::Service, name),
            Some(("family", name)) => (TargetKind::Task, name),
            _ => (TargetKind::Task, family),
        };
        Target::parse(kind, &format!("{}/{name}", cluster_name(&self.cluster_arn))).map_err(|e| Rejected::Malformed {
            kind: KIND,
            reason: e.to_string(),
        })
    }

    /// Whether the task is on its way out: ECS wants it stopped, or it is past RUNNING.
    ///
    /// `desiredStatus` alone is the first sign: a Spot notice leaves `lastStatus` at RUNNING.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.desired_status == TaskStatus::Stopped || self.last_status.is_leaving()
    }

    /// Whether it runs and is meant to.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.desired_status == TaskStatus::Running && self.last_status == TaskStatus::Running
    }
}

/// The addresses of a task's own network interface, from the two places where ECS writes them.
#[derive(Default)]
struct Interfaces {
    id: Option<String>,
    private_ipv4: Option<String>,
    ipv6: Option<String>,
}

impl Interfaces {
    fn of(detail: &Value) -> Self {
        let mut found = Self::default();
        let network = elements(detail, "attachments")
            .filter(|a| matches!(text(a, "type"), Some("eni" | "ElasticNetworkInterface")));
        for attachment in network {
            for entry in elements(attachment, "details") {
                let value = || text(entry, "value").filter(|v| !v.is_empty()).map(str::to_owned);
                match text(entry, "name") {
                    Some("networkInterfaceId") => found.id = found.id.take().or_else(value),
                    Some("privateIPv4Address") => found.private_ipv4 = found.private_ipv4.take().or_else(value),
                    _ => {}
                }
            }
        }
        // `privateIpv4Address` here, `privateIPv4Address` above: both spellings are AWS's.
        for interface in elements(detail, "containers").flat_map(|c| elements(c, "networkInterfaces")) {
            let value = |field| text(interface, field).filter(|v| !v.is_empty()).map(str::to_owned);
            found.private_ipv4 = found.private_ipv4.take().or_else(|| value("privateIpv4Address"));
            found.ipv6 = found.ipv6.take().or_else(|| value("ipv6Address"));
        }
        found
    }
}

fn container(value: &Value) -> Option<Container> {
    let port = |binding: &Value, field| {
        binding
            .get(field)
            .and_then(Value::as_u64)
            .and_then(|p| u16::try_from(p).ok())
    };
    Some(Container {
        name: text(value, "name")?.to_owned(),
        image: text(value, "image").map(str::to_owned),
        image_digest: text(value, "imageDigest").map(str::to_owned),
        network_bindings: elements(value, "networkBindings")
            .map(|b| NetworkBinding {
                container_port: port(b, "containerPort"),
                host_port: port(b, "hostPort"),
                container_port_range: text(b, "containerPortRange").map(str::to_owned),
            })
            .filter(|b| *b != NetworkBinding::default())
            .collect(),
        exit_code: value.get("exitCode").and_then(Value::as_i64),
        reason: text(value, "reason").map(str::to_owned),
    })
}

fn tag(value: &Value) -> Option<(String, String)> {
    let name = text(value, "key")?;
    Some((name.to_owned(), text(value, "value").unwrap_or_default().to_owned()))
}

fn elements<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn why_it_stopped_is_read_from_the_event_and_from_the_api() {
        for (at, expected) in [
            (json!("2026-03-01T12:00:00.5Z"), "2026-03-01T12:00:00.5Z"),
            (json!(1_772_366_400.5), "2026-03-01T12:00:00.5Z"),
        ] {
            let task = TaskStateChange::parse(&json!({
                "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/prod/1", "clusterArn": "prod", "version": 1,
                "stoppedAt": at, "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
                "containers": [{ "name": "web", "exitCode": 137, "reason": "OutOfMemoryError" }, { "name": "log", "exitCode": "1" }],
            }))
            .unwrap();
            assert_eq!(task.stopped_at, expected.parse().ok());
            assert_eq!(task.stop_code.as_deref(), Some("EssentialContainerExited"));
            assert_eq!(
                task.stopped_reason.as_deref(),
                Some("Essential container in task exited")
            );
            let ends: Vec<_> = task
                .containers
                .iter()
                .map(|c| (c.exit_code, c.reason.as_deref()))
                .collect();
            assert_eq!(ends, [(Some(137), Some("OutOfMemoryError")), (None, None)]);
        }
    }

    /// What is in the ledger was written by this version or by one before it.
    #[test]
    fn what_was_stored_before_there_were_reasons_is_read() {
        let stored = json!({
            "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/prod/1", "clusterArn": "prod", "version": 1,
            "taskDefinitionArn": "web:7", "desiredStatus": "RUNNING", "lastStatus": "RUNNING",
            "containers": [{ "name": "web" }],
        });
        let task: TaskStateChange = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(
            (&task.stop_code, &task.stopped_reason, task.stopped_at),
            (&None, &None, None)
        );
        assert_eq!(
            (task.containers[0].exit_code, &task.containers[0].reason),
            (None, &None)
        );
        // And what says nothing is written as it was.
        assert_eq!(serde_json::to_value(&task).unwrap(), stored);
    }
}
