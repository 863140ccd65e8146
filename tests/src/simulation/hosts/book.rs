//! What is true of each instance: whether anything asks for it to go, since when its agent is silent, and which lifecycle
//! actions wait with it. The functions know none of this but by events and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::table::{Item, Key, attribute};
use wharfinger_cloud::world::{Machine, World};
use wharfinger_core::capacity::{Causes, InstanceStatus};
use wharfinger_core::event::TaskStatus;

use super::Numbers;
use super::checks::holder;
use super::plan::AFTER;
use crate::simulation::checks::Violation;
use crate::simulation::scenario::CLUSTER;

/// What was asked for a moment ago may be done still: an invocation lasts a minute, and groups are believed after two.
const LEEWAY: SignedDuration = SignedDuration::from_secs(150);

/// More than clocks differ, and than events leave out of a second.
pub(super) const CLOCKS: SignedDuration = SignedDuration::from_secs(2);

/// A lifecycle action.
#[derive(Debug, Clone)]
pub(super) struct Action {
    /// The instance.
    pub id: String,
    /// Its token.
    pub token: String,
    /// Since when it waits.
    pub since: Timestamp,
    /// Since when the row of the instance has it.
    pub known: Option<Timestamp>,
    /// When it last began to wait for a heartbeat.
    pub beat: Timestamp,
    /// Since when its instance drains and is empty.
    pub empty: Option<Timestamp>,
    /// Whether and how it ended.
    pub ended: Option<(Timestamp, Ended)>,
}

/// How a lifecycle action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was completed, and so many tasks were left.
    Completed(usize),
    /// No heartbeat came.
    TimedOut,
    /// The instance was taken meanwhile.
    Taken,
}

/// What an invocation knew when it last looked under the lease.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When it first did: what the clock makes of it may have been so then.
    pub at: Timestamp,
    /// The instances that have a reason to go by their rows, when it last did.
    pub going: BTreeSet<String>,
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// From when until when something asks for an instance to go.
    asked: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// Since when agents are silent.
    pub silent: BTreeMap<String, Timestamp>,
    /// Instances that somebody drained.
    pub by_hand: BTreeSet<String>,
    /// Instances that start anew with another root volume, and when their agent is there.
    pub roots: BTreeMap<String, Timestamp>,
    /// Every lifecycle action.
    pub actions: Vec<Action>,
    /// What invocations that run have seen.
    pub looks: BTreeMap<String, Look>,
    /// Instances of which a look that ended well had known that they go.
    pub known: BTreeSet<String>,
    /// When passes of capacity that ended well had begun.
    pub passes: Vec<Timestamp>,
    /// Instances that were taken.
    taken: BTreeSet<String>,
    /// The callers of which an invocation failed or died.
    pub failed: BTreeSet<String>,
    /// Who completed an action, when, and what was left.
    pub completed: Vec<(Timestamp, Rc<str>, String, usize)>,
    /// What was found while nothing could be said of it.
    pub violation: Option<Violation>,
    /// Numbers.
    pub numbers: Numbers,
}

impl Book {
    /// Something asks for an instance to go.
    pub(super) fn asked(&mut self, id: &str, at: Timestamp) {
        self.asked.entry(id.to_owned()).or_insert((at, None));
    }

    /// Nothing asks for it any more.
    pub(super) fn stays(&mut self, id: &str, at: Timestamp) {
        if let Some((_, until)) = self.asked.get_mut(id) {
            until.get_or_insert(at);
        }
    }

    /// Whether there is a reason for an instance to go, or was a moment ago.
    pub(super) fn goes(&self, id: &str, at: Timestamp) -> bool {
        let recently = |until: Timestamp| at.duration_since(until) <= LEEWAY;
        let asked = self.asked.get(id);
        let asked = asked.is_some_and(|(from, until)| *from <= at + CLOCKS && until.is_none_or(recently));
        asked || self.is_dead(id, at)
    }

    /// Whether something asked for it to go already at a time, and does still.
    pub(super) fn is_asked(&self, id: &str, at: Timestamp) -> bool {
        let asked = self.asked.get(id);
        asked.is_some_and(|(from, until)| *from + CLOCKS <= at && until.is_none())
    }

    /// Whether an agent was silent for long enough.
    pub(super) fn is_dead(&self, id: &str, at: Timestamp) -> bool {
        let silent = self.silent.get(id);
        silent.is_some_and(|since| at.duration_since(*since) + CLOCKS >= AFTER)
    }

    /// An instance dies, with what runs on it.
    pub(super) fn dies(&mut self, world: &World, id: &str, why: &'static str) {
        let left = left(world, id);
        *self.numbers.died.entry(why).or_default() += left as u64;
        self.taken.insert(id.to_owned());
    }

    /// The lifecycle action of an instance that waits.
    pub(super) fn open(&mut self, id: &str) -> Option<&mut Action> {
        self.actions
            .iter_mut()
            .rev()
            .find(|action| action.id == id && action.ended.is_none())
    }

