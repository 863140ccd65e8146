//! What would be done for one target: the same deciders and guards as the functions, over the facts that are there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use wharfinger_core::config::Rule;
use wharfinger_core::config::stored::{Managed, Pauses};
use wharfinger_core::event::{AlarmState, AlarmStateChange};
use wharfinger_core::guard::{Guard, Removes};
use wharfinger_core::report::{Code, Decision, Effect, Outcome, Reason};
use wharfinger_core::scaling::{self, AlarmFacts};

use crate::facts::Answers;

/// A call that would be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Call {
    /// The AWS operation.
    pub call: &'static str,
    /// Its request.
    pub input: Value,
}

/// What is known besides the event and the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// What AWS answered.
    pub answers: &'a Answers,
    /// Every configured target.
    pub targets: &'a [Managed],
    /// Whether the configuration is from a file, in which names stand for ids.
    pub offline: bool,
    /// Our owner mark.
    pub owner: &'a str,
    /// The time.
    pub now: Timestamp,
    /// The container instance of which the event tells that it drains.
    pub drains: Option<&'a str>,
}

impl Context<'_> {
    /// An alarm changed its state.
    pub(super) fn alarm(&self, managed: &Managed, event: &AlarmStateChange) -> anyhow::Result<Decision<Call>> {
        let Some(scaling) = managed.stored.config.scaling.clone() else {
            let message = format!("{} is configured, but not for scaling", managed.target);
            return Ok(Decision::without_calls(
                Outcome::Ignore,
                Reason::new(Code::NotConfigured, message),
            ));
        };
        let alarms = match self.alarms(managed, event)? {
            Ok(alarms) => alarms,
            Err(message) => return Ok(stale(message)),
        };
        let queues = scaling.rules.iter().filter_map(|rule| match rule {
            Rule::Queue(rule) => Some(rule.queue.clone()),
            Rule::Alarm(_) => None,
        });
        let mut known = BTreeMap::new();
        for name in queues {
            let queue = self.answers.queue(&name, self.now)?;
            known.extend(queue.map(|queue| (name, Some(queue))));
        }
        let facts = scaling::Facts {
            target: managed.target.clone(),
            scaling,
            overridden: managed.stored.scale,
            service: self.answers.service(&managed.target)?,
            scalable: self.answers.scalable(&managed.target),
            alarms,
            queues: known,
            memory: scaling::Memory::default(),
        };
        let decided = scaling::decide(&facts, self.now);
        Ok(self.guarded("scaling", managed, decided.decision))
    }

    /// What is known of a service's alarms, and of those that triggered a composite one of them. The event may be stale.
    fn alarms(
        &self,
        managed: &Managed,
        event: &AlarmStateChange,
    ) -> anyhow::Result<Result<BTreeMap<String, AlarmFacts>, String>> {
        let mut alarms = BTreeMap::new();
        let mut names: Vec<_> = managed.stored.alarms().into_iter().map(str::to_owned).collect();
        while let Some(name) = names.pop() {
            let described = self.answers.alarm(&name)?;
            let watches = described
                .as_ref()
                .map_or(&event.watches, |described| &described.watches);
            let metric = self.answers.newest(watches);
            let facts = if name == event.alarm_name {
                match self.newest(event, described.map(|described| described.state)) {
                    Ok(facts) => Some(facts),
                    Err(message) => return Ok(Err(message)),
                }
            } else {
                described.map(|described| AlarmFacts::described(Some(described.state), self.now))
            };
            let Some(facts) = facts else { continue };
            let state = facts.state.as_ref();
            let parts = state.map(|state| state.triggering.clone()).unwrap_or_default();
            names.extend(
                parts
                    .into_iter()
                    .filter(|part| !alarms.contains_key(part) && *part != name),
            );
            alarms.insert(name, AlarmFacts { metric, ..facts });
        }
        Ok(Ok(alarms))
    }

    /// What is known of the alarm that the event is about: what `DescribeAlarms` says, unless the event is later.
    fn newest(&self, event: &AlarmStateChange, described: Option<AlarmState>) -> Result<AlarmFacts, String> {
        let state = &event.state;
        match described {
            Some(later) if later.timestamp > state.timestamp && later.value != state.value => Err(format!(
                "the state of {} since {} is older than the one since {}, which CloudWatch knows by now",
                event.alarm_name, state.timestamp, later.timestamp
            )),
            Some(mut described) if described.timestamp >= state.timestamp => {
                // The event may carry what the answer leaves out.
                if described.timestamp == state.timestamp {
                    described.reading = described.reading.or(state.reading);
                    described.muted |= state.muted;
                    described.muted_until = described.muted_until.or(state.muted_until);
                }
                Ok(AlarmFacts::described(Some(described), self.now))
            }
            _ => Ok(AlarmFacts::told(state.clone())),
        }
    }

    pub(super) fn guarded<A: Effect + Removes>(
        &self,
        domain: &str,
        managed: &Managed,
        decision: Decision<A>,
    ) -> Decision<Call> {
        self.guarded_by(domain, &managed.stored.paused, decision)
    }

    /// The same by the pauses alone.
    pub(super) fn guarded_by<A: Effect + Removes>(
        &self,
        domain: &str,
        paused: &Pauses,
        decision: Decision<A>,
    ) -> Decision<Call> {
        let guard = Guard {
            domain,
            paused,
            now: self.now,
            removals: usize::MAX,
        };
        guard.filter(decision).map(|action| Call {
            call: action.call(),
            input: action.input(),
        })
    }
}

pub(super) fn stale(message: String) -> Decision<Call> {
    Decision::without_calls(Outcome::Stale, Reason::new(Code::StaleEvent, message))
}
