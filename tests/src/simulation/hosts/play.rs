//! How a history of instances goes on: what is due is done, what is on its way arrives, and calls go through one by one.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_cloud::world::What;

use crate::simulation::bus::{Domain, SWEEPS_EVERY};
use crate::simulation::checks::Violation;
use crate::simulation::history::History;
use crate::simulation::invocation::Running;

/// How often one is picked by chance before it is looked for.
const TRIES: usize = 8;

impl History {
    /// Plays until a time.
    pub(super) fn play_until(&mut self, end: Timestamp) -> Result<(), Violation> {
        while self.now() < end {
            self.schedule_for_hosts();
            self.do_deeds();
            self.take_turn()?;
            let startable = self.running.len() < self.temper.concurrency && self.first_due().is_some();
            let busy = !self.running.is_empty();
            if startable && (!busy || self.dice.chance(300)) {
                self.start_any();
            } else if self.dice.chance(200) && self.world.borrow().map.running().next().is_some() {
                self.finish_operation();
            } else if busy {
                self.step_of_hosts(end)?;
            } else {
                self.skip(end);
            }
            self.settle_up()?;
        }
        Ok(())
    }

    /// A call lasts so long. Where hundreds of invocations run, they do so side by side.
    pub(in super::super) fn lasts(&mut self, low: u64, high: u64) {
        if self.settings.hosts.is_none() {
            return self.millis(low, high);
        }
        let micros = self.dice.between(low * 1_000, high * 1_000) / (self.running.len() as u64).max(1);
        let by = i64::try_from(micros).unwrap_or_default();
        self.advance(SignedDuration::from_micros(by * self.hosts.pace()));
    }

    /// Nothing is to be done now: on to what is next.
    fn skip(&mut self, end: Timestamp) {
        let now = self.now();
        let parcels = self.parcels.iter().map(|parcel| parcel.due);
        let sweeps = self.next_sweep.values().copied();
        let deed = self.hosts.deeds.front().map(|(at, _)| *at);
        let others = [self.hosts.next_turn, self.next_look, end];
        let later = parcels.filter(|due| *due > now || self.running.is_empty());
        let next = later.chain(sweeps).chain(deed).chain(others).chain(self.wakes()).min();
        let wait = next.map_or(SignedDuration::ZERO, |next| next.duration_since(now));
        self.advance(wait.max(SignedDuration::from_millis(1)));
    }

    /// An invocation that can go on now. While others wait for the lease, time does not run ahead to where they wake.
    fn ready(&mut self) -> Option<usize> {
        let now = self.now();
        let is_ready = |running: &Running| {
            let mut stops = running.gates.stops().into_iter();
            stops.any(|stop| !matches!(stop.what, What::Sleep(until) if until > now))
        };
        for _ in 0..TRIES {
            let place = self.dice.index(self.running.len());
            if self.running.get(place).is_some_and(is_ready) {
                return Some(place);
            }
        }
        self.running.iter().position(is_ready)
    }

    /// When the next of those that sleep wakes.
    fn wakes(&self) -> Option<Timestamp> {
        let stops = self.running.iter().flat_map(|running| running.gates.stops());
        let sleeps = stops.filter_map(|stop| match stop.what {
            What::Sleep(until) => Some(until),
            What::Call { .. } => None,
        });
        sleeps.min()
    }

    /// One call of one invocation; it may die right after it.
    fn step_of_hosts(&mut self, end: Timestamp) -> Result<(), Violation> {
        let Some(place) = self.ready() else {
            self.skip(end);
            return Ok(());
        };
        let Some(running) = self.running.get(place) else {
            return Ok(());
        };
        let (name, domain) = (running.name.clone(), running.parcel.to);
        let calls = self.tally.calls;
        self.step_one(place)?;
        let Some(call) = self.last_call.filter(|_| self.tally.calls != calls) else {
            return Ok(());
        };
        if !self.hosts.beginning {
            *self.hosts.book.numbers.calls.entry(call).or_default() += 1;
        }
        if domain == Domain::Capacity && call == "Query" {
            self.hosts.book.looks(&self.world.borrow(), &name);
        }
        let there = self.running.iter().position(|running| running.name == name);
        if let (Some(place), false) = (there, self.quiet)
            && self.dice.chance(self.temper.kills)
        {
            self.hosts.book.failed.insert(name.clone());
            self.hosts.book.looks.remove(&name);
            self.kill(place, "invocation killed");
        }
        Ok(())
    }

    /// The schedules: sweeps, and the passes of a minute.
    fn schedule_for_hosts(&mut self) {
        let now = self.now();
        for domain in Domain::HOSTS {
            if self.next_sweep.get(&domain).is_none_or(|at| *at <= now) {
                self.next_sweep.insert(domain, now + SWEEPS_EVERY);
                let event = self.tick();
                self.deliver_to_hosts(domain, &event);
            }
        }
        if self.next_look <= now {
            self.next_look = now + SignedDuration::from_mins(1);
            for domain in Domain::HOSTS {
                if let Some(event) = self.look(domain) {
                    self.deliver_to_hosts(domain, &event);
                }
            }
        }
    }

    fn deliver_to_hosts(&mut self, to: Domain, event: &Rc<Value>) {
        if !self.quiet && self.dice.chance(60) {
            self.tally.fault("pass or sweep lost");
            return;
        }
        if !self.quiet && self.dice.chance(60) {
            self.tally.fault("pass or sweep delivered once more");
            self.deliver(to, Rc::clone(event));
        }
        self.deliver(to, Rc::clone(event));
    }
}
