//! `EBS Snapshot Notification`: a snapshot is made or copied, or came to nothing.
//!
//! A hint that a lineage is worth a look, no more: how far a snapshot is, EC2 is asked. The ARNs are malformed in two ways
//! in AWS's own samples (EBS user guide, "Amazon EventBridge events for Amazon EBS"), so only their last part is read.

use serde_json::Value;

use super::{Aside, Envelope, Rejected, text};
use crate::report::{Code, Reason};

const KIND: &str = "EBS Snapshot Notification";

/// What was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotWork {
    /// A snapshot of a volume.
    Create,
    /// A copy of a snapshot, in the Region of the event.
    Copy,
}

/// A snapshot is completed, or came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEvent {
    /// What was to be done.
    pub work: SnapshotWork,
    /// `snap-…`.
    pub snapshot_id: String,
    /// What it was made of: `vol-…`, of a copy `snap-…`.
    pub source_id: Option<String>,
    /// Whether it can be used from now on.
    pub succeeded: bool,
    /// Why not, in EC2's words.
    pub cause: Option<String>,
}

impl SnapshotEvent {
    /// Reads `detail`; what was done to a snapshot later asks for nothing.
    ///
    /// # Errors
    /// When `event` is missing, or no snapshot is named, in the detail or in `resources`.
    pub(super) fn parse(envelope: &Envelope, detail: &Value) -> Result<Result<Self, Aside>, Rejected> {
        let malformed = |reason: &str| Rejected::Malformed {
            kind: KIND,
            reason: reason.to_owned(),
        };
        let event = text(detail, "event").ok_or_else(|| malformed("`detail.event` is missing or no text"))?;
        let work = match event {
            "createSnapshot" => SnapshotWork::Create,
            "copySnapshot" => SnapshotWork::Copy,
            other => return Ok(Err(aside(other))),
        };
        let named = text(detail, "snapshot_id").into_iter();
        let mut named = named.chain(envelope.resources.iter().map(String::as_str));
        let snapshot_id = named.find_map(|arn| id(arn, "snap-"));
        let source = text(detail, "source").and_then(|arn| id(arn, "vol-").or_else(|| id(arn, "snap-")));
        Ok(Ok(Self {
            work,
            snapshot_id: snapshot_id
                .ok_or_else(|| malformed("neither `detail.snapshot_id` nor `resources` names it"))?,
            source_id: source,
            succeeded: text(detail, "result") == Some("succeeded"),
            cause: text(detail, "cause")
                .filter(|cause| !cause.is_empty())
                .map(str::to_owned),
        }))
    }
}

/// The id at the end of an ARN, whatever is before it.
fn id(arn: &str, prefix: &str) -> Option<String> {
    let last = arn.rsplit('/').next().unwrap_or_default();
    (last.starts_with(prefix) && last.len() > prefix.len()).then(|| last.to_owned())
}

fn aside(event: &str) -> Aside {
    let message = format!("`{event}`: no snapshot was made or copied; how far one is, is looked up when it matters");
    Aside {
        kind: KIND,
        reason: Reason::new(Code::ToldOtherwise, message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Detail, Event};
    use super::*;

    fn read(resources: &[&str], detail: &Value) -> Result<Event, Rejected> {
        Event::parse(&json!({
            "detail-type": KIND, "source": "aws.ec2", "time": "yyyy-mm-ddThh:mm:ssZ", "resources": resources,
            "detail": detail,
        }))
    }

    #[test]
    fn the_snapshot_is_found_in_either_spelling_of_its_arn() {
        for arn in [
            "arn:aws:ec2:us-west-2::snapshot/snap-1",
            "arn:aws:ec2::us-west-2:snapshot/snap-1",
            "snap-1",
        ] {
            let source = arn.replace("snapshot/snap", "volume/vol").replace("snap", "vol");
            let expected = SnapshotEvent {
                work: SnapshotWork::Create,
                snapshot_id: "snap-1".to_owned(),
                source_id: Some("vol-1".to_owned()),
                succeeded: true,
                cause: None,
            };
            for (resources, named) in [
                (&[][..], json!(arn)),
                (&[arn][..], json!(null)),
                (&[arn][..], json!("x/y")),
            ] {
                let detail = json!({
                    "event": "createSnapshot", "result": "succeeded", "cause": "", "snapshot_id": named, "source": source,
                });
                let event = read(resources, &detail).unwrap();
                assert_eq!(
                    event.detail,
                    Detail::Snapshot(expected.clone()),
                    "{resources:?} {detail}"
                );
            }
        }
    }

    #[test]
    fn one_that_failed_says_why() {
        let detail = json!({ "event": "copySnapshot", "result": "failed", "cause": "no key", "snapshot_id": "snap-1" });
        let Detail::Snapshot(event) = read(&[], &detail).unwrap().detail else {
            panic!()
        };
        assert_eq!((event.work, event.succeeded), (SnapshotWork::Copy, false));
        assert_eq!((event.cause.as_deref(), event.source_id), (Some("no key"), None));
    }

    #[test]
    fn what_names_no_snapshot_is_rejected_and_what_comes_later_is_set_aside() {
        for detail in [
            json!({}),
            json!({ "event": 1 }),
            json!({ "event": "createSnapshot", "snapshot_id": "vol-1" }),
        ] {
            assert!(
                matches!(read(&["vol-1"], &detail), Err(Rejected::Malformed { .. })),
                "{detail}"
            );
        }
        for event in ["archiveSnapshot", "restoreSnapshot", "something new"] {
            let read = read(&[], &json!({ "event": event })).unwrap();
            assert!(matches!(read.detail, Detail::Aside(_)), "{event}");
        }
    }
}
