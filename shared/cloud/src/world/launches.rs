//! Standalone tasks that `RunTask` starts, and the volumes that they leave behind.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::Target;
use wharfinger_core::storage::{TaskVolume, Volume};

use super::services::LAG;
use super::{Caller, Change, Task, World};
use crate::error::CloudError;
use crate::ports::{self, Ran};

/// How long a token is known (ECS API reference, "Ensuring idempotency").
const TOKEN: SignedDuration = SignedDuration::from_hours(24);
/// How long `DescribeTasks` knows a task that has stopped, and its token is known after it.
const KNOWN: SignedDuration = SignedDuration::from_hours(1);

/// What `RunTask` was asked for, and how it answers.
#[derive(Debug, Clone, Default)]
pub struct Launches {
    /// Why no task is placed, in the words of `failures`; `None` while there is room.
    pub refusal: Option<String>,
    /// What was asked for with a token in a cluster.
    tokens: BTreeMap<(String, String), Token>,
    /// Each task as it was before its last change, if it was there, and when that was.
    before: BTreeMap<String, (Option<Task>, Timestamp)>,
}

#[derive(Debug, Clone)]
struct Token {
    input: Value,
    ran: Ran,
    at: Timestamp,
}

/// What `RunTask` said of a task, and what became of it.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// `startedBy`.
    pub started_by: Option<String>,
    /// `group`, where it was given.
    pub group: Option<String>,
    /// `volumeConfigurations`.
    pub volumes: Vec<Value>,
    /// When it was over.
    pub stopped_at: Option<Timestamp>,
}

impl Launch {
    /// Writes into a task's JSON what only such a task has.
    pub(super) fn tell(&self, task: &mut Value, described: bool) {
        if let Some(by) = &self.started_by {
            task["startedBy"] = by.as_str().into();
        }
        if let Some(at) = self.stopped_at {
            task["stoppedAt"] = if described {
                json!(at.as_duration().as_secs_f64())
            } else {
                json!(at.to_string())
            };
        }
    }

    fn of(input: &Value) -> Self {
        let text = |field: &str| input.get(field).and_then(Value::as_str).map(str::to_owned);
        let volumes = input.get("volumeConfigurations").and_then(Value::as_array);
        Self {
            started_by: text("startedBy"),
            group: text("group"),
            volumes: volumes.cloned().unwrap_or_default(),
            stopped_at: None,
        }
    }

    fn keeps(&self, name: Option<&str>) -> bool {
        let its = |volume: &&Value| volume.get("name").and_then(Value::as_str) == name;
        let policy = "/managedEBSVolume/terminationPolicy/deleteOnTermination";
        let deletes = self.volumes.iter().find(its).and_then(|v| v.pointer(policy)?.as_bool());
        deletes == Some(false)
    }
}

impl Task {
    /// Whether a volume stays when the task has stopped.
    #[must_use]
    pub fn leaves(&self, volume: &TaskVolume) -> bool {
        let launch = self.launch.as_ref();
        launch.is_some_and(|launch| launch.keeps(volume.name.as_deref()))
    }
}

impl World {
    /// A task is gone at once, with its machine.
    pub fn lose(&mut self, arn: &str) {
        if self
            .tasks
            .get(arn)
            .is_some_and(|task| task.status != TaskStatus::Stopped)
        {
            self.kill(arn);
        }
    }

    /// A task writes to its volumes, as it may until its containers have ended.
    pub fn write(&mut self, arn: &str) {
        let Some(task) = self.tasks.get(arn) else { return };
        if task.started_at.is_none() || task.status.has_stopped() {
            return;
        }
        for volume in &task.volumes {
            *self.ebs.written.entry(volume.volume_id.clone()).or_default() += 1;
        }
    }

    fn run_task(&mut self, input: &Value) -> Ran {
        let text = |field: &str| input.get(field).and_then(Value::as_str);
        let cluster = text("cluster").unwrap_or("default");
        let key = text("clientToken").map(|token| (cluster.to_owned(), token.to_owned()));
        if let Some(known) = key.as_ref().and_then(|key| self.launches.tokens.get(key))
            && self.knows(known)
        {
            let is_same = known.input == *input;
            return if is_same { known.ran.clone() } else { Ran::Conflict };
        }
        let ran = self.launch(cluster, text("taskDefinition").unwrap_or_default(), input);
        if let Some(key) = key {
            let token = Token {
                input: input.clone(),
                ran: ran.clone(),
                at: self.now,
            };
            self.launches.tokens.insert(key, token);
        }
        ran
    }

    /// Whether a token is still known.
    fn knows(&self, token: &Token) -> bool {
        let ended = match &token.ran {
            Ran::Started(arn) => self.tasks.get(arn).map_or(Some(token.at), ended),
            Ran::Refused(_) | Ran::Conflict => None,
        };
        let is_within = |since: Timestamp, length| self.now.duration_since(since) < length;
        is_within(token.at, TOKEN) && ended.is_none_or(|ended| is_within(ended, KNOWN))
    }

