//! What ECS does in a fleet, and what it does not: images that never come up, hooks that hold a deployment, outages.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use wharfinger_cloud::world::{Deployment, Move, Rollout, Task, World};
use wharfinger_core::event::TaskStatus;
use wharfinger_core::ids::{Digest, Target};

use super::super::checks::pinned;
use super::super::history::History;

/// How many moves ECS makes at once.
const HURRY: u64 = 6;

impl History {
    /// What ECS can do next.
    pub(super) fn possible_moves(&self) -> Vec<Move> {
        let world = self.world.borrow();
        let mut moves = world.moves();
        moves.retain(|a| match a {
            Move::Advance(arn) => world.tasks.get(arn).is_none_or(|task| self.comes_up(&world, task)),
            Move::Complete(target) => !self.is_held(&world, target),
            _ => true,
        });
        moves
    }

    fn comes_up(&self, world: &World, task: &Task) -> bool {
        let last_step = task.wanted && task.status == TaskStatus::Activating;
        !last_step || !self.is_bad(pinned(world, &task.definition).as_ref())
    }

    fn is_bad(&self, digest: Option<&Digest>) -> bool {
        let bad = self.fleet.as_ref().map(|fleet| &fleet.bad);
        digest.is_some_and(|digest| bad.is_some_and(|bad| bad.contains(digest)))
    }

    /// Whether a hook holds the service's deployment.
    fn is_held(&self, world: &World, target: &Target) -> bool {
        let Some(service) = world.services.get(target) else {
            return false;
        };
        let let_go = |d: &Deployment| self.fleet.as_ref().is_some_and(|fleet| fleet.let_go.contains(&d.id));
        let primary = service.primary();
        !self.quiet
            && !service.patience.is_zero()
            && primary.is_some_and(|d| d.rollout == Rollout::InProgress && !let_go(d))
    }

    /// ECS goes on with some of what it does.
    pub(super) fn go_on(&mut self) {
        for _ in 0..=self.dice.below(HURRY) {
            let moves = self.possible_moves();
            let Some(a) = self.dice.pick(&moves).cloned() else {
                return;
            };
            self.make(&a);
            self.millis(20, 1_500);
        }
    }

    /// The circuit breaker of a service ends a deployment: mostly one that does not come up.
    pub(super) fn break_off(&mut self) {
        let anything = self.dice.chance(100);
        let found: Vec<_> = {
            let world = self.world.borrow();
            let breaks = |(target, service): (&Target, &wharfinger_cloud::world::Service)| {
                let plan = self.scenario.targets.iter().find(|p| p.target == *target)?;
                let primary = service.primary().filter(|d| d.rollout == Rollout::InProgress)?;
                let bad = self.is_bad(pinned(&world, &primary.definition).as_ref());
                (plan.breaker && (bad || anything)).then(|| target.clone())
            };
            world.services.iter().filter_map(breaks).collect()
        };
        if let Some(target) = self.dice.pick(&found).cloned() {
            self.tally.deed("circuit breaker of a fleet went back");
            self.make(&Move::Fail(target));
        }
    }

    /// Someone lets a deployment go on that a PAUSE hook holds.
    pub(super) fn let_go(&mut self) {
        let held: Vec<_> = {
            let world = self.world.borrow();
            let id = |target: &Target| Some(world.services.get(target)?.primary()?.id.clone());
            let services = world.services.keys();
            services.filter(|t| self.is_held(&world, t)).filter_map(id).collect()
        };
        if let Some(id) = self.dice.pick(&held).cloned() {
            self.say(|_| format!("someone lets {id} go on"));
            self.tally.deed("held deployment let go");
            if let Some(fleet) = &mut self.fleet {
                fleet.let_go.insert(id);
            }
        }
    }

    /// The function cannot be reached for a while; what ran is gone.
    pub(super) fn fall_out(&mut self) {
        // Mostly minutes, sometimes longer than any rollout may take.
        let minutes = i64::try_from(self.dice.between(2, 15)).unwrap_or_default();
        let factor = *self.dice.pick(&[1, 1, 6]).unwrap_or(&1);
        let until = self.now().saturating_add(SignedDuration::from_mins(minutes * factor));
        let until = until.unwrap_or_else(|_| self.now());
        self.say(|_| format!("the function cannot be reached until {until}"));
        self.tally.fault("outage of delivery");
        if let Some(fleet) = &mut self.fleet {
            fleet.out_until = until;
        }
        while !self.running.is_empty() {
            self.kill(0, "invocation killed");
        }
        self.outlast(minutes * factor);
    }

    /// The world goes on meanwhile.
    fn outlast(&mut self, minutes: i64) {
        for _ in 0..minutes.min(20) {
            self.go_on();
            self.advance(SignedDuration::from_secs(20));
        }
        if self.dice.chance(200) {
            self.break_off();
        }
    }

    pub(super) fn crash_a_task(&mut self) {
        let running: Vec<_> = {
            let world = self.world.borrow();
            let running = world.tasks.values().filter(|t| t.is_running());
            running.map(|t| t.arn.clone()).collect()
        };
        if let Some(arn) = self.dice.pick(&running).cloned() {
            self.make(&Move::Stop(arn));
        }
    }

    pub(super) fn set_some_count(&mut self) {
        let services: Vec<_> = self.world.borrow().services.keys().cloned().collect();
        let Some(target) = self.dice.pick(&services).cloned() else {
            return;
        };
        let count = u32::try_from(self.dice.below(3)).unwrap_or_default();
        self.say(|_| format!("someone sets {target} to {count} tasks"));
        self.world.borrow_mut().set_count(&target, count);
    }

    /// What each service has at the moment, by its deployment.
    pub(super) fn deployments(&self) -> BTreeMap<Target, Deployment> {
        let world = self.world.borrow();
        let primary = |(target, service): (&Target, &wharfinger_cloud::world::Service)| {
            Some((target.clone(), service.primary()?.clone()))
        };
        world.services.iter().filter_map(primary).collect()
    }
}
