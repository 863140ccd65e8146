//! What is known of alarms, their metrics and queues: told by an event, or asked for all services of a pass at once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::ledger::Entry;
use wharfinger_cloud::table::TableName;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::config::{AlarmRule, QueueRule, Rule};
use wharfinger_core::event::{AlarmState, AlarmStateChange, AlarmValue, Metric, MetricQuery, Reading};
use wharfinger_core::ledger::Merge;
use wharfinger_core::scaling::{AlarmFacts, QueueFacts, needs_confirmation, needs_metric};

use crate::{Cloud, alarm_key};

/// How many queues are asked at once.
const QUEUES_AT_ONCE: usize = 20;

/// What is known before a service is looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Alarms, by name.
    pub alarms: BTreeMap<String, AlarmFacts>,
    /// Queues, by name: `None` when there is none.
    pub queues: BTreeMap<String, Option<QueueFacts>>,
    /// What alarms watch, by name.
    watched: BTreeMap<String, Watched>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Watched {
    queries: Vec<MetricQuery>,
    threshold: Option<f64>,
}

/// The rules of services, with those that are of one alarm or queue beside one another.
struct Rules<'a>(Vec<&'a Rule>);

impl<'a> Rules<'a> {
    fn of(targets: impl IntoIterator<Item = &'a Managed>) -> Self {
        let scaling = targets.into_iter().filter_map(|m| m.stored.config.scaling.as_ref());
        Self(scaling.flat_map(|scaling| &scaling.rules).collect())
    }

    fn alarms(&self) -> impl Iterator<Item = &'a AlarmRule> {
        self.0.iter().filter_map(|rule| match rule {
            Rule::Alarm(rule) => Some(rule),
            Rule::Queue(_) => None,
        })
    }

    fn queues(&self) -> impl Iterator<Item = &'a QueueRule> {
        self.0.iter().filter_map(|rule| match rule {
            Rule::Queue(rule) => Some(rule),
            Rule::Alarm(_) => None,
        })
    }
}

impl Known {
    /// What one event told.
    #[must_use]
    pub fn of_event(alarm: AlarmStateChange) -> Self {
        let mut known = Self::default();
        known.add(alarm.clone(), AlarmFacts::told(alarm.state));
        known
    }

    fn add(&mut self, alarm: AlarmStateChange, facts: AlarmFacts) {
        let AlarmStateChange {
            alarm_name,
            threshold,
            watches,
            ..
        } = alarm;
        let queries = watches;
        self.watched.insert(alarm_name.clone(), Watched { queries, threshold });
        self.alarms.insert(alarm_name, facts);
    }

