//! CloudWatch alarms.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_core::event::{AlarmStateChange, MetricQuery, Reading};

use super::event::cloudwatch;
use super::{ACCOUNT, Caller, REGION, World};
use crate::error::{CloudError, Kind};
use crate::ports::{Alarms, Metrics};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// How many datapoints are kept.
const DATAPOINTS: usize = 20;

/// The alarms, by name.
#[derive(Debug, Clone, Default)]
pub struct Board {
    alarms: BTreeMap<String, Alarm>,
}

#[derive(Debug, Clone)]
struct Alarm {
    threshold: f64,
    value: &'static str,
    since: Timestamp,
    reading: Option<f64>,
    /// The newest values of its metric, and the beginnings of their minutes; the newest last.
    metric: Vec<(f64, Timestamp)>,
}

impl Alarm {
    fn reason_data(&self) -> Option<String> {
        let reading = self.reading?;
        let data = json!({
            "version": "1.0",
            "queryDate": cloudwatch(self.since),
            "statistic": "Average",
            "period": 60,
            "recentDatapoints": [reading],
            "threshold": self.threshold,
            "evaluatedDatapoints": [{ "timestamp": cloudwatch(self.since), "value": reading }],
        });
        Some(data.to_string())
    }

    fn described(&self, name: &str) -> Value {
        json!({
            "AlarmName": name,
            "StateValue": self.value,
            "StateUpdatedTimestamp": self.since.to_string(),
            "StateReasonData": self.reason_data(),
            "Threshold": self.threshold,
            "Namespace": "Shop",
            "MetricName": name,
            "Statistic": "Average",
            "Period": 60,
        })
    }

    fn tell(&mut self, value: f64, at: Timestamp) {
        self.metric.push((value, at));
        // Nobody asks for more than the newest one that is over.
        let gone = self.metric.len().saturating_sub(DATAPOINTS);
        self.metric.drain(..gone);
    }

    /// The newest datapoint whose minute is over.
    fn newest(&self, now: Timestamp) -> Option<Reading> {
        let is_over = |(_, at): &&(f64, Timestamp)| now.duration_since(*at) >= MINUTE;
        let (value, at) = *self.metric.iter().rev().find(is_over)?;
        Some(Reading {
            value,
            threshold: None,
            at: Some(at),
            period: Some(60),
        })
    }
}

impl Board {
    /// Whether an alarm is in ALARM, OK or INSUFFICIENT_DATA, and since when.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<(&'static str, Timestamp)> {
        self.alarms.get(name).map(|alarm| (alarm.value, alarm.since))
    }
}

impl World {
    /// Makes an alarm; it begins without data.
    pub fn make_alarm(&mut self, name: &str, threshold: f64) {
        let alarm = Alarm {
            threshold,
            value: "INSUFFICIENT_DATA",
            since: self.now,
            reading: None,
            metric: Vec::new(),
        };
        self.alarms.alarms.insert(name.to_owned(), alarm);
    }

    /// Gives the metric of an alarm a value, whatever the alarm makes of it; without one, it has no data any more.
    pub fn set_metric(&mut self, name: &str, value: Option<f64>) {
        let now = self.now;
        let Some(alarm) = self.alarms.alarms.get_mut(name) else {
            return;
        };
        match value {
            Some(value) => alarm.tell(value, now),
            None => alarm.metric.clear(),
        }
    }

    /// Puts an alarm into another state, and tells it; `false` when there is no such alarm or it is in that state.
    pub fn set_alarm(&mut self, name: &str, value: &'static str, reading: Option<f64>) -> bool {
        let now = self.now;
        let Some(alarm) = self.alarms.alarms.get_mut(name).filter(|alarm| alarm.value != value) else {
            return false;
        };
        let before = alarm.value;
        (alarm.value, alarm.since, alarm.reading) = (value, now, reading);
        if let Some(value) = reading {
            alarm.tell(value, now);
        }
        let mut state = json!({ "value": value, "reason": "simulated", "timestamp": cloudwatch(now) });
        if let Some(data) = alarm.reason_data() {
            state["reasonData"] = data.into();
        }
        let detail = json!({ "alarmName": name, "state": state, "previousState": { "value": before } });
        let arn = format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}");
        self.emit("aws.cloudwatch", "CloudWatch Alarm State Change", Some(arn), &detail);
        true
    }
}

impl Alarms for Caller {
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError> {
        let describe = |world: &World| {
            let found = names
                .iter()
                .filter_map(|name| Some((name, world.alarms.alarms.get(name)?)));
            found
                .map(|(name, alarm)| AlarmStateChange::from_describe_alarms(&alarm.described(name)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| CloudError::new("DescribeAlarms", Kind::Unreadable, e.to_string()))
        };
        let brief = |alarms: &Vec<AlarmStateChange>| {
            let state = |a: &AlarmStateChange| format!("{} {:?}", a.alarm_name, a.state.value);
            alarms.iter().map(state).collect::<Vec<_>>().join(", ")
        };
        self.read("DescribeAlarms", || names.join(" "), describe, brief).await
    }
}

impl Metrics for Caller {
    async fn newest(
        &self,
        alarms: &BTreeMap<String, Vec<MetricQuery>>,
    ) -> Result<BTreeMap<String, Reading>, CloudError> {
        let metric = |queries: &[MetricQuery]| queries.iter().find_map(|query| query.metric.clone());
        let find = |world: &World| {
            let newest = |(asked, queries): (&String, &Vec<MetricQuery>)| {
                let alarm = world.alarms.alarms.get(&metric(queries)?.name)?;
                Some((asked.clone(), alarm.newest(world.now)?))
            };
            Ok(alarms.iter().filter_map(newest).collect())
        };
        let argument = || alarms.keys().cloned().collect::<Vec<_>>().join(" ");
        let brief = |found: &BTreeMap<String, Reading>| {
            let value = |(name, reading): (&String, &Reading)| format!("{name} {}", reading.value);
            found.iter().map(value).collect::<Vec<_>>().join(", ")
        };
        self.read("GetMetricData", argument, find, brief).await
    }
}
