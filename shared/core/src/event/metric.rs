//! What an alarm watches: the metric behind it, as its events and `DescribeAlarms` name it and as `GetMetricData` is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The period of a query that names none, in seconds.
const MINUTE: u32 = 60;

/// One query of an alarm: a metric, or an expression over others (CloudWatch API reference, `MetricDataQuery`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricQuery {
    /// Its name within the alarm, to which expressions refer.
    pub id: String,
    /// The metric; `None` of an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// The expression; `None` of a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Seconds.
    pub period: u32,
    /// Whether its value is what the alarm compares; exactly one query's is, but for a band beside it.
    pub returned: bool,
    /// The account of the metric, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// A metric and how its values are summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// `AWS/ECS`, …
    pub namespace: String,
    /// `CPUUtilization`, …
    pub name: String,
    /// Every one of them, since each set of dimensions is a metric of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// `Average`, `p99`, …
    pub stat: String,
    /// The unit, where the alarm asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Text under either case of a name: events write `metricStat`, the API `MetricStat`.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut letters = name.chars();
    let upper = letters.next().map(|first| first.to_ascii_uppercase());
    let upper: String = upper.into_iter().chain(letters).collect();
    value.get(name).or_else(|| value.get(&upper)).filter(|v| !v.is_null())
}

fn text(value: &Value, name: &str) -> Option<String> {
    field(value, name).and_then(Value::as_str).map(str::to_owned)
}

fn seconds(value: &Value) -> Option<u32> {
    field(value, "period")
        .and_then(Value::as_u64)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n > 0)
}

/// Reads what an alarm watches: `detail.configuration` of its events, or the alarm of `DescribeAlarms`. Empty of a
/// composite alarm.
///
/// What is not understood is left out, and an alarm without a query that is returned counts as one that watches nothing.
pub(super) fn queries(alarm: &Value) -> Vec<MetricQuery> {
    let listed = field(alarm, "metrics").and_then(Value::as_array);
    let queries: Vec<_> = match listed.filter(|list| !list.is_empty()) {
        Some(list) => list.iter().filter_map(query).collect(),
        None => plain(alarm).into_iter().collect(),
    };
    let returned = queries.iter().any(|query| query.returned);
    if returned { queries } else { Vec::new() }
}

fn query(json: &Value) -> Option<MetricQuery> {
    let stat = field(json, "metricStat");
    let metric = match stat {
        Some(stat) => Some(metric(field(stat, "metric")?, text(stat, "stat")?, text(stat, "unit"))?),
        None => None,
    };
    let expression = text(json, "expression");
    if metric.is_none() && expression.is_none() {
        return None;
    }
    // A band is drawn around the value that is compared (CloudWatch API reference, `ThresholdMetricId`).
    let band = expression
        .as_deref()
        .is_some_and(|e| e.trim_start().starts_with("ANOMALY_DETECTION_BAND"));
    Some(MetricQuery {
        id: text(json, "id")?,
        period: stat.and_then(seconds).or_else(|| seconds(json)).unwrap_or(MINUTE),
        returned: !band && field(json, "returnData").and_then(Value::as_bool).unwrap_or(true),
        account_id: text(json, "accountId"),
        metric,
        expression,
    })
}

fn metric(json: &Value, stat: String, unit: Option<String>) -> Option<Metric> {
    let dimensions = match field(json, "dimensions") {
        Some(Value::Object(map)) => map
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|one| Some((text(one, "name")?, text(one, "value")?)))
            .collect(),
        _ => BTreeMap::new(),
    };
    Some(Metric {
        namespace: text(json, "namespace")?,
        name: text(json, "metricName").or_else(|| text(json, "name"))?,
        dimensions,
        stat,
        unit,
    })
}

/// An alarm of one metric, as `DescribeAlarms` writes it: without a list.
fn plain(alarm: &Value) -> Option<MetricQuery> {
    let stat = text(alarm, "statistic").or_else(|| text(alarm, "extendedStatistic"))?;
    Some(MetricQuery {
        id: "m1".into(),
        metric: Some(metric(alarm, stat, text(alarm, "unit"))?),
        expression: None,
        period: seconds(alarm).unwrap_or(MINUTE),
        returned: true,
        account_id: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cpu() -> Metric {
        Metric {
            namespace: "AWS/ECS".into(),
            name: "CPUUtilization".into(),
            dimensions: BTreeMap::from([("ServiceName".into(), "web".into())]),
            stat: "Average".into(),
            unit: None,
        }
    }

    #[test]
    fn a_metric_is_the_same_in_an_event_and_in_an_answer() {
        let event = json!({ "description": "…", "metrics": [{ "id": "m1", "returnData": true, "metricStat": {
            "metric": { "namespace": "AWS/ECS", "name": "CPUUtilization", "dimensions": { "ServiceName": "web" } },
            "period": 300, "stat": "Average" } }] });
        let described = json!({ "AlarmName": "a", "Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Period": 300,
            "Statistic": "Average", "Dimensions": [{ "Name": "ServiceName", "Value": "web" }] });
        let listed = json!({ "AlarmName": "a", "Metrics": [{ "Id": "m1", "ReturnData": true, "MetricStat": {
            "Metric": { "Namespace": "AWS/ECS", "MetricName": "CPUUtilization",
                "Dimensions": [{ "Name": "ServiceName", "Value": "web" }] },
            "Period": 300, "Stat": "Average" } }] });
        for alarm in [event, described, listed] {
            let found = queries(&alarm);
            assert_eq!(found.len(), 1, "{alarm}");
            let query = found.first().unwrap();
            assert_eq!(query.metric.as_ref(), Some(&cpu()), "{alarm}");
            assert_eq!((query.id.as_str(), query.period, query.returned), ("m1", 300, true));
        }
    }

    #[test]
    fn of_a_band_and_a_metric_the_metric_is_what_is_compared() {
        let alarm = json!({ "metrics": [
            { "id": "m1", "returnData": true, "metricStat": {
                "metric": { "namespace": "N", "name": "M" }, "period": 60, "stat": "p99" } },
            { "id": "ad1", "expression": "ANOMALY_DETECTION_BAND(m1, 2)", "returnData": true },
        ] });
        let returned: Vec<_> = queries(&alarm)
            .into_iter()
            .filter(|q| q.returned)
            .map(|q| q.id)
            .collect();
        assert_eq!(returned, ["m1"]);
    }

    #[test]
    fn math_keeps_what_it_is_made_of() {
        let alarm = json!({ "metrics": [
            { "id": "e1", "expression": "SUM(METRICS())", "label": "Total", "returnData": true },
            { "id": "m1", "returnData": false, "metricStat": {
                "metric": { "namespace": "N", "name": "M" }, "period": 86_400, "stat": "Sum", "unit": "Bytes" } },
        ] });
        let found = queries(&alarm);
        let ids: Vec<_> = found.iter().map(|q| (q.id.as_str(), q.returned, q.period)).collect();
        assert_eq!(ids, [("e1", true, 60), ("m1", false, 86_400)]);
    }

    #[test]
    fn what_watches_nothing_or_cannot_be_read_is_empty() {
        for alarm in [
            json!({ "alarmRule": "ALARM(a) OR ALARM(b)" }),
            json!({ "metrics": [{ "id": "m1" }] }),
            json!({ "metrics": [{ "id": "m1", "returnData": false, "expression": "1" }] }),
            json!({ "metrics": "?" }),
            json!(null),
        ] {
            assert_eq!(queries(&alarm), [], "{alarm}");
        }
    }
}
