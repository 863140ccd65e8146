//! CloudWatch: alarms, and the newest values of what they watch.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use wharfinger_core::event::{AlarmStateChange, MetricQuery, Reading, parse_time};

use super::{Aws, form};
use crate::error::{CloudError, Kind};
use crate::ports::{Alarms, Clock, Metrics};

const HOST: &str = "monitoring";
const VERSION: &str = "2010-08-01";
/// How many queries one `GetMetricData` takes (CloudWatch API reference).
const QUERIES: usize = 500;

/// A list of the query protocol: `<X><member>…</member></X>`.
#[derive(Debug, Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { member: Vec::new() }
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.member.serialize(serializer)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmsResponse {
    describe_alarms_result: DescribeAlarmsResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmsResult {
    #[serde(default)]
    metric_alarms: List<Alarm>,
    #[serde(default)]
    composite_alarms: List<Alarm>,
}

/// The fields that are read, as the API names them; [`AlarmStateChange::from_describe_alarms`] reads them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    #[serde(rename = "AlarmName")]
    name: String,
    state_value: Option<String>,
    state_transitioned_timestamp: Option<String>,
    state_updated_timestamp: Option<String>,
    state_reason_data: Option<String>,
    threshold: Option<f64>,
    actions_suppressed_by: Option<String>,
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: List<Dimension>,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    period: Option<u32>,
    unit: Option<String>,
    #[serde(default)]
    metrics: List<Query>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    period: Option<u32>,
    return_data: Option<bool>,
    account_id: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: Option<u32>,
    stat: String,
    unit: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: Option<String>,
    #[serde(rename = "MetricName")]
    name: String,
    #[serde(default)]
    dimensions: List<Dimension>,
}

