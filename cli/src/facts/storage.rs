//! What is known of snapshots, of the volumes of tasks, and of what refers to either.

use std::collections::BTreeMap;

use serde_json::Value;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::storage::{
    AccessPoint, Mounted, Snapshot, Volume, held_by_revision, held_by_service, volume_configurations,
};

use super::Answers;

impl Answers {
    /// Every snapshot of `DescribeSnapshots`.
    pub(crate) fn snapshots(&self) -> anyhow::Result<Known<Vec<Snapshot>>> {
        const DESCRIBE: &str = "DescribeSnapshots";
        if !self.has(DESCRIBE) {
            return Ok(Known::No);
        }
        self.each_has(DESCRIBE, "Snapshots")?;
        let read = self.elements(DESCRIBE, "Snapshots").map(|found| {
            let why = "`SnapshotId` or `StartTime` is missing";
            Snapshot::parse(found.value).ok_or_else(|| self.unusable(&found, why))
        });
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// Every volume of `DescribeVolumes`.
    pub(crate) fn volumes(&self) -> anyhow::Result<Known<Vec<Volume>>> {
        const DESCRIBE: &str = "DescribeVolumes";
        if !self.has(DESCRIBE) {
            return Ok(Known::No);
        }
        self.each_has(DESCRIBE, "Volumes")?;
        let read = self.elements(DESCRIBE, "Volumes").map(|found| {
            let why = "`VolumeId`, `State` or `CreateTime` is missing";
            Volume::parse(found.value).ok_or_else(|| self.unusable(&found, why))
        });
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// Every access point of `DescribeAccessPoints`.
    pub(crate) fn access_points(&self) -> anyhow::Result<Known<Vec<AccessPoint>>> {
        const DESCRIBE: &str = "DescribeAccessPoints";
        if !self.has(DESCRIBE) {
            return Ok(Known::No);
        }
        self.each_has(DESCRIBE, "AccessPoints")?;
        let read = self.elements(DESCRIBE, "AccessPoints").map(|found| {
            let why = "`AccessPointId`, `FileSystemId` or `LifeCycleState` is missing";
            AccessPoint::parse(found.value).ok_or_else(|| self.unusable(&found, why))
        });
        read.collect::<anyhow::Result<_>>().map(Known::Yes)
    }

    /// The tasks of a service in `DescribeTasks`, with their volumes, or that there are none, by `ListTasks`.
    pub(crate) fn mounted(&self, target: &Target) -> anyhow::Result<Known<Vec<Mounted>>> {
        let Known::Yes(tasks) = self.tasks()? else {
            return Ok(Known::No);
        };
        let its = tasks
            .iter()
            .filter(|task| task.target().is_ok_and(|owner| owner == *target));
        Ok(Known::Yes(its.map(Mounted::from).collect()))
    }

    /// The snapshots to which a service refers: its deployments by `DescribeServices`, and its revisions by
    /// `DescribeServiceRevisions`. Known once both were asked, and of a service that is not there.
    pub(crate) fn held(&self, target: &Target) -> Known<BTreeMap<String, String>> {
        if matches!(self.service(target), Ok(Known::Yes(None))) {
            return Known::Yes(BTreeMap::new());
        }
        let (Some(service), true) = (self.living(target), self.has("DescribeServiceRevisions")) else {
            return Known::No;
        };
        let revisions: Vec<_> = self.elements("DescribeServiceRevisions", "serviceRevisions").collect();
        let answered: Vec<_> = revisions
            .iter()
            .filter_map(|one| one.text("serviceRevisionArn"))
            .collect();
        let current = service.value.get("currentServiceRevisions").and_then(Value::as_array);
        let mut current = current.into_iter().flatten();
        // One of which nothing is told may start tasks from any of them.
        if !current.all(|one| {
            one.get("arn")
                .and_then(Value::as_str)
                .is_some_and(|arn| answered.contains(&arn))
        }) {
            return Known::No;
        }
        let mut held: BTreeMap<_, _> = revisions
            .iter()
            .flat_map(|revision| held_by_revision(revision.value))
            .collect();
        held.extend(held_by_service(service.value));
        Known::Yes(held)
    }

    /// `volumeConfigurations` of a service, by `DescribeServices`.
    pub(crate) fn volume_configurations(&self, target: &Target) -> Known<Option<Value>> {
        match self.living(target) {
            Some(service) => Known::Yes(volume_configurations(service.value).cloned()),
            None => Known::No,
        }
    }

    /// Whether others may make volumes of each snapshot of which `DescribeSnapshotAttribute` tells.
    pub(crate) fn shared(&self) -> BTreeMap<String, bool> {
        let answers = self.by_operation.get("DescribeSnapshotAttribute");
        let answers = answers.map(Vec::as_slice).unwrap_or_default().iter();
        let read = answers.filter_map(|answer| {
            let allowed = answer.get("CreateVolumePermissions")?.as_array()?;
            let id = answer.get("SnapshotId").and_then(Value::as_str)?;
            Some((id.to_owned(), !allowed.is_empty()))
        });
        read.collect()
    }
}
