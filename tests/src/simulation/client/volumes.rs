//! The ports for volumes and their snapshots, on the world.

use std::collections::BTreeMap;

use serde_json::Value;
use wharfinger_cloud::error::CloudError;
use wharfinger_cloud::ports::{Removed, ServiceVolumes, Snapped, Snapshots};
use wharfinger_core::ids::Target;
use wharfinger_core::storage::{CreateSnapshot, Snapshot};

use super::Client;

impl Snapshots for Client {
    async fn snapshots_tagged(&self, tag: &str, value: &str) -> Result<Vec<Snapshot>, CloudError> {
        self.caller.snapshots_tagged(tag, value).await
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, CloudError> {
        self.caller.snapshots(ids).await
    }

    async fn create_snapshot(&self, request: &CreateSnapshot) -> Result<Snapped, CloudError> {
        self.caller.create_snapshot(request).await
    }

    async fn delete_snapshot(&self, id: &str) -> Result<Removed, CloudError> {
        self.caller.delete_snapshot(id).await
    }

    async fn shared_with(&self, id: &str) -> Result<Vec<String>, CloudError> {
        self.caller.shared_with(id).await
    }
}

impl ServiceVolumes for Client {
    async fn volume_configurations(&self, service: &Target) -> Result<Option<Value>, CloudError> {
        self.caller.volume_configurations(service).await
    }

    async fn held_snapshots(&self, service: &Target) -> Result<BTreeMap<String, String>, CloudError> {
        self.caller.held_snapshots(service).await
    }
}
