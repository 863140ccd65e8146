//! One invocation's way into the world.

use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Fate, Gates, Shared, What, World};
use crate::error::{CloudError, Kind};
use crate::ports::{Attempt, Clock};

/// An invocation, as the world sees it.
#[derive(Debug, Clone)]
pub struct Caller {
    world: Shared,
    name: Rc<str>,
    attempt: Rc<str>,
    gates: Option<Gates>,
    deadline: Timestamp,
    skew: SignedDuration,
}

impl Caller {
    /// A caller whose calls wait at gates, and whose clock differs from the world's by `skew`.
    #[must_use]
    pub fn gated(world: &Shared, name: &str, gates: Gates, deadline: Timestamp, skew: SignedDuration) -> Self {
        Self {
            world: Rc::clone(world),
            name: Rc::from(name),
            attempt: Rc::from(format!("{name}/0")),
            gates: Some(gates),
            deadline,
            skew,
        }
    }

    /// A caller whose calls wait for nothing; when it sleeps, the world's time goes on.
    #[must_use]
    pub fn direct(world: &Shared, name: &str) -> Self {
        let deadline = world.borrow().now.saturating_add(SignedDuration::from_mins(1));
        Self {
            world: Rc::clone(world),
            name: Rc::from(name),
            attempt: Rc::from(format!("{name}/0")),
            gates: None,
            deadline: deadline.unwrap_or(Timestamp::MAX),
            skew: SignedDuration::ZERO,
        }
    }

    /// The same, as this attempt ([`Attempt`]).
    #[must_use]
    pub fn named(self, attempt: &str) -> Self {
        Self {
            attempt: Rc::from(attempt),
            ..self
        }
    }

    pub(super) async fn read<T>(
        &self,
        operation: &'static str,
        argument: impl Fn() -> String,
        effect: impl Fn(&World) -> Result<T, CloudError>,
        brief: impl Fn(&T) -> String,
    ) -> Result<T, CloudError> {
        self.call(operation, false, argument, |world| effect(world), brief)
            .await
    }

    pub(super) async fn write<T>(
        &self,
        operation: &'static str,
        argument: impl Fn() -> String,
        effect: impl Fn(&mut World) -> Result<T, CloudError>,
        brief: impl Fn(&T) -> String,
    ) -> Result<T, CloudError> {
        self.call(operation, true, argument, effect, brief).await
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        writes: bool,
        argument: impl Fn() -> String,
        effect: impl Fn(&mut World) -> Result<T, CloudError>,
        brief: impl Fn(&T) -> String,
    ) -> Result<T, CloudError> {
        let fate = match &self.gates {
            Some(gates) => gates.pass(What::Call { operation, writes }).await,
            None => Fate::Fine,
        };
        let mut world = self.world.borrow_mut();
        world.caller = Rc::clone(&self.name);
        let answer = match fate {
            Fate::Fine => effect(&mut world),
            Fate::Lagging => {
                world.lagging = true;
                let answer = effect(&mut world);
                world.lagging = false;
                answer
            }
            Fate::Before(kind) => Err(failure(operation, kind)),
            Fate::After(kind) => effect(&mut world).and_then(|_| Err(failure(operation, kind))),
            Fate::Twice => effect(&mut world).and_then(|_| effect(&mut world)),
        };
        if world.talkative {
            let result = match &answer {
                Ok(answer) => brief(answer),
                Err(error) => format!("{:?}", error.kind),
            };
            let injected = match fate {
                Fate::Fine => "",
                Fate::Before(_) => "  [fault: no effect]",
                Fate::After(_) => "  [fault: answer lost after the effect]",
                Fate::Lagging => "  [fault: answered from before the last change]",
                Fate::Twice => "  [fault: answer lost, sent again]",
            };
            let line = format!("{}: {operation} {} -> {result}{injected}", self.name, argument());
            world.told.push(line);
        }
        answer
    }
}

fn failure(operation: &'static str, kind: Kind) -> CloudError {
    let code = (kind == Kind::Throttled).then(|| "ThrottlingException".to_owned());
    CloudError {
        operation,
        kind,
        code,
        message: "made to fail".into(),
    }
}

impl Attempt for Caller {
    fn attempt(&self) -> String {
        self.attempt.to_string()
    }
}

impl Clock for Caller {
    fn now(&self) -> Timestamp {
        let now = self.world.borrow().now;
        now.saturating_add(self.skew).unwrap_or(now)
    }

    async fn sleep(&self, duration: Duration) {
        let until = {
            let now = self.world.borrow().now;
            now.saturating_add(duration).unwrap_or(now)
        };
        match &self.gates {
            Some(gates) => drop(gates.pass(What::Sleep(until)).await),
            None => self.world.borrow_mut().now = until,
        }
    }

    fn remaining(&self) -> Duration {
        let left = self.deadline.duration_since(self.world.borrow().now);
        left.try_into().unwrap_or_default()
    }
}
