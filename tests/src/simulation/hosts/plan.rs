//! What a history of instances begins with, and what is to happen in it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::config::{CLUSTER_ATTRIBUTE, PAUSED_ATTRIBUTE};
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{Hook, HostNetwork, Move, PortMapping, World};
use wharfinger_core::balancing::TargetType;
use wharfinger_core::config::Cluster;
use wharfinger_core::config::stored::{CLUSTERS, Pauses};
use wharfinger_core::ids::Target;

use super::deeds::{Deed, Deeds};
use super::{Hosts, Size};
use crate::simulation::checks::Watch;
use crate::simulation::dice::Dice;
use crate::simulation::groups;
use crate::simulation::history::{History, Parts};
use crate::simulation::scenario::{CLUSTER, Entry, Plan, Scenario, beginning, define};
use crate::simulation::settings::Settings;
use crate::simulation::temper::Temper;

/// What tells the dice of these histories from others of the same seed.
const HOSTS: u64 = 0x4057_5000_0000;

/// The groups: name, share of the instances in percent, and the minutes for which their hook waits for a heartbeat.
const GROUPS: [(&str, u32, Option<i64>); 3] = [("web", 35, Some(10)), ("spot", 35, Some(15)), ("plain", 30, None)];

/// The hook.
pub(super) const HOOK: &str = "drain";

/// After how long a hook is completed whatever runs.
pub(super) const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// For how long an agent may be gone.
pub(super) const AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The share of the cluster that is replaced at a time, in percent.
pub(super) const AT_MOST: usize = 3;

/// How long before a reboot an instance is drained.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// What is configured for the cluster.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
pub(super) struct Rule {
    /// Every step is said, and none is made.
    pub dry: bool,
    /// A rebalance recommendation drains.
    pub rebalance: bool,
    /// Standalone tasks are stopped.
    pub standalone: bool,
    /// The hook is named: one of which no event told can be completed.
    pub named: bool,
}

impl Rule {
    /// A large cluster is not played to see nothing done.
    fn draw(dice: &mut Dice, size: Size) -> Self {
        let small = size.instances <= Size::SMALL.instances;
        Self {
            dry: dice.chance(80) && small,
            rebalance: dice.chance(500),
            standalone: dice.chance(500),
            named: dice.chance(700),
        }
    }

    fn config(self) -> Value {
        let mut drain = json!({ "deadline": "10m", "standalone": if self.standalone { "stop" } else { "leave" } });
        if self.named {
            drain["hooks"] = json!([HOOK]);
        }
        json!({
            "dry-run": self.dry,
            "drain": drain,
            "spot": { "rebalance": if self.rebalance { "drain" } else { "ignore" } },
            "maintenance": { "before": "10m" },
            "disconnected": { "after": "5m", "action": "replace", "at-most": format!("{AT_MOST}%") },
        })
    }

    /// Stores it as `wharfinger apply` and `pause` do.
    pub(super) fn store(self, world: &mut World, paused: Option<Timestamp>) {
        let Ok(cluster) = serde_json::from_value::<Cluster>(json!({ "capacity": self.config() })) else {
            return;
        };
        let mut item = Item::default();
        item.insert("pk".into(), text(CLUSTERS));
        item.insert("sk".into(), text(CLUSTER));
        if let Ok(attribute) = to_attribute("a cluster", &cluster) {
            item.insert(CLUSTER_ATTRIBUTE.into(), attribute);
        }
        let all = Pauses::from([("capacity".to_owned(), paused)]);
        if let (Some(_), Ok(attribute)) = (paused, to_attribute("what is paused", &all)) {
            item.insert(PAUSED_ATTRIBUTE.into(), attribute);
        }
        world.tables.put(TableName::Config, item);
    }
}

/// A service, and where its tasks are found.
struct Kind {
    name: &'static str,
    count: u32,
    host_port: Option<u16>,
    interfaces: bool,
    registry: Option<&'static str>,
    group: Option<TargetType>,
    percents: (u32, u32),
}

fn kinds(size: Size) -> [Kind; 5] {
    let share = |per_mille: u32| (size.tasks * per_mille / 1_000).max(2);
    let kind = |name, count| Kind {
        name,
        count,
        host_port: None,
        interfaces: false,
        registry: None,
        group: None,
        percents: (100, 200),
    };
    let edge = size.instances / 5;
    let others = [share(300), share(200), edge, share(30), share(20)];
    [
        Kind {
            registry: Some("srv-web"),
            group: Some(TargetType::Instance),
            ..kind("web", others[0])
        },
        Kind {
            interfaces: true,
            registry: Some("srv-api"),
            group: Some(TargetType::Ip),
            ..kind("api", others[1])
        },
        Kind {
            host_port: Some(9_100),
            registry: Some("srv-edge"),
            percents: (50, 100),
            ..kind("edge", edge)
        },
        // Its tasks can never leave.
        Kind {
            registry: Some("srv-stuck"),
            percents: (100, 100),
            ..kind("stuck", others[3])
        },
        Kind {
            percents: (50, 150),
            ..kind("worker", size.tasks.saturating_sub(others.iter().sum()))
        },
    ]
}

