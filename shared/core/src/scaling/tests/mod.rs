//! One line of a table is one look: what is configured, what is known, what is expected.

mod alarms;
mod backtests;
mod bounds;
mod holds;
mod memory;
mod metrics;
mod properties;
mod queue_properties;
mod queues;
mod stories;
mod windows;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::config::Scaling;
use crate::event::{AlarmState, AlarmValue, Reading};
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Code, Outcome};
use crate::service::ServiceFacts;

/// Noon, and so many seconds.
fn at(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_secs(seconds)
}

/// A service with this many tasks wanted, nothing in progress.
fn service(desired: u32) -> ServiceFacts {
    described(desired, "COMPLETED")
}

fn described(desired: u32, rollout_state: &str) -> ServiceFacts {
    ServiceFacts::parse(&json!({
        "serviceArn": "arn:aws:ecs:eu-west-1:111122223333:service/prod/web",
        "status": "ACTIVE",
        "desiredCount": desired,
        "runningCount": 99,
        "pendingCount": 0,
        "taskDefinition": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:3",
        "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": rollout_state }],
    }))
    .unwrap()
}

fn state(value: AlarmValue, since: i64) -> AlarmState {
    AlarmState {
        value,
        timestamp: at(since),
        reading: None,
        triggering: Vec::new(),
        muted: false,
        muted_until: None,
    }
}

fn alarm(since: i64) -> AlarmState {
    state(AlarmValue::Alarm, since)
}

fn ok(since: i64) -> AlarmState {
    state(AlarmValue::Ok, since)
}

impl AlarmState {
    /// With a datapoint of the transition's own time.
    fn reads(mut self, value: f64, threshold: f64) -> Self {
        self.reading = Some(Reading {
            value,
            threshold: Some(threshold),
            at: None,
            period: None,
        });
        self
    }
}

/// One look at `prod/web`.
#[derive(Debug, Clone)]
struct Look {
    facts: Facts,
    now: Timestamp,
}

/// A service with bounds of 2 and 20, four tasks, and these rules; the rest as it is when nothing is said.
fn look(rules: Value) -> Look {
    let mut scaling = json!({ "min": 2, "max": 20 });
    scaling["rules"] = rules;
    configured(scaling)
}

fn configured(scaling: Value) -> Look {
    let scaling: Scaling = serde_json::from_value(scaling).unwrap();
    let service = Known::Yes(Some(service(4)));
    let (alarms, memory) = (BTreeMap::new(), Memory::default());
    Look {
        facts: Facts {
            target: Target::service("prod", "web"),
            scaling,
            overridden: None,
            service,
            scalable: Known::No,
            alarms,
            queues: BTreeMap::new(),
            memory,
        },
        now: at(10),
    }
}

impl Look {
    /// An alarm of which CloudWatch has no newer datapoint than it says.
    fn knows(mut self, name: &str, state: AlarmState) -> Self {
        let told = AlarmFacts::told(state).with_metric(None);
        self.facts.alarms.insert(name.into(), told);
        self
    }

    fn tasks(mut self, desired: u32) -> Self {
        self.facts.service = Known::Yes(Some(service(desired)));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    fn at(mut self, seconds: i64) -> Self {
        self.now = at(seconds);
        self
    }

    fn decide(&self) -> Decided {
        decide(&self.facts, self.now)
    }

    /// Checks the count that is set (`None`: no call), the outcome and the codes.
    #[track_caller]
    fn expect(&self, to: Option<u32>, outcome: Outcome, codes: &[Code]) -> Decided {
        let decided = self.decide();
        let found: Vec<_> = decided.decision.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(
            (set_by(&decided), decided.decision.outcome, found.as_slice()),
            (to, outcome, codes),
            "{:#?}",
            decided.decision.reasons
        );
        assert_eq!(
            decided.intent.as_ref().map(|intent| intent.to),
            to,
            "a call has an intent, and no call has none"
        );
        decided
    }
}

fn set_by(decided: &Decided) -> Option<u32> {
    let [action] = decided.decision.actions.as_slice() else {
        assert!(decided.decision.actions.is_empty(), "one look makes one call");
        return None;
    };
    let Action::UpdateService { desired_count, .. } = action;
    Some(*desired_count)
}

/// A memory of one change of ours.
fn changed(from: u32, to: u32, when: i64) -> Memory {
    Memory {
        last: Some(Change {
            from,
            to,
            at: at(when),
            foreign: false,
        }),
        rise: (to > from).then_some(Rise {
            base: from,
            wanted: to,
            at: at(when),
        }),
        ..Memory::default()
    }
}

fn used(mut memory: Memory, name: &str, since: i64, when: i64) -> Memory {
    memory.used.insert(
        name.into(),
        Used {
            at: at(when),
            transition: Some(at(since)),
            reading: Some(at(since)),
        },
    );
    memory
}

/// The same after a look, with the bounds of [`look()`].
fn seen(memory: Memory) -> Memory {
    Memory {
        bounds: Some(Bounds { min: 2, max: 20 }),
        ..memory
    }
}
