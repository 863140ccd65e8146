//! `wharfinger check FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use wharfinger_core::config::{Level, Path};

use crate::args::Global;
use crate::document::{Loaded, Placed};
use crate::input;
use crate::output::{GREEN, RED, Show, Verdict, YELLOW, show};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    #[arg(default_value = "wharfinger.yaml")]
    file: PathBuf,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    valid: bool,
    problems: Vec<Row<'a>>,
    targets: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    severity: Level,
    line: u64,
    column: u64,
    path: &'a Path,
    message: &'a str,
    #[serde(skip)]
    printed: String,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let loaded = input::document(&args.file)?;
    let report = Report::of(&loaded);
    show(global.output, &report)?;
    Ok(if report.valid { Verdict::Fine } else { Verdict::Found })
}

impl<'a> Report<'a> {
    fn of(loaded: &'a Loaded) -> Self {
        let row = |placed: &'a Placed| Row {
            severity: placed.problem.level,
            line: placed.place.line,
            column: placed.place.column,
            path: &placed.problem.path,
            message: &placed.problem.message,
            printed: loaded.line(placed),
        };
        let problems: Vec<_> = loaded.all().into_iter().map(row).collect();
        let valid = loaded.document.is_some() && problems.iter().all(|row| row.severity != Level::Error);
        let targets = loaded
            .document
            .iter()
            .flat_map(|d| d.entries().map(|entry| entry.name))
            .collect();
        Self {
            file: &loaded.name,
            valid,
            problems,
            targets,
        }
    }
}

impl Show for Report<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for row in &self.problems {
            let style = if row.severity == Level::Error { RED } else { YELLOW };
            writeln!(out, "{style}{}{style:#}", row.printed)?;
        }
        let errors = self.problems.iter().filter(|row| row.severity == Level::Error).count();
        let warnings = self.problems.len() - errors;
        let count = |n: usize, one: &str| {
            if n == 1 {
                format!("1 {one}")
            } else {
                format!("{n} {one}s")
            }
        };
        if self.valid {
            let told = if warnings > 0 {
                format!(", {}", count(warnings, "warning"))
            } else {
                String::new()
            };
            writeln!(
                out,
                "{GREEN}{}: valid{GREEN:#}, {}{told}",
                self.file,
                count(self.targets.len(), "target")
            )
        } else {
            writeln!(
                out,
                "{RED}{}: {}, {}{RED:#}",
                self.file,
                count(errors, "error"),
                count(warnings, "warning")
            )
        }
    }
}
