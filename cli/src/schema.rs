//! `wharfinger schema`

use crate::output::{Verdict, show_json};

pub(crate) fn run() -> anyhow::Result<Verdict> {
    show_json(&wharfinger_core::config::schema())?;
    Ok(Verdict::Fine)
}