impl Alarms for Aws {
    async fn describe_alarms(&self, names: &[String]) -> Result<Vec<AlarmStateChange>, CloudError> {
        const OPERATION: &str = "DescribeAlarms";
        let unreadable = |e: String| CloudError::new(OPERATION, Kind::Unreadable, e);
        let call = async {
            let mut alarms = Vec::new();
            for batch in names.chunks(100) {
                let mut parameters = vec![
                    form::pair("AlarmTypes.member.1", "MetricAlarm"),
                    form::pair("AlarmTypes.member.2", "CompositeAlarm"),
                    form::pair("MaxRecords", "100"),
                ];
                parameters.extend(form::list("AlarmNames.member", batch));
                let answer: DescribeAlarmsResponse = self.raw.query(HOST, VERSION, OPERATION, &parameters).await?;
                let result = answer.describe_alarms_result;
                for alarm in result
                    .metric_alarms
                    .member
                    .iter()
                    .chain(&result.composite_alarms.member)
                {
                    let json = serde_json::to_value(alarm).map_err(|e| unreadable(e.to_string()))?;
                    let alarm = AlarmStateChange::from_describe_alarms(&json).map_err(|e| unreadable(e.to_string()))?;
                    alarms.push(alarm);
                }
            }
            Ok(alarms)
        };
        self.within(OPERATION, call).await
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricDataResponse {
    get_metric_data_result: GetMetricDataResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricDataResult {
    #[serde(default)]
    metric_data_results: List<MetricDataResult>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDataResult {
    id: String,
    #[serde(default)]
    timestamps: List<String>,
    #[serde(default)]
    values: List<f64>,
}

/// One call of `GetMetricData`: what is asked, and for which alarm under which id.
#[derive(Debug, Default, PartialEq)]
struct Asked<'a> {
    queries: Vec<(String, &'a MetricQuery)>,
    /// The alarm and the period of each id whose value is wanted.
    wanted: BTreeMap<String, (&'a str, u32)>,
}

impl<'a> Asked<'a> {
    fn add(&mut self, alarm: &'a str, id: String, query: &'a MetricQuery) {
        if query.returned {
            self.wanted.insert(id.clone(), (alarm, query.period));
        }
        self.queries.push((id, query));
    }
}

/// Puts plain metrics of one period together; an alarm with an expression stays alone, since `METRICS()` means every
/// metric of the call.
fn calls<'a>(alarms: &'a BTreeMap<String, Vec<MetricQuery>>) -> Vec<Asked<'a>> {
    let (mut alone, mut plain): (Vec<Asked<'a>>, BTreeMap<u32, Vec<Asked<'a>>>) = Default::default();
    for (name, queries) in alarms {
        if queries.iter().any(|query| query.metric.is_none()) {
            let mut asked = Asked::default();
            for query in queries {
                asked.add(name, query.id.clone(), query);
            }
            alone.push(asked);
            continue;
        }
        for query in queries.iter().filter(|query| query.returned) {
            let group = plain.entry(query.period).or_default();
            if group.last().is_none_or(|asked| asked.queries.len() >= QUERIES) {
                group.push(Asked::default());
            }
            if let Some(asked) = group.last_mut() {
                let id = format!("q{}", asked.queries.len());
                asked.add(name, id, query);
            }
        }
    }
    plain.into_values().flatten().chain(alone).collect()
}

/// How far back is looked: three periods, and five minutes for what arrives late.
fn window(asked: &Asked<'_>) -> SignedDuration {
    let longest = asked.queries.iter().map(|(_, query)| query.period).max().unwrap_or(60);
    SignedDuration::from_secs(i64::from(longest) * 3).max(SignedDuration::from_mins(5))
}

fn parameters(asked: &Asked<'_>, now: Timestamp) -> Vec<(String, String)> {
    let from = now.saturating_sub(window(asked)).unwrap_or(now);
    let mut form = vec![
        form::pair("StartTime", from.to_string()),
        form::pair("EndTime", now.to_string()),
        form::pair("ScanBy", "TimestampDescending"),
    ];
    for (i, (id, query)) in asked.queries.iter().enumerate() {
        let at = format!("MetricDataQueries.member.{}", i + 1);
        form.push(form::pair(format!("{at}.Id"), id));
        form.push(form::pair(format!("{at}.ReturnData"), query.returned.to_string()));
        if let Some(account) = &query.account_id {
            form.push(form::pair(format!("{at}.AccountId"), account));
        }
        if let Some(expression) = &query.expression {
            form.push(form::pair(format!("{at}.Expression"), expression));
            form.push(form::pair(format!("{at}.Period"), query.period.to_string()));
        }
        if let Some(metric) = &query.metric {
            let stat = format!("{at}.MetricStat");
            form.push(form::pair(format!("{stat}.Metric.Namespace"), &metric.namespace));
            form.push(form::pair(format!("{stat}.Metric.MetricName"), &metric.name));
            for (j, (name, value)) in metric.dimensions.iter().enumerate() {
                let dimension = format!("{stat}.Metric.Dimensions.member.{}", j + 1);
                form.push(form::pair(format!("{dimension}.Name"), name));
                form.push(form::pair(format!("{dimension}.Value"), value));
            }
            form.push(form::pair(format!("{stat}.Period"), query.period.to_string()));
            form.push(form::pair(format!("{stat}.Stat"), &metric.stat));
            if let Some(unit) = &metric.unit {
                form.push(form::pair(format!("{stat}.Unit"), unit));
            }
        }
    }
    form
}

/// The newest datapoint whose period is over: that of a running period may still change.
fn newest(result: &MetricDataResult, period: u32, now: Timestamp) -> Option<Reading> {
    let whole = now
        .saturating_sub(SignedDuration::from_secs(period.into()))
        .unwrap_or(now);
    let points = result.timestamps.member.iter().zip(&result.values.member);
    let (at, value) = points
        .filter_map(|(at, value)| Some((parse_time(at)?, *value)))
        .filter(|(at, _)| *at <= whole)
        .max_by_key(|(at, _)| *at)?;
    Some(Reading {
        value,
        threshold: None,
        at: Some(at),
        period: Some(period),
    })
}

impl Metrics for Aws {
    async fn newest(
        &self,
        alarms: &BTreeMap<String, Vec<MetricQuery>>,
    ) -> Result<BTreeMap<String, Reading>, CloudError> {
        const OPERATION: &str = "GetMetricData";
        let now = self.now();
        let call = async {
            let mut found = BTreeMap::new();
            for asked in calls(alarms) {
                let mut token = None;
                loop {
                    let mut form = parameters(&asked, now);
                    form.extend(token.map(|token: String| form::pair("NextToken", token)));
                    let answer: GetMetricDataResponse = self.raw.query(HOST, VERSION, OPERATION, &form).await?;
                    let result = answer.get_metric_data_result;
                    for result in &result.metric_data_results.member {
                        let Some((alarm, period)) = asked.wanted.get(&result.id) else {
                            continue;
                        };
                        if let Some(reading) = newest(result, *period, now) {
                            found.entry((*alarm).to_owned()).or_insert(reading);
                        }
                    }
                    token = result.next_token.filter(|token| !token.is_empty());
                    if token.is_none() {
                        break;
                    }
                }
            }
            Ok(found)
        };
        self.within(OPERATION, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::replay::replay;
    use super::*;

    const ALARMS: &str = "<DescribeAlarmsResponse><DescribeAlarmsResult><MetricAlarms>\
        <member><AlarmName>cpu</AlarmName><StateValue>ALARM</StateValue>\
        <StateTransitionedTimestamp>2026-01-01T10:00:00Z</StateTransitionedTimestamp><Threshold>70.0</Threshold>\
        <Namespace>AWS/ECS</Namespace><MetricName>CPUUtilization</MetricName><Statistic>Average</Statistic><Period>60</Period>\
        <Dimensions><member><Name>ServiceName</Name><Value>web</Value></member></Dimensions></member>\
        <member><AlarmName>math</AlarmName><StateValue>OK</StateValue>\
        <StateUpdatedTimestamp>2026-01-01T10:00:00Z</StateUpdatedTimestamp><Metrics>\
        <member><Id>e1</Id><Expression>m1 / 2</Expression><ReturnData>true</ReturnData></member>\
        <member><Id>m1</Id><ReturnData>false</ReturnData><MetricStat><Metric><Namespace>N</Namespace><MetricName>M</MetricName>\
        </Metric><Period>300</Period><Stat>Sum</Stat></MetricStat></member></Metrics></member></MetricAlarms>\
        <CompositeAlarms><member><AlarmName>both</AlarmName><StateValue>OK</StateValue>\
        <StateUpdatedTimestamp>2026-01-01T10:00:00Z</StateUpdatedTimestamp></member></CompositeAlarms>\
        </DescribeAlarmsResult></DescribeAlarmsResponse>";

    fn alarms() -> Vec<AlarmStateChange> {
        let names = ["cpu", "math", "both"].map(str::to_owned);
        let (found, _) = replay(&[(200, ALARMS)], async |aws| aws.describe_alarms(&names).await);
        found.unwrap()
    }

    #[test]
    fn alarms_say_what_they_watch() {
        let found: Vec<_> = alarms()
            .into_iter()
            .map(|alarm| (alarm.alarm_name, alarm.watches.len()))
            .collect();
        let expected = [("cpu", 1), ("math", 2), ("both", 0)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(found, expected);
    }

    #[test]
    fn plain_metrics_are_asked_for_together_and_math_alone() {
        let mut watched: BTreeMap<_, _> = alarms().into_iter().map(|a| (a.alarm_name, a.watches)).collect();
        let cpu = watched.get("cpu").cloned().unwrap();
        for i in 0..600 {
            watched.insert(format!("cpu-{i}"), cpu.clone());
        }
        let sizes: Vec<_> = calls(&watched)
            .iter()
            .map(|c| (c.queries.len(), c.wanted.len()))
            .collect();
        assert_eq!(sizes, [(500, 500), (101, 101), (2, 1)]);
    }

    #[test]
    fn the_newest_whole_datapoint_is_taken_and_every_part_of_the_metric_is_asked_for() {
        let watched = alarms()
            .into_iter()
            .take(1)
            .map(|a| (a.alarm_name, a.watches))
            .collect();
        // Far ahead is a period that is not over at any time at which this runs.
        let answer = "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Id>q0</Id>\
            <Timestamps><member>2199-01-01T00:00:00Z</member><member>2026-01-01T10:01:00Z</member>\
            <member>2026-01-01T10:00:00Z</member></Timestamps>\
            <Values><member>99.0</member><member>81.5</member><member>70</member></Values></member>\
            </MetricDataResults></GetMetricDataResult></GetMetricDataResponse>";
        let (found, asked) = replay(&[(200, answer)], async |aws| aws.newest(&watched).await);
        let found = found.unwrap();
        let reading = found.get("cpu").unwrap();
        assert_eq!((reading.value, reading.at), (81.5, parse_time("2026-01-01T10:01:00Z")));
        let form = asked.first().unwrap().form();
        for part in [
            "Action=GetMetricData",
            "MetricDataQueries.member.1.Id=q0",
            "MetricDataQueries.member.1.MetricStat.Metric.Namespace=AWS/ECS",
            "MetricDataQueries.member.1.MetricStat.Metric.MetricName=CPUUtilization",
            "MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Name=ServiceName",
            "MetricDataQueries.member.1.MetricStat.Metric.Dimensions.member.1.Value=web",
            "MetricDataQueries.member.1.MetricStat.Period=60",
            "MetricDataQueries.member.1.MetricStat.Stat=Average",
        ] {
            assert!(form.iter().any(|pair| pair == part), "{part} in {form:?}");
        }
    }

    #[test]
    fn a_metric_without_data_has_no_reading() {
        let watched = alarms()
            .into_iter()
            .take(1)
            .map(|a| (a.alarm_name, a.watches))
            .collect();
        let answer = "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults><member><Id>q0</Id><Timestamps/>\
            <Values/></member></MetricDataResults></GetMetricDataResult></GetMetricDataResponse>";
        let (found, _) = replay(&[(200, answer)], async |aws| aws.newest(&watched).await);
        assert_eq!(found.unwrap(), BTreeMap::new());
    }
}
