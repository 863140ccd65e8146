//! Who may write on a service: a lease with a fencing number, in the same item as what is remembered of the service.
//!
//! Every later write of that item carries the number as its condition, so a holder whose lease was taken over can store
//! no intent any more, and without a stored intent it makes no call. The lease outlives the longest invocation, so the
//! holder of an expired one is provably gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Code, Decision, Outcome, Reason};

use crate::error::{CloudError, Fault};
use crate::pipeline::Cause;
use crate::ports::Clock;
use crate::table::{
    AttributeValue, Condition, Item, Key, Table, TableName, Update, Updated, as_number, as_text, number, text,
};
use crate::telemetry;

/// Longer than any function's time-out in `template.yaml` (60 seconds), by more than clocks differ; a test compares them.
pub const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// How long to wait for another holder before the sweep is left to go on.
const PATIENCE: Duration = Duration::from_secs(8);

/// The attribute of a service's item with what is known of its tasks that stopped
/// ([`wharfinger_core::capacity::crash::Stops`]): capacity writes it without the lease, delivery reads it.
pub const STOPS: &str = "stops";

const HOLDER: &str = "holder";
const UNTIL: &str = "until";
const FENCE: &str = "fence";

/// A lease that is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    key: Key,
    fence: i64,
    /// The service's item when the lease was taken: what the domains remember.
    pub item: Item,
}

/// What became of a request for a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// It is held.
    Held(Lease),
    /// Another invocation has it.
    Busy {
        /// Until when at most.
        until: Option<Timestamp>,
    },
}

/// The key of a service's item.
#[must_use]
pub fn service_key(target: &Target) -> Key {
    Key::new(target.key(), "state")
}

/// Takes the lease of a service, waiting a little for another holder.
///
/// # Errors
/// When the table cannot be written.
pub async fn acquire(cloud: &(impl Table + Clock), target: &Target, holder: &str) -> Result<Acquired, CloudError> {
    let started = cloud.now();
    let mut pause = Duration::from_millis(100);
    loop {
        let acquired = try_acquire(cloud, target, holder).await?;
        let waited = cloud.now().duration_since(started);
        let patient = waited.unsigned_abs() + pause < PATIENCE.min(cloud.remaining() / 2);
        if matches!(acquired, Acquired::Held(_)) || !patient {
            return Ok(acquired);
        }
        cloud.sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Does work on a service under its lease, which is given back also when the work fails. `None` when another invocation has
/// the lease: the sweep goes on.
///
/// # Errors
/// When the lease cannot be asked for, or the work fails.
pub async fn hold<T>(
    cloud: &(impl Table + Clock),
    domain: &'static str,
    target: &Target,
    cause: &Cause,
    holder: &str,
    work: impl AsyncFnOnce(&Lease) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let lease = match acquire(cloud, target, holder).await? {
        Acquired::Held(lease) => lease,
        Acquired::Busy { until } => {
            let until = until.map_or_else(String::new, |t| format!(" until {t} at most"));
            let message = format!("another invocation writes on {target}{until}; the sweep goes on");
            let decision = Decision::<()>::without_calls(Outcome::Wait, Reason::new(Code::LeaseHeld, message));
            telemetry::undecided(domain, target, None, cause, decision, cloud.now());
            return Ok(None);
        }
    };
    match work(&lease).await {
        Ok(done) => Ok(Some(done)),
        Err(fault) => {
            lease.give_up(cloud).await;
            Err(fault)
        }
    }
}

async fn try_acquire(cloud: &(impl Table + Clock), target: &Target, holder: &str) -> Result<Acquired, CloudError> {
    let now = cloud.now();
    let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
    let key = service_key(target);
    let mut update = Update::of(key.clone())
        .set(HOLDER, text(holder))
        .set(UNTIL, number(until.as_millisecond()))
        .only_if(Condition::Any(vec![
            Condition::Missing(UNTIL),
            Condition::Less(UNTIL, number(now.as_millisecond())),
            // Our own request whose answer was lost and which the SDK sent again.
            Condition::Equal(HOLDER, text(holder)),
        ]));
    update.add.push((FENCE, 1));
    Ok(match cloud.update(TableName::State, update).await? {
        Updated::Made(item) => {
            let fence = as_number(&item, FENCE).unwrap_or_default();
            Acquired::Held(Lease { key, fence, item })
        }
        Updated::Refused(item) => Acquired::Busy {
            until: item
                .as_ref()
                .and_then(|i| as_number(i, UNTIL))
                .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        },
    })
}

impl Lease {
    /// Rises with each holder: whoever writes beside the service's item says under which.
    #[must_use]
    pub const fn fence(&self) -> i64 {
        self.fence
    }

    /// Stores what a domain remembers, if the lease is still ours. Before a call: the intent.
    ///
    /// # Errors
    /// When the table cannot be written, or the lease was taken over: then nothing may be called any more.
    pub async fn store(&self, table: &impl Table, name: &'static str, memory: AttributeValue) -> Result<(), Fault> {
        self.write(table, Update::of(self.key.clone()).set(name, memory)).await
    }

    /// Gives the lease back, and stores what a domain remembers in the same write.
    ///
    /// # Errors
    /// As [`Lease::store`].
    pub async fn release(&self, table: &impl Table, memory: Vec<(&'static str, AttributeValue)>) -> Result<(), Fault> {
        let mut update = Update::of(self.key.clone()).remove(HOLDER).remove(UNTIL);
        update.set = memory;
        self.write(table, update).await
    }

    /// Gives the lease back after a failure; what was stored before tells the next holder where to go on.
    pub async fn give_up(&self, table: &impl Table) {
        let update = Update::of(self.key.clone()).remove(HOLDER).remove(UNTIL);
        if let Err(fault) = self.write(table, update).await {
            // It expires by itself.
            tracing::warn!(key = %self.key, %fault, "the lease could not be given back");
        }
    }

    async fn write(&self, table: &impl Table, update: Update) -> Result<(), Fault> {
        let ours = Condition::Equal(FENCE, number(self.fence));
        match table.update(TableName::State, update.only_if(ours)).await? {
            Updated::Made(_) => Ok(()),
            Updated::Refused(item) => {
                let holder = item.as_ref().and_then(|i| as_text(i, HOLDER)).unwrap_or("nobody");
                Err(Fault::LeaseLost {
                    key: self.key.to_string(),
                    holder: holder.to_owned(),
                })
            }
        }
    }
}
