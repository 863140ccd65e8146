//! What arrives: tolerant types, one file per source.
//!
//! Unknown fields and unknown enum values never fail, since AWS adds both at any time (ECS developer guide, "Amazon ECS
//! events"). What the deciders cannot do without is required, and its absence is a [`Rejected`] with a reason; everything
//! else is optional.

mod alarm;
mod aside;
mod deployment;
mod health;
mod image;
mod instance;
mod lifecycle;
mod metric;
mod scan;
mod service_action;
mod snapshot;
mod task;
mod time;

use jiff::Timestamp;
use serde_json::Value;

use crate::capacity::ContainerInstance;
use crate::ids::{Target, cluster_name};

pub use alarm::{AlarmState, AlarmStateChange, AlarmValue, Reading};
pub use aside::Aside;
pub use deployment::{DeploymentEvent, DeploymentStateChange};
pub use health::HealthEvent;
pub use image::{ImageAction, ImageActionType, ImageEvent};
pub use instance::{InstanceEvent, InstanceNews, InstanceState, SpotAction};
pub use lifecycle::{LifecycleAction, Place, Transition};
pub use metric::{Metric, MetricQuery};
pub use scan::{ImageScanned, Scanner};
pub use service_action::{ServiceAction, ServiceNews};
pub use snapshot::{SnapshotEvent, SnapshotWork};
pub use task::{Container, NetworkBinding, TaskStateChange, TaskStatus};
pub use time::{parse_time, time_from_json};

/// The envelope that EventBridge puts around every event.
///
/// `version` is always `0` and of no use; `id` is the same in every copy of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The event's id, empty when the sender gave none.
    pub id: String,
    /// The account in which it happened, empty when the sender gave none.
    pub account: String,
    /// The Region in which it happened, empty when the sender gave none.
    pub region: String,
    /// When it happened, in whole seconds.
    pub time: Option<Timestamp>,
    /// The ARNs that it names.
    pub resources: Vec<String>,
    /// `detail-type`, as it was written.
    pub detail_type: String,
    /// `source`, as it was written.
    pub source: String,
}

impl Envelope {
    /// What may be missing: a field that is not there, or of another type, is empty.
    fn beside(json: &Value) -> Self {
        let owned = |field| text(json, field).unwrap_or_default().to_owned();
        let resources = json.get("resources").and_then(Value::as_array).map(Vec::as_slice);
        Self {
            id: owned("id"),
            account: owned("account"),
            region: owned("region"),
            time: text(json, "time").and_then(parse_time),
            resources: resources
                .unwrap_or_default()
                .iter()
                .filter_map(|r| r.as_str().map(str::to_owned))
                .collect(),
            detail_type: String::new(),
            source: String::new(),
        }
    }
}

/// An event that a domain may act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The envelope.
    pub envelope: Envelope,
    /// What it says.
    pub detail: Detail,
}

/// What an event says, by kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// `ECS Task State Change`.
    Task(Box<TaskStateChange>),
    /// `CloudWatch Alarm State Change`, or the payload of an alarm's Lambda action.
    Alarm(AlarmStateChange),
    /// `ECR Image Action`, `ECR Replication Action`, `ECR Pull Through Cache Action`.
    Image(ImageAction),
    /// `ECR Image Scan`, `Inspector2 Scan`.
    Scan(ImageScanned),
    /// `ECS Deployment State Change`.
    Deployment(DeploymentStateChange),
    /// `EC2 Instance-launch Lifecycle Action`, `EC2 Instance-terminate Lifecycle Action`.
    Lifecycle(LifecycleAction),
    /// `EC2 Spot Instance Interruption Warning`, `EC2 Instance Rebalance Recommendation`, `EC2 Instance State-change
    /// Notification`.
    Instance(InstanceEvent),
    /// `ECS Container Instance State Change`.
    ContainerInstance(Box<ContainerInstance>),
    /// `ECS Service Action`.
    ServiceAction(ServiceAction),
    /// `AWS Health Event`.
    Health(HealthEvent),
    /// `EBS Snapshot Notification` of one that was made or copied.
    Snapshot(SnapshotEvent),
    /// `Scheduled Event`: time for a sweep.
    Scheduled,
    /// A kind that is known and asks for nothing.
    Aside(Aside),
}

impl Detail {
    /// The stable name that `explain`, logs and history print.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Task(_) => "ECS Task State Change",
            Self::Alarm(_) => "CloudWatch Alarm State Change",
            Self::Image(image) => image.event.kind(),
            Self::Scan(scan) => scan.scanner.kind(),
            Self::Deployment(_) => "ECS Deployment State Change",
            Self::Lifecycle(action) => action.transition.kind(),
            Self::Instance(event) => event.news.kind(),
            Self::ContainerInstance(_) => "ECS Container Instance State Change",
            Self::ServiceAction(_) => "ECS Service Action",
            Self::Health(_) => "AWS Health Event",
            Self::Snapshot(_) => "EBS Snapshot Notification",
            Self::Scheduled => "Scheduled Event",
            Self::Aside(aside) => aside.kind,
        }
    }
}

