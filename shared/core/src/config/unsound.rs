//! Wishes for storage that cannot be kept, and why: so that they are refused with an explanation, and not as a word that
//! nobody knows.

use super::{Path, Segment};

/// Why a key or a value of a service's `storage` is refused; `None` when it is not among those that people wish for.
///
/// `path` leads to the key, or to the value's key.
#[must_use]
pub fn unsound(path: &Path, word: &str) -> Option<&'static str> {
    let [
        Segment::Key(top),
        _,
        Segment::Key(section),
        Segment::Index(_),
        rest @ ..,
    ] = path.segments()
    else {
        return None;
    };
    if (top.as_str(), section.as_str()) != ("services", "storage") {
        return None;
    }
    let keys: Vec<_> = rest
        .iter()
        .filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
        .collect();
    match (keys.as_slice(), word) {
        (["restore"], "latest" | "live" | "previous") => Some(LATEST),
        (["restore"], word) if word.starts_with("snap-") => Some(PINNED),
        (["snapshot", "on"] | ["on"], _) => Some(ON),
        (["snapshot", "on-stop" | "before-stop"] | ["on-stop"], _) => Some(ON_STOP),
        (["volume-id" | "volumeId" | "attach" | "reattach" | "reuse"], _) => Some(ATTACH),
        (["snapshot-id" | "snapshotId"] | ["snapshot", "snapshot-id" | "snapshotId"], _) => Some(PINNED),
        (["every" | "keep"], _) => Some(OUTSIDE),
        (["snapshot", "keep", "yearly"], _) => Some(YEARLY),
        _ => None,
    }
}

const LATEST: &str = "a rolling deployment starts the new task before the old one stops, so it cannot start from the latest \
     data, only from the newest snapshot: write `restore: newest`";
const ON: &str = "a snapshot is made by the clock, and not when a task starts or stops: at its start its volume is new, and at \
     its end it still writes, until ECS deletes the volume. Write `every`, as short as the data that may be lost";
const OUTSIDE: &str = "it belongs into `snapshot`: write `snapshot: { every: 6h, keep: { last: 8 } }`";
const YEARLY: &str = "the longest line is `monthly`: write `monthly: 12` for a year, `monthly: 36` for three";
const ON_STOP: &str = "no snapshot is made when a task stops: at STOPPING it still writes, and ECS deletes the volume before \
     anything could be sure of it. Write `every`, as short as the data that may be lost";
const ATTACH: &str = "ECS attaches a new volume to each task, never an existing one, and deletes a service's with its task: \
     what can be kept are snapshots. Write `snapshot` and `restore: newest`";
const PINNED: &str = "a snapshot that stands here would be restored by every rollout from now on: leave it to the service's \
     own volume configuration, or write `restore: newest`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wish_for_is_explained() {
        let entry = Path::root().at("services").at("prod/db").at("storage").at(0);
        let check = |keys: &[&str], word: &str, expected| {
            let path = keys.iter().fold(entry.clone(), |path, key| path.at(*key));
            assert_eq!(unsound(&path, word), expected, "{path} {word}");
        };
        check(&["restore"], "latest", Some(LATEST));
        check(&["restore"], "newset", None);
        check(&["restore"], "snap-0123", Some(PINNED));
        check(&["snapshot", "on"], "on", Some(ON));
        check(&["snapshot", "on-stop"], "on-stop", Some(ON_STOP));
        check(&["volume-id"], "volume-id", Some(ATTACH));
        check(&["attach"], "attach", Some(ATTACH));
        check(&["volumeId"], "volumeId", Some(ATTACH));
        check(&["snapshot-id"], "snapshot-id", Some(PINNED));
        check(&["snapshot", "snapshot-id"], "snapshot-id", Some(PINNED));
        check(&["every"], "every", Some(OUTSIDE));
        check(&["keep"], "keep", Some(OUTSIDE));
        check(&["snapshot", "keep", "yearly"], "yearly", Some(YEARLY));
        check(&["snapshot", "evry"], "evry", None);
        let elsewhere = Path::root().at("services").at("prod/db").at("scaling").at("attach");
        assert_eq!(unsound(&elsewhere, "attach"), None);
    }
}
