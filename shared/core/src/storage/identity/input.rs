//! The request that starts the task of an identity.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::config::{Network, Stateful, StrategyItem};
use crate::storage::{Lineage, RecoveryPoint};

/// What the tasks of an identity say of who started them: `owner/identity`.
#[must_use]
pub fn started_by(owner: &str, identity: u32) -> String {
    format!("{owner}/{identity}")
}

/// The same read; `None` when it was not this stack.
#[must_use]
pub fn identity_of(started_by: &str, owner: &str) -> Option<u32> {
    started_by.strip_prefix(owner)?.strip_prefix('/')?.parse().ok()
}

/// The request of `RunTask`.
///
/// The volume outlives the task: `deleteOnTermination` is false, which ECS takes for tasks of no service only (ECS API
/// reference, `TaskManagedEBSVolumeTerminationPolicy`).
pub(super) fn input(
    stateful: &Stateful,
    lineage: &Lineage,
    owner: &str,
    at: Timestamp,
    point: Option<&RecoveryPoint>,
) -> Value {
    let identity = lineage.identity.unwrap_or_default();
    let mut input = json!({
        "cluster": lineage.target.cluster,
        "taskDefinition": lineage.target.name,
        "count": 1,
        "clientToken": token(lineage, at),
        "startedBy": started_by(owner, identity),
        "enableECSManagedTags": true,
        "propagateTags": "TASK_DEFINITION",
        "volumeConfigurations": [{
            "name": stateful.volume,
            "managedEBSVolume": volume(stateful, lineage, owner, at, point),
        }],
    });
    let fields = input.as_object_mut();
    if let Some(fields) = fields {
        fields.extend(place(stateful));
    }
    input
}

/// At most 64 characters (ECS API reference, `RunTask`): the name of a family may have 255, so a digest of it.
fn token(lineage: &Lineage, at: Timestamp) -> String {
    format!("{:016x}-{}", fnv(&lineage.to_string()), at.as_millisecond())
}

/// FNV-1a: the same in every build, which the standard library's hash is not.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn volume(stateful: &Stateful, lineage: &Lineage, owner: &str, at: Timestamp, point: Option<&RecoveryPoint>) -> Value {
    let tags = lineage.volume_tags(owner, at);
    let tags = tags.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    let size = point.map_or(stateful.size, |point| stateful.size.max(point.gib));
    let mut volume = json!({
        "roleArn": stateful.role,
        "sizeInGiB": size,
        "tagSpecifications": [{ "resourceType": "volume", "tags": tags.collect::<Vec<_>>() }],
        "terminationPolicy": { "deleteOnTermination": false },
    });
    let optional = [
        ("snapshotId", point.map(|point| json!(point.id))),
        ("volumeType", stateful.volume_type.as_ref().map(|kind| json!(kind))),
        ("iops", stateful.iops.map(|n| json!(n))),
        ("throughput", stateful.throughput.map(|n| json!(n))),
        ("encrypted", stateful.kms_key.as_ref().map(|_| json!(true))),
        ("kmsKeyId", stateful.kms_key.as_ref().map(|key| json!(key))),
        ("filesystemType", stateful.filesystem.map(|kind| json!(kind))),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            volume[key] = value;
        }
    }
    volume
}

fn place(stateful: &Stateful) -> Map<String, Value> {
    let mut place = Map::new();
    if let Some(kind) = stateful.launch_type {
        place.insert("launchType".to_owned(), json!(kind));
    }
    if !stateful.capacity_providers.is_empty() {
        let strategy: Vec<_> = stateful.capacity_providers.iter().map(provider).collect();
        place.insert("capacityProviderStrategy".to_owned(), json!(strategy));
    }
    if let Some(network) = &stateful.network {
        place.insert("networkConfiguration".to_owned(), interface(network));
    }
    place
}

fn provider(item: &StrategyItem) -> Value {
    json!({
        "capacityProvider": item.capacity_provider,
        "weight": item.weight.unwrap_or_default(),
        "base": item.base.unwrap_or_default(),
    })
}

fn interface(network: &Network) -> Value {
    let address = if network.public_ip { "ENABLED" } else { "DISABLED" };
    let mut interface = json!({ "subnets": network.subnets, "assignPublicIp": address });
    if !network.security_groups.is_empty() {
        interface["securityGroups"] = json!(network.security_groups);
    }
    json!({ "awsvpcConfiguration": interface })
}
