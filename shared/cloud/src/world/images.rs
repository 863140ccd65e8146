//! ECR repositories of this account and Region.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use wharfinger_core::ids::Digest;

use super::{ACCOUNT, Caller, REGION, World};
use crate::error::CloudError;
use crate::ports::{Images, TaggedImage};

/// The repositories, each with its tags.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    tags: BTreeMap<String, BTreeMap<String, (Digest, Timestamp)>>,
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
    /// Pushes an image under a tag, and tells it.
    pub fn push(&mut self, repository: &str, tag: &str, digest: &Digest) {
        let tags = self.repositories.tags.entry(repository.to_owned()).or_default();
        tags.insert(tag.to_owned(), (digest.clone(), self.now));
        let detail = json!({
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest.as_str(),
            "action-type": "PUSH",
            "image-tag": tag,
        });
        self.emit("aws.ecr", "ECR Image Action", None, &detail);
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
}