    /// Asks for what the rules of services need and is not known freshly, all of it together. What AWS does not answer
    /// stays unknown, which stops no scale-out and every scale-in; why is answered.
    pub async fn complete<'a>(
        &mut self,
        cloud: &impl Cloud,
        targets: impl IntoIterator<Item = &'a Managed>,
    ) -> Vec<CloudError> {
        let rules = Rules::of(targets);
        let names: BTreeSet<_> = rules.alarms().map(|rule| rule.alarm.clone()).collect();
        let (described, (depths, mut failed)) = tokio::join!(self.describe(cloud, names), self.depths(cloud, &rules));
        self.queues.extend(depths);
        match described {
            Ok(described) => self.take(cloud.now(), described),
            Err(error) => failed.push(error),
        }
        // A composite alarm has no value; those that triggered it have.
        let composed = self.alarms.values().filter_map(|alarm| alarm.state.as_ref());
        let parts: BTreeSet<_> = composed.flat_map(|state| state.triggering.iter().cloned()).collect();
        match self.describe(cloud, parts).await {
            Ok(described) => self.take(cloud.now(), described),
            Err(error) => failed.push(error),
        }
        let (mutes, metrics) = tokio::join!(self.mutes(cloud), self.metrics(cloud, &rules));
        match mutes {
            Ok(mutes) => self.mute(&mutes),
            Err(error) => failed.push(error),
        }
        match metrics {
            Ok((asked, readings)) => self.read(cloud.now(), asked, &readings),
            Err(error) => failed.push(error),
        }
        failed
    }

    /// The alarms of these that are not known freshly, as CloudWatch has them now: an event may have been lost.
    async fn describe(
        &self,
        cloud: &impl Cloud,
        names: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<AlarmStateChange>>, CloudError> {
        let now = cloud.now();
        let doubtful = |facts: &AlarmFacts| {
            facts.confirmed.is_none() && facts.state.as_ref().is_some_and(|s| needs_confirmation(s, now))
        };
        let is_unknown = |name: &String| self.alarms.get(name).is_none_or(doubtful);
        let names: Vec<_> = names.into_iter().filter(is_unknown).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let described = cloud.describe_alarms(&names).await?;
        let mut described: BTreeMap<_, _> = described.into_iter().map(|a| (a.alarm_name.clone(), a)).collect();
        Ok(names
            .into_iter()
            .map(|name| {
                let alarm = described.remove(&name);
                (name, alarm)
            })
            .collect())
    }

    fn take(&mut self, now: Timestamp, described: BTreeMap<String, Option<AlarmStateChange>>) {
        for (name, alarm) in described {
            match alarm {
                Some(alarm) => {
                    let facts = AlarmFacts::described(Some(alarm.state.clone()), now);
                    self.add(alarm, facts);
                }
                None => drop(self.alarms.insert(name, AlarmFacts::described(None, now))),
            }
        }
    }

    async fn depths(
        &self,
        cloud: &impl Cloud,
        rules: &Rules<'_>,
    ) -> (BTreeMap<String, Option<QueueFacts>>, Vec<CloudError>) {
        let names: BTreeSet<_> = rules.queues().map(|rule| rule.queue.clone()).collect();
        let names = names.into_iter().filter(|name| !self.queues.contains_key(name));
        let depth = async |name: String| {
            let at = cloud.now();
            let depth = cloud.queue_depth(&name).await;
            (name, at, depth)
        };
        let asked: Vec<_> = stream::iter(names.map(depth)).buffered(QUEUES_AT_ONCE).collect().await;
        let (mut depths, mut failed) = (BTreeMap::new(), Vec::new());
        for (name, at, depth) in asked {
            match depth {
                Ok(depth) => {
                    let facts = depth.map(|depth| QueueFacts {
                        visible: depth.visible,
                        in_flight: depth.in_flight,
                        oldest: None,
                        at,
                    });
                    depths.insert(name, facts);
                }
                Err(error) => failed.push(error),
            }
        }
        (depths, failed)
    }

    /// The mutes that events told of, for the alarms that are still in that state: `DescribeAlarms` does not tell of them.
    async fn mutes(&self, cloud: &impl Cloud) -> Result<Vec<AlarmStateChange>, CloudError> {
        let described = self.alarms.iter().filter(|(_, alarm)| alarm.confirmed.is_some());
        let raised = described.filter(|(_, alarm)| alarm.state.as_ref().is_some_and(|s| s.value == AlarmValue::Alarm));
        let keys: Vec<_> = raised.map(|(name, _)| alarm_key(name)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let items = cloud.get_all(TableName::State, &keys).await?;
        let entries = items.into_iter().filter_map(|item| {
            // What cannot be read is told where the alarm's own event is merged.
            Entry::<AlarmStateChange>::read(item, Merge::Duplicate).ok()
        });
        Ok(entries
            .map(|entry| entry.facts)
            .filter(|alarm| alarm.state.muted)
            .collect())
    }

    fn mute(&mut self, told: &[AlarmStateChange]) {
        for alarm in told {
            let state = self
                .alarms
                .get_mut(&alarm.alarm_name)
                .and_then(|facts| facts.state.as_mut());
            let Some(state) = state.filter(|state| state.timestamp == alarm.state.timestamp) else {
                continue;
            };
            if alarm.state.muted_until.is_some() {
                (state.muted, state.muted_until) = (true, alarm.state.muted_until);
            }
        }
    }

    /// The newest values where a rule needs one that its alarm does not say, and of queues whose age matters. Which were
    /// asked for is answered too.
    async fn metrics(
        &self,
        cloud: &impl Cloud,
        rules: &Rules<'_>,
    ) -> Result<(Vec<Of>, BTreeMap<String, Reading>), CloudError> {
        let now = cloud.now();
        let alarms = rules.alarms().filter_map(|rule| self.needed(rule, now));
        let filled = |rule: &&QueueRule| matches!(self.queues.get(&rule.queue), Some(Some(queue)) if queue.total() > 0);
        let of_age = rules.queues().filter(|rule| rule.max_age.is_some()).filter(filled);
        let ages = of_age.map(|rule| Of::Queue(rule.queue.clone()));
        let asked: Vec<_> = alarms.chain(ages).collect();
        let query = |of: &Of| match of {
            Of::Queue(name) => vec![age(name)],
            Of::Alarm(name) => self.watched.get(name).map(|w| w.queries.clone()).unwrap_or_default(),
        };
        let queries: BTreeMap<_, _> = asked.iter().map(|of| (of.key(), query(of))).collect();
        let queries: BTreeMap<_, _> = queries.into_iter().filter(|(_, queries)| !queries.is_empty()).collect();
        if queries.is_empty() {
            return Ok((asked, BTreeMap::new()));
        }
        Ok((asked, cloud.newest(&queries).await?))
    }

    /// The alarm whose metric a rule needs: its own, or that of the first that triggered it.
    fn needed(&self, rule: &AlarmRule, now: Timestamp) -> Option<Of> {
        let state_of = |name: &str| self.alarms.get(name).and_then(|alarm| alarm.state.as_ref());
        let is_metric = |name: &&String| state_of(name).is_some_and(|state: &AlarmState| state.triggering.is_empty());
        let own = state_of(&rule.alarm)?;
        let name = match own.triggering.iter().find(is_metric) {
            Some(part) => part,
            None => &rule.alarm,
        };
        needs_metric(rule, state_of(name)?, now).then(|| Of::Alarm(name.clone()))
    }

    fn read(&mut self, now: Timestamp, asked: Vec<Of>, readings: &BTreeMap<String, Reading>) {
        for of in asked {
            let reading = readings.get(&of.key()).copied();
            match of {
                Of::Alarm(name) => {
                    let threshold = self.watched.get(&name).and_then(|watched| watched.threshold);
                    let reading = reading.map(|reading| Reading { threshold, ..reading });
                    if let Some(facts) = self.alarms.remove(&name) {
                        self.alarms.insert(name, facts.with_metric(reading));
                    }
                }
                Of::Queue(name) => {
                    if let Some(Some(queue)) = self.queues.get_mut(&name) {
                        queue.oldest =
                            reading.and_then(|reading| SignedDuration::try_from_secs_f64(reading.value).ok());
                        queue.at = queue.at.min(now);
                    }
                }
            }
        }
    }
}

/// What a metric is asked for.
#[derive(Debug, Clone, PartialEq)]
enum Of {
    Alarm(String),
    Queue(String),
}

impl Of {
    /// An alarm may be called as a queue is.
    fn key(&self) -> String {
        match self {
            Self::Alarm(name) => format!("alarm {name}"),
            Self::Queue(name) => format!("queue {name}"),
        }
    }
}

/// The age of a queue's oldest message, in seconds (SQS developer guide, "Available CloudWatch metrics for Amazon SQS").
fn age(queue: &str) -> MetricQuery {
    MetricQuery {
        id: "age".into(),
        metric: Some(Metric {
            namespace: "AWS/SQS".into(),
            name: "ApproximateAgeOfOldestMessage".into(),
            dimensions: BTreeMap::from([("QueueName".into(), queue.to_owned())]),
            stat: "Maximum".into(),
            unit: None,
        }),
        expression: None,
        period: 60,
        returned: true,
        account_id: None,
    }
}
