//! One pass of a sweep: its parts fail alone, and the last good pass is remembered.

use crate::error::Fault;
use crate::ports::Clock;
use crate::table::{Key, Malformed, Table, TableName, Update, as_number, number};
use crate::telemetry;

/// A pass over every target of a domain.
#[derive(Debug)]
pub struct Pass {
    domain: &'static str,
    parts: usize,
    failures: Vec<String>,
}

impl Pass {
    /// A pass that begins.
    #[must_use]
    pub fn of(domain: &'static str) -> Self {
        Self {
            domain,
            parts: 0,
            failures: Vec::new(),
        }
    }

    /// Reports items that cannot be read; they are skipped.
    pub fn report(&self, clock: &impl Clock, malformed: &[Malformed]) {
        for item in malformed {
            telemetry::malformed(self.domain, clock.now(), item);
        }
    }

    /// Takes note of a part: a failure is told, and the other parts go on.
    pub fn part(&mut self, clock: &impl Clock, name: impl std::fmt::Display, result: Result<(), Fault>) {
        self.parts += 1;
        if let Err(fault) = result {
            let failure = format!("{name}: {fault}");
            telemetry::error(self.domain, clock.now(), &failure);
            self.failures.push(failure);
        }
    }

    /// Whether every part went through.
    ///
    /// # Errors
    /// When parts failed: the first, and how many.
    pub fn result(&self) -> Result<(), Fault> {
        match self.failures.first() {
            None => Ok(()),
            Some(first) => Err(Fault::Partly {
                failed: self.failures.len(),
                of: self.parts,
                first: first.clone(),
            }),
        }
    }

    /// Ends the pass: tells what it found and how long ago the last good one was, and remembers this one if it was good.
    ///
    /// # Errors
    /// When parts failed, so that Lambda tries again and the alarm on errors sees it.
    pub async fn finish(self, cloud: &(impl Table + Clock), found: &[(&'static str, usize)]) -> Result<(), Fault> {
        let now = cloud.now();
        let key = Key::new("sweep", self.domain);
        let before = cloud.get(TableName::State, &key).await?;
        let staleness = before
            .as_ref()
            .and_then(|item| as_number(item, "at"))
            .map(|at| now.as_second() - at);
        telemetry::sweep(self.domain, now, staleness, found);
        self.result()?;
        cloud
            .update(TableName::State, Update::of(key).set("at", number(now.as_second())))
            .await?;
        Ok(())
    }
}
