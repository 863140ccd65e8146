//! Access points of EFS: which there are, and the call that makes one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use wharfinger_cloud::ports::Opened;
use wharfinger_cloud::telemetry;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::storage::{self, AccessPoint, CreateAccessPoint, keyed};

use crate::observe::Look;
use crate::{Cloud, NAME};

/// How many file systems are asked about at the same time.
const AT_ONCE: usize = 4;

/// The access points of file systems, by `fs-…`; `None` of one that does not exist. Absent is what is not known.
pub type FileSystems = BTreeMap<String, Option<Vec<AccessPoint>>>;

/// The file systems that services name.
pub fn named(services: &[Managed]) -> BTreeSet<String> {
    let rules = services.iter().flat_map(|managed| &managed.stored.config.storage);
    let points = rules.filter_map(|rule| rule.access_point.as_ref());
    points.map(|point| point.file_system.clone()).collect()
}

/// What of all file systems a service names.
pub fn of(managed: &Managed, all: &FileSystems) -> FileSystems {
    let names = named(std::slice::from_ref(managed));
    let known = names.into_iter().filter_map(|name| all.get_key_value(&name));
    known.map(|(name, points)| (name.clone(), points.clone())).collect()
}

/// Lists the access points of file systems. Of one about which EFS does not answer nothing is known: that is reported, and
/// hinders nothing else.
pub async fn list(cloud: &impl Cloud, file_systems: &BTreeSet<String>) -> FileSystems {
    let listing = file_systems.iter().map(async |name| {
        let listed = cloud.access_points(name).await;
        (name.clone(), listed)
    });
    let listed: Vec<_> = stream::iter(listing).buffered(AT_ONCE).collect().await;
    let known = listed.into_iter().filter_map(|(name, listed)| match listed {
        Ok(points) => Some((name, points)),
        Err(error) => {
            telemetry::error(NAME, cloud.now(), &format!("{name}: {error}"));
            None
        }
    });
    known.collect()
}

/// Makes one; when EFS does not, what is known then: that hinders nothing else.
pub async fn create(cloud: &impl Cloud, look: &Look, request: &CreateAccessPoint) -> Option<Look> {
    let words = match cloud.create_access_point(request).await {
        Ok(Opened::Made(_)) => return None,
        Ok(Opened::Exists) => "one was made with the same token, and is not shown as it is configured".to_owned(),
        Ok(Opened::Refused(words)) => words,
        Err(error) => {
            telemetry::error(NAME, cloud.now(), &format!("{}: {error}", request.target));
            error.to_string()
        }
    };
    let mut look = look.clone();
    look.facts.refused.insert(request.volume.clone(), words);
    Some(look)
}

/// The access points of ours that no service wants.
pub fn unused<'a>(file_systems: &'a FileSystems, services: &[Managed], owner: &str) -> Vec<&'a AccessPoint> {
    let wanted = services
        .iter()
        .flat_map(|managed| keyed(&managed.target, &managed.stored.config.storage));
    let wanted: Vec<_> = wanted.collect();
    let points = file_systems.values().flatten().flatten();
    points
        .filter(|point| storage::is_unused(point, owner, &wanted))
        .collect()
}

/// Says which there are.
pub fn tell_unused(unused: &[&AccessPoint]) {
    for point in unused {
        let (id, key) = (&point.id, point.key().unwrap_or("?"));
        tracing::warn!(
            id,
            of = key,
            file_system = point.file_system,
            path = point.path,
            "an access point that nothing is configured for: nothing removes it, and its data stays"
        );
    }
}
