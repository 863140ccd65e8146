//! What a history begins with: clusters, services, their configuration, and what is not ours.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::config::TARGET_ATTRIBUTE;
use wharfinger_cloud::table::{Item, TableName, text, to_attribute};
use wharfinger_cloud::world::{World, registry};
use wharfinger_core::config::asked::{Approved, Back};
use wharfinger_core::config::stored::{StoredTarget, TARGETS};
use wharfinger_core::discovery::{OWNER_ATTRIBUTE, TASK_ATTRIBUTE};
use wharfinger_core::ids::{Digest, Target, TargetKind};

use super::counts::ScalingPlan;
use super::dice::Dice;
use super::fleet::Gates;
use super::groups;
use super::temper::Temper;

/// Our owner mark.
pub const OWNER: &str = "wharfinger";
/// The cluster.
pub const CLUSTER: &str = "prod";

/// The Cloud Map services.
pub const REGISTRIES: [&str; 3] = ["srv-web", "srv-jobs", "srv-shared"];

/// The key of a config item that cannot be read.
pub const BROKEN: &str = "service#prod/broken";

/// What a history begins with, in the words of the checks: they do not read the configuration.
#[derive(Debug, Default)]
pub struct Scenario {
    /// What is managed.
    pub targets: Vec<Plan>,
    /// Whether a config item is malformed.
    pub broken: bool,
    /// Instances that are not ours: service, id.
    pub foreign: BTreeSet<(String, String)>,
    /// The services that Application Auto Scaling moves, and since when.
    pub others: BTreeMap<Target, Timestamp>,
    /// Targets that are not ours.
    pub foreign_targets: BTreeSet<groups::Place>,
}

/// A target.
#[derive(Debug)]
pub struct Plan {
    /// Which.
    pub target: Target,
    /// Where its tasks appear.
    pub entries: Vec<Entry>,
    /// How its count moves.
    pub scaling: Option<ScalingPlan>,
    /// Which images it takes.
    pub delivery: Option<DeliveryPlan>,
    /// From when until when it is paused.
    pub paused: Option<(Timestamp, Timestamp)>,
    /// The target groups that its tasks join.
    pub groups: Vec<groups::Entry>,
    /// When it was last applied with other places.
    pub changed: Option<Timestamp>,
    /// The places that it had at first, once they were changed.
    pub first: Option<(Vec<Entry>, Vec<groups::Entry>)>,
    /// Whether its tasks have a health check.
    pub checked: bool,
    /// Whether it is not configured at all.
    pub pruned: bool,
    /// Whether ECS's circuit breaker goes back from what does not come up.
    pub breaker: bool,
    /// The images that people agreed to.
    pub approvals: Vec<Approved>,
    /// The last way back that people asked for.
    pub back: Option<Back>,
}

/// An entry of `discovery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The Cloud Map service.
    pub registry: String,
    /// The port.
    pub port: Option<u16>,
    /// Whether the task must be healthy.
    pub healthy: bool,
    /// The attribute `lane`.
    pub lane: String,
}

/// `delivery`: one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPlan {
    /// The repository.
    pub repository: String,
    /// Which tags.
    pub tags: Tags,
    /// What must come before.
    pub gates: Gates,
    /// After how many minutes a rollout is ended; 30 when it is not written.
    pub timeout: Option<i64>,
}

/// A tag policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// The highest version 1.x.
    Versions,
    /// The latest push of `main`.
    Main,
}

/// The threshold of every alarm.
pub const THRESHOLD: f64 = 70.0;

impl Scenario {
    /// Draws one, and makes it in the world.
    pub fn draw(dice: &mut Dice, temper: &Temper, world: &mut World) -> Self {
        let mut scenario = Self {
            broken: dice.chance(300),
            ..Self::default()
        };
        for registry in REGISTRIES {
            world.map.services.insert(registry.into(), BTreeMap::new());
            scenario.add_foreign(world, registry);
        }
        let names = ["web", "api", "worker"];
        for name in names.iter().take(dice.index(3) + 1) {
            let plan = Plan::draw_service(dice, temper, world, name);
            scenario.targets.push(plan);
        }
        if dice.chance(400) {
            scenario.targets.push(Plan::draw_family(dice, world, "nightly"));
        }
        if dice.chance(300) {
            // A service of someone else: its events cost a look-up and nothing more.
            let definition = define(world, "other", "other:1");
            world.make_service(&Target::service(CLUSTER, "other"), &definition, 1, false);
        }
        for plan in &scenario.targets {
            plan.store(world);
        }
        if scenario.broken {
            for item in [broken(BROKEN), broken("no such kind")] {
                world.tables.put(TableName::Config, item);
            }
        }
        scenario
    }

