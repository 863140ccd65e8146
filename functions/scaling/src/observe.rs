//! What is known when a count is decided: the service, its alarms and queues, and what is remembered of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::ledger::Entry;
use wharfinger_cloud::table::{Item, TableName, as_text, attribute};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::Scaling;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::{AlarmState, AlarmStateChange};
use wharfinger_core::ids::Target;
use wharfinger_core::known;
use wharfinger_core::ledger::Merge;
use wharfinger_core::scaling::{AlarmFacts, Facts, Memory};
use wharfinger_core::service::ServiceFacts;

use crate::known::Known;
use crate::{Cloud, NAME, alarm_key};

/// The attribute of the service's item with [`Memory`].
pub const MEMORY: &str = "scaling";
/// The attribute with the fingerprint of the last decision in the history.
pub const SAID: &str = "scaling-said";

/// How long is believed what Application Auto Scaling answered: people register a service there seldom.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_mins(5);

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

/// Which services Application Auto Scaling moves, as it answered not long ago.
#[derive(Debug, Default)]
pub struct Others(RefCell<BTreeMap<Target, (Timestamp, known::Known<bool>)>>);

impl Others {
    /// Whether it moves a service, if that is known.
    #[must_use]
    pub fn have(&self, target: &Target) -> known::Known<bool> {
        self.0.borrow().get(target).map_or(known::Known::No, |(_, have)| *have)
    }

    /// Asks for those of which nothing was heard lately. Where it does not answer nothing is known, which stops nothing.
    pub async fn ask(&self, cloud: &impl Cloud, targets: &[Target]) {
        let now = cloud.now();
        let is_old = |target: &&Target| {
            let heard = self.0.borrow().get(*target).map(|(at, _)| *at);
            heard.is_none_or(|at| now.duration_since(at) >= BELIEVED_FOR)
        };
        let asked: Vec<_> = targets.iter().filter(is_old).cloned().collect();
        if asked.is_empty() {
            return;
        }
        let found = cloud.scalable_targets(&asked).await;
        if let Err(error) = &found {
            tracing::warn!(%error, "whether Application Auto Scaling moves the same services is not known");
        }
        let mut heard = self.0.borrow_mut();
        heard.retain(|_, (at, _)| now.duration_since(*at) < BELIEVED_FOR);
        heard.extend(asked.into_iter().map(|target| {
            let have = match &found {
                Ok(found) => known::Known::Yes(found.contains(&target)),
                Err(_) => known::Known::No,
            };
            (target, (now, have))
        }));
    }
}

/// Gathers what is known, in one moment: the service, whether someone else moves it, and the alarms and queues that are
/// not known freshly.
///
/// # Errors
/// When ECS does not answer.
pub async fn look(
    cloud: &impl Cloud,
    others: &Others,
    managed: Managed,
    item: &Item,
    known: &Known,
) -> Result<Look, Fault> {
    let Some(scaling) = managed.stored.config.scaling.clone() else {
        let what = format!("the scaling of {}", managed.target);
        return Err(Fault::Unstorable {
            what,
            reason: "it is not configured".into(),
        });
    };
    let target = managed.target.clone();
    let (names, targets) = ([target.name.clone()], [target.clone()]);
    let mut known = known.clone();
    let (services, failed, ()) = tokio::join!(
        cloud.describe_services(&target.cluster, &names),
        known.complete(cloud, [&managed]),
        others.ask(cloud, &targets)
    );
    for error in failed {
        telemetry::error(NAME, cloud.now(), &format!("{target}: {error}"));
    }
    let service = known::Known::Yes(services?.remove(&target.name));
    let facts = facts(&managed, scaling, service, others, &known, memory(cloud, item));
    Ok(Look {
        managed,
        facts,
        said: as_text(item, SAID).map(str::to_owned),
    })
}

/// The facts as the decider takes them.
pub fn facts(
    managed: &Managed,
    scaling: Scaling,
    service: known::Known<Option<ServiceFacts>>,
    others: &Others,
    known: &Known,
    memory: Memory,
) -> Facts {
    let own = |alarms: &BTreeMap<String, AlarmFacts>| {
        let named = managed
            .stored
            .alarms()
            .into_iter()
            .filter_map(|name| alarms.get_key_value(name));
        let named: BTreeMap<_, _> = named.map(|(name, facts)| (name.clone(), facts.clone())).collect();
        let parts = named
            .values()
            .filter_map(|alarm| alarm.state.as_ref())
            .flat_map(|state| &state.triggering);
        let parts = parts
            .filter_map(|name| alarms.get_key_value(name))
            .map(|(name, facts)| (name.clone(), facts.clone()));
        let mut all: BTreeMap<_, _> = parts.collect();
        all.extend(named);
        all
    };
    Facts {
        target: managed.target.clone(),
        scaling,
        overridden: managed.stored.scale,
        service,
        scalable: others.have(&managed.target),
        alarms: own(&known.alarms),
        queues: known.queues.clone(),
        memory,
    }
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

/// The states that the ledger has of a service's alarms, where they are later than what was looked at.
///
/// # Errors
/// When the table cannot be read.
pub async fn moved(cloud: &impl Cloud, look: &Look) -> Result<BTreeMap<String, AlarmFacts>, Fault> {
    let mut newer = BTreeMap::new();
    let keys: Vec<_> = look.managed.stored.alarms().into_iter().map(alarm_key).collect();
    if keys.is_empty() {
        return Ok(newer);
    }
    for item in cloud.get_all(TableName::State, &keys).await? {
        match Entry::<AlarmStateChange>::read(item, Merge::Duplicate) {
            Ok(entry) => {
                let name = entry.facts.alarm_name;
                let seen = look.facts.alarms.get(&name).and_then(|a| a.state.as_ref());
                if seen.is_none_or(|seen: &AlarmState| seen.timestamp < entry.facts.state.timestamp) {
                    newer.insert(name, AlarmFacts::told(entry.facts.state));
                }
            }
            Err(malformed) => telemetry::malformed(NAME, cloud.now(), &malformed),
        }
    }
    Ok(newer)
}
