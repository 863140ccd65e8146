//! The decision and its report.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::action::snapshot_of;
use super::{Action, Asked, Facts, Memory, Notice, Seen};
use crate::config::OrphanAction;
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason, counted};
use crate::storage::due::{GONE_AFTER, RETRY_AFTER, SHOWN_AFTER};
use crate::storage::{CLUSTER_TAG, Failed, ORPHAN_TAG, Snapshot, SnapshotState, Stage};

/// After how long without a look nobody knows what a volume was attached to meanwhile.
const GAP: SignedDuration = SignedDuration::from_hours(1);
/// How exactly it is remembered when it was looked last.
const LOOKED: SignedDuration = SignedDuration::from_mins(15);
/// By how much EC2's clock may differ from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// How many snapshots are asked for at once.
const AT_ONCE: usize = 20;
/// How many volumes a sentence names.
const NAMED: usize = 10;

/// What [`decide()`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The calls to make, and why, or why not.
    pub decision: Decision<Action>,
    /// What is remembered when no call is made, or none may be: store it when it differs from what was stored.
    pub memory: Memory,
    /// The snapshots that the calls make, by volume.
    pub intents: BTreeMap<String, Asked>,
    /// What is told to others.
    pub notices: Vec<Notice>,
    /// Whether which volumes are left behind is not what it was.
    pub news: bool,
    /// How many are left behind.
    pub orphans: usize,
    /// Whether it is to be known which volumes tasks name.
    pub asks: bool,
}

impl Decided {
    /// What is stored before a call is made: the memory with the intents. After each call the caller notes in it what came of
    /// it: [`Memory::made`], [`Memory::refused`], [`Memory::removed`], [`Memory::in_use`].
    pub fn before_call(&self) -> Memory {
        let mut memory = self.memory.clone();
        for (volume, asked) in &self.intents {
            if let Some(seen) = memory.volumes.get_mut(volume) {
                seen.asked = Some(asked.clone());
            }
        }
        memory
    }
}

/// Decides which volumes of a cluster are left behind, and what becomes of them.
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    let mut draft = Draft::new(facts, now);
    let mut seen: Vec<_> = std::mem::take(&mut draft.memory.volumes).into_iter().collect();
    seen.sort_by(|(a, x), (b, y)| (x.since, a).cmp(&(y.since, b)));
    let mut found = Vec::new();
    for (id, mut seen) in seen {
        if seen.is_orphan(&facts.rule, now) {
            draft.tell(&id, &mut seen);
            found.push((id.clone(), seen.clone()));
            if facts.rule.action == OrphanAction::Remove && !seen.unclaimed {
                draft.remove(&id, &mut seen);
            }
        } else if let Some(why) = &seen.kept {
            let message = format!("{}/{id} stays, and its time begins anew: {why}", facts.cluster);
            draft.reasons.push(Reason::new(Code::OrphanKept, message));
        }
        draft.memory.volumes.insert(id, seen);
    }
    draft.finish(&found)
}

