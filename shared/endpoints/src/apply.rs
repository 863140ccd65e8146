//! The calls, and their confirmation.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use wharfinger_cloud::Fault;
use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::ledger::{self, Entry, SAID, Unsettled};
use wharfinger_cloud::pipeline::{Applied, Confirmed, Domain};
use wharfinger_cloud::ports::{OperationStatus, Submitted};
use wharfinger_cloud::table::{
    AttributeValue, Condition, TableName, Update, Updated, Write, number, text, to_attribute,
};
use wharfinger_core::config::stored::Pauses;
use wharfinger_core::endpoint::{Action, Member, Rival, decide};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::Target;
use wharfinger_core::known::Known;
use wharfinger_core::ledger::{Merge, Ordered};
use wharfinger_core::report::{Decision, Outcome};

use crate::claims::Stand;
use crate::look_up::look_up;
use crate::observe::{ATTEMPTS, INTENDED, LEFT, Look, OPERATIONS, REGISTERED, hold, look, task_key};
use crate::{Cloud, Endpoints, Side, claims, draining, waiting};

/// A side and the world, as the pipeline takes them.
pub struct Converging<'a, S: Side<C>, C: Cloud> {
    /// The function.
    pub function: &'a Endpoints<S>,
    /// The world.
    pub cloud: &'a C,
    /// The operations that were begun, and by which calls: what becomes of them is not waited for.
    operations: RefCell<Vec<(String, Action<S::Member>)>>,
}

impl<'a, S: Side<C>, C: Cloud> Converging<'a, S, C> {
    /// A side and the world.
    pub fn new(function: &'a Endpoints<S>, cloud: &'a C) -> Self {
        Self {
            function,
            cloud,
            operations: RefCell::default(),
        }
    }
}

type Plan<M> = Decision<Action<M>>;

/// What was not as the confirmation would have it.
struct Moved<M> {
    /// What is known by now, when that is newer.
    entry: Option<Entry<TaskStateChange>>,
    /// Who has the addresses.
    rivals: Vec<Rival<M>>,
    /// What is to be claimed, or removed, once more.
    lost: Vec<M>,
}

