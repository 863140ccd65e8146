//! CloudWatch's evaluation of an alarm: M out of N datapoints, and what stands in for missing ones (CloudWatch user
//! guide, "Using Amazon CloudWatch alarms", "Configuring how CloudWatch alarms treat missing data").

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{AlarmState, AlarmValue, Incomplete, Reading};

/// How many datapoints besides the evaluated ones are looked at for those that are missing: as many as in the tables of
/// the user guide.
const BEYOND: usize = 2;

/// When a value is beyond a threshold (CloudWatch API reference, `PutMetricAlarm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// Above, or on it.
    GreaterThanOrEqualToThreshold,
    /// Above.
    GreaterThanThreshold,
    /// Below.
    LessThanThreshold,
    /// Below, or on it.
    LessThanOrEqualToThreshold,
}

impl Comparison {
    fn is_beyond(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::GreaterThanThreshold => value > threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }
}

/// What stands in for missing data (`TreatMissingData`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Missing {
    /// Nothing: without any data the alarm is INSUFFICIENT_DATA.
    #[default]
    Missing,
    /// The alarm stays as it is.
    Ignore,
    /// Values beyond the threshold.
    Breaching,
    /// Values within the threshold.
    NotBreaching,
}

/// How an alarm is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmDefinition {
    /// What the value is compared with.
    pub threshold: f64,
    /// How.
    pub comparison: Comparison,
    /// N: how many datapoints are evaluated.
    pub evaluation_periods: u32,
    /// M: how many of them must be beyond the threshold.
    pub datapoints_to_alarm: u32,
    /// What stands in for those that are missing.
    pub missing: Missing,
    /// How long a datapoint's period is: values of one period are averaged.
    pub period: SignedDuration,
}

impl AlarmDefinition {
    /// What stands in for an alarm that only a rule with `target` names: each minute counts, and the threshold decides
    /// nothing, since `target` follows the value in either state.
    pub fn assumed(target: f64) -> Self {
        Self {
            threshold: target,
            comparison: Comparison::GreaterThanThreshold,
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            missing: Missing::default(),
            period: SignedDuration::from_mins(1),
        }
    }

    /// Reads one of the `MetricAlarms` of `DescribeAlarms`: its name and its definition.
    ///
    /// # Errors
    /// When it has no name, threshold, comparison with a threshold, or number of periods, or when one of its numbers is
    /// out of range.
    pub fn from_describe_alarms(alarm: &Value) -> Result<(String, Self), Incomplete> {
        let lacks = |field: &str| Incomplete(format!("`{field}` is missing or not of its type"));
        let whole = |field: &str| whole(alarm, field);
        let name = alarm.get("AlarmName").and_then(Value::as_str);
        let comparison = comparison(alarm)?;
        let evaluation_periods = whole("EvaluationPeriods")?.ok_or_else(|| lacks("EvaluationPeriods"))?;
        let missing = match alarm.get("TreatMissingData") {
            None | Some(Value::Null) => Missing::default(),
            Some(missing) => Missing::deserialize(missing).map_err(|_| lacks("TreatMissingData"))?,
        };
        let definition = Self {
            threshold: alarm
                .get("Threshold")
                .and_then(Value::as_f64)
                .ok_or_else(|| lacks("Threshold"))?,
            comparison,
            evaluation_periods,
            datapoints_to_alarm: whole("DatapointsToAlarm")?.unwrap_or(evaluation_periods),
            missing,
            period: SignedDuration::from_secs(whole("Period")?.unwrap_or(60).into()),
        };
        Ok((name.ok_or_else(|| lacks("AlarmName"))?.to_owned(), definition))
    }

