//! What a digest stands for, and the scans of that.

use futures_util::future::try_join_all;
use wharfinger_core::delivery::{Manifest, ScanReport};
use wharfinger_core::ids::Digest;

use crate::error::CloudError;
use crate::ports::Images;

/// What a digest stands for, with the platform of a single image, which its manifest does not say. When that cannot be had,
/// the platform is not known: it only spares a rollout that cannot work.
///
/// # Errors
/// When the manifest cannot be had.
pub async fn manifest(cloud: &impl Images, repository: &str, digest: &Digest) -> Result<Option<Manifest>, CloudError> {
    let manifest = cloud.manifest(repository, digest).await?;
    let Some(Manifest::Image {
        platform: None,
        configuration: Some(configuration),
    }) = manifest
    else {
        return Ok(manifest);
    };
    let platform = match cloud.platform(repository, &configuration).await {
        Ok(platform) => platform,
        Err(error) => {
            let image = format!("{repository}@{}", digest.short());
            tracing::warn!(image, %error, "what the image runs on is not known");
            None
        }
    };
    Ok(Some(Manifest::Image {
        platform,
        configuration: Some(configuration),
    }))
}

/// What is known of the scans of what a digest stands for: of the image itself, or of each image of an index (ECR scans no
/// index). What is no image, and what the registry does not have, has nothing that could be scanned.
///
/// # Errors
/// When the registry does not answer.
pub async fn scans(
    cloud: &impl Images,
    repository: &str,
    digest: &Digest,
    manifest: Option<&Manifest>,
) -> Result<ScanReport, CloudError> {
    let images = manifest.map(|manifest| manifest.images(digest)).unwrap_or_default();
    let scans = images.into_iter().map(|image| cloud.image_scan(repository, image));
    Ok(ScanReport {
        images: try_join_all(scans).await?,
    })
}
