//! How a history of a fleet ends: what waits for time gets it, what waits for people gets them or not, and then the checks
//! look.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::world::{Move, Rollout};
use wharfinger_core::report::Code;

use super::super::bus::Domain;
use super::super::checks::{Violation, pinned};
use super::super::history::History;

/// Longer than a lease, and than a function keeps what it read of the configuration.
const REST: SignedDuration = SignedDuration::from_secs(100);

/// How many passes a quiet world may take to come to rest.
const PASSES: usize = 400;

/// How many gates open without anything that comes of it before nothing is expected any more.
const OPENINGS: usize = 8;

/// What is the same when nothing happens any more.
#[derive(Debug, PartialEq)]
struct Picture {
    services: Vec<String>,
    revisions: usize,
    followers: BTreeMap<String, String>,
    waiting: Vec<Option<String>>,
}

impl Picture {
    /// Whether the same runs, whatever is waited for.
    fn shows_the_same(&self, other: &Self) -> bool {
        (&self.services, self.revisions, &self.followers) == (&other.services, other.revisions, &other.followers)
    }
}

impl History {
    /// The whole history, to its end.
    pub(in super::super) fn run_fleet(&mut self) -> Result<(), Violation> {
        self.fleet_noise()?;
        if let Some(fleet) = &mut self.fleet {
            fleet.out_until = Timestamp::MIN;
        }
        self.drain()?;
        self.quiet = true;
        let paused = self.scenario.targets.iter().filter_map(|p| p.paused);
        let paused = paused.map(|(_, until)| until).max();
        let left = paused.map_or(SignedDuration::ZERO, |until| until.duration_since(self.now()));
        self.advance(left.max(SignedDuration::ZERO) + REST);
        let people = self.dice.chance(600);
        self.come_to_port(people)?;
        self.watch.fleet_at_rest(&self.world.borrow(), &self.scenario)?;
        self.nothing_more()
    }

    /// Pass after pass, until neither ECS nor the function changes anything and no gate is to open.
    fn come_to_port(&mut self, people: bool) -> Result<(), Violation> {
        let (mut same, mut openings) = (0, 0);
        for pass in 0..PASSES {
            let before = self.picture_of_fleet();
            self.fleet_settles()?;
            if people {
                self.agree_to_all();
            }
            self.look_at(Domain::Delivery)?;
            if pass % 5 == 0 || same > 1 {
                self.sweep(Domain::Delivery)?;
            }
            let after = self.picture_of_fleet();
            if !after.shows_the_same(&before) {
                openings = 0;
            }
            same = if after == before { same + 1 } else { 0 };
            let under_way = self
                .scenario
                .targets
                .iter()
                .any(|p| self.memory(&p.target).is_under_way());
            // A window opens every hour, and may change nothing but what is waited for: someone has to agree as well, or the
            // image cannot be pulled.
            let next = self.next_opening().filter(|_| openings < OPENINGS);
            if same > 2 && !under_way && next.is_none() {
                return Ok(());
            }
            if same > 2 && next.is_some() {
                openings += 1;
            }
            // What hangs is ended after its time, and the last call for that is repeated every two minutes.
            let wait = match next {
                Some(at) if same > 2 => at.duration_since(self.now()) + SignedDuration::from_secs(2),
                _ => SignedDuration::from_mins(1),
            };
            self.advance(wait.max(SignedDuration::from_secs(1)));
        }
        Err(Violation::new(format!(
            "after {PASSES} passes something goes on changing: {:?}",
            self.picture_of_fleet()
        )))
    }

    /// When the next gate opens.
    fn next_opening(&self) -> Option<Timestamp> {
        let now = self.now();
        let until = |p: &super::super::scenario::Plan| self.memory(&p.target).waiting?.until;
        let times = self.scenario.targets.iter().filter_map(until);
        times.filter(|at| *at > now).min()
    }

    fn agree_to_all(&mut self) {
        for place in 0..self.scenario.targets.len() {
            let target = self.scenario.targets[place].target.clone();
            let waiting = self.memory(&target).waiting;
            let waiting = waiting.filter(|w| w.codes.contains(&Code::ApprovalNeeded));
            let Some(wish) = waiting.and_then(|w| w.wishes.into_values().next()) else {
                continue;
            };
            let holds =
                |p: &super::super::scenario::Plan| p.approvals.iter().any(|a| a.holds(&wish.digest, self.now()));
            if !holds(&self.scenario.targets[place]) {
                self.approve(place, &wish.digest);
            }
        }
    }

    /// ECS does what it can; a circuit breaker ends what does not come up.
    fn fleet_settles(&mut self) -> Result<(), Violation> {
        loop {
            let moves = self.possible_moves();
            let Some(a) = self.dice.pick(&moves).cloned() else {
                break;
            };
            self.make(&a);
            self.millis(20, 500);
        }
        self.settle_up()?;
        if self.dice.chance(200) {
            let stuck: Vec<_> = {
                let world = self.world.borrow();
                let of = |(target, d): (wharfinger_core::ids::Target, wharfinger_cloud::world::Deployment)| {
                    let plan = self.scenario.targets.iter().find(|p| p.target == target)?;
                    let hangs = d.rollout == Rollout::InProgress && pinned(&world, &d.definition).is_some();
                    (hangs && plan.breaker).then_some(target)
                };
                self.deployments().into_iter().filter_map(of).collect()
            };
            for target in stuck {
                self.make(&Move::Fail(target));
            }
        }
        self.drain()
    }

    fn picture_of_fleet(&self) -> Picture {
        let world = self.world.borrow();
        let targets = &self.scenario.targets;
        Picture {
            services: self
                .deployments()
                .into_values()
                .map(|d| format!("{} {:?}", d.definition, d.rollout))
                .collect(),
            revisions: targets
                .iter()
                .map(|p| world.definitions.revisions(&p.target.name))
                .sum(),
            followers: world
                .around
                .followers
                .iter()
                .map(|(f, raw)| (f.to_string(), raw.to_string()))
                .collect(),
            waiting: targets
                .iter()
                .map(|p| self.memory(&p.target).waiting.map(|w| format!("{:?}", w.wishes)))
                .collect(),
        }
    }

    /// Another sweep, and copies of events that were dealt with, change nothing.
    fn nothing_more(&mut self) -> Result<(), Violation> {
        let what = "a sweep of delivery that has nothing to do";
        self.still(what, |h| h.sweep(Domain::Delivery))?;
        for _ in 0..3 {
            let Some(parcel) = self.dice.pick(&self.handled).cloned() else {
                return Ok(());
            };
            if parcel
                .event
                .get("detail-type")
                .is_some_and(|kind| kind == "Scheduled Event")
            {
                continue;
            }
            let what = format!("a late copy of `{}`", super::super::bus::title(&parcel.event));
            self.still(&what, |h| h.run_alone(parcel.to, parcel.event))?;
        }
        Ok(())
    }
}
