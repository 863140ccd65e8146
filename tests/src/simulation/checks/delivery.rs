//! Revisions: the newest wanted image, once, and nothing else changed.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::table::{Item, attribute};
use wharfinger_cloud::world::{Deployment, Did, Rollout, World};
use wharfinger_core::delivery::Memory;
use wharfinger_core::ids::{Digest, Target};

use super::{Violation, Watch, plan};
use crate::simulation::scenario::{DeliveryPlan, Scenario, Tags};

/// A look and its call are in one invocation, which ends after this.
const INVOCATION: SignedDuration = SignedDuration::from_secs(60);

/// A deployment that takes longer than this holds nothing up (`rollback.timeout`, when it is not written).
const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

/// An image that was pushed, in the order of its policy: greater is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pushed {
    version: Option<u64>,
    at: Timestamp,
}

/// How often an image was rolled out, and when that was decided last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    times: u64,
    decided: Timestamp,
}

impl Pushed {
    pub(super) fn new(plan: &DeliveryPlan, tag: &str, at: Timestamp) -> Self {
        let version = match plan.tags {
            Tags::Versions => version(tag),
            Tags::Main => (tag == "main").then_some(0),
        };
        Self { version, at }
    }
}

/// The minor number of `1.N.0`.
fn version(tag: &str) -> Option<u64> {
    tag.strip_prefix("1.")?.strip_suffix(".0")?.parse().ok()
}

fn image(world: &World, definition: &str) -> Option<String> {
    world
        .definitions
        .containers(definition)
        .into_iter()
        .find(|(name, _)| name == "app")
        .map(|(_, image)| image)
}

/// The digest to which the application's image is pinned.
pub(super) fn digest(world: &World, definition: &str) -> Option<Digest> {
    image(world, definition)?.split_once('@')?.1.parse().ok()
}

fn short(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or(definition)
}

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

impl Watch {
    pub(super) fn look_at_revision(item: &Item, arn: &str, did: &Did) -> Result<(), Violation> {
        let memory: Option<Memory> = attribute(item, "delivery").ok().flatten();
        if memory.and_then(|m| m.intent).is_none() {
            return Err(Violation::new(format!(
                "{} registers {} without a stored intent",
                did.caller,
                short(arn)
            )));
        }
        Ok(())
    }

    /// A service is sent to a revision: back from one that does not come up, or out with an image.
    pub(super) fn look_at_update(
        &mut self,
        world: &World,
        scenario: &Scenario,
        item: &Item,
        (target, from, to): (&Target, &str, &str),
        did: &Did,
    ) -> Result<(), Violation> {
        let memory: Memory = attribute(item, "delivery").ok().flatten().unwrap_or_default();
        let watched = memory.watched.filter(|w| w.ending.is_some() && w.from == to);
        let Some(watched) = watched else {
            return self.look_at_rollout(world, scenario, item, (target, from, to), did);
        };
        let deployments = world.services.get(target).map(|s| s.deployments.as_slice());
        let ended = deployments
            .unwrap_or_default()
            .iter()
            .find(|d| d.definition == watched.to);
        ended.map_or(Ok(()), |ended| self.look_at_end(world, target, ended, did))
    }

