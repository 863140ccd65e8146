//! What people and chance do to the world.

use jiff::SignedDuration;
use wharfinger_cloud::table::{AttributeValue, Key};
use wharfinger_cloud::world::{Move, Task};
use wharfinger_core::ids::{Target, TargetKind};

use super::bus::{self, Domain, Parcel};
use super::history::History;
use super::invocation::{Lag, Running};
use super::scenario::{THRESHOLD, Tags, digest};

impl History {
    /// The world makes a move of its own.
    pub(super) fn make(&mut self, a: &Move) {
        self.say(|_| a.to_string());
        match a {
            Move::Fail(target) => self.watch.gave_up(&self.world.borrow(), target),
            Move::Forget(arn) => self.watch.forgets(&self.world.borrow(), &self.scenario, arn),
            Move::Heal(arn) => {
                let now = self.now();
                self.watch.health(arn, now);
            }
            _ => {}
        }
        self.world.borrow_mut().make(a);
    }

    /// Something that nobody foresaw.
    pub(super) fn disturb(&mut self) {
        let more = u64::from(!self.settings.plain);
        let rough = more * u64::from(!self.temper.gentle);
        let races = self.temper.races;
        let weights = [
            30,
            25,
            self.temper.crashes,
            10,
            8,
            4,
            6,
            4,
            4,
            3,
            races,
            25 * rough,
            12 * rough,
            4 * rough,
            8 * more,
        ];
        match self.dice.weighted(&weights) {
            0 => self.flip_alarm(),
            1 => self.push_image(),
            2 => self.make_with_task(Task::is_running, Move::Stop),
            3 => self.make_with_task(|t| !t.is_running(), Move::Forget),
            4 => self.make_with_target(TargetKind::Task, Move::Start),
            5 => self.set_count(),
            6 => self.make_with_target(TargetKind::Service, Move::Fail),
            7 => self.change_lane(),
            8 => self.corrupt(),
            9 => self.pause(),
            10 => self.overtake(),
            11 => self.change_health(),
            12 => self.change_places(),
            13 => self.drain_by_hand(),
            _ => self.judge(),
        }
    }

    fn make_with_task(&mut self, which: impl Fn(&Task) -> bool, to: impl Fn(String) -> Move) {
        let arns: Vec<_> = self
            .world
            .borrow()
            .tasks
            .values()
            .filter(|t| which(t))
            .map(|t| t.arn.clone())
            .collect();
        if let Some(arn) = self.dice.pick(&arns).cloned() {
            self.make(&to(arn));
        }
    }

    fn make_with_target(&mut self, kind: TargetKind, to: impl Fn(Target) -> Move) {
        let targets: Vec<_> = self
            .scenario
            .targets
            .iter()
            .map(|p| p.target.clone())
            .filter(|t| t.kind == kind)
            .collect();
        if let Some(target) = self.dice.pick(&targets).cloned() {
            self.make(&to(target));
        }
    }

    fn flip_alarm(&mut self) {
        let alarms: Vec<_> = self
            .scenario
            .targets
            .iter()
            .filter_map(|p| p.scaling.as_ref())
            .flat_map(|s| s.rules.alarms())
            .collect();
        let Some(name) = self.dice.pick(&alarms).cloned() else {
            return;
        };
        let value = *self
            .dice
            .pick(&["ALARM", "ALARM", "OK", "OK", "INSUFFICIENT_DATA"])
            .unwrap_or(&"OK");
        let above = f64::from(u32::try_from(self.dice.below(40)).unwrap_or_default());
        let reading = (value == "ALARM").then_some(THRESHOLD + above);
        // No two transitions of an alarm have the same millisecond.
        self.advance(SignedDuration::from_millis(1));
        if self.world.borrow_mut().set_alarm(&name, value, reading) {
            self.say(|_| format!("alarm {name} is {value}"));
            let now = self.now();
            self.watch.alarm(&name, value == "ALARM", now);
            if let Some(value) = reading {
                self.watch.value(&name, value, now);
            }
        }
    }

