//! Keeps the endpoints of tasks in AWS Cloud Map true: [`wharfinger_endpoints`], with Cloud Map as its side.

use serde_json::Value;
use wharfinger_cloud::Fault;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::ports::{OperationStatus, Registry, Submitted};
use wharfinger_cloud::start::{Function, Invocation};
use wharfinger_core::discovery::{Action, DeregisterInstance, Endpoint, OWNER_ATTRIBUTE, TASK_ATTRIBUTE};
use wharfinger_endpoints::{Cloud, Endpoints, Listed, Side};

/// AWS Cloud Map.
#[derive(Debug)]
pub struct CloudMap;

impl<C: Registry> Side<C> for CloudMap {
    type Member = Endpoint;

    /// "Instances per service" cannot be raised (Cloud Map developer guide, "Service quotas").
    const QUOTA: usize = 1_000;

    async fn call(&self, cloud: &C, action: &Action) -> Result<Submitted, CloudError> {
        match action {
            Action::Join { member, request } if request.call == "UpdateInstanceCustomHealthStatus" => {
                cloud.tell_health(member).await.map(|()| Submitted::Operation(None))
            }
            Action::Join { member, .. } => cloud.register(member).await,
            Action::Leave { member, .. } => cloud.deregister(&DeregisterInstance::from(member)).await,
        }
    }

    async fn operation(&self, cloud: &C, id: &str) -> Result<OperationStatus, CloudError> {
        cloud.operation(id).await
    }

    async fn list(&self, cloud: &C, owner: &str, service_id: &str) -> Result<Vec<Listed<Endpoint>>, CloudError> {
        let instances = cloud.instances(service_id).await?;
        let listed = instances.into_iter().map(|instance| {
            let marked = instance
                .attributes
                .get(OWNER_ATTRIBUTE)
                .is_some_and(|mark| mark == owner);
            Listed {
                task: instance.attributes.get(TASK_ATTRIBUTE).filter(|_| marked).cloned(),
                draining: false,
                // What a custom health check was told is not listed.
                serves: true,
                member: Endpoint {
                    service_id: service_id.to_owned(),
                    instance_id: instance.id,
                    attributes: instance.attributes,
                    unhealthy: false,
                },
            }
        });
        Ok(listed.collect())
    }
}

/// The function.
#[derive(Debug)]
pub struct Discovery(Endpoints<CloudMap>);

impl Discovery {
    /// A function whose endpoints carry this mark.
    #[must_use]
    pub fn new(owner: &str) -> Self {
        Self(Endpoints::new(CloudMap, owner))
    }

    /// Handles one event. A sweep answers what it found.
    ///
    /// # Errors
    /// When the event cannot be used, or the world could not be made what it should be: to be tried again.
    pub async fn on_event(&self, cloud: &(impl Cloud + Registry), json: &Value) -> Result<Value, Fault> {
        self.0.on_event(cloud, json).await
    }
}

impl Function for Discovery {
    const NAME: &'static str = "discovery";
    const HOSTS: &'static [&'static str] = &["dynamodb", "servicediscovery"];

    async fn handle(&self, aws: &Aws, invocation: Invocation) -> Result<Value, Fault> {
        Box::pin(self.on_event(aws, &invocation.event)).await
    }
}