    fn look_at_rollout(
        &mut self,
        world: &World,
        scenario: &Scenario,
        item: &Item,
        (target, from, to): (&Target, &str, &str),
        did: &Did,
    ) -> Result<(), Violation> {
        let what = format!("{} sends {target} from {} to {}", did.caller, short(from), short(to));
        let wrong = |why: String| Err(Violation::new(format!("{what}: {why}")));
        let memory: Memory = attribute(item, "delivery").ok().flatten().unwrap_or_default();
        let Some(intent) = memory.intent.filter(|i| i.registered.as_deref() == Some(to)) else {
            return wrong("no such intent is stored".into());
        };
        self.used.insert(to.to_owned());
        if from == to {
            return Ok(());
        }
        if plan(scenario, target).is_none_or(|p| p.delivery.is_none()) {
            return wrong("nothing asks for it".into());
        }
        let Some(digest) = digest(world, to) else {
            return wrong("its image is not pinned".into());
        };
        let before = self::digest(world, from).and_then(|d| self.pushes.get(&d));
        let Some(pushed) = self.pushes.get(&digest) else {
            return wrong(format!("nobody pushed {digest}"));
        };
        if pushed.version.is_none() {
            return wrong("its tag is not wanted".into());
        }
        if before.is_some_and(|before| before > pushed) {
            return wrong(format!("{pushed:?} is older than {before:?}"));
        }
        if rest(world, from) != rest(world, to) {
            return wrong("they differ in more than the image".into());
        }
        let interrupted = world.services.get(target).and_then(|s| s.deployments.get(1));
        if let Some(other) = interrupted.filter(|d| d.rollout == Rollout::InProgress)
            && (INVOCATION..TIMEOUT - INVOCATION).contains(&intent.at.duration_since(other.since))
        {
            return wrong(format!(
                "a deployment of {} has been in progress since {}",
                short(&other.definition),
                other.since
            ));
        }
        let key = (target.clone(), digest.clone());
        let before = self.rollouts.get(&key).copied();
        // The answer of the call was lost, and ECS went back before anyone looked: what DescribeServices says is then the
        // same as if the call had never been made.
        let unseen = before.is_some_and(|b| b.decided == intent.at) && self.given_up.contains(&key);
        let times = before.map_or(1, |b| b.times + u64::from(!unseen));
        self.rollouts.insert(
            key,
            Times {
                times,
                decided: intent.at,
            },
        );
        if times > 1 {
            return wrong(format!("{} is rolled out {times} times", digest.short()));
        }
        Ok(())
    }

    /// A function ends a deployment that does not come up.
    pub(super) fn look_at_end(
        &mut self,
        world: &World,
        target: &Target,
        ended: &Deployment,
        did: &Did,
    ) -> Result<(), Violation> {
        let age = world.now.duration_since(ended.since);
        if ended.rollout != Rollout::Failed && age < TIMEOUT - INVOCATION {
            return Err(Violation::new(format!(
                "{} ends the deployment of {} in {target} after {age:#}",
                did.caller,
                short(&ended.definition)
            )));
        }
        if let Some(digest) = digest(world, &ended.definition) {
            self.given_up.insert((target.clone(), digest));
        }
        Ok(())
    }

    pub(super) fn revision_at_rest(
        &self,
        world: &World,
        target: &Target,
        plan: &DeliveryPlan,
    ) -> Result<(), Violation> {
        let Some(primary) = world.services.get(target).and_then(|s| s.primary()) else {
            return Ok(());
        };
        let has = digest(world, &primary.definition);
        let tags = world.repositories.tags(&plan.repository);
        let wanted = tags.filter_map(|(tag, digest, at)| {
            let pushed = Pushed::new(plan, tag, at);
            pushed.version.is_some().then(|| (pushed, digest.clone()))
        });
        let wrong = |why: String| {
            Err(Violation::new(format!(
                "{target} rests on {}: {why}",
                short(&primary.definition)
            )))
        };
        if let Some((pushed, wanted)) = wanted.max()
            && has.as_ref() != Some(&wanted)
            && !self.given_up.contains(&(target.clone(), wanted.clone()))
        {
            return wrong(format!("it has {has:?}, wanted is {wanted} {pushed:?}"));
        }
        let made = world.definitions.revisions(&target.name).saturating_sub(1);
        let used = self
            .used
            .iter()
            .filter(|arn| short(arn).split(':').next() == Some(&target.name))
            .count();
        let faults = self.faults.get("delivery").copied().unwrap_or_default();
        if (made - used.min(made)) as u64 > faults {
            return wrong(format!(
                "{made} revisions were registered, {used} used, {faults} faults"
            ));
        }
        Ok(())
    }
}
