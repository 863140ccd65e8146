//! Twins of services on Spot: each has its own, whose count nothing else sets.

use super::Found;
use crate::config::{Document, Entry, Fallback, Path};
use crate::ids::{Target, TargetKind};

/// `name` is what stands at `path` as the twin of `entry`.
pub(super) fn check(path: &Path, document: &Document, entry: &Entry, name: &str, found: &mut Found) {
    let twin = match Target::parse(TargetKind::Service, name) {
        Ok(twin) => twin,
        Err(error) => return found.error(path.clone(), error.to_string()),
    };
    if *name == entry.name {
        let message = "is the service itself: name another, which does not use Spot";
        return found.error(path.clone(), message);
    }
    if document.services.get(name).is_some_and(|twin| twin.scaling.is_some()) {
        let message =
            format!("{name} has `scaling`, which sets its count as well: take that out, or name another service");
        found.error(path.clone(), message);
    }
    // The first to name it is told by the others.
    let mut before = document.services.keys().take_while(|other| **other != entry.name);
    if let Some(other) = before.find(|other| twin_of(document, other) == Some(name)) {
        let message = format!(
            "is the twin of {other} already, and would get the count of the one or the other: make one of its own"
        );
        found.error(path.clone(), message);
    }
    if leads_back(document, &entry.name) {
        let message = "leads back to this service: let the last of them be one that does not use Spot, without a twin";
        found.error(path.clone(), message);
    }
    let cluster = entry.name.split('/').next().unwrap_or_default();
    if twin.cluster != cluster {
        let message = format!(
            "is in another cluster: it needs room there, and `dry-run` and pauses of {} do not count for it",
            twin.cluster
        );
        found.warning(path.clone(), message);
    }
}

fn twin_of<'d>(document: &'d Document, service: &str) -> Option<&'d str> {
    match &document.services.get(service)?.capacity.as_ref()?.spot.fallback {
        Fallback::Twin(twin) => Some(twin),
        Fallback::Strategy(_) => None,
    }
}

/// Whether the twin's twin, and so on, is the service itself. A circle beside it is told of where it is.
fn leads_back(document: &Document, service: &str) -> bool {
    let mut next = twin_of(document, service);
    for _ in 0..document.services.len() {
        match next {
            Some(twin) if twin == service => return true,
            Some(twin) => next = twin_of(document, twin),
            None => return false,
        }
    }
    false
}
