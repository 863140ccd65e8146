//! The volumes of a revision that are mounted through an access point of EFS.
//!
//! An access point cannot be chosen when a task is started (aws/containers-roadmap #1412): it stands in the task definition,
//! so another one is another revision. It goes into the one that a rollout makes anyway, and none is made for its sake; a
//! revision that exists is taken as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Facts;
use super::action::Action;
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};
use crate::storage::{Provided, wanted};

/// The access points that a revision is to mount volumes through, by the volume's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mounts(BTreeMap<String, Mount>);

/// An access point, and its file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mount {
    /// `fs-…`.
    pub file_system: String,
    /// `fsap-…`.
    pub access_point: String,
}

impl FromIterator<(String, Mount)> for Mounts {
    fn from_iter<I: IntoIterator<Item = (String, Mount)>>(mounts: I) -> Self {
        Self(mounts.into_iter().collect())
    }
}

impl Mounts {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the change in a task definition or in the request that registers it, and no other: the volumes of these names
    /// that are on these file systems.
    pub fn apply(&self, definition: &mut Value) {
        self.each(definition, Mount::put);
    }

    /// With an access point `/` and no root directory are the same (ECS API reference, `EFSVolumeConfiguration`), so ECS may
    /// answer the one for the other: of these volumes both definitions say neither.
    pub(super) fn level(&self, expected: &mut Value, actual: &mut Value) {
        for definition in [expected, actual] {
            self.each(definition, |_, efs| {
                if efs.get(ROOT).is_some_and(|root| root == "/") {
                    efs.shift_remove(ROOT);
                }
            });
        }
    }

    fn each(&self, definition: &mut Value, change: impl Fn(&Mount, &mut Map<String, Value>)) {
        let volumes = definition.get_mut("volumes").and_then(Value::as_array_mut);
        for volume in volumes.into_iter().flatten() {
            let mount = volume
                .get("name")
                .and_then(Value::as_str)
                .and_then(|name| self.0.get(name));
            let efs = volume.get("efsVolumeConfiguration");
            if let Some(mount) = mount.filter(|mount| file_system(efs) == Some(&mount.file_system))
                && let Some(efs) = volume.get_mut("efsVolumeConfiguration").and_then(Value::as_object_mut)
            {
                change(mount, efs);
            }
        }
    }
}

const ROOT: &str = "rootDirectory";

impl Mount {
    /// With an access point its own path is the root, and the transfer is encrypted (ECS API reference,
    /// `EFSAuthorizationConfig.accessPointId`).
    fn put(&self, efs: &mut Map<String, Value>) {
        if efs.get(ROOT).is_some_and(|root| root != "/") {
            efs.shift_remove(ROOT);
        }
        efs.insert("transitEncryption".into(), "ENABLED".into());
        let authorization = efs.entry("authorizationConfig").or_insert(Value::Null);
        if !authorization.is_object() {
            *authorization = Value::Object(Map::new());
        }
        authorization["accessPointId"] = Value::from(self.access_point.as_str());
    }
}

fn file_system(efs: Option<&Value>) -> Option<&str> {
    efs?.get("fileSystemId")?.as_str()
}

/// What becomes of the volumes of the next revision, and what is to be said of it.
#[derive(Debug, Default)]
pub(super) struct Mounting {
    pub(super) mounts: Mounts,
    pub(super) reasons: Vec<Reason>,
}

/// The same for a described task definition, or why the rollout waits.
pub(super) fn mounting(facts: &Facts, answer: &Value) -> Result<Mounting, Decision<Action>> {
    let mut found = Mounting::default();
    for (volume, of) in wanted(&facts.storage) {
        let target = &facts.target;
        let efs = efs_of(answer, volume);
        let Some(on) = file_system(efs) else {
            let message = format!(
                "{target}/{volume}: the task definition has no volume `{volume}` with an `efsVolumeConfiguration`, so no \
                 access point is put into it: register a revision that has one"
            );
            found.reasons.push(Reason::new(Code::AccessPointRefused, message));
            continue;
        };
        if on != of.file_system {
            let message = format!(
                "{target}/{volume} is on {on}, and its `access-point` is of {}: write the same in both",
                of.file_system
            );
            let reason = Reason::new(Code::AccessPointRefused, message);
            return Err(Decision::without_calls(Outcome::Wait, reason));
        }
        let Known::Yes(provided) = &facts.access_points else {
            let message = format!("{target}/{volume}: which access points {on} has is not known");
            let reason = Reason::new(Code::FactsMissing, message);
            return Err(Decision::needs("DescribeAccessPoints", reason));
        };
        let Some(Provided { id, .. }) = provided.get(volume).filter(|provided| provided.of == *of) else {
            let message = format!(
                "{target}/{volume} has no access point yet that is {} of {on}: it goes on when storage has made one",
                of.path
            );
            let reason = Reason::new(Code::AccessPointMissing, message);
            return Err(Decision::without_calls(Outcome::Wait, reason));
        };
        let mount = Mount {
            file_system: on.to_owned(),
            access_point: id.clone(),
        };
        let mut after = efs.and_then(Value::as_object).cloned().unwrap_or_default();
        mount.put(&mut after);
        if efs.and_then(Value::as_object) != Some(&after) {
            let message = format!("volume {volume} is mounted through {id}, which is {} of {on}", of.path);
            found.reasons.push(Reason::new(Code::AccessPointMounted, message));
            found.mounts.0.insert(volume.to_owned(), mount);
        }
    }
    Ok(found)
}

/// `efsVolumeConfiguration` of a volume of a described task definition.
fn efs_of<'a>(answer: &'a Value, volume: &str) -> Option<&'a Value> {
    let mut volumes = answer.get("taskDefinition")?.get("volumes")?.as_array()?.iter();
    let its = volumes.find(|one| one.get("name").and_then(Value::as_str) == Some(volume))?;
    its.get("efsVolumeConfiguration").filter(|efs| efs.is_object())
}

#[cfg(test)]
mod tests;
