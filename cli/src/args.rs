//! What can be said on the command line. Each command's own arguments are in its file.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use wharfinger_core::config::{Span, SpanError};

use crate::{
    apply, approve, backtest, check, completions, diff, explain, history, pause, rollback, scale, status, sync, tags,
};

/// Keeps what is around an Amazon ECS cluster true: service discovery, load balancing, scaling, delivery.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all is fine, 1 something was found (a problem, a difference, a rejected event), \
                        2 the command could not do its work."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The command line as people see it: a command that reaches no AWS still takes the options about it, as every command
/// does, but does not show them.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    let global = command.get_arguments().filter(|option| option.is_global_set());
    let global: Vec<_> = global.map(|option| option.clone().hide(true)).collect();
    for (offline, used) in [
        ("check", &["output"][..]),
        ("backtest", &["output"]),
        ("tags", &["output"]),
        ("schema", &[]),
        ("completions", &[]),
    ] {
        let unused = global.iter().filter(|option| !used.contains(&option.get_id().as_str()));
        command = command.mut_subcommand(offline, |it| it.args(unused.cloned()));
    }
    command
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub output: Format,
    /// The CloudFormation stack that was deployed: its tables are used, and its name marks what is ours.
    #[arg(long, global = true, default_value = "wharfinger", value_name = "NAME")]
    pub stack: String,
    /// The config table, instead of the stack's.
    #[arg(
        long,
        global = true,
        env = "WHARFINGER_CONFIG_TABLE",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub config_table: Option<String>,
    /// The state table, instead of the stack's.
    #[arg(
        long,
        global = true,
        env = "WHARFINGER_STATE_TABLE",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub state_table: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell everything that is wrong with a configuration, offline unless it is asked for.
    Check(check::Args),
    /// Compare a configuration with the one that is stored.
    Diff(diff::Args),
    /// Store a configuration: from then on it is acted upon.
    Apply(apply::Args),
    /// Print the configuration that is stored, as `apply` takes it.
    Export,
    /// Print what is known of each target: bounds, changes, pauses, rollouts, and what waits.
    Status(status::Args),
    /// Print what was decided, and why.
    History(history::Args),
    /// Tell what would be done on an event, and why.
    #[command(after_help = explain::HELP)]
    Explain(explain::Args),
    /// Tell what the scaling rules of a service would have done with values of the past, offline.
    #[command(after_help = backtest::HELP)]
    Backtest(backtest::Args),
    /// Tell which of some tags a delivery rule would deploy, and why not the others, offline.
    #[command(after_help = tags::HELP)]
    Tags(tags::Args),
    /// Agree to the images that wait for it or are in quarantine.
    #[command(after_help = approve::HELP)]
    Approve(approve::Args),
    /// Send a target back to a revision or an image that it had.
    #[command(after_help = rollback::HELP)]
    Rollback(rollback::Args),
    /// Have nothing done for a target, or for a domain of it, for a while.
    Pause(pause::Pause),
    /// End a pause.
    Resume(pause::Resume),
    /// Give a service other bounds for a while.
    Scale(scale::Args),
    /// Compare registries and target groups with the tasks that run, now, and repair what differs.
    Sync(sync::Args),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// A number of tasks. Its option takes what begins with a hyphen too, so that this can say what is wrong with it.
pub(crate) fn tasks(text: &str) -> Result<u32, String> {
    number(text, "0 or more")
}

/// A number of things of which there must be one.
pub(crate) fn some(text: &str) -> Result<usize, String> {
    match number(text, "1 or more")? {
        0 => Err("must be 1 or more".to_owned()),
        n => Ok(n),
    }
}

fn number<N: std::str::FromStr>(text: &str, range: &str) -> Result<N, String> {
    let is_negative = text.strip_prefix('-').is_some_and(|rest| rest.parse::<f64>().is_ok());
    text.parse().map_err(|_| {
        if is_negative {
            format!("must not be negative: write a whole number, {range}")
        } else {
            format!("write a whole number, {range}")
        }
    })
}

/// A time that something lasts, like `30m`.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    let told = |error: SpanError| match text.strip_prefix('-') {
        Some(rest) if rest.parse::<Span>().is_ok() => format!("must not be negative: write {rest}"),
        _ => error.to_string(),
    };
    text.parse().map_err(told)
}
