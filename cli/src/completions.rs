//! `wharfinger completions SHELL`

use crate::args::command;
use crate::output::{Verdict, write};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "wharfinger", &mut script);
    write(|out| out.write_all(&script))?;
    Ok(Verdict::Fine)
}
