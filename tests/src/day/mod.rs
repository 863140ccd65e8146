//! A day of one service, and who moves its count: the rules of scaling, a rule written by hand, the formula of Kubernetes.
//!
//! The load is a curve with a night, a morning, a lunch, a spike, an evening and noise. A task that starts takes no load
//! for three minutes and is busy for two of them, which the metric of the service shows. At lunch there is a deployment.
//! Everyone sees the same metric, the same alarms and the same events, late, doubled and lost ones; the same seed is the
//! same day.

pub mod chart;
mod cloudwatch;
mod hpa;
mod load;
mod ours;
mod plain;
mod service;
mod tally;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use chart::CHARTED;
pub use load::MINUTES;
pub use tally::{Row, Tally, rows, table};

use crate::simulation::dice::Dice;
use cloudwatch::{AlarmEvent, CloudWatch, HIGH, LOW, PERIOD};
use service::{Sample, Service};

/// The CPU that a task is to have, in percent.
pub const TARGET: f64 = 60.0;

/// Above which CPU a minute counts as bad, in percent.
pub const BAD: f64 = 80.0;

/// The least number of tasks.
pub const MIN: u32 = 2;

/// The greatest number of tasks.
pub const MAX: u32 = 40;

/// How many tasks there are at midnight.
const AT_MIDNIGHT: u32 = 6;

/// How many tasks the peak of a usual evening needs.
const ENOUGH: u32 = 36;

/// The minutes of the deployment.
pub const DEPLOYMENT: std::ops::Range<u32> = {
    let begins = 12 * 60 + 30;
    begins..begins + service::DEPLOYMENT_LASTS
};

/// When in its minute CloudWatch evaluates, and when the schedules look.
const EVALUATES: SignedDuration = SignedDuration::from_secs(5);
const LOOKS: SignedDuration = SignedDuration::from_secs(30);

/// What is known when a count is decided.
pub struct Seen<'a> {
    now: Timestamp,
    minute: u32,
    service: &'a Service,
    /// The minute before.
    sample: Option<Sample>,
    cloudwatch: &'a CloudWatch,
}

/// Who moves the count.
trait Scaler {
    /// An alarm's event comes. The new count, if it is to change.
    fn event(&mut self, event: &AlarmEvent, seen: &Seen<'_>) -> Option<u32>;

    /// A minute has passed. The new count, if it is to change.
    fn minute(&mut self, seen: &Seen<'_>) -> Option<u32>;
}

/// Those who are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A `target` rule.
    Target,
    /// Two rules with `steps`.
    Steps,
    /// One task more or fewer on an alarm's event.
    ByEvent,
    /// One task more or fewer, again while the alarm stays.
    EachMinute,
    /// Kubernetes' Horizontal Pod Autoscaler.
    Hpa,
    /// Nobody: there are always as many as the peak needs.
    Nobody,
}

impl Who {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Target,
        Self::Steps,
        Self::Hpa,
        Self::EachMinute,
        Self::ByEvent,
        Self::Nobody,
    ];

    /// The name that the table has.
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "`target: 60`",
            Self::Steps => "`steps`",
            Self::ByEvent => "one task per alarm event",
            Self::EachMinute => "one task per minute in ALARM",
            Self::Hpa => "HPA's formula",
            Self::Nobody => "36 tasks all day",
        }
    }

    fn scaler(self) -> serde_json::Result<Option<Box<dyn Scaler>>> {
        Ok(match self {
            Self::Target => Some(Box::new(ours::Ours::new(target())?)),
            Self::Steps => Some(Box::new(ours::Ours::new(steps())?)),
            Self::ByEvent => Some(Box::new(plain::Plain::default())),
            Self::EachMinute => Some(Box::new(plain::Plain::repeating())),
            Self::Hpa => Some(Box::new(hpa::Hpa::default())),
            Self::Nobody => None,
        })
    }
}

