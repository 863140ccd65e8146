//! Where calls wait until they are let through: one yield point per call, whatever runtime polls it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use jiff::Timestamp;

use crate::error::Kind;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has its effect and is answered.
    Fine,
    /// It fails and has no effect.
    Before(Kind),
    /// It has its effect, and fails all the same.
    After(Kind),
    /// It has its effect, the answer is lost, and the SDK sends it again: the second answer is returned.
    Twice,
    /// It is answered from before the last change: ECS and Cloud Map are eventually consistent. Most calls do not lag.
    Lagging,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An AWS operation.
    Call {
        /// Its name.
        operation: &'static str,
        /// Whether it can change anything.
        writes: bool,
    },
    /// A time.
    Sleep(Timestamp),
}

/// A call or a sleep that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Tells it from the others.
    pub id: u64,
    /// What it is.
    pub what: What,
}

#[derive(Debug)]
struct Waiting {
    stop: Stop,
    fate: Option<Fate>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    waiting: Vec<Waiting>,
}

/// The calls of one invocation that wait.
#[derive(Debug, Clone, Default)]
pub struct Gates(Rc<RefCell<Inner>>);

impl Gates {
    /// Those that wait, in the order in which they came.
    #[must_use]
    pub fn stops(&self) -> Vec<Stop> {
        let inner = self.0.borrow();
        inner
            .waiting
            .iter()
            .filter(|w| w.fate.is_none())
            .map(|w| w.stop.clone())
            .collect()
    }

    /// Lets one through: it goes on when the invocation is polled next.
    pub fn open(&self, id: u64, fate: Fate) {
        let mut inner = self.0.borrow_mut();
        if let Some(waiting) = inner.waiting.iter_mut().find(|w| w.stop.id == id) {
            waiting.fate = Some(fate);
            // Combinators that hold many calls poll only those that were woken.
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) async fn pass(&self, what: What) -> Fate {
        let id = {
            let mut inner = self.0.borrow_mut();
            inner.next += 1;
            let id = inner.next;
            inner.waiting.push(Waiting {
                stop: Stop { id, what },
                fate: None,
                waker: None,
            });
            id
        };
        let _leave = Leave { gates: self, id };
        poll_fn(|context| {
            let mut inner = self.0.borrow_mut();
            let Some(waiting) = inner.waiting.iter_mut().find(|w| w.stop.id == id) else {
                return Poll::Ready(Fate::Fine);
            };
            if let Some(fate) = waiting.fate {
                return Poll::Ready(fate);
            }
            waiting.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A call that is let through or given up waits no longer.
struct Leave<'a> {
    gates: &'a Gates,
    id: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.gates.0.borrow_mut().waiting.retain(|w| w.stop.id != self.id);
    }
}
