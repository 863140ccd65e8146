//! An instance that goes, or may: why, and what was done about it.
//!
//! Events are merged into [`Causes`] in any order and any number: of each kind of cause the later one counts, so that the
//! same is known in the end. What was done stands apart, in [`Did`], which only the holder of the cluster's lease writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ContainerInstance;
use crate::event::{
    Detail, Event, HealthEvent, InstanceNews, InstanceState, LifecycleAction, Place, SpotAction, Transition,
};

/// An item of `going#CLUSTER`: an EC2 instance, why it goes, and what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Going {
    /// Why it goes, by the events.
    pub causes: Causes,
    /// What was done, and seen.
    pub did: Did,
}

/// Why an instance goes, by the events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Causes {
    /// Its group waits with it: the latest lifecycle action, by `GROUP/HOOK`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, Hook>,
    /// Spot takes it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotNotice>,
    /// When Spot last said that it may take it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<Timestamp>,
    /// Scheduled changes, by the ARN of the Health event.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub maintenance: BTreeMap<String, Scheduled>,
    /// Its latest state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Seen>,
}

/// A lifecycle action of a terminating instance. The order of the fields is that of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hook {
    /// When it began.
    pub since: Timestamp,
    /// What tells it from others of the same hook.
    pub token: String,
    /// The group's name.
    pub group: String,
    /// The hook's name.
    pub hook: String,
    /// Where the instance comes from.
    #[serde(default)]
    pub origin: Place,
    /// Where it goes to.
    #[serde(default)]
    pub destination: Place,
}

/// Spot takes an instance back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SpotNotice {
    /// When it said so: two minutes before.
    pub at: Timestamp,
    /// What it does with it.
    pub action: SpotAction,
}

/// A scheduled change of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scheduled {
    /// When AWS Health told it last.
    pub told: Timestamp,
    /// Whether it is over.
    #[serde(default)]
    pub closed: bool,
    /// What it is: `AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED`, …
    pub code: String,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
}

/// A state that EC2 told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub state: InstanceState,
}

/// What was done about an instance, and what was seen of it when it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Did {
    /// Its container instance's ARN: it was in the cluster then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_instance: Option<String>,
    /// When we last set it to DRAINING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
    /// When we last set it to ACTIVE again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
    /// When a hook last got a heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// The tokens of the lifecycle actions that we completed, or that were over when we tried, and when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub completed: BTreeMap<String, Timestamp>,
    /// When its group was first seen to wait with it, and no event had said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_waiting: Option<Timestamp>,
    /// When we gave it up: its group replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_at: Option<Timestamp>,
    /// That its agent is disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected: Option<Silence>,
    /// When its agent was last seen disconnected while it was to go for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_disconnected: Option<Timestamp>,
    /// The causes with which nothing was left to be done about it. Not a time: an event may come late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Causes>,
}

/// Since when an agent is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Silence {
    /// When it was first seen so.
    pub since: Timestamp,
    /// When it was last seen so.
    pub last: Timestamp,
    /// The container instance's version then: it rises when the agent is back, also where no look saw that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

impl Silence {
    /// Whether it was the same silence all the time.
    pub(super) fn lasts(self, instance: &ContainerInstance) -> bool {
        self.version.is_none_or(|version| version == instance.version)
    }
}

/// Takes the later one. Equal ones are copies.
fn later<T: Ord>(known: &mut Option<T>, news: Option<T>) {
    if news > *known {
        *known = news;
    }
}

fn later_of_each<T: Ord>(known: &mut BTreeMap<String, T>, news: BTreeMap<String, T>) {
    for (key, news) in news {
        match known.get_mut(&key) {
            Some(known) if *known >= news => {}
            Some(known) => *known = news,
            None => {
                known.insert(key, news);
            }
        }
    }
}

impl Causes {
    /// Takes over what others tell, as far as it is later. Neither the order nor the number of them matters.
    pub fn merge(&mut self, news: Self) {
        let Self {
            hooks,
            spot,
            rebalance,
            maintenance,
            state,
        } = news;
        later_of_each(&mut self.hooks, hooks);
        later(&mut self.spot, spot);
        later(&mut self.rebalance, rebalance);
        later_of_each(&mut self.maintenance, maintenance);
        later(&mut self.state, state);
    }

