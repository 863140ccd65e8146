//! One target.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wharfinger_cloud::history::Record;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::{Item, Key, Malformed, attribute};
use wharfinger_core::config::Scaling as Configured;
use wharfinger_core::config::holds::Holds;
use wharfinger_core::config::stored::Managed;
use wharfinger_core::ids::TargetKind;
use wharfinger_core::report::{Code, Outcome, Reason};
use wharfinger_core::scaling::{self, Bounds, Change, bounds, next_change};

use super::capacity::OfService;
use super::delivery::Delivery;
use super::storage::Volumes;
use crate::rollouts::Rollouts;

/// The attribute with what scaling remembers, as the reference has it.
const SCALING: &str = "scaling";
/// The same of storage.
const STORAGE: &str = "storage";

/// What is known of a target. Of a domain that is not configured nothing is.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) target: String,
    kind: TargetKind,
    #[serde(flatten)]
    pub(super) holds: Holds,
    pub(super) scaling: Option<Scaling>,
    pub(super) delivery: Option<Delivery>,
    pub(super) discovery: Option<Endpoints>,
    pub(super) balancing: Option<Endpoints>,
    pub(super) capacity: Option<OfService>,
    pub(super) storage: Option<Volumes>,
}

/// What is known of its count.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Scaling {
    /// The bounds that are in force.
    pub(super) bounds: Bounds,
    /// What they are of.
    pub(super) bounds_code: Code,
    /// The same in words.
    pub(super) bounds_why: String,
    /// When they may change next.
    pub(super) next_bounds: Option<Timestamp>,
    /// The last change of the count.
    pub(super) last_change: Option<Change>,
    /// A change whose effect is not known yet.
    pub(super) unfinished: Option<Change>,
    /// Until when the cooldown lets no task be added, where that is later than now.
    pub(super) no_more_before: Option<Timestamp>,
    /// Until when it lets none be removed.
    pub(super) no_fewer_before: Option<Timestamp>,
    /// The last decision in the history.
    pub(super) decision: Option<Decided>,
}

/// What is known of its endpoints.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Endpoints {
    /// The last decision on one of its tasks in the history.
    pub(super) decision: Option<Decided>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Decided {
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) reasons: Vec<Reason>,
}

impl Row {
    /// Reads a target's items of the state table and its newest records, newest first; what cannot be read counts as nothing. The tasks
    /// that stop are `counted` where the cluster has `capacity`.
    pub(super) fn of(
        managed: &Managed,
        counted: bool,
        items: &[Item],
        records: &[Record],
        now: Timestamp,
    ) -> (Self, Vec<Malformed>) {
        let state = service_key(&managed.target);
        let nothing = Item::default();
        let item = items.iter().find(|item| Key::of(item).as_ref() == Some(&state));
        let item = item.unwrap_or(&nothing);
        let mut malformed = Vec::new();
        let config = &managed.stored.config;
        let last = |domain: &str| records.iter().find(|record| record.domain == domain).map(Decided::of);
        let holds = Holds::of(&managed.stored, now);
        let scaling = config.scaling.as_ref().map(|configured| {
            let memory = remembered(item, SCALING, &mut malformed);
            Scaling::of(configured, &holds, &memory, last("scaling"), now)
        });
        let delivery = (!config.delivery.is_empty()).then(|| {
            let (rollouts, unreadable) = Rollouts::of(&managed.target, items);
            malformed.extend(unreadable);
            Delivery::of(rollouts, &holds, last("delivery"), now)
        });
        let counted = counted && managed.target.kind == TargetKind::Service;
        let capacity = (counted || config.capacity.is_some())
            .then(|| OfService::of(config.capacity.as_ref(), item, last("capacity"), &mut malformed));
        let storage = config.keeps_volumes().then(|| {
            let memory = remembered(item, STORAGE, &mut malformed);
            Volumes::of(config, &memory, last("storage"), now)
        });
        let endpoints = |domain, configured: bool| configured.then(|| Endpoints { decision: last(domain) });
        let row = Self {
            target: managed.target.to_string(),
            kind: managed.target.kind,
            scaling,
            delivery,
            discovery: endpoints("discovery", !config.discovery.is_empty()),
            balancing: endpoints("balancing", !config.balancing.is_empty()),
            capacity,
            storage,
            holds,
        };
        (row, malformed)
    }

