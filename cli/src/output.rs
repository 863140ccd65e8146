//! How results and errors are printed.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::args::Format;

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is fine.
    Fine,
    /// A problem, a difference, a rejected event.
    Found,
}

/// A result that is printed for people or for programs.
pub(crate) trait Show: Serialize {
    /// Prints it for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Prints a result.
pub(crate) fn show(format: Format, result: &impl Show) -> anyhow::Result<()> {
    match format {
        Format::Text => write(|out| result.text(out)),
        Format::Json => show_json(result),
    }
}

/// Prints a result for programs.
pub(crate) fn show_json(result: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(result)?;
    write(|out| writeln!(out, "{json}"))
}

/// Prints to standard output; colours are left out where they would not be seen.
pub(crate) fn write(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match print(&mut out).and_then(|()| out.flush()) {
        // The reader has seen enough: `wharfinger history … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints to standard error what the person should know besides the result.
pub(crate) fn note(line: impl std::fmt::Display) {
    let mut out = anstream::stderr().lock();
    // Nothing is left to tell it to.
    let _ = writeln!(out, "{line}");
}

/// How long a line with an error and its causes may become.
const LINE: usize = 120;

/// Prints an error with its causes: what to do is in the first line, where a long chain would bury it.
pub(crate) fn error(error: &anyhow::Error) {
    let line = format!("{error:#}");
    if line.chars().count() <= LINE {
        return note(format_args!("{RED}error:{RED:#} {line}"));
    }
    note(format_args!("{RED}error:{RED:#} {error}"));
    for cause in error.chain().skip(1) {
        note(format_args!("  because: {cause}"));
    }
}

/// Prints to standard error what may surprise.
pub(crate) fn warning(line: impl std::fmt::Display) {
    note(format_args!("{YELLOW}warning:{YELLOW:#} {line}"));
}

/// Something is wrong.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// Something may surprise.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Something is fine, or is added.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// Less important.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A name.
pub(crate) const BOLD: Style = Style::new().bold();