impl<C: Cloud, S: Side<C>> Domain for Converging<'_, S, C> {
    const NAME: &'static str = <S::Member as Member>::DOMAIN;
    type Facts = Look<S::Member>;
    type Action = Action<S::Member>;
    type Note = ();

    fn target<'f>(&self, look: &'f Self::Facts) -> &'f Target {
        &look.facts.managed.target
    }

    fn paused<'f>(&self, look: &'f Self::Facts) -> &'f Pauses {
        &look.facts.managed.stored.paused
    }

    fn subject(&self, look: &Self::Facts) -> Option<String> {
        Some(look.facts.task.task_arn.id().to_owned())
    }

    fn said<'f>(&self, look: &'f Self::Facts) -> Option<&'f str> {
        look.said.as_deref()
    }

    fn holds(&self, look: &Self::Facts) -> bool {
        look.marked
    }

    fn removals(&self) -> usize {
        self.function.removals.get()
    }

    fn decide(&self, look: &Self::Facts, _: Timestamp) -> (Plan<S::Member>, ()) {
        (decide(&look.facts), ())
    }

    async fn apply(
        &self,
        look: &Self::Facts,
        decision: &Plan<S::Member>,
        (): &(),
    ) -> Result<Applied<Self::Facts>, Fault> {
        if let Some(newer) = self.intend(look, decision).await? {
            return Ok(Applied::Again(newer));
        }
        let busy = self.calls(&decision.actions).await?;
        if busy.is_empty() {
            return Ok(Applied::Done);
        }
        for operation in busy {
            self.wait(operation).await?;
        }
        self.again(look, decision).await.map(Applied::Again)
    }

    async fn confirm(
        &self,
        before: Self::Facts,
        decision: &Plan<S::Member>,
        (): (),
        said: String,
    ) -> Result<Confirmed<Self::Facts>, Fault> {
        let task = &before.facts.task;
        let removed: Vec<_> = decision
            .actions
            .iter()
            .filter(|a| a.is_leave())
            .map(|a| a.member().clone())
            .collect();
        let removals = &self.function.removals;
        removals.set(removals.get().saturating_sub(removed.len()));
        let waits = task.is_running() && waiting::is_due(&before.facts);
        let beside = self.remembered(&before, decision, said, waits)?;
        // What drains joins once it has gone: until then whoever else hears of the task looks again.
        let drains = task.is_running() && !before.facts.draining.is_empty();
        let done = decision.outcome != Outcome::Wait && !drains;
        let key = task_key::<S::Member>(&task.task_arn, &task.cluster_arn);
        let mut confirmation =
            ledger::confirmation(key, task.order(), done, beside).take_out(ATTEMPTS, self.cloud.attempt());
        if task.is_running() {
            // A mark that came meanwhile would not be heeded by anyone else.
            let conditions = vec![confirmation.condition, draining::unchanged(before.mark)];
            confirmation.condition = Condition::All(conditions);
        }
        let stands = stands(&before, decision, &removed);
        let waiting = waiting::keeping::<S::Member>(task, before.waiting, waits);
        let Some(moved) = self.settle(&before, &stands, confirmation, waiting).await? else {
            return Ok(Confirmed::Settled);
        };
        let mut newer = match moved.entry {
            Some(entry) => look(
                self.function,
                &self.cloud.attempt(),
                before.facts.managed.clone(),
                entry,
                made(decision),
            ),
            None => Look {
                said: None,
                ..before.clone()
            },
        };
        newer.settled_claims = before.settled_claims;
        newer.settled_claims.retain(|member| !moved.lost.contains(member));
        newer.facts.rivals = moved.rivals;
        newer.facts.draining = before.facts.draining;
        // Whoever took an address over may have joined before it was removed: it is put back, or removed once more.
        if let Known::Yes(belief) = &mut newer.facts.belief {
            belief
                .uncertain
                .extend(decision.actions.iter().map(|a| a.member().clone()));
        }
        Ok(Confirmed::Moved(look_up(self.function, self.cloud, newer).await?))
    }
}

