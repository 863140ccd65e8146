//! What is told of tasks that stop again and again.

use serde_json::{Value, json};

use super::CrashLoop;
use crate::ids::Target;
use crate::report::{Code, Reason};

/// What became of a crash loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there.
    Began,
    /// Its tasks stop for another reason now.
    Reason,
    /// It is over, and why.
    Over(&'static str),
}

/// What is told of a crash loop. It may be told twice, after a crash; `since` and the change are then the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What became of it.
    pub change: Change,
    /// `family:revision`.
    pub revision: String,
    /// The crash loop.
    pub crash_loop: CrashLoop,
}

impl Told {
    /// The `detail-type` of the event.
    pub const DETAIL_TYPE: &str = "Tasks Impaired";

    pub(super) fn new(change: Change, revision: &str, crash_loop: &CrashLoop) -> Self {
        Self {
            change,
            revision: revision.to_owned(),
            crash_loop: crash_loop.clone(),
        }
    }

    /// The same for logs and the history.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.change {
            Change::Over(why) => Reason::new(
                Code::CrashLoopOver,
                format!("tasks of {} no longer stop: {why}", self.revision),
            ),
            Change::Began | Change::Reason => Reason::new(Code::CrashLoop, sentence(&self.revision, &self.crash_loop)),
        }
    }

    /// The `detail` of the event.
    #[must_use]
    pub fn detail(&self, target: &Target) -> Value {
        let one = &self.crash_loop;
        json!({
            "target": target.to_string(),
            "cluster": target.cluster,
            "service": target.name,
            "taskDefinition": self.revision,
            "state": match self.change {
                Change::Began => "began",
                Change::Reason => "changed",
                Change::Over(_) => "over",
            },
            "class": one.class.as_str(),
            "container": one.container,
            "exitCode": one.exit_code,
            "failures": one.failures,
            "since": one.since.to_string(),
            "last": one.last.to_string(),
            "reason": self.reason().message,
            "remedy": one.class.remedy(),
        })
    }
}

/// How a crash loop is told of in a sentence: what happens, and what may help.
#[must_use]
pub fn sentence(revision: &str, one: &CrashLoop) -> String {
    format!(
        "tasks of {revision} stop again and again, {} since {}: {}; {}",
        one.failures,
        one.since,
        one.what(),
        one.class.remedy()
    )
}
