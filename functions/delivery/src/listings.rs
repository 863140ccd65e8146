//! What the repositories of our registry hold, each asked for once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use wharfinger_cloud::Fault;
use wharfinger_cloud::ports::{Images, TaggedImage};
use wharfinger_core::delivery::Wish;

/// The tagged images of a repository; `None` when it does not exist.
type Listing = Option<Arc<[Wish]>>;

/// What was listed within one invocation.
#[derive(Debug, Default)]
pub struct Listings(Mutex<BTreeMap<String, Listing>>);

impl Listings {
    /// What a repository holds, by its path. Who asks while another does waits for that answer.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn of(&self, cloud: &impl Images, repository: &str) -> Result<Listing, Fault> {
        let mut known = self.0.lock().await;
        if let Some(listing) = known.get(repository) {
            return Ok(listing.clone());
        }
        let images = cloud.tagged_images(repository).await?;
        let wish = |image: TaggedImage| Wish {
            repository: repository.to_owned(),
            tag: image.tag,
            digest: image.digest,
            pushed_at: image.pushed_at,
        };
        let listing: Listing = images.map(|images| images.into_iter().map(wish).collect());
        known.insert(repository.to_owned(), listing.clone());
        Ok(listing)
    }
}
