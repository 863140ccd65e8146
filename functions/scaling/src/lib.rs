//! Moves the desired counts of services.
//!
//! A CloudWatch Alarm State Change is merged into the ledger of its alarm by `state.timestamp`; then each service that the
//! alarm moves is converged on under its lease: what is known is gathered ([`observe`]), the decider says the count, the
//! intent is stored, `UpdateService` is called ([`apply`]), and the alarms are looked at once more before the lease is
//! given back. A persistent ALARM makes one event only, and a queue none: the [`sweep`] goes on every minute with the
//! services of the [`ACTIVE`] set, and every five minutes repairs what no event told.

pub mod apply;
pub mod known;
pub mod observe;
pub mod sweep;

use jiff::Timestamp;
use serde_json::Value;
use wharfinger_cloud::active::{Active, EACH_MINUTE, Row};
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::config::ConfigStore;
use wharfinger_cloud::lease;
use wharfinger_cloud::ledger::{self, News};
use wharfinger_cloud::pipeline::{Cause, converge};
use wharfinger_cloud::ports::{Alarms, Clock, Metrics, Queues, Scalable, Services};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_cloud::sweep::Scope;
use wharfinger_cloud::table::{Key, Table};
use wharfinger_cloud::{Fault, telemetry};
use wharfinger_core::config::stored::Managed;
use wharfinger_core::event::{AlarmStateChange, Detail, Event, Rejected};
use wharfinger_core::ledger::{LIVING_SECONDS, Merge, Ordered};
use wharfinger_core::report::{Code, Decision, Outcome, Reason};
use wharfinger_core::scaling::Watch;

use crate::known::Known;
use crate::observe::Others;

/// What this function needs of the world.
pub trait Cloud: Table + Services + Alarms + Metrics + Queues + Scalable + Clock {}

impl<C: Table + Services + Alarms + Metrics + Queues + Scalable + Clock> Cloud for C {}

/// The domain's name.
pub const NAME: &str = "scaling";

/// The services that are looked at every minute.
pub const ACTIVE: Active = Active(NAME);

/// When a service is to be looked at next, as the set has it.
fn due(watch: Watch) -> Option<Timestamp> {
    match watch {
        Watch::EachMinute => Some(EACH_MINUTE),
        Watch::At(time) => Some(time),
        Watch::Idle => None,
    }
}

/// The function, with what it keeps between events.
#[derive(Debug, Default)]
pub struct Scaling {
    config: ConfigStore,
    others: Others,
}

/// The key of an alarm's ledger.
#[must_use]
pub fn alarm_key(name: &str) -> Key {
    Key::new(format!("alarm#{name}"), "ledger")
}

impl Scaling {
    /// Handles one event. `holder` names this attempt, as no other is named.
    ///
    /// # Errors
    /// When the event cannot be used, or a service could not be converged on: to be tried again.
    pub async fn on_event(&self, cloud: &impl Cloud, holder: &str, json: &Value) -> Result<(), Fault> {
        let event = Event::parse(json)?;
        let kind = event.detail.kind();
        match event.detail {
            Detail::Alarm(alarm) => {
                let cause = Cause {
                    name: format!("{kind} {}", event.envelope.id),
                    at: event.envelope.time,
                };
                self.on_alarm(cloud, holder, &cause, &alarm).await
            }
            Detail::Scheduled => {
                let scope = Scope::of(json, sweep::ASKABLE)?;
                sweep::sweep(self, cloud, holder, &event.envelope.id, &scope).await
            }
            _ => Err(Rejected::UnknownKind {
                detail_type: event.envelope.detail_type,
                source_name: event.envelope.source,
            }
            .into()),
        }
    }

    async fn on_alarm(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        alarm: &AlarmStateChange,
    ) -> Result<(), Fault> {
        let found = self.config.by_alarm(cloud, &alarm.alarm_name).await?;
        for malformed in &found.malformed {
            telemetry::malformed(NAME, cloud.now(), malformed);
        }
        if found.targets.is_empty() {
            tracing::debug!(alarm = alarm.alarm_name, "not managed");
            return Ok(());
        }
        let key = alarm_key(&alarm.alarm_name);
        let news = News {
            key: key.clone(),
            order: alarm.order(),
            facts: alarm,
            beside: Vec::new(),
            put_in: Vec::new(),
            keep_seconds: LIVING_SECONDS,
        };
        let entry = ledger::merge(cloud, news, cloud.now()).await?;
        if entry.merge != Merge::Fresh && entry.settled {
            for managed in &found.targets {
                tell_known(cloud, cause, managed, alarm, entry.merge);
            }
            return Ok(());
        }
        let (mut done, mut failed) = (true, None);
        // What is known already may be known no longer: the event that took it back may be lost, and the sweep, which saw
        // that, writes no ledger. So only news is believed without asking CloudWatch.
        let known = match entry.merge {
            Merge::Fresh => Known::of_event(entry.facts.clone()),
            Merge::Duplicate | Merge::Stale => Known::default(),
        };
        for managed in found.targets {
            match self.converge(cloud, holder, cause, managed, &known, None).await {
                Ok(through) => done &= through,
                Err(fault) => failed = Some(fault),
            }
        }
        if let Some(fault) = failed {
            return Err(fault);
        }
        let confirmation = ledger::confirmation(key, entry.order, done, Vec::new());
        let settled = ledger::settle::<AlarmStateChange>(cloud, confirmation, Vec::new());
        settled.await.map(drop)
    }

    /// Converges on one service under its lease; `row` is what the active set is known to have of it. `false` when another
    /// invocation has the lease: the sweep goes on.
    async fn converge(
        &self,
        cloud: &impl Cloud,
        holder: &str,
        cause: &Cause,
        managed: Managed,
        known: &Known,
        row: Option<Row>,
    ) -> Result<bool, Fault> {
        if managed.stored.config.scaling.is_none() {
            return Ok(true);
        }
        let target = managed.target.clone();
        let done = lease::hold(cloud, NAME, &target, cause, holder, async |lease| {
            let look = observe::look(cloud, &self.others, managed, &lease.item, known).await?;
            converge(&apply::Counts { cloud, lease, row }, cloud, cause, look).await
        });
        Ok(done.await?.is_some())
    }
}

fn tell_known(cloud: &impl Cloud, cause: &Cause, managed: &Managed, alarm: &AlarmStateChange, merge: Merge) {
    let (code, words) = match merge {
        Merge::Stale => (Code::StaleEvent, "is older than what is known and dealt with"),
        _ => (Code::DuplicateEvent, "is known and dealt with"),
    };
    let message = format!(
        "the state of {} since {} {words}",
        alarm.alarm_name, alarm.state.timestamp
    );
    let decision = Decision::<()>::without_calls(Outcome::Stale, Reason::new(code, message));
    telemetry::undecided(NAME, &managed.target, None, cause, decision, cloud.now());
}

impl Function for Scaling {
    const NAME: &'static str = NAME;
    const HOSTS: &'static [&'static str] = &["dynamodb", "ecs", "monitoring", "sqs", "application-autoscaling"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        Box::pin(self.on_event(aws, &invocation.holder, &invocation.event))
            .await
            .map(|()| Value::Null)
    }
}
