//! What would be done about a service whose tasks find no place, and why its tasks stop.

use std::collections::BTreeSet;

use wharfinger_core::capacity::crash::{Heard, Stops, Told};
use wharfinger_core::capacity::fallback;
use wharfinger_core::capacity::placement::{self, Unplaced};
use wharfinger_core::config::stored::{Managed, ManagedCluster};
use wharfinger_core::config::{Capacity, CrashLoops, Fallback, Placement, SpotFallback};
use wharfinger_core::event::{ServiceAction, ServiceNews, TaskStateChange};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Reason};
use wharfinger_core::service::ServiceFacts;

use super::Config;
use super::capacity::{Explained, ignored};
use super::decide::{Call, Context};
use super::endpoints::both;

const DOMAIN: &str = "capacity";
const SERVICES: &str = "DescribeServices";
const GROUPS: &str = "DescribeAutoScalingGroups";
const PROVIDERS: &str = "DescribeCapacityProviders";

impl Context<'_> {
    /// ECS tells of a service.
    pub(super) fn service_action(&self, config: &Config, action: &ServiceAction) -> anyhow::Result<Explained> {
        let target = action.target.clone();
        let cluster = config.cluster(&target.cluster);
        let fallback = config.fallback(&target);
        let is_impaired = action.news == ServiceNews::ServiceTaskStartImpaired;
        if !is_impaired && action.news != ServiceNews::ServiceTaskPlacementFailure {
            let decision = match cluster {
                Err(nothing) if fallback.is_none() => nothing,
                _ => ignored(
                    Code::ToldOtherwise,
                    format!("{} of {target} asks for nothing", action.name),
                ),
            };
            return Ok((Some(target), decision));
        }
        let mut parts = Vec::new();
        if let Some((managed, rule)) = fallback {
            let dry_run = cluster.as_ref().is_ok_and(|(_, capacity)| capacity.dry_run);
            parts.push(self.fallback(managed, rule, action, dry_run)?);
        }
        if let Ok((managed, capacity)) = &cluster {
            if let Some(rule) = &capacity.placement {
                parts.push(self.placement(managed, capacity, rule, action)?);
            }
            if is_impaired {
                parts.push(self.impaired(&target, &capacity.crash_loops)?);
            }
        }
        let decision = match (parts.into_iter().reduce(both), cluster) {
            (Some(decision), _) | (None, Err(decision)) => decision,
            (None, Ok(_)) => {
                let why = action.reason.as_deref().unwrap_or("no reason is given");
                let message = format!(
                    "{target} finds no place ({why}), and {} has no `placement`",
                    target.cluster
                );
                ignored(Code::NotConfigured, message)
            }
        };
        Ok((Some(target), decision))
    }

    /// Whether the Auto Scaling group of the cluster grows.
    fn placement(
        &self,
        managed: &ManagedCluster,
        capacity: &Capacity,
        rule: &Placement,
        action: &ServiceAction,
    ) -> anyhow::Result<Decision<Call>> {
        let unplaced = match self.unplaced(action)? {
            Ok(unplaced) => unplaced,
            Err(mut missing) => {
                if self.answers.scaling_group(&rule.auto_scaling_group)? == Known::No {
                    missing.missing.push(GROUPS);
                }
                return Ok(missing);
            }
        };
        let facts = placement::Facts {
            rule,
            unplaced: unplaced.as_slice(),
            group: self.answers.scaling_group(&rule.auto_scaling_group)?,
            memory: &placement::Memory::default(),
        };
        let decision = placement::decide(&facts, self.now).decision;
        let decision = if capacity.dry_run { decision.dry() } else { decision };
        Ok(self.guarded_by(DOMAIN, &managed.stored.paused, decision))
    }

    /// What the tasks of the service lack, if they lack a place; else what must be known first.
    fn unplaced(&self, action: &ServiceAction) -> anyhow::Result<Result<Vec<Unplaced>, Decision<Call>>> {
        let target = &action.target;
        let lacks = |reason: &str, managed_scaling| Unplaced {
            service: target.to_string(),
            reason: reason.to_owned(),
            managed_scaling,
        };
        let told = action.reason.as_deref().map(|reason| lacks(reason, false));
        if let Some(told) = told.filter(|told| !told.lacks_instances()) {
            // What no instance gives is not asked after.
            return Ok(Ok(vec![told]));
        }
        let missing = |operation, message| {
            let reason = Reason::new(Code::FactsMissing, message);
            Ok(Err(Decision::needs(operation, reason)))
        };
        let service = match self.answers.service(target)? {
            Known::No => return missing(SERVICES, format!("what {target} lacks is not known")),
            Known::Yes(service) => service,
        };
        // A task on its way up has its place.
        let placed = |service: &ServiceFacts| service.running_count.saturating_add(service.pending_count);
        let lacking = |service: &ServiceFacts| service.is_active() && placed(service) < service.desired_count;
        let Some(service) = service.filter(lacking) else {
            return Ok(Ok(Vec::new()));
        };
        let said = service.unplaceable.as_ref().map(|said| said.message.as_str());
        let Some(reason) = action.reason.as_deref().or(said) else {
            return Ok(Ok(Vec::new()));
        };
        let strategy = service.capacity_provider_strategy.iter();
        let mut names = strategy.map(|item| item.capacity_provider.as_str());
        if !self.answers.knows_capacity_providers()
            && let Some(name) = names.clone().find(|name| !is_fargate(name))
        {
            let message = format!("whether ECS moves the group of capacity provider {name} itself is not known");
            return missing(PROVIDERS, message);
        }
        let providers = self.answers.capacity_providers();
        let managed = names.any(|name| providers.get(name).is_some_and(|provider| provider.managed_scaling));
        Ok(Ok(vec![lacks(reason, managed)]))
    }

    /// Whether tasks of the service run elsewhere while Spot is short.
    fn fallback(
        &self,
        managed: &Managed,
        rule: &SpotFallback,
        action: &ServiceAction,
        dry_run: bool,
    ) -> anyhow::Result<Decision<Call>> {
        let mut memory = fallback::Memory::default();
        let resource = action.reason.as_deref().is_some_and(|why| why.starts_with("RESOURCE:"));
        if resource && action.news == ServiceNews::ServiceTaskPlacementFailure {
            memory.hear(action.created_at.unwrap_or(self.now));
        }
        let twin = match &rule.fallback {
            Fallback::Twin(name) => match Target::parse(TargetKind::Service, name) {
                Ok(twin) => self.answers.service(&twin)?,
                Err(_) => Known::Yes(None),
            },
            Fallback::Strategy(_) => Known::No,
        };
        let facts = fallback::Facts {
            target: &managed.target,
            rule,
            service: self.answers.service(&managed.target)?,
            providers: self.answers.known_providers(),
            groups: self.answers.scaling_groups()?,
            twin,
            delivering: false,
            memory: &memory,
        };
        let decision = fallback::decide(&facts, self.now).decision;
        let decision = if dry_run { decision.dry() } else { decision };
        Ok(self.guarded(DOMAIN, managed, decision))
    }

    /// Why the tasks of a service do not stay, as far as answers tell of those that stopped.
    fn impaired(&self, target: &Target, rule: &CrashLoops) -> anyhow::Result<Decision<Call>> {
        let tasks = self.answers.stopped(target)?;
        let mut stops = Stops::default();
        let told: BTreeSet<_> = tasks
            .iter()
            .filter_map(|task| self.stop(&mut stops, task, rule))
            .collect();
        if told.is_empty() {
            let message = format!(
                "tasks of {target} do not stay: why is in the event of each task that stopped, or in DescribeTasks"
            );
            return Ok(ignored(Code::ToldOtherwise, message));
        }
        let mut reasons: Vec<_> = told
            .into_iter()
            .map(|message| Reason::new(Code::TaskStopped, message))
            .collect();
        let service = self.answers.service(target)?;
        let service = match &service {
            Known::Yes(service) => service.as_ref(),
            Known::No => None,
        };
        let looping = stops.look(rule, service, self.now);
        reasons.extend(looping.iter().map(Told::reason));
        Ok(Decision::of(Vec::new(), reasons))
    }

    /// Why a task stopped, where that is counted.
    pub(super) fn stopped(&self, config: &Config, target: &Target, task: &TaskStateChange) -> Option<Reason> {
        let (_, capacity) = config.cluster(&target.cluster).ok()?;
        if target.kind != TargetKind::Service {
            return None;
        }
        let message = self.stop(&mut Stops::default(), task, &capacity.crash_loops)?;
        Some(Reason::new(Code::TaskStopped, message))
    }

    /// Counts a task, and tells why it stopped; `None` when it is not over.
    fn stop(&self, stops: &mut Stops, task: &TaskStateChange, rule: &CrashLoops) -> Option<String> {
        let CrashLoops { after, within } = rule;
        let (stopped, counts) = match stops.hear(task, rule, self.now) {
            Heard::Nothing => return None,
            Heard::Meant(stopped) => (stopped, "this is no failure of the service".to_owned()),
            Heard::Lived(stopped) => (
                stopped,
                format!("it lived longer than {within}, which is no crash loop"),
            ),
            Heard::Counted(stopped) | Heard::Known(stopped) => {
                (stopped, format!("{after} such within {within} are a crash loop"))
            }
        };
        let said = [stopped.what(), stopped.class.remedy().to_owned(), counts];
        let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
        Some(format!("{}: {}", stopped.class.as_str(), said.join("; ")))
    }
}

fn is_fargate(provider: &str) -> bool {
    matches!(provider, "FARGATE" | "FARGATE_SPOT")
}

impl Config {
    /// A service with a fallback from Spot, and the fallback.
    fn fallback(&self, target: &Target) -> Option<(&Managed, &SpotFallback)> {
        let managed = self.targets.iter().find(|managed| managed.target == *target)?;
        let capacity = managed.stored.config.capacity.as_ref()?;
        Some((managed, &capacity.spot))
    }
}
