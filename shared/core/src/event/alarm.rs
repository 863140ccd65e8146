//! `CloudWatch Alarm State Change`, the alarm of `DescribeAlarms`, and the payload of an alarm's Lambda action.
//!
//! Emitted only when the state changes. The value that crossed the threshold is in `reasonData`, a JSON text whose shape
//! depends on the alarm: metric and metric math have a threshold, anomaly detection has bands, a composite names its
//! triggering alarms; it is absent after `SetAlarmState`, at creation and for multi-series alarms
//! (CloudWatch user guide, "Alarm events and EventBridge").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metric::{MetricQuery, queries};
use super::{Detail, Envelope, Event, Incomplete, Rejected, parse_time, text, time_from_json};

const KIND: &str = "CloudWatch Alarm State Change";

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmValue {
    /// Within the threshold.
    Ok,
    /// The threshold is crossed.
    Alarm,
    /// Just created, or the metric has no data.
    InsufficientData,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What the metric said when the alarm was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// The newest datapoint.
    pub value: f64,
    /// What it is compared with; an anomaly alarm has the band's bound that was crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The time of the newest datapoint, where the alarm says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The metric's period in seconds, where it is known: the datapoint is of `at` to `at` plus this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
}

/// One state of an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmState {
    /// The state.
    pub value: AlarmValue,
    /// Since when: unique for each transition of one alarm, in milliseconds.
    pub timestamp: Timestamp,
    /// The newest datapoint; absent when the alarm says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// The names of the alarms that triggered it, when it is a composite alarm: one of them has the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggering: Vec<String>,
    /// The alarm's actions are muted or suppressed: events flow all the same, so honouring it is ours
    /// (CloudWatch user guide, "Alarm mute rules", "Alarm suppression").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// When the window of the mute rule ends, where an event says it. Nothing tells of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
}

/// An alarm that changed its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmStateChange {
    /// The alarm's name.
    pub alarm_name: String,
    /// The state that it is in now.
    pub state: AlarmState,
    /// What the metric is compared with, where `DescribeAlarms` says it: an event does so in its reading only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What it watches; empty of a composite alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<MetricQuery>,
}

impl AlarmState {
    /// Whether its actions are muted or suppressed at a time.
    #[must_use]
    pub fn is_muted(&self, now: Timestamp) -> bool {
        self.muted && self.muted_until.is_none_or(|until| now < until)
    }
}

impl AlarmStateChange {
    /// Reads `detail` of the event.
    ///
    /// # Errors
    /// When `alarmName`, `state.value` or `state.timestamp` is missing: without them neither the alarm nor the order of
    /// its states is known.
    pub fn parse(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        Self::read(envelope, detail, "detail")
    }

    /// `at` is the name under which the caller found `detail`, for the reasons of a rejection.
    fn read(envelope: &Envelope, detail: &Value, at: &str) -> Result<Self, Rejected> {
        let malformed = |reason: &str| Rejected::Malformed {
            kind: KIND,
            reason: format!("`{at}.{reason}"),
        };
        let from_arn = || envelope.resources.iter().find_map(|arn| alarm_name(arn));
        let alarm_name = text(detail, "alarmName")
            .filter(|name| !name.is_empty())
            .or_else(from_arn)
            .ok_or_else(|| malformed("alarmName` is missing or no text"))?;
        let state = detail.get("state").ok_or_else(|| malformed("state` is missing"))?;
        let value = state
            .get("value")
            .and_then(|v| AlarmValue::deserialize(v).ok())
            .ok_or_else(|| malformed("state.value` is missing or no text"))?;
        let timestamp = text(state, "timestamp")
            .and_then(parse_blank)
            .ok_or_else(|| malformed("state.timestamp` is missing or no time"))?;
        let mute = detail.get("muteDetail").filter(|mute| !mute.is_null());
        let muted = mute.is_some() || state.get("actionsSuppressedBy").is_some_and(|s| !s.is_null());
        let reason_data = text(state, "reasonData");
        Ok(Self {
            alarm_name: alarm_name.into(),
            state: AlarmState {
                value,
                timestamp,
                reading: reason_data.and_then(Reading::from_reason_data),
                triggering: reason_data.map(triggering).unwrap_or_default(),
                muted,
                muted_until: mute.and_then(|mute| parse_blank(text(mute, "muteWindowEnd")?)),
            },
            threshold: None,
            watches: detail.get("configuration").map(queries).unwrap_or_default(),
        })
    }

    /// Reads one metric or composite alarm of `DescribeAlarms`.
    ///
    /// # Errors
    /// When the alarm's name, its state or the time of that is missing.
    pub fn from_describe_alarms(alarm: &Value) -> Result<Self, Incomplete> {
        let incomplete = |reason: &str| Incomplete(reason.into());
        let text = |field| alarm.get(field).and_then(Value::as_str);
        let mut reading = text("StateReasonData").and_then(Reading::from_reason_data);
        if let Some(reading) = &mut reading {
            let period = alarm.get("Period").and_then(Value::as_u64);
            reading.threshold = reading.threshold.or(alarm.get("Threshold").and_then(Value::as_f64));
            reading.period = reading
                .period
                .or(period.and_then(|seconds| u32::try_from(seconds).ok()));
        }
        Ok(Self {
            alarm_name: text("AlarmName")
                .ok_or_else(|| incomplete("`AlarmName` is missing or no text"))?
                .into(),
            state: AlarmState {
                value: alarm
                    .get("StateValue")
                    .and_then(|v| AlarmValue::deserialize(v).ok())
                    .ok_or_else(|| incomplete("`StateValue` is missing or no text"))?,
                // `StateUpdatedTimestamp` moves with the evaluation state too, which is no transition
                // (CloudWatch API reference, `MetricAlarm`).
                timestamp: ["StateTransitionedTimestamp", "StateUpdatedTimestamp"]
                    .iter()
                    .find_map(|field| alarm.get(*field).and_then(time_from_json))
                    .ok_or_else(|| {
                        incomplete("`StateTransitionedTimestamp` and `StateUpdatedTimestamp` are missing or no times")
                    })?,
                reading,
                triggering: text("StateReasonData").map(triggering).unwrap_or_default(),
                muted: text("ActionsSuppressedBy").is_some(),
                muted_until: None,
            },
            threshold: alarm.get("Threshold").and_then(Value::as_f64),
            watches: queries(alarm),
        })
    }
}