    /// The longest time between two values with which the alarm still goes to ALARM and back as it does with one in each
    /// period; `None` when any will do.
    pub fn longest_step(&self) -> Option<SignedDuration> {
        let range = self.evaluation_periods.max(1) as usize + BEYOND;
        let beyond = match self.comparison {
            Comparison::GreaterThanOrEqualToThreshold | Comparison::GreaterThanThreshold => f64::INFINITY,
            Comparison::LessThanThreshold | Comparison::LessThanOrEqualToThreshold => f64::NEG_INFINITY,
        };
        let serves = |step: usize| {
            let after = |value: f64, before| {
                let points: Vec<_> = (0..range).map(|i| (i % step == 0).then_some(value)).collect();
                self.evaluate(&points, before)
            };
            let (goes, comes) = (after(beyond, AlarmValue::Ok), after(-beyond, AlarmValue::Alarm));
            goes == AlarmValue::Alarm && comes == AlarmValue::Ok
        };
        // Of a longer step each has one value alone.
        let failing = (2..=range).find(|step| !serves(*step))?;
        let periods = i32::try_from(failing - 1).unwrap_or(i32::MAX);
        Some(self.period.saturating_mul(periods))
    }

    /// The state that these datapoints give, newest first; a missing one is `None`, and so are all after the last.
    pub fn evaluate(&self, newest_first: &[Option<f64>], before: AlarmValue) -> AlarmValue {
        let (n, m) = (
            self.evaluation_periods.max(1) as usize,
            self.datapoints_to_alarm.max(1) as usize,
        );
        let range = newest_first.get(..n + BEYOND).unwrap_or(newest_first);
        let is_beyond = |value: f64| self.comparison.is_beyond(value, self.threshold);
        let known: Vec<_> = range.iter().flatten().copied().take(n).collect();
        let beyond = known.iter().filter(|value| is_beyond(**value)).count();
        if beyond >= m {
            return AlarmValue::Alarm;
        }
        if known.len() == n || known.len() > beyond {
            let filled = if self.missing == Missing::Breaching {
                n - known.len()
            } else {
                0
            };
            return if beyond + filled >= m {
                AlarmValue::Alarm
            } else {
                AlarmValue::Ok
            };
        }
        match self.missing {
            Missing::Breaching if n >= m => AlarmValue::Alarm,
            Missing::Breaching | Missing::NotBreaching => AlarmValue::Ok,
            Missing::Missing if known.is_empty() => AlarmValue::InsufficientData,
            // What is known is beyond the threshold: ALARM once that has lasted for as long as it must.
            Missing::Missing
                if range
                    .iter()
                    .rposition(Option::is_some)
                    .is_some_and(|oldest| oldest + 1 >= m) =>
            {
                AlarmValue::Alarm
            }
            Missing::Missing | Missing::Ignore => before,
        }
    }
}

/// A number that counts something, 1 or more; `None` when it is not there.
fn whole(alarm: &Value, field: &str) -> Result<Option<u32>, Incomplete> {
    let Some(value) = alarm.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let wrong = || Incomplete(format!("`{field}` is {value}, and must be a whole number, 1 or more"));
    number.map(Some).ok_or_else(wrong)
}

/// How the value is compared. Operators of anomaly detection have a band in place of the threshold.
fn comparison(alarm: &Value) -> Result<Comparison, Incomplete> {
    const FIELD: &str = "ComparisonOperator";
    let named = alarm.get(FIELD).and_then(Value::as_str);
    let named = named.ok_or_else(|| Incomplete(format!("`{FIELD}` is missing or not of its type")))?;
    Comparison::deserialize(&Value::from(named)).map_err(|_| {
        Incomplete(format!(
            "`{FIELD}` is `{named}`, which cannot be tried: only comparisons with a fixed threshold can, not with the \
             band of an anomaly detection"
        ))
    })
}

/// An alarm in the course of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Evaluated {
    /// The datapoints, newest first: the beginning of the period, the sum of its values and their number.
    points: VecDeque<Point>,
    state: Option<(AlarmValue, Timestamp)>,
    newest: Option<Reading>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    period: i64,
    sum: f64,
    values: u32,
}

impl Point {
    fn value(self) -> Option<f64> {
        (self.values > 0).then(|| self.sum / f64::from(self.values))
    }
}

