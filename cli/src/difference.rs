//! A document beside what is stored: printed by `diff`, and by `apply` for what it writes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use wharfinger_core::config::changes::{Compared, Comparison, What};
use wharfinger_core::ids::{Target, TargetKind};

use crate::output::{BOLD, DIM, GREEN, RED, Show, YELLOW};
use crate::yaml;

/// How many lines around a change are printed.
const CONTEXT: usize = 3;

/// Every target and cluster of either.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    differs: bool,
    changes: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    /// `services`, `tasks` or `clusters`.
    section: &'static str,
    name: String,
    change: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    #[serde(skip)]
    lines: Vec<(ChangeTag, String)>,
}

impl Difference {
    pub(crate) fn of(comparison: &Comparison) -> anyhow::Result<Self> {
        let mut changes = Vec::new();
        for compared in &comparison.targets {
            changes.push(row(section(&compared.key), compared.key.to_string(), compared)?);
        }
        for compared in &comparison.clusters {
            changes.push(row("clusters", compared.key.clone(), compared)?);
        }
        Ok(Self {
            differs: comparison.differs(),
            changes,
        })
    }

    /// Whether an apply would write anything.
    pub(crate) fn differs(&self) -> bool {
        self.differs
    }
}

fn section(target: &Target) -> &'static str {
    match target.kind {
        TargetKind::Service => "services",
        TargetKind::Task => "tasks",
        TargetKind::Cluster => "clusters",
    }
}

fn row<K, V: Serialize>(section: &'static str, name: String, compared: &Compared<K, V>) -> anyhow::Result<Row> {
    let what = compared.what;
    let (mut before, mut after) = (None, None);
    let mut lines = Vec::new();
    if matches!(what, What::Add | What::Change | What::Remove) {
        let old = compared
            .before
            .as_ref()
            .map(yaml::text)
            .transpose()?
            .unwrap_or_default();
        let new = compared.after.as_ref().map(yaml::text).transpose()?.unwrap_or_default();
        let diff = TextDiff::from_lines(&old, &new);
        for group in diff.grouped_ops(CONTEXT) {
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                lines.push((change.tag(), change.value().trim_end().to_owned()));
            }
        }
        before = compared.before.as_ref().map(serde_json::to_value).transpose()?;
        after = compared.after.as_ref().map(serde_json::to_value).transpose()?;
    }
    Ok(Row {
        section,
        name,
        change: what,
        before,
        after,
        lines,
    })
}

impl Show for Difference {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for row in &self.changes {
            let (sign, style, word) = match row.change {
                What::Add => ("+", GREEN, "is new"),
                What::Change => ("~", YELLOW, "changes"),
                What::Remove => ("-", RED, "goes"),
                What::Keep => ("?", YELLOW, "is not in the document, and stays (--prune removes it)"),
                What::Same => continue,
            };
            writeln!(
                out,
                "{style}{sign}{style:#} {BOLD}{} {}{BOLD:#} {word}",
                row.section, row.name
            )?;
            for (tag, line) in &row.lines {
                let (sign, style) = match tag {
                    ChangeTag::Equal => (' ', DIM),
                    ChangeTag::Delete => ('-', RED),
                    ChangeTag::Insert => ('+', GREEN),
                };
                writeln!(out, "    {style}{sign} {line}{style:#}")?;
            }
        }
        let same = self.changes.iter().filter(|row| row.change == What::Same).count();
        if self.differs {
            writeln!(out, "{DIM}{same} unchanged{DIM:#}")
        } else {
            writeln!(out, "nothing differs, {same} unchanged")
        }
    }
}
