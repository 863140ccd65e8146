//! When a service is to be looked at next.

use jiff::Timestamp;

use super::{Decided, Facts, next_change};
use crate::config::Rule;
use crate::event::AlarmValue;
use crate::known::Known;
use crate::report::Outcome;

/// When a service is to be looked at next, though no event tells anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Every minute: an alarm that stays makes one event only, a queue makes none, and what waits goes on by itself.
    EachMinute,
    /// At a time: its bounds change then.
    At(Timestamp),
    /// Not before something tells of it.
    Idle,
}

/// When a service is to be looked at next, after this was decided of it.
#[must_use]
pub fn watch(facts: &Facts, decided: &Decided, now: Timestamp) -> Watch {
    let is_gone = matches!(facts.service, Known::Yes(None)) || facts.scalable == Known::Yes(true);
    if is_gone {
        return Watch::Idle;
    }
    let lasts = facts.scaling.rules.iter().any(|rule| match rule {
        Rule::Queue(_) => true,
        Rule::Alarm(rule) => {
            let state = facts.alarms.get(&rule.alarm).and_then(|alarm| alarm.state.as_ref());
            state.is_some_and(|state| state.value == AlarmValue::Alarm)
        }
    });
    let waits = decided.decision.outcome != Outcome::Ignore || decided.memory.intent.is_some();
    if lasts || waits {
        return Watch::EachMinute;
    }
    next_change(&facts.scaling, facts.overridden, now).map_or(Watch::Idle, Watch::At)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{AlarmFacts, Memory, Override, QueueFacts, decide};
    use super::*;
    use crate::event::AlarmState;
    use crate::ids::Target;
    use crate::service::ServiceFacts;

    const NOW: &str = "2026-01-05T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn facts(rules: &serde_json::Value, more: &serde_json::Value) -> Facts {
        let mut scaling = json!({ "min": 1, "max": 9, "rules": rules });
        if let (Some(scaling), Some(more)) = (scaling.as_object_mut(), more.as_object()) {
            scaling.extend(more.clone());
        }
        let service = json!({ "serviceArn": "a", "status": "ACTIVE", "desiredCount": 2, "runningCount": 2 });
        Facts {
            target: Target::service("prod", "web"),
            scaling: serde_json::from_value(scaling).unwrap(),
            overridden: None,
            service: Known::Yes(ServiceFacts::parse(&service)),
            scalable: Known::Yes(false),
            alarms: ["high", "low"]
                .map(|name| (name.to_owned(), alarm(AlarmValue::Ok)))
                .into(),
            queues: [("jobs".to_owned(), Some(messages(4)))].into(),
            memory: Memory::default(),
        }
    }

    fn alarm(value: AlarmValue) -> AlarmFacts {
        let state = AlarmState {
            value,
            timestamp: at("2026-01-05T09:59:00Z"),
            reading: None,
            triggering: Vec::new(),
            muted: false,
            muted_until: None,
        };
        AlarmFacts::described(Some(state), at(NOW))
    }

    fn messages(visible: u64) -> QueueFacts {
        QueueFacts {
            visible,
            in_flight: 0,
            oldest: None,
            at: at(NOW),
        }
    }

    fn check(facts: &Facts, expected: Watch) {
        let decided = decide(facts, at(NOW));
        assert_eq!(watch(facts, &decided, at(NOW)), expected, "{:?}", decided.decision);
    }

    fn alarms() -> serde_json::Value {
        json!([{ "alarm": "high", "add": 1 }, { "alarm": "low", "add": -1 }])
    }

    #[test]
    fn what_an_event_tells_of_is_not_watched() {
        check(&facts(&alarms(), &json!({})), Watch::Idle);
    }

    #[test]
    fn an_alarm_that_stays_and_a_queue_are_watched() {
        for name in ["high", "low"] {
            let mut facts = facts(&alarms(), &json!({}));
            facts.alarms.insert(name.to_owned(), alarm(AlarmValue::Alarm));
            check(&facts, Watch::EachMinute);
        }
        check(
            &facts(&json!([{ "queue": "jobs", "per-task": 2 }]), &json!({})),
            Watch::EachMinute,
        );
    }

    #[test]
    fn what_is_not_known_is_asked_for_again() {
        let mut facts = facts(&alarms(), &json!({}));
        facts.alarms.remove("low");
        check(&facts, Watch::EachMinute);
    }

    #[test]
    fn bounds_that_change_are_watched_for() {
        let schedule = json!({ "schedule": [{ "cron": "30 12 * * *", "min": 2 }] });
        check(&facts(&alarms(), &schedule), Watch::At(at("2026-01-05T12:30:00Z")));
        let until = at("2026-01-05T11:00:00Z");
        let mut overridden = facts(&alarms(), &schedule);
        overridden.overridden = Some(Override {
            min: Some(2),
            max: None,
            until,
        });
        check(&overridden, Watch::At(until));
    }

    #[test]
    fn what_is_another_s_or_gone_is_left_to_the_longer_pass() {
        let queue = json!([{ "queue": "jobs", "per-task": 2 }]);
        let mut others = facts(&queue, &json!({}));
        others.scalable = Known::Yes(true);
        check(&others, Watch::Idle);
        let mut gone = facts(&queue, &json!({}));
        gone.service = Known::Yes(None);
        check(&gone, Watch::Idle);
    }
}
