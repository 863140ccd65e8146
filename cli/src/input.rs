//! Files, and `-` for standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use wharfinger_core::config::schedules::contradictions;
use wharfinger_core::config::{Document, Level, Problem};

use crate::document::{Loaded, Placed, load};
use crate::output::note;

/// The text of a file, or of standard input when it is called `-`.
pub(crate) fn text(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read as UTF-8 text")?;
        return Ok(text);
    }
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", file.display()))
}

/// A configuration, with everything that is wrong in it.
pub(crate) fn document(file: &Path) -> anyhow::Result<Loaded> {
    let text = text(file)?;
    let name = if file.as_os_str() == "-" {
        "<stdin>".to_owned()
    } else {
        file.display().to_string()
    };
    Ok(load(&name, &text))
}

/// A configuration in which nothing is wrong; what is wrong is told.
pub(crate) fn valid_document(file: &Path) -> anyhow::Result<Document> {
    let loaded = document(file)?;
    if let Some(document) = loaded.valid() {
        return Ok(document.clone());
    }
    tell(&loaded, &loaded.problems.iter().collect::<Vec<_>>());
    bail!("{} is not valid", loaded.name)
}

/// A configuration in which nothing is wrong and that this version can do justice to; what surprises is told too.
pub(crate) fn applicable_document(file: &Path) -> anyhow::Result<(Loaded, Document)> {
    let mut loaded = document(file)?;
    add_contradictions(&mut loaded);
    let all = loaded.all();
    match loaded.valid() {
        Some(document) if all.iter().all(|placed| placed.problem.level != Level::Error) => {
            for placed in all {
                note(loaded.line(placed));
            }
            let document = document.clone();
            Ok((loaded, document))
        }
        _ => {
            tell(&loaded, &all);
            bail!("{} is not valid: nothing was applied", loaded.name)
        }
    }
}

/// Adds which schedules contradict themselves in the year from now on.
pub(crate) fn add_contradictions(loaded: &mut Loaded) {
    if let Some(document) = loaded.valid() {
        loaded.add(contradictions(document, now()));
    }
}

/// The time of the command, where it works offline.
pub(crate) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "offline there is no cloud whose clock could be asked"
    )]
    Timestamp::now()
}

/// Ends an apply when AWS is not what the document needs; each problem is told at its place, and what only surprises too.
pub(crate) fn applicable_to_aws(mut loaded: Loaded, problems: Vec<Problem>) -> anyhow::Result<()> {
    let fits = problems.iter().all(|problem| problem.level != Level::Error);
    // What surprises in the text has been told.
    loaded.problems.clear();
    loaded.add(problems);
    tell(&loaded, &loaded.problems.iter().collect::<Vec<_>>());
    if fits {
        return Ok(());
    }
    bail!("{} does not fit what is in AWS: nothing was applied", loaded.name)
}

fn tell(loaded: &Loaded, problems: &[&Placed]) {
    for placed in problems {
        note(loaded.line(placed));
    }
}
