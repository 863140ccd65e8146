//! How counts are to move: the plans of scaling, in the words of the checks.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::world::{Shared, World};

use super::checks::Watch;
use super::dice::Dice;
use super::scenario::{Scenario, THRESHOLD};

/// What a `target` keeps each task at.
pub const TARGET: f64 = 60.0;

/// How far from it nothing is done.
pub const TOLERANCE: f64 = 0.1;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// `scaling` of a service.
#[derive(Debug, Clone)]
pub struct ScalingPlan {
    /// The configured bounds.
    pub min: u32,
    /// The configured bounds.
    pub max: u32,
    /// What moves the count.
    pub rules: Rules,
    /// The cooldowns, in seconds: out and in.
    pub cooldown: (u64, u64),
    /// Other bounds, each from its time of the day on.
    pub schedule: Vec<Scheduled>,
    /// How fast it moves at most: out and in.
    pub limit: (Option<Limit>, Option<Limit>),
    /// For how long a change must be asked for, in seconds: out and in.
    pub stabilise: (u64, u64),
}

/// What moves a count.
#[derive(Debug, Clone)]
pub enum Rules {
    /// One alarm adds, another takes one away.
    Alarms {
        /// The alarm that adds.
        high: String,
        /// What it adds.
        out: Out,
        /// The alarm that takes one away.
        idle: String,
    },
    /// A queue.
    Queue {
        /// Its name.
        queue: String,
        /// How many messages a task is for.
        per_task: u32,
        /// Above how many messages the first task is started.
        activate_above: u32,
        /// How long there must be no message before the last task goes, in seconds.
        idle_for: u64,
    },
    /// A metric per task, which is kept at [`TARGET`].
    Target {
        /// The alarm that watches it.
        alarm: String,
    },
}

/// What the alarm that adds asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// So many.
    Add(u32),
    /// One less than 20 above the threshold, three from there on.
    Steps,
}

/// An entry of `schedule`, every day.
#[derive(Debug, Clone, Copy)]
pub struct Scheduled {
    /// The minute of the day, UTC.
    pub minute: u32,
    /// The bounds from then on.
    pub min: u32,
    /// The bounds from then on.
    pub max: u32,
}

/// An entry of `limit`.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// So many tasks, or percent of the count at the beginning.
    pub by: By,
    /// In so many seconds.
    pub per: u64,
}

/// How much a limit allows.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// So many tasks.
    Tasks(u32),
    /// So many percent.
    Percent(u32),
}

impl Rules {
    /// The alarms that they listen to.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        match self {
            Self::Alarms { high, idle, .. } => vec![high.clone(), idle.clone()],
            Self::Queue { .. } => Vec::new(),
            Self::Target { alarm } => vec![alarm.clone()],
        }
    }
}

impl Limit {
    /// The greatest and the smallest count that it allows within a period that began with so many tasks. A percentage is
    /// rounded so that more changes, and from no task at least one comes.
    #[must_use]
    pub fn reach(self, start: u32) -> (u32, u32) {
        match self.by {
            By::Tasks(n) => (start + n, start.saturating_sub(n)),
            By::Percent(n) => {
                let up = (start * (100 + n)).div_ceil(100).max(1);
                (up, start * 100_u32.saturating_sub(n) / 100)
            }
        }
    }

    fn config(self) -> Value {
        let per = format!("{}s", self.per);
        match self.by {
            By::Tasks(n) => json!({ "tasks": n, "per": per }),
            By::Percent(n) => json!({ "percent": n, "per": per }),
        }
    }
}

