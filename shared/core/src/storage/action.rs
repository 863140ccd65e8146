//! The calls that a plan of storage is made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CreateAccessPoint, Lineage};
use crate::guard::{Removal, Removes};
use crate::report::Effect;

/// A snapshot to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSnapshot {
    /// What it belongs to; of a volume that ECS left behind its cluster and its id.
    pub lineage: Lineage,
    /// The volume, `vol-…`.
    pub volume_id: String,
    /// When it was decided on. EC2 takes no token for this call (EC2 API reference, `CreateSnapshot`), so that this, which
    /// is among its tags, is what tells whether it was made when the answer is lost.
    pub at: Timestamp,
    /// Its tags, ours among them.
    pub tags: BTreeMap<String, String>,
}

impl CreateSnapshot {
    /// The request, in the API's own case.
    #[must_use]
    pub fn input(&self) -> Value {
        let tags = self
            .tags
            .iter()
            .map(|(key, value)| json!({ "Key": key, "Value": value }));
        let tags: Vec<_> = tags.collect();
        json!({
            "VolumeId": self.volume_id,
            "Description": self.description(),
            "TagSpecifications": [{ "ResourceType": "snapshot", "Tags": tags }],
        })
    }

    /// What people see in the console.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{} by Wharfinger", self.lineage)
    }
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `CreateAccessPoint`.
    CreateAccessPoint(CreateAccessPoint),
    /// `CreateSnapshot`.
    CreateSnapshot(CreateSnapshot),
    /// `DeleteSnapshot`.
    DeleteSnapshot {
        /// What it belonged to.
        lineage: Lineage,
        /// `snap-…`.
        snapshot_id: String,
        /// Whether it carries our mark.
        ours: bool,
    },
    /// `RunTask`: the task of an identity is started.
    RunTask {
        /// What its volume belongs to.
        lineage: Lineage,
        /// The request, in the API's own case; with its token it can be sent again.
        input: Value,
    },
    /// `DeleteVolume`: of a task that is over, and a completed snapshot has what was on it.
    DeleteVolume {
        /// What it belonged to.
        lineage: Lineage,
        /// `vol-…`.
        volume_id: String,
        /// Whether it carries our mark.
        ours: bool,
    },
    /// `UpdateService`: a new deployment, whose volumes begin with what a person asked for.
    UpdateService {
        /// The cluster's name.
        cluster: String,
        /// The service's name.
        service: String,
        /// The service's own `volumeConfigurations`, one of them with another snapshot.
        volumes: Value,
    },
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        match self {
            Self::CreateAccessPoint(_) => "CreateAccessPoint",
            Self::CreateSnapshot(_) => "CreateSnapshot",
            Self::DeleteSnapshot { .. } => "DeleteSnapshot",
            Self::RunTask { .. } => "RunTask",
            Self::DeleteVolume { .. } => "DeleteVolume",
            Self::UpdateService { .. } => "UpdateService",
        }
    }

    fn input(&self) -> Value {
        match self {
            Self::CreateAccessPoint(request) => request.input(),
            Self::CreateSnapshot(request) => request.input(),
            Self::DeleteSnapshot { snapshot_id, .. } => json!({ "SnapshotId": snapshot_id }),
            Self::RunTask { input, .. } => input.clone(),
            Self::DeleteVolume { volume_id, .. } => json!({ "VolumeId": volume_id }),
            Self::UpdateService {
                cluster,
                service,
                volumes,
            } => json!({
                "cluster": cluster, "service": service, "volumeConfigurations": volumes, "forceNewDeployment": true,
            }),
        }
    }
}

impl Removes for Action {
    fn removal(&self) -> Option<Removal<'_>> {
        match self {
            Self::CreateAccessPoint(_)
            | Self::CreateSnapshot(_)
            | Self::RunTask { .. }
            | Self::UpdateService { .. } => None,
            Self::DeleteSnapshot { lineage, ours, .. } | Self::DeleteVolume { lineage, ours, .. } => Some(Removal {
                from: &lineage.volume,
                ours: *ours,
            }),
        }
    }
}
