//! `EC2 Instance-launch Lifecycle Action`, `EC2 Instance-terminate Lifecycle Action`: an Auto Scaling group waits with an
//! instance until its lifecycle hook is completed, or its time is over.
//!
//! Both are sent on a best-effort basis (EC2 Auto Scaling user guide, "Use EventBridge to handle Auto Scaling events").

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::instance::instance_id;
use super::{Aside, Rejected, text};
use crate::report::{Code, Reason};

/// What a group sends when a hook is made, to see whether it arrives.
const TEST: &str = "autoscaling:TEST_NOTIFICATION";

/// On which way the instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// It comes.
    Launching,
    /// It goes.
    Terminating,
}

impl Transition {
    /// `detail-type`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Launching => "EC2 Instance-launch Lifecycle Action",
            Self::Terminating => "EC2 Instance-terminate Lifecycle Action",
        }
    }
}

/// Where an instance comes from, or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Place {
    /// It is new, or is gone.
    #[serde(rename = "EC2")]
    Ec2,
    /// The group.
    AutoScalingGroup,
    /// The group's warm pool.
    WarmPool,
    /// A place that this version does not know, or that is not said: older events do not.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A lifecycle action that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleAction {
    /// On which way the instance is.
    pub transition: Transition,
    /// `i-…`.
    pub instance: String,
    /// The group's name.
    pub group: String,
    /// The hook's name.
    pub hook: String,
    /// What tells this action from the next of the same instance.
    pub token: String,
    /// Where the instance comes from.
    pub origin: Place,
    /// Where it goes to.
    pub destination: Place,
}

impl LifecycleAction {
    /// Reads `detail`; a test notification is set aside.
    ///
    /// # Errors
    /// When the instance, the group, the hook or the token is missing.
    pub(super) fn parse(transition: Transition, detail: &Value) -> Result<Result<Self, Aside>, Rejected> {
        let kind = transition.kind();
        if [text(detail, "Event"), text(detail, "LifecycleTransition")].contains(&Some(TEST)) {
            let message = "the group only tries whether its notifications arrive: nothing waits";
            let reason = Reason::new(Code::TestNotification, message);
            return Ok(Err(Aside { kind, reason }));
        }
        let malformed = |reason: String| Rejected::Malformed { kind, reason };
        let needed = |field: &'static str| {
            let found = text(detail, field).filter(|found| !found.is_empty()).map(str::to_owned);
            found.ok_or_else(|| malformed(format!("`detail.{field}` is missing or no text")))
        };
        let place = |field| {
            let place = detail.get(field).and_then(|place| Place::deserialize(place).ok());
            place.unwrap_or_default()
        };
        let instance = text(detail, "EC2InstanceId").and_then(instance_id);
        Ok(Ok(Self {
            transition: match text(detail, "LifecycleTransition") {
                Some("autoscaling:EC2_INSTANCE_TERMINATING") => Transition::Terminating,
                Some("autoscaling:EC2_INSTANCE_LAUNCHING") => Transition::Launching,
                _ => transition,
            },
            instance: instance.ok_or_else(|| {
                malformed("`detail.EC2InstanceId` is missing or not the id of an instance (`i-…`)".into())
            })?,
            group: needed("AutoScalingGroupName")?,
            hook: needed("LifecycleHookName")?,
            token: needed("LifecycleActionToken")?,
            origin: place("Origin"),
            destination: place("Destination"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn detail(more: &Value) -> Value {
        let mut detail = json!({
            "LifecycleActionToken": "t", "AutoScalingGroupName": "web", "LifecycleHookName": "drain",
            "EC2InstanceId": "i-1", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        });
        let (all, more) = (detail.as_object_mut().unwrap(), more.as_object().unwrap());
        all.extend(more.clone());
        detail
    }

    #[track_caller]
    fn check(more: &Value, expected: &str) {
        let told = match LifecycleAction::parse(Transition::Terminating, &detail(more)) {
            Err(rejected) => rejected.to_string(),
            Ok(Err(aside)) => aside.reason.code.to_string(),
            Ok(Ok(a)) => format!(
                "{:?} {} {} {} {} {:?} {:?}",
                a.transition, a.instance, a.group, a.hook, a.token, a.origin, a.destination
            ),
        };
        assert_eq!(told, expected, "{more}");
    }

    #[test]
    fn an_action_names_what_waits() {
        check(&json!({}), "Terminating i-1 web drain t Unknown Unknown");
        check(
            &json!({ "Origin": "AutoScalingGroup", "Destination": "AutoScalingGroup", "Action": "ReplaceRootVolume" }),
            "Terminating i-1 web drain t AutoScalingGroup AutoScalingGroup",
        );
        check(
            &json!({ "Origin": "WarmPool", "Destination": "Moon" }),
            "Terminating i-1 web drain t WarmPool Unknown",
        );
        check(
            &json!({ "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING" }),
            "Launching i-1 web drain t Unknown Unknown",
        );
        check(
            &json!({ "LifecycleTransition": null }),
            "Terminating i-1 web drain t Unknown Unknown",
        );
        check(&json!({ "Event": "autoscaling:TEST_NOTIFICATION" }), "TestNotification");
        check(
            &json!({ "LifecycleTransition": "autoscaling:TEST_NOTIFICATION", "EC2InstanceId": null }),
            "TestNotification",
        );
        for field in ["LifecycleActionToken", "AutoScalingGroupName", "LifecycleHookName"] {
            check(
                &json!({ field: "" }),
                &format!(
                    "this `EC2 Instance-terminate Lifecycle Action` event cannot be used: `detail.{field}` is missing or no text"
                ),
            );
        }
        check(
            &json!({ "EC2InstanceId": "web-1" }),
            "this `EC2 Instance-terminate Lifecycle Action` event cannot be used: `detail.EC2InstanceId` is missing or not \
             the id of an instance (`i-…`)",
        );
    }
}
