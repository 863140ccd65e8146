//! What stands around a Lambda function, on this machine: the Runtime API that hands it events, and an AWS that answers its
//! calls and records them. The function is the real binary in a process of its own.
//!
//! ```text
//!   test ── invoke ──> Runtime API <── GET next ── function ── calls ──> AWS in memory
//!        <─ outcome ──            <── POST ──────
//! ```

mod build;
mod calls;
mod capacity;
mod dynamodb;
mod expressions;
mod json;
mod process;
mod query;
mod server;
pub mod story;
mod tls;
mod world;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use build::{build, build_for_lambda};
pub use calls::{Call, depth, stages};
pub use capacity::container_instance;
pub use json::{attribute, item, plain};
pub use process::{Process, Usage};
pub use query::Target;
pub use tls::{Authority, system_bundle};
pub use world::World;

/// The account and the Region in which the functions run.
pub const ACCOUNT: &str = "123456789012";
/// The Region.
pub const REGION: &str = "eu-west-1";
/// The config table's name.
pub const CONFIG_TABLE: &str = "wharfinger-config";
/// The state table's name.
pub const STATE_TABLE: &str = "wharfinger-state";
/// The owner mark.
pub const OWNER: &str = "wharfinger";

/// How long anything here is waited for: far longer than it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and code, and has no effect.
    Refuse(u16, &'static str),
    /// It has its effect, and there is never an answer.
    Silence,
    /// The connection is cut before the effect.
    Cut,
    /// The connection is cut after the effect.
    CutAfter,
    /// It has its effect, and the answer is no JSON.
    Garbage,
}

/// What the function answered to an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done(Value),
    /// It failed: Lambda would try again, and in the end send the event to the dead-letter queue.
    Failed {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

/// An event that waits for the function.
#[derive(Debug, Clone)]
struct Invocation {
    id: String,
    event: Value,
    within: Duration,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Invocation>,
    invocations: usize,
    asked: Vec<Instant>,
    outcomes: HashMap<String, Outcome>,
    calls: Vec<Call>,
    connections: usize,
    faults: Vec<(String, usize, Fault)>,
    latency: Duration,
    world: World,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    queued: tokio::sync::Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_all();
        changed
    }
}

/// The surroundings of one function.
#[derive(Debug)]
pub struct Lambda {
    shared: Arc<Shared>,
    plain: server::Server,
    tls: Option<server::Server>,
}

impl Lambda {
    /// Starts them on free ports of the loopback interface. With an authority, AWS is reached over TLS.
    ///
    /// # Errors
    /// When no port can be had, or a certificate cannot be made.
    pub fn start(authority: Option<&Authority>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let plain = server::Server::start(Arc::clone(&shared), None)?;
        let tls = authority
            .map(|authority| server::Server::start(Arc::clone(&shared), Some(authority)))
            .transpose()?;
        Ok(Self { shared, plain, tls })
    }

    /// Where the Runtime API is.
    #[must_use]
    pub fn runtime_api(&self) -> SocketAddr {
        self.plain.address()
    }

    /// Where AWS is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.tls {
            Some(tls) => format!("https://localhost:{}", tls.address().port()),
            None => format!("http://{}", self.plain.address()),
        }
    }

    /// Looks at the world, or changes it.
    pub fn world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        with(&mut self.shared.state().world)
    }

    /// How long every call takes from now on.
    pub fn latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Lets an operation go wrong, so many times.
    pub fn fail(&self, operation: &str, times: usize, fault: Fault) {
        self.shared.state().faults.push((operation.to_owned(), times, fault));
    }

    /// Lets nothing go wrong any more.
    pub fn mend(&self) {
        self.shared.state().faults.clear();
    }

    /// Hands an event to the function, to be answered within this time, and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn invoke_within(&self, event: &Value, within: Duration) -> io::Result<Invoked> {
        let (id, from) = self.shared.change(|state| {
            state.invocations += 1;
            let id = format!("00000000-0000-4000-8000-{:012}", state.invocations);
            state.queue.push_back(Invocation {
                id: id.clone(),
                event: event.clone(),
                within,
            });
            (id, state.calls.len())
        });
        self.shared.queued.notify_one();
        let outcome = self.wait("an answer to the event", |state| state.outcomes.remove(&id))?;
        let calls = self.shared.state().calls.get(from..).unwrap_or_default().to_vec();
        Ok(Invoked { outcome, calls })
    }

    /// Hands an event to the function, with a minute to answer, and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn invoke(&self, event: &Value) -> io::Result<Invoked> {
        self.invoke_within(event, Duration::from_mins(1))
    }

    /// Waits until the function has asked for its `n`-th event, counted from 1: when was that?
    ///
    /// # Errors
    /// When it does not ask.
    pub fn asked(&self, n: usize) -> io::Result<Instant> {
        self.wait("the function to ask for an event", |state| {
            state.asked.get(n.saturating_sub(1)).copied()
        })
    }

    /// How often the function has asked for an event.
    #[must_use]
    pub fn times_asked(&self) -> usize {
        self.shared.state().asked.len()
    }

    /// How many connections were opened, to the Runtime API and to AWS.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    fn wait<T>(&self, what: &str, look: impl Fn(&mut State) -> Option<T>) -> io::Result<T> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("waited {PATIENCE:?} for {what}"),
                ));
            }
            state = match self.shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// What became of an event.
#[derive(Debug, Clone)]
pub struct Invoked {
    /// What the function answered.
    pub outcome: Outcome,
    /// The calls that it made for it.
    pub calls: Vec<Call>,
}

impl Invoked {
    /// The names of the calls, sorted: those that are made at once arrive in any order.
    #[must_use]
    pub fn operations(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.calls.iter().map(|call| call.operation.as_str()).collect();
        names.sort_unstable();
        names
    }
}
