//! `wharfinger schema`

use crate::output::{Verdict, write};

pub(crate) fn run() -> anyhow::Result<Verdict> {
    let schema = serde_json::to_string_pretty(&wharfinger_core::config::schema())?;
    write(|out| writeln!(out, "{schema}"))?;
    Ok(Verdict::Fine)
}
