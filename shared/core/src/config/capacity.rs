//! What happens with a cluster's instances, and with a service whose tasks Spot has no room for.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::{Span, is_default};

/// What happens with a cluster's instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Capacity {
    /// Whether every step is said and none is made.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false))]
    pub dry_run: bool,
    /// How instances that go are drained.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub drain: InstanceDrain,
    /// What Spot notices do.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub spot: Spot,
    /// What AWS Health's notices of scheduled changes of an instance do.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub maintenance: Maintenance,
    /// What happens when an agent is gone; nothing when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected: Option<Disconnected>,
    /// Which Auto Scaling group grows when tasks find no place; none when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// When tasks that stop again and again are told of.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub crash_loops: CrashLoops,
}

/// How instances that go are drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct InstanceDrain {
    /// After this, counted from the hook's beginning, the lifecycle hook is completed whatever still runs.
    pub deadline: Span,
    /// Only these lifecycle hooks are ours; each terminating hook when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Vec<String>>,
    /// What happens to tasks that no service started: ECS leaves them where they are.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = Standalone::default()))]
    pub standalone: Standalone,
}

impl Default for InstanceDrain {
    fn default() -> Self {
        Self {
            deadline: Span::minutes(10),
            hooks: None,
            standalone: Standalone::Leave,
        }
    }
}

impl InstanceDrain {
    /// Whether a lifecycle hook of this name is ours.
    #[must_use]
    pub fn takes(&self, hook: &str) -> bool {
        self.hooks
            .as_ref()
            .is_none_or(|hooks| hooks.iter().any(|name| name == hook))
    }
}

/// What happens to tasks that no service started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standalone {
    /// They run on, until they end or the instance does.
    #[default]
    Leave,
    /// They are stopped.
    Stop,
}

/// What Spot notices do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Spot {
    /// What a rebalance recommendation does.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = Rebalance::default()))]
    pub rebalance: Rebalance,
}

/// What a rebalance recommendation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// Nothing: there are many more of them than interruptions.
    #[default]
    Ignore,
    /// Drain the instance.
    Drain,
}

/// What AWS Health's notices of scheduled changes of an instance do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Maintenance {
    /// What is done.
    pub action: MaintenanceAction,
    /// How long before the change begins.
    pub before: Span,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            action: MaintenanceAction::Drain,
            before: Span::minutes(60),
        }
    }
}

/// What is done before a scheduled change of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceAction {
    /// Nothing.
    Ignore,
    /// The instance is drained.
    #[default]
    Drain,
}

/// What happens when an agent is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Disconnected {
    /// After how long: short disconnects are normal.
    pub after: Span,
    /// What is done.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = DisconnectedAction::default()))]
    pub action: DisconnectedAction,
    /// The share of the cluster's instances that is replaced at a time; one at least.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = Share::default()))]
    pub at_most: Share,
}

/// What is done about an instance whose agent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DisconnectedAction {
    /// It is reported.
    #[default]
    Report,
    /// It is drained and replaced.
    Replace,
}

/// A share of something, written `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Share(u8);

impl Share {
    /// So many of all of them: rounded down, and one at least.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        (all * usize::from(self.0) / 100).max(1)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(10)
    }
}

/// A share was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share: write a whole number of percent, from `1%` to `100%`")]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let share = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
        share
            .filter(|share| (1..=100).contains(share))
            .map(Self)
            .ok_or_else(|| ShareError(text.into()))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share, from `1%` to `100%`")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Share, E> {
                let with_sign = format!("{number}%");
                Err(E::custom(match with_sign.parse::<Share>() {
                    Ok(share) => format!("`{number}` is not a share: write `{share}`"),
                    Err(error) => error.to_string(),
                }))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }
        }

        // Not as a text: so a number without its sign is answered with what to write.
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([1-9][0-9]?|100)%$",
            "description": "A share of something: 10%.",
        })
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// Which Auto Scaling group grows when tasks find no place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Placement {
    /// The group's name.
    pub auto_scaling_group: String,
    /// By how many instances at a time.
    #[serde(default = "Placement::add", skip_serializing_if = "Placement::is_one")]
    #[schemars(extend("default" = Placement::add()))]
    pub add: NonZeroU32,
    /// Up to how many instances; the group's own greatest size holds too.
    pub max: u32,
    /// How long to wait after a step: an instance takes minutes to register.
    #[serde(default = "Placement::cooldown", skip_serializing_if = "Placement::is_usual")]
    #[schemars(extend("default" = Placement::cooldown()))]
    pub cooldown: Span,
}

impl Placement {
    fn add() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_one(add: &NonZeroU32) -> bool {
        *add == Self::add()
    }

