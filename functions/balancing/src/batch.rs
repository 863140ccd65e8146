//! Several targets of one group in one call: the calls that are due at the same moment go out together.
//!
//! A sweep works on many tasks at once, and the account shares a few calls a second among everyone who registers targets
//! (ELB API throttling). An event brings one target, which nothing holds up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use wharfinger_cloud::error::{CloudError, Kind};
use wharfinger_cloud::ports::TargetGroups;
use wharfinger_core::balancing::{Action, TargetDescription};
use wharfinger_core::endpoint::Member;

/// The most targets in one call: larger ones are refused at times (kubernetes #101592).
const MOST: usize = 100;

/// A group, and whether its targets leave.
type Place = (String, bool);

/// Targets that go out together, and the answer, once it is there, with who waits for it.
#[derive(Debug, Default)]
struct Batch {
    targets: RefCell<Vec<TargetDescription>>,
    result: RefCell<Option<Result<(), CloudError>>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Batch {
    fn give(&self, result: Result<(), CloudError>) {
        *self.result.borrow_mut() = Some(result);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    async fn wait(&self) -> Result<(), CloudError> {
        poll_fn(|context| {
            if let Some(result) = &*self.result.borrow() {
                return Poll::Ready(result.clone());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// The batches that are being filled.
#[derive(Debug, Default)]
pub(crate) struct Batches(RefCell<BTreeMap<Place, Rc<Batch>>>);

impl Batches {
    /// Makes a call, together with those of the same group that are due now.
    pub(crate) async fn call(&self, cloud: &impl TargetGroups, action: &Action) -> Result<(), CloudError> {
        let place = (action.member().kept_in().to_owned(), action.is_leave());
        let target = action.member().target.clone();
        let (result, alone) = match self.join(&place, &target) {
            Some(answer) => (answer.wait().await, false),
            None => self.lead(cloud, &place, &target).await,
        };
        match result {
            // Of several, one may be at fault: each is tried by itself.
            Err(error) if !alone && matches!(error.kind, Kind::Invalid | Kind::Full) => {
                send(cloud, &place, std::slice::from_ref(&target)).await
            }
            result => result,
        }
    }

    /// Joins a batch that is being filled.
    fn join(&self, place: &Place, target: &TargetDescription) -> Option<Rc<Batch>> {
        let batches = self.0.borrow();
        let batch = batches.get(place).filter(|batch| batch.targets.borrow().len() < MOST)?;
        batch.targets.borrow_mut().push(target.clone());
        Some(Rc::clone(batch))
    }

    /// Begins a batch, lets those join that are due now, and sends it: the answer, and whether nobody joined.
    async fn lead(
        &self,
        cloud: &impl TargetGroups,
        place: &Place,
        target: &TargetDescription,
    ) -> (Result<(), CloudError>, bool) {
        let batch = Rc::new(Batch::default());
        batch.targets.borrow_mut().push(target.clone());
        self.0.borrow_mut().insert(place.clone(), Rc::clone(&batch));
        let filling = Filling {
            batches: self,
            place,
            batch: &batch,
        };
        others_first().await;
        filling.close();
        let targets = batch.targets.take();
        let result = send(cloud, place, &targets).await;
        batch.give(result.clone());
        (result, targets.len() == 1)
    }
}

/// A batch until it is answered: when its leader is dropped, who joined it is told.
struct Filling<'a> {
    batches: &'a Batches,
    place: &'a Place,
    batch: &'a Rc<Batch>,
}

impl Filling<'_> {
    /// Lets nobody join any more. A full batch has made room for the next one already.
    fn close(&self) {
        let mut batches = self.batches.0.borrow_mut();
        if batches.get(self.place).is_some_and(|open| Rc::ptr_eq(open, self.batch)) {
            batches.remove(self.place);
        }
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.close();
        if self.batch.result.borrow().is_none() {
            let message = "the call was given up before it was answered";
            let given_up = CloudError::new("RegisterTargets", Kind::TimedOut, message);
            self.batch.give(Err(given_up));
        }
    }
}

async fn send(cloud: &impl TargetGroups, place: &Place, targets: &[TargetDescription]) -> Result<(), CloudError> {
    let (group, leaves) = place;
    if *leaves {
        cloud.deregister_targets(group, targets).await
    } else {
        cloud.register_targets(group, targets).await
    }
}

/// Lets everyone who is ready go first, once.
async fn others_first() {
    let mut gone = false;
    poll_fn(|context| {
        if gone {
            return Poll::Ready(());
        }
        gone = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use wharfinger_core::balancing::{Membership, TargetGroup, TargetHealth};

    use super::*;

    /// A group that refuses some targets, and whatever comes with them.
    #[derive(Default)]
    struct Groups {
        refused: Vec<&'static str>,
        calls: RefCell<Vec<Vec<String>>>,
    }

    impl TargetGroups for Groups {
        async fn register_targets(&self, _: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
            let ids: Vec<_> = targets.iter().map(|target| target.id.clone()).collect();
            let refused = ids.iter().any(|id| self.refused.contains(&id.as_str()));
            self.calls.borrow_mut().push(ids);
            if refused {
                return Err(CloudError::new("RegisterTargets", Kind::Invalid, "one is refused"));
            }
            Ok(())
        }

        async fn deregister_targets(&self, group: &str, targets: &[TargetDescription]) -> Result<(), CloudError> {
            self.register_targets(group, targets).await
        }

        async fn target_health(&self, group: &str) -> Result<Vec<TargetHealth>, CloudError> {
            panic!("{group}")
        }

        async fn target_groups(&self, names: &[String]) -> Result<BTreeMap<String, TargetGroup>, CloudError> {
            panic!("{names:?}")
        }
    }

    fn joins(id: usize) -> Action {
        Action::join(Membership::new("group", &format!("10.0.0.{id}"), 80), None)
    }

    /// The sizes of the calls, and how many of the actions were refused.
    fn run(groups: &Groups, actions: &[Action]) -> (Vec<usize>, usize) {
        let batches = Batches::default();
        let mut all = Box::pin(join_all(actions.iter().map(|action| batches.call(groups, action))));
        // The leader of a batch asks to be polled once more.
        let answers = (0..8).find_map(|_| (&mut all).now_or_never()).unwrap();
        let sizes = groups.calls.borrow().iter().map(Vec::len).collect();
        (sizes, answers.iter().filter(|answer| answer.is_err()).count())
    }

    #[test]
    fn what_is_due_at_once_goes_out_together() {
        let actions: Vec<_> = (0..250).map(joins).collect();
        assert_eq!(run(&Groups::default(), &actions), (vec![100, 100, 50], 0));
        assert_eq!(run(&Groups::default(), &actions[..1]), (vec![1], 0));
        let mixed = [joins(1), Action::leave(joins(2).member().clone())];
        assert_eq!(run(&Groups::default(), &mixed), (vec![1, 1], 0));
    }

    #[test]
    fn one_that_is_refused_takes_no_other_with_it() {
        let groups = Groups {
            refused: vec!["10.0.0.2"],
            ..Groups::default()
        };
        let actions: Vec<_> = (1..4).map(joins).collect();
        assert_eq!(run(&groups, &actions), (vec![3, 1, 1, 1], 1));
    }

    #[test]
    fn who_joined_a_batch_that_was_given_up_is_told() {
        let (groups, batches) = (Groups::default(), Batches::default());
        let (first, second) = (joins(1), joins(2));
        let mut leader = Box::pin(batches.call(&groups, &first));
        assert!((&mut leader).now_or_never().is_none());
        let mut follower = Box::pin(batches.call(&groups, &second));
        assert!((&mut follower).now_or_never().is_none());
        drop(leader);
        assert!(follower.now_or_never().unwrap().is_err());
        assert!(batches.0.borrow().is_empty());
    }
}
