//! The calls of a rollout.

use serde_json::{Value, json};

use super::Move;
use crate::guard::Removes;
use crate::report::Effect;

/// One call of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Makes the revision. Not idempotent: a repeat leaves a revision that nobody uses.
    RegisterTaskDefinition {
        /// The whole request.
        request: Value,
    },
    /// Sends the service to a revision, and changes nothing else: neither the count, which scaling moves, nor anything that
    /// a person set; but where `restore` asks for it, what its volumes begin with.
    UpdateService {
        /// The cluster's name.
        cluster: String,
        /// The service's name.
        service: String,
        /// The revision.
        task_definition: TaskDefinition,
        /// The service's own `volumeConfigurations`, some of them with another snapshot.
        volumes: Option<Value>,
    },
    /// Moves what runs the family on a schedule to its new revision.
    Move(Box<Move>),
    /// Asks ECS to end the service's deployment and to go back to the one before.
    StopServiceDeployment {
        /// The service deployment's ARN.
        arn: String,
    },
}

/// The revision that a service is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskDefinition {
    /// This one, which exists.
    Arn(String),
    /// The one that the registration before it makes: its ARN is known when that call is answered.
    Registered {
        /// The ARN of the revision that it is made of.
        base: String,
    },
}

impl TaskDefinition {
    /// The ARN, or as much of it as is known before the registration.
    pub fn text(&self) -> String {
        match self {
            Self::Arn(arn) => arn.clone(),
            Self::Registered { base } => {
                let family = base.rsplit_once(':').map_or(base.as_str(), |(family, _)| family);
                format!("{family}:${{RegisterTaskDefinition.revision}}")
            }
        }
    }
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        match self {
            Self::RegisterTaskDefinition { .. } => "RegisterTaskDefinition",
            Self::UpdateService { .. } => "UpdateService",
            Self::StopServiceDeployment { .. } => "StopServiceDeployment",
            Self::Move(to) => to.operation(),
        }
    }

    fn input(&self) -> Value {
        match self {
            Self::RegisterTaskDefinition { request } => request.clone(),
            Self::UpdateService {
                cluster,
                service,
                task_definition,
                volumes,
            } => {
                let revision = task_definition.text();
                let mut input = json!({ "cluster": cluster, "service": service, "taskDefinition": revision });
                if let Some(volumes) = volumes {
                    input["volumeConfigurations"] = volumes.clone();
                }
                input
            }
            Self::Move(to) => to.input.clone(),
            Self::StopServiceDeployment { arn } => json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }),
        }
    }

    /// A definition is up to 64 KiB long and carries the values of environment variables: its names and images are enough.
    fn summary(&self) -> Value {
        let request = match self {
            Self::RegisterTaskDefinition { request } => request,
            // What a schedule passes to its task may be secret too.
            Self::Move(to) => return json!({ "follower": to.follower, "from": to.from, "to": to.to }),
            Self::UpdateService { .. } | Self::StopServiceDeployment { .. } => return self.input(),
        };
        let containers = request.get("containerDefinitions").and_then(Value::as_array);
        let containers: Vec<_> = containers
            .into_iter()
            .flatten()
            .map(|c| json!({ "name": c.get("name"), "image": c.get("image") }))
            .collect();
        json!({ "family": request.get("family"), "containerDefinitions": containers })
    }
}

/// A rollout takes nothing away: ECS stops the old tasks, under the service's own deployment configuration.
impl Removes for Action {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_keeps_no_value_of_an_environment() {
        let container =
            json!({ "name": "web", "image": "web:1", "environment": [{ "name": "KEY", "value": "secret" }] });
        let action = Action::RegisterTaskDefinition {
            request: json!({ "family": "web", "containerDefinitions": [container] }),
        };
        assert_eq!(
            action.summary(),
            json!({ "family": "web", "containerDefinitions": [{ "name": "web", "image": "web:1" }] })
        );
    }

    #[test]
    fn an_update_says_the_service_and_its_revision_and_nothing_else() {
        let update = |task_definition| Action::UpdateService {
            cluster: "prod".into(),
            service: "web".into(),
            task_definition,
            volumes: None,
        };
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:7";
        assert_eq!(
            update(TaskDefinition::Arn(arn.into())).input(),
            json!({ "cluster": "prod", "service": "web", "taskDefinition": arn })
        );
        assert_eq!(
            update(TaskDefinition::Registered { base: arn.into() }).input()["taskDefinition"],
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:${RegisterTaskDefinition.revision}"
        );
    }
}