    /// Looks which lifecycle actions began, are known, have nothing more to wait for, and ended.
    pub(super) fn look_at_actions(&mut self, world: &World) {
        let now = world.now;
        for group in world.fleet.groups.values() {
            for (id, member) in &group.members {
                let Some(waits) = &member.waits else { continue };
                if self.actions.iter().rev().any(|action| action.token == waits.token) {
                    continue;
                }
                self.asked(id, waits.since);
                self.numbers.hooks += 1;
                self.actions.push(Action {
                    id: id.clone(),
                    token: waits.token.clone(),
                    since: waits.since,
                    known: None,
                    beat: waits.since,
                    empty: None,
                    ended: None,
                });
            }
        }
        for action in self.actions.iter_mut().filter(|action| action.ended.is_none()) {
            if action.known.is_none() && is_known(world, action) {
                action.known = Some(now);
            }
            let drains = world
                .machine(&action.id)
                .is_some_and(|(_, m)| m.status == InstanceStatus::Draining);
            if action.empty.is_none() && drains && left(world, &action.id) == 0 {
                action.empty = Some(now);
            }
            if !waits(world, action) {
                let taken = self.taken.contains(&action.id);
                action.ended = Some((now, if taken { Ended::Taken } else { Ended::TimedOut }));
            }
        }
        let over = self
            .actions
            .iter()
            .filter_map(|action| Some((&action.id, action.ended?.0)));
        let back = over.filter(|(id, _)| world.fleet.groups.values().any(|group| group.members.contains_key(*id)));
        let back: Vec<_> = back.map(|(id, at)| (id.clone(), at)).collect();
        for (id, at) in back {
            self.stays(&id, at);
        }
    }

    /// Whether an instance starts anew with another root volume.
    pub(super) fn is_restarted(&self, world: &World, id: &str) -> bool {
        let action = self.actions.iter().rev().find(|action| action.id == id);
        let ended = action.is_some_and(|action| action.ended.is_some_and(|(_, ended)| ended != Ended::Taken));
        let mut members = world.fleet.groups.values().filter_map(|group| group.members.get(id));
        ended && members.any(|member| member.waits.is_none())
    }

    /// A look ended well: what it knew to go is known to go.
    pub(super) fn learns(&mut self, name: &str) {
        let Some(look) = self.looks.get(name) else { return };
        let known: Vec<_> = look
            .going
            .iter()
            .filter(|id| self.is_asked(id, look.at))
            .cloned()
            .collect();
        self.known.extend(known);
    }

    /// ECS placed another task: where was it, by what was known?
    pub(super) fn placed(&mut self, world: &World) {
        let task = world.tasks.values().next_back();
        let machine = task.and_then(|task| by_arn(world, &task.placement.as_ref()?.container_instance));
        if machine.is_some_and(|machine| self.known.contains(&machine.id) && self.is_asked(&machine.id, world.now)) {
            self.numbers.twice += 1;
        }
    }

    /// An invocation looks: what it can know.
    pub(super) fn looks(&mut self, world: &World, name: &str) {
        if holder(world) != Some(name) {
            return;
        }
        let rows = rows(world).filter(|(_, causes)| causes.is_reason_to_go());
        let going = rows.map(|(id, _)| id).collect();
        let at = self.looks.get(name).map_or(world.now, |look| look.at);
        self.looks.insert(name.to_owned(), Look { at, going });
    }
}

/// The rows of instances, and why they go.
pub(super) fn rows(world: &World) -> impl Iterator<Item = (String, Causes)> {
    let partition = format!("going#{CLUSTER}");
    let all = world.tables.state.iter().filter(move |(key, _)| key.pk == partition);
    all.map(|(key, item)| (key.sk.clone(), causes(item)))
}

fn causes(item: &Item) -> Causes {
    attribute(item, "causes").ok().flatten().unwrap_or_default()
}

fn is_known(world: &World, action: &Action) -> bool {
    let key = Key::new(format!("going#{CLUSTER}"), action.id.as_str());
    let hooks = world.tables.state.get(&key).map(|item| causes(item).hooks);
    hooks.is_some_and(|hooks| hooks.values().any(|hook| hook.token == action.token))
}

fn waits(world: &World, action: &Action) -> bool {
    let mut members = world
        .fleet
        .groups
        .values()
        .filter_map(|group| group.members.get(&action.id));
    members.any(|member| member.waits.as_ref().is_some_and(|waits| waits.token == action.token))
}

/// How many tasks are left on a machine.
pub(super) fn left(world: &World, id: &str) -> usize {
    let Some((arn, _)) = world.machine(id) else { return 0 };
    let here = world.tasks.values().filter(|task| {
        let placed = task.placement.as_ref();
        placed.is_some_and(|placed| placed.container_instance == *arn)
            && !matches!(task.status, TaskStatus::Deprovisioning | TaskStatus::Stopped)
    });
    here.count()
}

/// A machine of the cluster, by the ARN of its container instance.
pub(super) fn by_arn<'a>(world: &'a World, arn: &str) -> Option<&'a Machine> {
    world.fleet.machines.get(arn)
}