impl<C: Cloud, S: Side<C>> Converging<'_, S, C> {
    /// What the ledger is told beside the order that is settled.
    fn remembered(
        &self,
        before: &Look<S::Member>,
        decision: &Plan<S::Member>,
        said: String,
        waits: bool,
    ) -> Result<Vec<(&'static str, AttributeValue)>, Fault> {
        let registered = to_attribute("endpoints", &after(before, decision))?;
        let mut beside = vec![(REGISTERED, registered), (SAID, text(said))];
        if before.facts.task.is_leaving() && all_gone(before, decision) {
            beside.push((LEFT, number(before.facts.task.order())));
        }
        let begun = self.operations.borrow();
        let operations: Vec<_> = begun.iter().map(|(id, _)| id).collect();
        if !operations.is_empty() {
            beside.push((OPERATIONS, to_attribute("operations", &operations)?));
        }
        if waits || before.waiting {
            beside.push((waiting::WAITING, AttributeValue::Bool(waits)));
        }
        Ok(beside)
    }

    /// Writes the confirmation, with it whether the task waits, and ends the claims on what was removed. `None` when nothing is
    /// left to do.
    async fn settle(
        &self,
        before: &Look<S::Member>,
        stands: &[Stand<S::Member>],
        confirmation: Update,
        waiting: Option<Write>,
    ) -> Result<Option<Moved<S::Member>>, Fault> {
        let waiting: Vec<_> = waiting.into_iter().collect();
        if !S::Member::SHARED {
            let (unsettled, ended) = tokio::join!(
                ledger::settle(self.cloud, confirmation, waiting),
                self.end(before, stands)
            );
            let (rivals, lost) = ended?;
            let moved = |unsettled: Unsettled<TaskStateChange>| Moved {
                entry: unsettled.newer,
                rivals,
                lost,
            };
            return Ok(unsettled?.map(moved));
        }
        let task = &before.facts.task;
        // Once it is settled nobody looks any more: what others have by now must be as it was relied on in that moment.
        let mut others = claims::settling(self.cloud, &task.task_arn, stands, before.others_join);
        others.extend(waiting.iter().cloned());
        let Some(unsettled) = ledger::settle(self.cloud, confirmation.clone(), others).await? else {
            return Ok(None);
        };
        let (mut rivals, mut lost) = claims::found(self.cloud, task, stands, &unsettled.others);
        let (others, again) = self.end(before, stands).await?;
        rivals.extend(others);
        lost.extend(again);
        let mut entry = unsettled.newer;
        if entry.is_none() && !is_news(before, stands, &rivals) && lost.is_empty() {
            match ledger::settle(self.cloud, confirmation, waiting).await? {
                None => return Ok(None),
                Some(unsettled) => entry = unsettled.newer,
            }
        }
        Ok(Some(Moved { entry, rivals, lost }))
    }

    /// Ends the claims on what was removed: whoever has one of the addresses by now is answered, and what is to be removed
    /// once more, since it was put back meanwhile.
    async fn end(
        &self,
        before: &Look<S::Member>,
        stands: &[Stand<S::Member>],
    ) -> Result<(Vec<Rival<S::Member>>, Vec<S::Member>), Fault> {
        let gone = stands.iter().filter_map(|stand| match stand {
            Stand::Gone(member) => Some(member.clone()),
            Stand::Own(_) | Stand::Others(_) => None,
        });
        let task = &before.facts.task.task_arn;
        let (rivals, again) = claims::end(self.cloud, task, &gone.collect::<Vec<_>>(), before.others_join).await?;
        // A claim that stays says for ever that something was put back for it. Whoever still joins removes it, or the sweep.
        Ok((rivals, if before.others_join { Vec::new() } else { again }))
    }

    /// Stores what is about to be registered and was not known when the event was merged, and claims its address.
    async fn intend(
        &self,
        look: &Look<S::Member>,
        decision: &Plan<S::Member>,
    ) -> Result<Option<Look<S::Member>>, Fault> {
        let task = &look.facts.task;
        let (others, made): (Vec<_>, Vec<_>) = made(decision)
            .into_iter()
            .partition(|member| !task.is_running() || is_taken(look, member));
        if let Some(rivals) = claims::put_back(self.cloud, &task.task_arn, &look.facts.rivals, &others).await? {
            let mut newer = look.clone();
            newer.facts.rivals = rivals;
            return Ok(Some(newer));
        }
        let unclaimed: Vec<_> = made
            .iter()
            .filter(|member| !look.settled_claims.contains(member))
            .cloned()
            .collect();
        let unmarked = !made.is_empty() && !look.marked;
        let new: Vec<_> = made.into_iter().filter(|e| !look.intended.contains(e)).collect();
        // Whoever was not the first to tell of it is about to register all the same: nobody may end the claim.
        if unmarked || !new.is_empty() {
            let all: Vec<_> = look.intended.iter().cloned().chain(new).collect();
            let mut update = Update::of(task_key::<S::Member>(&task.task_arn, &task.cluster_arn))
                .set(INTENDED, to_attribute("endpoints", &all)?)
                .only_if(Condition::Equal(ledger::ORDER, number(task.order())));
            if unmarked {
                update = update.put_in(ATTEMPTS, self.cloud.attempt());
            }
            if let Updated::Refused(_) = self.cloud.update(TableName::State, update).await? {
                return self.again(look, decision).await.map(Some);
            }
        }
        if unclaimed.is_empty() {
            return Ok(None);
        }
        let rivals = hold(self.function, self.cloud, task, &unclaimed).await?;
        if rivals.is_empty() && !unmarked {
            return Ok(None);
        }
        let mut claimed = look.clone();
        claimed.marked = true;
        claimed.intended.extend(unclaimed.iter().cloned());
        claimed.settled_claims.extend(unclaimed);
        claimed.facts.rivals.extend(rivals);
        Ok(Some(claimed))
    }

    /// Makes calls at once; the operations that are in the way are answered.
    ///
    /// What does not fit is tried again once what leaves has made room (cloud-provider-aws #1328).
    async fn calls(&self, actions: &[Action<S::Member>]) -> Result<Vec<Option<String>>, Fault> {
        let call = |action| self.function.side.call(self.cloud, action);
        let (mut busy, mut full) = (Vec::new(), Vec::new());
        // While another call waits for what is in its way, all are decided on anew: what this attempt has begun goes on.
        let is_own = |operation: &Option<String>, action: &Action<S::Member>| {
            let begun = self.operations.borrow();
            begun
                .iter()
                .any(|(id, by)| Some(id) == operation.as_ref() && by == action)
        };
        let answers = join_all(actions.iter().map(call)).await;
        for (action, submitted) in actions.iter().zip(answers) {
            match submitted {
                Ok(Submitted::Busy(operation)) if is_own(&operation, action) => {}
                Ok(Submitted::Busy(operation)) => busy.push(operation),
                Ok(Submitted::Operation(operation)) => {
                    let begun = operation.map(|id| (id, action.clone()));
                    self.operations.borrow_mut().extend(begun);
                }
                Ok(Submitted::Absent) => {}
                Err(error) if error.kind == Kind::Full && actions.iter().any(Action::is_leave) => full.push(action),
                Err(error) => return Err(error.into()),
            }
        }
        for submitted in join_all(full.into_iter().map(call)).await {
            if let Submitted::Busy(operation) = submitted? {
                busy.push(operation);
            }
        }
        Ok(busy)
    }

    /// Waits for an operation that is in the way, as long as the invocation allows.
    async fn wait(&self, operation: Option<String>) -> Result<(), Fault> {
        let mut pause = Duration::from_millis(250);
        loop {
            if self.cloud.remaining() < pause * 4 {
                let message = "another operation on the instance still runs; the next attempt goes on";
                return Err(CloudError::new("GetOperation", Kind::TimedOut, message).into());
            }
            self.cloud.sleep(pause).await;
            let Some(id) = &operation else { return Ok(()) };
            match self.function.side.operation(self.cloud, id).await? {
                OperationStatus::Running => pause = (pause * 2).min(Duration::from_secs(2)),
                OperationStatus::Done => return Ok(()),
                OperationStatus::Failed(reason) => {
                    tracing::warn!(operation = id, reason, "the operation that was waited for failed");
                    return Ok(());
                }
            }
        }
    }

    /// The newest facts, with what this round has or may have registered.
    async fn again(&self, before: &Look<S::Member>, decision: &Plan<S::Member>) -> Result<Look<S::Member>, Fault> {
        let task = &before.facts.task;
        let key = task_key::<S::Member>(&task.task_arn, &task.cluster_arn);
        let item = self.cloud.get(TableName::State, &key).await?.unwrap_or_default();
        let managed = before.facts.managed.clone();
        match Entry::read(item, Merge::Fresh) {
            Ok(entry) => {
                let mut newer = look(self.function, &self.cloud.attempt(), managed, entry, made(decision));
                newer.settled_claims.clone_from(&before.settled_claims);
                newer.facts.rivals.clone_from(&before.facts.rivals);
                newer.facts.draining.clone_from(&before.facts.draining);
                // What was in the way may have undone what we believe: nothing is certain now. And what is to leave may be
                // what this attempt registered itself, of which the ledger need not know any more.
                if let Known::Yes(belief) = &mut newer.facts.belief {
                    belief.uncertain.append(&mut belief.registered);
                    belief
                        .uncertain
                        .extend(decision.actions.iter().map(|action| action.member().clone()));
                }
                look_up(self.function, self.cloud, newer).await
            }
            Err(malformed) => Err(Fault::Unstorable {
                what: malformed.key,
                reason: malformed.reason,
            }),
        }
    }
}

