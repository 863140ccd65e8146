//! `wharfinger check FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use wharfinger_core::config::conflicts::{conflicts, scaled_elsewhere, without_containers, without_volumes};
use wharfinger_core::config::{Document, Level, Path, Problem};
use wharfinger_core::ids::{Target, TargetKind};
use wharfinger_core::known::Known;

use crate::args::Global;
use crate::document::{Loaded, Placed};
use crate::facts::Answers;
use crate::names::look_up;
use crate::output::{GREEN, RED, Show, Verdict, YELLOW, show};
use crate::{cloud, input};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    #[arg(default_value = "wharfinger.yaml")]
    file: PathBuf,
    /// Also tell what does not fit these answers of AWS, offline: one JSON object keyed by operation (`DescribeServices`, …),
    /// as `explain` takes it.
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    facts: Option<PathBuf>,
    /// Also look up in AWS what the file names: whether Cloud Map services and target groups are there, fit, and are not
    /// managed by ECS itself, nor a count by Application Auto Scaling; and which services, containers, volumes, alarms, queues
    /// and repositories are not there, as warnings, since they may be made later.
    #[arg(long)]
    online: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    valid: bool,
    problems: Vec<Row<'a>>,
    targets: Vec<String>,
    clusters: Vec<&'a String>,
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
    let mut loaded = input::document(&args.file)?;
    input::add_contradictions(&mut loaded);
    // A file with mistakes is put right first.
    if let Some(document) = loaded.valid().cloned() {
        loaded.add(beside(args, &document)?);
    }
    let report = Report::of(&loaded);
    show(global.output, &report)?;
    Ok(if report.valid { Verdict::Fine } else { Verdict::Found })
}

/// What does not fit AWS, as far as it is to be looked at.
fn beside(args: &Args, document: &Document) -> anyhow::Result<Vec<Problem>> {
    if let Some(file) = &args.facts {
        let answers = Answers::read(file)?;
        let targets = document.services.keys();
        let targets: Vec<_> = targets
            .filter_map(|name| Target::parse(TargetKind::Service, name).ok())
            .collect();
        let attached = targets
            .iter()
            .filter_map(|target| Some((target.clone(), answers.attached(target)?)));
        let mut found = conflicts(document, &answers.names(document), &attached.collect());
        let scalable = targets
            .iter()
            .filter(|target| answers.scalable(target) == Known::Yes(true));
        found.extend(scaled_elsewhere(document, &scalable.cloned().collect()));
        for entry in document.entries() {
            if let Some(answer) = answers.runs(&entry) {
                found.extend(without_containers(&entry, &answer));
                found.extend(without_volumes(&entry, &answer));
            }
        }
        return Ok(found);
    }
    if !args.online {
        return Ok(Vec::new());
    }
    cloud::block_on(async {
        let aws = cloud::open().await?;
        Ok(look_up(&aws, document, false).await?.problems)
    })
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
            clusters: loaded.document.iter().flat_map(|d| d.clusters.keys()).collect(),
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
            let clusters = if self.clusters.is_empty() {
                String::new()
            } else {
                format!(", {}", count(self.clusters.len(), "cluster"))
            };
            writeln!(
                out,
                "{GREEN}{}: valid{GREEN:#}, {}{clusters}{told}",
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
