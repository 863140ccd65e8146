//! What is done about a cluster's instances, in one plan: first all that go are drained, so that no task moves from one to
//! the next (amazon-ecs-agent #130), and only then is anything completed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::action::{Action, STATES_AT_ONCE, State};
use super::cause::{goes, is_waiting, stays, waits_untold};
use super::said::Said;
use super::{Causes, Did, Facts, Going, dead, drain, returns};
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason};

/// A decision, and what is to be remembered of it.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Decided {
    /// The calls, and why.
    pub decision: Decision<Action>,
    /// What is stored before the calls, by EC2 id, where it changes: what must not be forgotten should one of them be the last
    /// thing that is done.
    pub before: BTreeMap<String, Did>,
    /// What is stored once all calls are made, where it differs from what was known.
    pub after: BTreeMap<String, Did>,
    /// Whether something is to be expected within minutes: then the cluster is looked at every minute.
    pub busy: bool,
}

/// The plan as it grows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// ARNs of container instances that are drained.
    pub(super) drained: Vec<String>,
    /// ARNs of those that return.
    pub(super) activated: Vec<String>,
    /// EC2 ids of those that are given up.
    pub(super) given_up: Vec<String>,
    /// Tasks that are stopped.
    pub(super) stopped: Vec<Action>,
    /// Heartbeats.
    pub(super) heartbeats: Vec<Action>,
    /// Completions.
    pub(super) completed: Vec<Action>,
    /// What is said.
    pub(super) said: Said,
    /// What else must be known.
    pub(super) missing: Vec<&'static str>,
    /// What was done, by EC2 id, once all calls are made.
    pub(super) did: BTreeMap<String, Did>,
    /// Whether something is waited for.
    pub(super) waits: bool,
    /// Whether something is to be expected within minutes.
    pub(super) busy: bool,
}

impl Plan {
    /// What is remembered of an instance, to be changed.
    pub(super) fn did(&mut self, id: &str) -> &mut Did {
        self.did.entry(id.to_owned()).or_default()
    }

    fn actions(&mut self, cluster: &str) -> Vec<Action> {
        let states = |arns: &[String], status| {
            let chunks = arns.chunks(STATES_AT_ONCE);
            let call = |arns: &[String]| Action::UpdateContainerInstancesState {
                cluster: cluster.to_owned(),
                container_instances: arns.to_vec(),
                status,
            };
            chunks.map(call).collect::<Vec<_>>()
        };
        let mut actions = states(&self.drained, State::Draining);
        actions.extend(states(&self.activated, State::Active));
        let given_up = std::mem::take(&mut self.given_up).into_iter();
        actions.extend(given_up.map(|instance| Action::SetInstanceHealth { instance }));
        actions.append(&mut self.stopped);
        actions.append(&mut self.heartbeats);
        actions.append(&mut self.completed);
        actions
    }
}

/// What is to be done about a cluster's instances now.
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    let Known::Yes(_) = &facts.instances else {
        return unknown(facts, now);
    };
    let mut plan = Plan {
        did: facts
            .going
            .iter()
            .map(|(id, going)| (id.clone(), going.did.clone()))
            .collect(),
        ..Plan::default()
    };
    dead::look(facts, &mut plan, now);
    for (id, going) in &facts.going {
        if !going.is_over() {
            look(facts, &mut plan, id, going, now);
        }
    }
    dead::replace(facts, &mut plan, now);
    finish(facts, plan, now)
}

fn look(facts: &Facts, plan: &mut Plan, id: &str, going: &Going, now: Timestamp) {
    let Some(instance) = facts.instance(id) else {
        return drain::unregistered(facts, plan, id, going, now);
    };
    let did = plan.did(id);
    did.container_instance = Some(instance.arn.clone());
    did.over = None;
    if is_waiting(facts, id) {
        if waits_untold(going, now) {
            did.found_waiting.get_or_insert(now);
        } else if going.open().next().is_some() {
            did.found_waiting = None;
        }
    } else if facts.scaling != Known::No && did.found_waiting.take().is_some() {
        // What was completed by name may wait again another time.
        did.completed.retain(|key, _| !key.contains('/'));
    }
    let found = Going {
        causes: going.causes.clone(),
        did: did.clone(),
    };
    if found.causes == Causes::default() && found.did.is_idle() {
        // It was silent for a while, and nothing came of it.
        plan.did(id).over = Some(found.causes);
        return;
    }
    if let Some(cause) = goes(facts, id, &found, now) {
        return drain::drain(facts, plan, id, &found, cause, instance, now);
    }
    if let Some((code, why)) = stays(facts, going, now) {
        plan.waits |= code == Code::MaintenanceLater;
        plan.said.of(code, id, why);
    }
    returns::returns(facts, plan, id, &found, instance, now);
}

