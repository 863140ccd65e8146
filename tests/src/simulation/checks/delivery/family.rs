//! Families: the newest revision is what runs next, and what runs it on a schedule follows.

use serde_json::Value;
use wharfinger_cloud::table::Item;
use wharfinger_cloud::world::{Did, World};
use wharfinger_core::delivery::{Follower, Move};
use wharfinger_core::ids::Target;

use super::super::{Violation, Watch, held};
use super::rollouts::Step;
use super::{Sent, memory, number, pinned, short};
use crate::simulation::fleet::FAMILY;
use crate::simulation::scenario::{CLUSTER, Scenario};
use crate::simulation::tally::Tally;

/// What only an answer has, and the one field that may change.
fn rest(follower: &Follower, raw: &Value) -> Value {
    let mut raw = raw.clone();
    if let Some(fields) = raw
        .as_object_mut()
        .filter(|_| matches!(follower, Follower::Schedule { .. }))
    {
        for answered in ["Arn", "CreationDate", "LastModificationDate"] {
            fields.remove(answered);
        }
    }
    if let Some(definition) = raw.pointer_mut(pointer(follower)) {
        *definition = Value::Null;
    }
    raw
}

const fn pointer(follower: &Follower) -> &'static str {
    match follower {
        Follower::Rule { .. } => "/EcsParameters/TaskDefinitionArn",
        Follower::Schedule { .. } => "/Target/EcsParameters/TaskDefinitionArn",
    }
}

fn runs<'a>(follower: &Follower, raw: &'a Value) -> &'a str {
    raw.pointer(pointer(follower))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl Watch {
    /// A revision of the family was registered: it is what is rolled out.
    pub(in super::super) fn look_at_family(
        &mut self,
        (world, scenario): (&World, &Scenario),
        item: &Item,
        (target, arn): (&Target, &str),
        did: &Did,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        let wrong = |why: String| Violation::new(format!("{} registers {}: {why}", did.caller, short(arn)));
        let Some(intent) = memory(item).intent else {
            return Err(wrong("no intent is stored".into()));
        };
        let Some(digest) = pinned(world, arn) else {
            return Err(wrong("its image is not pinned".into()));
        };
        self.ships.used.insert(arn.to_owned());
        let again = (digest.clone(), did.caller.to_string());
        // The SDK repeats a call whose answer was lost.
        if self.ships.registered.insert(target.clone(), again.clone()) == Some(again) {
            return Ok(());
        }
        self.ships.rollouts.push(Sent {
            target: target.clone(),
            to: arn.to_owned(),
            back: intent.back.is_some(),
        });
        if let Some(asked) = &intent.back {
            tally.rollout("family sent back as someone asked");
            return self
                .ships
                .goes_back(world, scenario, (target, &intent.base, arn), asked)
                .map_err(wrong);
        }
        tally.rollout("image given to a family");
        if pinned(world, &intent.base).as_ref() == Some(&digest) {
            return Err(wrong(format!("{} has the image already", short(&intent.base))));
        }
        let step = Step {
            target,
            from: &intent.base,
            digest: &digest,
        };
        self.ships
            .goes_out(world, scenario, &step, &intent, tally)
            .map_err(wrong)
    }

    /// What runs the family on a schedule moves to a newer revision, and nothing else of it changes.
    pub(in super::super) fn look_at_move(
        &mut self,
        world: &World,
        to: &Move,
        did: &Did,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        let target = Target::task(CLUSTER, FAMILY);
        held(world, &target, did)?;
        let wrong = |why: String| Err(Violation::new(format!("{} moves {}: {why}", did.caller, to.follower)));
        let Some(now) = world.around.followers.get(&to.follower) else {
            return wrong("it is not there".into());
        };
        let Some(before) = self.ships.followers.insert(to.follower.clone(), now.clone()) else {
            return wrong("it was not there".into());
        };
        let (from, is) = (runs(&to.follower, &before), runs(&to.follower, now));
        if from == is {
            return Ok(());
        }
        if rest(&to.follower, &before) != rest(&to.follower, now) {
            return wrong(format!("{before} becomes {now}"));
        }
        if number(from) >= number(is) || !from.contains(&format!("/{FAMILY}:")) || !self.ships.used.contains(is) {
            return wrong(format!("from {} to {}", short(from), short(is)));
        }
        tally.rollout(match to.follower {
            Follower::Rule { .. } => "target of a rule moved",
            Follower::Schedule { .. } => "schedule moved",
        });
        Ok(())
    }

    /// What runs an older revision of the family than our newest one is left behind.
    pub(super) fn followers_at_rest(&self, world: &World, target: &Target) -> Result<(), Violation> {
        // One whose answer was lost is not known once someone has registered another.
        let ours = self.ships.used.intersection(&self.ships.settled);
        let ours = ours.filter(|arn| arn.contains(&format!("/{}:", target.name)));
        let Some(newest) = ours.max_by_key(|arn| number(arn)) else {
            return Ok(());
        };
        for (follower, raw) in &world.around.followers {
            let is = runs(follower, raw);
            let cluster = raw.to_string().contains(&format!("cluster/{CLUSTER}\""));
            let pinned = is.contains(&format!("/{}:", target.name));
            if cluster && pinned && number(is) < number(newest) && !world.around.managed.contains(follower) {
                return Err(Violation::new(format!(
                    "{follower} still runs {}, not {}",
                    short(is),
                    short(newest)
                )));
            }
        }
        Ok(())
    }
}
