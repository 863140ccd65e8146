//! Keeps tasks in extra target groups of Elastic Load Balancing: [`wharfinger_endpoints`], with target groups as its side.

mod batch;

use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::ports::{OperationStatus, Submitted, TargetGroups};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_core::balancing::{Action, Membership};
use wharfinger_endpoints::{Cloud, Endpoints, Listed, Side};

use batch::Batches;

/// Target groups.
#[derive(Debug, Default)]
pub struct Groups {
    batches: Batches,
}

impl<C: TargetGroups> Side<C> for Groups {
    type Member = Membership;

    /// "Targets per target group" (ELB quotas); the least of all kinds of load balancers.
    const QUOTA: usize = 1_000;

    async fn call(&self, cloud: &C, action: &Action) -> Result<Submitted, CloudError> {
        match self.batches.call(cloud, action).await {
            Ok(()) => Ok(Submitted::Operation(None)),
            // What is gone holds nothing.
            Err(error) if action.is_leave() && error.kind == Kind::NotFound => Ok(Submitted::Absent),
            Err(error) => Err(error),
        }
    }

    /// Nothing is in the way here: a call has its effect at once.
    async fn operation(&self, _: &C, _: &str) -> Result<OperationStatus, CloudError> {
        Ok(OperationStatus::Done)
    }

    async fn list(&self, cloud: &C, _: &str, group: &str) -> Result<Vec<Listed<Membership>>, CloudError> {
        let targets = cloud.target_health(group).await?;
        let listed = targets.into_iter().map(|health| Listed {
            task: None,
            draining: health.is_draining(),
            serves: health.serves(),
            member: Membership::new(group, &health.target.id, health.target.port),
        });
        Ok(listed.collect())
    }
}

/// The function.
#[derive(Debug)]
pub struct Balancing(Endpoints<Groups>);

impl Balancing {
    /// A function that answers for this owner.
    #[must_use]
    pub fn new(owner: &str) -> Self {
        Self(Endpoints::new(Groups::default(), owner))
    }

    /// Handles one event. A sweep answers what it found.
    ///
    /// # Errors
    /// When the event cannot be used, or the world could not be made what it should be: to be tried again.
    pub async fn on_event(&self, cloud: &(impl Cloud + TargetGroups), json: &Value) -> Result<Value, Fault> {
        self.0.on_event(cloud, json).await
    }
}

impl Function for Balancing {
    const NAME: &'static str = "balancing";
    const HOSTS: &'static [&'static str] = &["dynamodb", "elasticloadbalancing"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        Box::pin(self.on_event(aws, &invocation.event)).await
    }
}
