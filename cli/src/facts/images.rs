//! What the registry says of images: whether they are there, what they stand for, and what their scans found.

use anyhow::Context;
use serde_json::Value;
use wharfinger_core::delivery::{ImageFacts, ImageScan, ImageState, Manifest, Pullable, ScanReport};
use wharfinger_core::ids::Digest;

use super::Answers;

impl Answers {
    /// An image of `DescribeImages`, or one that is among the failures of `BatchGetImage`; `None` when no answer tells of it.
    pub(crate) fn image(&self, repository: &str, digest: &Digest) -> anyhow::Result<Option<ImageFacts>> {
        let mut listed = self.elements("DescribeImages", "imageDetails").filter(|image| {
            image.text("repositoryName") == Some(repository) && image.text("imageDigest") == Some(digest.as_str())
        });
        let state = match listed.next() {
            Some(image) => {
                let tags = image.value["imageTags"]
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                ImageState {
                    // Registries that know of no archive do not say.
                    pullable: match image.text("imageStatus") {
                        None | Some("ACTIVE") => Pullable::Yes,
                        Some(_) => Pullable::Archived,
                    },
                    tags: tags.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                }
            }
            None if self.is_absent(digest) => ImageState::absent(),
            None => return Ok(None),
        };
        let manifest = self.manifest(repository, digest)?;
        Ok(Some(ImageFacts { state, manifest }))
    }

    fn is_absent(&self, digest: &Digest) -> bool {
        self.elements("BatchGetImage", "failures").any(|failure| {
            failure.value["imageId"]["imageDigest"] == digest.as_str()
                && failure.text("failureCode") == Some("ImageNotFound")
        })
    }

    /// Whether any answer tells of pushes.
    pub(crate) fn knows_pushes(&self) -> bool {
        self.has("DescribeImages")
    }

    /// Whether any answer tells what digests stand for.
    pub(crate) fn knows_manifests(&self) -> bool {
        self.has("BatchGetImage")
    }

    /// What `BatchGetImage` says that a digest stands for; `None` when no answer tells of it.
    fn manifest(&self, repository: &str, digest: &Digest) -> anyhow::Result<Option<Manifest>> {
        let mut images = self.elements("BatchGetImage", "images").filter(|image| {
            image.text("repositoryName") == Some(repository) && image.value["imageId"]["imageDigest"] == digest.as_str()
        });
        let Some(image) = images.next() else { return Ok(None) };
        let text = image.text("imageManifest").unwrap_or_default();
        let manifest = serde_json::from_str(text)
            .context("`imageManifest` is no JSON")
            .map_err(|error| self.unusable(&image, format!("{error:#}")))?;
        Ok(Some(Manifest::parse(image.text("imageManifestMediaType"), &manifest)))
    }

    /// The scans of what a digest stands for: of the image itself, or of each image of an index. An image of which no answer
    /// of `DescribeImageScanFindings` tells leaves all of it unknown. Without a manifest it counts as an image.
    pub(crate) fn scans(&self, repository: &str, digest: &Digest) -> anyhow::Result<Option<ScanReport>> {
        let manifest = self.manifest(repository, digest)?;
        let images = manifest
            .as_ref()
            .map_or_else(|| vec![digest], |manifest| manifest.images(digest));
        let scans = images.into_iter().map(|image| self.scan_of(repository, image));
        Ok(scans.collect::<Option<_>>().map(|images| ScanReport { images }))
    }

    fn scan_of(&self, repository: &str, digest: &Digest) -> Option<ImageScan> {
        let is_of =
            |page: &&Value| page["repositoryName"] == repository && page["imageId"]["imageDigest"] == digest.as_str();
        let pages = self.by_operation.get("DescribeImageScanFindings")?;
        let pages: Vec<_> = pages.iter().filter(is_of).cloned().collect();
        (!pages.is_empty()).then(|| ImageScan::of_pages(digest, &pages))
    }
}
