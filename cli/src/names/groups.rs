//! Target groups.

use std::collections::BTreeMap;

use anyhow::Context;
use wharfinger_cloud::ports::TargetGroups;
use wharfinger_core::config::conflicts::group_name;
use wharfinger_core::config::{Document, Problem};

use super::{Found, places};
use crate::output::warning;

/// Looks up every `balancing.target-group`. One that is named must be there. Of an ARN only the type is asked, by its name:
/// that of another account is not found so, and needs nothing.
pub(super) async fn look_up(cloud: &impl TargetGroups, document: &Document, found: &mut Found) -> anyhow::Result<()> {
    let places = places(document, |entry| {
        let named = entry.config.balancing.iter().enumerate();
        named
            .map(|(i, balancing)| {
                let path = entry.path.at("balancing").at(i).at("target-group");
                (path, balancing.target_group.clone())
            })
            .collect()
    });
    let (arns, names): (BTreeMap<_, _>, BTreeMap<_, _>) =
        places.into_iter().partition(|(name, _)| name.starts_with("arn:"));
    let asked: Vec<_> = names.keys().cloned().collect();
    if !asked.is_empty() {
        let mut known = cloud
            .target_groups(&asked)
            .await
            .context("the target groups cannot be looked up")?;
        for (name, path) in names {
            if let Some(group) = known.remove(&name) {
                found.names.target_groups.insert(name, group);
            } else {
                let message = format!("Elastic Load Balancing has no target group `{name}` in this account and Region");
                found.problems.push(Problem::error(path, message));
            }
        }
    }
    let asked: Vec<_> = arns
        .keys()
        .filter_map(|arn| group_name(arn))
        .map(str::to_owned)
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    match cloud.target_groups(&asked).await {
        Ok(known) => {
            let same = known.into_values().filter(|group| arns.contains_key(&group.arn));
            found
                .names
                .target_groups
                .extend(same.map(|group| (group.arn.clone(), group)));
        }
        Err(error) => warning(format_args!("the types of the target groups cannot be told: {error}")),
    }
    Ok(())
}
