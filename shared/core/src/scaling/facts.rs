//! What is known when a count is decided.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Memory;
use crate::config::stored::Override;
use crate::config::{AlarmRule, Scaling};
use crate::event::{AlarmState, AlarmValue, Reading};
use crate::ids::Target;
use crate::known::Known;
use crate::service::ServiceFacts;

/// How long a state may be relied on without asking CloudWatch again: an event may come hours late, and the one that
/// took it back may have overtaken it or be lost.
pub(super) const CONFIRM_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What [`decide`](super::decide()) looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The service.
    pub target: Target,
    /// Its bounds and rules.
    pub scaling: Scaling,
    /// Bounds that hold for a while in place of the configured ones, as they are stored.
    pub overridden: Option<Override>,
    /// What `DescribeServices` says of it; `Yes(None)` when it does not find it.
    pub service: Known<Option<ServiceFacts>>,
    /// Whether Application Auto Scaling has a scalable target for its desired count (`DescribeScalableTargets`). What is
    /// not known stops nothing.
    pub scalable: Known<bool>,
    /// The alarms, by name. Absent are those of which nothing is known: not to be confused with those that
    /// `DescribeAlarms` does not find.
    ///
    /// Those that a composite alarm names in [`AlarmState::triggering`] belong here too.
    pub alarms: BTreeMap<String, AlarmFacts>,
    /// The queues, by name: `None` when SQS has no such queue. Absent are those of which nothing is known.
    pub queues: BTreeMap<String, Option<QueueFacts>>,
    /// What was stored of earlier decisions.
    pub memory: Memory,
}

/// What is known of an alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmFacts {
    /// Its latest state; `None` when `DescribeAlarms` does not find it.
    pub state: Option<AlarmState>,
    /// When `DescribeAlarms` said so; `None` when only an event did.
    pub confirmed: Option<Timestamp>,
    /// The newest datapoint of its metric, as `GetMetricData` answers it, with the alarm's threshold and the metric's
    /// period; `Yes(None)` when it has none. It is used when it is newer than what the state says.
    pub metric: Known<Option<Reading>>,
}

/// What is known of a queue (`GetQueueAttributes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFacts {
    /// `ApproximateNumberOfMessages`: how many wait.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`: how many are being worked on.
    pub in_flight: u64,
    /// The age of the oldest message (`ApproximateAgeOfOldestMessage` of `AWS/SQS`); `None` when it is not known.
    pub oldest: Option<SignedDuration>,
    /// When SQS was asked.
    pub at: Timestamp,
}

impl QueueFacts {
    /// All messages, waiting and in flight.
    pub fn total(&self) -> u64 {
        self.visible.saturating_add(self.in_flight)
    }
}

impl AlarmFacts {
    /// A state that an event told.
    pub fn told(state: AlarmState) -> Self {
        Self {
            state: Some(state),
            confirmed: None,
            metric: Known::No,
        }
    }

    /// What `DescribeAlarms` answered at that time: the alarm's state, or that there is no such alarm.
    pub fn described(state: Option<AlarmState>, at: Timestamp) -> Self {
        Self {
            state,
            confirmed: Some(at),
            metric: Known::No,
        }
    }

    /// The same with what `GetMetricData` answered.
    #[must_use]
    pub fn with_metric(mut self, newest: Option<Reading>) -> Self {
        self.metric = Known::Yes(newest);
        self
    }

    /// Whether the state is too old to be relied on.
    pub(super) fn is_doubtful(&self, now: Timestamp) -> bool {
        let confirmed = self.confirmed.is_some_and(|at| now.duration_since(at) <= CONFIRM_AFTER);
        !confirmed && self.state.as_ref().is_some_and(|state| needs_confirmation(state, now))
    }
}

/// Whether an event with this state comes so late that `DescribeAlarms` must confirm it before it is acted upon:
/// after 15 minutes.
pub fn needs_confirmation(state: &AlarmState, now: Timestamp) -> bool {
    now.duration_since(state.timestamp) > CONFIRM_AFTER
}

/// A datapoint whose alarm does not say its period is of a minute, the shortest of most metrics.
const PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// How many periods old a datapoint may be before `GetMetricData` is asked for a newer one.
const FRESH_PERIODS: i32 = 2;

/// Whether `GetMetricData` is to be asked for the value of a rule's alarm: the rule needs one, and what the state says is
/// absent, or older than two periods, counted from the end of the datapoint's own and from when the alarm was evaluated.
/// `reasonData` is written when the state changes, and not again while it lasts.
///
/// `rule` names the composite alarm when `state` is that of an alarm that triggered it; a composite alarm has no metric.
pub fn needs_metric(rule: &AlarmRule, state: &AlarmState, now: Timestamp) -> bool {
    let wanted = rule.target.is_some() || (!rule.steps.is_empty() && state.value == AlarmValue::Alarm);
    let usable = !matches!(state.value, AlarmValue::InsufficientData | AlarmValue::Unknown) && !state.is_muted(now);
    wanted && usable && state.triggering.is_empty() && state.reading.is_none_or(|reading| is_old(reading, state, now))
}

/// Whether a reading is older than two periods: counted from the end of its own, and at the earliest from when the alarm
/// was evaluated, since it was the newest then.
pub(super) fn is_old(reading: Reading, state: &AlarmState, now: Timestamp) -> bool {
    let ended = reading.at.and_then(|begun| begun.checked_add(span(reading)).ok());
    let told = ended.map_or(state.timestamp, |ended| ended.max(state.timestamp));
    now.duration_since(told) > span(reading) * FRESH_PERIODS
}

/// How long the period of a reading is.
pub(super) fn span(reading: Reading) -> SignedDuration {
    reading
        .period
        .map_or(PERIOD, |seconds| SignedDuration::from_secs(seconds.into()))
}
