//! A threshold rule as people write it by hand: one task more on the alarm of too few, one fewer on the alarm of too many,
//! and nothing for some minutes after a change.

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::event::AlarmValue;

use super::cloudwatch::{AlarmEvent, HIGH, LOW};
use super::{MAX, MIN, Scaler, Seen};

/// How long nothing is done after a change.
pub const COOLDOWN: SignedDuration = SignedDuration::from_mins(5);

/// A function behind the alarms' events.
#[derive(Debug, Default)]
pub struct Plain {
    repeats: bool,
    changed: Option<Timestamp>,
}

impl Plain {
    /// One that looks at the alarms once a minute besides, as a scaling policy of AWS does: an alarm that stays steps on.
    pub fn repeating() -> Self {
        Self {
            repeats: true,
            changed: None,
        }
    }

    fn steps(&mut self, alarm: &str, seen: &Seen<'_>) -> Option<u32> {
        if self.changed.is_some_and(|at| seen.now.duration_since(at) < COOLDOWN) {
            return None;
        }
        let count = seen.service.desired;
        let to = if alarm == HIGH {
            (count + 1).min(MAX)
        } else {
            count.saturating_sub(1).max(MIN)
        };
        (to != count).then(|| {
            self.changed = Some(seen.now);
            to
        })
    }
}

impl Scaler for Plain {
    fn event(&mut self, event: &AlarmEvent, seen: &Seen<'_>) -> Option<u32> {
        if event.state.value == AlarmValue::Alarm {
            self.steps(event.alarm, seen)
        } else {
            None
        }
    }

    fn minute(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let alarmed = |name: &&&str| {
            let state = seen.cloudwatch.describe(name);
            state.is_some_and(|state| state.value == AlarmValue::Alarm)
        };
        let alarm = [HIGH, LOW].iter().find(alarmed).copied().filter(|_| self.repeats)?;
        self.steps(alarm, seen)
    }
}
