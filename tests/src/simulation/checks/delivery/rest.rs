//! What must hold once the world is quiet.

use jiff::Timestamp;
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::world::{Rollout, World};
use wharfinger_core::delivery::Memory;
use wharfinger_core::ids::{Digest, Target, TargetKind};

use super::super::asked::later;
use super::super::{Violation, Watch};
use super::{Pushed, Ships, memory, patience, pinned, short, tagged, timeout};
use crate::simulation::scenario::{DeliveryPlan, Plan, Scenario};

/// The image that a rule wants of those that the registry has.
pub(super) fn best(world: &World, rule: &DeliveryPlan) -> Option<Digest> {
    let tags = world.repositories.tags(&rule.repository);
    let wanted = tags.filter_map(|(tag, digest, at)| Some((Pushed::new(rule, tag, at)?, digest.clone())));
    wanted.max().map(|(_, digest)| digest)
}

fn remembered(world: &World, target: &Target) -> Memory {
    world
        .tables
        .state
        .get(&service_key(target))
        .map(memory)
        .unwrap_or_default()
}

/// The revision that a target has.
fn revision(world: &World, target: &Target) -> Option<String> {
    match target.kind {
        TargetKind::Service => Some(world.services.get(target)?.primary()?.definition.clone()),
        TargetKind::Cluster => None,
        TargetKind::Task => {
            let answer = world.definitions.find(&target.name)?;
            let arn = answer.pointer("/taskDefinition/taskDefinitionArn")?;
            Some(arn.as_str()?.to_owned())
        }
    }
}

impl Ships {
    /// The image that a rule asks for.
    fn wanted(&self, world: &World, rule: &DeliveryPlan) -> Option<Digest> {
        let Some(source) = &rule.gates.after else {
            return best(world, rule);
        };
        // By the tag under which it was proved, or by the newest push.
        let newest = best(world, rule);
        let proved = remembered(world, source).proved.into_values().map(|proof| proof.wish);
        let proved = proved.filter(|wish| {
            Pushed::new(rule, &wish.tag, wish.pushed_at).is_some() || newest.as_ref() == Some(&wish.digest)
        });
        let ranked = proved.filter_map(|wish| Some((self.rank(rule, &wish.digest, world.now)?, wish.digest)));
        ranked.max().map(|(_, digest)| digest)
    }

    /// Whether the status says why a target does not have what it is to have, and that is so.
    fn is_explained(&self, world: &World, scenario: &Scenario, plan: &Plan, wanted: &Digest) -> Result<(), String> {
        let target = &plan.target;
        let Some(rule) = &plan.delivery else { return Ok(()) };
        let key = (target.clone(), wanted.clone());
        let memory = remembered(world, target);
        let kept = memory.quarantined(wanted, &plan.approvals, world.now);
        // Someone may have deployed by hand, meanwhile, what another had asked us for.
        let asked = |at: Timestamp| {
            self.backs
                .get(target)
                .is_some_and(|backs| backs.iter().any(|asked| *asked <= at))
        };
        let kept = kept.is_some_and(|held| self.left.contains(&key) || asked(held.at));
        let done = memory.done.get(&rule.repository);
        let drifted = self.handed.contains_key(target) && done.is_some_and(|done| done.digest == *wanted);
        // A promoted image whose tag has moved on waits for what the tag names now.
        let mut tags = world.repositories.tags(&rule.repository);
        let tagged = tags.any(|(tag, digest, at)| digest == wanted && Pushed::new(rule, tag, at).is_some());
        if !tagged || self.archived.contains(wanted) || drifted || kept {
            return Ok(());
        }
        let waiting = memory.waiting.as_ref();
        let wish = waiting.and_then(|waiting| waiting.wishes.get(&rule.repository));
        if wish.is_none_or(|wish| wish.digest != *wanted) {
            return Err(format!("nothing says why it has not {wanted}; it remembers {memory:?}"));
        }
        // Someone else's, which does not come up, is waited for until its time is over.
        let primary = world.services.get(target).and_then(|service| service.primary());
        let is_young = |since: Timestamp| later(since, timeout(rule) + patience(world, target)) >= world.now;
        let in_the_way = primary.is_some_and(|d| d.rollout == Rollout::InProgress && is_young(d.since));
        match self.gates(scenario, (target, rule), wanted, (world.now, world.now)) {
            Err(_) => Ok(()),
            Ok(_) if in_the_way => Ok(()),
            Ok(_) => Err(format!("it waits though every gate is open to {wanted}: {waiting:?}")),
        }
    }
}

