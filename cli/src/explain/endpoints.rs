//! What would be done for a task that changed: in the registries and in the target groups.

use wharfinger_core::balancing::{Membership, TargetGroup, TargetType};
use wharfinger_core::config::stored::{Managed, Registry};
use wharfinger_core::discovery::Endpoint;
use wharfinger_core::endpoint::{By, Drain, Facts, Host, Member, Others, decide};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use super::decide::{Call, Context, stale};
use crate::facts::Placed;

/// What takes the place of an id that is not known, with the name and a brace behind it.
const REGISTRY: &str = "${ListServices:";
const GROUP: &str = "${DescribeTargetGroups:";

/// What would tell where the instance of a task is.
const HOST: &str = "DescribeContainerInstances";

impl Context<'_> {
    /// A task changed.
    pub(super) fn task(&self, mut managed: Managed, event: &TaskStateChange) -> anyhow::Result<Decision<Call>> {
        let mut task = event.clone();
        let described = self.answers.task(&task.task_arn)?;
        let looked_up = matches!(described, Known::Yes(_));
        if let Known::Yes(Some(described)) = described {
            if described.version > task.version {
                let message = format!(
                    "version {} is older than {}, which ECS knows by now",
                    task.version, described.version
                );
                return Ok(stale(message));
            }
            if described.version == task.version {
                task = described;
            }
        }
        self.resolve(&mut managed);
        let config = &managed.stored.config;
        if !config.keeps_volumes() {
            return self.sides(&managed, &task, looked_up);
        }
        let storage = self.volumes(&managed, &task)?;
        if config.discovery.is_empty() && config.balancing.is_empty() {
            return Ok(storage);
        }
        Ok(both(self.sides(&managed, &task, looked_up)?, storage))
    }

    /// What would be done for a task, in the registries and in the target groups.
    pub(super) fn sides(
        &self,
        managed: &Managed,
        task: &TaskStateChange,
        looked_up: bool,
    ) -> anyhow::Result<Decision<Call>> {
        let others = self.others(managed, task)?;
        let discovery = || self.side::<Endpoint>(managed, task, looked_up, others);
        let balancing = || self.side::<Membership>(managed, task, looked_up, others);
        let config = &managed.stored.config;
        Ok(match (!config.discovery.is_empty(), !config.balancing.is_empty()) {
            (true, false) => discovery(),
            (false, true) => balancing(),
            (true, true) => both(discovery(), balancing()),
            (false, false) => {
                let message = format!(
                    "{} is configured, but neither for discovery nor for balancing",
                    managed.target
                );
                Decision::without_calls(Outcome::Ignore, Reason::new(Code::NotConfigured, message))
            }
        })
    }

    fn side<M: Member>(
        &self,
        managed: &Managed,
        task: &TaskStateChange,
        looked_up: bool,
        others: Option<Known<Others>>,
    ) -> Decision<Call> {
        let (host, address) = self.host::<M>(managed, task);
        let interface = task.network_interface_id.as_deref();
        let drain = Drain {
            drains: others.is_some(),
            seen: true,
            ..Drain::default()
        };
        let entries = M::entries(&managed.stored.config).iter();
        let known = entries.filter_map(|entry| match others {
            Some(Known::Yes(others)) => Some((M::collection(&managed.stored, entry).ok()?, others)),
            _ => None,
        });
        let facts = Facts::<M> {
            looked_up,
            host,
            drain,
            others: known.collect(),
            public_ipv4: interface.map_or(Known::No, |interface| self.answers.public_address(interface)),
            ..Facts::of(managed.clone(), task.clone(), self.owner)
        };
        let mut decision = self.guarded(M::DOMAIN, managed, decide(&facts));
        if let Some(at) = decision.missing.iter().position(|operation| *operation == HOST) {
            match address {
                Address::Of(operation) => decision.missing[at] = operation,
                Address::OfInstance => decision.missing.insert(at + 1, "DescribeInstances"),
                Address::NotNeeded => {}
            }
        }
        decision.missing.extend(stood_in(&decision.actions));
        decision
    }

    /// Where the task's instance is, as far as it is known, and what would tell its address.
    fn host<M: Member>(&self, managed: &Managed, task: &TaskStateChange) -> (Known<Option<Host>>, Address) {
        let stored = &managed.stored;
        let mut entries = M::entries(&stored.config).iter();
        let by_address = entries.any(|entry| M::ask(stored, entry).by == By::Address);
        let placed = task.container_instance_arn.as_deref().map(|arn| self.answers.host(arn));
        match placed.unwrap_or(Placed::Unknown) {
            Placed::Known(host) => (Known::Yes(host), Address::NotNeeded),
            // A target that is named by its instance needs no address.
            Placed::Named(host, _) if !by_address => (Known::Yes(Some(host)), Address::NotNeeded),
            Placed::Named(_, operation) => (Known::No, Address::Of(operation)),
            Placed::Unknown if by_address => (Known::No, Address::OfInstance),
            Placed::Unknown => (Known::No, Address::NotNeeded),
        }
    }

    /// Gives each registry and target group that is named its id. Offline, where the answers do not tell it, a stand-in with
    /// its name takes the id's place, so that the rest of the call can be told. In the config table `apply` has resolved the
    /// names.
    pub(super) fn resolve(&self, managed: &mut Managed) {
        let stored = &mut managed.stored;
        for entry in &stored.config.discovery {
            if stored.registries.contains_key(&entry.to) {
                continue;
            }
            let needed = stored.registry(&entry.to).is_none();
            let found = match self.answers.registry(&entry.to) {
                Known::Yes(found) => found,
                Known::No => (self.offline && needed).then(|| Registry::of(format!("{REGISTRY}{}}}", entry.to))),
            };
            stored.registries.extend(found.map(|found| (entry.to.clone(), found)));
        }
        for entry in &stored.config.balancing {
            let name = &entry.target_group;
            if stored.target_group(name).is_some() {
                continue;
            }
            let found = match self.answers.target_group(name) {
                Known::Yes(found) => found,
                Known::No => (self.offline && !name.starts_with("arn:")).then(|| TargetGroup {
                    arn: format!("{GROUP}{name}}}"),
                    target_type: TargetType::Unknown,
                }),
            };
            stored.target_groups.extend(found.map(|found| (name.clone(), found)));
        }
    }
}

/// What would tell the address of a task's instance.
enum Address {
    /// This operation, now that the instance is known.
    Of(&'static str),
    /// `DescribeInstances`, once the instance is known.
    OfInstance,
    /// Nothing: it is not needed, or known.
    NotNeeded,
}

/// The operations that would tell the ids for which something stands in.
fn stood_in(calls: &[Call]) -> Vec<&'static str> {
    let stands = |field: &str, mark: &str| {
        let mut ids = calls.iter().filter_map(|call| call.input[field].as_str());
        ids.any(|id| id.starts_with(mark))
    };
    let mut missing = Vec::new();
    if stands("ServiceId", REGISTRY) {
        missing.extend(["ListNamespaces", "ListServices"]);
    }
    if stands("TargetGroupArn", GROUP) {
        missing.push("DescribeTargetGroups");
    }
    missing
}

/// Two decisions in one: the outcome is that of the one in which more happens.
pub(super) fn both(mut one: Decision<Call>, other: Decision<Call>) -> Decision<Call> {
    one.outcome = one.outcome.min(other.outcome);
    one.actions.extend(other.actions);
    one.missing.extend(other.missing);
    let new: Vec<_> = other
        .reasons
        .into_iter()
        .filter(|reason| !one.reasons.contains(reason))
        .collect();
    one.reasons.extend(new);
    one
}
