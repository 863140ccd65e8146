//! ECR repositories of this account and Region.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use wharfinger_core::delivery::{ImageScan, ImageState, Manifest, Platform, Pullable, ScanStatus};
use wharfinger_core::ids::Digest;

use super::{ACCOUNT, Caller, REGION, World};
use crate::error::CloudError;
use crate::ports::{Images, TaggedImage};

/// The repositories, each with its tags, and what each digest stands for.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    tags: BTreeMap<String, BTreeMap<String, (Digest, Timestamp)>>,
    kept: BTreeMap<(String, Digest), Kept>,
    /// What images run on, by the digests of their configurations.
    pub configurations: BTreeMap<Digest, Platform>,
}

/// What a repository keeps under a digest.
#[derive(Debug, Clone)]
struct Kept {
    manifest: Manifest,
    pullable: Pullable,
    scan: Option<ImageScan>,
    pushed: Option<Timestamp>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            manifest: Manifest::Image {
                platform: None,
                configuration: None,
            },
            pullable: Pullable::Yes,
            scan: None,
            pushed: None,
        }
    }
}

impl Repositories {
    /// Makes an empty repository.
    pub fn make(&mut self, repository: &str) {
        self.tags.entry(repository.to_owned()).or_default();
    }

    /// The tags of a repository, with what each names and when that was pushed.
    pub fn tags(&self, repository: &str) -> impl Iterator<Item = (&str, &Digest, Timestamp)> {
        let tags = self.tags.get(repository).into_iter().flatten();
        tags.map(|(tag, (digest, at))| (tag.as_str(), digest, *at))
    }

    /// Keeps a manifest under a digest, which is an image for nowhere in particular when it is only pushed. The images of an
    /// index are kept with it.
    pub fn keep(&mut self, repository: &str, digest: &Digest, manifest: Manifest) {
        for image in manifest.images(digest).into_iter().filter(|image| *image != digest) {
            self.kept(repository, image);
        }
        self.kept(repository, digest).manifest = manifest;
    }

    /// Archives an image, brings it back, or deletes it with the tags that name it.
    pub fn set_pullable(&mut self, repository: &str, digest: &Digest, pullable: Pullable) {
        self.kept(repository, digest).pullable = pullable;
        if pullable == Pullable::Absent {
            self.kept.remove(&(repository.to_owned(), digest.clone()));
            let tags = self.tags.entry(repository.to_owned()).or_default();
            tags.retain(|_, (named, _)| named != digest);
        }
    }

    fn kept(&mut self, repository: &str, digest: &Digest) -> &mut Kept {
        self.kept.entry((repository.to_owned(), digest.clone())).or_default()
    }

    fn look(&self, repository: &str, digest: &Digest) -> Option<&Kept> {
        self.kept.get(&(repository.to_owned(), digest.clone()))
    }

    /// What a tag names.
    #[must_use]
    pub fn digest(&self, repository: &str, tag: &str) -> Option<&Digest> {
        self.tags.get(repository)?.get(tag).map(|(digest, _)| digest)
    }
}

/// The registry of this world.
#[must_use]
pub fn registry() -> String {
    format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
}

impl World {
    /// Pushes an image under a tag, and tells it. An image that is there already keeps the time at which it was pushed
    /// first (ECR API reference, `ImageDetail`): only the tag moves.
    pub fn push(&mut self, repository: &str, tag: &str, digest: &Digest) {
        let now = self.now;
        let pushed = *self.repositories.kept(repository, digest).pushed.get_or_insert(now);
        let tags = self.repositories.tags.entry(repository.to_owned()).or_default();
        tags.insert(tag.to_owned(), (digest.clone(), pushed));
        let detail = json!({
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest.as_str(),
            "action-type": "PUSH",
            "image-tag": tag,
        });
        self.emit("aws.ecr", "ECR Image Action", None, &detail);
    }

