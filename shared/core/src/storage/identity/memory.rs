//! What is remembered of one identity of a stateful family.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::is_default;
use crate::ids::TaskArn;
use crate::storage::{Memory, RecoveryPoint};

/// The first wait after a task that did not live, or was refused; it doubles with each that follows.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// The longest.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// What is remembered of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct IdentityMemory {
    /// A task that was decided on, until it is known what became of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The task that was started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskArn>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// That ECS does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Absent>,
    /// When it was found to be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The volume that it had, until it is known to be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// That EC2 shows no volume of it, though it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bare: Option<Absent>,
    /// Whether a volume of it was found since it was over.
    #[serde(skip_serializing_if = "is_default")]
    pub found: bool,
    /// Whether it ever had a volume: then it never begins with an empty one again.
    #[serde(skip_serializing_if = "is_default")]
    pub begun: bool,
    /// The last snapshot that was made of a volume of a task that was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<RecoveryPoint>,
    /// When that volume was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_of: Option<Timestamp>,
    /// That EC2 does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Absent>,
    /// How many tasks in a row did not live for long, or were not started.
    #[serde(skip_serializing_if = "is_default")]
    pub failures: u32,
    /// Before this none is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Why the last was not started, in ECS's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A task that was decided on, stored before its call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Start {
    /// When it was decided; its volume carries it as [`AT_TAG`](crate::storage::AT_TAG).
    pub at: Timestamp,
    /// What its volume begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<RecoveryPoint>,
    /// The request. It is sent again as it is: with the same token ECS starts nothing twice, and with the same token it
    /// takes no other (ECS API reference, "Ensuring idempotency").
    pub input: Value,
    /// Whether it was sent before: what is refused now may have come through then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub again: bool,
    /// Whether it is not sent any more: ECS said that the token was used, or refused a request that may have come through.
    #[serde(default, skip_serializing_if = "is_default")]
    pub used: bool,
}

/// That something was not shown. One answer may be from before, so it is looked for several times. And one clock may be wrong,
/// so each look counts for a minute at most, whatever time it says has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Absent {
    /// When it was looked for last.
    pub last: Timestamp,
    /// How often it was looked for.
    pub looks: u32,
    /// For how many seconds it is not shown, as far as that counts.
    pub seconds: i64,
}

impl Absent {
    const LOOKS: u32 = 3;
    /// For how long the time since the last look counts at most, in seconds.
    const MOST: i64 = 60;

    /// Notes a look that did not find it; whether it is certain by now.
    pub(super) fn look(absent: &mut Option<Self>, now: Timestamp, least: SignedDuration) -> bool {
        let known = absent.get_or_insert(Self {
            last: now,
            looks: 0,
            seconds: 0,
        });
        known.looks = known.looks.saturating_add(1);
        let since = now.duration_since(known.last).as_secs().clamp(0, Self::MOST);
        known.seconds = known.seconds.saturating_add(since);
        known.last = now;
        known.looks >= Self::LOOKS && known.seconds >= least.as_secs()
    }
}

impl IdentityMemory {
    /// Whether nothing is to be followed any more.
    pub(in crate::storage) fn is_at_rest(&self) -> bool {
        self.start.is_none() && (self.task.is_none() || (self.ended.is_some() && self.volume.is_none()))
    }

    /// One more did not live, or was not started.
    pub(super) fn fail(&mut self, now: Timestamp) {
        let doubled = 1_i32.checked_shl(self.failures.min(16)).unwrap_or(i32::MAX);
        let wait = FIRST_WAIT
            .checked_mul(doubled)
            .unwrap_or(LONGEST_WAIT)
            .min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(wait).ok();
    }

    /// A task of it is known.
    pub(super) fn adopt(&mut self, task: TaskArn, at: Timestamp) {
        *self = Self {
            task: Some(task),
            started: Some(at),
            begun: self.begun,
            saved: self.saved.take(),
            saved_of: self.saved_of,
            failures: self.failures,
            ..Self::default()
        };
    }
}

impl Memory {
    /// ECS started the task of an identity: `key` is its lineage's.
    pub fn started(&mut self, key: &str, task: TaskArn) {
        if let Some(identity) = self.identity(key)
            && let Some(start) = identity.start.take()
        {
            let begun = identity.begun || start.snapshot.is_some();
            identity.adopt(task, start.at);
            identity.begun = begun;
        }
    }

    /// ECS started nothing, and said why. A request that was sent before may have come through all the same.
    pub fn start_refused(&mut self, key: &str, words: &str, now: Timestamp) {
        if let Some(identity) = self.identity(key) {
            match &mut identity.start {
                Some(start) if start.again => start.used = true,
                start => *start = None,
            }
            identity.refused = Some(words.to_owned());
            identity.fail(now);
        }
    }

    /// ECS said that the token was used before.
    pub fn start_used(&mut self, key: &str) {
        if let Some(start) = self.identity(key).and_then(|identity| identity.start.as_mut()) {
            start.used = true;
        }
    }

    /// The volume of a task that is over was removed.
    pub fn volume_removed(&mut self, key: &str, volume: &str) {
        if let Some(identity) = self.identity(key)
            && identity.volume.as_deref() == Some(volume)
        {
            identity.volume = None;
        }
    }

    /// The tasks of identities that were started last.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskArn> {
        let identities = self.volumes.values().filter_map(|volume| volume.identity.as_ref());
        identities.filter_map(|identity| identity.task.as_ref())
    }

    fn identity(&mut self, key: &str) -> Option<&mut IdentityMemory> {
        self.volumes.get_mut(key)?.identity.as_mut()
    }
}
