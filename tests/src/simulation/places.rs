//! What people and health checks do to where tasks are registered.

use super::dice::Dice;
use super::groups::{self, Place};
use super::history::History;
use super::scenario::{Plan, REGISTRIES};

impl History {
    /// The health of a task changes: no event says so.
    pub(super) fn change_health(&mut self) {
        let checked = |t: &&wharfinger_cloud::world::Task| t.is_running() && t.health.is_some();
        let found: Vec<_> = self
            .world
            .borrow()
            .tasks
            .values()
            .filter(checked)
            .map(|t| t.arn.clone())
            .collect();
        let Some(arn) = self.more.pick(&found).cloned() else {
            return;
        };
        let health = *self
            .more
            .pick(&["HEALTHY", "HEALTHY", "UNHEALTHY", "UNKNOWN"])
            .unwrap_or(&"HEALTHY");
        self.set_health(&arn, health);
    }

    pub(super) fn set_health(&mut self, arn: &str, health: &'static str) {
        let now = self.now();
        self.say(|_| format!("task {} is {health}", arn.rsplit('/').next().unwrap_or_default()));
        self.watch.health(arn, now);
        self.tally.deed("health of a task changed");
        self.world.borrow_mut().set_health(arn, Some(health));
    }

    /// The load balancer judges a target.
    pub(super) fn judge(&mut self) {
        let targets: Vec<_> = groups::targets(&self.world.borrow()).map(|(place, _)| place).collect();
        let Some((group, id, port)) = self.more.pick(&targets) else {
            return;
        };
        let state = *self
            .more
            .pick(&["healthy", "healthy", "unhealthy", "unused"])
            .unwrap_or(&"healthy");
        let mut world = self.world.borrow_mut();
        if world
            .groups
            .get_mut(group)
            .is_some_and(|group| group.judge(id, *port, state))
        {
            self.tally.deed("health of a target changed");
        }
    }

    /// Someone takes a target of ours out by hand: it drains.
    pub(super) fn drain_by_hand(&mut self) {
        let targets: Vec<Place> = groups::targets(&self.world.borrow())
            .filter(|(place, drains)| !drains && !self.scenario.foreign_targets.contains(place))
            .map(|(place, _)| place)
            .collect();
        if let Some(place) = self.more.pick(&targets) {
            groups::by_hand(&self.world, place, false);
            self.tally.deed("target taken out by hand");
            self.say(|_| format!("someone takes {}:{} out", place.1, place.2));
        }
    }

    /// Someone applies a configuration with other places for a target.
    pub(super) fn change_places(&mut self) {
        let place = self.more.index(self.scenario.targets.len());
        let now = self.now();
        let Some(plan) = self.scenario.targets.get_mut(place) else {
            return;
        };
        let first = (plan.entries.clone(), plan.groups.clone());
        let first = plan.first.get_or_insert(first).clone();
        let what = match self.more.weighted(&[20, 20, 20, 20, 10, 30]) {
            0 => take_out(&mut self.more, &mut plan.entries).then_some("registry taken out"),
            1 => move_entry(&mut self.more, plan).then_some("registry changed"),
            2 => take_out(&mut self.more, &mut plan.groups).then_some("target group taken out"),
            3 => move_group(&mut self.more, plan).then_some("target group changed"),
            4 => plan.prune().then_some("target pruned"),
            _ => {
                let changes = plan.pruned || (&plan.entries, &plan.groups) != (&first.0, &first.1);
                (plan.entries, plan.groups) = first;
                plan.pruned = false;
                changes.then_some("configuration put back")
            }
        };
        let Some(what) = what else { return };
        plan.changed = Some(now);
        plan.store(&mut self.world.borrow_mut());
        self.tally.deed(what);
        self.say(|h| {
            let plan = &h.scenario.targets[place];
            let registries: Vec<_> = plan.discovery().iter().map(|e| e.registry.as_str()).collect();
            let groups: Vec<_> = plan.balancing().iter().map(|e| e.group.as_str()).collect();
            format!(
                "someone applies: {what}: {} in {registries:?} and {groups:?}",
                plan.target
            )
        });
    }
}

impl Plan {
    /// What scales or is rolled out stays configured: what is to become of it then is not the matter here.
    fn prune(&mut self) -> bool {
        let can = !self.pruned && self.scaling.is_none() && self.delivery.is_none();
        if can {
            self.pruned = true;
            self.paused = None;
        }
        can
    }
}

fn take_out<T>(dice: &mut Dice, entries: &mut Vec<T>) -> bool {
    if entries.is_empty() {
        return false;
    }
    entries.remove(dice.index(entries.len()));
    true
}

/// Moves an entry to a registry that none of the others names.
fn move_entry(dice: &mut Dice, plan: &mut Plan) -> bool {
    let free: Vec<_> = REGISTRIES
        .into_iter()
        .filter(|registry| plan.entries.iter().all(|entry| entry.registry != *registry))
        .collect();
    let place = dice.index(plan.entries.len());
    let (Some(entry), Some(registry)) = (plan.entries.get_mut(place), dice.pick(&free)) else {
        return false;
    };
    (*registry).clone_into(&mut entry.registry);
    true
}

/// Moves an entry to a target group that none of the others names.
fn move_group(dice: &mut Dice, plan: &mut Plan) -> bool {
    let free: Vec<_> = groups::names()
        .filter(|group| plan.groups.iter().all(|entry| entry.group != *group))
        .collect();
    let place = dice.index(plan.groups.len());
    let (Some(entry), Some(group)) = (plan.groups.get_mut(place), dice.pick(&free)) else {
        return false;
    };
    (*group).clone_into(&mut entry.group);
    true
}
