//! The scans of what a digest stands for.

use futures_util::future::try_join_all;
use wharfinger_core::delivery::ScanReport;
use wharfinger_core::ids::Digest;

use crate::error::CloudError;
use crate::ports::Images;

/// What is known of the scans of a digest: of the image itself, or of each image of an index (ECR scans no index). What is
/// no image, and what the registry does not have, has nothing that could be scanned.
///
/// # Errors
/// When the registry does not answer.
pub async fn scans(cloud: &impl Images, repository: &str, digest: &Digest) -> Result<ScanReport, CloudError> {
    let manifest = cloud.manifest(repository, digest).await?;
    let images = manifest
        .as_ref()
        .map(|manifest| manifest.images(digest))
        .unwrap_or_default();
    let scans = images.into_iter().map(|image| cloud.image_scan(repository, image));
    Ok(ScanReport {
        images: try_join_all(scans).await?,
    })
}
