//! Which snapshots are removed: what [`retention`](super::retention) says, as far as nothing refers to them.
//!
//! | what is found | code |
//! |---|---|
//! | what refers to snapshots is not known | `FactsMissing` |
//! | something refers to it, others may use it, or EC2 says that something does | `SnapshotHeld` |
//! | whether others may use it is not known | `FactsMissing` |
//! | otherwise | `SnapshotPruned`: it is removed |

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::due::{Look, after};
use super::retention::{Point, prune};
use super::{Action, Asks, RecoveryPoint, Snapshot, SnapshotState, Standing, VolumeMemory, memory};
use crate::config::Keep;
use crate::known::Known;
use crate::report::{Code, Reason, counted};

/// How long one that came to nothing stays, so that people can look at it.
const FAILED_STAYS: SignedDuration = SignedDuration::from_hours(24);

/// What is removed, and why, or why not.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    pub(super) actions: Vec<Action>,
    pub(super) reasons: Vec<Reason>,
    pub(super) missing: Vec<&'static str>,
    pub(super) asks: Asks,
}

/// Why a snapshot stays though no line of `keep` counts it.
type Held = BTreeMap<String, String>;

impl Look<'_> {
    /// Says what is removed of a lineage, and notes how it stands.
    pub(super) fn prune(&self, keep: Keep, memory: &mut VolumeMemory) -> Pruned {
        memory.forget_held(self.now);
        let points: Vec<_> = self.snapshots.iter().copied().map(Point::from).collect();
        let held = self.held(memory);
        let mut pruned = Pruned::default();
        let unheld = self.candidates(keep, &points, &BTreeSet::new());
        let goes = self.candidates(keep, &points, &held.keys().cloned().collect());
        let (at, is_needed) = (self.now, |id: &String| unheld.contains_key(id.as_str()));
        memory.held.retain(|id, _| is_needed(id));
        for (id, why) in held.iter().filter(|(id, _)| is_needed(id)) {
            let known = memory.held.entry(id.clone());
            known.or_insert_with(|| memory::Held { at, why: why.clone() });
            let message = format!("{}: {id} would be removed, and stays: {why}", self.lineage);
            pruned.reasons.push(Reason::new(Code::SnapshotHeld, message));
        }
        if self.facts.held == Known::No && self.identity.is_none() {
            self.ask_held(&goes, &mut pruned);
        } else {
            self.remove(&goes, &mut pruned);
        }
        memory.standing = Some(self.standing(keep, &points, &held, &pruned));
        pruned
    }

    /// What something refers to, and what.
    fn held(&self, memory: &VolumeMemory) -> Held {
        let mut held = Held::new();
        for snapshot in self.snapshots {
            let id = &snapshot.snapshot_id;
            if self.facts.shared.get(id) == Some(&true) {
                held.insert(id.clone(), "other accounts may make volumes of it".to_owned());
            }
            if let Some(known) = memory.held.get(id) {
                held.insert(id.clone(), known.why.clone());
            }
        }
        if let Known::Yes(known) = &self.facts.held {
            held.extend(known.clone());
        }
        held.extend(self.facts.history.clone());
        if let Some(identity) = &memory.identity {
            let started = identity.start.as_ref().and_then(|start| start.snapshot.as_ref());
            let needed = identity.saved.iter().chain(started);
            held.extend(needed.map(|point| (point.id.clone(), "the next task begins with it".to_owned())));
        }
        let asked = self.facts.asks_restore();
        held.extend(asked.map(|asked| (asked.point.snapshot_id.clone(), "it is to be restored".to_owned())));
        held
    }

    /// What retention removes, and those that came to nothing and are old: each with the reason, the oldest first.
    fn candidates<'a>(
        &'a self,
        keep: Keep,
        points: &[Point],
        held: &BTreeSet<String>,
    ) -> BTreeMap<&'a str, &'static str> {
        if keep.is_unlimited() {
            return BTreeMap::new();
        }
        let plan = prune(&keep, points, held);
        let reason = |snapshot: &Snapshot| {
            let failed = snapshot.state == SnapshotState::Error
                && self.now.duration_since(snapshot.start_time) >= FAILED_STAYS
                && !held.contains(&snapshot.snapshot_id);
            let why = failed.then_some("it came to nothing a day ago or more");
            let pruned = plan.pruned.contains(&snapshot.snapshot_id);
            why.or_else(|| pruned.then_some("no line of `keep` counts it"))
        };
        let found = self
            .snapshots
            .iter()
            .filter_map(|snapshot| Some((snapshot.snapshot_id.as_str(), reason(snapshot)?)));
        found.collect()
    }

    fn ask_held(&self, goes: &BTreeMap<&str, &str>, pruned: &mut Pruned) {
        if goes.is_empty() {
            return;
        }
        let message = format!(
            "{}: {} would be removed; whether anything refers to them is not known",
            self.lineage,
            counted(goes.len(), "snapshot")
        );
        pruned.reasons.push(Reason::new(Code::FactsMissing, message));
        if self.facts.service == Known::No {
            pruned.missing.push("DescribeServices");
        }
        pruned.missing.push("DescribeServiceRevisions");
        pruned.asks.held = true;
    }

    fn remove(&self, goes: &BTreeMap<&str, &str>, pruned: &mut Pruned) {
        for snapshot in self.snapshots.iter().rev() {
            let id = &snapshot.snapshot_id;
            let Some(why) = goes.get(id.as_str()) else { continue };
            // Of what came to nothing no volume can be made.
            let shared = match snapshot.state {
                SnapshotState::Error => Some(&false),
                _ => self.facts.shared.get(id),
            };
            match shared {
                Some(false) => {
                    let message = format!("{}: {id} of {} goes: {why}", self.lineage, snapshot.start_time);
                    pruned.reasons.push(Reason::new(Code::SnapshotPruned, message));
                    pruned.actions.push(Action::DeleteSnapshot {
                        lineage: self.lineage.clone(),
                        snapshot_id: id.clone(),
                        ours: snapshot.is_of(&self.facts.owner),
                    });
                }
                Some(true) => {}
                None => pruned.asks.shared.push(id.clone()),
            }
        }
        if !pruned.asks.shared.is_empty() {
            let message = format!(
                "{}: {} would be removed; whether other accounts may use them is not known",
                self.lineage,
                counted(pruned.asks.shared.len(), "snapshot")
            );
            pruned.reasons.push(Reason::new(Code::FactsMissing, message));
            pruned.missing.push("DescribeSnapshotAttribute");
        }
    }

    /// How the lineage stands once that is done.
    fn standing(&self, keep: Keep, points: &[Point], held: &Held, pruned: &Pruned) -> Standing {
        let goes: BTreeSet<_> = pruned
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::DeleteSnapshot { snapshot_id, .. } => Some(snapshot_id.as_str()),
                _ => None,
            })
            .collect();
        let stays = |snapshot: &&&Snapshot| snapshot.is_completed() && !goes.contains(snapshot.snapshot_id.as_str());
        let left: Vec<_> = self.snapshots.iter().filter(stays).copied().collect();
        let next = self.next_pruned(keep, points, &goes, held);
        let newest = left.first().map(|newest| RecoveryPoint::from(*newest));
        Standing {
            newest,
            pending: self
                .pending()
                .take(Standing::MOST)
                .map(|s| s.snapshot_id.clone())
                .collect(),
            count: u32::try_from(left.len()).unwrap_or(u32::MAX),
            gib: left.iter().map(|snapshot| u64::from(snapshot.volume_size)).sum(),
            next_prune_count: u32::try_from(next.len()).unwrap_or(u32::MAX),
            next_prune: next.into_iter().take(Standing::MOST).collect(),
            every: self.every,
        }
    }

    /// What goes when the next is completed, the oldest first.
    fn next_pruned(&self, keep: Keep, points: &[Point], goes: &BTreeSet<&str>, held: &Held) -> Vec<String> {
        let newest = self
            .newest_completed()
            .map(|newest| after(newest.start_time, self.period()));
        let mut points: Vec<_> = points
            .iter()
            .filter(|p| !goes.contains(p.id.as_str()))
            .cloned()
            .collect();
        points.push(Point {
            id: String::new(),
            at: newest.unwrap_or(self.now).max(self.now),
            state: SnapshotState::Completed,
        });
        let plan = prune(&keep, &points, &held.keys().cloned().collect());
        let oldest_first = self.snapshots.iter().rev().map(|snapshot| &snapshot.snapshot_id);
        oldest_first.filter(|id| plan.pruned.contains(*id)).cloned().collect()
    }
}
