//! AWS Cloud Map.

use std::collections::BTreeMap;

use aws_sdk_servicediscovery::operation::deregister_instance::DeregisterInstanceError;
use aws_sdk_servicediscovery::operation::get_operation::GetOperationError;
use aws_sdk_servicediscovery::operation::register_instance::RegisterInstanceError;
use aws_sdk_servicediscovery::types::{CustomHealthStatus, OperationStatus as Sdk};
use wharfinger_core::discovery::{DeregisterInstance, Endpoint};

use super::{Aws, sdk};
use crate::error::CloudError;
use crate::ports::{Instance, OperationStatus, Registry, Submitted};

impl Registry for Aws {
    async fn register(&self, endpoint: &Endpoint) -> Result<Submitted, CloudError> {
        let call = async {
            let sent = self
                .servicediscovery
                .register_instance()
                .service_id(&endpoint.service_id)
                .instance_id(&endpoint.instance_id)
                .set_attributes(Some(endpoint.attributes.clone().into_iter().collect()))
                .send()
                .await;
            match sent {
                Ok(answer) => Ok(Submitted::Operation(answer.operation_id)),
                Err(error) => match error.as_service_error() {
                    Some(RegisterInstanceError::DuplicateRequest(busy)) => {
                        Ok(Submitted::Busy(busy.duplicate_operation_id.clone()))
                    }
                    _ => Err(sdk::error("RegisterInstance", &error)),
                },
            }
        };
        self.within("RegisterInstance", call).await
    }

    async fn deregister(&self, request: &DeregisterInstance) -> Result<Submitted, CloudError> {
        let call = async {
            let sent = self
                .servicediscovery
                .deregister_instance()
                .service_id(&request.service_id)
                .instance_id(&request.instance_id)
                .send()
                .await;
            match sent {
                Ok(answer) => Ok(Submitted::Operation(answer.operation_id)),
                Err(error) => match error.as_service_error() {
                    Some(DeregisterInstanceError::DuplicateRequest(busy)) => {
                        Ok(Submitted::Busy(busy.duplicate_operation_id.clone()))
                    }
                    Some(
                        DeregisterInstanceError::InstanceNotFound(_) | DeregisterInstanceError::ServiceNotFound(_),
                    ) => Ok(Submitted::Absent),
                    _ => Err(sdk::error("DeregisterInstance", &error)),
                },
            }
        };
        self.within("DeregisterInstance", call).await
    }

    async fn tell_health(&self, endpoint: &Endpoint) -> Result<(), CloudError> {
        let request = self
            .servicediscovery
            .update_instance_custom_health_status()
            .service_id(&endpoint.service_id)
            .instance_id(&endpoint.instance_id)
            .status(CustomHealthStatus::from(endpoint.status()));
        let call = async {
            let sent = request.send().await;
            sent.map_err(|e| sdk::error("UpdateInstanceCustomHealthStatus", &e))
        };
        self.within("UpdateInstanceCustomHealthStatus", call).await.map(drop)
    }

    async fn operation(&self, id: &str) -> Result<OperationStatus, CloudError> {
        let call = async {
            let sent = self.servicediscovery.get_operation().operation_id(id).send().await;
            match sent {
                Ok(answer) => Ok(answer.operation.map_or(OperationStatus::Done, |o| match o.status {
                    Some(Sdk::Submitted | Sdk::Pending) => OperationStatus::Running,
                    Some(Sdk::Fail) => OperationStatus::Failed(o.error_message.unwrap_or_default()),
                    _ => OperationStatus::Done,
                })),
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(GetOperationError::is_operation_not_found) =>
                {
                    Ok(OperationStatus::Done)
                }
                Err(error) => Err(sdk::error("GetOperation", &error)),
            }
        };
        self.within("GetOperation", call).await
    }

    async fn instances(&self, service_id: &str) -> Result<Vec<Instance>, CloudError> {
        let call = async {
            let mut pages = self
                .servicediscovery
                .list_instances()
                .service_id(service_id)
                .max_results(100)
                .into_paginator()
                .send();
            let mut instances = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| sdk::error("ListInstances", &e))?;
                instances.extend(page.instances.unwrap_or_default().into_iter().filter_map(|i| {
                    let attributes: BTreeMap<_, _> = i.attributes.unwrap_or_default().into_iter().collect();
                    Some(Instance { id: i.id?, attributes })
                }));
            }
            Ok(instances)
        };
        self.within("ListInstances", call).await
    }
}
