//! How a desired count moves.
//!
//! One decision, in the order in which it is made:
//!
//! 1. `standing`: where the count stands: an unfinished change is finished first, someone else's is adopted;
//! 2. `bounds`: which bounds are in force; when they have changed, the count moves into them, whatever the rules say;
//! 3. `wish`: what each rule says of its alarm or queue: it asks for something, is silent, or objects to fewer tasks;
//! 4. `choose`: any rule that asks for more tasks gets them, and the largest result wins; fewer tasks only when every
//!    rule that speaks agrees; then `history`, which is the stabilisation windows and the rate limits; the bounds; the
//!    cooldowns; and `hold`: a deployment, tasks that are on their way up or cannot be placed.
//!
//! The caller holds the service's lease and stores [`Decided::before_call`] before it makes the call, and [`settle`] of
//! it afterwards. So a crash between any two of these leads to exactly one effect: what is stored tells the next look
//! which count the call was to set, and whether it did.

pub mod backtest;
mod bounds;
mod choose;
mod decide;
mod facts;
mod history;
mod hold;
mod memory;
mod standing;
mod steps;
#[cfg(test)]
mod tests;
mod watch;
mod wish;

use serde_json::{Value, json};

pub use crate::config::stored::Override;
pub use bounds::{InForce, bounds, next_change};
pub use decide::decide;
pub use facts::{AlarmFacts, Facts, QueueFacts, needs_confirmation, needs_metric};
pub use memory::{Bounds, Change, Intent, Memory, Moved, Rise, Used, Wished, settle};
pub use watch::{Watch, watch};

use crate::guard::Removes;
use crate::report::{Decision, Effect, counted};

/// A number of tasks, in words.
fn tasks(count: u32) -> String {
    counted(count, "task")
}

/// What is done with a service's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sets the desired count, and nothing else.
    UpdateService {
        /// The cluster's name.
        cluster: String,
        /// The service's name.
        service: String,
        /// The count: absolute, so that the same call twice has one effect.
        desired_count: u32,
    },
}

impl Effect for Action {
    fn call(&self) -> &'static str {
        "UpdateService"
    }

    fn input(&self) -> Value {
        let Self::UpdateService {
            cluster,
            service,
            desired_count,
        } = self;
        json!({ "cluster": cluster, "service": service, "desiredCount": desired_count })
    }
}

/// A lower count takes no registration away: ECS chooses and drains the tasks, and spares protected ones.
impl Removes for Action {}

/// What [`decide()`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The call to make, if any, and why, or why not.
    pub decision: Decision<Action>,
    /// What is remembered when no call is made, or none may be: store it when it differs from what was stored.
    pub memory: Memory,
    /// The change that the call makes.
    pub intent: Option<Intent>,
}

impl Decided {
    /// What is stored before the call is made: the memory with the intent.
    pub fn before_call(&self) -> Memory {
        let mut memory = self.memory.clone();
        if let Some(intent) = &self.intent {
            memory.intent = Some(intent.clone());
        }
        memory
    }
}
