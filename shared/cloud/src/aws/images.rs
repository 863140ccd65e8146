//! ECR repositories of this account and Region.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::delivery::{ImageScan, ImageState, Manifest, Platform, Pullable, ScanStatus};
use wharfinger_core::event::time_from_json;
use wharfinger_core::ids::Digest;

use super::Aws;
use crate::error::{CloudError, Kind};
use crate::ports::{Images, TaggedImage};

impl Aws {
    /// A call to ECR; `None` when what it names does not exist.
    async fn ecr(&self, operation: &'static str, body: &Value) -> Result<Option<Value>, CloudError> {
        let target = "AmazonEC2ContainerRegistry_V20150921";
        match self.raw.json("api.ecr", target, operation, body).await {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if e.kind == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Every page of a call to ECR; `None` when what it names does not exist.
    async fn ecr_pages(&self, operation: &'static str, mut body: Value) -> Result<Option<Vec<Value>>, CloudError> {
        let mut pages = Vec::new();
        loop {
            let Some(page) = self.ecr(operation, &body).await? else {
                return Ok(None);
            };
            let token = page.get("nextToken").cloned().unwrap_or(Value::Null);
            pages.push(page);
            if token.is_null() {
                return Ok(Some(pages));
            }
            body["nextToken"] = token;
        }
    }
}

impl Images for Aws {
    async fn tagged_images(&self, repository: &str) -> Result<Option<Vec<TaggedImage>>, CloudError> {
        const OPERATION: &str = "DescribeImages";
        let body = json!({
            "repositoryName": repository,
            "maxResults": 1_000,
            "filter": { "tagStatus": "TAGGED" },
        });
        let pages = self.within(OPERATION, self.ecr_pages(OPERATION, body)).await?;
        Ok(pages.map(|pages| pages.iter().flat_map(details).flat_map(tagged).collect()))
    }

    async fn image(&self, repository: &str, digest: &Digest) -> Result<ImageState, CloudError> {
        const OPERATION: &str = "DescribeImages";
        let body = json!({ "repositoryName": repository, "imageIds": [{ "imageDigest": digest }] });
        let answer = self.within(OPERATION, self.ecr(OPERATION, &body)).await?;
        let Some(image) = answer.as_ref().and_then(|answer| details(answer).first()) else {
            return Ok(ImageState::absent());
        };
        let tags = image["imageTags"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(ImageState {
            pullable: match image["imageStatus"].as_str() {
                // Registries that know of no archive do not say.
                None | Some("ACTIVE") => Pullable::Yes,
                Some(_) => Pullable::Archived,
            },
            tags: tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect(),
        })
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Manifest>, CloudError> {
        const OPERATION: &str = "BatchGetImage";
        let body = json!({ "repositoryName": repository, "imageIds": [{ "imageDigest": digest }] });
        let Some(answer) = self.within(OPERATION, self.ecr(OPERATION, &body)).await? else {
            return Ok(None);
        };
        // What is missing is among the failures, whatever the reason.
        let Some(image) = answer["images"].as_array().and_then(|images| images.first()) else {
            return match answer["failures"][0]["failureCode"].as_str() {
                None | Some("ImageNotFound") => Ok(None),
                Some(code) => {
                    let reason = answer["failures"][0]["failureReason"].as_str().unwrap_or_default();
                    let message = format!("{repository}@{}: {code}: {reason}", digest.short());
                    Err(CloudError::new(OPERATION, Kind::Invalid, message))
                }
            };
        };
        let text = image["imageManifest"].as_str().unwrap_or_default();
        let manifest = serde_json::from_str(text).map_err(|error| {
            let message = format!("the manifest of {repository}@{} is no JSON: {error}", digest.short());
            CloudError::new(OPERATION, Kind::Unreadable, message)
        })?;
        Ok(Some(Manifest::parse(
            image["imageManifestMediaType"].as_str(),
            &manifest,
        )))
    }

    async fn platform(&self, repository: &str, configuration: &Digest) -> Result<Option<Platform>, CloudError> {
        const OPERATION: &str = "GetDownloadUrlForLayer";
        let body = json!({ "repositoryName": repository, "layerDigest": configuration });
        let call = async {
            let Some(answer) = self.ecr(OPERATION, &body).await? else {
                return Ok(None);
            };
            let url = answer["downloadUrl"].as_str();
            let url = url.ok_or_else(|| CloudError::new(OPERATION, Kind::Unreadable, "the answer names no address"))?;
            let configuration = self.raw.signed_address(OPERATION, url).await?;
            Ok(Platform::parse(&configuration))
        };
        self.within(OPERATION, call).await
    }

    async fn image_scan(&self, repository: &str, digest: &Digest) -> Result<ImageScan, CloudError> {
        const OPERATION: &str = "DescribeImageScanFindings";
        let body = json!({
            "repositoryName": repository,
            "imageId": { "imageDigest": digest },
            "maxResults": 1_000,
        });
        match self.within(OPERATION, self.ecr_pages(OPERATION, body)).await {
            Ok(pages) => Ok(ImageScan::of_pages(digest, &pages.unwrap_or_default())),
            // An answer like any other: the image is of a type that cannot be scanned.
            Err(e) if e.code.as_deref() == Some("UnsupportedImageTypeException") => Ok(ImageScan {
                status: Some(ScanStatus::UnsupportedImage),
                description: Some(e.message),
                ..ImageScan::none(digest.clone())
            }),
            Err(e) => Err(e),
        }
    }
}

/// The images of an answer of `DescribeImages`.
fn details(answer: &Value) -> &[Value] {
    answer["imageDetails"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn tagged(image: &Value) -> Vec<TaggedImage> {
    let digest = image
        .get("imageDigest")
        .and_then(Value::as_str)
        .and_then(|d| d.parse().ok());
    let pushed_at: Option<Timestamp> = image.get("imagePushedAt").and_then(time_from_json);
    let (Some(digest), Some(pushed_at)) = (digest, pushed_at) else {
        return Vec::new();
    };
    let tags = image
        .get("imageTags")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    tags.iter()
        .filter_map(Value::as_str)
        .map(|tag| TaggedImage {
            tag: tag.to_owned(),
            digest: Clone::clone(&digest),
            pushed_at,
        })
        .collect()
}

#[cfg(test)]
mod tests;
