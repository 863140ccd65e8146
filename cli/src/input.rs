//! Files, and `-` for standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::document::{Loaded, load};

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
