//! ECS services and their rolling deployments.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_core::config::StrategyItem;
use wharfinger_core::ids::Target;
use wharfinger_core::service::{DeploymentFacts, ServiceFacts, Unplaceable};

use super::{ACCOUNT, Caller, Change, Move, REGION, World};
use crate::error::{CloudError, Kind};
use crate::ports::{ServiceChange, Services};

/// How long an answer may lag behind a change: AWS says "within a few seconds" nearly always.
pub(super) const LAG: SignedDuration = SignedDuration::from_secs(8);

/// A service with ECS's own deployment controller.
#[derive(Debug, Clone)]
pub struct Service {
    /// How many tasks it is to have.
    pub desired: u32,
    /// Its deployments, the newest first: that one is PRIMARY, the others go away.
    pub deployments: Vec<Deployment>,
    /// Whether its tasks have a health check.
    pub health_check: bool,
    /// The task definition of the last deployment that was completed: the circuit breaker goes back to it.
    pub proved: Option<String>,
    /// How long its deployment configuration makes a healthy deployment wait: a PAUSE hook.
    pub patience: Duration,
    /// From which capacity providers its tasks come.
    pub strategy: Vec<StrategyItem>,
    /// `minimumHealthyPercent` and `maximumPercent`.
    pub percents: (u32, u32),
    /// The task definition of each deployment that there ever was, and when it began.
    pub sent_to: Vec<(Timestamp, String)>,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// The task definition's ARN.
    pub definition: String,
    /// Where it is.
    pub rollout: Rollout,
    /// When it began.
    pub since: Timestamp,
    /// `volumeConfigurations`: the volumes that ECS makes for each of its tasks.
    pub volumes: Vec<Value>,
}

/// Where a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// Its tasks replace the others.
    InProgress,
    /// Its tasks are the only ones.
    Completed,
    /// The circuit breaker ended it.
    Failed,
}

impl Rollout {
    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

impl Service {
    /// The deployment that is to stay.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }
}

fn arn(target: &Target) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/{target}")
}

fn not_found(operation: &'static str) -> CloudError {
    CloudError::new(operation, Kind::NotFound, "no such service")
}

impl World {
    /// Makes a service; its tasks come with [`World::moves`].
    pub fn make_service(&mut self, target: &Target, definition: &str, desired: u32, health_check: bool) {
        let service = Service {
            desired,
            deployments: Vec::new(),
            health_check,
            proved: None,
            patience: Duration::ZERO,
            strategy: Vec::new(),
            percents: (100, 200),
            sent_to: Vec::new(),
        };
        self.services.insert(target.clone(), service);
        self.deploy(target, definition, "in progress");
    }

    /// Sets a service's count as a person would, past every port.
    pub fn set_count(&mut self, target: &Target, desired: u32) {
        if let Some(service) = self.services.get_mut(target) {
            service.desired = desired;
        }
    }

    /// Sends a service to a revision as a person would, past every port. One that it has already changes nothing.
    pub fn deploy_by_hand(&mut self, target: &Target, definition: &str) {
        let has = self.services.get(target).and_then(Service::primary);
        if has.is_some_and(|primary| primary.definition != definition) {
            self.deploy(target, definition, "in progress");
        }
    }

    fn deploy(&mut self, target: &Target, definition: &str, reason: &str) {
        let (id, since) = (format!("ecs-svc/{}", self.next()), self.now);
        let deployment = Deployment {
            id: id.clone(),
            definition: definition.to_owned(),
            rollout: Rollout::InProgress,
            since,
            volumes: Vec::new(),
        };
        if let Some(service) = self.services.get_mut(target) {
            let volumes = service.primary().map(|primary| primary.volumes.clone());
            let volumes = volumes.unwrap_or_default();
            let deployment = Deployment { volumes, ..deployment };
            service.deployments.insert(0, deployment);
            service.sent_to.push((since, definition.to_owned()));
        }
        self.tell_deployment(target, &id, "SERVICE_DEPLOYMENT_IN_PROGRESS", reason);
    }

    fn tell_deployment(&mut self, target: &Target, id: &str, name: &str, reason: &str) {
        let detail = json!({
            "eventType": if name.ends_with("FAILED") { "ERROR" } else { "INFO" },
            "eventName": name,
            "deploymentId": id,
            "updatedAt": self.now.to_string(),
            "reason": format!("ECS deployment {id} {reason}."),
        });
        self.emit("aws.ecs", "ECS Deployment State Change", Some(arn(target)), &detail);
    }

