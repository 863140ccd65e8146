//! A month of one service: tasks come and go, snapshots fail or take hours, answers are lost, whoever looks dies between any
//! two calls, the clock jumps, and things refer to snapshots for a while.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);
const EVERY: SignedDuration = SignedDuration::from_hours(6);
/// `last: 4, daily: 7, weekly: 2`, and the newest.
const MOST: usize = 4 + 7 + 2 + 1;

/// A snapshot as EC2 has it.
struct Made {
    snapshot: Snapshot,
    shown: Timestamp,
    /// When it ends, and how.
    ends: Timestamp,
    fails: bool,
}

/// The world, and what is stored.
struct Month {
    seed: u64,
    time: Timestamp,
    /// How far the clock of the next look is ahead.
    skew: SignedDuration,
    made: Vec<Made>,
    tasks: Vec<Mounted>,
    desired: u32,
    /// What refers to snapshots.
    held: BTreeSet<String>,
    shared: BTreeSet<String>,
    memory: Memory,
    /// How often the clock jumped: each may make two too many.
    jumps: usize,
    removed: usize,
}

impl Month {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            time: now(),
            skew: SignedDuration::ZERO,
            made: Vec::new(),
            tasks: vec![task("t0", 5)],
            desired: 1,
            held: BTreeSet::new(),
            shared: BTreeSet::new(),
            memory: Memory::default(),
            jumps: 0,
            removed: 0,
        }
    }

    /// The next number below `n` (splitmix64).
    fn dice(&mut self, n: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn span(&mut self, from: u64, to: u64) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(from + self.dice(to - from)).unwrap())
    }

    /// What happens beside us.
    fn happen(&mut self) {
        let step = self.span(20, 4_000);
        self.time += step;
        self.skew = SignedDuration::ZERO;
        for made in &mut self.made {
            if made.snapshot.state == SnapshotState::Pending && made.ends <= self.time {
                made.snapshot.state = if made.fails {
                    SnapshotState::Error
                } else {
                    SnapshotState::Completed
                };
            }
        }
        let id = format!("t{}", self.made.len() * 100 + self.tasks.len());
        match self.dice(30) {
            0 => {
                self.tasks = vec![Mounted {
                    started_at: Some(self.time),
                    ..task(&id, 0)
                }];
            }
            1 => self.tasks.push(Mounted {
                started_at: Some(self.time),
                ..task(&id, 0)
            }),
            2 => self.tasks.clear(),
            3 => self.desired = u32::try_from(self.dice(3)).unwrap(),
            4 => {
                let completed: Vec<_> = self.completed().map(|s| s.snapshot_id.clone()).collect();
                if !completed.is_empty() {
                    let at = usize::try_from(self.dice(completed.len() as u64)).unwrap();
                    self.held.insert(completed[at].clone());
                }
            }
            5 => self.held.clear(),
            6 => {
                let first = self.completed().next().map(|s| s.snapshot_id.clone());
                self.shared.extend(first);
            }
            7 => self.shared.clear(),
            8 => (self.skew, self.jumps) = (self.span(1, 100_000), self.jumps + 1),
            9 => (self.skew, self.jumps) = (-self.span(1, 100_000), self.jumps + 1),
            _ => {}
        }
    }

    fn completed(&self) -> impl Iterator<Item = &Snapshot> {
        self.made
            .iter()
            .map(|made| &made.snapshot)
            .filter(|snapshot| snapshot.is_completed())
    }

    /// What is known at a look; in a storm not all that was asked for.
    fn facts(&mut self, storm: bool) -> Facts {
        let lost = |month: &mut Self| storm && month.dice(8) == 0;
        let shown = self
            .made
            .iter()
            .filter(|made| made.shown <= self.time)
            .map(|made| made.snapshot.clone());
        let mut facts = facts(json!({ "last": 4, "daily": 7, "weekly": 2 }), shown.collect());
        facts.rules[0].snapshot.as_mut().unwrap().every = "6h".parse().unwrap();
        facts.memory = self.memory.clone();
        facts.service = Known::Yes(Some(service(self.desired, self.tasks.len())));
        facts.tasks = if lost(self) {
            Known::No
        } else {
            Known::Yes(self.tasks.clone())
        };
        let held = self.held.iter().map(|id| (id.clone(), "it is referred to".to_owned()));
        facts.held = Known::Yes(held.collect());
        if lost(self) {
            facts.held = Known::No;
        }
        let of = self.made.iter().map(|made| &made.snapshot.snapshot_id);
        facts.shared = of.map(|id| (id.clone(), self.shared.contains(id))).collect();
        facts
    }

    /// One look, which may die at any point.
    fn look(&mut self, storm: bool) {
        let facts = self.facts(storm);
        let at = self.time + self.skew;
        let decided = decide(&facts, at);
        let dies = |month: &mut Self| storm && month.dice(12) == 0;
        if dies(self) {
            return;
        }
        self.memory = decided.before_call();
        let mut noted = self.memory.clone();
        for action in &decided.decision.actions {
            if dies(self) {
                return;
            }
            match action {
                Action::CreateSnapshot(create) => self.create(create, storm, &mut noted),
                Action::DeleteSnapshot { snapshot_id, .. } => self.remove(snapshot_id),
                other => panic!("nobody asked for {other:?}"),
            }
        }
        if !dies(self) {
            self.memory = noted;
        }
    }

    fn create(&mut self, create: &CreateSnapshot, storm: bool, noted: &mut Memory) {
        if storm && self.dice(10) == 0 {
            noted.refused("data");
            return;
        }
        let mut made = in_state(
            snapshot(&format!("snap-{:04}", self.made.len() + self.removed), 0),
            SnapshotState::Pending,
        );
        (made.start_time, made.tags) = (self.time, create.tags.clone());
        let (lag, takes) = (self.span(0, 110), self.span(30, 20_000));
        let fails = storm && self.dice(10) == 0;
        noted.made("data", &made);
        self.made.push(Made {
            snapshot: made,
            shown: self.time + lag,
            ends: self.time + takes,
            fails,
        });
    }

    fn remove(&mut self, id: &str) {
        let newest = self.completed().max_by_key(|s| (s.start_time, &s.snapshot_id));
        assert_ne!(
            newest.map(|s| s.snapshot_id.as_str()),
            Some(id),
            "the newest is removed"
        );
        assert!(
            !self.held.contains(id) && !self.shared.contains(id),
            "{id} is held and removed"
        );
        let at = self
            .made
            .iter()
            .position(|made| made.snapshot.snapshot_id == id)
            .unwrap();
        let gone = self.made.remove(at).snapshot;
        assert_ne!(gone.state, SnapshotState::Pending, "{id} is not over and removed");
        self.removed += 1;
    }

    /// Nothing goes wrong any more, nothing refers to anything, and one task runs.
    fn calm_down(&mut self) {
        (self.skew, self.desired) = (SignedDuration::ZERO, 1);
        self.tasks = vec![Mounted {
            started_at: Some(self.time),
            ..task("last", 0)
        }];
        self.held.clear();
        self.shared.clear();
        for made in &mut self.made {
            made.fails = false;
        }
        // As long as a day and a half: what failed is removed after a day.
        for _ in 0..36 * 12 {
            self.time += SignedDuration::from_mins(5);
            for made in &mut self.made {
                if made.snapshot.state == SnapshotState::Pending && made.ends <= self.time {
                    made.snapshot.state = SnapshotState::Completed;
                }
            }
            self.look(false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_month_loses_or_leaks(seed: u64) {
        let mut month = Month::new(seed);
        while month.time < now() + MONTH {
            month.happen();
            month.look(true);
        }
        let made = month.made.len() + month.removed;
        let due = usize::try_from(MONTH.as_hours() / EVERY.as_hours()).unwrap();
        // One that failed is tried again after 15 minutes: as many more as failed.
        let failed = made / 3;
        prop_assert!(made <= due + 2 + month.jumps * 2 + failed, "{made} were made, {due} were due, {} jumps", month.jumps);
        month.calm_down();
        let states: Vec<_> = month.made.iter().map(|made| made.snapshot.state).collect();
        prop_assert!(states.iter().all(|state| *state != SnapshotState::Error), "{states:?}");
        prop_assert!(month.completed().count() <= MOST, "{} are kept", month.completed().count());
        let newest = month.completed().map(|s| s.start_time).max().unwrap();
        // The data of one takes up to six hours more.
        prop_assert!(month.time.duration_since(newest) <= EVERY * 2, "the newest is of {newest}, now is {}", month.time);
        let of_lineage = |s: &&Snapshot| s.is_of(OWNER) && s.lineage() == Some(lineage());
        prop_assert!(month.made.iter().map(|made| &made.snapshot).all(|s| of_lineage(&s)));
        let memory = &month.memory.volumes["data"];
        prop_assert!(memory.held.is_empty() && !memory.late, "{memory:?}");
    }
}
