//! CloudWatch: two alarms on the mean CPU, and their events, which come late, twice or not at all.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::event::{AlarmState, AlarmValue, Reading};
use wharfinger_core::scaling::backtest::{AlarmDefinition, Comparison, Missing};

use crate::simulation::dice::Dice;

/// The alarm of too few tasks.
pub const HIGH: &str = "web-cpu-high";

/// The alarm of too many tasks.
pub const LOW: &str = "web-cpu-low";

/// How long a datapoint's period is.
pub const PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// How many datapoints are kept: more than any alarm looks at.
const KEPT: usize = 20;

/// Above which CPU the one goes to ALARM, and below which the other.
pub const THRESHOLDS: (f64, f64) = (70.0, 40.0);

/// An alarm's change of state, on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmEvent {
    /// When it arrives.
    pub arrives: Timestamp,
    /// The alarm.
    pub alarm: &'static str,
    /// The state that it tells.
    pub state: AlarmState,
}

/// The metric, the alarms, and the events that are on their way.
#[derive(Debug)]
pub struct CloudWatch {
    points: VecDeque<(Timestamp, Option<f64>)>,
    states: BTreeMap<&'static str, AlarmState>,
    events: Vec<AlarmEvent>,
}

/// High within three minutes, by two of three datapoints; low by all of five.
fn definitions() -> [(&'static str, AlarmDefinition); 2] {
    let of = |threshold, comparison, datapoints_to_alarm, evaluation_periods| AlarmDefinition {
        threshold,
        comparison,
        evaluation_periods,
        datapoints_to_alarm,
        missing: Missing::Missing,
        period: PERIOD,
    };
    let (high, low) = THRESHOLDS;
    [
        (HIGH, of(high, Comparison::GreaterThanThreshold, 2, 3)),
        (LOW, of(low, Comparison::LessThanThreshold, 5, 5)),
    ]
}

impl CloudWatch {
    /// Two alarms that are OK.
    pub fn new(midnight: Timestamp) -> Self {
        let ok = AlarmState {
            value: AlarmValue::Ok,
            timestamp: midnight,
            reading: None,
            triggering: Vec::new(),
            muted: false,
            muted_until: None,
        };
        Self {
            points: VecDeque::new(),
            states: BTreeMap::from([(HIGH, ok.clone()), (LOW, ok)]),
            events: Vec::new(),
        }
    }

    /// Takes the datapoint of the minute that began then, and evaluates the alarms.
    pub fn hears(&mut self, begun: Timestamp, value: Option<f64>, now: Timestamp, dice: &mut Dice) {
        self.points.push_front((begun, value));
        self.points.truncate(KEPT);
        let newest_first: Vec<_> = self.points.iter().map(|(_, value)| *value).collect();
        for (name, definition) in definitions() {
            let before = self
                .states
                .get(name)
                .map_or(AlarmValue::InsufficientData, |state| state.value);
            let value = definition.evaluate(&newest_first, before);
            if value == before {
                continue;
            }
            let state = AlarmState {
                value,
                timestamp: now,
                reading: self.newest(definition.threshold),
                triggering: Vec::new(),
                muted: false,
                muted_until: None,
            };
            self.states.insert(name, state.clone());
            self.send(name, &state, now, dice);
        }
    }

    /// Most events come within seconds, some minutes late, some twice, some never.
    fn send(&mut self, alarm: &'static str, state: &AlarmState, now: Timestamp, dice: &mut Dice) {
        let copies = match dice.weighted(&[85, 10, 5]) {
            0 => 1,
            1 => 2,
            _ => 0,
        };
        for _ in 0..copies {
            let late = if dice.chance(150) {
                dice.between(60, 300)
            } else {
                dice.between(1, 20)
            };
            let late = SignedDuration::from_secs(i64::try_from(late).unwrap_or(i64::MAX));
            self.events.push(AlarmEvent {
                arrives: now.saturating_add(late).unwrap_or(Timestamp::MAX),
                alarm,
                state: state.clone(),
            });
        }
    }

    /// The events that have arrived by now, in the order in which they come.
    pub fn arrived(&mut self, now: Timestamp) -> Vec<AlarmEvent> {
        let (mut arrived, rest): (Vec<_>, Vec<_>) = self.events.drain(..).partition(|event| event.arrives <= now);
        self.events = rest;
        arrived.sort_by_key(|event| event.arrives);
        arrived
    }

    /// What `DescribeAlarms` says.
    pub fn describe(&self, alarm: &str) -> Option<&AlarmState> {
        self.states.get(alarm)
    }

    /// What `GetMetricData` says: the newest datapoint.
    pub fn newest(&self, threshold: f64) -> Option<Reading> {
        let (begun, value) = self
            .points
            .iter()
            .find_map(|(begun, value)| Some((*begun, (*value)?)))?;
        Some(Reading {
            value,
            threshold: Some(threshold),
            at: Some(begun),
            period: u32::try_from(PERIOD.as_secs()).ok(),
        })
    }
}
