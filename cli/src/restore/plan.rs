//! What a restore would do: looked at with the person's own credentials before anything is stored.

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use wharfinger_cloud::ports::{ServiceVolumes, Snapshots};
use wharfinger_cloud::table::Table;
use wharfinger_core::config::asked::RestoreAsked;
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::stored::{Managed, paused};
use wharfinger_core::storage::{LINEAGE_TAG, Lineage, RestorePoint, Snapshot, newest, seeded};

use super::Which;
use crate::holds::pause;

/// What is asked of AWS.
pub(super) trait World: Table + Snapshots + ServiceVolumes {}

impl<W: Table + Snapshots + ServiceVolumes> World for W {}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Plan {
    /// The volume.
    pub(super) volume: String,
    /// The snapshot that it begins with, and the moment that it shows.
    pub(super) snapshot: String,
    pub(super) at: Timestamp,
    /// That storage is paused: nothing is done before that ends.
    pub(super) paused: Option<String>,
    /// What is stored.
    #[serde(skip)]
    pub(super) asked: RestoreAsked,
}

/// The plan, or why there is none.
pub(super) async fn plan(
    cloud: &impl World,
    owner: &str,
    managed: &Managed,
    which: &Which,
    volume: Option<&str>,
    stamp: &Stamp,
) -> anyhow::Result<Result<Plan, String>> {
    let volume = match named(managed, volume) {
        Ok(volume) => volume,
        Err(why) => return Ok(Err(why)),
    };
    let lineage = Lineage::of(&managed.target, &volume);
    let snapshot = match find(cloud, owner, &lineage, which).await? {
        Ok(snapshot) => snapshot,
        Err(why) => return Ok(Err(why)),
    };
    let point = RestorePoint::of(&volume, &snapshot);
    let own = cloud.volume_configurations(&managed.target).await;
    let own = own.with_context(|| format!("the service {} cannot be described", managed.target))?;
    if let Err(error) = seeded(&own.unwrap_or_default(), &point) {
        return Ok(Err(error.to_string()));
    }
    let paused = paused(&managed.stored.paused, "storage", stamp.at);
    Ok(Ok(Plan {
        volume,
        snapshot: point.snapshot_id.clone(),
        at: point.at,
        paused: paused.map(|until| pause("storage", until)),
        asked: RestoreAsked {
            point,
            at: stamp.at,
            by: Some(stamp.by.clone()),
        },
    }))
}

/// The volume that is meant.
fn named(managed: &Managed, volume: Option<&str>) -> Result<String, String> {
    let target = &managed.target;
    let storage = &managed.stored.config.storage;
    let on_ebs = storage.iter().filter(|one| one.is_ebs());
    let volumes: Vec<_> = on_ebs.map(|one| one.volume.as_str()).collect();
    match (volume, &volumes[..]) {
        (_, []) if !storage.is_empty() => Err(format!(
            "{target} has no volume on EBS in its `storage`: what is on EFS has no snapshots"
        )),
        (_, []) => Err(format!("{target} has no `storage`: nothing would restore it")),
        (Some(volume), all) if all.contains(&volume) => Ok(volume.to_owned()),
        (Some(volume), all) => Err(format!(
            "{target} has no `{volume}` in its `storage`; there is {}",
            all.join(", ")
        )),
        (None, [only]) => Ok((*only).to_owned()),
        (None, all) => Err(format!("say which volume with --volume: {}", all.join(", "))),
    }
}

async fn find(
    cloud: &impl World,
    owner: &str,
    lineage: &Lineage,
    which: &Which,
) -> anyhow::Result<Result<Snapshot, String>> {
    const UNKNOWN: &str = "the snapshots cannot be described";
    match which {
        Which::Id(id) => {
            let found = cloud.snapshots(std::slice::from_ref(id)).await.context(UNKNOWN)?;
            Ok(match found.into_iter().find(|one| one.snapshot_id == *id) {
                None => Err(format!("there is no snapshot {id} in this account and Region")),
                Some(found) if !found.is_completed() => {
                    Err(format!("{id} is not completed: no volume can be made of it"))
                }
                Some(found) => Ok(found),
            })
        }
        Which::At(at) => {
            let found = cloud.snapshots_tagged(LINEAGE_TAG, &lineage.to_string()).await;
            let mut found = found.context(UNKNOWN)?;
            found.retain(|one| one.is_of(owner));
            let oldest = found
                .iter()
                .filter(|one| one.is_completed())
                .map(|one| one.start_time)
                .min();
            Ok(match (newest(&found, lineage, Some(*at)), oldest) {
                (Some(snapshot), _) => Ok(snapshot.clone()),
                (None, Some(oldest)) => Err(format!(
                    "{lineage} has no snapshot of {at} or before; the oldest is of {oldest}"
                )),
                (None, None) => Err(format!("{lineage} has no completed snapshot")),
            })
        }
    }
}
