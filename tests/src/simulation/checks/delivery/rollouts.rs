//! The calls of a rollout, as they are made.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::table::Item;
use wharfinger_cloud::world::{Deployment, Did, Rollout, World};
use wharfinger_core::config::asked::{Back, BackTo};
use wharfinger_core::delivery::Intent;
use wharfinger_core::ids::{Digest, Target};

use super::super::asked::back;
use super::super::{LEARNS, SKEW, Violation, Watch};
use super::{Hold, INVOCATION, Sent, Ships, memory, patience, pinned, short, timeout};
use crate::simulation::scenario::{DeliveryPlan, Scenario};
use crate::simulation::tally::Tally;

/// A revision without its image and without what ECS adds.
fn rest(world: &World, definition: &str) -> Option<Value> {
    let mut answer = world.definitions.find(definition)?.clone();
    let object = answer.get_mut("taskDefinition")?.as_object_mut()?;
    for added in ["taskDefinitionArn", "revision", "registeredAt"] {
        object.remove(added);
    }
    *answer.pointer_mut("/taskDefinition/containerDefinitions/0/image")? = Value::Null;
    Some(answer)
}

/// A rollout by us: of which service, from which revision, with which image.
pub(super) struct Step<'a> {
    pub(super) target: &'a Target,
    pub(super) from: &'a str,
    pub(super) digest: &'a Digest,
}

impl Watch {
    pub(in super::super) fn look_at_revision(item: &Item, arn: &str, did: &Did) -> Result<(), Violation> {
        if memory(item).intent.is_none() {
            return Err(Violation::new(format!(
                "{} registers {} without a stored intent",
                did.caller,
                short(arn)
            )));
        }
        Ok(())
    }

    /// A service is sent to a revision: back from one that does not come up, or out with an image.
    pub(in super::super) fn look_at_update(
        &mut self,
        (world, scenario): (&World, &Scenario),
        item: &Item,
        (target, from, to): (&Target, &str, &str),
        did: &Did,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        let memory = memory(item);
        if let Some(watched) = memory.watched.filter(|w| w.ending.is_some() && w.from == to)
            && memory.intent.is_none()
        {
            let deployments = world.services.get(target).map(|s| s.deployments.as_slice());
            let mut deployments = deployments.unwrap_or_default().iter();
            let ended = deployments.find(|d| d.definition == watched.to);
            return ended.map_or(Ok(()), |ended| self.look_at_end(world, scenario, (target, ended), did));
        }
        let what = format!("{} sends {target} from {} to {}", did.caller, short(from), short(to));
        let wrong = |why: String| Violation::new(format!("{what}: {why}"));
        let Some(intent) = memory.intent.filter(|i| i.registered.as_deref() == Some(to)) else {
            return Err(wrong("no such intent is stored".into()));
        };
        self.ships.used.insert(to.to_owned());
        if from == to {
            return Ok(());
        }
        self.ships.rollouts.push(Sent {
            target: target.clone(),
            to: to.to_owned(),
            back: intent.back.is_some(),
        });
        if let Some(asked) = &intent.back {
            tally.rollout("sent back as someone asked");
            let went = self.ships.goes_back(world, scenario, (target, from, to), asked);
            return went.map_err(wrong);
        }
        let Some(digest) = pinned(world, to) else {
            return Err(wrong("its image is not pinned".into()));
        };
        if rest(world, from) != rest(world, to) {
            return Err(wrong("they differ in more than the image".into()));
        }
        let step = Step {
            target,
            from,
            digest: &digest,
        };
        tally.rollout("image rolled out");
        self.ships
            .goes_out(world, scenario, &step, &intent, tally)
            .map_err(wrong)
    }

    /// A function ends a deployment that does not come up.
    pub(in super::super) fn look_at_end(
        &mut self,
        world: &World,
        scenario: &Scenario,
        (target, ended): (&Target, &Deployment),
        did: &Did,
    ) -> Result<(), Violation> {
        let age = world.now.duration_since(ended.since);
        let rules = self.ships.rules(scenario, target, world.now);
        let least = rules.iter().map(timeout).min().unwrap_or_default() + patience(world, target);
        if ended.rollout == Rollout::InProgress && age < least - INVOCATION {
            return Err(Violation::new(format!(
                "{} ends the deployment of {} in {target} after {age:#}",
                did.caller,
                short(&ended.definition)
            )));
        }
        self.ships.failed(world, target, &ended.definition);
        Ok(())
    }
}

impl Ships {
    /// An image goes out: wanted by a rule, newer, alone, once, through its gates.
    pub(super) fn goes_out(
        &mut self,
        world: &World,
        scenario: &Scenario,
        step: &Step<'_>,
        intent: &Intent,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let now = world.now;
        let rules = self.rules(scenario, step.target, now);
        let mut why = "nothing asks for it".to_owned();
        let mut allowed = None;
        for rule in &rules {
            match self.allows(world, scenario, step, rule) {
                Ok(through) => {
                    allowed = Some(through);
                    break;
                }
                Err(closed) => why = closed,
            }
        }
        let through = allowed.ok_or(why)?;
        for gate in through {
            tally.rollout(gate);
        }
        self.is_the_first(step, intent, now)?;
        let key = (step.target.clone(), step.digest.clone());
        self.held.remove(&key);
        self.sent.insert(key, now);
        Ok(())
    }

