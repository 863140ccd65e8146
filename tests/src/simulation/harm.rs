//! What goes wrong on purpose.

use wharfinger_cloud::error::Kind;
use wharfinger_cloud::world::Fate;

use super::fleet::CALLS;
use super::history::History;

impl History {
    pub(super) fn fate(&mut self, operation: &'static str, writes: bool) -> Fate {
        if self.quiet {
            return Fate::Fine;
        }
        if matches!(
            operation,
            "DescribeServices" | "DeregisterInstance" | "DescribeTargetHealth"
        ) && self.dice.chance(self.temper.lags)
        {
            self.clean = false;
            self.tally.fault("answer that may lag behind the last change");
            return Fate::Lagging;
        }
        let of_fleet = self.fleet.is_some() && CALLS.contains(&operation);
        let share = if of_fleet {
            2 * self.temper.faults
        } else {
            self.temper.faults
        };
        if !self.dice.chance(share) {
            return Fate::Fine;
        }
        let (kind, patience) = match self.dice.index(4) {
            0 => (Kind::Throttled, 5_000),
            1 => (Kind::TimedOut, 20_000),
            2 => (Kind::Unavailable, 3_000),
            _ => (Kind::Unreadable, 500),
        };
        // The SDK has tried for a while before it gives up.
        self.lasts(10, patience);
        let (fate, name) = match (self.dice.index(3), writes, kind) {
            (0, true, _) => (Fate::Twice, "answer lost, call repeated by the SDK"),
            (1, true, Kind::TimedOut | Kind::Unavailable | Kind::Unreadable) => {
                (Fate::After(kind), "error after the effect")
            }
            (_, _, Kind::Throttled) => (Fate::Before(kind), "throttled"),
            (_, _, Kind::TimedOut) => (Fate::Before(kind), "timed out before the effect"),
            _ => (Fate::Before(kind), "error before the effect"),
        };
        let now = self.now();
        self.watch.fault(&self.last, operation, now);
        self.tally.unanswered(operation);
        self.tally.fault(name);
        if of_fleet {
            self.tally.struck(operation, name);
        }
        fate
    }

    pub(super) fn kill_any(&mut self) {
        if !self.running.is_empty() {
            let place = self.dice.index(self.running.len());
            self.kill(place, "invocation killed");
        }
    }

    pub(super) fn kill(&mut self, place: usize, how: &'static str) {
        let running = self.running.swap_remove(place);
        self.say(|_| format!("{}: {how}", running.name));
        self.tally.fault(how);
        let now = self.now();
        self.watch.fault(&running.name, how, now);
        self.watch.looked(&self.scenario, &running.name, false, now);
        self.clean = false;
        if self.dice.chance(700) {
            self.again(running.parcel);
        }
    }

    pub(super) fn time_out(&mut self) {
        let now = self.now();
        while let Some(place) = self.running.iter().position(|r| r.deadline <= now) {
            self.kill(place, "invocation timed out");
        }
    }

    pub(super) fn finish_operation(&mut self) {
        let running: Vec<_> = self.world.borrow().map.running().map(|o| o.id.clone()).collect();
        let Some(id) = self.dice.pick(&running).cloned() else {
            return;
        };
        let succeeds = self.quiet || !self.dice.chance(self.temper.failing_operations);
        if !succeeds {
            self.clean = false;
            self.tally.fault("Cloud Map operation failed");
        }
        self.say(|_| format!("Cloud Map: {id} {}", if succeeds { "is done" } else { "FAILS" }));
        self.world.borrow_mut().map.finish(&id, succeeds);
    }
}
