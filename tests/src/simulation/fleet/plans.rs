//! What a fleet begins with: services that wait for each other, for people, scans and times, and a family that is run on
//! schedules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_cloud::world::{ACCOUNT, REGION, World, registry};
use wharfinger_core::delivery::Follower;
use wharfinger_core::ids::Target;

use crate::simulation::dice::Dice;
use crate::simulation::scenario::{CLUSTER, DeliveryPlan, Plan, Scenario, Tags, define};

/// What must come before a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// The service that must have proved the image.
    pub after: Option<Target>,
    /// For how long, in seconds; with waves those before.
    pub bake: Option<u64>,
    /// The shares in which the services of the repository go ahead, in percent.
    pub waves: Option<&'static [usize]>,
    /// How old the push must be, in seconds.
    pub mature: Option<u64>,
    /// When rollouts may not begin.
    pub freeze: Option<Stretch>,
    /// When they may, and no other time.
    pub allow: Option<Stretch>,
    /// Whether the scan must be finished, without findings that are HIGH.
    pub scan: bool,
    /// Whether a person must agree.
    pub approval: bool,
}

/// A stretch of time that comes every hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The minute of the hour at which it begins, UTC.
    pub minute: u32,
    /// How many minutes it lasts: less than an hour.
    pub lasts: u32,
    /// Whether it is written by a clock that is half an hour off.
    pub elsewhere: bool,
}

impl Stretch {
    fn draw(dice: &mut Dice, (least, most): (u64, u64)) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or_default();
        Self {
            minute: small(dice.below(60)),
            lasts: small(dice.between(least, most)),
            elsewhere: dice.chance(300),
        }
    }

    fn config(self) -> Value {
        let lasts = format!("{}m", self.lasts);
        if self.elsewhere {
            let minute = (self.minute + 30) % 60;
            return json!([{ "cron": format!("{minute} * * * *"), "for": lasts, "timezone": "Asia/Kolkata" }]);
        }
        json!([{ "cron": format!("{} * * * *", self.minute), "for": lasts }])
    }

    /// Whether a time is within it.
    #[must_use]
    pub fn covers(self, at: Timestamp) -> bool {
        let since = (at.as_second() - i64::from(self.minute) * 60).rem_euclid(3_600);
        since < i64::from(self.lasts) * 60
    }
}

impl Gates {
    /// Some of those that need no other service.
    fn draw(dice: &mut Dice, share: u64) -> Self {
        Self {
            mature: dice.chance(share).then(|| dice.between(60, 900)),
            freeze: dice.chance(share).then(|| Stretch::draw(dice, (5, 40))),
            allow: dice.chance(share / 2).then(|| Stretch::draw(dice, (15, 50))),
            scan: dice.chance(share),
            approval: dice.chance(share),
            ..Self::default()
        }
    }

    /// Takes one of them away, or puts one there.
    pub fn change(&mut self, dice: &mut Dice) {
        match dice.index(6) {
            0 => self.mature = self.mature.is_none().then(|| dice.between(60, 900)),
            1 => self.freeze = self.freeze.is_none().then(|| Stretch::draw(dice, (5, 40))),
            2 => self.allow = self.allow.is_none().then(|| Stretch::draw(dice, (15, 50))),
            3 => self.scan = !self.scan,
            4 => self.approval = !self.approval,
            _ => {
                let follows = self.after.is_some() || self.waves.is_some();
                self.bake = (follows && self.bake.is_none()).then(|| dice.between(60, 900));
            }
        }
    }

    /// Writes them into a rule.
    pub fn write(&self, rule: &mut Value) {
        let span = |seconds: u64| Value::from(format!("{seconds}s"));
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                rule[key] = value;
            }
        };
        put("after", self.after.as_ref().map(|target| target.to_string().into()));
        put("bake", self.bake.map(span));
        put("mature", self.mature.map(span));
        let shares = |shares: &[usize]| shares.iter().map(|n| format!("{n}%")).collect::<Vec<_>>().join(", ");
        put("waves", self.waves.map(|all| shares(all).into()));
        put("scan", self.scan.then(|| json!({ "block": "HIGH", "wait": "10m" })));
        put("approval", self.approval.then(|| "required".into()));
        if self.freeze.is_some() || self.allow.is_some() {
            let list = |stretch: Option<Stretch>| stretch.map_or_else(|| json!([]), Stretch::config);
            let windows = json!({ "freeze": list(self.freeze), "allow": list(self.allow) });
            put("windows", Some(windows));
        }
    }
}

/// The shapes that a fleet is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One service with gates of its own.
    Alone,
    /// A service takes what another has proved.
    Promotion,
    /// Several take an image one after the other.
    Waves,
    /// A family that rules and schedules run.
    Family,
}

/// The family.
pub const FAMILY: &str = "report";

impl Scenario {
    /// Draws a fleet, and makes it in the world.
    pub fn fleet(dice: &mut Dice, world: &mut World) -> Self {
        let mut scenario = Self::default();
        let mut shapes = vec![Shape::Alone, Shape::Promotion, Shape::Waves, Shape::Family];
        for _ in 0..=dice.index(2) {
            match shapes.swap_remove(dice.index(shapes.len())) {
                Shape::Alone => alone(dice, world, &mut scenario),
                Shape::Promotion => promotion(dice, world, &mut scenario),
                Shape::Waves => waves(dice, world, &mut scenario),
                Shape::Family => family(dice, world, &mut scenario),
            }
        }
        settle(world);
        for plan in &scenario.targets {
            plan.store(world);
        }
        scenario
    }
}