    /// Whether something moves a count without an event, or holds it back.
    pub fn is_silent(&self) -> bool {
        let mut plans = self.targets.iter().filter_map(|plan| plan.scaling.as_ref());
        plans.any(|plan| plan.is_silent() || plan.is_cut())
    }

    /// Instances that were there before us: one without any mark, one of another stack that stands for a dead task.
    fn add_foreign(&mut self, world: &mut World, registry: &str) {
        let dead = "arn:aws:ecs:eu-west-1:111122223333:task/prod/ffffffffffffffffffffffffffffffff".to_owned();
        let marked = BTreeMap::from([
            (OWNER_ATTRIBUTE.to_owned(), "another-stack".to_owned()),
            (TASK_ATTRIBUTE.to_owned(), dead),
        ]);
        let plain = BTreeMap::from([("AWS_INSTANCE_IPV4".to_owned(), "192.0.2.1".to_owned())]);
        for (id, attributes) in [("by-hand", plain), ("theirs", marked)] {
            world
                .map
                .services
                .entry(registry.to_owned())
                .or_default()
                .insert(id.to_owned(), attributes);
            self.foreign.insert((registry.to_owned(), id.to_owned()));
        }
    }
}

impl Plan {
    fn draw_service(dice: &mut Dice, temper: &Temper, world: &mut World, name: &str) -> Self {
        let target = Target::service(CLUSTER, name);
        let healthy = !temper.gentle && dice.chance(200);
        let mut entries = vec![Entry::draw(dice, "srv-web", Some(8080), healthy)];
        if dice.chance(300) {
            entries.push(Entry::draw(dice, "srv-shared", None, false));
        }
        let scaling = dice.chance(700).then(|| ScalingPlan::draw(dice, name));
        let delivery = dice.chance(700).then(|| DeliveryPlan::draw(dice, name));
        let image = match &delivery {
            Some(delivery) => {
                world.repositories.make(&delivery.repository);
                format!("{}/{}:1.0.0", registry(), delivery.repository)
            }
            None => format!("docker.io/library/{name}:1"),
        };
        for alarm in scaling.iter().flat_map(|s| s.rules.alarms()) {
            world.make_alarm(&alarm, THRESHOLD);
        }
        let definition = define(world, name, &image);
        let count = u32::try_from(dice.between(1, 3)).unwrap_or(1);
        world.make_service(&target, &definition, count, healthy);
        Self {
            entries,
            scaling,
            delivery,
            ..Self::bare(target)
        }
    }

    /// A target of which nothing is configured.
    pub fn bare(target: Target) -> Self {
        Self {
            target,
            entries: Vec::new(),
            scaling: None,
            delivery: None,
            paused: None,
            groups: Vec::new(),
            changed: None,
            first: None,
            checked: false,
            pruned: false,
            breaker: true,
            approvals: Vec::new(),
            back: None,
        }
    }

    fn draw_family(dice: &mut Dice, world: &mut World, name: &str) -> Self {
        define(world, name, "docker.io/library/nightly:1");
        let entries = vec![Entry::draw(dice, "srv-jobs", Some(9000), false)];
        Self {
            entries,
            ..Self::bare(Target::task(CLUSTER, name))
        }
    }

    /// Where its tasks are to be registered.
    pub fn discovery(&self) -> &[Entry] {
        if self.pruned { &[] } else { &self.entries }
    }

    /// Which target groups its tasks are to join.
    pub fn balancing(&self) -> &[groups::Entry] {
        if self.pruned { &[] } else { &self.groups }
    }

    /// Whether a task must be healthy somewhere.
    pub fn asks_for_health(&self) -> bool {
        self.discovery().iter().any(|entry| entry.healthy) || self.balancing().iter().any(|entry| entry.healthy)
    }

    /// The port of its container.
    pub fn port(&self) -> u16 {
        match self.target.kind {
            TargetKind::Service => 8080,
            TargetKind::Task | TargetKind::Cluster => 9000,
        }
    }

