//! Histories of delivery: services with gates that wait for each other, families that are run on schedules, images that do
//! not come up, what people ask, and outages. Nothing is registered anywhere in them, so that many of their steps are
//! rollouts.

mod ecs;
mod people;
mod plans;
mod quiet;
mod registry;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::ids::{Digest, Target};

pub use plans::{FAMILY, Gates, Stretch};

use super::bus::{self, Domain};
use super::checks::Violation;
use super::history::History;
use super::scenario::DeliveryPlan;

/// The share of histories that are of this kind, per mille.
pub const SHARE: u64 = 400;

/// The calls of a rollout, and those that tell what is to be rolled out: what harm befalls them is counted for itself.
pub const CALLS: [&str; 9] = [
    "RegisterTaskDefinition",
    "UpdateService",
    "StopServiceDeployment",
    "PutTargets",
    "UpdateSchedule",
    "PutEvents",
    "PutParameter",
    "DescribeImages",
    "DescribeImageScanFindings",
];

/// What only such a history has.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Images whose tasks do not come up.
    bad: BTreeSet<Digest>,
    /// The images that were pushed: repository, tag, digest, when.
    images: Vec<(String, String, Digest, Timestamp)>,
    /// Until when nothing is started.
    out_until: Timestamp,
    /// The deployments that are not held by a PAUSE hook any more.
    let_go: BTreeSet<String>,
    /// The rules that the targets had at first, once they were changed.
    first: BTreeMap<Target, DeliveryPlan>,
}

impl History {
    /// What happens until the world falls quiet.
    pub(super) fn fleet_noise(&mut self) -> Result<(), Violation> {
        for _ in 0..self.temper.steps * 3 {
            self.act_in_fleet()?;
        }
        self.say(|_| "the world falls quiet".into());
        Ok(())
    }

    fn act_in_fleet(&mut self) -> Result<(), Violation> {
        self.schedule_in_fleet();
        let out = self.is_out();
        let startable = !out && self.running.len() < self.temper.concurrency && self.first_due().is_some();
        let busy = u64::from(!self.running.is_empty());
        let moves = self.possible_moves();
        let idle = 1 - busy;
        let weights = [
            busy * 1_000,
            u64::from(startable) * 300,
            u64::from(!moves.is_empty()) * 250,
            60 + 60 * idle,
            self.temper.clock + 150 * idle,
            busy * self.temper.kills,
        ];
        match self.dice.weighted(&weights) {
            0 => self.step_in_fleet()?,
            1 => self.start_any(),
            2 => self.go_on(),
            3 => self.people_and_chance(),
            4 => self.time_passes(),
            _ => self.kill_any(),
        }
        self.settle_up()
    }

    /// One call; an invocation may die right after it.
    fn step_in_fleet(&mut self) -> Result<(), Violation> {
        let place = self.dice.index(self.running.len());
        let Some(running) = self.running.get(place) else {
            return Ok(());
        };
        let name = running.name.clone();
        let calls = self.tally.calls;
        self.step_one(place)?;
        let last = self
            .last_call
            .filter(|call| CALLS.contains(call) && self.tally.calls != calls);
        if let (Some(call), Some(place)) = (last, self.running.iter().position(|r| r.name == name))
            && self.dice.chance(self.temper.kills)
        {
            self.tally.struck(call, "killed after it");
            self.kill(place, "invocation killed");
        }
        Ok(())
    }

    fn time_passes(&mut self) {
        match (self.running.is_empty(), self.temper.pauses) {
            (true, _) => self.millis(1_000, 180_000),
            (false, true) => self.millis(100, 30_000),
            (false, false) => self.millis(10, 800),
        }
    }

    /// The schedules: the pass of a minute, as unreliable as all that is delivered, and sweeps in some histories.
    fn schedule_in_fleet(&mut self) {
        let now = self.now();
        let is_due = self.next_sweep.get(&Domain::Delivery).is_some_and(|at| *at <= now);
        if self.temper.sweeps && is_due {
            let next = now.saturating_add(bus::SWEEPS_EVERY).unwrap_or(now);
            self.next_sweep.insert(Domain::Delivery, next);
            let event = self.tick();
            self.deliver_in_fleet(Domain::Delivery, event);
        }
        if self.next_look <= now {
            self.next_look = now.saturating_add(SignedDuration::from_mins(1)).unwrap_or(now);
            if let Some(event) = self.look(Domain::Delivery) {
                self.deliver_in_fleet(Domain::Delivery, event);
            }
        }
    }

    fn deliver_in_fleet(&mut self, to: Domain, event: std::rc::Rc<serde_json::Value>) {
        // What a schedule sends while nothing answers is old when something does.
        if self.is_out() || self.dice.chance(60) {
            self.tally.fault("pass or sweep of delivery lost");
            return;
        }
        if self.dice.chance(60) {
            self.tally.fault("pass or sweep of delivery delivered once more");
            self.deliver(to, std::rc::Rc::clone(&event));
        }
        self.deliver(to, event);
    }

    /// Whether the function cannot be reached.
    fn is_out(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| self.now() < fleet.out_until)
    }

    fn people_and_chance(&mut self) {
        let weights = [30, 25, 18, 6, 5, 8, 5, 4, 10, 12, 3, 4, 3];
        match self.dice.weighted(&weights) {
            0 => self.push_to_fleet(),
            1 => self.scan_something(),
            2 => self.approve_something(),
            3 => self.ask_back(),
            4 => self.pause_or_resume(),
            5 => self.change_rule(),
            6 => self.deploy_something(),
            7 => self.set_some_count(),
            8 => self.break_off(),
            9 => self.let_go(),
            10 => self.fall_out(),
            11 => self.crash_a_task(),
            _ => self.archive(),
        }
    }
}
