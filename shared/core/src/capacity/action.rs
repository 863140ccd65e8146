//! The calls about a cluster's instances.

use serde_json::{Value, json};

use crate::guard::Removes;
use crate::report::Effect;

/// How many container instances one `UpdateContainerInstancesState` takes (ECS API reference).
pub const STATES_AT_ONCE: usize = 10;

/// One call about a cluster's instances. Each may be made twice: the second time changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Takes container instances out of service, or back into it.
    UpdateContainerInstancesState {
        /// The cluster's name.
        cluster: String,
        /// Their ARNs, [`STATES_AT_ONCE`] at most.
        container_instances: Vec<String>,
        /// What they become.
        status: State,
    },
    /// Gives an instance up: its group replaces it.
    SetInstanceHealth {
        /// The EC2 instance.
        instance: String,
    },
    /// Stops a task that no service started.
    StopTask {
        /// The cluster's name.
        cluster: String,
        /// The task's ARN.
        task: String,
        /// Why, as the task says it afterwards.
        reason: String,
    },
    /// Has a group wait longer with an instance.
    RecordLifecycleActionHeartbeat(Waiting),
    /// Has a group go on with an instance.
    CompleteLifecycleAction(Waiting),
}

/// What a container instance becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes tasks.
    Active,
    /// Its tasks leave it.
    Draining,
}

/// A lifecycle action that a group waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The group's name.
    pub group: String,
    /// The hook's name.
    pub hook: String,
    /// What tells it from others; not needed with the instance (EC2 Auto Scaling API reference, `CompleteLifecycleAction`).
    pub token: Option<String>,
    /// The EC2 instance.
    pub instance: String,
}

impl Waiting {
    fn input(&self) -> Value {
        let mut input = json!({
            "LifecycleHookName": self.hook,
            "AutoScalingGroupName": self.group,
            "InstanceId": self.instance,
        });
        if let Some(token) = &self.token {
            input["LifecycleActionToken"] = json!(token);
        }
        input
    }
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        match self {
            Self::UpdateContainerInstancesState { .. } => "UpdateContainerInstancesState",
            Self::SetInstanceHealth { .. } => "SetInstanceHealth",
            Self::StopTask { .. } => "StopTask",
            Self::RecordLifecycleActionHeartbeat(_) => "RecordLifecycleActionHeartbeat",
            Self::CompleteLifecycleAction(_) => "CompleteLifecycleAction",
        }
    }

    fn input(&self) -> Value {
        match self {
            Self::UpdateContainerInstancesState {
                cluster,
                container_instances,
                status,
            } => {
                let status = match status {
                    State::Active => "ACTIVE",
                    State::Draining => "DRAINING",
                };
                json!({ "cluster": cluster, "containerInstances": container_instances, "status": status })
            }
            // The group's grace period is for instances that start.
            Self::SetInstanceHealth { instance } => json!({
                "InstanceId": instance, "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": false,
            }),
            Self::StopTask { cluster, task, reason } => json!({ "cluster": cluster, "task": task, "reason": reason }),
            Self::RecordLifecycleActionHeartbeat(waiting) => waiting.input(),
            Self::CompleteLifecycleAction(waiting) => {
                let mut input = waiting.input();
                input["LifecycleActionResult"] = json!("CONTINUE");
                input
            }
        }
    }
}

/// Nothing of ours carries a mark here: what may be done is bounded by the share and by the causes.
impl Removes for Action {}
