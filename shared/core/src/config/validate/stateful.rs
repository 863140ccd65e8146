//! Stateful tasks.

use super::{Found, storage};
use crate::config::{Entry, Path, Stateful};
use crate::ids::{Arn, TargetKind};

/// The most identities of one family.
const MOST: u32 = 100;
/// The most subnets of a task (ECS API reference, `AwsVpcConfiguration`).
const MOST_SUBNETS: usize = 16;
/// The most security groups of a task (the same).
const MOST_GROUPS: usize = 5;
/// The largest volume, in GiB (EBS user guide, "Amazon EBS volume types": `io2`).
const LARGEST: u32 = 65_536;

pub(super) fn check(entry: &Entry, found: &mut Found) {
    let Some(stateful) = &entry.config.stateful else { return };
    let path = entry.path.at("stateful");
    if entry.kind != TargetKind::Task {
        let message = "stands under `services`: the volumes of a service's tasks are always deleted with them. Write the \
             family under `tasks`, and delete the service";
        found.error(path, message);
        return;
    }
    storage::volume_name(path.at("volume"), &stateful.volume, found);
    if !(1..=MOST).contains(&stateful.count) {
        let message = format!("must be 1 to {MOST}");
        found.error(path.at("count"), message);
    }
    if !(1..=LARGEST).contains(&stateful.size) {
        found.error(path.at("size"), format!("is in GiB: must be 1 to {LARGEST}"));
    }
    let is_role =
        Arn::parse(&stateful.role).is_some_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/"));
    if !is_role {
        let message = "must be the ARN of a role, `arn:aws:iam::ACCOUNT:role/NAME`: the one with the policy \
             AmazonECSInfrastructureRolePolicyForVolumes";
        found.error(path.at("role"), message);
    }
    place(&path, stateful, found);
    snapshots(&path.at("snapshot"), stateful, found);
}

fn place(path: &Path, stateful: &Stateful, found: &mut Found) {
    if stateful.launch_type.is_some() && !stateful.capacity_providers.is_empty() {
        let message = "stands beside `launch-type`: ECS takes one of them";
        found.error(path.at("capacity-providers"), message);
    }
    let Some(network) = &stateful.network else { return };
    let path = path.at("network");
    if !(1..=MOST_SUBNETS).contains(&network.subnets.len()) {
        found.error(path.at("subnets"), format!("must name 1 to {MOST_SUBNETS} subnets"));
    }
    if network.security_groups.len() > MOST_GROUPS {
        let message = format!("names {}; ECS takes {MOST_GROUPS}", network.security_groups.len());
        found.error(path.at("security-groups"), message);
    }
}

fn snapshots(path: &Path, stateful: &Stateful, found: &mut Found) {
    let snapshot = &stateful.snapshot;
    if let Some(every) = snapshot.every {
        storage::every(path.at("every"), every, found);
    }
    if let Some(keep) = snapshot.keep {
        storage::keep(path.at("keep"), keep, found);
    }
}
