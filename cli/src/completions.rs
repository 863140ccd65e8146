//! `wharfinger completions SHELL`

use clap::CommandFactory;

use crate::args::Cli;
use crate::output::{Verdict, write};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wharfinger", &mut script);
    write(|out| out.write_all(&script))?;
    Ok(Verdict::Fine)
}
