//! The services that speak the query protocol: a form in, XML out.

use std::fmt::Write;

use serde_json::Value;

use super::world::World;

/// The answer to a call, or the code and the words of its error.
pub(super) type Answered = Result<String, (&'static str, &'static str)>;

/// A target of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The group's ARN.
    pub group: String,
    /// An address, or the id of an instance.
    pub id: String,
    /// The port.
    pub port: u16,
}

impl World {
    /// Answers a call of the query protocol.
    pub(super) fn answer_form(&mut self, operation: &str, form: &Value) -> Answered {
        if let Some(answered) = self.auto_scaling(operation, form) {
            return answered;
        }
        match operation {
            "DescribeAlarms" => Ok(self.describe_alarms(form)),
            "GetMetricData" => Ok(self.get_metric_data(form)),
            "RegisterTargets" => {
                self.targets.extend(targets(form)?);
                Ok(done(operation))
            }
            "DeregisterTargets" => {
                for target in targets(form)? {
                    self.targets.remove(&target);
                }
                Ok(done(operation))
            }
            "DescribeTargetHealth" => Ok(self.describe_target_health(field(form, "TargetGroupArn"))),
            "DescribeInstances" => Ok(self.describe_instances(form)),
            "DescribeNetworkInterfaces" => Ok(self.describe_network_interfaces(form)),
            _ => Err(("InvalidAction", "it is not known here")),
        }
    }

    fn describe_alarms(&self, form: &Value) -> String {
        let wanted: Vec<_> = several(form, "AlarmNames.").collect();
        let is_wanted = |name: &String| wanted.is_empty() || wanted.contains(&name.as_str());
        let mut members = String::new();
        for (_, alarm) in self.alarms.iter().filter(|(name, _)| is_wanted(name)) {
            members.push_str("<member>");
            for (name, value) in alarm {
                let value = value.replace('&', "&amp;").replace('<', "&lt;");
                let _ = write!(members, "<{name}>{value}</{name}>");
            }
            members.push_str("</member>");
        }
        format!(
            "<DescribeAlarmsResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><DescribeAlarmsResult>\
             <MetricAlarms>{members}</MetricAlarms><CompositeAlarms/></DescribeAlarmsResult></DescribeAlarmsResponse>"
        )
    }

    /// Each metric has one datapoint: of the minute before the last one, so that it is over.
    fn get_metric_data(&self, form: &Value) -> String {
        let end: Option<jiff::Timestamp> = field(form, "EndTime").parse().ok();
        let begun = end.and_then(|end| end.checked_sub(jiff::SignedDuration::from_mins(2)).ok());
        let begun = begun.map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M:00Z").to_string());
        let mut members = String::new();
        for i in 1.. {
            let at = |member: &str| field(form, &format!("MetricDataQueries.member.{i}.{member}")).to_owned();
            let (id, metric) = (at("Id"), at("MetricStat.Metric.MetricName"));
            if id.is_empty() {
                break;
            }
            let points = self.metrics.get(&metric).map_or_else(
                || "<Timestamps/><Values/>".to_owned(),
                |value| {
                    format!(
                        "<Timestamps><member>{begun}</member></Timestamps><Values><member>{value}</member></Values>"
                    )
                },
            );
            let _ = write!(members, "<member><Id>{id}</Id>{points}</member>");
        }
        format!(
            "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults>{members}</MetricDataResults>\
             </GetMetricDataResult></GetMetricDataResponse>"
        )
    }

    fn describe_target_health(&self, group: &str) -> String {
        let mut members = String::new();
        for Target { id, port, .. } in self.targets.iter().filter(|target| target.group == group) {
            let _ = write!(
                members,
                "<member><Target><Id>{id}</Id><Port>{port}</Port></Target>\
                 <TargetHealth><State>healthy</State></TargetHealth></member>"
            );
        }
        format!(
            "<DescribeTargetHealthResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
             <DescribeTargetHealthResult><TargetHealthDescriptions>{members}</TargetHealthDescriptions>\
             </DescribeTargetHealthResult></DescribeTargetHealthResponse>"
        )
    }

    fn describe_instances(&self, form: &Value) -> String {
        let mut items = String::new();
        for id in several(form, "Filter.1.Value.") {
            if let Some(address) = self.machines.get(id) {
                let _ = write!(
                    items,
                    "<item><instancesSet><item><instanceId>{id}</instanceId>\
                     <privateIpAddress>{address}</privateIpAddress></item></instancesSet></item>"
                );
            }
        }
        format!("<DescribeInstancesResponse><reservationSet>{items}</reservationSet></DescribeInstancesResponse>")
    }

    fn describe_network_interfaces(&self, form: &Value) -> String {
        let mut items = String::new();
        for id in several(form, "Filter.1.Value.") {
            if let Some(address) = self.public_addresses.get(id) {
                let _ = write!(
                    items,
                    "<item><networkInterfaceId>{id}</networkInterfaceId>\
                     <association><publicIp>{address}</publicIp></association></item>"
                );
            }
        }
        format!(
            "<DescribeNetworkInterfacesResponse><networkInterfaceSet>{items}</networkInterfaceSet>\
             </DescribeNetworkInterfacesResponse>"
        )
    }
}

pub(super) fn field<'f>(form: &'f Value, name: &str) -> &'f str {
    form.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The values of a list.
pub(super) fn several<'f>(form: &'f Value, prefix: &'static str) -> impl Iterator<Item = &'f str> {
    let fields = form.as_object().into_iter().flatten();
    let of_list = fields.filter(move |(name, _)| name.starts_with(prefix));
    of_list.filter_map(|(_, value)| value.as_str())
}

/// The targets of a request: each must say its port.
fn targets(form: &Value) -> Result<Vec<Target>, (&'static str, &'static str)> {
    let group = field(form, "TargetGroupArn");
    let mut found = Vec::new();
    for n in 1.. {
        let id = field(form, &format!("Targets.member.{n}.Id"));
        if id.is_empty() {
            break;
        }
        let port = field(form, &format!("Targets.member.{n}.Port")).parse();
        found.push(Target {
            group: group.to_owned(),
            id: id.to_owned(),
            port: port.map_err(|_| ("ValidationError", "a target has no port"))?,
        });
    }
    Ok(found)
}

pub(super) fn done(operation: &str) -> String {
    format!("<{operation}Response><{operation}Result/></{operation}Response>")
}
