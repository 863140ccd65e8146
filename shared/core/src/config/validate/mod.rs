//! What the types cannot say: values that contradict each other, names that AWS would refuse, patterns that do not compile.
//!
//! Every problem of a document is found in one go; none hides another.

mod access_points;
mod capacity;
mod delivery;
mod discovery;
mod drain;
mod scaling;
mod stateful;
mod storage;
#[cfg(test)]
mod tests;
mod twins;

use super::stored::{MAX_PARTITIONS, StoredTarget};
use super::{Balancing, Document, Entry, Path, Problem, VERSION, out_of_range, whole_range};
use crate::cron::{Cron, CronError};
use crate::ids::{Target, TargetKind};

/// The longest name of a target group (ELBv2 API reference, `CreateTargetGroup`).
const TARGET_GROUP_NAME: usize = 32;

/// The problems found so far.
#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn error(&mut self, path: Path, message: impl Into<String>) {
        self.0.push(Problem::error(path, message));
    }

    fn warning(&mut self, path: Path, message: impl Into<String>) {
        self.0.push(Problem::warning(path, message));
    }

    /// A name that is empty, or longer than AWS takes.
    fn name(&mut self, path: Path, what: &str, name: &str, longest: usize) {
        if name.is_empty() {
            self.error(path, format!("{what} is empty"));
        } else if name.len() > longest {
            self.error(
                path,
                format!("{what} has {} characters; AWS takes {longest}", name.len()),
            );
        }
    }

    /// The container and the port of an entry, which discovery and balancing share.
    fn container_port(&mut self, path: &Path, container: Option<&str>, port: Option<u16>) {
        if let Some(container) = container {
            self.name(path.at("container"), "the container's name", container, 255);
        }
        if let Some(port) = port {
            self.whole(path, "port", port.into());
        }
    }

    /// A pattern of times, and the zone that it is of.
    fn cron(&mut self, path: &Path, pattern: &str, zone: Option<&str>) {
        for error in Cron::faults(pattern, zone) {
            let key = match error {
                CronError::TimeZone(_) => "timezone",
                CronError::Fields { .. } | CronError::Field { .. } | CronError::Never(_) => "cron",
            };
            self.error(path.at(key), error.to_string());
        }
    }

    /// A whole number that is out of its range.
    fn whole(&mut self, path: &Path, key: &str, number: u32) {
        if let Some(range) = whole_range(key).filter(|range| !range.contains(&number)) {
            let range = format!("{} to {}", range.start(), range.end());
            self.error(path.at(key), out_of_range(key, number, range));
        }
    }
}

/// Everything that is wrong with a document.
pub fn validate(document: &Document) -> Vec<Problem> {
    let mut found = Found::default();
    if document.version != VERSION {
        let message = format!("this program reads version {VERSION}, not {}", document.version);
        found.error(Path::root().at("version"), message);
    }
    for entry in document.entries() {
        of_entry(document, &entry, &mut found);
    }
    discovery::creations(document, &mut found);
    access_points::tenants(document, &mut found);
    for name in document.clusters.keys() {
        if let Err(error) = Target::parse(TargetKind::Cluster, name) {
            found.error(Path::root().at("clusters").at(name), error.to_string());
        }
    }
    capacity::check_clusters(document, &mut found);
    storage::check_clusters(document, &mut found);
    found.0
}

fn of_entry(document: &Document, entry: &Entry, found: &mut Found) {
    let Entry {
        kind,
        name,
        path,
        config,
    } = entry;
    if let Err(error) = Target::parse(*kind, name) {
        found.error(path.clone(), error.to_string());
    }
    discovery::check(path, &config.discovery, found);
    for (i, balancing) in config.balancing.iter().enumerate() {
        of_balancing(&path.at("balancing").at(i), balancing, found);
    }
    if let Some(drain) = &config.drain {
        drain::check(&path.at("drain"), drain, found);
    }
    if let Some(scaling) = &config.scaling {
        scaling::check(&path.at("scaling"), scaling, found);
    }
    delivery::check(document, entry, found);
    storage::check(path, config, found);
    stateful::check(entry, found);
    if let Some(capacity) = &config.capacity {
        capacity::check_service(document, entry, capacity, found);
    }
    let partitions = StoredTarget::new(config.clone()).partitions().len();
    if partitions > MAX_PARTITIONS {
        let message = format!(
            "names {} different alarms and repositories; {} fit into the one transaction in which a target is stored",
            partitions - 1,
            MAX_PARTITIONS - 1
        );
        found.error(path.clone(), message);
    }
}

fn of_balancing(path: &Path, entry: &Balancing, found: &mut Found) {
    let group = &entry.target_group;
    if !group.starts_with("arn:") {
        found.name(
            path.at("target-group"),
            "the target group's name",
            group,
            TARGET_GROUP_NAME,
        );
    }
    found.container_port(path, entry.container.as_deref(), entry.port);
}
