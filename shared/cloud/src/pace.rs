//! How fast the whole account may be asked: a token bucket per AWS operation, in the state table.
//!
//! One push may concern hundreds of services, and each of the functions that run at once knows only of its own calls. So
//! each call takes a token first. The bucket is one number, as in the generic cell rate algorithm (ITU-T I.371): the time
//! at which it will be full again, `full-at`. Each token moves it [`Limit::interval`] on; a token may be used as soon as
//! the bucket is full again at most [`Limit::burst`] intervals later. Whoever finds no token left takes a later one, if it
//! can wait that long, and so they take turns in the order in which they came.
//!
//! `full-at` never goes back: that is why neither of the two writes needs to compare it with what was read. An answer that
//! was lost costs one token and never gives one away. A clock that is wrong by so much shifts what it takes by so much.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::{CloudError, Fault, Kind};
use crate::ports::Clock;
use crate::table::{Condition, Item, Key, Table, TableName, Update, Updated, as_number, number};

/// An operation that is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Paced {
    /// `RegisterTaskDefinition`.
    RegisterTaskDefinition,
    /// `UpdateService` to another task definition. What only changes a count is not paced: it must not wait.
    UpdateService,
}

/// How many calls at once, and how far apart after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many at once, when there was none for a while.
    pub burst: u32,
    /// One more each of these.
    pub interval: Duration,
}

impl Paced {
    /// Less than half of what ECS takes at once and four fifths of what it takes in the long run (ECS API reference,
    /// "Request throttling": 20 and 1 a second, 50 and 5 a second, for each account and Region). The rest is for whoever
    /// else registers and updates: CI, CloudFormation, scaling; and for clocks that differ by up to 5 seconds.
    #[must_use]
    pub const fn limit(self) -> Limit {
        let (burst, interval) = match self {
            Self::RegisterTaskDefinition => (10, Duration::from_millis(1_250)),
            Self::UpdateService => (20, Duration::from_millis(250)),
        };
        Limit { burst, interval }
    }

    /// AWS's name of the operation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisterTaskDefinition => "RegisterTaskDefinition",
            Self::UpdateService => "UpdateService",
        }
    }

    /// The item that is its bucket.
    #[must_use]
    pub fn key(self) -> Key {
        Key::new("pace", self.name())
    }
}

/// What became of a request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only whoever has a token may call"]
pub enum Taken {
    /// It is taken, and it is time: call, once.
    Now,
    /// None can be had within the patience. None was taken; there will be one then, if nobody else comes.
    After(Timestamp),
}

const FULL_AT: &str = "full-at";

/// How often the item may be found otherwise than it was a moment ago. Only a deletion does that.
const ROUNDS: usize = 3;

/// Takes a token for one call, and waits until it may be used: not longer than `patience`, nor than half of what is left of
/// the invocation, which is left for the call itself.
///
/// # Errors
/// When the table cannot be written: then a token may be lost, which costs the others an interval.
pub async fn take(cloud: &(impl Table + Clock), paced: Paced, patience: Duration) -> Result<Taken, Fault> {
    let limit = Millis::of(paced.limit());
    for _ in 0..ROUNDS {
        let now = cloud.now().as_millisecond();
        let wait = millis(patience.min(cloud.remaining() / 2));
        let begin = Update::of(paced.key())
            .set(FULL_AT, number(now + limit.interval))
            .only_if(Condition::Any(vec![
                Condition::Missing(FULL_AT),
                Condition::Less(FULL_AT, number(now)),
            ]));
        let Updated::Refused(item) = cloud.update(TableName::State, begin).await? else {
            return Ok(Taken::Now);
        };
        let Some(item) = item else { continue };
        let at = full_at(paced, &item)? - limit.ahead;
        if at > now + wait {
            return Ok(Taken::After(timestamp(at)));
        }
        let mut queue = Update::of(paced.key()).only_if(Condition::Less(FULL_AT, number(now + wait + limit.ahead + 1)));
        queue.add.push((FULL_AT, limit.interval));
        match cloud.update(TableName::State, queue).await? {
            Updated::Made(item) => {
                let at = full_at(paced, &item)? - limit.interval - limit.ahead;
                let wait = u64::try_from(at - now).unwrap_or_default();
                cloud.sleep(Duration::from_millis(wait)).await;
                return Ok(Taken::Now);
            }
            // Others were faster.
            Updated::Refused(Some(item)) => return Ok(Taken::After(timestamp(full_at(paced, &item)? - limit.ahead))),
            Updated::Refused(None) => {}
        }
    }
    Err(Fault::Unsettled {
        subject: format!("the pace of {}", paced.name()),
        rounds: ROUNDS,
    })
}

/// A limit in milliseconds.
struct Millis {
    interval: i64,
    /// How much before the bucket is full a token may be used: all others of the burst.
    ahead: i64,
}

impl Millis {
    fn of(limit: Limit) -> Self {
        let interval = millis(limit.interval);
        Self {
            interval,
            ahead: interval * i64::from(limit.burst.saturating_sub(1)),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    SignedDuration::try_from(duration).map_or(i64::MAX / 4, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX / 4))
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

fn full_at(paced: Paced, item: &Item) -> Result<i64, CloudError> {
    as_number(item, FULL_AT).ok_or_else(|| {
        let message = format!("the item `{}` has no number in `{FULL_AT}`: delete it", paced.key());
        CloudError::new("UpdateItem", Kind::Unreadable, message)
    })
}

#[cfg(test)]
#[cfg(feature = "world")]
mod tests;
