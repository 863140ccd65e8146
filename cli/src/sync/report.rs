//! What the functions answered.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use wharfinger_core::report::counted;

use super::Domain;
use crate::output::{BOLD, DIM, RED, Show, Verdict, YELLOW};

/// What each function answered to one sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    /// The only target that was looked at.
    pub target: Option<String>,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Function by function.
    #[serde(rename = "functions")]
    pub swept: Vec<Swept>,
}

/// One function's sweep.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Swept {
    /// What it sweeps.
    pub domain: Domain,
    /// The function.
    pub function: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It went through: what it answered, and what of that is understood.
    Done(Value, Findings),
    /// It went through, and answers nothing: what was decided is in the history.
    Swept,
    /// The function failed: parts of the sweep may have gone through.
    Failed {
        /// The error's name.
        kind: String,
        /// Its words.
        message: String,
    },
    /// The function was not reached.
    NotInvoked(String),
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Findings {
    tasks: usize,
    missing: usize,
    ghosts: usize,
    unconfigured: usize,
    #[serde(default)]
    collections: Vec<Collection>,
    #[serde(default)]
    planned: Vec<Planned>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Collection {
    id: String,
    members: usize,
    quota: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Planned {
    call: String,
    input: Value,
}

impl Outcome {
    /// Reads an answer.
    pub(super) fn of(domain: Domain, answer: Value) -> Self {
        if domain == Domain::Capacity {
            return Self::Swept;
        }
        match Findings::deserialize(&answer) {
            Ok(findings) => Self::Done(answer, findings),
            Err(error) => Self::Failed {
                kind: "Unreadable".to_owned(),
                message: format!("its answer is no sweep's ({error}): is the stack older than this command?"),
            },
        }
    }

    /// Why it did not go through.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Done(..) | Self::Swept => None,
            Self::Failed { kind, message } => Some(format!("it failed ({kind}): {message}")),
            Self::NotInvoked(message) => Some(format!("it could not be invoked: {message}")),
        }
    }

    /// How often each call would be made.
    pub(crate) fn calls(&self) -> BTreeMap<&str, usize> {
        let mut calls = BTreeMap::new();
        if let Self::Done(_, findings) = self {
            for planned in &findings.planned {
                *calls.entry(planned.call.as_str()).or_default() += 1;
            }
        }
        calls
    }
}

impl Report {
    /// Whether not one function was reached.
    pub(super) fn reached_nothing(&self) -> bool {
        self.swept
            .iter()
            .all(|swept| matches!(swept.outcome, Outcome::NotInvoked(_)))
    }

    /// Found is what failed, and in a dry run what would be done.
    pub(super) fn verdict(&self) -> Verdict {
        let found = |swept: &Swept| swept.outcome.failure().is_some() || !swept.outcome.calls().is_empty();
        if self.swept.iter().any(found) {
            Verdict::Found
        } else {
            Verdict::Fine
        }
    }
}

impl Serialize for Swept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Swept", 3)?;
        row.serialize_field("domain", self.domain.name())?;
        row.serialize_field("function", &self.function)?;
        match &self.outcome {
            Outcome::Done(answer, _) => row.serialize_field("answer", answer)?,
            Outcome::Swept => row.serialize_field("answer", &Value::Null)?,
            Outcome::Failed { kind, message } => {
                row.serialize_field("error", &json!({ "type": kind, "message": message }))?;
            }
            Outcome::NotInvoked(message) => {
                row.serialize_field("error", &json!({ "type": "NotInvoked", "message": message }))?;
            }
        }
        row.end()
    }
}

impl Collection {
    /// From four fifths of the quota on.
    fn nearly_full(&self) -> bool {
        self.members * 5 >= self.quota * 4
    }
}

impl Show for Report {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for swept in &self.swept {
            write!(out, "{BOLD}{}{BOLD:#}: ", swept.domain.name())?;
            match &swept.outcome {
                Outcome::Done(_, findings) => findings.text(self.dry_run, out)?,
                Outcome::Swept => writeln!(out, "looked at; `status` and `history` tell what came of it")?,
                outcome => {
                    let failure = outcome.failure().unwrap_or_default();
                    writeln!(out, "{RED}{failure}{RED:#}")?;
                }
            }
        }
        Ok(())
    }
}

impl Findings {
    fn text(&self, dry_run: bool, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} looked at, {} not listed as wanted; {} of tasks that are gone, {} of targets that are not configured",
            counted(self.tasks, "task"),
            self.missing,
            counted(self.ghosts, "endpoint"),
            counted(self.unconfigured, "task")
        )?;
        for collection in &self.collections {
            let Collection { id, members, quota } = collection;
            if collection.nearly_full() {
                let percent = members * 100 / (*quota).max(1);
                writeln!(
                    out,
                    "  {YELLOW}{id}: {members} of {quota}, {percent} % full: what comes on top is refused{YELLOW:#}"
                )?;
            } else {
                writeln!(out, "  {DIM}{id}: {members} of {quota}{DIM:#}")?;
            }
        }
        if dry_run && self.planned.is_empty() {
            writeln!(out, "  nothing would be done")?;
        }
        for Planned { call, input } in &self.planned {
            writeln!(out, "  would {YELLOW}{call}{YELLOW:#} {input}")?;
        }
        Ok(())
    }
}
