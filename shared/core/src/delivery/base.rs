//! The revision that a target runs and the next one is made of, or why there is none.

use serde_json::Value;

use super::Facts;
use super::action::Action;
use super::linger::{SIDE_CONTAINER, is_ours};
use super::newest::Newest;
use super::revision::{ContainerImage, RevisionError, containers, task_definition_arn};
use super::standing::{Wanted, short};
use crate::ids::{TargetKind, same_revision};
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};
use crate::service::ServiceFacts;

/// The revision that the target runs, of which the next one is made, unless `newest` is to be taken.
pub(super) struct Base<'a> {
    /// The service that runs it; a family has none.
    pub(super) service: Option<&'a ServiceFacts>,
    /// Its ARN.
    pub(super) arn: &'a str,
    /// The answer of `DescribeTaskDefinition`.
    pub(super) answer: &'a Value,
    /// Its containers.
    pub(super) containers: Vec<ContainerImage<'a>>,
    /// The family's newest revision, where it is a later one and known.
    pub(super) newest: Option<Newest<'a>>,
    /// Whether the next revision is made of that.
    takes_newest: bool,
}

impl<'a> Base<'a> {
    /// The family's newest revision, where the next one is made of it.
    pub(super) fn taken(&self) -> Option<&Newest<'a>> {
        self.newest.as_ref().filter(|_| self.takes_newest)
    }

    /// The ARN of what the next revision is made of, and the answer of `DescribeTaskDefinition`.
    pub(super) fn source(&self) -> (&'a str, &'a Value) {
        let taken = self.taken().map(|newest| (newest.arn, newest.answer));
        taken.unwrap_or((self.arn, self.answer))
    }

    /// `family:revision`.
    pub(super) fn short(&self) -> &str {
        short(self.arn)
    }

    /// Whether the service is through with its last deployment and all wanted tasks run; a family always is.
    pub(super) fn is_at_rest(&self) -> bool {
        self.service
            .is_none_or(|s| s.in_progress().is_none() && s.running_count >= s.desired_count)
    }
}

/// The base, or the decision that there is none. What is missing is named all at once.
pub(super) fn base<'a>(facts: &'a Facts, wanted: &[Wanted<'_>]) -> Result<Base<'a>, Decision<Action>> {
    let service = match (facts.target.kind, &facts.service) {
        (TargetKind::Task | TargetKind::Cluster, _) => None,
        (TargetKind::Service, Known::Yes(service)) => Some(changeable(facts, service.as_ref())?),
        (TargetKind::Service, Known::No) => {
            let mut missing = vec!["DescribeServices"];
            if facts.definition == Known::No {
                missing.push("DescribeTaskDefinition");
            }
            return Err(unknown(facts, wanted, missing));
        }
    };
    let needs_definition = || unknown(facts, wanted, vec!["DescribeTaskDefinition"]);
    let answer = match &facts.definition {
        Known::No => return Err(needs_definition()),
        Known::Yes(None) => {
            let name = service.map_or(facts.target.name.as_str(), |s| short(&s.task_definition));
            return Err(ignore(
                Code::TaskDefinitionNotFound,
                format!("there is no ACTIVE task definition `{name}`: register a revision of it"),
            ));
        }
        Known::Yes(Some(answer)) => answer,
    };
    let arn = task_definition_arn(answer).ok_or_else(needs_definition)?;
    // An answer about another revision is no answer.
    if service.is_some_and(|s| !same_revision(&s.task_definition, arn)) {
        return Err(needs_definition());
    }
    let takes_newest = facts.takes_newest();
    if takes_newest && facts.latest == Known::No {
        return Err(needs_definition());
    }
    Ok(Base {
        service,
        arn,
        answer,
        containers: movable(answer).map_err(|_| needs_definition())?,
        newest: Newest::after(arn, facts).map_err(|_| needs_definition())?,
        takes_newest,
    })
}

/// The containers of a described task definition but the side container: it may have an image of the very repository, but
/// it has the image that `drain` says, and no rule moves it.
pub(super) fn movable(answer: &Value) -> Result<Vec<ContainerImage<'_>>, RevisionError> {
    let mut containers = containers(answer)?;
    containers.retain(|c| !is_ours(&answer["taskDefinition"]["containerDefinitions"][c.index]));
    Ok(containers)
}

/// The service, if its task definition can be changed.
fn changeable<'a>(facts: &Facts, service: Option<&'a ServiceFacts>) -> Result<&'a ServiceFacts, Decision<Action>> {
    let Some(service) = service else {
        return Err(ignore(
            Code::ServiceNotFound,
            format!(
                "ECS knows no service {}: create it, or take its `delivery` out",
                facts.target
            ),
        ));
    };
    if !service.is_active() {
        let message = format!(
            "service {} is {}, not ACTIVE: create it anew, or take its `delivery` out",
            facts.target, service.status
        );
        return Err(ignore(Code::ServiceNotFound, message));
    }
    if service.deployment_controller != "ECS" {
        let message = format!(
            "service {} is deployed by {}: UpdateService cannot change its task definition; take its `delivery` out",
            facts.target, service.deployment_controller
        );
        return Err(ignore(Code::UnsupportedController, message));
    }
    if let Some(who) = managed_otherwise(service) {
        let message = format!(
            "service {} is {who}: it is not rolled out by UpdateService; take its `delivery` out",
            facts.target
        );
        return Err(ignore(Code::UnsupportedController, message));
    }
    Ok(service)
}

/// An Express service is changed by `UpdateExpressGatewayService`, and of a daemon ECS itself says how many tasks are wanted
/// (ECS API reference).
fn managed_otherwise(service: &ServiceFacts) -> Option<&'static str> {
    if service.resource_management_type.as_deref() == Some("ECS") {
        return Some("an Express service, which ECS manages as a whole");
    }
    (service.scheduling_strategy.as_deref() == Some("DAEMON")).then_some("a daemon")
}

fn ignore(code: Code, message: String) -> Decision<Action> {
    Decision::without_calls(Outcome::Ignore, Reason::new(code, message))
}

fn unknown(facts: &Facts, wanted: &[Wanted<'_>], missing: Vec<&'static str>) -> Decision<Action> {
    let mut images: Vec<_> = wanted.iter().map(|w| w.wish.name()).collect();
    if images.is_empty() {
        images.push(format!("`{SIDE_CONTAINER}`"));
    }
    let newest = facts
        .family_name()
        .filter(|_| facts.takes_newest())
        .map_or_else(String::new, |family| {
            format!("; `base: latest` asks for the newest revision of `{family}`")
        });
    let message = format!(
        "{} wants {}; what it runs is not known, which these tell: {}{newest}",
        facts.target,
        images.join(", "),
        missing.join(", ")
    );
    Decision {
        outcome: Outcome::Wait,
        actions: Vec::new(),
        reasons: vec![Reason::new(Code::FactsMissing, message)],
        missing,
    }
}