impl Watch {
    pub(in super::super) fn revision_at_rest(
        &self,
        world: &World,
        scenario: &Scenario,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let (target, Some(rule)) = (&plan.target, &plan.delivery) else {
            return Ok(());
        };
        let Some(has) = revision(world, target) else {
            return Ok(());
        };
        let wrong = |why: String| Violation::new(format!("{target} rests on {}: {why}", short(&has)));
        let digest = pinned(world, &has);
        if let Some(wanted) = self.ships.wanted(world, rule)
            && digest.as_ref() != Some(&wanted)
        {
            let better =
                |has: &Digest| self.ships.rank(rule, has, world.now) > self.ships.rank(rule, &wanted, world.now);
            // Of a tag that someone deployed only the version is known.
            let rank = self.ships.rank(rule, &wanted, world.now);
            let newer = |tag: String| Pushed::new(rule, &tag, world.now).map(|p| p.version) > rank.map(|p| p.version);
            let better = digest.as_ref().is_some_and(better) || tagged(world, &has).is_some_and(newer);
            if !(rule.gates.after.is_some() && better) {
                let explained = self.ships.is_explained(world, scenario, plan, &wanted);
                explained.map_err(wrong)?;
            }
        }
        let made = world.definitions.revisions(&target.name).saturating_sub(1);
        let of = |arn: &&String| short(arn).split(':').next() == Some(&target.name);
        let used = self.ships.used.union(&self.ships.by_hand).filter(of).count();
        let faults = self.faults.get("delivery").copied().unwrap_or_default();
        if (made - used.min(made)) as u64 > faults {
            return Err(wrong(format!(
                "{made} revisions were registered, {used} used, {faults} faults"
            )));
        }
        Ok(())
    }

    /// What must hold of a fleet.
    ///
    /// # Errors
    /// When it does not.
    pub fn fleet_at_rest(&self, world: &World, scenario: &Scenario) -> Result<(), Violation> {
        for plan in &scenario.targets {
            self.revision_at_rest(world, scenario, plan)?;
            self.proves_what_it_has(world, plan)?;
            self.told_at_rest(world, &plan.target, &remembered(world, &plan.target))?;
            if plan.target.kind == TargetKind::Task {
                self.followers_at_rest(world, &plan.target)?;
            }
        }
        Ok(())
    }

    /// What a service runs as it is wanted is proved, unless it was taken back before.
    fn proves_what_it_has(&self, world: &World, plan: &Plan) -> Result<(), Violation> {
        let (target, Some(rule)) = (&plan.target, &plan.delivery) else {
            return Ok(());
        };
        let up = world.services.get(target).and_then(|s| s.primary());
        let up = up.filter(|d| d.rollout == Rollout::Completed);
        let Some(has) = up.and_then(|d| pinned(world, &d.definition)) else {
            return Ok(());
        };
        let proves = |p: &wharfinger_core::delivery::Proof| p.wish.digest == has;
        let wants = self.ships.wanted(world, rule).as_ref() == Some(&has);
        let memory = remembered(world, target);
        let is_held = memory.quarantine.iter().any(|held| held.digest == has);
        if wants && !is_held && !memory.proved.values().any(proves) {
            return Err(Violation::new(format!(
                "{target} has {has}, as it is to, and has not proved it"
            )));
        }
        Ok(())
    }
}