    fn allows(
        &self,
        world: &World,
        scenario: &Scenario,
        step: &Step<'_>,
        rule: &DeliveryPlan,
    ) -> Result<Vec<&'static str>, String> {
        let Some(pushed) = self.rank(rule, step.digest, world.now) else {
            return Err(format!("its tag is not wanted by {:?}", rule.tags));
        };
        let looked = back(world.now, INVOCATION);
        let before = pinned(world, step.from).and_then(|d| self.rank(rule, &d, looked));
        // What someone else deployed may be newer than what another service has proved.
        let handed = rule.gates.after.is_some() && self.handed.contains_key(step.target);
        if before.is_some_and(|before| before > pushed) && !handed {
            return Err(format!("{pushed:?} is older than {before:?}"));
        }
        self.is_alone(world, step, rule)?;
        let within = (back(world.now, INVOCATION + SKEW), world.now);
        self.gates(scenario, (step.target, rule), step.digest, within)
    }

    /// Nothing else is being deployed, unless it has taken too long.
    fn is_alone(&self, world: &World, step: &Step<'_>, rule: &DeliveryPlan) -> Result<(), String> {
        let service = world.services.get(step.target);
        let Some(other) = service.and_then(|s| s.deployments.get(1)) else {
            return Ok(());
        };
        let age = world.now.duration_since(other.since);
        let until = timeout(rule) + patience(world, step.target) - INVOCATION;
        let just = |at: &Timestamp| world.now.duration_since(*at) < INVOCATION;
        let ours = self.used.contains(&other.definition) && !self.handed.get(step.target).is_some_and(just);
        let seen = if ours {
            SignedDuration::ZERO
        } else {
            INVOCATION + SignedDuration::from_secs(8)
        };
        if other.rollout == Rollout::InProgress && (seen..until).contains(&age) {
            let whose = if ours { "of ours " } else { "" };
            return Err(format!(
                "a deployment {whose}of {} has been in progress since {}",
                short(&other.definition),
                other.since
            ));
        }
        Ok(())
    }

    /// An image goes out again only when someone asked for that since.
    fn is_the_first(&self, step: &Step<'_>, intent: &Intent, now: Timestamp) -> Result<(), String> {
        let key = (step.target.clone(), step.digest.clone());
        let agreed = |since: Timestamp| {
            let mut approvals = self.approvals.iter();
            approvals.any(|a| a.target == key.0 && a.digest == key.1 && a.at > since)
        };
        let asked = |since: Timestamp| {
            let since = back(since, LEARNS);
            let rules = self.rules.get(&key.0.to_string()).into_iter().flatten().skip(1);
            let backs = self.backs.get(&key.0).into_iter().flatten();
            let pushes = self.pushes.iter().filter(|((_, digest), _)| *digest == key.1);
            let pushes = pushes.flat_map(|(_, pushes)| pushes.iter().map(|(_, at)| *at));
            let mut times = rules.map(|(at, _)| *at).chain(backs.copied()).chain(pushes);
            times.any(|at| at > since)
        };
        let digest = step.digest.short();
        match self.held.get(&key) {
            Some((at, Hold::Failed)) if !agreed(*at) => {
                return Err(format!(
                    "{digest} failed or was taken back at {at}, and nobody agreed to it since"
                ));
            }
            Some((at, Hold::Left)) if !agreed(*at) && !asked(*at) => {
                return Err(format!("{digest} was left for an earlier revision at {at}"));
            }
            _ => {}
        }
        match self.sent.get(&key) {
            Some(at) if !agreed(*at) && !asked(*at) => Err(format!(
                "{digest} went out at {at} already, and goes out again at {now} by the intent of {}",
                intent.at
            )),
            _ => Ok(()),
        }
    }

    /// A target goes back: a person asked for just that. What it leaves is not to go out again.
    pub(super) fn goes_back(
        &mut self,
        world: &World,
        scenario: &Scenario,
        (target, from, to): (&Target, &str, &str),
        asked: &Back,
    ) -> Result<(), String> {
        if !self.backs.get(target).is_some_and(|backs| backs.contains(&asked.at)) {
            return Err("nobody asked for that".into());
        }
        let leads = match &asked.to {
            BackTo::Revision(name) => short(name) == short(to),
            BackTo::Image { wish, .. } => pinned(world, to).as_ref() == Some(&wish.digest),
        };
        if !leads {
            return Err(format!("someone asked for {:?}", asked.to));
        }
        let goes_to = pinned(world, to);
        let leaves = pinned(world, from);
        for rule in self.rules(scenario, target, world.now) {
            let next = super::rest::best(world, &rule).filter(|next| Some(next) != goes_to.as_ref());
            let Some(next) = next else { continue };
            let key = (target.clone(), next);
            if leaves.as_ref() == Some(&key.1) && self.sent.contains_key(&key) {
                self.held.insert(key, (back(world.now, INVOCATION), Hold::Failed));
            }
        }
        // Which was next by what was heard of by then is not known here.
        let all = self.pushes.keys().map(|(_, digest)| (target.clone(), digest.clone()));
        self.left
            .extend(all.filter(|(_, digest)| Some(digest) != goes_to.as_ref()));
        if let Some(digest) = goes_to {
            self.held.remove(&(target.clone(), digest));
        }
        Ok(())
    }
}
