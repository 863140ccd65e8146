//! What sets services in motion: alarms, queues and repositories. They may be made later, so that one is missing only
//! surprises; and that it cannot be told stops nobody.

use std::collections::BTreeMap;

use wharfinger_cloud::CloudError;
use wharfinger_cloud::ports::{Alarms, Queues, Repositories};
use wharfinger_core::config::{Document, Entry, Path, Problem, Rule};
use wharfinger_core::delivery::{Registry, Repository};

use super::places;
use crate::output::warning;

/// Looks up every alarm and queue that a rule names, and every repository of this account and Region.
pub(super) async fn look_up(cloud: &(impl Alarms + Queues + Repositories), document: &Document) -> Vec<Problem> {
    let mut found = alarms(cloud, places(document, alarms_of)).await;
    for (name, path) in places(document, queues_of) {
        let there = cloud.queue_depth(&name).await.map(|depth| depth.is_some());
        found.extend(missing(path, there, || format!("SQS has no queue `{name}`")));
    }
    for (name, path) in places(document, repositories_of) {
        let there = cloud.has_repository(&name).await;
        found.extend(missing(path, there, || format!("ECR has no repository `{name}`")));
    }
    found
}

async fn alarms(cloud: &impl Alarms, places: BTreeMap<String, Path>) -> Vec<Problem> {
    let names: Vec<_> = places.keys().cloned().collect();
    if names.is_empty() {
        return Vec::new();
    }
    let known: Vec<_> = match cloud.describe_alarms(&names).await {
        Ok(known) => known.into_iter().map(|alarm| alarm.alarm_name).collect(),
        Err(error) => {
            warning(format_args!("whether the alarms are there cannot be told: {error}"));
            return Vec::new();
        }
    };
    let absent = places.into_iter().filter(|(name, _)| !known.contains(name));
    absent
        .filter_map(|(name, path)| missing(path, Ok(false), || format!("CloudWatch has no alarm `{name}`")))
        .collect()
}

fn missing(path: Path, there: Result<bool, CloudError>, what: impl FnOnce() -> String) -> Option<Problem> {
    match there {
        Ok(true) => None,
        Ok(false) => {
            let message = format!(
                "{} in this account and Region: until there is one, this does nothing",
                what()
            );
            Some(Problem::warning(path, message))
        }
        Err(error) => {
            warning(format_args!(
                "whether what {path} names is there cannot be told: {error}"
            ));
            None
        }
    }
}

fn alarms_of(entry: &Entry) -> Vec<(Path, String)> {
    rules(entry, |rule| match rule {
        Rule::Alarm(rule) => Some(("alarm", rule.alarm.clone())),
        Rule::Queue(_) => None,
    })
}

fn queues_of(entry: &Entry) -> Vec<(Path, String)> {
    rules(entry, |rule| match rule {
        Rule::Alarm(_) => None,
        Rule::Queue(rule) => Some(("queue", rule.queue.clone())),
    })
}

fn rules(entry: &Entry, name: impl Fn(&Rule) -> Option<(&'static str, String)>) -> Vec<(Path, String)> {
    let rules = entry.config.scaling.iter().flat_map(|scaling| &scaling.rules);
    let named = rules.enumerate().filter_map(|(i, rule)| {
        let (key, name) = name(rule)?;
        Some((entry.path.at("scaling").at("rules").at(i).at(key), name))
    });
    named.collect()
}

/// Those that no host names: others are of another account or Region, which nobody here may ask.
fn repositories_of(entry: &Entry) -> Vec<(Path, String)> {
    let own = |name: &str| match Repository::configured(name, "", "").ok()?.registry {
        Registry::Ecr { account, .. } if account.is_empty() => Some(name.to_owned()),
        Registry::Ecr { .. } | Registry::Host(_) => None,
    };
    let rules = entry.config.delivery.iter().enumerate();
    let named = rules.filter_map(|(i, rule)| {
        let name = own(&rule.repository)?;
        Some((entry.path.at("delivery").at(i).at("repository"), name))
    });
    named.collect()
}
