//! Storage: snapshots of the volumes of tasks, by lineage, and access points of EFS.
//!
//! One decision, per volume that is configured, in the order in which it is made:
//!
//! 1. `due`: what became of the snapshot that was asked for last; whether one is due, and of which task's volume;
//! 2. `prune`: what [`retention`] removes, as far as nothing refers to it.
//!
//! A stateful family has lineages of its own, one for each `identity`: whether its task is started, and its volume removed,
//! is decided in the place of `due`.
//!
//! Of a volume on EFS it is which access point it is mounted through, and whether that is there (`access`).
//!
//! Then, for the service as a whole, `asked`: the restore that a person asked for. What a rollout restores is delivery's, by
//! the rules of `restore`.
//!
//! The caller holds the service's lease and stores [`Decided::before_call`] before it makes the calls, and afterwards what
//! came of them. `CreateSnapshot` takes no token, so what is stored tells the next look that it may have been made: its time
//! is among the snapshot's tags, and for as long as EC2 may not show it yet nothing else is made. So a crash between any two
//! of these leads to one snapshot at most.
//!
//! [`orphans`] is a decision of its own, per cluster: volumes that ECS left behind.

mod access;
mod access_point;
mod action;
mod asked;
mod decide;
mod due;
mod facts;
mod held;
mod identity;
mod lineage;
mod memory;
mod notice;
pub mod orphans;
mod prune;
mod restore;
pub mod retention;
mod snapshot;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use access_point::wanted;
pub use access_point::{
    ACCESS_POINT_TAG, AccessPoint, CreateAccessPoint, Provided, Unused, is_unused, keyed, owner_key, provided,
};
pub use action::{Action, CreateSnapshot};
pub use asked::{Restored, Restoring};
pub use decide::{Decided, decide};
pub use facts::{Asks, Facts, Mounted};
pub use held::{held_by_revision, held_by_service, volume_configurations};
pub use identity::{Absent, IdentityMemory, Start, identity_of, started_by};
pub use lineage::{
    AT_TAG, CLUSTER_TAG, FAMILY_TAG, FINAL_TAG, IDENTITY_TAG, LINEAGE_TAG, Lineage, ORPHAN_TAG, OWNER_TAG, SERVICE_TAG,
    TASK_TAG, VOLUME_TAG,
};
pub use memory::{Failed, Held, Intent, Memory, RecoveryPoint, Standing, VolumeMemory};
pub use notice::{Notice, Stage};
pub use restore::{RestoreError, RestorePoint, newest, seeded};
pub use snapshot::{Snapshot, SnapshotState};
pub use volume::{CLUSTER_NAME_TAG, MANAGED_TAG, SERVICE_NAME_TAG, TaskVolume, Volume};
