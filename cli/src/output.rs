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
        Format::Text => {
            let mut text = Vec::new();
            result.text(&mut text)?;
            let text = whole_seconds(&String::from_utf8(text)?);
            write(|out| out.write_all(text.as_bytes()))
        }
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
    let _ = writeln!(out, "{}", whole_seconds(&line.to_string()));
}

/// The same text with times in whole seconds: what is stored is more exact than people need, also within sentences.
fn whole_seconds(text: &str) -> String {
    let mut parts = text.split('.');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() < part.len() && after.starts_with('Z') && ends_with_time(&whole) {
            whole.push_str(after);
        } else {
            whole.push('.');
            whole.push_str(part);
        }
    }
    whole
}

/// Whether a text ends like `2026-01-31T09:30:00`.
fn ends_with_time(text: &str) -> bool {
    let time = text.rsplit_once('T').map_or("", |(_, time)| time);
    let digit = |(i, byte): (usize, u8)| {
        if i % 3 == 2 {
            byte == b':'
        } else {
            byte.is_ascii_digit()
        }
    };
    time.len() == "09:30:00".len() && time.bytes().enumerate().all(digit)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_whole_seconds() {
        let check = |text: &str, expect: &str| assert_eq!(whole_seconds(text), expect);
        check(
            "since 2026-01-31T09:30:00.123456789Z: it is until 2026-01-31T10:00:00.5Z.",
            "since 2026-01-31T09:30:00Z: it is until 2026-01-31T10:00:00Z.",
        );
        for same in [
            "",
            "1.2.3Z and v1.10.0",
            "2026-01-31T09:30:00Z.",
            "2026-01-31T09:30:00.Z",
            "TAG.5Z, 09:30:00.5Z",
            "10.0.0.7:8080",
        ] {
            check(same, same);
        }
    }
}
