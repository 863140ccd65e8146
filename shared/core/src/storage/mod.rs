//! Storage: snapshots of the volumes of tasks, by lineage.

mod action;
mod lineage;
pub mod retention;
mod snapshot;
mod volume;

pub use action::{Action, CreateSnapshot};
pub use lineage::{AT_TAG, CLUSTER_TAG, LINEAGE_TAG, Lineage, OWNER_TAG, SERVICE_TAG, TASK_TAG, VOLUME_TAG};
pub use snapshot::{Snapshot, SnapshotState};
pub use volume::{MANAGED_TAG, TaskVolume, Volume};
