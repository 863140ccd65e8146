//! Small worlds for tests of discovery and balancing.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses a part of it, and may stop at the first thing that is wrong"
)]

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_balancing::Balancing;
use wharfinger_cloud::Fault;
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Caller, Shared, World};
use wharfinger_core::balancing::TargetGroup;
use wharfinger_core::config::stored::{META, Meta, StoredTarget};
use wharfinger_core::ids::Target;
use wharfinger_discovery::Discovery;
pub(crate) use wharfinger_tests::simulation::poll;

pub(crate) const OWNER: &str = "wharfinger";

/// One of the two functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Discovery,
    Balancing,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Discovery, Self::Balancing];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Balancing => "balancing",
        }
    }
}

/// A function in an environment of its own.
#[derive(Debug)]
pub(crate) enum Function {
    Discovery(Discovery),
    Balancing(Balancing),
}

impl Function {
    /// One with nothing in its caches.
    pub(crate) fn of(side: Side) -> Self {
        match side {
            Side::Discovery => Self::Discovery(Discovery::new(OWNER)),
            Side::Balancing => Self::Balancing(Balancing::new(OWNER)),
        }
    }

    pub(crate) async fn hear(&self, caller: &Caller, event: &Value) -> Result<Value, Fault> {
        match self {
            Self::Discovery(function) => Box::pin(function.on_event(caller, event)).await,
            Self::Balancing(function) => Box::pin(function.on_event(caller, event)).await,
        }
    }
}

/// Hears an event at once, undisturbed; Cloud Map's operations end after it.
pub(crate) fn hear_now(side: Side, world: &Shared, event: &Value) -> Result<Value, Fault> {
    let answer = now(Function::of(side).hear(&Caller::direct(world, side.name()), event));
    finish_operations(world);
    answer
}

/// Both functions sweep.
pub(crate) fn sweep(world: &Shared) {
    for side in Side::BOTH {
        hear_now(side, world, &scheduled(&json!({}))).unwrap();
    }
}

pub(crate) fn finish_operations(world: &Shared) {
    let mut world = world.borrow_mut();
    let running: Vec<_> = world.map.running().map(|o| o.id.clone()).collect();
    for id in running {
        world.map.finish(&id, true);
    }
}

/// What drains is gone.
pub(crate) fn finish_draining(world: &Shared) {
    for group in world.borrow_mut().groups.values_mut() {
        let draining: Vec<_> = group.targets().filter(|t| t.state == "draining").collect();
        for gone in draining {
            group.finish_draining(&gone.target.id, gone.target.port);
        }
    }
}

pub(crate) fn pass(world: &Shared, by: SignedDuration) {
    let mut world = world.borrow_mut();
    world.now = world.now.saturating_add(by).unwrap();
}

/// What is registered with our mark, as `service/instance`, and what is a target and does not drain, as `group/id:port`.
pub(crate) fn members(world: &World) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (service, instances) in &world.map.services {
        let own = instances
            .iter()
            .filter(|(_, a)| a.get("WHARFINGER_OWNER").is_some_and(|o| o == OWNER));
        found.extend(own.map(|(id, _)| format!("{service}/{id}")));
    }
    for group in world.groups.values() {
        let here = group.targets().filter(|t| t.state != "draining");
        found.extend(here.map(|t| format!("{}/{}:{}", group.name, t.target.id, t.target.port)));
    }
    found
}

/// Stores the configuration of a target, with the groups that are in the world, as `wharfinger apply` does.
pub(crate) fn store(world: &mut World, target: &Target, config: Value) {
    let mut stored = StoredTarget::new(serde_json::from_value(config).unwrap());
    for entry in &stored.config.balancing {
        let (arn, group) = world
            .groups
            .iter()
            .find(|(_, group)| group.name == entry.target_group)
            .unwrap();
        let found = TargetGroup {
            arn: arn.clone(),
            target_type: group.target_type,
        };
        stored.target_groups.insert(entry.target_group.clone(), found);
    }
    for partition in stored.partitions() {
        let mut item = item(&partition, &target.key());
        item.insert(TARGET_ATTRIBUTE.into(), to_attribute("a target", &stored).unwrap());
        world.tables.put(TableName::Config, item);
    }
    let meta = Meta {
        version: 1,
        ..Meta::default()
    };
    let mut item = item(META, META);
    item.insert("meta".into(), to_attribute("the version", &meta).unwrap());
    world.tables.put(TableName::Config, item);
}

pub(crate) fn item(pk: &str, sk: &str) -> Item {
    let mut item = Item::default();
    item.insert("pk".into(), text(pk));
    item.insert("sk".into(), text(sk));
    item
}

pub(crate) fn beginning() -> Timestamp {
    Timestamp::from_second(1_767_600_000).unwrap()
}

pub(crate) fn scheduled(detail: &Value) -> Value {
    json!({
        "id": "tick",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "time": "2026-01-05T08:00:00Z",
        "resources": [],
        "detail": detail,
    })
}

/// The answer of what waits for nothing.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match poll(pin!(future)) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}
