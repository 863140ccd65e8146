//! How volumes are kept, and what becomes of those that are left over.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{AccessPoint, Span, is_default};

/// How one volume of a service is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Storage {
    /// The volume's name in the task definition.
    pub volume: String,
    /// When snapshots are made, and which are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// What a rollout starts from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restore: Restore,
    /// Of a volume on EFS: the access point through which it is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point: Option<AccessPoint>,
}

/// When snapshots are made, and which are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// How often.
    pub every: Span,
    /// Which are kept; without it all are, for ever.
    #[serde(default, deserialize_with = "written", skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// What is written is there: a key without a value is no way to leave it out.
pub(super) fn written<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Which snapshots are kept: the union of what each line keeps. Hours, days, weeks and months are UTC's, and only those that
/// have a snapshot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Keep {
    /// The newest so many.
    #[serde(skip_serializing_if = "is_default")]
    pub last: u32,
    /// The newest of each of so many hours.
    #[serde(skip_serializing_if = "is_default")]
    pub hourly: u32,
    /// The newest of each of so many days.
    #[serde(skip_serializing_if = "is_default")]
    pub daily: u32,
    /// The newest of each of so many weeks.
    #[serde(skip_serializing_if = "is_default")]
    pub weekly: u32,
    /// The newest of each of so many months.
    #[serde(skip_serializing_if = "is_default")]
    pub monthly: u32,
}

impl Keep {
    /// Whether no line says how many there may be: then all are kept.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        is_default(self)
    }
}

impl Storage {
    /// Whether ECS makes the volume for each task; on EFS it is there already.
    #[must_use]
    pub const fn is_ebs(&self) -> bool {
        self.access_point.is_none()
    }

    /// Which snapshots are kept: all of them where nothing says less.
    #[must_use]
    pub fn keep(&self) -> Keep {
        let keep = self.snapshot.as_ref().and_then(|snapshot| snapshot.keep);
        keep.unwrap_or_default()
    }
}

/// What a rollout starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// An empty volume.
    #[default]
    None,
    /// The newest snapshot of its lineage.
    Newest,
}

/// What happens with the volumes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClusterStorage {
    /// What happens with volumes that ECS made and left behind, attached to nothing; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<Orphans>,
}

/// What happens with volumes that ECS made and left behind, attached to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Orphans {
    /// How long one must have been attached to nothing.
    pub after: Span,
    /// What is done with it then.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = OrphanAction::default()))]
    pub action: OrphanAction,
}

impl Default for Orphans {
    fn default() -> Self {
        Self {
            after: Span::minutes(24 * 60),
            action: OrphanAction::Report,
        }
    }
}

/// What is done with a volume that ECS left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrphanAction {
    /// It is listed.
    #[default]
    Report,
    /// A snapshot of it is made, and when that is completed the volume is deleted. The snapshot is kept for ever.
    Remove,
}