    /// What a service's deployments may do next.
    pub(super) fn service_moves(&self, target: &Target, service: &Service, moves: &mut Vec<Move>) {
        let Some(primary) = service.primary() else { return };
        let wanted: Vec<_> = self
            .tasks
            .values()
            .filter(|t| t.target == *target && t.wanted)
            .collect();
        let (new, old): (Vec<&super::Task>, Vec<&super::Task>) = wanted
            .iter()
            .copied()
            .partition(|t| t.deployment.as_ref() == Some(&primary.id) && !self.is_drained(t));
        let share = |percent: u32, up: u32| {
            let tasks = (service.desired * percent + up) / 100;
            usize::try_from(tasks).unwrap_or_default()
        };
        let (least, most) = (share(service.percents.0, 99), share(service.percents.1, 0));
        let desired = usize::try_from(service.desired).unwrap_or_default();
        if new.len() < desired && wanted.len() < most && self.has_room(target) {
            moves.push(Move::Start(target.clone()));
        }
        if new.len() > desired {
            moves.extend(new.iter().map(|task| Move::Stop(task.arn.clone())));
        }
        let running = wanted.iter().filter(|t| t.is_running()).count();
        for task in &old {
            if !task.is_running() || running > least {
                moves.push(Move::Stop(task.arn.clone()));
            }
        }
        let through = new.len() == desired && old.is_empty() && new.iter().all(|t| t.is_running());
        if through && (primary.rollout == Rollout::InProgress || service.deployments.len() > 1) {
            moves.push(Move::Complete(target.clone()));
        }
    }

    pub(super) fn complete(&mut self, target: &Target) {
        let Some(service) = self.services.get_mut(target) else {
            return;
        };
        service.deployments.truncate(1);
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        primary.rollout = Rollout::Completed;
        let (id, definition) = (primary.id.clone(), primary.definition.clone());
        service.proved = Some(definition);
        self.tell_deployment(target, &id, "SERVICE_DEPLOYMENT_COMPLETED", "completed");
    }

    /// The circuit breaker ends the deployment in progress and goes back to the last one that was completed.
    pub(super) fn fail(&mut self, target: &Target) {
        let Some(service) = self.services.get_mut(target) else {
            return;
        };
        let Some(proved) = service.proved.clone() else { return };
        let Some(primary) = service.deployments.first_mut() else {
            return;
        };
        if primary.rollout != Rollout::InProgress || primary.definition == proved {
            return;
        }
        primary.rollout = Rollout::Failed;
        let id = primary.id.clone();
        self.tell_deployment(
            target,
            &id,
            "SERVICE_DEPLOYMENT_FAILED",
            "failed: tasks failed to start",
        );
        self.deploy(target, &proved, "in progress: rolling back");
    }

    fn facts(&self, target: &Target) -> Option<ServiceFacts> {
        let service = self.services.get(target)?;
        let tasks = || self.tasks.values().filter(|t| t.target == *target);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let deployment = |(i, d): (usize, &Deployment)| DeploymentFacts {
            id: d.id.clone(),
            status: if i == 0 { "PRIMARY" } else { "ACTIVE" }.to_owned(),
            task_definition: d.definition.clone(),
            rollout_state: Some(d.rollout.name().to_owned()),
            created_at: Some(d.since),
            desired_count: if i == 0 { service.desired } else { 0 },
            running_count: count(
                tasks()
                    .filter(|t| t.runs() && t.deployment.as_ref() == Some(&d.id))
                    .count(),
            ),
            ..DeploymentFacts::default()
        };
        Some(ServiceFacts {
            service_arn: arn(target),
            status: "ACTIVE".into(),
            desired_count: service.desired,
            running_count: count(tasks().filter(|t| t.runs()).count()),
            pending_count: count(tasks().filter(|t| t.is_starting()).count()),
            task_definition: service.primary()?.definition.clone(),
            deployment_controller: "ECS".into(),
            deployments: service.deployments.iter().enumerate().map(deployment).collect(),
            unplaceable: self.unplaceable(target, service),
            current_service_deployment: service
                .primary()
                .filter(|d| d.rollout == Rollout::InProgress)
                .map(|d| super::around::deployment_arn(target, &d.id)),
            scheduling_strategy: Some("REPLICA".into()),
            deployment_patience: service.patience,
            capacity_provider_strategy: service.strategy.clone(),
            minimum_healthy_percent: Some(service.percents.0.into()),
            maximum_percent: Some(service.percents.1.into()),
            ..ServiceFacts::default()
        })
    }

