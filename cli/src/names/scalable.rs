//! Services whose count Application Auto Scaling moves.

use wharfinger_cloud::ports::Scalable;
use wharfinger_core::config::Document;
use wharfinger_core::config::conflicts::scaled_elsewhere;
use wharfinger_core::ids::Target;

use super::Found;
use crate::output::warning;

/// Asks of every service with `scaling`. That it cannot be told stops nobody: the function leaves such a service alone.
pub(super) async fn look_up(cloud: &impl Scalable, document: &Document, found: &mut Found) {
    let services = document.entries().filter(|entry| entry.config.scaling.is_some());
    let services: Vec<_> = services
        .filter_map(|entry| Target::parse(entry.kind, &entry.name).ok())
        .collect();
    if services.is_empty() {
        return;
    }
    match cloud.scalable_targets(&services).await {
        Ok(scalable) => found.problems.extend(scaled_elsewhere(document, &scalable)),
        Err(error) => warning(format_args!(
            "whether Application Auto Scaling moves a count too cannot be told: {error}"
        )),
    }
}