/// A decision in the making.
struct Draft<'a> {
    facts: &'a Facts,
    now: Timestamp,
    creations: Vec<Action>,
    removals: Vec<Action>,
    reasons: Vec<Reason>,
    /// The volumes whose snapshots are waited for.
    waiting: Vec<String>,
    memory: Memory,
    intents: BTreeMap<String, Asked>,
    notices: Vec<Notice>,
    news: bool,
    asks: bool,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a Facts, now: Timestamp) -> Self {
        let mut draft = Self {
            facts,
            now,
            creations: Vec::new(),
            removals: Vec::new(),
            reasons: Vec::new(),
            waiting: Vec::new(),
            memory: facts.memory.clone(),
            intents: BTreeMap::new(),
            notices: Vec::new(),
            news: false,
            asks: false,
        };
        draft.look();
        draft.count();
        draft
    }

    fn age(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at)
    }

    /// Brings the memory to what there is: what is gone is forgotten, what is new begins now.
    fn look(&mut self) {
        let (facts, now) = (self.facts, self.now);
        let mut there: Vec<_> = facts.volumes.iter().filter(|volume| facts.is_its(volume)).collect();
        there.sort_by(|a, b| (a.create_time, &a.volume_id).cmp(&(b.create_time, &b.volume_id)));
        there.dedup_by(|a, b| a.volume_id == b.volume_id);
        let is_gap = self.memory.looked.is_some_and(|looked| self.age(looked) > GAP);
        let mut known = std::mem::take(&mut self.memory.volumes);
        let (old, new): (Vec<_>, Vec<_>) = there.into_iter().partition(|v| known.contains_key(&v.volume_id));
        let room = Memory::MOST.saturating_sub(old.len());
        let more = new.len().saturating_sub(room);
        for volume in old.into_iter().chain(new.into_iter().take(room)) {
            let mut seen = known.remove(&volume.volume_id).unwrap_or_else(|| Seen::first(now));
            seen.gib = volume.size;
            seen.service = volume.service().map(str::to_owned);
            seen.unclaimed = volume.cluster().is_none();
            if is_gap {
                seen.since = now;
            }
            self.memory.volumes.insert(volume.volume_id.clone(), seen);
        }
        self.news |= known.values().any(|gone| gone.told);
        self.memory.more = u32::try_from(more).unwrap_or(u32::MAX);
        let is_old = self.memory.looked.is_none_or(|looked| self.age(looked) >= LOOKED);
        if self.memory.volumes.is_empty() {
            self.memory.looked = None;
        } else if is_old {
            self.memory.looked = Some(now);
        }
    }

    /// How many snapshots of such volumes there are.
    fn count(&mut self) {
        let facts = self.facts;
        let is_one = |s: &&Snapshot| {
            s.is_completed()
                && s.is_of(&facts.owner)
                && s.tags.contains_key(ORPHAN_TAG)
                && s.tags.get(CLUSTER_TAG) == Some(&facts.cluster.cluster)
        };
        let all = facts.snapshots.iter().filter(is_one);
        (self.memory.snapshots, self.memory.gib) = all.fold((0, 0), |(count, gib), snapshot| {
            (count + 1, gib + u64::from(snapshot.volume_size))
        });
    }

    /// Tells of a volume, once.
    fn tell(&mut self, id: &str, seen: &mut Seen) {
        if seen.told {
            return;
        }
        (seen.told, self.news) = (true, true);
        let reason = format!(
            "{}/{id} of {} GiB is attached to nothing since {}: {}",
            self.facts.cluster,
            seen.gib,
            seen.since,
            seen.fate(&self.facts.rule)
        );
        self.notice(Stage::OrphanFound, id, seen, None, reason);
    }

    fn notice(&mut self, stage: Stage, id: &str, seen: &Seen, snapshot: Option<String>, reason: String) {
        self.notices.push(Notice {
            stage,
            cluster: self.facts.cluster.clone(),
            volume_id: id.to_owned(),
            gib: seen.gib,
            service: seen.service.clone(),
            since: seen.since,
            snapshot,
            reason,
            at: self.now,
        });
    }

    /// The next step towards the removal of a volume.
    fn remove(&mut self, id: &str, seen: &mut Seen) {
        if seen.removed.is_some_and(|at| self.age(at) < GONE_AFTER) {
            return;
        }
        seen.removed = None;
        let its = self.snapshots_of(id, seen.since);
        self.resume(id, seen, &its);
        let newest = |state: SnapshotState| its.iter().find(|s| s.state == state).copied();
        let (done, pending) = (newest(SnapshotState::Completed), newest(SnapshotState::Pending));
        seen.snapshot = done.or(pending).map(|s| s.snapshot_id.clone());
        if let Some(done) = done {
            self.delete(id, seen, done);
            return;
        }
        // One in a state that says nothing is waited for as one that is not shown.
        let is_unclear = |made: &Snapshot| made.state == SnapshotState::Other;
        let is_open = seen
            .asked
            .as_ref()
            .is_some_and(|asked| answer(&its, asked).is_none_or(is_unclear));
        if is_open || pending.is_some() {
            self.waiting.push(id.to_owned());
            return;
        }
        if let Some(failed) = newest(SnapshotState::Error) {
            self.fails(id, seen, failed);
            if self.age(failed.start_time) < RETRY_AFTER {
                self.waiting.push(id.to_owned());
                return;
            }
        }
        self.create(id, seen);
    }

    /// Our snapshots of a volume that were begun after it was last seen attached, the newest first.
    fn snapshots_of(&self, id: &str, since: Timestamp) -> Vec<&'a Snapshot> {
        let facts = self.facts;
        let is_its = |s: &&Snapshot| {
            s.is_of(&facts.owner)
                && s.volume_id == id
                && s.tags.get(ORPHAN_TAG).is_some_and(|of| of == id)
                && s.start_time.duration_since(since) >= SKEW
        };
        let mut its: Vec<_> = facts.snapshots.iter().filter(is_its).collect();
        its.sort_by(|a, b| (b.start_time, &b.snapshot_id).cmp(&(a.start_time, &a.snapshot_id)));
        its
    }

    /// What became of the snapshot that was asked for. It is remembered for as long as EC2 may not show it, though it did:
    /// the next answer may be one from before.
    fn resume(&mut self, id: &str, seen: &mut Seen, its: &[&Snapshot]) {
        let Some(asked) = &mut seen.asked else { return };
        let age = self.now.duration_since(asked.at).abs();
        let (message, is_over) = if let Some(made) = answer(its, asked) {
            let was_lost = asked.snapshot.replace(made.snapshot_id.clone()).is_none();
            let message = format!("{}, asked for at {}, was made", made.snapshot_id, asked.at);
            (was_lost.then_some(message), age >= SHOWN_AFTER)
        } else if let Some(made) = &asked.snapshot {
            let message = format!("{made}, made at {}, is not there any more", asked.at);
            let is_over = age >= GONE_AFTER;
            (is_over.then_some(message), is_over)
        } else {
            let message = format!("the snapshot that was to be made at {} was not", asked.at);
            let is_over = age >= SHOWN_AFTER;
            (is_over.then_some(message), is_over)
        };
        if is_over {
            seen.asked = None;
        }
        if let Some(message) = message {
            let message = format!("{}/{id}: {message}", self.facts.cluster);
            self.reasons.push(Reason::new(Code::IntentResumed, message));
        }
    }

    /// A snapshot that came to nothing is told of, once.
    fn fails(&mut self, id: &str, seen: &mut Seen, failed: &Snapshot) {
        let why = failed
            .state_message
            .clone()
            .unwrap_or_else(|| "EC2 says no more".to_owned());
        let message = format!(
            "{}/{id}: {} of {} failed: {why}; the next is tried after {RETRY_AFTER:#}",
            self.facts.cluster, failed.snapshot_id, failed.start_time
        );
        self.reasons.push(Reason::new(Code::SnapshotFailed, message.clone()));
        if seen
            .failed
            .as_ref()
            .is_some_and(|told| told.snapshot == failed.snapshot_id)
        {
            return;
        }
        self.notice(
            Stage::SnapshotFailed,
            id,
            seen,
            Some(failed.snapshot_id.clone()),
            message,
        );
        seen.failed = Some(Failed {
            snapshot: failed.snapshot_id.clone(),
            at: failed.start_time,
            message: why,
        });
    }

    /// Whether nothing uses a volume, as far as tasks say; what is not known is asked, and then it is not free.
    fn is_free(&mut self, id: &str, seen: &mut Seen) -> bool {
        let Known::Yes(named) = &self.facts.named else {
            self.asks = true;
            return false;
        };
        let Some(task) = named.get(id) else {
            seen.kept = None;
            return true;
        };
        let why = format!("task {task} names it");
        let message = format!("{}/{id} stays, and its time begins anew: {why}", self.facts.cluster);
        self.reasons.push(Reason::new(Code::OrphanKept, message));
        seen.keep(why, self.now);
        false
    }

    fn create(&mut self, id: &str, seen: &mut Seen) {
        if !self.is_free(id, seen) {
            return;
        }
        if self.creations.len() >= AT_ONCE {
            self.waiting.push(id.to_owned());
            return;
        }
        let facts = self.facts;
        let request = snapshot_of(&facts.cluster, &facts.owner, id, self.now);
        self.creations.push(Action::CreateSnapshot(request));
        let asked = Asked {
            at: self.now,
            snapshot: None,
        };
        self.intents.insert(id.to_owned(), asked);
        let message = format!("{}/{id}: a snapshot of it is made before it is removed", facts.cluster);
        self.reasons.push(Reason::new(Code::OrphanSnapshot, message));
    }

    fn delete(&mut self, id: &str, seen: &mut Seen, done: &Snapshot) {
        if !self.is_free(id, seen) {
            return;
        }
        self.removals.push(Action::DeleteVolume {
            volume_id: id.to_owned(),
            snapshot_id: done.snapshot_id.clone(),
        });
        let message = format!(
            "{}/{id} is removed: its snapshot {} of {} is completed",
            self.facts.cluster, done.snapshot_id, done.start_time
        );
        self.reasons.push(Reason::new(Code::OrphanRemoved, message));
    }

    fn finish(mut self, found: &[(String, Seen)]) -> Decided {
        let cluster = &self.facts.cluster;
        if !self.waiting.is_empty() {
            let message = format!(
                "{cluster}: nothing is removed before its snapshot is completed: {}",
                some(&self.waiting)
            );
            self.reasons.push(Reason::new(Code::OrphanSnapshot, message));
        }
        let mut missing = Vec::new();
        if self.asks {
            missing.extend(["ListTasks", "DescribeTasks"]);
            let message = format!("which volumes tasks of {cluster} name is not known: nothing is removed");
            self.reasons.push(Reason::new(Code::FactsMissing, message));
        }
        let told = self.told(found);
        self.reasons.splice(0..0, told);
        let waits = !self.waiting.is_empty() || self.asks;
        let actions: Vec<_> = self.creations.into_iter().chain(self.removals).collect();
        let outcome = match (actions.is_empty(), waits) {
            (false, _) => Outcome::Act,
            (true, true) => Outcome::Wait,
            (true, false) => Outcome::Ignore,
        };
        Decided {
            decision: Decision {
                outcome,
                actions,
                reasons: self.reasons,
                missing,
            },
            memory: self.memory,
            intents: self.intents,
            notices: self.notices,
            news: self.news,
            orphans: found.len(),
            asks: self.asks,
        }
    }

    /// What is left behind, in a sentence for those of the cluster and one for those of no known cluster.
    fn told(&self, found: &[(String, Seen)]) -> Vec<Reason> {
        let Facts { cluster, rule, .. } = self.facts;
        if found.is_empty() {
            let message = format!("{cluster}: no volume of ECS is attached to nothing for {}", rule.after);
            return vec![Reason::new(Code::NoOrphans, message)];
        }
        let mut told = Vec::new();
        for unclaimed in [false, true] {
            let its = found.iter().filter(|(_, seen)| seen.unclaimed == unclaimed);
            let its: Vec<_> = its.map(|(id, seen)| in_words(id, seen)).collect();
            if its.is_empty() {
                continue;
            }
            let end = match (unclaimed, rule.action) {
                (true, _) => "; no tag says of which cluster, so nothing is removed",
                (false, OrphanAction::Report) => "; `action` is `report`: nothing is removed",
                (false, OrphanAction::Remove) => "",
            };
            let message = format!(
                "{cluster}: {} of ECS attached to nothing for {} or longer: {}{end}",
                counted(its.len(), "volume"),
                rule.after,
                some(&its)
            );
            told.push(Reason::new(Code::OrphanFound, message));
        }
        told
    }
}

/// The snapshot that was asked for, if EC2 shows it.
fn answer<'a>(its: &[&'a Snapshot], asked: &Asked) -> Option<&'a Snapshot> {
    let is_it = |s: &&&Snapshot| s.asked_at() == Some(asked.at) || asked.snapshot.as_ref() == Some(&s.snapshot_id);
    its.iter().find(is_it).copied()
}

fn in_words(id: &str, seen: &Seen) -> String {
    let service = seen.service.as_ref();
    let service = service.map_or_else(String::new, |service| format!("of service {service}, "));
    format!("{id} ({} GiB, {service}since {})", seen.gib, seen.since)
}

/// The first of them, and how many more there are.
fn some(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
