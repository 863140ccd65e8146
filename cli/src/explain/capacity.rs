//! What would be done about instances that go.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_core::capacity::{Action, Causes, ContainerInstance, Facts, Going, decide};
use wharfinger_core::config::Capacity;
use wharfinger_core::config::stored::ManagedCluster;
use wharfinger_core::event::{Detail, Event};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use super::Config;
use super::answer::join;
use super::decide::{Call, Context};

/// A decision, and the cluster or service that it is about.
pub(super) type Explained = (Option<Target>, Decision<Call>);

pub(super) fn ignored(code: Code, message: String) -> Decision<Call> {
    Decision::without_calls(Outcome::Ignore, Reason::new(code, message))
}

impl Context<'_> {
    /// What was told of instances: they go, may go, start or are in another state.
    pub(super) fn instances(&self, config: &Config, event: &Event) -> anyhow::Result<Explained> {
        let causes = Causes::of_event(event, self.now);
        if causes.is_empty() {
            return Ok((config.only().map(|only| only.target.clone()), comes(event)));
        }
        let described = self.answers.container_instances()?;
        let clusters = config.clusters_of(&causes, &described);
        let names: Vec<_> = causes.keys().cloned().collect();
        match &clusters[..] {
            [] if config.configured().next().is_none() => {
                let message = format!(
                    "no cluster in {} has `capacity`: nothing is done for {}",
                    config.name,
                    names.join(", ")
                );
                Ok((None, ignored(Code::NotManaged, message)))
            }
            of if !causes.values().any(Causes::is_reason_to_go) => {
                let target = of.first().map(Target::of_cluster);
                let message = format!(
                    "nothing of this lets {} go, nor is anything known of it",
                    names.join(", ")
                );
                Ok((target, ignored(Code::NothingGoes, message)))
            }
            [] => Ok((None, self.nowhere(config, &causes, &described, &names.join(", "))?)),
            [cluster, ..] => {
                let target = Target::of_cluster(cluster.clone());
                let decision = match config.cluster(cluster) {
                    Ok((managed, capacity)) => self.cluster(managed, capacity, causes, described)?,
                    Err(decision) => decision,
                };
                Ok((Some(target), decision))
            }
        }
    }

    /// In which of several clusters the instances are is not known, or in none.
    fn nowhere(
        &self,
        config: &Config,
        causes: &BTreeMap<String, Causes>,
        described: &Known<Vec<ContainerInstance>>,
        names: &str,
    ) -> anyhow::Result<Decision<Call>> {
        if matches!(described, Known::Yes(_)) {
            return Ok(ignored(
                Code::NotManaged,
                format!(
                    "no cluster with `capacity` in {} has the container instance of {names}: nothing is done for it",
                    config.name
                ),
            ));
        }
        // Where each of them would leave it alone, it matters not in which it is.
        let mut decisions = Vec::new();
        for managed in config.configured() {
            let capacity = managed.stored.config.capacity.as_ref();
            let capacity = capacity.cloned().unwrap_or_default();
            let decision = self.cluster(managed, &capacity, causes.clone(), Known::No)?;
            decisions.push((managed.target.clone(), decision));
        }
        if decisions.iter().all(|(_, decision)| decision.missing.is_empty()) {
            return Ok(join(decisions));
        }
        let message = format!("in which cluster of {} {names} is, is not known", config.name);
        let reason = Reason::new(Code::FactsMissing, message);
        let mut decision = Decision::needs("ListContainerInstances", reason);
        decision.missing.push("DescribeContainerInstances");
        Ok(self.unless_listed(decision))
    }

    /// Of listed instances it is known which are to be described.
    fn unless_listed(&self, mut decision: Decision<Call>) -> Decision<Call> {
        if self.answers.lists_container_instances() {
            decision
                .missing
                .retain(|operation| *operation != "ListContainerInstances");
        }
        decision
    }

    fn cluster(
        &self,
        managed: &ManagedCluster,
        capacity: &Capacity,
        causes: BTreeMap<String, Causes>,
        described: Known<Vec<ContainerInstance>>,
    ) -> anyhow::Result<Decision<Call>> {
        let cluster = Some(&managed.target.cluster);
        let is_here = |instance: &ContainerInstance| instance.cluster.as_ref().is_none_or(|c| Some(c) == cluster);
        let by_id = |one: ContainerInstance| Some((one.ec2_instance_id.clone()?, one));
        let instances = match described {
            Known::Yes(described) => Known::Yes(described.into_iter().filter(is_here).filter_map(by_id).collect()),
            Known::No => Known::No,
        };
        let mut facts = Facts::new(managed.target.clone(), capacity.clone());
        facts.instances = instances;
        facts.leaving = self.answers.leaving()?;
        for (id, causes) in causes {
            if let Some(instance) = facts.instance(&id)
                && let Some(tasks) = self.answers.tasks_on(&instance.arn)?
            {
                facts.tasks.insert(instance.arn.clone(), tasks);
            }
            facts.going.insert(
                id,
                Going {
                    causes,
                    ..Going::default()
                },
            );
        }
        facts.scaling = self.answers.scaling_instances()?;
        facts.providers = self.answers.capacity_providers();
        facts.services = self.answers.percents();
        let decision = decide(&facts, self.now).decision;
        let decision = match self.managed_draining(&facts) {
            // Whatever is done about an instance depends on who drains it.
            Some(mut unknown) if decision.outcome != Outcome::Ignore || is_dry(&decision) => {
                unknown.missing.extend(decision.missing);
                unknown
            }
            _ => decision,
        };
        let decision = self.guarded_by("capacity", &managed.stored.paused, decision);
        Ok(self.unless_listed(decision))
    }

    /// What is to be known first where ECS may drain an instance itself.
    fn managed_draining(&self, facts: &Facts) -> Option<Decision<Action>> {
        if self.answers.knows_capacity_providers() {
            return None;
        }
        let mut providers = facts.going.keys().filter_map(|id| {
            let provider = facts.instance(id)?.capacity_provider_name.as_deref()?;
            Some((id, provider))
        });
        let (id, provider) = providers.next()?;
        let message = format!("whether ECS drains {id} itself, of capacity provider {provider}, is not known");
        Some(Decision::needs(
            "DescribeCapacityProviders",
            Reason::new(Code::FactsMissing, message),
        ))
    }

    /// A container instance changed: its status, its tasks, or whether its agent is connected.
    pub(super) fn container_instance(config: &Config, instance: &ContainerInstance) -> Explained {
        let Some(cluster) = instance.cluster.as_ref() else {
            let message = format!("{} names no cluster", instance.arn);
            return (None, ignored(Code::NotManaged, message));
        };
        let target = Target::of_cluster(cluster.clone());
        let id = instance.ec2_instance_id.as_deref().unwrap_or(&instance.arn);
        let decision = match config.cluster(cluster) {
            Err(decision) => decision,
            Ok((
                _,
                Capacity {
                    disconnected: Some(rule),
                    ..
                },
            )) if !instance.agent_connected => {
                let message = format!(
                    "{id}: short disconnects are normal; it is looked at again for {}",
                    rule.after
                );
                Decision::without_calls(Outcome::Wait, Reason::new(Code::AgentDisconnected, message))
            }
            Ok(_) => {
                let agent = if instance.agent_connected {
                    "connected"
                } else {
                    "disconnected"
                };
                let message = format!(
                    "{id} is {}, its agent {agent}: nothing lets it go",
                    instance.status.as_str()
                );
                ignored(Code::NothingGoes, message)
            }
        };
        (Some(target), decision)
    }
}

