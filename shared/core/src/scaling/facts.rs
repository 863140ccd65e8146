//! What is known when a count is decided.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Memory;
use crate::config::Scaling;
use crate::event::AlarmState;
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
    /// What `DescribeServices` says of it; `Yes(None)` when it does not find it.
    pub service: Known<Option<ServiceFacts>>,
    /// The alarms, by name. Absent are those of which nothing is known: not to be confused with those that
    /// `DescribeAlarms` does not find.
    pub alarms: BTreeMap<String, AlarmFacts>,
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
}

impl AlarmFacts {
    /// A state that an event told.
    pub fn told(state: AlarmState) -> Self {
        Self {
            state: Some(state),
            confirmed: None,
        }
    }

    /// What `DescribeAlarms` answered at that time: the alarm's state, or that there is no such alarm.
    pub fn described(state: Option<AlarmState>, at: Timestamp) -> Self {
        Self {
            state,
            confirmed: Some(at),
        }
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
