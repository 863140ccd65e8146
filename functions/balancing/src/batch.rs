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

/// The answer to a batch, once it is there, and who waits for it.
#[derive(Debug, Default)]
struct Answer {
    result: RefCell<Option<Result<(), CloudError>>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Answer {
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

/// Targets that wait for the one that began their batch.
#[derive(Debug, Default)]
struct Batch {
    targets: Rc<RefCell<Vec<TargetDescription>>>,
    answer: Rc<Answer>,
}

/// The batches that are being filled.
#[derive(Debug, Default)]
pub(crate) struct Batches(RefCell<BTreeMap<Place, Batch>>);

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
    fn join(&self, place: &Place, target: &TargetDescription) -> Option<Rc<Answer>> {
        let batches = self.0.borrow();
        let batch = batches.get(place)?;
        let mut targets = batch.targets.borrow_mut();
        if targets.len() >= MOST {
            return None;
        }
        targets.push(target.clone());
        Some(Rc::clone(&batch.answer))
    }

    /// Begins a batch, lets those join that are due now, and sends it.
    async fn lead(
        &self,
        cloud: &impl TargetGroups,
        place: &Place,
        target: &TargetDescription,
    ) -> (Result<(), CloudError>, bool) {
        let answer = Rc::new(Answer::default());
        let targets = Rc::new(RefCell::new(vec![target.clone()]));
        let batch = Batch {
            targets: Rc::clone(&targets),
            answer: Rc::clone(&answer),
        };
        // A full one that is in this place goes out all the same: who began it has it.
        self.0.borrow_mut().insert(place.clone(), batch);
        let given_up = GivenUp {
            batches: self,
            place,
            answer: &answer,
        };
        others_first().await;
        self.close(place, &answer);
        let targets = targets.take();
        let alone = targets.len() == 1;
        let result = send(cloud, place, &targets).await;
        answer.give(result.clone());
        std::mem::forget(given_up);
        (result, alone)
    }

    /// Nobody joins a batch any more.
    fn close(&self, place: &Place, answer: &Rc<Answer>) {
        let mut batches = self.0.borrow_mut();
        let own = batches
            .get(place)
            .is_some_and(|batch| Rc::ptr_eq(&batch.answer, answer));
        if own {
            batches.remove(place);
        }
    }
}

/// A batch whose leader was dropped is nobody's: who joined it is told.
struct GivenUp<'a> {
    batches: &'a Batches,
    place: &'a Place,
    answer: &'a Rc<Answer>,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.batches.close(self.place, self.answer);
        let message = "the call was given up before it was made";
        self.answer
            .give(Err(CloudError::new("RegisterTargets", Kind::TimedOut, message)));
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