/// Why an event was not taken. Nothing is done for it, and it is told apart from a failure: retrying cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is a JSON value, but no event: `source` or `detail-type` is missing or no text.
    #[error("this is not an EventBridge event: `{0}` is missing or no text")]
    NotAnEvent(&'static str),
    /// No domain knows this kind of event.
    #[error("nothing here reacts to `{detail_type}` events from `{source_name}`")]
    UnknownKind {
        /// `detail-type`.
        detail_type: String,
        /// `source`.
        source_name: String,
    },
    /// The kind is known, but a field that is needed is missing or has another type.
    #[error("this `{kind}` event cannot be used: {reason}")]
    Malformed {
        /// `detail-type`.
        kind: &'static str,
        /// What is missing or wrong, and where.
        reason: String,
    },
}

/// What AWS answered lacks what cannot be done without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incomplete(pub(crate) String);

impl Event {
    /// Reads an event from its JSON.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub fn parse(json: &Value) -> Result<Self, Rejected> {
        if let Some(event) = alarm::from_lambda_action(json) {
            return event;
        }
        let needed = |field| text(json, field).ok_or(Rejected::NotAnEvent(field));
        let (detail_type, source) = (needed("detail-type")?.to_owned(), needed("source")?.to_owned());
        let envelope = Envelope {
            detail_type,
            source,
            ..Envelope::beside(json)
        };
        let detail = json.get("detail").unwrap_or(&Value::Null);
        let detail = match (envelope.source.as_str(), envelope.detail_type.as_str()) {
            ("aws.ecs", "ECS Task State Change") => {
                Detail::Task(Box::new(TaskStateChange::parse_event(&envelope, detail)?))
            }
            ("aws.ecs", "ECS Deployment State Change") => {
                Detail::Deployment(DeploymentStateChange::parse(&envelope, detail)?)
            }
            ("aws.cloudwatch", "CloudWatch Alarm State Change") => {
                Detail::Alarm(AlarmStateChange::parse(&envelope, detail)?)
            }
            ("aws.ecr", "ECR Image Action") => Detail::Image(ImageAction::parse(ImageEvent::Action, detail)?),
            ("aws.ecr", "ECR Replication Action") => {
                Detail::Image(ImageAction::parse(ImageEvent::Replication, detail)?)
            }
            ("aws.ecr", "ECR Pull Through Cache Action") => {
                Detail::Image(ImageAction::parse(ImageEvent::PullThroughCache, detail)?)
            }
            ("aws.ecr", "ECR Image Scan") => Detail::Scan(ImageScanned::parse(Scanner::Basic, detail)?),
            ("aws.inspector2", "Inspector2 Scan") => Detail::Scan(ImageScanned::parse(Scanner::Enhanced, detail)?),
            ("aws.ec2", "EBS Snapshot Notification") => {
                SnapshotEvent::parse(&envelope, detail)?.map_or_else(Detail::Aside, Detail::Snapshot)
            }
            (_, "Scheduled Event") => Detail::Scheduled,
            (source, kind) => match capacity(&envelope, detail)? {
                Some(detail) => detail,
                None => match Aside::parse(source, kind, detail) {
                    Some(aside) => Detail::Aside(aside),
                    None => {
                        return Err(Rejected::UnknownKind {
                            detail_type: envelope.detail_type,
                            source_name: envelope.source,
                        });
                    }
                },
            },
        };
        Ok(Self { envelope, detail })
    }
}

/// What is told of instances, and of services that find none; `None` when it is something else.
fn capacity(envelope: &Envelope, detail: &Value) -> Result<Option<Detail>, Rejected> {
    let lifecycle = |transition| {
        let read = LifecycleAction::parse(transition, detail)?;
        Ok(read.map_or_else(Detail::Aside, Detail::Lifecycle))
    };
    let read = match (envelope.source.as_str(), envelope.detail_type.as_str()) {
        ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action") => lifecycle(Transition::Terminating)?,
        ("aws.autoscaling", "EC2 Instance-launch Lifecycle Action") => lifecycle(Transition::Launching)?,
        ("aws.ec2", "EC2 Spot Instance Interruption Warning") => Detail::Instance(InstanceEvent::spot(detail)?),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation") => Detail::Instance(InstanceEvent::rebalance(detail)?),
        ("aws.ec2", "EC2 Instance State-change Notification") => Detail::Instance(InstanceEvent::state(detail)?),
        ("aws.ecs", "ECS Container Instance State Change") => {
            Detail::ContainerInstance(Box::new(ContainerInstance::parse_event(envelope, detail)?))
        }
        ("aws.ecs", "ECS Service Action") => Detail::ServiceAction(ServiceAction::parse(envelope, detail)?),
        ("aws.health", "AWS Health Event") => Detail::Health(HealthEvent::parse(envelope, detail)?),
        _ => return Ok(None),
    };
    Ok(Some(read))
}

/// The service that an event of ECS names in `resources`. The old form of its ARN names no cluster; real events carry it in
/// the detail, though undocumented.
fn service_target(kind: &'static str, envelope: &Envelope, detail: &Value) -> Result<Target, Rejected> {
    let malformed = |reason: String| Rejected::Malformed { kind, reason };
    let arn = envelope
        .resources
        .first()
        .ok_or_else(|| malformed("`resources` is empty: the service is not named".into()))?;
    Target::from_service_arn(arn).or_else(|error| {
        text(detail, "clusterArn")
            .zip(arn.rsplit_once("service/").map(|(_, name)| name))
            .map(|(cluster, name)| Target::service(cluster_name(cluster), name))
            .ok_or_else(|| malformed(error.to_string()))
    })
}

pub(crate) fn text<'a>(json: &'a Value, field: &str) -> Option<&'a str> {
    json.get(field).and_then(Value::as_str)
}