fn network(interfaces: bool, host_port: Option<u16>) -> HostNetwork {
    let port = PortMapping {
        container: "app".into(),
        container_port: 8_080,
        host_port,
    };
    HostNetwork {
        instances: Vec::new(),
        ports: if interfaces { Vec::new() } else { vec![port] },
        told: true,
        interfaces,
    }
}

fn make_kind(world: &mut World, scenario: &mut Scenario, kind: &Kind) {
    let target = Target::service(CLUSTER, kind.name);
    world
        .host_networks
        .insert(target.clone(), network(kind.interfaces, kind.host_port));
    let definition = define(world, kind.name, &format!("docker.io/library/{}:1", kind.name));
    world.make_service(&target, &definition, kind.count, false);
    if let Some(service) = world.services.get_mut(&target) {
        service.percents = kind.percents;
    }
    world.make(&Move::Complete(target.clone()));
    let mut plan = Plan::bare(target);
    if let Some(registry) = kind.registry {
        world.map.services.insert(registry.into(), BTreeMap::new());
        plan.entries.push(Entry {
            registry: registry.to_owned(),
            port: Some(8_080),
            healthy: false,
            lane: "blue".into(),
        });
    }
    if let Some(target_type) = kind.group {
        world.make_group(kind.name, target_type, 10 * groups::ROOM);
        plan.groups.push(groups::Entry {
            group: kind.name.to_owned(),
            port: 8_080,
            healthy: false,
        });
    }
    if kind.registry.is_some() {
        plan.store(world);
    }
    scenario.targets.push(plan);
}

/// The cluster, with everything in its place.
fn make(world: &mut World, size: Size, rule: Rule) -> Scenario {
    // Nobody is told how it came to be.
    world.unheard = true;
    let mut scenario = Scenario::default();
    let kinds = kinds(size);
    for kind in &kinds {
        make_kind(world, &mut scenario, kind);
    }
    let nightly = Target::task(CLUSTER, "nightly");
    world.host_networks.insert(nightly.clone(), network(false, None));
    define(world, "nightly", "docker.io/library/nightly:1");
    for (name, share, minutes) in GROUPS {
        let hook = minutes.map(|minutes| Hook {
            name: HOOK.to_owned(),
            timeout: SignedDuration::from_mins(minutes),
        });
        let machines = size.instances * share / 100;
        let machines = machines.max(4);
        world.make_scaling_group(name, CLUSTER, machines, 2 * machines, hook);
    }
    let standalone = (size.tasks / 20).max(3);
    let services = kinds
        .iter()
        .map(|kind| (Target::service(CLUSTER, kind.name), kind.count));
    for (target, count) in services.chain([(nightly, standalone)]) {
        for _ in 0..count {
            world.make(&Move::Start(target.clone()));
        }
    }
    let tasks: Vec<_> = world.tasks.keys().cloned().collect();
    for task in tasks {
        for _ in 0..3 {
            world.make(&Move::Advance(task.clone()));
        }
    }
    rule.store(world, None);
    groups::store_version(world);
    scenario
}

fn temper(dice: &mut Dice) -> Temper {
    let some = |dice: &mut Dice, shares: &[u64]| *dice.pick(shares).unwrap_or(&0);
    let drawn = Temper::draw(dice);
    Temper {
        gentle: false,
        concurrency: 100,
        laggards: 0,
        lost: some(dice, &[0, 50, 200]),
        twice: some(dice, &[0, 100, 300]),
        late: [300, some(dice, &[0, 20, 50]), 0],
        faults: some(dice, &[0, 5, 15]),
        kills: some(dice, &[0, 1, 3]),
        lags: some(dice, &[0, 0, 100]),
        sweeps: true,
        pauses: false,
        failing_operations: some(dice, &[0, 0, 50]),
        malformed: false,
        ..drawn
    }
}

