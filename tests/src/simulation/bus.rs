//! EventBridge's rules and Lambda's queue: which function hears of what, and how often it is tried.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::world::{ACCOUNT, REGION};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// `DiscoveryFunction`.
    Discovery,
    /// `BalancingFunction`.
    Balancing,
    /// `ScalingFunction`.
    Scaling,
    /// `DeliveryFunction`.
    Delivery,
    /// `CapacityFunction`.
    Capacity,
}

impl Domain {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Discovery,
        Self::Balancing,
        Self::Scaling,
        Self::Delivery,
        Self::Capacity,
    ];

    /// Those that keep tasks where others find them.
    pub const ENDPOINTS: [Self; 2] = [Self::Discovery, Self::Balancing];

    /// Those of histories of capacity.
    pub const HOSTS: [Self; 3] = [Self::Discovery, Self::Balancing, Self::Capacity];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Balancing => "balancing",
            Self::Scaling => "scaling",
            Self::Delivery => "delivery",
            Self::Capacity => "capacity",
        }
    }

    /// What `template.yaml` has it look at every minute, if anything: `detail.only` of that schedule's event.
    #[must_use]
    pub fn looks_at(self) -> Option<&'static str> {
        match self {
            Self::Discovery | Self::Balancing => Some("waiting"),
            Self::Scaling | Self::Delivery | Self::Capacity => Some("active"),
        }
    }

    /// The functions whose rules in `template.yaml` take an event.
    #[must_use]
    pub fn hears(event: &Value) -> &'static [Self] {
        let detail = |field: &str| {
            event
                .pointer(&format!("/detail/{field}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let starting = matches!(detail("lastStatus"), "PROVISIONING" | "PENDING" | "ACTIVATING");
        let over = matches!(
            detail("eventName"),
            "SERVICE_DEPLOYMENT_COMPLETED" | "SERVICE_DEPLOYMENT_FAILED"
        );
        let disconnected = event.pointer("/detail/agentConnected") == Some(&Value::Bool(false));
        match event.get("detail-type").and_then(Value::as_str).unwrap_or_default() {
            "ECS Task State Change" if detail("lastStatus") == "STOPPED" && detail("group").starts_with("service:") => {
                &Self::HOSTS
            }
            "ECS Task State Change" if !starting || detail("desiredStatus") == "STOPPED" => &Self::ENDPOINTS,
            "CloudWatch Alarm State Change" => &[Self::Scaling],
            "ECR Image Action" | "ECR Image Scan" => &[Self::Delivery],
            "ECS Deployment State Change" if over => &[Self::Delivery],
            "ECS Container Instance State Change" if detail("status") == "DRAINING" => &Self::HOSTS,
            "ECS Container Instance State Change" if disconnected || detail("status") != "ACTIVE" => &[Self::Capacity],
            "EC2 Instance State-change Notification"
                if matches!(detail("state"), "running" | "shutting-down" | "stopping") =>
            {
                &[Self::Capacity]
            }
            "EC2 Instance-terminate Lifecycle Action"
            | "EC2 Spot Instance Interruption Warning"
            | "EC2 Instance Rebalance Recommendation"
            | "AWS Health Event" => &[Self::Capacity],
            _ => &[],
        }
    }
}

/// How often `template.yaml` has each function swept.
pub const SWEEPS_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// How often Lambda tries an event again (`MaximumRetryAttempts` in `template.yaml`).
pub const RETRIES: u8 = 2;

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// To which.
    pub to: Domain,
    /// The event.
    pub event: Rc<Value>,
    /// When it arrives.
    pub due: Timestamp,
    /// How often it was tried before.
    pub tried: u8,
    /// The number of its first try: Lambda repeats its request id.
    pub first: Option<u64>,
}

impl Parcel {
    /// In a few words.
    #[must_use]
    pub fn title(&self) -> String {
        title(&self.event)
    }
}

/// An event in a few words.
#[must_use]
pub fn title(event: &Value) -> String {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let last = |path: &str| {
        text(path)
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_start_matches('0')
            .to_owned()
    };
    match text("/detail-type") {
        "ECS Task State Change" => format!(
            "task {} v{} {} (wanted {})",
            last("/detail/taskArn"),
            event.pointer("/detail/version").unwrap_or(&Value::Null),
            text("/detail/lastStatus"),
            text("/detail/desiredStatus"),
        ),
        "CloudWatch Alarm State Change" => format!(
            "alarm {} is {} since {}",
            text("/detail/alarmName"),
            text("/detail/state/value"),
            text("/detail/state/timestamp")
        ),
        "ECR Image Action" => format!(
            "push of {}:{} {} at {}",
            text("/detail/repository-name"),
            text("/detail/image-tag"),
            text("/detail/image-digest").get(..19).unwrap_or_default(),
            text("/time"),
        ),
        "ECS Deployment State Change" => {
            format!(
                "{} {} of {}",
                last("/detail/deploymentId"),
                text("/detail/eventName"),
                last("/resources/0")
            )
        }
        "ECS Container Instance State Change" => format!(
            "{} v{} is {}, connected: {}",
            text("/detail/ec2InstanceId"),
            event.pointer("/detail/version").unwrap_or(&Value::Null),
            text("/detail/status"),
            event.pointer("/detail/agentConnected").unwrap_or(&Value::Null),
        ),
        other => {
            let instance = ["/detail/EC2InstanceId", "/detail/instance-id", "/resources/0"].map(text);
            format!("{other} {} {}", text("/id"), instance.concat())
        }
    }
}

/// The event of a schedule: a sweep.
#[must_use]
pub fn scheduled(now: Timestamp, number: u64) -> Rc<Value> {
    Rc::new(tick(now, number, &json!({})))
}

/// The event of the schedule of every minute, of what [`Domain::looks_at`].
#[must_use]
pub fn look(now: Timestamp, number: u64, only: &str) -> Rc<Value> {
    Rc::new(tick(now, number, &json!({ "only": only })))
}

/// Whether it is the event of a schedule that has everything looked at.
#[must_use]
pub fn is_sweep(event: &Value) -> bool {
    let kind = event.get("detail-type").and_then(Value::as_str);
    kind == Some("Scheduled Event") && event.pointer("/detail/only").is_none()
}

/// The ARN of the task that an event is about.
#[must_use]
pub fn task(event: &Value) -> Option<&str> {
    event.pointer("/detail/taskArn")?.as_str()
}

/// Whether an event says that its task runs and is meant to.
#[must_use]
pub fn is_running(event: &Value) -> bool {
    let status = |field: &str| event.pointer(field).and_then(Value::as_str) == Some("RUNNING");
    status("/detail/lastStatus") && status("/detail/desiredStatus")
}

fn tick(now: Timestamp, number: u64, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": format!("tick-{number}"),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "region": REGION,
        "time": now.to_string(),
        "resources": ["arn:aws:events:eu-west-1:111122223333:rule/sweep"],
        "detail": detail,
    })
}