    fn cooldown() -> Span {
        Span::minutes(5)
    }

    fn is_usual(cooldown: &Span) -> bool {
        *cooldown == Self::cooldown()
    }
}

/// When tasks of one revision that stop again and again are told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CrashLoops {
    /// After so many failures...
    #[schemars(range(min = 1, max = 20))]
    pub after: NonZeroU32,
    /// ...within this time, with no task that lived longer.
    pub within: Span,
}

impl CrashLoops {
    const AFTER: NonZeroU32 = NonZeroU32::new(3).unwrap();
}

impl Default for CrashLoops {
    fn default() -> Self {
        Self {
            after: Self::AFTER,
            within: Span::minutes(10),
        }
    }
}

/// What happens with the tasks of one service when there is no room for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceCapacity {
    /// Where its tasks run while Spot has no room for them.
    pub spot: SpotFallback,
}

/// Where the tasks of a service run while Spot has no room for them, and when they return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SpotFallback {
    /// Where they run meanwhile.
    pub fallback: Fallback,
    /// How long Spot must have been short.
    #[serde(default = "SpotFallback::after", skip_serializing_if = "SpotFallback::is_after")]
    #[schemars(extend("default" = SpotFallback::after()))]
    pub after: Span,
    /// How long it must have had room again.
    #[serde(
        default = "SpotFallback::return_after",
        skip_serializing_if = "SpotFallback::is_return_after"
    )]
    #[schemars(extend("default" = SpotFallback::return_after()))]
    pub return_after: Span,
}

impl SpotFallback {
    fn after() -> Span {
        Span::minutes(2)
    }

    fn is_after(span: &Span) -> bool {
        *span == Self::after()
    }

    fn return_after() -> Span {
        Span::minutes(10)
    }

    fn is_return_after(span: &Span) -> bool {
        *span == Self::return_after()
    }
}

/// Where the tasks of a service run while Spot has no room for them.
///
/// It is read as one struct with both keys, as a scaling rule is: so an unknown key or a wrong value is told at its own place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FallbackKeys", into = "FallbackKeys")]
pub enum Fallback {
    /// In this other service, `cluster/service`, which takes as many as the first lacks.
    Twin(String),
    /// In the same service, by this capacity provider strategy.
    Strategy(Vec<StrategyItem>),
}

impl JsonSchema for Fallback {
    fn schema_name() -> Cow<'static, str> {
        "Fallback".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let strategy = generator.subschema_for::<Vec<StrategyItem>>();
        json_schema!({
            "description": "Where the tasks of a service run while Spot has no room for them.",
            "oneOf": [
                {
                    "description": "In this other service, `cluster/service`, which takes as many as the first lacks.",
                    "type": "object",
                    "properties": { "twin": { "type": "string" } },
                    "required": ["twin"],
                    "additionalProperties": false,
                },
                {
                    "description": "In the same service, by this capacity provider strategy.",
                    "type": "object",
                    "properties": { "strategy": strategy },
                    "required": ["strategy"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// The keys of a fallback do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FallbackError {
    /// Neither.
    #[error("a fallback needs `twin` (another service, `cluster/service`) or `strategy` (capacity providers)")]
    Neither,
    /// Both.
    #[error("a fallback has `twin` or `strategy`, not both")]
    Both,
}

/// Both keys of a fallback.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename = "Fallback", rename_all = "kebab-case", deny_unknown_fields, default)]
struct FallbackKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    twin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<Vec<StrategyItem>>,
}

impl TryFrom<FallbackKeys> for Fallback {
    type Error = FallbackError;

    fn try_from(keys: FallbackKeys) -> Result<Self, FallbackError> {
        match (keys.twin, keys.strategy) {
            (Some(twin), None) => Ok(Self::Twin(twin)),
            (None, Some(strategy)) => Ok(Self::Strategy(strategy)),
            (None, None) => Err(FallbackError::Neither),
            (Some(_), Some(_)) => Err(FallbackError::Both),
        }
    }
}

impl From<Fallback> for FallbackKeys {
    fn from(fallback: Fallback) -> Self {
        match fallback {
            Fallback::Twin(twin) => Self {
                twin: Some(twin),
                strategy: None,
            },
            Fallback::Strategy(strategy) => Self {
                twin: None,
                strategy: Some(strategy),
            },
        }
    }
}

/// One part of a capacity provider strategy (ECS API reference, `CapacityProviderStrategyItem`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StrategyItem {
    /// The capacity provider's name.
    pub capacity_provider: String,
    /// Its share of the tasks beyond the bases, among the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub weight: Option<u32>,
    /// How many tasks it gets before any weight counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub base: Option<u32>,
}
