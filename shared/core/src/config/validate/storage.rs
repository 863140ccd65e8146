//! How volumes are kept.

use super::{Found, access_points};
use crate::config::{ClusterStorage, Document, Keep, Path, Restore, Scaling, Service, Span, Storage};

/// The longest name of a volume (ECS API reference, `Volume`).
const VOLUME_NAME: usize = 255;
/// The least time between two snapshots: how often the function looks.
const LEAST_EVERY: Span = Span::minutes(1);

/// The least time after which a volume that is attached to nothing counts as left over: ECS attaches and detaches within
/// minutes.
const LEAST_AFTER: Span = Span::minutes(60);

pub(super) fn check_clusters(document: &Document, found: &mut Found) {
    for (name, cluster) in &document.clusters {
        if let Some(storage) = &cluster.storage {
            of_cluster(&Path::root().at("clusters").at(name).at("storage"), storage, found);
        }
    }
}

fn of_cluster(path: &Path, storage: &ClusterStorage, found: &mut Found) {
    match storage.orphans {
        None => found.warning(path.clone(), "has no effect: give it `orphans: { after: 24h }`"),
        Some(orphans) if orphans.after < LEAST_AFTER => {
            let message =
                format!("must be at least `{LEAST_AFTER}`: ECS may be about to attach the volume, or to delete it");
            found.error(path.at("orphans").at("after"), message);
        }
        Some(_) => {}
    }
}

pub(super) fn check(path: &Path, service: &Service, found: &mut Found) {
    let volumes = &service.storage;
    for (i, storage) in volumes.iter().enumerate() {
        let path = path.at("storage").at(i);
        volume_name(path.at("volume"), &storage.volume, found);
        if volumes[..i].iter().any(|other| other.volume == storage.volume) {
            found.error(
                path.at("volume"),
                format!("volume `{}` stands here twice", storage.volume),
            );
        }
        if let Some(point) = &storage.access_point {
            access_points::check(&path, storage, point, found);
            continue;
        }
        snapshot(&path, storage, found);
        if storage.restore == Restore::Newest && service.delivery.is_empty() {
            let message = "only rollouts of `delivery` restore, and there are none: see `wharfinger restore`";
            found.warning(path.at("restore"), message);
        }
    }
    if let Some(most) = service.scaling.as_ref().map(most).filter(|most| *most > 1) {
        for (i, storage) in volumes.iter().enumerate() {
            siblings(&path.at("storage").at(i), storage, most, found);
        }
    }
}

fn snapshot(path: &Path, storage: &Storage, found: &mut Found) {
    let Some(snapshot) = &storage.snapshot else {
        if storage.restore == Restore::Newest {
            let message =
                "only snapshots that Wharfinger made are restored, and `snapshot` does not say that any are made";
            found.warning(path.at("restore"), message);
        } else {
            let message = "nothing is done for this volume: give it `snapshot: { every: 6h }`";
            found.warning(path.clone(), message);
        }
        return;
    };
    let path = path.at("snapshot");
    every(path.at("every"), snapshot.every, found);
    if let Some(keep) = snapshot.keep {
        self::keep(path.at("keep"), keep, found);
    }
}

/// The name of a volume in the task definition.
pub(super) fn volume_name(path: Path, name: &str, found: &mut Found) {
    if name.contains('/') {
        let message = "the volume's name has a `/`: write letters, digits, `-` and `_`, as the task definition does";
        found.error(path.clone(), message);
    }
    found.name(path, "the volume's name", name, VOLUME_NAME);
}

/// How often snapshots are made.
pub(super) fn every(path: Path, every: Span, found: &mut Found) {
    if every < LEAST_EVERY {
        let message = format!("must be at least `{LEAST_EVERY}`: volumes are looked at once a minute");
        found.error(path, message);
    }
}

/// Which snapshots are kept.
pub(super) fn keep(path: Path, keep: Keep, found: &mut Found) {
    if keep.is_unlimited() {
        let message = "has no effect: where `last`, `hourly`, `daily`, `weekly` and `monthly` are left out or 0, every snapshot is kept for \
             ever";
        found.warning(path, message);
    }
}

/// The most tasks that the rules and the schedule may ask for.
fn most(scaling: &Scaling) -> u32 {
    let scheduled = scaling.schedule.iter().flat_map(|entry| [entry.min, entry.max]);
    scheduled.flatten().chain([scaling.max]).max().unwrap_or_default()
}

/// Each task has a volume of its own, and a service one `volumeConfigurations` for all of them.
fn siblings(path: &Path, storage: &Storage, most: u32, found: &mut Found) {
    if storage.snapshot.is_some() {
        let message = format!(
            "`scaling` may go to {most} tasks, each with a volume of its own: with more than one no snapshot is made, since \
             a new task would start from that of a random sibling"
        );
        found.warning(path.at("snapshot"), message);
    }
    if storage.restore == Restore::Newest {
        let message = format!(
            "`scaling` may go to {most} tasks, and a service has one `volumeConfigurations` for all: each would start from \
             the same snapshot, that of a random sibling"
        );
        found.warning(path.at("restore"), message);
    }
}