    /// What an event tells of instances; nothing when it is about none, or asks for nothing: a launching instance is drained
    /// from nothing, and its hook is somebody else's. `heard` is the time of an event without one.
    #[must_use]
    pub fn of_event(event: &Event, heard: Timestamp) -> BTreeMap<String, Self> {
        let at = event.envelope.time.unwrap_or(heard);
        match &event.detail {
            Detail::Lifecycle(action) => {
                let of = (action.transition == Transition::Terminating).then(|| Self::of_hook(action, at));
                of.map(|causes| (action.instance.clone(), causes)).into_iter().collect()
            }
            Detail::Instance(event) => BTreeMap::from([(event.instance.clone(), Self::of_news(event.news, at))]),
            Detail::Health(health) if health.is_maintenance() => {
                let causes = Self::of_health(health, heard);
                health.instances.iter().map(|id| (id.clone(), causes.clone())).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    fn of_hook(action: &LifecycleAction, since: Timestamp) -> Self {
        let hook = Hook {
            since,
            token: action.token.clone(),
            group: action.group.clone(),
            hook: action.hook.clone(),
            origin: action.origin,
            destination: action.destination,
        };
        Self {
            hooks: BTreeMap::from([(format!("{}/{}", hook.group, hook.hook), hook)]),
            ..Self::default()
        }
    }

    fn of_news(news: InstanceNews, at: Timestamp) -> Self {
        let mut causes = Self::default();
        match news {
            InstanceNews::SpotInterruption(action) => causes.spot = Some(SpotNotice { at, action }),
            InstanceNews::Rebalance => causes.rebalance = Some(at),
            InstanceNews::State(state) => causes.state = Some(Seen { at, state }),
        }
        causes
    }

    fn of_health(health: &HealthEvent, heard: Timestamp) -> Self {
        let scheduled = Scheduled {
            told: health.told.unwrap_or(heard),
            closed: health.closed,
            code: health.code.clone(),
            starts: health.starts,
            ends: health.ends,
        };
        // One of a sender that leaves the ARN out is told from others by what it is.
        let key = if health.arn.is_empty() {
            &health.code
        } else {
            &health.arn
        };
        Self {
            maintenance: BTreeMap::from([(key.clone(), scheduled)]),
            ..Self::default()
        }
    }

    /// Whether it is worth an item of its own. A state in which an instance stays, or the end of a scheduled change, matters
    /// only where something is known already.
    #[must_use]
    pub fn is_reason_to_go(&self) -> bool {
        !self.hooks.is_empty()
            || self.spot.is_some()
            || self.rebalance.is_some()
            || self.maintenance.values().any(|scheduled| !scheduled.closed)
            || self.state.is_some_and(|seen| seen.state.is_going())
    }

    /// When the last of it was told.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        let hooks = self.hooks.values().map(|hook| hook.since);
        let scheduled = self.maintenance.values().map(|scheduled| scheduled.told);
        let (spot, state) = (self.spot.map(|spot| spot.at), self.state.map(|seen| seen.at));
        hooks
            .chain(scheduled)
            .chain(spot)
            .chain(self.rebalance)
            .chain(state)
            .max()
    }
}

impl Going {
    /// The lifecycle actions that are neither completed nor over. A token that was is never open again.
    pub fn open(&self) -> impl Iterator<Item = &Hook> {
        let open = |hook: &&Hook| !self.did.completed.contains_key(&hook.token);
        self.causes.hooks.values().filter(open)
    }

    /// Whether nothing is left to be done about it, and nothing was told of it since.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.did.over.as_ref() == Some(&self.causes)
    }
}

impl Did {
    /// Whether nothing was done that is to be undone or waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.drained_by_us()
            && self.disconnected.is_none()
            && self.unhealthy_at.is_none()
            && self.found_waiting.is_none()
    }

    /// Whether the instance is DRAINING because of us.
    #[must_use]
    pub fn drained_by_us(&self) -> bool {
        self.drained_at
            .is_some_and(|drained| self.activated_at.is_none_or(|activated| activated < drained))
    }
}
