//! The `wharfinger` command.
//!
//! It checks and compares configurations, writes them to the config table, and explains decisions with the very code that
//! the functions run. Results go to standard output, errors to standard error. The exit code is 0 when all is fine, 1 when
//! something was found (a problem, a difference, a rejected event), and 2 when the command could not do its work.

mod apply;
mod approve;
mod args;
mod backtest;
mod check;
mod cloud;
mod completions;
mod diff;
mod difference;
mod document;
mod explain;
mod export;
mod facts;
mod history;
mod holds;
mod input;
mod names;
mod nudge;
mod output;
mod pause;
mod restore;
mod rollback;
mod rollouts;
mod scale;
mod schema;
mod status;
mod sync;
mod table;
mod tags;
mod yaml;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Cli, Command};
use output::Verdict;

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Found) => ExitCode::from(1),
        Err(error) => {
            output::error(&error);
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Verdict> {
    let Cli { global, command } = cli;
    match command {
        Command::Check(args) => check::run(&global, &args),
        Command::Diff(args) => diff::run(&global, &args),
        Command::Apply(args) => apply::run(&global, &args),
        Command::Export => export::run(&global),
        Command::Status(args) => status::run(&global, &args),
        Command::History(args) => history::run(&global, &args),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Backtest(args) => backtest::run(&global, &args),
        Command::Tags(args) => tags::run(&global, &args),
        Command::Approve(args) => approve::run(&global, &args),
        Command::Rollback(args) => rollback::run(&global, &args),
        Command::Restore(args) => restore::run(&global, &args),
        Command::Pause(args) => pause::pause(&global, &args),
        Command::Resume(args) => pause::resume(&global, &args),
        Command::Scale(args) => scale::run(&global, &args),
        Command::Sync(args) => sync::run(&global, &args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(&args),
    }
}