impl History {
    /// The beginning of the history of the instances of a cluster of this size.
    pub(in super::super) fn of_hosts(seed: u64, settings: Settings, size: Size) -> Self {
        let mut dice = Dice::of(seed ^ HOSTS);
        let (temper, rule) = (temper(&mut dice), Rule::draw(&mut dice, size));
        let mut world = World::new(beginning());
        let scenario = make(&mut world, size, rule);
        let deeds = draw(&mut dice, &world, size);
        let parts = Parts {
            dice: [dice, Dice::of(!seed), Dice::of(seed.rotate_left(32))],
            temper,
            world: world.shared(),
            scenario,
            watch: Watch::default(),
        };
        let mut history = Self::new(settings, parts);
        history.hosts = Hosts {
            beginning: true,
            deeds,
            rule,
            ..Hosts::default()
        };
        history.begin(seed)
    }
}

/// Takes so many from the end.
fn take(from: &mut Vec<String>, n: u32) -> Vec<String> {
    let n = usize::try_from(n).unwrap_or_default().min(from.len());
    from.split_off(from.len() - n)
}

/// What is to happen, in order of time. Each instance has one part at most.
fn draw(dice: &mut Dice, world: &World, size: Size) -> std::collections::VecDeque<(Timestamp, Deed)> {
    let of = |name: &str| {
        let group = world.fleet.groups.get(name);
        group
            .map(|group| group.members.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let (mut web, mut spot, mut plain) = (of("web"), of("spot"), of("plain"));
    let mut deeds = Deeds::default();
    for id in take(&mut plain, (size.instances / 50).max(1)) {
        reboot(dice, &mut deeds, id);
    }
    for id in take(&mut plain, 1) {
        deeds.at(dice.between(100, 900), Deed::DrainByHand(id));
    }
    for id in take(&mut plain, (size.instances / 25).max(1)) {
        flap(dice, &mut deeds, &id);
    }
    let mut dead = take(&mut plain, (size.instances / 25).max(1));
    dead.extend(take(&mut web, 1));
    let silence = dice.between(300, 900);
    for id in dead {
        deeds.at(silence + dice.between(0, 90), Deed::Silence(id));
    }
    storm(dice, &mut deeds, take(&mut spot, (size.instances * 30 / 100).max(3)));
    for id in spot {
        deeds.at(dice.between(100, 1_500), Deed::Rebalance(id));
    }
    refresh(dice, &mut deeds, &web);
    if dice.chance(250) {
        let from = dice.between(200, 1_500);
        deeds.at(from, Deed::Pause(from + 300));
    }
    deeds.sorted()
}

/// A rolling instance refresh: a batch every few minutes.
fn refresh(dice: &mut Dice, deeds: &mut Deeds, web: &[String]) {
    let size = web.len().div_ceil(8).max(1);
    let every = dice.between(150, 270);
    for (n, batch) in (0_u64..).zip(web.chunks(size)) {
        for id in batch {
            let at = 120 + n * every + dice.below(20);
            let deed = if dice.chance(150) {
                Deed::ReplaceRoot
            } else {
                Deed::Terminate
            };
            deeds.at(at, deed(id.clone()));
        }
    }
}

/// All of them are warned within a minute, and taken two minutes later; some are only stopped, and come back.
fn storm(dice: &mut Dice, deeds: &mut Deeds, spot: Vec<String>) {
    let at = dice.between(300, 1_200);
    for id in spot {
        let at = at + dice.below(60);
        if dice.chance(150) {
            deeds.at(at, Deed::SpotWarns(id.clone(), "stop"));
            deeds.at(at + 120, Deed::SpotStops(id.clone()));
            deeds.at(at + 120 + dice.between(240, 600), Deed::SpotStarts(id));
        } else {
            deeds.at(at, Deed::SpotWarns(id.clone(), "terminate"));
            deeds.at(at + 120, Deed::SpotTakes(id));
        }
    }
}

/// An agent that is gone again and again, each time for less than is configured.
fn flap(dice: &mut Dice, deeds: &mut Deeds, id: &str) {
    let mut at = dice.between(60, 600);
    for _ in 0..dice.between(3, 7) {
        deeds.at(at, Deed::Silence(id.to_owned()));
        at += dice.between(20, 280);
        deeds.at(at, Deed::Speaks(id.to_owned()));
        at += dice.between(5, 120);
    }
}

/// A reboot that AWS Health tells of, and that it calls closed afterwards.
fn reboot(dice: &mut Dice, deeds: &mut Deeds, id: String) {
    let starts = dice.between(900, 1_500);
    let before = u64::try_from(BEFORE.as_secs()).unwrap_or_default();
    deeds.at(dice.between(60, 250), Deed::RebootTold(id.clone(), starts));
    // A clock may be ahead.
    deeds.at(starts - before - 2, Deed::RebootNear(id.clone()));
    deeds.at(starts, Deed::RebootBegins(id.clone()));
    deeds.at(starts + dice.between(120, 280), Deed::RebootEnds(id, starts));
}
