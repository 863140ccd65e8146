//! `AWS Health Event`: among much else, that the host of an instance will be retired or rebooted.

use jiff::Timestamp;
use serde_json::Value;

use super::instance::instance_id;
use super::{Envelope, Rejected, parse_time, text};

const KIND: &str = "AWS Health Event";

/// What AWS Health tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEvent {
    /// The same in every update of one matter.
    pub arn: String,
    /// `EC2`, …
    pub service: String,
    /// `AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED`, …
    pub code: String,
    /// `issue`, `scheduledChange`, `accountNotification` or `investigation`.
    pub category: String,
    /// Whether it is over; where nothing says so it is not.
    pub closed: bool,
    /// When it begins.
    pub starts: Option<Timestamp>,
    /// When it ends.
    pub ends: Option<Timestamp>,
    /// When it was told, in this form or another.
    pub told: Option<Timestamp>,
    /// The EC2 instances that it is about.
    pub instances: Vec<String>,
}

impl HealthEvent {
    /// Reads `detail`.
    ///
    /// # Errors
    /// When its code or category is missing.
    pub fn parse(envelope: &Envelope, detail: &Value) -> Result<Self, Rejected> {
        let needed = |field: &'static str| {
            let found = text(detail, field).map(str::to_owned);
            found.ok_or_else(|| Rejected::Malformed {
                kind: KIND,
                reason: format!("`detail.{field}` is missing or no text"),
            })
        };
        let time = |field| text(detail, field).and_then(parse_time);
        Ok(Self {
            arn: text(detail, "eventArn").unwrap_or_default().to_owned(),
            service: text(detail, "service").unwrap_or_default().to_owned(),
            code: needed("eventTypeCode")?,
            category: needed("eventTypeCategory")?,
            closed: text(detail, "statusCode").is_some_and(|status| status.eq_ignore_ascii_case("closed")),
            starts: time("startTime"),
            ends: time("endTime"),
            told: time("lastUpdatedTime").or(envelope.time),
            instances: instances(envelope, detail),
        })
    }

    /// Whether it is about instances that will be stopped, rebooted or retired.
    #[must_use]
    pub fn is_maintenance(&self) -> bool {
        self.service == "EC2" && self.category == "scheduledChange" && !self.instances.is_empty()
    }
}

/// The affected entities; of an event without any the resources of the envelope, which list the same.
fn instances(envelope: &Envelope, detail: &Value) -> Vec<String> {
    let entities = detail
        .get("affectedEntities")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    let named = entities
        .unwrap_or_default()
        .iter()
        .filter_map(|entity| text(entity, "entityValue"));
    let mut found: Vec<_> = named.filter_map(entity_id).collect();
    if found.is_empty() {
        found = envelope
            .resources
            .iter()
            .filter_map(|resource| entity_id(resource))
            .collect();
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// An entity is the id of an instance, or its ARN.
fn entity_id(entity: &str) -> Option<String> {
    instance_id(entity.rsplit('/').next().unwrap_or(entity))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(detail: &Value) -> Result<HealthEvent, Rejected> {
        let envelope = Envelope::beside(&json!({ "time": "2018-11-01T22:00:00Z", "resources": ["i-9"] }));
        HealthEvent::parse(&envelope, detail)
    }

    #[test]
    fn a_scheduled_change_names_instances_and_times() {
        let health = read(&json!({
            "eventArn": "a", "service": "EC2", "eventTypeCode": "C", "eventTypeCategory": "scheduledChange",
            "statusCode": "closed", "startTime": "Thu, 1 Nov 2018 22:00:00 GMT", "endTime": "Sat, 02 Nov 2018 22:00:00 GMT",
            "affectedEntities": [
                { "entityValue": "i-2" }, { "entityValue": "arn:aws:ec2:us-east-1:1:instance/i-1" }, { "entityValue": "vol-1" },
                { "entityValue": "i-2" },
            ],
        }))
        .unwrap();
        assert_eq!(health.instances, ["i-1", "i-2"]);
        assert!(health.closed && health.is_maintenance());
        assert_eq!(health.starts, Some("2018-11-01T22:00:00Z".parse().unwrap()));
        // The day of the week is wrong, as in samples of AWS.
        assert_eq!(health.ends, Some("2018-11-02T22:00:00Z".parse().unwrap()));
        assert_eq!(health.told, Some("2018-11-01T22:00:00Z".parse().unwrap()));
    }

    #[test]
    fn without_entities_the_resources_count_and_other_matters_are_told_apart() {
        let of = |service: &str, category: &str| {
            read(&json!({ "service": service, "eventTypeCode": "C", "eventTypeCategory": category })).unwrap()
        };
        assert_eq!(of("EC2", "scheduledChange").instances, ["i-9"]);
        assert!(of("EC2", "scheduledChange").is_maintenance());
        assert!(!of("EC2", "issue").is_maintenance());
        assert!(!of("RDS", "scheduledChange").is_maintenance());
        let rejected = read(&json!({ "eventTypeCode": "C" })).unwrap_err().to_string();
        assert!(rejected.contains("`detail.eventTypeCategory` is missing"), "{rejected}");
    }
}
