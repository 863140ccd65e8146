//! The decision and its report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::asked::answer;
use super::due::{Look, Turn};
use super::identity::Identity;
use super::notice::Notice;
use super::{
    Action, Asks, CreateSnapshot, FINAL_TAG, Facts, Intent, Lineage, Memory, Restoring, Snapshot, Start, VolumeMemory,
};
use crate::config::{Keep, Span, Stateful};
use crate::known::Known;
use crate::report::{Code, Decision, Outcome, Reason, counted};

/// What [`decide()`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The calls to make, and why, or why not.
    pub decision: Decision<Action>,
    /// What is remembered when no call is made, or none may be: store it when it differs from what was stored.
    pub memory: Memory,
    /// What the calls make, by the [key of the lineage](Lineage::key).
    pub intents: BTreeMap<String, Intent>,
    /// The tasks that the calls start, by the same.
    pub starts: BTreeMap<String, Start>,
    /// The restore that the calls begin.
    pub restoring: Option<Restoring>,
    /// What is told to others.
    pub notices: Vec<Notice>,
    /// When to look again, if no event tells anything; `None` when only an event or the longer pass can bring news.
    pub next_look: Option<Timestamp>,
    /// What is to be looked up before more can be decided.
    pub asks: Asks,
}

impl Decided {
    /// What is stored before a call is made: the memory with the intents. After each call the caller notes in it what came of
    /// it: [`Memory::made`], [`Memory::refused`], [`Memory::in_use`], [`Memory::started`] and its like.
    pub fn before_call(&self) -> Memory {
        let mut memory = self.memory.clone();
        for (volume, intent) in &self.intents {
            memory.volumes.entry(volume.clone()).or_default().intent = Some(intent.clone());
        }
        for (lineage, start) in &self.starts {
            let volume = memory.volumes.entry(lineage.clone()).or_default();
            volume.identity.get_or_insert_default().start = Some(start.clone());
        }
        if let Some(restoring) = &self.restoring {
            memory.restoring = Some(restoring.clone());
        }
        memory
    }
}

