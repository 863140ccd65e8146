//! What scaling looks at besides alarms: queues, and what Application Auto Scaling moves.

use std::collections::BTreeSet;

use wharfinger_core::ids::Target;

use super::{Caller, World};
use crate::error::CloudError;
use crate::ports::{QueueDepth, Queues, Scalable};

impl World {
    /// Makes a queue, or gives it another number of messages.
    pub fn set_queue(&mut self, name: &str, visible: u64, in_flight: u64) {
        self.queues.insert(name.to_owned(), QueueDepth { visible, in_flight });
    }

    /// Has Application Auto Scaling move a service.
    pub fn make_scalable(&mut self, service: &Target) {
        self.scalable.insert(service.clone());
    }
}

impl Queues for Caller {
    async fn queue_depth(&self, name: &str) -> Result<Option<QueueDepth>, CloudError> {
        let depth = |world: &World| Ok(world.queues.get(name).copied());
        let brief = |found: &Option<QueueDepth>| format!("{found:?}");
        self.read("GetQueueAttributes", || name.to_owned(), depth, brief).await
    }
}

impl Scalable for Caller {
    async fn scalable_targets(&self, services: &[Target]) -> Result<BTreeSet<Target>, CloudError> {
        let find = |world: &World| {
            Ok(services
                .iter()
                .filter(|s| world.scalable.contains(s))
                .cloned()
                .collect())
        };
        let argument = || services.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let brief = |found: &BTreeSet<Target>| format!("{} of them", found.len());
        self.read("DescribeScalableTargets", argument, find, brief).await
    }
}
