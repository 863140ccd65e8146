//! The real binaries, each in a process of its own, with the Runtime API before them and an AWS behind them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "binaries/balancing.rs"]
mod balancing;
#[path = "binaries/capacity.rs"]
mod capacity;
#[path = "binaries/delivery.rs"]
mod delivery;
#[path = "binaries/discovery.rs"]
mod discovery;
#[path = "binaries/draining.rs"]
mod draining;
#[path = "binaries/failures.rs"]
mod failures;
#[path = "binaries/malformed.rs"]
mod malformed;
#[path = "binaries/scaling.rs"]
mod scaling;
#[path = "binaries/start.rs"]
mod start;
#[path = "binaries/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use wharfinger_tests::lambda::{Invoked, Lambda, Outcome, Process, build, stages};

const PACKAGES: &[&str] = &[
    "wharfinger-discovery",
    "wharfinger-balancing",
    "wharfinger-scaling",
    "wharfinger-delivery",
    "wharfinger-capacity",
];

/// The binaries by name, built once.
fn binaries() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| build(PACKAGES).unwrap())
}

/// A function that runs, and what stands around it.
struct Rig {
    process: Process,
    lambda: Lambda,
}

impl Rig {
    fn start(name: &str) -> Self {
        Self::start_with(name, Lambda::start(None).unwrap(), &[])
    }

    /// Starts it and waits until it asks for its first event.
    fn start_with(name: &str, lambda: Lambda, variables: &[(&str, &OsStr)]) -> Self {
        let process = Process::start(&binaries()[name], &lambda, variables).unwrap();
        let rig = Self { process, lambda };
        rig.lambda.asked(1).unwrap_or_else(|e| panic!("{e}\n{}", rig.said()));
        rig
    }

    /// Hands it an event, which it must deal with.
    fn done(&self, event: &Value) -> Invoked {
        let invoked = self.invoke(event);
        assert!(
            matches!(invoked.outcome, Outcome::Done(_)),
            "{:?}\n{}",
            invoked.outcome,
            self.said()
        );
        invoked
    }

    /// Hands it an event on which it must fail: the kind of the error and its message.
    fn failed(&self, event: &Value) -> (String, String) {
        match self.invoke(event).outcome {
            Outcome::Failed { kind, message } => (kind, message),
            Outcome::Done(_) => panic!("it did not fail\n{}", self.said()),
        }
    }

    fn invoke(&self, event: &Value) -> Invoked {
        self.lambda
            .invoke(event)
            .unwrap_or_else(|e| panic!("{e}\n{}", self.said()))
    }

    fn said(&self) -> String {
        [self.process.stdout(), self.process.stderr()].concat().join("\n")
    }

    /// The instances that Cloud Map has.
    fn instances(&self) -> Vec<String> {
        self.lambda
            .world(|world| world.instances.keys().map(|(_, id)| id.clone()).collect())
    }
}

/// The calls of each stage: those that were under way at once stand together.
fn in_turn(invoked: &Invoked) -> Vec<String> {
    let stages = stages(&invoked.calls).into_iter();
    stages
        .map(|stage| {
            stage
                .into_iter()
                .map(|call| call.operation.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// A line of the log that has all of these members.
fn has(line: &str, members: &[(&str, &str)]) -> bool {
    let Ok(json) = serde_json::from_str::<Value>(line) else {
        return false;
    };
    members
        .iter()
        .all(|(name, part)| json.get(name).and_then(Value::as_str).is_some_and(|v| v.contains(part)))
}
