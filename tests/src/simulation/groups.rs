//! Target groups, and container instances whose addresses tasks share: what a history has besides its [`Scenario`], unless
//! it is a plain one.

use std::pin::pin;
use std::task::Poll;

use serde_json::{Value, json};
use wharfinger_cloud::ports::TargetGroups;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, HostNetwork, PortMapping, Shared, World};
use wharfinger_core::balancing::{TargetDescription, TargetGroup, TargetType};
use wharfinger_core::config::stored::{META, Meta, Resolved};
use wharfinger_core::endpoint::Host;

use super::dice::Dice;
use super::invocation::poll;
use super::scenario::{CLUSTER, Plan, Scenario};
use super::temper::Temper;

/// The groups: their names, and what their targets are.
const GROUPS: [(&str, TargetType); 3] = [
    ("web", TargetType::Ip),
    ("edge", TargetType::Instance),
    ("jobs", TargetType::Ip),
];

/// More targets than any history has.
pub const ROOM: usize = 1_000;

/// Whoever changes targets by hand.
pub const SOMEONE: &str = "someone";

/// A target: the group's ARN, address or instance, port.
pub type Place = (String, String, u16);

/// An entry of `balancing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The group's name.
    pub group: String,
    /// The container port.
    pub port: u16,
    /// Whether the task must be healthy.
    pub healthy: bool,
}

impl Entry {
    /// As the configuration has it.
    pub fn config(&self) -> Value {
        let mut entry = json!({ "target-group": self.group, "container": "app", "port": self.port });
        if self.healthy {
            entry["when"] = "healthy".into();
        }
        entry
    }
}

/// The names of all groups.
pub fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.into_iter().map(|(name, _)| name)
}

/// The ARN of a group, and what its targets are.
pub fn find(world: &World, name: &str) -> Option<(String, TargetType)> {
    let mut groups = world.groups.iter();
    let (arn, group) = groups.find(|(_, group)| group.name == name)?;
    Some((arn.clone(), group.target_type))
}

/// What the names of groups mean, as `apply` looks it up.
pub fn resolved(world: &World) -> Resolved {
    let mut names = Resolved::default();
    for (arn, group) in &world.groups {
        let found = TargetGroup {
            arn: arn.clone(),
            target_type: group.target_type,
        };
        names.target_groups.insert(group.name.clone(), found);
    }
    names
}

/// Makes the groups and the instances, and lets some targets use them.
pub fn add(dice: &mut Dice, temper: &Temper, shared: &Shared, scenario: &mut Scenario) {
    let mut world = shared.borrow_mut();
    let full = !temper.gentle && dice.chance(250);
    for (name, target_type) in GROUPS {
        let limit = if full { 4 + dice.index(4) } else { ROOM };
        world.make_group(name, target_type, limit);
    }
    let instances: Vec<_> = (1..=2).map(|n| make_instance(&mut world, n)).collect();
    for plan in &mut scenario.targets {
        if dice.chance(400) {
            let network = network(dice, plan, &instances);
            world.host_networks.insert(plan.target.clone(), network);
        }
        plan.use_groups(dice, temper, &mut world);
        plan.store(&mut world);
    }
    store_version(&mut world);
    drop(world);
    add_foreign(shared, scenario);
}

/// The configuration is whole: what is not in it is not configured.
pub fn store_version(world: &mut World) {
    let Ok(meta) = to_attribute("the version", &Meta::default()) else {
        return;
    };
    let mut item = Item::default();
    item.insert("pk".into(), text(META));
    item.insert("sk".into(), text(META));
    item.insert("meta".into(), meta);
    world.tables.put(TableName::Config, item);
}

fn make_instance(world: &mut World, n: usize) -> String {
    let host = Host {
        instance_id: Some(format!("i-{n}")),
        private_ipv4: Some(format!("10.9.0.{n}")),
        ..Host::default()
    };
    world.make_container_instance(CLUSTER, host)
}

/// A fixed port is had once on each instance, so a rollout would wait for ever: those that are not rolled out have one.
fn network(dice: &mut Dice, plan: &Plan, instances: &[String]) -> HostNetwork {
    let steady = plan.scaling.is_none() && plan.delivery.is_none();
    let host_port = (steady && dice.chance(500)).then(|| plan.port());
    HostNetwork {
        instances: instances.to_vec(),
        ports: vec![PortMapping {
            container: "app".into(),
            container_port: plan.port(),
            host_port,
        }],
        told: dice.chance(700),
        interfaces: false,
    }
}

impl Plan {
    fn use_groups(&mut self, dice: &mut Dice, temper: &Temper, world: &mut World) {
        let checked = world.services.get_mut(&self.target);
        let health = checked.filter(|_| !temper.gentle && dice.chance(400)).map(|service| {
            service.health_check = true;
        });
        self.checked = health.is_some() || self.entries.iter().any(|entry| entry.healthy);
        if health.is_some() && dice.chance(500) {
            self.entries.iter_mut().for_each(|entry| entry.healthy = true);
        }
        for (name, _) in GROUPS {
            if dice.chance(450) {
                self.groups.push(Entry {
                    group: name.to_owned(),
                    port: self.port(),
                    healthy: health.is_some() && dice.chance(700),
                });
            }
        }
    }
}

/// Targets that were there before us: one serves, one is ill, one is on its way out.
fn add_foreign(shared: &Shared, scenario: &mut Scenario) {
    let arns: Vec<_> = shared.borrow().groups.keys().cloned().collect();
    for arn in arns {
        let by_address = shared
            .borrow()
            .groups
            .get(&arn)
            .is_some_and(|group| group.target_type == TargetType::Ip);
        let id = |n: u8| {
            if by_address {
                format!("192.0.2.{n}")
            } else {
                format!("i-other{n}")
            }
        };
        let (serves, ill, leaves) = (id(1), id(2), id(3));
        for id in [&serves, &ill, &leaves] {
            by_hand(shared, &(arn.clone(), id.clone(), 80), true);
        }
        by_hand(shared, &(arn.clone(), leaves, 80), false);
        if let Some(group) = shared.borrow_mut().groups.get_mut(&arn) {
            group.judge(&serves, 80, "healthy");
            group.judge(&ill, 80, "unhealthy");
        }
        scenario
            .foreign_targets
            .extend([(arn.clone(), serves, 80), (arn, ill, 80)]);
    }
}

/// Someone registers a target, or takes it out.
pub fn by_hand(shared: &Shared, (arn, id, port): &Place, registers: bool) {
    let caller = Caller::direct(shared, SOMEONE);
    let targets = [TargetDescription {
        id: id.clone(),
        port: *port,
        availability_zone: None,
    }];
    let done = if registers {
        poll(pin!(caller.register_targets(arn, &targets)))
    } else {
        poll(pin!(caller.deregister_targets(arn, &targets)))
    };
    debug_assert!(matches!(done, Poll::Ready(Ok(()))), "{done:?}");
}

/// The targets that drain.
pub fn draining(world: &World) -> Vec<Place> {
    targets(world)
        .filter(|(_, drains)| *drains)
        .map(|(place, _)| place)
        .collect()
}

/// Every target, and whether it drains.
pub fn targets(world: &World) -> impl Iterator<Item = (Place, bool)> {
    world.groups.iter().flat_map(|(arn, group)| {
        group.targets().map(|health| {
            let drains = health.is_draining();
            ((arn.clone(), health.target.id, health.target.port), drains)
        })
    })
}

/// A target of a group.
pub fn place(group: &str, target: &TargetDescription) -> Place {
    (group.to_owned(), target.id.clone(), target.port)
}
