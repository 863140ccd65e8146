//! The calls that a plan is made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::guard::{Removal, Removes};
use crate::ids::Target;
use crate::report::Effect;
use crate::storage::{AT_TAG, CLUSTER_TAG, CreateSnapshot, Lineage, ORPHAN_TAG, OWNER_TAG};

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `CreateSnapshot`.
    CreateSnapshot(CreateSnapshot),
    /// `DeleteVolume`.
    DeleteVolume {
        /// `vol-…`.
        volume_id: String,
        /// The completed snapshot of it.
        snapshot_id: String,
    },
}

/// The snapshot of a volume that was left behind.
pub(super) fn snapshot_of(cluster: &Target, owner: &str, volume_id: &str, at: Timestamp) -> CreateSnapshot {
    let lineage = Lineage::of(cluster, volume_id);
    let tag = |key: &str, value: String| (key.to_owned(), value);
    let tags = BTreeMap::from([
        tag("Name", lineage.to_string()),
        tag(OWNER_TAG, owner.to_owned()),
        tag(CLUSTER_TAG, cluster.cluster.clone()),
        tag(ORPHAN_TAG, volume_id.to_owned()),
        tag(AT_TAG, at.to_string()),
    ]);
    CreateSnapshot {
        lineage,
        volume_id: volume_id.to_owned(),
        at,
        tags,
    }
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        match self {
            Self::CreateSnapshot(_) => "CreateSnapshot",
            Self::DeleteVolume { .. } => "DeleteVolume",
        }
    }

    fn input(&self) -> Value {
        match self {
            Self::CreateSnapshot(request) => request.input(),
            Self::DeleteVolume { volume_id, .. } => json!({ "VolumeId": volume_id }),
        }
    }
}

impl Removes for Action {
    fn removal(&self) -> Option<Removal<'_>> {
        match self {
            Self::CreateSnapshot(_) => None,
            // That it is the cluster's is what the decision begins with.
            Self::DeleteVolume { volume_id, .. } => Some(Removal {
                from: volume_id,
                ours: true,
            }),
        }
    }
}
