//! What EC2 tells of an instance: `EC2 Spot Instance Interruption Warning`, `EC2 Instance Rebalance Recommendation`,
//! `EC2 Instance State-change Notification`.
//!
//! None of them names a group or a cluster. The ARN in `resources` has a zone in the place of the Region and no account
//! (EC2 user guide, "Spot Instance interruption notices"), so the id is taken from the detail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rejected, text};

/// What EC2 tells of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEvent {
    /// `i-…`.
    pub instance: String,
    /// What it tells.
    pub news: InstanceNews,
}

/// What EC2 tells of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceNews {
    /// Spot takes it back, in two minutes; before a hibernation at once.
    SpotInterruption(SpotAction),
    /// Spot may take it back.
    Rebalance,
    /// It is in another state.
    State(InstanceState),
}

impl InstanceNews {
    /// `detail-type`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::SpotInterruption(_) => "EC2 Spot Instance Interruption Warning",
            Self::Rebalance => "EC2 Instance Rebalance Recommendation",
            Self::State(_) => "EC2 Instance State-change Notification",
        }
    }
}

/// What Spot does with an instance that it takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpotAction {
    /// It is terminated.
    Terminate,
    /// It is stopped, and may be started again.
    Stop,
    /// It hibernates, and may be started again.
    Hibernate,
    /// An action that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The state of an instance (EC2 API reference, `InstanceState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is stopped.
    Stopped,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone.
    Terminated,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl InstanceState {
    /// Whether nothing runs on it any more, or soon nothing will.
    #[must_use]
    pub const fn is_going(self) -> bool {
        matches!(
            self,
            Self::Stopping | Self::Stopped | Self::ShuttingDown | Self::Terminated
        )
    }

    /// As EC2 writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        }
    }
}

impl InstanceEvent {
    /// Reads `detail` of a Spot interruption warning.
    ///
    /// # Errors
    /// When no instance is named.
    pub fn spot(detail: &Value) -> Result<Self, Rejected> {
        let action = word(detail, "instance-action").unwrap_or_default();
        Self::parse(detail, InstanceNews::SpotInterruption(action))
    }

    /// Reads `detail` of a rebalance recommendation.
    ///
    /// # Errors
    /// When no instance is named.
    pub fn rebalance(detail: &Value) -> Result<Self, Rejected> {
        Self::parse(detail, InstanceNews::Rebalance)
    }

    /// Reads `detail` of a change of state.
    ///
    /// # Errors
    /// When no instance is named.
    pub fn state(detail: &Value) -> Result<Self, Rejected> {
        let state = word(detail, "state").unwrap_or_default();
        Self::parse(detail, InstanceNews::State(state))
    }

    fn parse(detail: &Value, news: InstanceNews) -> Result<Self, Rejected> {
        // Samples of AWS have the underscore too.
        let named = text(detail, "instance-id").or_else(|| text(detail, "instance_id"));
        let instance = named.and_then(instance_id).ok_or_else(|| Rejected::Malformed {
            kind: news.kind(),
            reason: "`detail.instance-id` is missing or not the id of an instance (`i-…`)".into(),
        })?;
        Ok(Self { instance, news })
    }
}

/// The id of an instance, if it is one; samples of AWS have a space before it.
pub(super) fn instance_id(text: &str) -> Option<String> {
    let id = text.trim();
    let rest = id.strip_prefix("i-")?;
    (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| id.to_owned())
}

/// A word in whatever case.
fn word<T: for<'de> Deserialize<'de>>(detail: &Value, field: &str) -> Option<T> {
    let word = text(detail, field)?.to_ascii_lowercase();
    T::deserialize(Value::String(word)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_words_are_read_as_people_and_samples_write_them() {
        let state = |detail: Value| InstanceEvent::state(&detail).map(|event| (event.instance, event.news));
        let of = |id: &str, state| Ok((id.to_owned(), InstanceNews::State(state)));
        for (detail, expected) in [
            (
                json!({ "instance-id": "i-1", "state": "shutting-down" }),
                of("i-1", InstanceState::ShuttingDown),
            ),
            (
                json!({ "instance-id": " i-1", "state": "RUNNING" }),
                of("i-1", InstanceState::Running),
            ),
            (
                json!({ "instance_id": "i-1", "state": "asleep" }),
                of("i-1", InstanceState::Unknown),
            ),
            (json!({ "instance-id": "i-1" }), of("i-1", InstanceState::Unknown)),
        ] {
            assert_eq!(state(detail.clone()), expected, "{detail}");
        }
        for detail in [
            json!(null),
            json!({}),
            json!({ "instance-id": "" }),
            json!({ "instance-id": "i-" }),
            json!({ "instance-id": "mi-1" }),
        ] {
            let rejected = InstanceEvent::rebalance(&detail).unwrap_err().to_string();
            assert!(rejected.contains("`detail.instance-id` is missing"), "{rejected}");
        }
        let spot = |action: Value| {
            InstanceEvent::spot(&json!({ "instance-id": "i-1", "instance-action": action }))
                .unwrap()
                .news
        };
        assert_eq!(spot(json!("stop")), InstanceNews::SpotInterruption(SpotAction::Stop));
        assert_eq!(
            spot(json!("action")),
            InstanceNews::SpotInterruption(SpotAction::Unknown)
        );
        assert_eq!(spot(json!(7)), InstanceNews::SpotInterruption(SpotAction::Unknown));
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        use InstanceState as S;
        for state in [
            S::Pending,
            S::Running,
            S::Stopping,
            S::Stopped,
            S::ShuttingDown,
            S::Terminated,
            S::Unknown,
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(state.is_going(), !matches!(state, S::Pending | S::Running | S::Unknown));
        }
    }
}
