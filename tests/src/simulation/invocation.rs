//! Running functions, as Lambda runs them: environments that live on, and invocations in them.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use jiff::{SignedDuration, Timestamp};
use wharfinger_balancing::Balancing;
use wharfinger_capacity::Capacity;
use wharfinger_cloud::Fault;
use wharfinger_cloud::world::{ACCOUNT, Caller, Gates, REGION, Shared, Stop, What};
use wharfinger_delivery::{Attempt, Delivery};
use wharfinger_discovery::Discovery;
use wharfinger_scaling::Scaling;

use super::bus::{Domain, Parcel};
use super::client::{Client, Without};
use super::scenario::OWNER;

/// The functions' time-out in `template.yaml`.
pub const TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// An execution environment: one function's process, which keeps its caches from event to event.
#[derive(Debug)]
pub struct Environment {
    function: Rc<Kind>,
    /// How far its clock is from the world's.
    skew: SignedDuration,
}

#[derive(Debug)]
enum Kind {
    Discovery(Discovery),
    Balancing(Balancing),
    Scaling(Scaling),
    Delivery(Delivery),
    Capacity(Capacity),
}

impl Environment {
    /// A fresh one.
    #[must_use]
    pub fn new(domain: Domain, skew: SignedDuration) -> Self {
        let function = match domain {
            Domain::Discovery => Kind::Discovery(Discovery::new(OWNER)),
            Domain::Balancing => Kind::Balancing(Balancing::new(OWNER)),
            Domain::Scaling => Kind::Scaling(Scaling::default()),
            Domain::Delivery => Kind::Delivery(Delivery::default()),
            Domain::Capacity => Kind::Capacity(Capacity::default()),
        };
        Self {
            function: Rc::new(function),
            skew,
        }
    }
}

/// When an invocation falls behind the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// Never.
    No,
    /// All the time.
    Always,
    /// Just before it changes the world: all that it knows grows old.
    BeforeChange,
}

type Work = Pin<Box<dyn Future<Output = Result<(), Fault>>>>;

/// An invocation that runs.
pub struct Running {
    /// Its name: who holds a lease.
    pub name: String,
    /// What it was started with.
    pub parcel: Parcel,
    /// Where its calls wait.
    pub gates: Gates,
    /// When Lambda ends it.
    pub deadline: Timestamp,
    /// Whether it falls behind the others.
    pub lag: Lag,
    /// Its environment.
    pub environment: Environment,
    work: Work,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.parcel.title())
    }
}

impl Running {
    /// Starts an invocation.
    #[must_use]
    pub fn start(
        world: &Shared,
        number: u64,
        mut parcel: Parcel,
        environment: Environment,
        without: Option<Without>,
    ) -> Self {
        let name = format!("{} {number}", parcel.to.name());
        let attempt = format!("{}/{number}", parcel.first.get_or_insert(number));
        let gates = Gates::default();
        let now = world.borrow().now;
        let deadline = now.saturating_add(TIMEOUT).unwrap_or(now);
        let client = Client::new(
            Caller::gated(world, &name, gates.clone(), deadline, environment.skew).named(&attempt),
            without,
        );
        let (function, event, holder) = (Rc::clone(&environment.function), Rc::clone(&parcel.event), name.clone());
        let work: Work = Box::pin(async move {
            match &*function {
                Kind::Discovery(function) => Box::pin(function.on_event(&client, &event)).await.map(drop),
                Kind::Balancing(function) => Box::pin(function.on_event(&client, &event)).await.map(drop),
                Kind::Scaling(function) => Box::pin(function.on_event(&client, &holder, &event)).await,
                Kind::Capacity(function) => Box::pin(function.on_event(&client, &holder, &event)).await,
                Kind::Delivery(function) => {
                    let attempt = Attempt {
                        holder,
                        account: ACCOUNT.into(),
                        region: REGION.into(),
                        owner: OWNER.into(),
                    };
                    Box::pin(function.on_event(&client, &attempt, &event)).await
                }
            }
        });
        Self {
            name,
            parcel,
            gates,
            deadline,
            lag: Lag::No,
            environment,
            work,
        }
    }

    /// Whether it is behind the others now.
    #[must_use]
    pub fn lags(&self) -> bool {
        let changes = |stop: &Stop| {
            let What::Call { operation, writes } = stop.what else {
                return false;
            };
            writes && !matches!(operation, "UpdateItem" | "PutItem" | "TransactWriteItems")
        };
        match self.lag {
            Lag::No => false,
            Lag::Always => true,
            Lag::BeforeChange => self.gates.stops().iter().any(changes),
        }
    }

    /// Goes on as far as the gates let it.
    pub fn poll(&mut self) -> Poll<Result<(), Fault>> {
        poll(self.work.as_mut())
    }
}

/// Polls as far as it goes: who lets the others go first asks to be polled again.
pub fn poll<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    loop {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() || !woken.0.load(Ordering::Relaxed) {
            return polled;
        }
    }
}

/// Whether an invocation woke itself.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