impl Evaluated {
    /// Takes a value; says whether the state changed.
    pub(super) fn hears(&mut self, definition: &AlarmDefinition, now: Timestamp, value: Option<f64>) -> bool {
        let seconds = definition.period.as_secs().max(1);
        let period = now.as_second().div_euclid(seconds);
        let kept = definition.evaluation_periods.max(1) as usize + BEYOND;
        let newest = self.points.front().map(|point| point.period);
        let first = newest.map_or(period, |newest| {
            (newest + 1).max(period - i64::try_from(kept).unwrap_or(i64::MAX))
        });
        for period in first..=period {
            self.points.push_front(Point {
                period,
                sum: 0.0,
                values: 0,
            });
        }
        self.points.truncate(kept);
        if let (Some(point), Some(value)) = (self.points.front_mut(), value) {
            point.sum += value;
            point.values += 1;
            self.newest = Some(Reading {
                value: point.sum / f64::from(point.values),
                threshold: Some(definition.threshold),
                at: Some(now),
                period: u32::try_from(seconds).ok(),
            });
        }
        let points: Vec<_> = self.points.iter().map(|point| point.value()).collect();
        let before = self.state.map_or(AlarmValue::InsufficientData, |(state, _)| state);
        let state = definition.evaluate(&points, before);
        let moved = self.state.is_none_or(|(before, _)| before != state);
        if moved {
            self.state = Some((state, now));
        }
        moved
    }

    /// Its state; `None` before the first value.
    pub(super) fn state(&self) -> Option<AlarmState> {
        let (value, timestamp) = self.state?;
        Some(AlarmState {
            value,
            timestamp,
            reading: None,
            triggering: Vec::new(),
            muted: false,
            muted_until: None,
        })
    }

    /// The newest datapoint.
    pub(super) fn newest(&self) -> Option<Reading> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_step_is_what_moves_the_alarm_as_each_period_does() {
        for (n, m, missing, minutes) in [
            (3, 3, Missing::Missing, Some(4)),
            (3, 3, Missing::NotBreaching, Some(2)),
            (3, 3, Missing::Ignore, Some(2)),
            (5, 5, Missing::Missing, Some(6)),
            (1, 1, Missing::Missing, None),
            (3, 1, Missing::Missing, None),
            (3, 3, Missing::Breaching, None),
            (3, 2, Missing::Breaching, Some(4)),
        ] {
            let definition = AlarmDefinition {
                evaluation_periods: n,
                datapoints_to_alarm: m,
                missing,
                ..definition()
            };
            let expected = minutes.map(SignedDuration::from_mins);
            assert_eq!(definition.longest_step(), expected, "{m} of {n} {missing:?}");
            let below = AlarmDefinition {
                comparison: Comparison::LessThanOrEqualToThreshold,
                ..definition
            };
            assert_eq!(below.longest_step(), expected, "{m} of {n} {missing:?}");
        }
    }

    /// The tables of the user guide: oldest first, `0` is within, `X` beyond, `-` missing.
    #[test]
    fn missing_data_is_treated_as_the_guide_says() {
        use AlarmValue::{Alarm, InsufficientData, Ok, Unknown as Retain};
        for (m, points, expected) in [
            (3, "0-X-X", [Ok, Ok, Ok, Ok]),
            (3, "0----", [Ok, Ok, Ok, Ok]),
            (3, "-----", [InsufficientData, Retain, Alarm, Ok]),
            (3, "0XX-X", [Alarm, Alarm, Alarm, Alarm]),
            (3, "--X--", [Alarm, Retain, Alarm, Ok]),
            (3, "----X", [Retain, Retain, Alarm, Ok]),
            (2, "0-X-X", [Alarm, Alarm, Alarm, Alarm]),
            (2, "00X0X", [Alarm, Alarm, Alarm, Alarm]),
            (2, "0-X--", [Ok, Ok, Alarm, Ok]),
            (2, "----0", [Ok, Ok, Alarm, Ok]),
            (2, "---X-", [Alarm, Retain, Alarm, Ok]),
            (1, "XXX00", [Alarm, Alarm, Alarm, Alarm]),
            (1, "XX000", [Ok, Ok, Ok, Ok]),
        ] {
            let newest_first: Vec<_> = points
                .chars()
                .rev()
                .map(|point| match point {
                    'X' => Some(9.0),
                    '0' => Some(1.0),
                    _ => None,
                })
                .collect();
            let treatments = [
                Missing::Missing,
                Missing::Ignore,
                Missing::Breaching,
                Missing::NotBreaching,
            ];
            for (missing, expected) in treatments.into_iter().zip(expected) {
                let definition = AlarmDefinition {
                    missing,
                    datapoints_to_alarm: m,
                    ..definition()
                };
                assert_eq!(
                    definition.evaluate(&newest_first, Retain),
                    expected,
                    "{points} {m} {missing:?}"
                );
            }
        }
    }

