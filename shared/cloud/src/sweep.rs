//! One pass of a sweep: what it looks at; its parts fail alone, and the last good pass is remembered.

use serde_json::Value;
use wharfinger_core::event::Rejected;
use wharfinger_core::ids::Target;

use crate::error::Fault;
use crate::ports::Clock;
use crate::table::{Key, Malformed, Table, TableName, Update, as_number, number};
use crate::telemetry;

/// What a pass looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this target, under either top-level key: `cluster/name`.
    pub target: Option<String>,
    /// Only what is looked at every minute.
    pub often: bool,
    /// Only says what it would do.
    pub dry_run: bool,
}

/// What a function can be asked for besides a pass over everything or one target.
#[derive(Debug, Clone, Copy)]
pub struct Askable {
    /// The value of `detail.only` for what is looked at every minute.
    pub only: &'static str,
    /// Whether it can only say what it would do.
    pub dry_run: bool,
}

impl Scope {
    /// Reads the `detail` of a Scheduled Event; EventBridge's own is empty and means everything.
    ///
    /// # Errors
    /// When it asks for what is not known.
    pub fn of(event: &Value, askable: Askable) -> Result<Self, Rejected> {
        let mut scope = Self::default();
        for (key, value) in event.get("detail").and_then(Value::as_object).into_iter().flatten() {
            match (key.as_str(), value) {
                ("target", Value::String(target)) => scope.target = Some(target.clone()),
                ("dry-run", Value::Bool(dry_run)) if askable.dry_run => scope.dry_run = *dry_run,
                ("only", Value::String(only)) if only == askable.only => scope.often = true,
                _ => {
                    return Err(Rejected::Malformed {
                        kind: "Scheduled Event",
                        reason: format!("`detail.{key}` is not known, or not of its type"),
                    });
                }
            }
        }
        Ok(scope)
    }

    /// Whether a target is looked at.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        self.target.as_ref().is_none_or(|only| *only == target.to_string())
    }
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_is_read_or_refused() {
        let of = |detail: Value, dry_run| {
            let askable = Askable {
                only: "active",
                dry_run,
            };
            Scope::of(&json!({ "detail": detail }), askable)
        };
        assert_eq!(of(json!({}), false), Ok(Scope::default()));
        assert_eq!(
            Scope::of(
                &json!({}),
                Askable {
                    only: "active",
                    dry_run: true
                }
            ),
            Ok(Scope::default())
        );
        let often = Scope {
            often: true,
            ..Scope::default()
        };
        assert_eq!(of(json!({ "only": "active" }), false), Ok(often));
        let one = of(json!({ "target": "prod/web", "dry-run": true }), true).unwrap();
        assert!(
            one.dry_run && one.covers(&Target::service("prod", "web")) && !one.covers(&Target::service("prod", "api"))
        );
        for (wrong, dry_run) in [
            (json!({ "only": "waiting" }), true),
            (json!({ "target": 1 }), true),
            (json!({ "dry-run": "yes" }), true),
            (json!({ "dry-run": true }), false),
            (json!({ "x": true }), true),
        ] {
            assert!(of(wrong.clone(), dry_run).is_err(), "{wrong}");
        }
    }
}