fn made<M: Member>(decision: &Plan<M>) -> Vec<M> {
    let joins = decision.actions.iter().filter(|action| !action.is_leave());
    joins.map(|action| action.member().clone()).collect()
}

/// What was removed, and, of a target, what was put there, for the task or for whoever has it now: all of it with its
/// address.
fn stands<M: Member>(before: &Look<M>, decision: &Plan<M>, removed: &[M]) -> Vec<Stand<M>> {
    let facts = &before.facts;
    let evicted = |member: &&M| facts.rivals.iter().any(|rival| rival.member.is_same(member));
    let own = removed.iter().filter(|member| M::SHARED || !evicted(member));
    let mut stands: Vec<_> = own.map(|member| Stand::Gone(known(before, member))).collect();
    if M::SHARED {
        let is_others = |rival: &&Rival<M>| rival.newer || !facts.task.is_running();
        let holder = |member: &M| {
            let mut others = facts.rivals.iter().filter(is_others);
            others.find(|rival| rival.member.is_same(member)).cloned()
        };
        let put = |member: M| holder(&member).map_or_else(|| Stand::Own(member), Stand::Others);
        stands.extend(made(decision).into_iter().map(put));
    }
    stands
}

/// Whether later tasks than were known have one of the addresses, or known ones have them no more.
fn is_news<M: Member>(before: &Look<M>, stands: &[Stand<M>], rivals: &[Rival<M>]) -> bool {
    let is_at = |stand: &Stand<M>, rival: &Rival<M>| stand.member().address() == rival.member.address();
    let dealt_with = |rival: &&Rival<M>| rival.newer && stands.iter().any(|stand| is_at(stand, rival));
    let known = before.facts.rivals.iter().filter(dealt_with);
    !known.eq(rivals.iter().filter(|rival| rival.newer))
}

