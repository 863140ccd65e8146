//! Who does what when.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_cloud::world::World;
use wharfinger_core::config::Keep;
use wharfinger_core::config::stored::{Pauses, StoredTarget};
use wharfinger_core::ids::Target;

use super::checks::Book;
use super::{Breaks, Settings};
use crate::engine::{Engine, Manner, OWNER};
use crate::simulation::dice::Dice;

/// The volume of each identity.
pub(super) const VOLUME: &str = "data";
/// How many identities there are at most.
pub(super) const MOST: u32 = 3;
/// How long things go wrong, and how long nothing does after it.
const NOISY: SignedDuration = SignedDuration::from_hours(10);
const QUIET: SignedDuration = SignedDuration::from_hours(3);

pub(super) fn family() -> Target {
    Target::task("prod", "ledger")
}

/// What the template's rules let through.
fn hears(event: &Value) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    match text("/detail-type") {
        Some("EBS Snapshot Notification") => true,
        Some("ECS Task State Change") => {
            let is_ours = text("/detail/startedBy").is_some_and(|by| by.starts_with(&format!("{OWNER}/")));
            is_ours && text("/detail/lastStatus").is_some_and(|state| ["RUNNING", "STOPPED"].contains(&state))
        }
        _ => false,
    }
}

/// One history.
pub(super) struct Play {
    pub(super) engine: Engine,
    pub(super) book: Book,
    /// How many identities there are to be.
    pub(super) count: u32,
    every: Option<SignedDuration>,
    /// Whether snapshots stay pending for long.
    pub(super) is_slow: bool,
    settings: Settings,
}

impl Play {
    pub(super) fn of(seed: u64, settings: Settings) -> Self {
        let mut dice = Dice::of(seed);
        let every = [
            None,
            Some(SignedDuration::from_hours(1)),
            Some(SignedDuration::from_hours(4)),
        ];
        let every = every[dice.index(every.len())];
        let mut keep = Keep::default();
        for line in [&mut keep.last, &mut keep.hourly, &mut keep.daily] {
            if dice.chance(500) {
                *line = u32::try_from(dice.between(1, 4)).unwrap_or(1);
            }
        }
        let count = u32::try_from(dice.between(1, MOST.into())).unwrap_or(1);
        let mut world = World::new(Timestamp::from_second(1_767_600_000).unwrap_or(Timestamp::UNIX_EPOCH));
        let definition =
            json!({ "family": family().name, "containerDefinitions": [{ "name": "db", "image": "db:1" }] });
        let defined = world.define(&definition);
        debug_assert!(defined.is_ok(), "{defined:?}");
        world.ebs.hasty = settings.breaks == Some(Breaks::Pending);
        let manner = Manner {
            of: "stateful families",
            hears,
            lags: &["DescribeSnapshots", "DescribeTasks", "DescribeVolumes", "ListTasks"],
            fails: &["CreateSnapshot", "DeleteVolume", "RunTask"],
            wild_clocks: true,
            trace: settings.trace,
        };
        let mut play = Self {
            engine: Engine::of(world, dice, manner),
            book: Book::new(keep, count),
            count,
            every,
            is_slow: false,
            settings,
        };
        play.configure(false);
        play
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        let begun = self.engine.now();
        self.steps(NOISY)?;
        self.engine.say("the world falls quiet");
        self.engine.is_quiet = true;
        self.configure(false);
        self.falls_quiet();
        self.steps(QUIET)?;
        while self.engine.is_busy() {
            self.step()?;
        }
        self.book.at_rest(&self.engine.world.borrow(), self.every)?;
        self.engine.tally.histories += 1;
        self.engine.tally.time += self.engine.now().duration_since(begun);
        Ok(())
    }

    fn steps(&mut self, length: SignedDuration) -> Result<(), String> {
        let end = self.engine.now().saturating_add(length).map_err(|e| e.to_string())?;
        while self.engine.now() < end {
            self.step()?;
        }
        Ok(())
    }

    /// Stores the configuration, as `wharfinger apply` and `pause` do.
    pub(super) fn configure(&mut self, paused: bool) {
        let mut snapshot = json!({});
        if let Some(every) = self.every {
            snapshot["every"] = json!(format!("{}h", every.as_hours()));
        }
        if !self.book.keep.is_unlimited() {
            snapshot["keep"] = json!(self.book.keep);
        }
        let stateful = json!({
            "count": self.count, "volume": VOLUME, "size": 10, "role": "arn:aws:iam::111122223333:role/ecs",
            "snapshot": snapshot,
        });
        let Ok(config) = serde_json::from_value(json!({ "stateful": stateful })) else {
            return;
        };
        let mut stored = StoredTarget::new(config);
        if paused {
            stored.paused = Pauses::from([("storage".to_owned(), None)]);
        }
        self.engine.store(&family(), &stored);
        let now = self.engine.now();
        self.book.configured(!paused, self.count, now);
    }

    fn step(&mut self) -> Result<(), String> {
        self.engine.pass(20_000, 120_000);
        self.happens();
        if self.settings.breaks == Some(Breaks::Volumes) {
            self.engine.world.borrow_mut().ebs.shown_after = SignedDuration::from_hours(100);
        }
        self.engine.deliver();
        for _ in 0..self.engine.dice.between(1, 12) {
            self.engine.go_on();
            self.book.look(&self.engine.world.borrow(), &mut self.engine.tally)?;
        }
        Ok(())
    }
}