impl ScalingPlan {
    /// Draws one of two alarms.
    pub fn draw(dice: &mut Dice, name: &str) -> Self {
        let min = u32::try_from(dice.between(0, 2)).unwrap_or(0);
        let max = min + u32::try_from(dice.between(1, 4)).unwrap_or(1);
        let cooldown = |dice: &mut Dice| *dice.pick(&[0, 30, 60, 120]).unwrap_or(&0);
        let out = if dice.chance(300) {
            Out::Steps
        } else {
            Out::Add(u32::try_from(dice.between(1, 2)).unwrap_or(1))
        };
        Self {
            min,
            max,
            rules: Rules::Alarms {
                high: format!("{name}-high"),
                out,
                idle: format!("{name}-idle"),
            },
            cooldown: (cooldown(dice), cooldown(dice)),
            schedule: Vec::new(),
            limit: (None, None),
            stabilise: (0, 0),
        }
    }

    /// Whether its count must be looked at without an event.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !matches!(self.rules, Rules::Alarms { .. }) || !self.schedule.is_empty()
    }

    /// Whether a change may come to less than is asked for.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.limit.0.is_some() || self.limit.1.is_some() || self.stabilise != (0, 0)
    }

    /// The bounds of a time.
    #[must_use]
    pub fn bounds(&self, at: Timestamp) -> (u32, u32) {
        let last = self.schedule.iter().max_by_key(|entry| entry.last(at));
        last.map_or((self.min, self.max), |entry| (entry.min, entry.max))
    }

    /// The bounds that held at one time or another from one time to another.
    #[must_use]
    pub fn bounds_within(&self, from: Timestamp, to: Timestamp) -> Vec<(u32, u32)> {
        let changes = self.schedule.iter().map(|entry| entry.last(to)).filter(|at| *at > from);
        [from, to]
            .into_iter()
            .chain(changes)
            .map(|at| self.bounds(at))
            .collect()
    }

    /// The smallest `min` of all times.
    #[must_use]
    pub fn least(&self) -> u32 {
        let scheduled = self.schedule.iter().map(|entry| entry.min);
        scheduled.chain([self.min]).min().unwrap_or_default()
    }

    /// When other bounds come into force next.
    #[must_use]
    pub fn next_bounds(&self, at: Timestamp) -> Option<Timestamp> {
        let next = |entry: &Scheduled| entry.last(at).saturating_add(DAY).unwrap_or(Timestamp::MAX);
        self.schedule.iter().map(next).min()
    }

    /// As the configuration has it.
    #[must_use]
    pub fn config(&self) -> Value {
        let mut config = json!({
            "min": self.min,
            "max": self.max,
            "rules": self.rules.config(),
            "cooldown": { "out": format!("{}s", self.cooldown.0), "in": format!("{}s", self.cooldown.1) },
        });
        if !self.schedule.is_empty() {
            config["schedule"] = self.schedule.iter().map(Scheduled::config).collect();
        }
        for (side, limit) in [("out", self.limit.0), ("in", self.limit.1)] {
            if let Some(limit) = limit {
                config["limit"][side] = limit.config();
            }
        }
        if self.stabilise != (0, 0) {
            let (out, inward) = self.stabilise;
            config["stabilise"] = json!({ "out": format!("{out}s"), "in": format!("{inward}s") });
        }
        config
    }
}

impl Rules {
    fn config(&self) -> Value {
        match self {
            Self::Alarms { high, out, idle } => {
                let out = match out {
                    Out::Add(n) => json!({ "alarm": high, "add": n }),
                    Out::Steps => json!({
                        "alarm": high,
                        "steps": [{ "from": 0.0, "to": 20.0, "add": 1 }, { "from": 20.0, "add": 3 }],
                    }),
                };
                json!([out, { "alarm": idle, "add": -1 }])
            }
            Self::Queue {
                queue,
                per_task,
                activate_above,
                idle_for,
            } => json!([{
                "queue": queue,
                "per-task": per_task,
                "activate-above": activate_above,
                "idle-for": format!("{idle_for}s"),
            }]),
            Self::Target { alarm } => json!([{ "alarm": alarm, "target": TARGET }]),
        }
    }
}