/// Decides which snapshots of a service's volumes are made, and which go.
#[must_use = "a decision that nobody applies changes nothing, and a memory that nobody stores is lost"]
pub fn decide(facts: &Facts, now: Timestamp) -> Decided {
    let mut draft = Draft::new(facts, now);
    draft.access_points();
    // The same however much is known, or each look would say something else.
    if !facts.rules.is_empty() && facts.rules.iter().all(|rule| !rule.is_ebs()) {
        draft.restore();
        return draft.finish();
    }
    let Known::Yes(snapshots) = &facts.snapshots else {
        draft.without_snapshots();
        draft.restore();
        return draft.finish();
    };
    for rule in facts.rules.iter().filter(|rule| rule.is_ebs()) {
        match &rule.snapshot {
            Some(snapshot) => {
                let lineage = Lineage::of(&facts.target, rule.volume.clone());
                draft.lineage(&lineage, (Some(snapshot.every), rule.keep()), None, snapshots);
            }
            None => draft.say(
                Code::NotConfigured,
                format!("{}/{}: no `snapshot` is configured", facts.target, rule.volume),
            ),
        }
    }
    if let Some(stateful) = &facts.stateful {
        draft.identities(stateful, snapshots);
    }
    draft.strange(snapshots);
    draft.restore();
    draft.finish()
}

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub(super) facts: &'a Facts,
    pub(super) now: Timestamp,
    pub(super) outcome: Outcome,
    restores: Option<Action>,
    restoring: Option<Restoring>,
    pub(super) creations: Vec<Action>,
    /// Those of stateful tasks.
    calls: Vec<Action>,
    removals: Vec<Action>,
    pub(super) reasons: Vec<Reason>,
    missing: Vec<&'static str>,
    pub(super) memory: Memory,
    intents: BTreeMap<String, Intent>,
    starts: BTreeMap<String, Start>,
    notices: Vec<Notice>,
    pub(super) next_look: Option<Timestamp>,
    pub(super) asks: Asks,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a Facts, now: Timestamp) -> Self {
        let mut memory = facts.memory.clone();
        let is_followed = |volume: &VolumeMemory| volume.identity.as_ref().is_some_and(|known| !known.is_at_rest());
        memory
            .volumes
            .retain(|key, volume| is_followed(volume) || facts.is_configured(key));
        Self {
            facts,
            now,
            outcome: Outcome::Ignore,
            restores: None,
            restoring: None,
            creations: Vec::new(),
            calls: Vec::new(),
            removals: Vec::new(),
            reasons: Vec::new(),
            missing: Vec::new(),
            memory,
            intents: BTreeMap::new(),
            starts: BTreeMap::new(),
            notices: Vec::new(),
            next_look: None,
            asks: Asks::default(),
        }
    }

    pub(super) fn say(&mut self, code: Code, message: String) {
        self.reasons.push(Reason::new(code, message));
    }

    fn without_snapshots(&mut self) {
        let target = &self.facts.target;
        let message = format!("which snapshots of {target} there are is not known");
        self.reasons.push(Reason::new(Code::FactsMissing, message));
        self.missing.push("DescribeSnapshots");
        self.outcome = Outcome::Wait;
        self.asks.snapshots = true;
    }

    /// Those of the count, and those that something is left of.
    fn identities(&mut self, stateful: &Stateful, snapshots: &[Snapshot]) {
        let facts = self.facts;
        let mut numbers: BTreeSet<u32> = (0..stateful.count).collect();
        let volumes = match &facts.identities {
            Known::Yes(volumes) => volumes.as_slice(),
            Known::No => &[],
        };
        let ours = volumes.iter().filter(|volume| volume.is_of(&facts.owner));
        let left = ours.filter_map(|volume| volume.lineage().filter(|of| of.target == facts.target)?.identity);
        numbers.extend(left);
        let followed = self.memory.volumes.keys();
        numbers.extend(followed.filter_map(|key| key.rsplit_once('.')?.1.parse::<u32>().ok()));
        for number in numbers {
            let lineage = Lineage::of_identity(&facts.target, number, stateful.volume.clone());
            let rule = (stateful.snapshot.every, stateful.snapshot.keep.unwrap_or_default());
            self.lineage(&lineage, rule, Some(Identity { stateful, number }), snapshots);
        }
    }

    /// What is remembered of a lineage; of an identity also under the name that its volume had before.
    fn recall(&mut self, lineage: &Lineage) -> Option<VolumeMemory> {
        let volumes = &mut self.memory.volumes;
        let own = volumes.remove(&lineage.key());
        let Some(identity) = lineage.identity.map(|n| n.to_string()) else {
            return own;
        };
        let is_its = |key: &&String| key.rsplit_once('.').is_some_and(|(_, number)| number == identity);
        let before = volumes.keys().find(is_its).cloned();
        own.or_else(|| volumes.remove(&before?))
    }

    fn lineage(
        &mut self,
        lineage: &Lineage,
        (every, keep): (Option<Span>, Keep),
        identity: Option<Identity<'_>>,
        snapshots: &[Snapshot],
    ) {
        let its = self.facts.of_lineage(lineage, snapshots);
        let look = Look {
            facts: self.facts,
            lineage,
            every,
            identity,
            snapshots: &its,
            now: self.now,
        };
        let key = lineage.key();
        let mut memory = self.recall(lineage).unwrap_or_default();
        let turn = look.take(&mut memory);
        let pruned = look.prune(keep, &mut memory);
        self.memory.volumes.insert(key, memory);
        self.turn(lineage, turn);
        self.reasons.extend(pruned.reasons);
        self.removals.extend(pruned.actions);
        self.miss(pruned.missing);
        self.asks.held |= pruned.asks.held;
        self.asks.shared.extend(pruned.asks.shared);
    }

    fn turn(&mut self, lineage: &Lineage, turn: Turn) {
        if turn.outcome == Outcome::Wait {
            self.outcome = Outcome::Wait;
        }
        self.asks.tasks |= turn.missing.iter().any(|operation| *operation != "DescribeVolumes");
        self.asks.identities |= turn.missing.contains(&"DescribeVolumes");
        self.miss(turn.missing);
        self.calls.extend(turn.calls);
        if let Some(start) = turn.start {
            self.starts.insert(lineage.key(), start);
        }
        self.reasons.extend(turn.reasons);
        self.notices.extend(turn.notices);
        self.next_look = [self.next_look, turn.again].into_iter().flatten().min();
        if let Some(intent) = turn.intent {
            let mut tags = lineage.tags(&self.facts.owner, &intent.task, intent.at);
            if intent.is_final {
                tags.insert(FINAL_TAG.to_owned(), "true".to_owned());
            }
            self.creations.push(Action::CreateSnapshot(CreateSnapshot {
                lineage: lineage.clone(),
                volume_id: intent.volume_id.clone(),
                at: intent.at,
                tags,
            }));
            self.intents.insert(lineage.key(), intent);
        }
    }

    /// Each operation once.
    pub(super) fn miss(&mut self, operations: Vec<&'static str>) {
        for operation in operations {
            if !self.missing.contains(&operation) {
                self.missing.push(operation);
            }
        }
    }

    /// Ours of volumes that are not configured any more: they stay, and that is said.
    fn strange(&mut self, snapshots: &[Snapshot]) {
        let facts = self.facts;
        let mut strange: BTreeMap<Lineage, usize> = BTreeMap::new();
        for snapshot in snapshots.iter().filter(|snapshot| snapshot.is_of(&facts.owner)) {
            let of = snapshot.lineage().filter(|lineage| lineage.target == facts.target);
            let Some(lineage) = of else { continue };
            if !facts.is_kept(&lineage) {
                *strange.entry(lineage).or_default() += 1;
            }
        }
        for (lineage, count) in strange {
            let message = format!(
                "{lineage} is not configured, and has {}: nothing removes them",
                counted(count, "snapshot")
            );
            self.say(Code::StrangeSnapshot, message);
        }
    }

    /// What a person asked for.
    fn restore(&mut self) {
        let mut memory = self.memory.clone();
        let Some(answer) = answer(self.facts, &mut memory, self.now) else {
            return;
        };
        if answer.action.is_some() {
            // Stored before the call, and not when none is made.
            self.restoring = memory.restoring.take();
            memory.restoring.clone_from(&self.memory.restoring);
        }
        self.memory = memory;
        if answer.outcome == Outcome::Wait {
            self.outcome = Outcome::Wait;
        }
        self.asks.volumes |= !answer.missing.is_empty();
        self.miss(answer.missing);
        self.reasons.push(answer.reason);
        self.restores = answer.action;
        self.next_look = [self.next_look, answer.again].into_iter().flatten().min();
    }

    fn finish(self) -> Decided {
        let all = self
            .restores
            .into_iter()
            .chain(self.creations)
            .chain(self.calls)
            .chain(self.removals);
        let actions: Vec<_> = all.collect();
        let outcome = if !actions.is_empty() {
            Outcome::Act
        } else if !self.missing.is_empty() {
            Outcome::Wait
        } else {
            self.outcome
        };
        Decided {
            decision: Decision {
                outcome,
                actions,
                reasons: self.reasons,
                missing: self.missing,
            },
            memory: self.memory,
            intents: self.intents,
            starts: self.starts,
            restoring: self.restoring,
            notices: self.notices,
            next_look: self.next_look,
            asks: self.asks,
        }
    }
}