    fn launch(&mut self, cluster: &str, definition: &str, input: &Value) -> Ran {
        let found = self.definitions.find(definition.rsplit('/').next().unwrap_or_default());
        let text = |field: &str| {
            let field = found?.get("taskDefinition")?.get(field)?;
            field.as_str().map(str::to_owned)
        };
        let (Some(family), Some(arn)) = (text("family"), text("taskDefinitionArn")) else {
            return Ran::Refused("ClientException: TaskDefinition not found.".to_owned());
        };
        if let Some(why) = &self.launches.refusal {
            return Ran::Refused(why.clone());
        }
        let target = Target::task(cluster, family);
        let Some(task) = self.start_as(&target, Some((arn, Launch::of(input)))) else {
            return Ran::Refused("RESOURCE:PORTS".to_owned());
        };
        self.launches.before.insert(task.clone(), (None, self.now));
        self.did(Change::RunTask {
            arn: task.clone(),
            input: input.clone(),
        });
        Ran::Started(task)
    }

    /// Notes what a task was before it changed.
    pub(super) fn launched_anew(&mut self, before: Task) {
        let now = self.now;
        let arn = before.arn.clone();
        if let Some(task) = self.tasks.get_mut(&arn)
            && let (TaskStatus::Stopped, Some(launch)) = (task.status, &mut task.launch)
        {
            launch.stopped_at.get_or_insert(now);
        }
        self.launches.before.insert(arn, (Some(before), now));
    }

    /// A task as ECS shows it: for a while it may be what was before its last change, and an hour after it has stopped it is
    /// not known any more.
    pub(super) fn as_shown<'a>(&'a self, task: &'a Task) -> Option<&'a Task> {
        if ended(task).is_some_and(|ended| self.now.duration_since(ended) >= KNOWN) {
            return None;
        }
        let before = self.launches.before.get(&task.arn).filter(|_| self.lagging);
        match before {
            Some((before, at)) if self.now.duration_since(*at) < LAG => before.as_ref(),
            _ => Some(task),
        }
    }

    /// The volumes that ECS is to make for a task.
    pub(super) fn configured(&self, task: &Task) -> Vec<Value> {
        if let Some(launch) = &task.launch {
            return launch.volumes.clone();
        }
        let deployments = self.services.get(&task.target).map(|s| s.deployments.as_slice());
        let its = |d: &&super::Deployment| Some(&d.id) == task.deployment.as_ref();
        let its = deployments.unwrap_or_default().iter().find(its);
        its.map(|d| d.volumes.clone()).unwrap_or_default()
    }

    /// The volumes of a task that goes on are attached: before that they are available, as those of nobody.
    pub(super) fn attached(&mut self, task: &str) {
        let Some(task) = self.tasks.get(task) else { return };
        for volume in &task.volumes {
            if let Some(volume) = self.ebs.volumes.get_mut(&volume.volume_id) {
                "in-use".clone_into(&mut volume.state);
            }
        }
    }

    pub(super) fn detached(&mut self, volume: &str) {
        self.ebs.detaching.remove(volume);
        if let Some(volume) = self.ebs.volumes.get_mut(volume) {
            "available".clone_into(&mut volume.state);
        }
    }

    /// What `DescribeVolumes` shows of those with a tag: for a while it may be without the newest, and with what is gone.
    pub(super) fn volumes_with(&self, tag: &str, value: &str) -> Vec<Volume> {
        let lag = if self.lagging { LAG } else { SignedDuration::ZERO };
        let is_late = |since: Timestamp| self.now.duration_since(since) < lag;
        let shown_from = |volume: &Volume| self.ebs.shown_from.get(&volume.volume_id);
        let is_shown =
            |volume: &&Volume| shown_from(volume).is_none_or(|from| *from <= self.now) && !is_late(volume.create_time);
        let there = self.ebs.volumes.values().filter(is_shown);
        let gone = self.ebs.gone.values().filter(|(_, at)| is_late(*at));
        let all = there.chain(gone.map(|(volume, _)| volume));
        all.filter(|volume| volume.tags.get(tag).is_some_and(|v| v == value))
            .cloned()
            .collect()
    }
}

/// When a task that `RunTask` made was over.
fn ended(task: &Task) -> Option<Timestamp> {
    task.launch.as_ref()?.stopped_at
}

impl ports::Launches for Caller {
    async fn run_task(&self, input: &Value) -> Result<Ran, CloudError> {
        let argument = || {
            let text = |field: &str| input.get(field).and_then(Value::as_str).unwrap_or("?");
            let seed = input.pointer("/volumeConfigurations/0/managedEBSVolume/snapshotId");
            let seed = seed.and_then(Value::as_str).unwrap_or("nothing");
            format!("{} for {} from {seed}", text("taskDefinition"), text("startedBy"))
        };
        let run = |world: &mut World| Ok(world.run_task(input));
        self.write("RunTask", argument, run, |ran| format!("{ran:?}")).await
    }
}

#[cfg(test)]
mod tests;