/// No answer tells of the instances. Where the configuration alone says that none of them goes, none is needed.
fn unknown(facts: &Facts, now: Timestamp) -> Decided {
    let open = || facts.going.iter().filter(|(_, going)| !going.is_over());
    let nothing = open().next().is_none() && !facts.whole;
    let idle = open().all(|(id, going)| going.did.is_idle() && goes(facts, id, going, now).is_none());
    let mut plan = Plan::default();
    for (id, going) in open().filter(|_| idle && !facts.whole) {
        if let Some((code, why)) = stays(facts, going, now) {
            plan.waits |= code == Code::MaintenanceLater;
            plan.said.of(code, id, why);
        }
    }
    if !plan.said.is_empty() {
        return finish(facts, plan, now);
    }
    let decision = if nothing {
        let message = format!("nothing is known to go in {}", facts.target);
        Decision::without_calls(Outcome::Ignore, Reason::new(Code::NothingGoes, message))
    } else {
        let message = format!("which container instances of {} these are is not known", facts.target);
        let mut decision = Decision::needs("ListContainerInstances", Reason::new(Code::FactsMissing, message));
        decision.missing.push("DescribeContainerInstances");
        decision
    };
    Decided {
        decision,
        before: BTreeMap::new(),
        after: BTreeMap::new(),
        busy: !nothing,
    }
}

fn finish(facts: &Facts, mut plan: Plan, now: Timestamp) -> Decided {
    let actions = plan.actions(&facts.target.cluster);
    let mut missing = std::mem::take(&mut plan.missing);
    missing.sort_unstable();
    missing.dedup();
    let mut reasons = std::mem::take(&mut plan.said).reasons();
    if reasons.is_empty() {
        let message = format!("nothing goes in {}", facts.target);
        reasons.push(Reason::new(Code::NothingGoes, message));
    }
    let waits = plan.waits || !missing.is_empty();
    let mut decision = Decision::of(actions, reasons);
    decision.missing = missing;
    if decision.actions.is_empty() && waits {
        decision.outcome = Outcome::Wait;
    }
    if facts.capacity.dry_run && !decision.actions.is_empty() {
        return dry(decision, plan.busy);
    }
    let known = |id: &String| facts.going.get(id).map(|going| &going.did);
    let changed = |(id, did): &(String, Did)| known(id).map_or(*did != Did::default(), |known| known != did);
    let after: BTreeMap<_, _> = plan.did.into_iter().filter(changed).collect();
    let intent = |(id, did): (&String, &Did)| {
        let mut intent = known(id).cloned().unwrap_or_default();
        intent.container_instance.clone_from(&did.container_instance);
        intent.drained_at = did.drained_at;
        intent.unhealthy_at = did.unhealthy_at;
        (known(id) != Some(&intent)).then(|| (id.clone(), intent))
    };
    // A call that was begun counts as made: a drained instance is known to be ours, and the share is never exceeded.
    let begun = |did: &Did| did.drained_at == Some(now) || did.unhealthy_at == Some(now);
    let before = after.iter().filter(|(_, did)| begun(did)).filter_map(intent).collect();
    Decided {
        decision,
        before,
        after,
        busy: plan.busy,
    }
}

/// Every step is said, none is made, and none is remembered as made.
fn dry(decision: Decision<Action>, busy: bool) -> Decided {
    Decided {
        decision: decision.dry(),
        before: BTreeMap::new(),
        after: BTreeMap::new(),
        busy,
    }
}
