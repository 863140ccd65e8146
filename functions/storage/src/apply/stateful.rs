//! The calls of stateful families: a task starts, the volume of one that is over goes.

use std::collections::BTreeSet;

use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::ports::{Ran, Removed};
use wharfinger_core::known::Known;
use wharfinger_core::storage::{Action, Lineage, Memory};

use super::{Lineages, is_refusal};
use crate::Cloud;
use crate::observe::Look;

const RUN_TASK: &str = "RunTask";

impl<C: Cloud> Lineages<'_, C> {
    /// Starts the task of an identity. What is not answered stays an intent: the next look finds the task, or sends the same
    /// request once more.
    pub(super) async fn run(&self, lineage: &Lineage, input: &Value, memory: &mut Memory) -> Result<(), Fault> {
        let key = lineage.key();
        let ran = match self.cloud.run_task(input).await {
            Ok(ran) => ran,
            Err(error) => {
                // Nothing was started, and the next request is made of the configuration of then: a role that may not be
                // passed is none that is asked for again and again.
                if is_refusal(&error) {
                    memory.start_refused(&key, &error.to_string(), self.cloud.now());
                }
                return Err(error.into());
            }
        };
        match ran {
            Ran::Started(arn) => {
                let task = arn.parse().map_err(|error| {
                    let message = format!("an answer that is no task: {error}");
                    CloudError::new(RUN_TASK, Kind::Unreadable, message)
                })?;
                memory.started(&key, task);
            }
            Ran::Refused(words) => {
                tracing::warn!(%lineage, words, "ECS starts no task");
                memory.start_refused(&key, &words, self.cloud.now());
            }
            Ran::Conflict => memory.start_used(&key),
        }
        Ok(())
    }

    /// Removes the volume of a task that is over.
    pub(super) async fn remove(&self, lineage: &Lineage, volume: &str, memory: &mut Memory) -> Result<(), Fault> {
        match self.cloud.delete_volume(volume).await? {
            Removed::Done => {
                memory.volume_removed(&lineage.key(), volume);
                self.gone.borrow_mut().insert(volume.to_owned());
            }
            // It may be attached still, though EC2 showed it otherwise: it is looked at again.
            Removed::InUse(words) => tracing::warn!(%lineage, volume, words, "the volume stays"),
        }
        Ok(())
    }
}

/// What is known after the calls, when something can follow on them at once: volumes of tasks that are over are gone, so that
/// the next may start.
pub(super) fn after(look: &Look, actions: &[Action], gone: &BTreeSet<String>, memory: &Memory) -> Option<Look> {
    if gone.is_empty() {
        return None;
    }
    let mut look = look.clone();
    if let Known::Yes(volumes) = &mut look.facts.identities {
        volumes.retain(|volume| !gone.contains(&volume.volume_id));
    }
    if let Known::Yes(snapshots) = &mut look.facts.snapshots {
        let is_removal = |action: &Action, id: &str| matches!(action, Action::DeleteSnapshot { snapshot_id, .. } if snapshot_id == id);
        snapshots.retain(|one| !actions.iter().any(|action| is_removal(action, &one.snapshot_id)));
    }
    look.facts.memory = memory.clone();
    Some(look)
}