    /// That ECS finds no place for another task, as long as it finds none.
    fn unplaceable(&self, target: &Target, service: &Service) -> Option<Unplaceable> {
        let wanted = self.tasks.values().filter(|t| t.target == *target && t.wanted).count();
        let lacks = wanted < usize::try_from(service.desired).unwrap_or_default();
        (lacks && !self.has_room(target)).then(|| Unplaceable {
            at: self.now,
            message: format!(
                "(service {}) was unable to place a task because no container instance met all of its requirements. \
                 The closest matching container-instance is already using a port required by your task.",
                target.name
            ),
        })
    }

    /// What `DescribeServices` says: for a while it may be what was before our last change.
    fn seen(&self, target: &Target) -> Option<ServiceFacts> {
        let before = self
            .before
            .get(target)
            .filter(|(_, at)| self.lagging && self.now.duration_since(*at) < LAG);
        before.map_or_else(|| self.facts(target), |(facts, _)| Some(facts.clone()))
    }

    fn update_service(&mut self, target: &Target, change: &ServiceChange) -> Result<(), CloudError> {
        const OPERATION: &str = "UpdateService";
        let service = self.services.get(target).ok_or_else(|| not_found(OPERATION))?;
        let definition = service.primary().map(|d| d.definition.clone()).unwrap_or_default();
        let wanted = match change {
            ServiceChange::TaskDefinition(arn) => Some(arn),
            ServiceChange::Volumes { task_definition, .. } => task_definition.as_ref(),
            ServiceChange::DesiredCount(_) | ServiceChange::Strategy(_) => None,
        };
        if wanted.is_some_and(|arn| self.definitions.find(arn).is_none()) {
            return Err(CloudError::new(OPERATION, Kind::Invalid, "no such task definition"));
        }
        let before = self.facts(target).map(|facts| (facts, self.now));
        self.before.extend(before.map(|before| (target.clone(), before)));
        self.did(Change::UpdateService {
            target: target.clone(),
            change: change.clone(),
            count: service.desired,
            definition: definition.clone(),
        });
        match change {
            ServiceChange::DesiredCount(desired) => self.set_count(target, *desired),
            ServiceChange::TaskDefinition(arn) if *arn == definition => {}
            ServiceChange::TaskDefinition(arn) => self.deploy(target, arn, "in progress"),
            ServiceChange::Volumes {
                task_definition,
                configurations,
            } => {
                let arn = task_definition.as_ref().unwrap_or(&definition);
                self.deploy(target, arn, "in progress");
                let volumes = configurations.as_array().cloned();
                self.configure_volumes(target, &volumes.unwrap_or_default());
            }
            ServiceChange::Strategy(strategy) => {
                if let Some(service) = self.services.get_mut(target) {
                    service.strategy.clone_from(strategy);
                }
                self.deploy(target, &definition, "in progress");
            }
        }
        Ok(())
    }
}

impl Services for Caller {
    async fn describe_services(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, ServiceFacts>, CloudError> {
        let describe = |world: &World| {
            let find = |name: &String| Some((name.clone(), world.seen(&Target::service(cluster, name))?));
            Ok(names.iter().filter_map(find).collect())
        };
        let brief = |found: &BTreeMap<String, ServiceFacts>| {
            let one = |(name, s): (&String, &ServiceFacts)| {
                let primary = s.primary().and_then(|p| p.rollout_state.as_deref()).unwrap_or("?");
                let revision = s.task_definition.rsplit('/').next().unwrap_or_default();
                format!(
                    "{name}: {} desired, {} running, {revision} {primary}",
                    s.desired_count, s.running_count
                )
            };
            found.iter().map(one).collect::<Vec<_>>().join("; ")
        };
        self.read("DescribeServices", || names.join(" "), describe, brief).await
    }

    async fn update_service(&self, target: &Target, change: &ServiceChange) -> Result<(), CloudError> {
        let argument = || match change {
            ServiceChange::DesiredCount(count) => format!("{target} desiredCount={count}"),
            ServiceChange::TaskDefinition(arn) => {
                format!("{target} taskDefinition={}", arn.rsplit('/').next().unwrap_or(arn))
            }
            ServiceChange::Volumes { task_definition, .. } => {
                let arn = task_definition.as_deref().unwrap_or("the same");
                let revision = arn.rsplit('/').next().unwrap_or(arn);
                format!("{target} taskDefinition={revision} volumeConfigurations")
            }
            ServiceChange::Strategy(items) => {
                let names: Vec<_> = items.iter().map(|item| item.capacity_provider.as_str()).collect();
                format!("{target} capacityProviderStrategy={}", names.join(","))
            }
        };
        let update = |world: &mut World| world.update_service(target, change);
        self.write("UpdateService", argument, update, |()| "taken".to_owned())
            .await
    }
}