    /// The last decision of each domain.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (&'static str, &Decided)> {
        [
            ("discovery", self.discovery.as_ref().and_then(|of| of.decision.as_ref())),
            ("balancing", self.balancing.as_ref().and_then(|of| of.decision.as_ref())),
            ("scaling", self.scaling.as_ref().and_then(|of| of.decision.as_ref())),
            ("delivery", self.delivery.as_ref().and_then(|of| of.decision.as_ref())),
            ("capacity", self.capacity.as_ref().and_then(|of| of.decision.as_ref())),
            ("storage", self.storage.as_ref().and_then(|of| of.decision.as_ref())),
        ]
        .into_iter()
        .filter_map(|(domain, decision)| Some((domain, decision?)))
    }

    /// Whether there is something to tell: a pause, an override, what waits, is not finished, has failed or cannot go on.
    pub(super) fn is_notable(&self) -> bool {
        let open = |of: &Scaling| of.unfinished.is_some();
        !self.holds.is_idle()
            || self.scaling.as_ref().is_some_and(open)
            || self.delivery.as_ref().is_some_and(Delivery::is_notable)
            || self.capacity.as_ref().is_some_and(|of| of.state().is_some())
            || self.storage.as_ref().is_some_and(|of| of.state().is_some())
            || self
                .decisions()
                .any(|(_, decided)| decided.is_open() || decided.stuck().is_some())
    }

    /// Whether the lines of a domain tell already what a reason of its last decision says.
    pub(super) fn tells(&self, domain: &str, reason: &Reason) -> bool {
        match domain {
            "delivery" => self.delivery.as_ref().is_some_and(|of| of.tells(reason.code)),
            "capacity" => self.capacity.as_ref().is_some_and(|of| of.tells(reason.code)),
            "storage" => self.storage.as_ref().is_some_and(|of| of.tells(reason.code)),
            _ => false,
        }
    }
}

impl Decided {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            at: record.at,
            outcome: record.outcome,
            reasons: record.reasons.clone(),
        }
    }

    /// Whether it waits for something, or could not be used.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Wait | Outcome::Rejected)
    }

    /// The first of what does not go on before a person does something.
    pub(super) fn stuck(&self) -> Option<Code> {
        let mut codes = self.reasons.iter().map(|reason| reason.code);
        codes.find(|code| code.needs_someone())
    }
}

pub(super) fn remembered<T: DeserializeOwned + Default>(item: &Item, name: &str, malformed: &mut Vec<Malformed>) -> T {
    attribute(item, name)
        .unwrap_or_else(|unreadable| {
            malformed.push(unreadable);
            None
        })
        .unwrap_or_default()
}

impl Scaling {
    fn of(
        configured: &Configured,
        holds: &Holds,
        memory: &scaling::Memory,
        decision: Option<Decided>,
        now: Timestamp,
    ) -> Self {
        let force = bounds(configured, holds.scale, now);
        let later = |until: Option<Timestamp>| until.filter(|until| now < *until);
        let unfinished = memory.intent.as_ref().map(|intent| Change {
            from: intent.from,
            to: intent.to,
            at: intent.at,
            foreign: false,
        });
        Self {
            bounds: force.bounds,
            bounds_code: force.why.code,
            bounds_why: force.why.message,
            next_bounds: next_change(configured, holds.scale, now),
            last_change: memory.last,
            unfinished,
            no_more_before: later(memory.cooling_out(&configured.cooldown)),
            no_fewer_before: later(memory.cooling_in(&configured.cooldown)),
            decision,
        }
    }
}
