//! Who does what when.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::TableName;
use wharfinger_cloud::world::World;
use wharfinger_core::config::Keep;
use wharfinger_core::config::stored::{Pauses, StoredTarget};
use wharfinger_core::ids::Target;
use wharfinger_storage::observe;

use super::Settings;
use super::checks::{Book, named};
use crate::engine::{Engine, Manner};
use crate::simulation::dice::Dice;

/// The volume that is kept.
pub(super) const VOLUME: &str = "data";
/// How many times `every` passes before the world falls quiet, and while it is.
const NOISY: i32 = 20;
const QUIET: i32 = 3;

pub(super) fn service() -> Target {
    Target::service("prod", "db")
}

/// What the template's rules let through.
fn hears(event: &Value) -> bool {
    let rules = ["ECS Task State Change", "EBS Snapshot Notification"];
    let kind = event.get("detail-type").and_then(Value::as_str);
    let state = event.pointer("/detail/lastStatus").and_then(Value::as_str);
    kind.is_some_and(|kind| rules.contains(&kind)) && state.is_none_or(|state| ["RUNNING", "STOPPED"].contains(&state))
}

/// One history.
pub(super) struct Play {
    pub(super) engine: Engine,
    pub(super) book: Book,
    pub(super) every: SignedDuration,
    settings: Settings,
}

impl Play {
    pub(super) fn of(seed: u64, settings: Settings) -> Self {
        let mut dice = Dice::of(seed);
        let hours = [1, 6, 24];
        let every = SignedDuration::from_hours(hours[dice.index(hours.len())]);
        let mut keep = Keep::default();
        for line in [
            &mut keep.last,
            &mut keep.hourly,
            &mut keep.daily,
            &mut keep.weekly,
            &mut keep.monthly,
        ] {
            if dice.chance(400) {
                *line = u32::try_from(dice.between(1, 4)).unwrap_or(1);
            }
        }
        let mut world = World::new(Timestamp::from_second(1_767_600_000).unwrap_or(Timestamp::UNIX_EPOCH));
        Self::found(&mut world);
        let manner = Manner {
            of: "snapshots",
            hears,
            lags: &["DescribeSnapshots", "DescribeServices"],
            fails: &["CreateSnapshot"],
            wild_clocks: false,
            trace: settings.trace,
        };
        let mut play = Self {
            engine: Engine::of(world, dice, manner),
            book: Book::new(every, keep),
            every,
            settings,
        };
        play.configure(true, false);
        play.removes_orphans();
        play
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        let begun = self.engine.now();
        let end = begun.saturating_add(self.every * NOISY).map_err(|e| e.to_string())?;
        while self.engine.now() < end {
            self.step()?;
        }
        self.fall_quiet();
        let end = self
            .engine
            .now()
            .saturating_add(self.every * QUIET)
            .map_err(|e| e.to_string())?;
        while self.engine.now() < end || self.engine.is_busy() {
            self.step()?;
        }
        self.book.at_rest(&self.engine.world.borrow())?;
        self.engine.tally.histories += 1;
        self.engine.tally.time += self.engine.now().duration_since(begun);
        Ok(())
    }

    /// Stores the configuration, as `wharfinger apply` and `pause` do.
    pub(super) fn configure(&mut self, keeps: bool, paused: bool) {
        let mut snapshot = json!({ "every": format!("{}h", self.every.as_hours()) });
        if !self.book.keep.is_unlimited() {
            snapshot["keep"] = json!(self.book.keep);
        }
        let storage = if keeps {
            json!([{ "volume": VOLUME, "snapshot": snapshot }])
        } else {
            json!([])
        };
        let Ok(config) = serde_json::from_value(json!({ "storage": storage })) else {
            return;
        };
        let mut stored = StoredTarget::new(config);
        if paused {
            stored.paused = Pauses::from([("storage".to_owned(), None)]);
        }
        self.engine.store(&service(), &stored);
        let now = self.engine.now();
        self.book.configured(keeps && !paused, now);
    }

    fn fall_quiet(&mut self) {
        self.engine.say("the world falls quiet");
        self.engine.is_quiet = true;
        self.configure(true, false);
        self.engine.world.borrow_mut().set_count(&service(), 1);
        let now = self.engine.now();
        self.book.counted(1, now);
        self.engine.world.borrow_mut().ebs.shown_after = SignedDuration::ZERO;
        let is_there = |id: &String| self.engine.world.borrow().ebs.snapshots.contains_key(id);
        let named = named(&self.engine.world.borrow());
        if !named.iter().all(is_there) {
            // Someone deployed it while it was removed, and its tasks cannot start.
            self.deploy(None);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let most = u64::try_from(self.every.as_millis() / 12).unwrap_or(u64::MAX);
        self.engine.pass(20_000, most);
        self.happens();
        self.engine.deliver();
        for _ in 0..self.engine.dice.between(1, 12) {
            if self.engine.go_on() {
                self.forget();
            }
            self.book.look(&self.engine.world.borrow(), &mut self.engine.tally)?;
        }
        Ok(())
    }

    /// Breaks the function on purpose.
    fn forget(&mut self) {
        if !self.settings.forgets {
            return;
        }
        let mut world = self.engine.world.borrow_mut();
        if let Some(item) = world.tables.of_mut(TableName::State).get_mut(&service_key(&service())) {
            item.remove(observe::MEMORY);
        }
    }
}