impl Scheduled {
    /// When it came into force last.
    fn last(&self, at: Timestamp) -> Timestamp {
        let day = DAY.as_secs();
        let minute = i64::from(self.minute) * 60;
        let today = at.as_second().div_euclid(day) * day + minute;
        let last = if today > at.as_second() { today - day } else { today };
        Timestamp::from_second(last).unwrap_or(Timestamp::MIN)
    }

    fn config(&self) -> Value {
        let cron = format!("{} {} * * *", self.minute % 60, self.minute / 60);
        json!({ "cron": cron, "min": self.min, "max": self.max })
    }
}

/// Has some counts moved by queues, by values and by the time of the day, and no faster than is allowed.
pub fn add(dice: &mut Dice, shared: &Shared, scenario: &mut Scenario, watch: &mut Watch) {
    let mut world = shared.borrow_mut();
    for plan in &mut scenario.targets {
        let name = plan.target.name.clone();
        let Some(scaling) = &mut plan.scaling else { continue };
        if !dice.chance(650) {
            continue;
        }
        scaling.enrich(dice, &mut world, &name);
        if let Rules::Queue { queue, .. } = &scaling.rules {
            watch.queue(queue, 0, world.now);
        }
        if dice.chance(60) {
            world.make_scalable(&plan.target);
            scenario.others.insert(plan.target.clone(), world.now);
        }
        plan.store(&mut world);
    }
}

impl ScalingPlan {
    fn enrich(&mut self, dice: &mut Dice, world: &mut World, name: &str) {
        let number = |dice: &mut Dice, low, high| u32::try_from(dice.between(low, high)).unwrap_or_default();
        match dice.weighted(&[30, 40, 30]) {
            0 => {}
            1 => {
                self.min = *dice.pick(&[0, 0, 0, 1]).unwrap_or(&0);
                self.max = self.min + number(dice, 2, 5);
                let queue = format!("{name}-jobs");
                world.set_queue(&queue, 0, 0);
                self.rules = Rules::Queue {
                    queue,
                    per_task: number(dice, 1, 4),
                    activate_above: *dice.pick(&[0, 0, 3]).unwrap_or(&0),
                    idle_for: *dice.pick(&[60, 120, 300]).unwrap_or(&60),
                };
            }
            _ => {
                self.min = self.min.max(1);
                self.max = self.min + number(dice, 2, 5);
                let alarm = format!("{name}-load");
                world.make_alarm(&alarm, THRESHOLD);
                self.rules = Rules::Target { alarm };
            }
        }
        if dice.chance(350) {
            self.draw_schedule(dice, world.now);
        }
        let limit = |dice: &mut Dice| {
            let by = if dice.chance(700) {
                By::Tasks(number(dice, 1, 2))
            } else {
                By::Percent(*dice.pick(&[25, 50, 100]).unwrap_or(&50))
            };
            let per = *dice.pick(&[60, 120, 180]).unwrap_or(&60);
            dice.chance(350).then_some(Limit { by, per })
        };
        self.limit = (limit(dice), limit(dice));
        let window = |dice: &mut Dice| *dice.pick(&[0, 0, 60, 150]).unwrap_or(&0);
        self.stabilise = (window(dice), window(dice));
    }

    /// Times within the first hour, two of which are never the same.
    fn draw_schedule(&mut self, dice: &mut Dice, now: Timestamp) {
        let minute = now.as_second().rem_euclid(DAY.as_secs()) / 60;
        let mut minute = u32::try_from(minute).unwrap_or_default();
        for _ in 0..dice.between(1, 3) {
            minute += u32::try_from(dice.between(3, 20)).unwrap_or(3);
            let min = u32::try_from(dice.between(0, 3)).unwrap_or_default();
            // A proportion of nothing is nothing, and whoever sets 0 tasks where there are to be some means it.
            let min = if matches!(self.rules, Rules::Target { .. }) {
                min.max(1)
            } else {
                min
            };
            let max = min + u32::try_from(dice.between(0, 4)).unwrap_or_default();
            self.schedule.push(Scheduled {
                minute: minute % 1_440,
                min,
                max: max.max(1),
            });
        }
    }
}
