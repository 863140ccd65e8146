//! What would be done about the volumes of a service, or of a stateful family.

use std::collections::BTreeMap;

use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::{SnapshotEvent, TaskStateChange};
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Reason};
use wharfinger_core::storage::{self, AccessPoint, Facts, Memory, Mounted, Snapshot, SnapshotState, identity_of};

use super::Config;
use super::capacity::{Explained, ignored};
use super::decide::{Call, Context};

const DOMAIN: &str = "storage";

impl Context<'_> {
    /// EC2 tells of a snapshot. Whose it is, its tags say.
    pub(super) fn snapshot(&self, config: &Config, event: &SnapshotEvent) -> anyhow::Result<Explained> {
        let id = &event.snapshot_id;
        if config
            .targets
            .iter()
            .all(|managed| !managed.stored.config.keeps_volumes())
        {
            let message = format!(
                "nothing in {} has `storage` or `stateful`: nothing is done for {id}",
                config.name
            );
            return Ok((None, ignored(Code::NotManaged, message)));
        }
        let Known::Yes(mut snapshots) = self.answers.snapshots()? else {
            let reason = Reason::new(
                Code::FactsMissing,
                format!("whose {id} is, is not known: its tags say it"),
            );
            return Ok((None, Decision::needs("DescribeSnapshots", reason)));
        };
        // What was asked for before the event came is older than the event.
        for snapshot in snapshots.iter_mut().filter(|snapshot| snapshot.snapshot_id == *id) {
            if snapshot.state == SnapshotState::Pending {
                snapshot.state = if event.succeeded {
                    SnapshotState::Completed
                } else {
                    SnapshotState::Error
                };
                snapshot.state_message = event.cause.clone().filter(|_| !event.succeeded);
            }
        }
        let lineage = snapshots
            .iter()
            .find(|snapshot| snapshot.snapshot_id == *id && snapshot.is_of(self.owner))
            .and_then(Snapshot::lineage);
        let Some(lineage) = lineage else {
            let message = format!("{id} does not carry our mark: it is left alone");
            return Ok((None, ignored(Code::NotOurs, message)));
        };
        let mut managed = config.targets.iter().filter(|managed| managed.target == lineage.target);
        let Some(managed) = managed.find(|managed| managed.stored.config.keeps_volumes()) else {
            let message = format!(
                "{id} is of {lineage}, and the volumes of {} are not kept any more: it stays",
                lineage.target
            );
            return Ok((Some(lineage.target), ignored(Code::StrangeSnapshot, message)));
        };
        let mut decision = self.storage(managed, &snapshots, None)?;
        let (code, end) = match (event.succeeded, event.cause.as_deref()) {
            (true, _) => (Code::SnapshotSucceeded, "is completed".to_owned()),
            (false, cause) => (
                Code::SnapshotFailed,
                format!("failed: {}", cause.unwrap_or("EC2 says no more")),
            ),
        };
        decision
            .reasons
            .insert(0, Reason::new(code, format!("{lineage}: {id} {end}")));
        Ok((Some(managed.target.clone()), decision))
    }

    /// A task changed whose service has `storage`. Its own volumes are in the event.
    pub(super) fn volumes(&self, managed: &Managed, task: &TaskStateChange) -> anyhow::Result<Decision<Call>> {
        let target = &managed.target;
        if managed.stored.config.stateful.is_some() {
            let by = task.started_by.as_deref().unwrap_or_default();
            if identity_of(by, self.owner).is_none() {
                let message = format!(
                    "task {} of {target} was started by `{by}`, and is none of its identities: it is left alone",
                    task.task_arn.id()
                );
                return Ok(ignored(Code::NotOurs, message));
            }
        } else if !task.is_running() || task.volumes.is_empty() {
            let what = if task.is_running() {
                "has no EBS volume"
            } else {
                "does not run"
            };
            let message = format!(
                "task {} of {target} {what}: its event tells nothing of a volume",
                task.task_arn.id()
            );
            return Ok(ignored(Code::NoVolume, message));
        }
        match self.answers.snapshots()? {
            Known::Yes(snapshots) => self.storage(managed, &snapshots, Some(task)),
            Known::No => {
                let message = format!("which snapshots of {target} there are is not known");
                let reason = Reason::new(Code::FactsMissing, message);
                Ok(Decision::needs("DescribeSnapshots", reason))
            }
        }
    }

    /// The access points of the file systems that a service names: of one that is not among the answers there are none.
    fn file_systems(&self, managed: &Managed) -> anyhow::Result<BTreeMap<String, Option<Vec<AccessPoint>>>> {
        let Known::Yes(points) = self.answers.access_points()? else {
            return Ok(BTreeMap::new());
        };
        let rules = managed.stored.config.storage.iter();
        let names = rules.filter_map(|rule| Some(rule.access_point.as_ref()?.file_system.clone()));
        let of = |name: String| {
            let its = points.iter().filter(|point| point.file_system == name);
            let its = its.cloned().collect();
            (name, Some(its))
        };
        Ok(names.map(of).collect())
    }

    fn storage(
        &self,
        managed: &Managed,
        snapshots: &[Snapshot],
        told: Option<&TaskStateChange>,
    ) -> anyhow::Result<Decision<Call>> {
        let target = &managed.target;
        let mut tasks = self.answers.mounted(target)?;
        if managed.stored.config.stateful.is_some() && self.answers.lists_another(told.map(|task| &task.task_arn)) {
            // It may be one of an identity, and live.
            tasks = Known::No;
        } else if let Some(told) = told.map(Mounted::from) {
            let mut known = tasks.into_option().unwrap_or_default();
            known.retain(|task| task.task != told.task);
            known.push(told);
            tasks = Known::Yes(known);
        }
        let facts = Facts {
            target: target.clone(),
            owner: self.owner.to_owned(),
            rules: managed.stored.config.storage.clone(),
            service: self.answers.service(target)?,
            tasks,
            snapshots: Known::Yes(snapshots.to_vec()),
            held: self.answers.held(target),
            shared: self.answers.shared(),
            history: BTreeMap::new(),
            file_systems: self.file_systems(managed)?,
            refused: BTreeMap::new(),
            // What was asked for once may be done by now, of which nothing tells here.
            asked: None,
            volumes: Known::No,
            stateful: managed.stored.config.stateful.clone(),
            identities: self.answers.volumes()?,
            memory: Memory::default(),
        };
        let decision = storage::decide(&facts, self.now).decision;
        Ok(self.guarded(DOMAIN, managed, decision))
    }
}