    fn definition() -> AlarmDefinition {
        AlarmDefinition {
            threshold: 5.0,
            comparison: Comparison::GreaterThanThreshold,
            evaluation_periods: 3,
            datapoints_to_alarm: 3,
            missing: Missing::Missing,
            period: SignedDuration::from_secs(60),
        }
    }

    #[test]
    fn each_comparison_has_its_bound() {
        use Comparison::*;
        for (comparison, below, on, above) in [
            (GreaterThanOrEqualToThreshold, false, true, true),
            (GreaterThanThreshold, false, false, true),
            (LessThanThreshold, true, false, false),
            (LessThanOrEqualToThreshold, true, true, false),
        ] {
            for (value, expected) in [(4.0, below), (5.0, on), (6.0, above)] {
                assert_eq!(comparison.is_beyond(value, 5.0), expected, "{comparison:?} {value}");
            }
        }
    }

    #[test]
    fn values_of_one_period_are_averaged() {
        let definition = AlarmDefinition {
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            period: SignedDuration::from_secs(300),
            ..definition()
        };
        let mut alarm = Evaluated::default();
        let mut at = |seconds, value| {
            let now = Timestamp::from_second(seconds).unwrap();
            alarm.hears(&definition, now, Some(value));
            (alarm.state().unwrap().value, alarm.newest().unwrap().value)
        };
        assert_eq!(at(600, 9.0), (AlarmValue::Alarm, 9.0));
        assert_eq!(at(660, 0.0), (AlarmValue::Ok, 4.5));
        assert_eq!(at(900, 8.0), (AlarmValue::Alarm, 8.0));
    }

    #[test]
    fn a_definition_is_read_from_describe_alarms() {
        let alarm = json!({
            "AlarmName": "web-cpu", "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 3, "Period": 60, "TreatMissingData": "missing",
        });
        assert_eq!(
            AlarmDefinition::from_describe_alarms(&alarm),
            Ok(("web-cpu".to_owned(), definition()))
        );
        for field in ["AlarmName", "Threshold", "ComparisonOperator", "EvaluationPeriods"] {
            let mut alarm = alarm.clone();
            alarm[field] = Value::Null;
            let error = AlarmDefinition::from_describe_alarms(&alarm).unwrap_err();
            assert_eq!(error.to_string(), format!("`{field}` is missing or not of its type"));
        }
        for (field, value, told) in [
            (
                "Period",
                json!(-5),
                "`Period` is -5, and must be a whole number, 1 or more",
            ),
            ("Period", json!(0), "`Period` is 0, and must be"),
            (
                "EvaluationPeriods",
                json!(1.5),
                "`EvaluationPeriods` is 1.5, and must be",
            ),
            (
                "DatapointsToAlarm",
                json!("2"),
                "`DatapointsToAlarm` is \"2\", and must be",
            ),
            (
                "ComparisonOperator",
                json!("GreaterThanUpperThreshold"),
                "`ComparisonOperator` is `GreaterThanUpperThreshold`, which cannot be tried",
            ),
        ] {
            let mut alarm = alarm.clone();
            alarm[field] = value;
            let error = AlarmDefinition::from_describe_alarms(&alarm).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