    /// Writes the configuration as `wharfinger apply` does: under every partition at which an event looks.
    pub fn store(&self, world: &mut World) {
        let key = self.target.key();
        world.tables.config.retain(|at, _| at.sk != key);
        if self.pruned {
            return;
        }
        // A plan that cannot be stored would show as a service that nobody manages.
        let Ok(config) = serde_json::from_value(self.config()) else {
            return;
        };
        let mut stored = StoredTarget::new(config).resolved(&groups::resolved(world));
        if let Some((_, until)) = self.paused {
            stored.paused.insert("all".into(), Some(until));
        }
        stored.approvals.clone_from(&self.approvals);
        stored.back.clone_from(&self.back);
        let Ok(attribute) = to_attribute("a target", &stored) else {
            return;
        };
        for partition in stored.partitions() {
            let mut item = Item::default();
            item.insert("pk".into(), text(partition));
            item.insert("sk".into(), text(self.target.key()));
            item.insert(TARGET_ATTRIBUTE.into(), attribute.clone());
            world.tables.put(TableName::Config, item);
        }
    }

    fn config(&self) -> Value {
        let mut config = json!({ "discovery": self.entries.iter().map(Entry::config).collect::<Vec<_>>() });
        if !self.groups.is_empty() {
            config["balancing"] = self.groups.iter().map(groups::Entry::config).collect();
        }
        if let Some(scaling) = &self.scaling {
            config["scaling"] = scaling.config();
        }
        if let Some(delivery) = &self.delivery {
            config["delivery"] = json!([delivery.config()]);
        }
        config
    }
}

impl Entry {
    fn draw(dice: &mut Dice, registry: &str, port: Option<u16>, healthy: bool) -> Self {
        let lane = (if dice.chance(500) { "blue" } else { "green" }).to_owned();
        Self {
            registry: registry.to_owned(),
            port,
            healthy,
            lane,
        }
    }

    fn config(&self) -> Value {
        let mut entry = json!({ "to": self.registry, "container": "app", "attributes": { "lane": self.lane } });
        if let Some(port) = self.port {
            entry["port"] = port.into();
        }
        if self.healthy {
            entry["when"] = "healthy".into();
        }
        entry
    }
}

impl DeliveryPlan {
    fn draw(dice: &mut Dice, name: &str) -> Self {
        let tags = if dice.chance(500) { Tags::Versions } else { Tags::Main };
        Self::plain(&format!("shop/{name}"), tags)
    }

    /// A rule that waits for nothing.
    pub fn plain(repository: &str, tags: Tags) -> Self {
        Self {
            repository: repository.to_owned(),
            tags,
            gates: Gates::default(),
            timeout: None,
        }
    }

    fn config(&self) -> Value {
        let tags = match self.tags {
            Tags::Versions => json!({ "semver": "1.x" }),
            Tags::Main => json!({ "exact": "main" }),
        };
        let mut rule = json!({ "repository": self.repository, "tags": tags });
        self.gates.write(&mut rule);
        if let Some(minutes) = self.timeout {
            rule["rollback"] = json!({ "timeout": format!("{minutes}m") });
        }
        rule
    }
}

/// A digest that no other number has.
pub fn digest(number: u64) -> Option<Digest> {
    format!("sha256:{number:012x}{:052x}", 0).parse().ok()
}

/// Registers a revision as a person would.
pub fn define(world: &mut World, family: &str, image: &str) -> String {
    let request = json!({
        "family": family,
        "networkMode": "awsvpc",
        "containerDefinitions": [
            { "name": "app", "image": image, "essential": true, "portMappings": [{ "containerPort": 8080 }] },
            { "name": "log", "image": "docker.io/fluent/fluent-bit:3", "essential": false },
        ],
        "aFieldThatNoSdkKnows": { "deep": [1, 2.5, null] },
        "tags": [{ "key": "team", "value": "shop" }],
    });
    world.define(&request).unwrap_or_default()
}

fn broken(sk: &str) -> Item {
    let mut item = Item::default();
    item.insert("pk".into(), text(TARGETS));
    item.insert("sk".into(), text(sk));
    item.insert(TARGET_ATTRIBUTE.into(), text("no target at all"));
    item
}

/// When every history begins.
pub fn beginning() -> Timestamp {
    Timestamp::from_second(1_767_600_000).unwrap_or_default()
}