/// A `target` as docs/scaling.md has it, for tasks that take three minutes to start.
fn target() -> serde_json::Value {
    json!({
        "min": MIN, "max": MAX,
        "rules": [{ "alarm": HIGH, "target": TARGET, "tolerance": 0.1 }],
        "cooldown": { "out": "1m", "in": "5m" },
        "stabilise": { "in": "5m" },
        "warm-up": "3m",
    })
}

/// Steps above and below the thresholds of two alarms.
fn steps() -> serde_json::Value {
    json!({
        "min": MIN, "max": MAX,
        "rules": [
            { "alarm": HIGH, "min-step": 1, "steps": [
                { "from": 0, "to": 15, "percent": 20 },
                { "from": 15, "percent": 50 },
            ] },
            { "alarm": LOW, "min-step": 1, "steps": [{ "to": 0, "percent": -15 }] },
        ],
        "cooldown": { "out": "1m", "in": "5m" },
        "warm-up": "3m",
    })
}

/// A change of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
}

/// What a day was like.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// The load of each minute, in tasks that would be busy all the time.
    pub load: Vec<f64>,
    /// The count at the end of each minute.
    pub desired: Vec<u32>,
    /// What each minute was like.
    pub samples: Vec<Sample>,
    /// Every change.
    pub changes: Vec<Change>,
}

/// The day of a seed.
///
/// # Errors
/// When a configuration of this module is none.
pub fn day(seed: u64, who: Who) -> serde_json::Result<Day> {
    let midnight = Timestamp::UNIX_EPOCH;
    let mut scaler = who.scaler()?;
    let mut course = Course {
        service: Service::new(if scaler.is_some() { AT_MIDNIGHT } else { ENOUGH }, midnight),
        cloudwatch: CloudWatch::new(midnight),
        day: Day {
            load: load::of_day(&mut Dice::of(seed)),
            desired: Vec::new(),
            samples: Vec::new(),
            changes: Vec::new(),
        },
    };
    // Another source: what becomes of events does not change the load.
    let mut dice = Dice::of(!seed);
    let mut begun = midnight;
    for (minute, load) in (0..MINUTES).zip(course.day.load.clone()) {
        course.service.goes_to(minute);
        if minute == DEPLOYMENT.start {
            course.service.deploy();
        }
        if let Some(before) = course.day.samples.last() {
            let datapoint = begun - PERIOD;
            course
                .cloudwatch
                .hears(datapoint, before.mean, begun + EVALUATES, &mut dice);
        }
        if let Some(scaler) = &mut scaler {
            course.looks(scaler.as_mut(), minute, begun);
        }
        course.day.desired.push(course.service.desired);
        course.day.samples.push(course.service.serves(load));
        begun += PERIOD;
    }
    Ok(course.day)
}

/// A day that is under way.
struct Course {
    service: Service,
    cloudwatch: CloudWatch,
    day: Day,
}

impl Course {
    /// What arrives within a minute, and the look of its schedule, in the order of time.
    fn looks(&mut self, scaler: &mut dyn Scaler, minute: u32, begun: Timestamp) {
        let arrived = self.cloudwatch.arrived(begun + PERIOD - SignedDuration::from_secs(1));
        let scheduled = (begun + LOOKS, None);
        let mut looks: Vec<_> = arrived.into_iter().map(|event| (event.arrives, Some(event))).collect();
        looks.push(scheduled);
        looks.sort_by_key(|(at, _)| *at);
        for (now, event) in looks {
            let seen = Seen {
                now,
                minute,
                service: &self.service,
                sample: self.day.samples.last().copied(),
                cloudwatch: &self.cloudwatch,
            };
            let to = match &event {
                Some(event) => scaler.event(event, &seen),
                None => scaler.minute(&seen),
            };
            if let Some(to) = to {
                let from = self.service.desired;
                self.day.changes.push(Change { at: now, from, to });
                self.service.set(to);
            }
        }
    }
}

/// The smallest whole number that is no smaller, for counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole, and `as` holds what is out of range at the range's end"
)]
fn ceil(value: f64) -> u32 {
    // What is a hair above a whole number is that number: 0.1 has no exact binary form.
    (value - 1e-9).ceil() as u32
}
