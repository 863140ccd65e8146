//! What is known when a count is decided: the service, its alarms, and what is remembered of it.

use std::collections::BTreeMap;

use wharfinger_cloud::ledger::Entry;
use wharfinger_cloud::table::{Item, TableName, as_text, attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::{AlarmState, AlarmStateChange};
use wharfinger_core::known;
use wharfinger_core::ledger::Merge;
use wharfinger_core::scaling::{AlarmFacts, Facts, Memory, needs_confirmation};

use crate::{Cloud, NAME, alarm_key};

/// The attribute of the service's item with [`Memory`].
pub const MEMORY: &str = "scaling";
/// The attribute with the fingerprint of the last decision in the history.
pub const SAID: &str = "scaling-said";

/// What is known of a service, under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The target and its configuration.
    pub managed: Managed,
    /// What the decider looks at.
    pub facts: Facts,
    /// What was said last.
    pub said: Option<String>,
}

/// What is known of alarms before a service is looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// By name.
    pub alarms: BTreeMap<String, AlarmFacts>,
}

impl Known {
    /// What one event told.
    #[must_use]
    pub fn of_event(alarm: AlarmStateChange) -> Self {
        Self {
            alarms: BTreeMap::from([(alarm.alarm_name, AlarmFacts::told(alarm.state))]),
        }
    }
}

/// Gathers what is known: the service and, in the same moment, the alarms that are not known freshly.
///
/// # Errors
/// When ECS does not answer.
pub async fn look(cloud: &impl Cloud, managed: Managed, item: &Item, known: &Known) -> Result<Look, Fault> {
    let Some(scaling) = managed.stored.config.scaling.clone() else {
        let what = format!("the scaling of {}", managed.target);
        return Err(Fault::Unstorable {
            what,
            reason: "it is not configured".into(),
        });
    };
    let target = managed.target.clone();
    let names = [target.name.clone()];
    let (services, alarms) = tokio::join!(
        cloud.describe_services(&target.cluster, &names),
        alarms(cloud, &managed, known)
    );
    let service = services?.remove(&target.name);
    let facts = Facts {
        target,
        scaling,
        overridden: managed.stored.scale,
        service: known::Known::Yes(service),
        scalable: known::Known::No,
        alarms,
        queues: BTreeMap::new(),
        memory: memory(cloud, item),
    };
    Ok(Look {
        managed,
        facts,
        said: as_text(item, SAID).map(str::to_owned),
    })
}

/// What is remembered; what cannot be read is reported and counts as nothing.
pub fn memory(cloud: &impl Cloud, item: &Item) -> Memory {
    attribute(item, MEMORY)
        .unwrap_or_else(|malformed| {
            telemetry::malformed(NAME, cloud.now(), &malformed);
            None
        })
        .unwrap_or_default()
}

/// The alarms of a service: as CloudWatch says them where they are not known freshly, since an event may have been lost.
///
/// A failure leaves them unknown, which stops no scale-out and every scale-in.
async fn alarms(cloud: &impl Cloud, managed: &Managed, known: &Known) -> BTreeMap<String, AlarmFacts> {
    let now = cloud.now();
    let mut alarms = BTreeMap::new();
    let mut ask = Vec::new();
    for name in managed.stored.alarms() {
        let doubtful = |facts: &AlarmFacts| {
            facts.confirmed.is_none() && facts.state.as_ref().is_some_and(|s| needs_confirmation(s, now))
        };
        match known.alarms.get(name) {
            Some(facts) if !doubtful(facts) => {
                alarms.insert(name.to_owned(), facts.clone());
            }
            _ => ask.push(name.to_owned()),
        }
    }
    if ask.is_empty() {
        return alarms;
    }
    match cloud.describe_alarms(&ask).await {
        Ok(described) => {
            let mut states: BTreeMap<_, _> = described.into_iter().map(|a| (a.alarm_name, a.state)).collect();
            alarms.extend(ask.into_iter().map(|name| {
                let state = states.remove(&name);
                (name, AlarmFacts::described(state, now))
            }));
        }
        Err(error) => telemetry::error(NAME, now, &format!("{}: {error}", managed.target)),
    }
    alarms
}

/// The states that the ledger has of a service's alarms, where they are later than what was looked at.
///
/// # Errors
/// When the table cannot be read.
pub async fn moved(cloud: &impl Cloud, look: &Look) -> Result<Known, Fault> {
    let mut newer = Known::default();
    let names: Vec<_> = look.managed.stored.alarms().into_iter().map(str::to_owned).collect();
    let keys: Vec<_> = names.iter().map(|name| alarm_key(name)).collect();
    let items = futures_util::future::join_all(keys.iter().map(|key| cloud.get(TableName::State, key))).await;
    for (name, item) in names.into_iter().zip(items) {
        let Some(item) = item? else { continue };
        match Entry::<AlarmStateChange>::read(item, Merge::Duplicate) {
            Ok(entry) => {
                let seen = look.facts.alarms.get(&name).and_then(|a| a.state.as_ref());
                if seen.is_none_or(|seen: &AlarmState| seen.timestamp < entry.facts.state.timestamp) {
                    newer.alarms.insert(name, AlarmFacts::told(entry.facts.state));
                }
            }
            Err(malformed) => telemetry::malformed(NAME, cloud.now(), &malformed),
        }
    }
    Ok(newer)
}