/// Everything runs when the history begins.
fn settle(world: &mut World) {
    while let Some(a) = world.moves().first().cloned() {
        world.make(&a);
    }
    world.emitted.clear();
}

fn draw_tags(dice: &mut Dice) -> Tags {
    if dice.chance(500) { Tags::Versions } else { Tags::Main }
}

fn service(dice: &mut Dice, world: &mut World, name: &str, delivery: DeliveryPlan) -> Plan {
    let target = Target::service(CLUSTER, name);
    world.repositories.make(&delivery.repository);
    let image = format!("{}/{}:1.0.0", registry(), delivery.repository);
    let definition = define(world, name, &image);
    world.make_service(&target, &definition, 1 + u32::from(dice.chance(300)), false);
    let mut plan = Plan::bare(target.clone());
    plan.breaker = dice.chance(600);
    if dice.chance(150)
        && let Some(service) = world.services.get_mut(&target)
    {
        service.patience = std::time::Duration::from_mins(20);
    }
    plan.delivery = Some(delivery);
    plan
}

fn rule(dice: &mut Dice, repository: &str, tags: Tags, gates: Gates) -> DeliveryPlan {
    DeliveryPlan {
        gates,
        timeout: *dice.pick(&[None, None, Some(8), Some(15)]).unwrap_or(&None),
        ..DeliveryPlan::plain(repository, tags)
    }
}

fn alone(dice: &mut Dice, world: &mut World, scenario: &mut Scenario) {
    let (tags, gates) = (draw_tags(dice), Gates::draw(dice, 300));
    let delivery = rule(dice, "shop/web", tags, gates);
    scenario.targets.push(service(dice, world, "web", delivery));
}

fn promotion(dice: &mut Dice, world: &mut World, scenario: &mut Scenario) {
    let tags = draw_tags(dice);
    let gates = Gates::draw(dice, 80);
    let first = rule(dice, "shop/pay", tags, gates);
    let gates = Gates {
        after: Some(Target::service(CLUSTER, "stage")),
        bake: dice.chance(500).then(|| dice.between(60, 900)),
        ..Gates::draw(dice, 120)
    };
    let second = rule(dice, "shop/pay", tags, gates);
    scenario.targets.push(service(dice, world, "stage", first));
    scenario.targets.push(service(dice, world, "live", second));
}

fn waves(dice: &mut Dice, world: &mut World, scenario: &mut Scenario) {
    let tags = draw_tags(dice);
    let shares: &'static [usize] = dice.pick(&[&[30, 100][..], &[10, 60, 100]]).copied().unwrap_or(&[100]);
    let bake = dice.chance(300).then(|| dice.between(60, 600));
    let names = ["eu", "in", "us"];
    for name in names {
        let gates = Gates {
            waves: Some(shares),
            bake,
            ..Gates::draw(dice, 50)
        };
        let delivery = rule(dice, "shop/api", tags, gates);
        scenario.targets.push(service(dice, world, name, delivery));
    }
}

fn family(dice: &mut Dice, world: &mut World, scenario: &mut Scenario) {
    let (tags, gates) = (draw_tags(dice), Gates::draw(dice, 150));
    let delivery = rule(dice, "shop/report", tags, gates);
    world.repositories.make(&delivery.repository);
    let image = format!("{}/{}:1.0.0", registry(), delivery.repository);
    let first = define(world, FAMILY, &image);
    let other = define(world, "unrelated", "docker.io/library/unrelated:1");
    let mut plan = Plan::bare(Target::task(CLUSTER, FAMILY));
    plan.delivery = Some(delivery);
    scenario.targets.push(plan);
    for (follower, raw) in followers(dice, &first, &other) {
        world.around.followers.insert(follower, raw);
    }
    if dice.chance(200) {
        world.around.managed.insert(by_rule("managed"));
    }
}

fn by_rule(id: &str) -> Follower {
    Follower::Rule {
        bus: "default".into(),
        rule: "hourly".into(),
        id: id.into(),
    }
}

/// Two rules' targets and a schedule that run the family, one that an AWS service may manage, and what is not to move: one
/// that runs another family, one in another cluster.
fn followers(dice: &mut Dice, definition: &str, other: &str) -> BTreeMap<Follower, Value> {
    let cluster = |name: &str| format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}");
    let target = |cluster: &str, definition: &str| {
        json!({
            "Arn": cluster,
            "Id": "1",
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/events"),
            "Input": "{\"containerOverrides\": []}",
            "EcsParameters": { "TaskDefinitionArn": definition, "TaskCount": 2, "aFieldThatNoSdkKnows": [1, 2.5] },
        })
    };
    let schedule = |target: Value| {
        json!({
            "Arn": format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/nightly"),
            "Name": "nightly",
            "GroupName": "default",
            "ScheduleExpression": "cron(0 3 * * ? *)",
            "CreationDate": 1_767_600_000.25,
            "LastModificationDate": 1_767_600_000.25,
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": target,
        })
    };
    let own = cluster(CLUSTER);
    let nightly = Follower::Schedule {
        group: "default".into(),
        name: "nightly".into(),
    };
    let mut found = BTreeMap::from([
        (by_rule("report"), target(&own, definition)),
        (by_rule("managed"), target(&own, definition)),
        (by_rule("unrelated"), target(&own, other)),
        (by_rule("elsewhere"), target(&cluster("test"), definition)),
        (nightly, schedule(target(&own, definition))),
    ]);
    if dice.chance(200) {
        let family = definition.rsplit_once(':').map_or(definition, |(family, _)| family);
        found.insert(by_rule("newest"), target(&own, family));
    }
    found
}
