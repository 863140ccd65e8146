//! The rules of scaling, through the decisions of the function: woken by events, every minute while there is something to
//! expect, and every five minutes in any case.

use std::collections::BTreeMap;

use serde_json::Value;
use wharfinger_core::config::{Rule, Scaling};
use wharfinger_core::event::AlarmState;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::report::Outcome;
use wharfinger_core::scaling::{
    AlarmFacts, Facts, Memory, Watch, decide, needs_confirmation, needs_metric, settle, watch,
};

use super::cloudwatch::AlarmEvent;
use super::{Scaler, Seen};

/// How many minutes lie between two passes over everything.
const LONGER_PASS: u32 = 5;

/// The rules of one service, and what is stored of it.
#[derive(Debug)]
pub struct Ours {
    scaling: Scaling,
    memory: Memory,
    /// The latest state that an event told, by the alarm's name.
    ledger: BTreeMap<&'static str, AlarmState>,
    /// Whether the pass of every minute looks at it.
    watch: Watch,
}

impl Ours {
    /// A service with this configuration.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(scaling: Value) -> serde_json::Result<Self> {
        Ok(Self {
            scaling: serde_json::from_value(scaling)?,
            memory: Memory::default(),
            ledger: BTreeMap::new(),
            watch: Watch::Idle,
        })
    }

    /// What is known of the alarms: what the event told, where it is not too old, and what CloudWatch says of the others.
    fn alarms(&self, seen: &Seen<'_>, told: Option<&AlarmEvent>) -> BTreeMap<String, AlarmFacts> {
        let mut alarms = BTreeMap::new();
        for rule in &self.scaling.rules {
            let Rule::Alarm(rule) = rule else { continue };
            let told = told.filter(|event| event.alarm == rule.alarm && !needs_confirmation(&event.state, seen.now));
            let mut facts = match told {
                Some(event) => AlarmFacts::told(event.state.clone()),
                None => AlarmFacts::described(seen.cloudwatch.describe(&rule.alarm).cloned(), seen.now),
            };
            let threshold = |state: &AlarmState| state.reading.and_then(|reading| reading.threshold);
            if let Some(state) = facts.state.clone().filter(|state| needs_metric(rule, state, seen.now)) {
                facts = facts.with_metric(seen.cloudwatch.newest(threshold(&state).unwrap_or_default()));
            }
            alarms.insert(rule.alarm.clone(), facts);
        }
        alarms
    }

    /// One look, as the function makes it: at what can be told without the count, and at the service when that stirs.
    fn look(&mut self, seen: &Seen<'_>, told: Option<&AlarmEvent>) -> Option<u32> {
        let mut facts = Facts {
            target: Target::service("prod", "web"),
            scaling: self.scaling.clone(),
            overridden: None,
            service: Known::No,
            scalable: Known::Yes(false),
            alarms: self.alarms(seen, told),
            queues: BTreeMap::new(),
            memory: self.memory.clone(),
        };
        let mut decided = decide(&facts, seen.now);
        let lasting = !facts.memory.wishes.is_empty() || facts.memory.pending.is_some();
        if told.is_some() || lasting || decided.decision.outcome != Outcome::Ignore {
            facts.service = Known::Yes(Some(seen.service.describe()));
            decided = decide(&facts, seen.now);
        }
        self.watch = watch(&facts, &decided, seen.now);
        let to = decided.intent.as_ref().map(|intent| intent.to);
        self.memory = if to.is_some() {
            settle(decided.before_call())
        } else {
            decided.memory
        };
        to
    }

    fn is_news(&mut self, event: &AlarmEvent) -> bool {
        let newer = |before: &AlarmState| before.timestamp < event.state.timestamp;
        let news = self.ledger.get(event.alarm).is_none_or(newer);
        if news {
            self.ledger.insert(event.alarm, event.state.clone());
        }
        news
    }
}

impl Scaler for Ours {
    fn event(&mut self, event: &AlarmEvent, seen: &Seen<'_>) -> Option<u32> {
        if self.is_news(event) {
            self.look(seen, Some(event))
        } else {
            None
        }
    }

    fn minute(&mut self, seen: &Seen<'_>) -> Option<u32> {
        let is_due = self.watch == Watch::EachMinute || seen.minute.is_multiple_of(LONGER_PASS);
        if is_due { self.look(seen, None) } else { None }
    }
}
