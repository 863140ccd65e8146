//! Events on their way: schedules, EventBridge's delivery, Lambda's attempts.

use std::rc::Rc;

use jiff::SignedDuration;
use serde_json::Value;

use super::bus::{self, Domain, Parcel, RETRIES};
use super::history::History;
use super::invocation::{Environment, Lag, Running};
use super::scenario::Plan;

impl History {
    /// The schedules of `template.yaml`; an event that comes late is made up for by the next.
    pub(super) fn schedule(&mut self) {
        if !self.temper.sweeps && !self.silent {
            return;
        }
        let (now, all) = (self.now(), self.temper.sweeps);
        for domain in self.domains().filter(|domain| all || *domain == Domain::Scaling) {
            if self.next_sweep.get(&domain).is_some_and(|at| *at <= now) {
                self.next_sweep
                    .insert(domain, now.saturating_add(bus::SWEEPS_EVERY).unwrap_or(now));
                let event = self.tick();
                self.deliver(domain, event);
            }
        }
        if self.next_look <= now {
            let minute = SignedDuration::from_mins(1);
            self.next_look = now.saturating_add(minute).unwrap_or(now);
            for domain in self.domains() {
                let swept = all && self.asks_for_health();
                if (domain == Domain::Scaling || swept)
                    && let Some(event) = self.look(domain)
                {
                    self.deliver_looks(domain, &event);
                }
            }
        }
    }

    /// The schedule of every minute is as unreliable as all that is delivered; the next minute makes up for it.
    fn deliver_looks(&mut self, to: Domain, event: &Rc<Value>) {
        if self.silent && to == Domain::Scaling {
            if self.counts.chance(60) {
                self.tally.fault("pass of a minute lost");
                return;
            }
            if self.counts.chance(80) {
                self.tally.fault("pass of a minute delivered once more");
                self.deliver(to, Rc::clone(event));
            }
        }
        self.deliver(to, Rc::clone(event));
    }

    pub(super) fn deliver(&mut self, to: Domain, event: Rc<Value>) {
        let due = self.now();
        self.parcels.push(Parcel {
            to,
            event,
            due,
            tried: 0,
            first: None,
        });
    }

    /// Whether anyone looks for tasks that wait to be healthy.
    fn asks_for_health(&self) -> bool {
        let mut targets = self.scenario.targets.iter();
        !self.settings.plain && targets.any(Plan::asks_for_health)
    }

    /// The event of a function's schedule of every minute, if it has one.
    pub(super) fn look(&mut self, domain: Domain) -> Option<Rc<Value>> {
        let only = domain.looks_at()?;
        self.number += 1;
        Some(bus::look(self.now(), self.number, only))
    }

    pub(super) fn tick(&mut self) -> Rc<Value> {
        self.number += 1;
        bus::scheduled(self.now(), self.number)
    }

    pub(super) fn first_due(&self) -> Option<usize> {
        let now = self.now();
        self.parcels.iter().position(|p| p.due <= now)
    }

    pub(super) fn start_any(&mut self) {
        let now = self.now();
        let due: Vec<_> = (0..self.parcels.len())
            .filter(|i| self.parcels[*i].due <= now)
            .collect();
        if let Some(place) = self.dice.pick(&due) {
            let parcel = self.parcels.swap_remove(*place);
            self.start(parcel);
        }
    }

    pub(super) fn start(&mut self, parcel: Parcel) {
        let now = self.now();
        let idle = self.idle.entry(parcel.to).or_default();
        // Lambda takes whichever environment is free, or makes one.
        let environment = if idle.is_empty() || self.dice.chance(100) {
            let skew = i64::try_from(self.dice.below(401)).unwrap_or_default() - 200;
            Environment::new(parcel.to, SignedDuration::from_millis(skew))
        } else {
            idle.swap_remove(self.dice.index(idle.len()))
        };
        self.number += 1;
        self.tally.invocations += 1;
        let mut running = Running::start(&self.world, self.number, parcel, environment, self.settings.without);
        if self.dice.chance(self.temper.laggards) {
            running.lag = *self.dice.pick(&[Lag::Always, Lag::BeforeChange]).unwrap_or(&Lag::No);
        }
        match running.parcel.to {
            Domain::Balancing => self.watch.begins(&running.name, &running.parcel.event, now),
            Domain::Scaling => self.watch.looks(&running.name, &running.parcel.event, now),
            Domain::Discovery | Domain::Delivery | Domain::Capacity => {}
        }
        self.say(|_| {
            let again = if running.parcel.tried > 0 { " (again)" } else { "" };
            format!("{} starts{again}: {}", running.name, running.parcel.title())
        });
        self.running.push(running);
        let place = self.running.len() - 1;
        self.poll(place);
    }

    /// Lambda tries again, after one minute and after two more, or gives up.
    pub(super) fn again(&mut self, parcel: Parcel) {
        let tried = parcel.tried + 1;
        if tried > RETRIES {
            self.clean = false;
            self.tally.fault("event given up after three tries");
            self.say(|_| format!("given up: {}", parcel.title()));
            return;
        }
        let wait = SignedDuration::from_secs(60 * i64::from(tried));
        let due = self.now().saturating_add(wait).unwrap_or_else(|_| self.now());
        self.parcels.push(Parcel { due, tried, ..parcel });
    }

    /// What AWS sent goes on its way: lost, doubled or late, as the temper has it.
    pub(super) fn collect(&mut self) {
        let emitted = std::mem::take(&mut self.world.borrow_mut().emitted);
        for event in emitted {
            self.tally.events += 1;
            let event = Rc::new(event);
            for to in Domain::hears(&event) {
                if self.domains().any(|there| there == *to) {
                    self.send_on(*to, &event);
                }
            }
        }
    }

    fn send_on(&mut self, to: Domain, event: &Rc<Value>) {
        if self.quiet {
            self.deliver(to, Rc::clone(event));
            return;
        }
        if self.dice.chance(self.temper.lost) {
            self.clean = false;
            self.tally.fault("event lost");
            self.say(|_| format!("lost for {}: {}", to.name(), bus::title(event)));
            return;
        }
        self.send(to, event);
        while self.dice.chance(self.temper.twice) {
            self.tally.fault("event delivered once more");
            self.send(to, event);
        }
    }

    pub(super) fn send(&mut self, to: Domain, event: &Rc<Value>) {
        let [seconds, minutes, hours] = self.temper.late;
        let late = if self.dice.chance(hours) {
            self.dice.between(600_000, 86_400_000)
        } else if self.dice.chance(minutes) {
            self.dice.between(60_000, 900_000)
        } else if self.dice.chance(seconds) {
            self.dice.between(500, 60_000)
        } else {
            0
        };
        if late >= 60_000 {
            self.tally.fault("event late by minutes or hours");
        }
        let late = SignedDuration::from_millis(i64::try_from(late).unwrap_or_default());
        let due = self.now().saturating_add(late).unwrap_or_else(|_| self.now());
        self.parcels.push(Parcel {
            to,
            event: Rc::clone(event),
            due,
            tried: 0,
            first: None,
        });
    }
}