impl Reading {
    /// Reads `reasonData`; `None` when it has no datapoint.
    #[must_use]
    pub fn from_reason_data(json: &str) -> Option<Self> {
        let data: Value = serde_json::from_str(json).ok()?;
        let newest = |field: &str| {
            data.get(field)
                .and_then(Value::as_array)
                .and_then(|p| p.iter().rev().find_map(Value::as_f64))
        };
        // `recentDatapoints` runs from old to new, `evaluatedDatapoints` from new to old and may be shorter.
        let value = newest("recentDatapoints")?;
        let (upper, lower) = (newest("recentUpperThresholds"), newest("recentLowerThresholds"));
        let band = if lower.is_some_and(|l| value < l) { lower } else { upper };
        let evaluated = data.get("evaluatedDatapoints").and_then(Value::as_array);
        let at = evaluated
            .and_then(|points| points.iter().find(|p| p.get("value").is_some_and(|v| !v.is_null())))
            .and_then(|p| p.get("timestamp"))
            .and_then(time_from_json)
            .or_else(|| data.get("queryDate").and_then(time_from_json));
        Some(Self {
            value,
            threshold: data.get("threshold").and_then(Value::as_f64).or(band),
            at,
            period: data
                .get("period")
                .and_then(Value::as_u64)
                .and_then(|seconds| u32::try_from(seconds).ok()),
        })
    }
}

/// The alarms that a composite alarm's `reasonData` names, in its order; none for other alarms.
fn triggering(json: &str) -> Vec<String> {
    let data: Option<Value> = serde_json::from_str(json).ok();
    let alarms = data.as_ref().and_then(|data| data.get("triggeringAlarms")?.as_array());
    let name = |alarm: &Value| alarm_name(alarm.get("arn")?.as_str()?).map(str::to_owned);
    alarms.into_iter().flatten().filter_map(name).collect()
}

fn alarm_name(arn: &str) -> Option<&str> {
    arn.split_once(":alarm:").map(|(_, name)| name)
}

/// Reads the payload that CloudWatch sends to a Lambda function that is an alarm's own action: the same inner objects
/// under `alarmData` in place of `detail`. `None` when the JSON is not such a payload.
pub(super) fn from_lambda_action(json: &Value) -> Option<Result<Event, Rejected>> {
    let data = json.get("alarmData").filter(|_| json.get("detail").is_none())?;
    let text = |field| text(json, field);
    let mut envelope = Envelope {
        detail_type: KIND.into(),
        source: "aws.cloudwatch".into(),
        ..Envelope::beside(json)
    };
    envelope.time = text("time").and_then(parse_blank);
    if let Some(account) = text("accountId") {
        envelope.account = account.into();
    }
    envelope.resources.extend(text("alarmArn").map(str::to_owned));
    Some(AlarmStateChange::read(&envelope, data, "alarmData").map(|alarm| Event {
        envelope,
        detail: Detail::Alarm(alarm),
    }))
}

/// Some samples of the Lambda action have stray blanks in their times.
fn parse_blank(time: &str) -> Option<Timestamp> {
    parse_time(&time.replace(' ', ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_answer_lacks_is_no_fault_of_an_event() {
        let error = AlarmStateChange::from_describe_alarms(&json!({ "AlarmName": "web-cpu" })).unwrap_err();
        assert_eq!(error.to_string(), "`StateValue` is missing or no text");
    }

    #[test]
    fn a_composite_names_the_alarms_that_triggered_it() {
        let of = |reason_data: Value| triggering(&reason_data.to_string());
        let arn = |name: &str| json!({ "arn": format!("arn:aws:cloudwatch:eu-west-1:1:alarm:{name}"), "state": {} });
        assert_eq!(
            of(json!({ "triggeringAlarms": [arn("a"), arn("b:c"), {}] })),
            ["a", "b:c"]
        );
        assert!(of(json!({ "triggeringAlarms": [] })).is_empty());
        assert!(of(json!({ "recentDatapoints": [1] })).is_empty());
        assert!(triggering("no JSON").is_empty());
    }

    #[test]
    fn a_transition_is_told_from_an_update() {
        let alarm = json!({
            "AlarmName": "web-cpu",
            "StateValue": "ALARM",
            "StateUpdatedTimestamp": "2026-01-01T10:05:00Z",
            "StateTransitionedTimestamp": 1_767_261_600.5,
        });
        let read = AlarmStateChange::from_describe_alarms(&alarm).map(|a| a.state.timestamp.to_string());
        assert_eq!(read, Ok("2026-01-01T10:00:00.5Z".to_owned()));
    }
}