fn is_dry(decision: &Decision<Action>) -> bool {
    decision.reasons.iter().any(|reason| reason.code == Code::DryRun)
}

/// Nothing of the event lets an instance go.
fn comes(event: &Event) -> Decision<Call> {
    if let Detail::Health(health) = &event.detail {
        let message = format!(
            "{} ({}) is no scheduled change of an EC2 instance",
            health.code, health.category
        );
        return ignored(Code::NotMaintenance, message);
    }
    let message = "an instance comes: nothing is drained, and its hook is not ours to complete";
    ignored(Code::NothingGoes, message.to_owned())
}

impl Config {
    /// In which clusters instances are: those that the answers tell, else the only one that has `capacity`.
    fn clusters_of(&self, causes: &BTreeMap<String, Causes>, described: &Known<Vec<ContainerInstance>>) -> Vec<String> {
        let told: BTreeSet<_> = match described {
            Known::Yes(instances) => instances
                .iter()
                .filter(|one| one.ec2_instance_id.as_ref().is_some_and(|id| causes.contains_key(id)))
                .filter_map(|one| one.cluster.clone())
                .collect(),
            Known::No => BTreeSet::new(),
        };
        if told.is_empty() {
            let only = self.only().into_iter();
            return only.map(|only| only.target.cluster.clone()).collect();
        }
        told.into_iter().collect()
    }

    /// The clusters that have `capacity`.
    fn configured(&self) -> impl Iterator<Item = &ManagedCluster> {
        self.clusters
            .iter()
            .filter(|managed| managed.stored.config.capacity.is_some())
    }

    /// The only one of them.
    fn only(&self) -> Option<&ManagedCluster> {
        let mut configured = self.configured();
        configured.next().filter(|_| configured.next().is_none())
    }

    /// A cluster and what it wants, or why nothing is done for it.
    pub(super) fn cluster(&self, name: &str) -> Result<(&ManagedCluster, &Capacity), Decision<Call>> {
        let Some(managed) = self.clusters.iter().find(|managed| managed.target.cluster == name) else {
            let message = format!("the cluster {name} is not in {}: nothing is done for it", self.name);
            return Err(ignored(Code::NotManaged, message));
        };
        let capacity = managed.stored.config.capacity.as_ref();
        let capacity = capacity.ok_or_else(|| {
            ignored(
                Code::NotConfigured,
                format!("{name} is configured, but not for capacity"),
            )
        })?;
        Ok((managed, capacity))
    }
}
