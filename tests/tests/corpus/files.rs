//! Where the corpus is, and its files.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The kinds that a domain acts on, or passes over for a reason.
pub(crate) const UNDERSTOOD: &[&str] = &[
    "autoscaling-instance-launch-terminate",
    "autoscaling-instance-refresh",
    "autoscaling-lifecycle-action",
    "aws-health-event",
    "cloudwatch-alarm-lambda-action",
    "cloudwatch-alarm-state-change",
    "ebs-snapshot-notification",
    "ebs-volume-notification",
    "ec2-instance-state-change",
    "ec2-rebalance-recommendation",
    "ec2-spot-interruption-warning",
    "ecr-image-action",
    "ecr-image-scan",
    "ecr-pull-through-cache-action",
    "ecr-referrer-action",
    "ecr-replication-action",
    "ecs-container-instance-state-change",
    "ecs-deployment-state-change",
    "ecs-service-action",
    "ecs-task-state-change",
    "inspector2-finding",
    "inspector2-scan",
    "scheduled-event",
];

/// The folder of the corpus.
pub(crate) struct Corpus(PathBuf);

impl Corpus {
    /// The corpus; `None` when it was said to be absent. Anything else that keeps it from being read is a failure: a corpus
    /// that is not there must not look like one that passed.
    pub(crate) fn find() -> Option<Self> {
        #[allow(
            clippy::disallowed_methods,
            reason = "where the corpus is, is the tests' own setting"
        )]
        let named = std::env::var("WHARFINGER_EVENT_CORPUS").ok();
        if named.as_deref() == Some("none") {
            eprintln!("WHARFINGER_EVENT_CORPUS=none: the event corpus is NOT tested");
            return None;
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folder = workspace.join(named.as_deref().unwrap_or("../shared/events"));
        assert!(
            folder.join(UNDERSTOOD[0]).is_dir(),
            "there is no event corpus at {}: set WHARFINGER_EVENT_CORPUS to its folder, or to `none` to go on without it",
            folder.display()
        );
        Some(Self(folder))
    }

    /// Every file of a kind, by name.
    pub(crate) fn folder(&self, kind: &str) -> Vec<(String, Value)> {
        let mut files: Vec<_> = entries(&self.0.join(kind))
            .into_iter()
            .filter(|name| Path::new(name).extension().is_some_and(|e| e == "json"))
            .map(|name| {
                let text = std::fs::read_to_string(self.0.join(kind).join(&name)).unwrap();
                let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{kind}/{name}: {e}"));
                (name, json)
            })
            .collect();
        assert!(!files.is_empty(), "{kind} has no files");
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    /// The kinds that nothing reacts to.
    pub(crate) fn other_kinds(&self) -> Vec<String> {
        let known = |kind: &String| UNDERSTOOD.contains(&kind.as_str()) || kind == "sequences";
        let mut kinds: Vec<_> = entries(&self.0)
            .into_iter()
            .filter(|k| self.0.join(k).is_dir() && !known(k))
            .collect();
        kinds.sort();
        kinds
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let read = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    read.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
