//! Volumes, snapshots of them, and access points of file systems.

use std::collections::BTreeMap;

use serde_json::Value;
use wharfinger_core::ids::Target;
use wharfinger_core::storage::{AccessPoint, CreateAccessPoint, CreateSnapshot, Snapshot, Volume};

use crate::error::CloudError;

/// What became of a request for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapped {
    /// EC2 makes it: its moment is now.
    Made(Snapshot),
    /// The volume does not exist any more.
    NoVolume,
    /// Not now, in EC2's words: too many of this volume are pending, or the last one is seconds old.
    Later(String),
}

/// What became of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, or was.
    Done,
    /// Something needs it, in EC2's words: it stays.
    InUse(String),
}

/// Snapshots of this account.
pub trait Snapshots {
    /// `DescribeSnapshots` of those with this tag, every page.
    async fn snapshots_tagged(&self, tag: &str, value: &str) -> Result<Vec<Snapshot>, CloudError>;

    /// `DescribeSnapshots` by id; absent are those that do not exist.
    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, CloudError>;

    /// `CreateSnapshot`, sent once: a repeat makes another one. Whether one whose answer was lost was made is told by its
    /// tags, some seconds later.
    async fn create_snapshot(&self, request: &CreateSnapshot) -> Result<Snapped, CloudError>;

    /// `DeleteSnapshot`; of a missing one it is done already.
    async fn delete_snapshot(&self, id: &str) -> Result<Removed, CloudError>;

    /// `DescribeSnapshotAttribute`: the accounts that may make volumes of it, and `all` where everyone may.
    async fn shared_with(&self, id: &str) -> Result<Vec<String>, CloudError>;
}

/// Volumes of this account.
pub trait Volumes {
    /// `DescribeVolumes` of those with this tag, of every state, every page.
    async fn volumes_tagged(&self, tag: &str, value: &str) -> Result<Vec<Volume>, CloudError>;

    /// `DescribeVolumes` of those that ECS made and that are attached to nothing, every page.
    async fn available_volumes(&self) -> Result<Vec<Volume>, CloudError>;

    /// The volumes that tasks of a cluster name which have not stopped, each with such a task's id: `ListTasks` of those that
    /// are to run and of those that are to stop, and `DescribeTasks`. No part of the answer is left out.
    async fn named_volumes(&self, cluster: &str) -> Result<BTreeMap<String, String>, CloudError>;

    /// `DeleteVolume`; of a missing one it is done already.
    async fn delete_volume(&self, id: &str) -> Result<Removed, CloudError>;
}

/// What became of a request for an access point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// EFS makes it.
    Made(AccessPoint),
    /// It was made before with the same token: a list shows it, now or soon.
    Exists,
    /// Not now, in EFS's words: the file system is not there, not ready or full, or too many are made at once.
    Refused(String),
}

/// Access points of file systems of this account and Region.
pub trait AccessPoints {
    /// `DescribeAccessPoints` of a file system, every page; `None` when there is no such file system.
    async fn access_points(&self, file_system: &str) -> Result<Option<Vec<AccessPoint>>, CloudError>;

    /// `CreateAccessPoint`; a repeat makes no other, by its token.
    async fn create_access_point(&self, request: &CreateAccessPoint) -> Result<Opened, CloudError>;
}

/// What became of a request for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// ECS runs it, or ran it when this was asked for before: its ARN.
    Started(String),
    /// Nothing was started, in ECS's words.
    Refused(String),
    /// The token was used for another request.
    Conflict,
}

/// Standalone tasks.
pub trait Launches {
    /// `RunTask` of one task, by the whole request with its `clientToken`, sent once. The same again is answered with the
    /// same task, until it has been stopped for an hour, and for 24 hours at most (ECS API reference, "Ensuring
    /// idempotency").
    async fn run_task(&self, input: &Value) -> Result<Ran, CloudError>;
}

/// What services say of the volumes of their tasks.
pub trait ServiceVolumes {
    /// `volumeConfigurations` of the PRIMARY deployment, raw, as `UpdateService` takes it; `None` where there is none, or no
    /// such service.
    async fn volume_configurations(&self, service: &Target) -> Result<Option<Value>, CloudError>;

    /// The snapshots of which the service's deployments and its current revisions make volumes, each with where it is named:
    /// `DescribeServices` and `DescribeServiceRevisions`, 20 at a time. A task that is replaced needs them.
    async fn held_snapshots(&self, service: &Target) -> Result<BTreeMap<String, String>, CloudError>;
}
