//! A target of a group, as a member of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Facts, TargetDescription, TargetType};
use crate::config::stored::StoredTarget;
use crate::config::{Address, Balancing, Service};
use crate::endpoint::{Ask, By, Lack, Member, Request, Seat, seat};
use crate::report::{Code, Reason};

/// A target in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Membership {
    /// The group's ARN.
    pub target_group_arn: String,
    /// The target.
    pub target: TargetDescription,
}

impl Membership {
    /// A target in a group.
    #[must_use]
    pub fn new(group: &str, id: &str, port: u16) -> Self {
        Self {
            target_group_arn: group.to_owned(),
            target: TargetDescription {
                id: id.to_owned(),
                port,
                availability_zone: None,
            },
        }
    }

    fn input(&self) -> Value {
        json!({ "TargetGroupArn": self.target_group_arn, "Targets": [self.target] })
    }
}

impl Member for Membership {
    const DOMAIN: &'static str = "balancing";
    const SHARED: bool = true;
    const LISTED_BY: &'static str = "DescribeTargetHealth";
    type Entry = Balancing;

    fn entries(config: &Service) -> &[Balancing] {
        &config.balancing
    }

    fn label(entry: &Balancing) -> &str {
        &entry.target_group
    }

    fn ask<'e>(stored: &StoredTarget, entry: &'e Balancing) -> Ask<'e> {
        Ask {
            container: entry.container.as_deref(),
            port: entry.port,
            address: Address::Private,
            when: entry.when,
            by: match stored.target_group(&entry.target_group) {
                Some(group) if group.target_type == TargetType::Ip => By::Address,
                Some(group) if group.target_type == TargetType::Instance => By::Instance,
                _ => By::Either,
            },
        }
    }

    fn collection(stored: &StoredTarget, entry: &Balancing) -> Result<String, Reason> {
        let name = &entry.target_group;
        match stored.target_group(name) {
            Some(group) if group.target_type == TargetType::Other => {
                let message =
                    format!("the targets of group `{name}` are no tasks: its type must be `ip` or `instance`");
                Err(Reason::new(Code::TargetGroupMismatch, message))
            }
            Some(group) => Ok(group.arn.clone()),
            // An ARN needs nothing looked up.
            None if name.starts_with("arn:") => Ok(name.clone()),
            None => {
                let message =
                    format!("the target group `{name}` is not known: apply the configuration, which looks it up");
                Err(Reason::new(Code::TargetGroupUnresolved, message))
            }
        }
    }

    fn make(facts: &Facts, entry: &Balancing, seat: &Seat<'_>) -> Result<Self, Lack> {
        let group = Self::collection(&facts.managed.stored, entry).map_err(Lack::Nothing)?;
        let Some(port) = seat.port else {
            let message = format!("`port` is needed to join `{}`", entry.target_group);
            return Err(Lack::Nothing(Reason::new(Code::NoContainer, message)));
        };
        Ok(Self::new(&group, &seat.id, port))
    }

    /// A target has no name of its own: where the task was reached must be known.
    fn place(facts: &Facts, entry: &Balancing) -> Result<Self, Lack> {
        let seat = seat(facts, Self::ask(&facts.managed.stored, entry))?;
        Self::make(facts, entry, &seat)
    }

    fn unhealthy(&self, _: &Facts) -> Option<Self> {
        None
    }

    fn kept_in(&self) -> &str {
        &self.target_group_arn
    }

    fn name(&self) -> String {
        format!("{}:{}", self.target.id, self.target.port)
    }

    fn group(&self) -> Option<String> {
        None
    }

    fn address(&self) -> Option<String> {
        Some(self.name())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.target_group_arn == other.target_group_arn
            && self.target.id == other.target.id
            && self.target.port == other.target.port
    }

    fn joins(&self, _: Option<&Self>) -> Request {
        Request {
            call: "RegisterTargets",
            input: self.input(),
        }
    }

    fn leaves(&self) -> Request {
        Request {
            call: "DeregisterTargets",
            input: self.input(),
        }
    }
}
