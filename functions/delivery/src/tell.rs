//! What others are told of a rollout: events on the bus, and the images that are out in parameters of Systems Manager, where
//! Terraform and CDK can read them in place of the image that they deployed last.

use wharfinger_cloud::Fault;
use wharfinger_cloud::ports;
use wharfinger_core::delivery::{Notice, Published};
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;

use crate::Cloud;
use crate::observe::Look;

/// Tells it. When that fails nothing is stored, and it is found and told again.
///
/// # Errors
/// When AWS does not take it.
pub async fn tell(cloud: &impl Cloud, look: &Look, notices: Vec<Notice>, published: &Published) -> Result<(), Fault> {
    for (container, image) in published {
        cloud
            .put_parameter(&parameter(&look.managed.target, container), image)
            .await?;
    }
    if notices.is_empty() {
        return Ok(());
    }
    let service = match &look.facts.service {
        Known::Yes(Some(service)) => vec![service.service_arn.clone()],
        Known::Yes(None) | Known::No => Vec::new(),
    };
    let notices: Vec<_> = notices
        .iter()
        .map(|notice| ports::Notice {
            detail_type: notice.stage.detail_type().to_owned(),
            at: notice.at,
            resources: service.clone(),
            detail: notice.detail(),
        })
        .collect();
    Ok(cloud.put_events(&notices).await?)
}

/// The parameter with the image of a container.
#[must_use]
pub fn parameter(target: &Target, container: &str) -> String {
    format!("/wharfinger/{}/{}/{container}", target.cluster, target.name)
}