    fn push_image(&mut self) {
        let plans: Vec<_> = self
            .scenario
            .targets
            .iter()
            .filter_map(|p| p.delivery.clone())
            .collect();
        let Some(plan) = self.dice.pick(&plans).cloned() else {
            return;
        };
        let number = self.watch.next_image();
        let Some(digest) = digest(number) else { return };
        let tag = match plan.tags {
            _ if self.dice.chance(150) => "nightly".to_owned(),
            Tags::Main => "main".to_owned(),
            // Mostly the next version, sometimes one of an older line, or the same again.
            Tags::Versions => format!(
                "1.{}.0",
                (number + 2).saturating_sub(*self.dice.pick(&[0, 0, 0, 1, 3]).unwrap_or(&0))
            ),
        };
        self.say(|_| format!("someone pushes {}:{tag} (image {number:x})", plan.repository));
        self.world.borrow_mut().push(&plan.repository, &tag, &digest);
        let now = self.now();
        self.watch.pushed_to(&plan.repository, &tag, &digest, now);
    }

    fn set_count(&mut self) {
        let services: Vec<_> = self.world.borrow().services.keys().cloned().collect();
        let Some(target) = self.dice.pick(&services).cloned() else {
            return;
        };
        let count = u32::try_from(self.dice.below(5)).unwrap_or_default();
        self.say(|_| format!("someone sets {target} to {count} tasks"));
        let now = self.now();
        self.watch.someone(&self.world.borrow(), &target, count, now);
        self.world.borrow_mut().set_count(&target, count);
    }

    /// Someone applies another configuration: an attribute of every endpoint changes.
    fn change_lane(&mut self) {
        if self.temper.gentle || self.scenario.targets.is_empty() {
            return;
        }
        let place = self.dice.index(self.scenario.targets.len());
        let lane = format!("lane-{}", self.dice.below(100));
        self.say(|h| format!("someone applies {lane} for {}", h.scenario.targets[place].target));
        for entry in &mut self.scenario.targets[place].entries {
            entry.lane.clone_from(&lane);
        }
        self.scenario.targets[place].store(&mut self.world.borrow_mut());
    }

    /// A task stops while an invocation deals with its start, and that one falls behind.
    fn overtake(&mut self) {
        let joins = |r: &&mut Running| Domain::ENDPOINTS.contains(&r.parcel.to) && bus::is_running(&r.parcel.event);
        let Some(running) = self.running.iter_mut().find(joins) else {
            return;
        };
        running.lag = Lag::BeforeChange;
        let name = running.name.clone();
        let Some(arn) = bus::task(&running.parcel.event).map(str::to_owned) else {
            return;
        };
        self.say(|_| format!("{name} falls behind"));
        self.make(&Move::Stop(arn.clone()));
        for _ in 0..self.dice.below(5) {
            self.make(&Move::Advance(arn.clone()));
        }
    }

    /// Someone pauses a target for some minutes.
    fn pause(&mut self) {
        if self.temper.gentle || self.scenario.targets.is_empty() {
            return;
        }
        let place = self.dice.index(self.scenario.targets.len());
        let (now, minutes) = (self.now(), i64::try_from(self.dice.between(3, 15)).unwrap_or_default());
        let until = now.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(now);
        self.say(|h| format!("someone pauses {} until {until}", h.scenario.targets[place].target));
        self.tally.fault("target paused");
        // A longer pause that takes a shorter one's place begins anew: the caches have to learn of it.
        self.scenario.targets[place].paused = Some((now, until));
        self.scenario.targets[place].store(&mut self.world.borrow_mut());
    }

    /// An item of the ledger holds what no function wrote.
    fn corrupt(&mut self) {
        if !self.temper.malformed {
            return;
        }
        let mut world = self.world.borrow_mut();
        let ledgers: Vec<Key> = world
            .tables
            .state
            .keys()
            .filter(|k| k.pk.starts_with("task#"))
            .cloned()
            .collect();
        let Some(key) = self.dice.pick(&ledgers).cloned() else {
            return;
        };
        let attribute = *self.dice.pick(&["facts", "order"]).unwrap_or(&"facts");
        if let Some(item) = world.tables.state.get_mut(&key) {
            item.insert(attribute.to_owned(), AttributeValue::S("no such thing".into()));
        }
        drop(world);
        self.say(|_| format!("`{attribute}` of {key} holds nonsense now"));
        self.tally.fault("ledger item malformed");
        // The next event of that task meets it.
        let task = key.pk.rsplit('/').next().unwrap_or_default().to_owned();
        let of_task = |e: &&Parcel| e.to.name() == key.sk && bus::task(&e.event).is_some_and(|a| a.ends_with(&task));
        if let Some(copy) = self.handled.iter().rev().find(of_task).cloned() {
            self.send(copy.to, &copy.event);
        }
    }
}