/// Whether a member is what a later task has at that address.
fn is_taken<M: Member>(look: &Look<M>, member: &M) -> bool {
    let mut later = look.facts.rivals.iter().filter(|rival| M::SHARED && rival.newer);
    later.any(|rival| rival.member.is_same(member))
}

fn possible<M: Member>(look: &Look<M>) -> Vec<M> {
    match &look.facts.belief {
        Known::Yes(belief) => belief.possible().cloned().collect(),
        Known::No => Vec::new(),
    }
}

/// A member as the ledger knows it: with its address.
fn known<M: Member>(before: &Look<M>, member: &M) -> M {
    let found = possible(before).into_iter().find(|m| m.is_same(member));
    found.unwrap_or_else(|| member.clone())
}

/// Whether nothing of a leaving task is there any more, or all that is there is another's.
fn all_gone<M: Member>(before: &Look<M>, decision: &Plan<M>) -> bool {
    possible(before)
        .iter()
        .all(|member| decision.actions.iter().any(|action| action.member().is_same(member)))
}

/// What is registered once the calls were made; what was put back for another task is not this one's.
fn after<M: Member>(look: &Look<M>, decision: &Plan<M>) -> Vec<M> {
    let touched = |e: &M| decision.actions.iter().any(|action| action.member().is_same(e));
    let mut registered = match &look.facts.belief {
        Known::Yes(belief) => belief.registered.clone(),
        Known::No => Vec::new(),
    };
    registered.retain(|member| !touched(member));
    if look.facts.task.is_running() {
        let others = |member: &M| {
            look.facts
                .rivals
                .iter()
                .any(|r| r.newer && r.member.address() == member.address())
        };
        registered.extend(made(decision).into_iter().filter(|member| !others(member)));
    }
    registered
}
