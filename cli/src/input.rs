//! Files, and `-` for standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use wharfinger_core::config::{Document, Level};

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
    match loaded.valid() {
        Some(document) => Ok(document.clone()),
        None => Err(refused(&loaded, &loaded.problems.iter().collect::<Vec<_>>())),
    }
}

/// A configuration in which nothing is wrong and that this version can do justice to; what surprises is told too.
pub(crate) fn applicable_document(file: &Path) -> anyhow::Result<Document> {
    let loaded = document(file)?;
    let all = loaded.all();
    match loaded.valid() {
        Some(document) if all.iter().all(|placed| placed.problem.level != Level::Error) => {
            for placed in all {
                note(loaded.line(placed));
            }
            Ok(document.clone())
        }
        _ => Err(refused(&loaded, &all)),
    }
}

fn refused(loaded: &Loaded, problems: &[&Placed]) -> anyhow::Error {
    for placed in problems {
        note(loaded.line(placed));
    }
    anyhow::anyhow!("{} is not valid; nothing was done", loaded.name)
}
