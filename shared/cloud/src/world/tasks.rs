//! ECS tasks, and what the world does by itself.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::event::{TaskStateChange, TaskStatus};
use wharfinger_core::ids::{Target, TargetKind, TaskArn};
use wharfinger_core::storage::TaskVolume;

use super::{ACCOUNT, Caller, Launch, Placement, REGION, World};
use crate::error::{CloudError, Kind};
use crate::ports::{DescribedTasks, Tasks};

/// A task: on Fargate with a network interface of its own, or on a container instance whose addresses it shares.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// The service or family to which it belongs.
    pub target: Target,
    /// Its task definition's ARN.
    pub definition: String,
    /// The deployment that started it.
    pub deployment: Option<String>,
    /// Rises with every change.
    pub version: i64,
    /// Whether ECS wants it to run.
    pub wanted: bool,
    /// Where it is.
    pub status: TaskStatus,
    /// Its address, from PENDING on.
    pub address: Option<String>,
    /// Its network interface's id, from PENDING on; may be taken away, and is then in no event.
    pub interface: Option<String>,
    /// Where it runs, when it has no network interface of its own.
    pub placement: Option<Placement>,
    /// When it ran first.
    pub started_at: Option<Timestamp>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`; `None` without a health check.
    pub health: Option<&'static str>,
    /// The volumes that ECS made for it, from PENDING on.
    pub volumes: Vec<TaskVolume>,
    /// What `RunTask` said of it, if that made it.
    pub launch: Option<Launch>,
    containers: Vec<Value>,
}

/// What the world may do by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A service starts a task, or RunTask does.
    Start(Target),
    /// ECS decides to stop a task: its service has too many, or it crashed.
    Stop(String),
    /// A task goes on to the next state of its life.
    Advance(String),
    /// A task's health check passes.
    Heal(String),
    /// ECS forgets a task that has stopped.
    Forget(String),
    /// A deployment is through.
    Complete(Target),
    /// The circuit breaker ends a deployment.
    Fail(Target),
    /// A volume that its task leaves behind is attached to nothing any more.
    Detach(String),
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
        match self {
            Self::Start(target) => write!(f, "a task of {target} starts"),
            Self::Stop(arn) => write!(f, "task {} is to stop", id(arn)),
            Self::Advance(arn) => write!(f, "task {} goes on", id(arn)),
            Self::Heal(arn) => write!(f, "task {} is healthy", id(arn)),
            Self::Forget(arn) => write!(f, "ECS forgets task {}", id(arn)),
            Self::Complete(target) => write!(f, "the deployment of {target} is completed"),
            Self::Fail(target) => write!(f, "the circuit breaker ends the deployment of {target}"),
            Self::Detach(volume) => write!(f, "{volume} is detached"),
        }
    }
}

impl Task {
    /// Whether it runs and is meant to.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.wanted && self.runs()
    }

    pub(super) fn runs(&self) -> bool {
        self.status == TaskStatus::Running
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(
            self.status,
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating
        )
    }

    /// A task as the detail of one of its events has it; `None` when that cannot be read.
    #[must_use]
    pub fn from_event(detail: &Value) -> Option<Self> {
        let known = TaskStateChange::parse(detail).ok()?;
        Some(Self {
            arn: known.task_arn.to_string(),
            target: known.target().ok()?,
            definition: known.task_definition_arn.clone(),
            deployment: None,
            version: known.version,
            wanted: known.desired_status != TaskStatus::Stopped,
            status: known.last_status,
            address: known.private_ipv4,
            interface: known.network_interface_id,
            placement: None,
            started_at: known.started_at,
            health: None,
            volumes: known.volumes,
            launch: None,
            containers: detail
                .get("containers")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        })
    }

    /// The last part of its ARN.
    #[must_use]
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    fn family(&self) -> &str {
        let name = self.definition.rsplit('/').next().unwrap_or_default();
        name.split(':').next().unwrap_or_default()
    }

    fn next(&self) -> Option<TaskStatus> {
        Some(match self.status {
            TaskStatus::Provisioning if self.wanted => TaskStatus::Pending,
            TaskStatus::Pending if self.wanted => TaskStatus::Activating,
            TaskStatus::Activating if self.wanted => TaskStatus::Running,
            TaskStatus::Running if self.wanted => return None,
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating | TaskStatus::Running => {
                TaskStatus::Deactivating
            }
            TaskStatus::Deactivating => TaskStatus::Stopping,
            TaskStatus::Stopping => TaskStatus::Deprovisioning,
            TaskStatus::Deprovisioning => TaskStatus::Stopped,
            TaskStatus::Stopped | TaskStatus::Deleted | TaskStatus::Unknown => return None,
        })
    }

    /// The task as the event's detail has it, or as `DescribeTasks` answers it.
    pub(super) fn json(&self, described: bool) -> Value {
        let given = self.launch.as_ref().and_then(|launch| launch.group.clone());
        let group = given.unwrap_or_else(|| match self.target.kind {
            TargetKind::Service => format!("service:{}", self.target.name),
            TargetKind::Task | TargetKind::Cluster => format!("family:{}", self.target.name),
        });
        let mut task = json!({
            "taskArn": self.arn,
            "clusterArn": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{}", self.target.cluster),
            "taskDefinitionArn": self.definition,
            "version": self.version,
            "group": group,
            "desiredStatus": if self.wanted { TaskStatus::Running } else { TaskStatus::Stopped },
            "lastStatus": self.status,
            "launchType": if self.placement.is_some() { "EC2" } else { "FARGATE" },
            "availabilityZone": format!("{REGION}a"),
            "attachments": self.attachments(described),
            "containers": self.containers(described),
        });
        if let Some(placement) = &self.placement {
            task["containerInstanceArn"] = placement.container_instance.clone().into();
        }
        if let Some(at) = self.started_at {
            task["startedAt"] = if described {
                // Epoch seconds, with the milliseconds as their fraction.
                json!(at.as_duration().as_secs_f64())
            } else {
                json!(at.to_string())
            };
        }
        if let (true, Some(health)) = (described, self.health) {
            task["healthStatus"] = health.into();
        }
        if let Some(launch) = &self.launch {
            launch.tell(&mut task, described);
        }
        task
    }

    /// Whether it has a network interface of its own.
    fn has_interface(&self) -> bool {
        self.placement.as_ref().is_none_or(|placement| placement.interfaces)
    }

    fn attachments(&self, described: bool) -> Value {
        let volumes = self.volumes.iter().enumerate();
        let volumes = volumes.map(|(i, volume)| self.volume_attachment(i, volume, described));
        self.interface_attachment(described)
            .into_iter()
            .chain(volumes)
            .collect()
    }

    fn interface_attachment(&self, described: bool) -> Option<Value> {
        if !self.has_interface() {
            return None;
        }
        let interface = self.interface.as_ref().map(|id| ("networkInterfaceId", id));
        let address = self.address.as_ref().map(|address| ("privateIPv4Address", address));
        let details = [interface, address].into_iter().flatten();
        let details: Vec<_> = details
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        Some(json!({
            "id": format!("attachment-{}", self.id()),
            "type": if described { "ElasticNetworkInterface" } else { "eni" },
            "details": details,
        }))
    }

    fn volume_attachment(&self, number: usize, volume: &TaskVolume, described: bool) -> Value {
        json!({
            "id": format!("volume-{number}-{}", self.id()),
            "type": if described { "AmazonElasticBlockStorage" } else { "amazonebs" },
            "details": [
                { "name": "volumeId", "value": volume.volume_id },
                { "name": "volumeName", "value": volume.name },
                { "name": "deleteOnTermination", "value": (!self.leaves(volume)).to_string() },
            ],
        })
    }

    /// "Network bindings are visible after the task reaches RUNNING" (ECS API reference, `Container`).
    fn containers(&self, described: bool) -> Vec<Value> {
        let placement = self.placement.as_ref().filter(|p| described || p.told);
        match placement.filter(|_| self.started_at.is_some()) {
            Some(placement) => placement.bind(&self.containers),
            None => self.containers.clone(),
        }
    }
}

impl World {
    /// What the world may do next by itself, until every service is steady and every task has arrived.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (target, service) in &self.services {
            self.service_moves(target, service, &mut moves);
        }
        for task in self.tasks.values() {
            if task.next().is_some() {
                moves.push(Move::Advance(task.arn.clone()));
            }
            if task.is_running() && task.health == Some("UNKNOWN") {
                moves.push(Move::Heal(task.arn.clone()));
            }
        }
        moves.extend(self.ebs.detaching.iter().cloned().map(Move::Detach));
        moves
    }

    /// Makes a move; one that is not possible any more changes nothing.
    pub fn make(&mut self, a: &Move) {
        match a {
            Move::Start(target) => self.start(target),
            Move::Stop(arn) => self.change(arn, |task, _| {
                let changes = task.wanted;
                task.wanted = false;
                changes
            }),
            Move::Advance(arn) => self.advance(arn),
            Move::Heal(arn) => {
                if let Some(task) = self.tasks.get_mut(arn) {
                    task.health = task.health.map(|_| "HEALTHY");
                }
            }
            Move::Forget(arn) => {
                if self.tasks.get(arn).is_some_and(|t| t.status == TaskStatus::Stopped) {
                    self.tasks.remove(arn);
                }
            }
            Move::Complete(target) => self.complete(target),
            Move::Fail(target) => self.fail(target),
            Move::Detach(volume) => self.detached(volume),
        }
    }

    /// Takes a task in as it is; its service comes with it, if there is none.
    pub fn adopt(&mut self, task: Task) {
        if task.target.kind == TargetKind::Service && !self.services.contains_key(&task.target) {
            let service = super::Service {
                desired: 0,
                deployments: Vec::new(),
                health_check: false,
                proved: None,
                patience: std::time::Duration::ZERO,
                strategy: Vec::new(),
                percents: (100, 200),
                sent_to: Vec::new(),
            };
            self.services.insert(task.target.clone(), service);
        }
        self.tasks.insert(task.arn.clone(), task);
    }

    /// Sets what a task's health check says: `DescribeTasks` shows it, events do not.
    pub fn set_health(&mut self, arn: &str, health: Option<&'static str>) {
        if let Some(task) = self.tasks.get_mut(arn) {
            task.health = health;
        }
    }

    /// Starts a task of a service's newest deployment, or of a family's latest revision; without room nothing happens.
    fn start(&mut self, target: &Target) {
        self.start_as(target, None);
    }

    /// The same, as `RunTask` does it. The answer is the task's ARN.
    pub(super) fn start_as(&mut self, target: &Target, launch: Option<(String, Launch)>) -> Option<String> {
        let placement = match self.host_networks.get(target).map(|network| self.place(network)) {
            Some(None) => return None,
            Some(placement) => placement,
            None => None,
        };
        let (named, launch) = launch.unzip();
        let (definition, deployment, checked) = match target.kind {
            TargetKind::Service => {
                let primary = self.services.get(target)?.primary()?;
                let service = self.services.get(target)?;
                (
                    primary.definition.clone(),
                    Some(primary.id.clone()),
                    service.health_check,
                )
            }
            TargetKind::Task | TargetKind::Cluster => {
                let revision = self.definitions.revisions(&target.name);
                let arn = format!(
                    "arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{}:{revision}",
                    target.name
                );
                (named.unwrap_or(arn), None, false)
            }
        };
        let containers = self
            .definitions
            .containers(&definition)
            .into_iter()
            .map(|(name, image)| {
                let digest = self.resolve(&image);
                json!({ "name": name, "image": image, "imageDigest": digest })
            });
        let containers = containers.collect();
        let id = self.next();
        let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{}/{id:032x}", target.cluster);
        let task = Task {
            arn: arn.clone(),
            target: target.clone(),
            definition,
            deployment,
            version: 1,
            wanted: true,
            status: TaskStatus::Provisioning,
            address: None,
            interface: None,
            placement,
            started_at: None,
            health: checked.then_some("UNKNOWN"),
            volumes: Vec::new(),
            launch,
            containers,
        };
        self.tasks.insert(arn.clone(), task);
        self.tell_task(&arn);
        Some(arn)
    }

    /// The digest that an image reference of our registry names now.
    fn resolve(&self, image: &str) -> Option<String> {
        if let Some((_, digest)) = image.split_once('@') {
            return Some(digest.to_owned());
        }
        let (name, tag) = image.rsplit_once(':')?;
        let repository = name.split_once('/')?.1;
        self.repositories.digest(repository, tag).map(ToString::to_string)
    }

    /// A task is gone at once, with its machine.
    pub(super) fn kill(&mut self, arn: &str) {
        self.change(arn, |task, _| {
            task.wanted = false;
            task.status = TaskStatus::Stopped;
            true
        });
        self.detach(arn);
    }

    fn advance(&mut self, arn: &str) {
        let Some(task) = self.tasks.get(arn) else { return };
        let (next, has_interface) = (task.next(), task.has_interface());
        let begins = next == Some(TaskStatus::Pending);
        let free = (begins && has_interface).then(|| self.free_address()).flatten();
        let volumes = if begins { self.attach(arn) } else { None };
        self.change(arn, |task, now| {
            let Some(next) = next else { return false };
            if begins && volumes.is_none() {
                task.wanted = false;
                return true;
            }
            task.status = next;
            if begins && has_interface {
                task.address = free;
                task.interface = Some(format!("eni-{}", task.id()));
            }
            task.volumes.extend(volumes.unwrap_or_default());
            if next == TaskStatus::Running {
                task.started_at = Some(now);
            }
            true
        });
        match next {
            Some(TaskStatus::Activating) => self.attached(arn),
            Some(TaskStatus::Stopped) => self.detach(arn),
            _ => {}
        }
    }

    /// Addresses come back into use as soon as their task is gone: the lowest free one is given.
    fn free_address(&self) -> Option<String> {
        let held = self.tasks.values().filter(|t| t.holds_address());
        let used: BTreeSet<_> = held.filter_map(|t| t.address.as_deref()).collect();
        let mut all = (1_u16..10_000).map(|n| format!("10.0.{}.{}", n / 250, n % 250 + 1));
        all.find(|a| !used.contains(a.as_str()))
    }

    fn change(&mut self, arn: &str, change: impl FnOnce(&mut Task, Timestamp) -> bool) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(arn) else { return };
        let before = task.launch.is_some().then(|| task.clone());
        if change(task, now) {
            task.version += 1;
            if let Some(before) = before {
                self.launched_anew(before);
            }
            self.tell_task(arn);
        }
    }

    fn tell_task(&mut self, arn: &str) {
        let Some(task) = self.tasks.get(arn) else { return };
        if self.unheard {
            return;
        }
        let detail = task.json(false);
        self.emit("aws.ecs", "ECS Task State Change", Some(arn.to_owned()), &detail);
    }
}

impl Task {
    pub(super) fn holds_address(&self) -> bool {
        !matches!(self.status, TaskStatus::Deprovisioning | TaskStatus::Stopped)
    }
}

impl Tasks for Caller {
    async fn list_tasks(&self, target: &Target) -> Result<Vec<TaskArn>, CloudError> {
        let list = |world: &World| {
            if target.kind == TargetKind::Service && !world.services.contains_key(target) {
                return Err(CloudError::new("ListTasks", Kind::NotFound, "no such service"));
            }
            let belongs = |task: &&Task| {
                task.wanted
                    && task.target.cluster == target.cluster
                    && match target.kind {
                        TargetKind::Service => task.target == *target,
                        TargetKind::Task => task.family() == target.name,
                        TargetKind::Cluster => true,
                    }
            };
            Ok(world
                .tasks
                .values()
                .filter_map(|task| world.as_shown(task))
                .filter(belongs)
                .filter_map(|t| t.arn.parse().ok())
                .collect())
        };
        self.read(
            "ListTasks",
            || target.to_string(),
            list,
            |list: &Vec<_>| format!("{} task(s)", list.len()),
        )
        .await
    }

    async fn describe_tasks(&self, cluster: &str, tasks: &[TaskArn]) -> Result<DescribedTasks, CloudError> {
        let describe = |world: &World| {
            let mut answer = DescribedTasks::default();
            for arn in tasks {
                let known = world.tasks.get(arn.as_str()).and_then(|task| world.as_shown(task));
                match known.filter(|t| t.target.cluster == cluster) {
                    Some(task) => {
                        let task = TaskStateChange::from_describe_tasks(&task.json(true));
                        let unreadable = |e| {
                            CloudError::new(
                                "DescribeTasks",
                                Kind::Unreadable,
                                format!("an answer that is no task: {e}"),
                            )
                        };
                        answer.tasks.push(task.map_err(unreadable)?);
                    }
                    None => answer.missing.push(arn.to_string()),
                }
            }
            Ok(answer)
        };
        let argument = || format!("{} task(s)", tasks.len());
        let brief = |d: &DescribedTasks| format!("{} known, {} missing", d.tasks.len(), d.missing.len());
        self.read("DescribeTasks", argument, describe, brief).await
    }
}