    /// A basic scan of an image moves on; its end is told.
    pub fn scanned(&mut self, repository: &str, scan: ImageScan) {
        let (digest, status) = (scan.digest.clone(), scan.status.clone());
        self.repositories.kept(repository, &digest).scan = Some(scan);
        if status == Some(ScanStatus::Complete) {
            let detail = json!({
                "scan-status": status,
                "repository-name": repository,
                "image-digest": digest.as_str(),
                "image-tags": [],
            });
            self.emit("aws.ecr", "ECR Image Scan", None, &detail);
        }
    }
}

impl Images for Caller {
    async fn tagged_images(&self, repository: &str) -> Result<Option<Vec<TaggedImage>>, CloudError> {
        let describe = |world: &World| {
            let image = |(tag, (digest, pushed_at)): (&String, &(Digest, Timestamp))| TaggedImage {
                tag: tag.clone(),
                digest: digest.clone(),
                pushed_at: *pushed_at,
            };
            Ok(world
                .repositories
                .tags
                .get(repository)
                .map(|tags| tags.iter().map(image).collect()))
        };
        let brief = |found: &Option<Vec<TaggedImage>>| match found {
            Some(images) => format!("{} tag(s)", images.len()),
            None => "no such repository".to_owned(),
        };
        self.read("DescribeImages", || repository.to_owned(), describe, brief)
            .await
    }

    async fn image(&self, repository: &str, digest: &Digest) -> Result<ImageState, CloudError> {
        let describe = |world: &World| {
            let Some(kept) = world.repositories.look(repository, digest) else {
                return Ok(ImageState::absent());
            };
            let tags = world
                .repositories
                .tags(repository)
                .filter(|(_, named, _)| *named == digest);
            Ok(ImageState {
                pullable: kept.pullable,
                tags: tags.map(|(tag, _, _)| tag.to_owned()).collect(),
            })
        };
        let brief = |found: &ImageState| format!("{:?}", found.pullable);
        self.read("DescribeImages", || named(repository, digest), describe, brief)
            .await
    }

    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Manifest>, CloudError> {
        let get = |world: &World| {
            let kept = world.repositories.look(repository, digest);
            Ok(kept.map(|kept| kept.manifest.clone()))
        };
        let brief = |found: &Option<Manifest>| match found {
            Some(Manifest::Image { .. }) => "an image".to_owned(),
            Some(Manifest::Index(children)) => format!("{} image(s)", children.len()),
            Some(Manifest::Other(media_type)) => media_type.clone(),
            None => "no such image".to_owned(),
        };
        self.read("BatchGetImage", || named(repository, digest), get, brief)
            .await
    }

    async fn platform(&self, repository: &str, configuration: &Digest) -> Result<Option<Platform>, CloudError> {
        let get = |world: &World| Ok(world.repositories.configurations.get(configuration).cloned());
        let brief = |found: &Option<Platform>| match found {
            Some(platform) => platform.to_string(),
            None => "no such configuration".to_owned(),
        };
        self.read(
            "GetDownloadUrlForLayer",
            || named(repository, configuration),
            get,
            brief,
        )
        .await
    }

    async fn image_scan(&self, repository: &str, digest: &Digest) -> Result<ImageScan, CloudError> {
        let describe = |world: &World| {
            let scan = world
                .repositories
                .look(repository, digest)
                .and_then(|kept| kept.scan.clone());
            Ok(scan.unwrap_or_else(|| ImageScan::none(digest.clone())))
        };
        let brief = |found: &ImageScan| match &found.status {
            Some(status) => status.to_string(),
            None => "no scan".to_owned(),
        };
        self.read(
            "DescribeImageScanFindings",
            || named(repository, digest),
            describe,
            brief,
        )
        .await
    }
}

fn named(repository: &str, digest: &Digest) -> String {
    format!("{repository}@{}", digest.short())
}

#[cfg(test)]
mod tests;
