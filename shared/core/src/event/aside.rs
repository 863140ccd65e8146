//! Events of kinds that are known and ask for nothing.

use serde_json::Value;

use crate::report::{Code, Reason};

/// An event of a kind that is known and asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// `detail-type`.
    pub kind: &'static str,
    /// Why it asks for nothing.
    pub reason: Reason,
}

impl Aside {
    /// What an event of this kind says, if it is one.
    pub(super) fn parse(source: &str, detail_type: &str, detail: &Value) -> Option<Self> {
        let text = |field: &str| detail.get(field).and_then(Value::as_str);
        let (kind, code, message) = match (source, detail_type) {
            ("aws.ecr", "ECR Referrer Action") => {
                let (repository, media) = (text("repository-name"), text("artifact-media-type"));
                let message = format!(
                    "an artifact that refers to an image of {} moved{}: no container runs it",
                    repository.unwrap_or("a repository"),
                    media.map(|media| format!(" ({media})")).unwrap_or_default(),
                );
                ("ECR Referrer Action", Code::NotAnImage, message)
            }
            ("aws.ecr", "ECR Scan Resource Change") => {
                let message =
                    "repositories are scanned at other times from now on; the end of each scan is told by itself";
                ("ECR Scan Resource Change", Code::NotAPush, message.to_owned())
            }
            ("aws.inspector2", "Inspector2 Finding") => {
                let message = "one finding of many: what a scan found is looked up when it ends";
                ("Inspector2 Finding", Code::NotAPush, message.to_owned())
            }
            ("aws.ec2", _) => return Self::ebs(detail_type, detail),
            _ => return Self::auto_scaling(source, detail_type, detail),
        };
        Some(Self {
            kind,
            reason: Reason::new(code, message),
        })
    }

    /// What is told of volumes, and of snapshots that were not made one by one.
    fn ebs(detail_type: &str, detail: &Value) -> Option<Self> {
        let (kind, why) = VOLUMES.iter().find(|(kind, _)| *kind == detail_type)?;
        let event = detail.get("event").and_then(Value::as_str);
        let event = event.map_or_else(String::new, |event| format!("`{event}`: "));
        Some(Self {
            kind,
            reason: Reason::new(Code::ToldOtherwise, format!("{event}{why}")),
        })
    }

    /// What is told of Auto Scaling groups, and is no lifecycle action.
    fn auto_scaling(source: &str, detail_type: &str, detail: &Value) -> Option<Self> {
        if source != "aws.autoscaling" {
            return None;
        }
        let (kind, why) = GROUPS.iter().find(|(kind, _)| *kind == detail_type)?;
        let group = detail.get("AutoScalingGroupName").and_then(Value::as_str);
        let group = group.map_or_else(|| "a group".to_owned(), |name| format!("the group {name}"));
        Some(Self {
            kind,
            reason: Reason::new(Code::ToldOtherwise, format!("{group}: {why}")),
        })
    }
}

/// What a group tells of what it does, and why that asks for nothing.
const GROUPS: [(&str, &str); 12] = [
    (
        "EC2 Instance Launch Successful",
        "an instance came; it counts once its agent registers it, which ECS tells",
    ),
    (
        "EC2 Instance Launch Unsuccessful",
        "an instance could not be started; the group goes on trying",
    ),
    (
        "EC2 Instance Terminate Successful",
        "an instance went; what had to come before was done at its lifecycle action",
    ),
    (
        "EC2 Instance Terminate Unsuccessful",
        "an instance could not be terminated; the group goes on trying",
    ),
    ("EC2 Auto Scaling Instance Refresh Started", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Succeeded", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Failed", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Cancelled", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Checkpoint Reached", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Rollback Started", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Rollback Succeeded", REFRESH),
    ("EC2 Auto Scaling Instance Refresh Rollback Failed", REFRESH),
];

/// What EBS tells, and why that asks for nothing.
const VOLUMES: [(&str, &str); 3] = [
    (
        "EBS Volume Notification",
        "which volume a task has, ECS tells with the task",
    ),
    (
        "EBS Multi-Volume Snapshots Completion Status",
        "several volumes of an instance at once: Wharfinger makes snapshots of tasks' volumes, one by one",
    ),
    (
        "EBS Fast Snapshot Restore State-change Notification",
        "how fast volumes of a snapshot are filled changes nothing here",
    ),
];

const REFRESH: &str = "an instance refresh moved; each instance that it replaces has a lifecycle action of its own";
