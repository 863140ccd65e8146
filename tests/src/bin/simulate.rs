//! Runs histories of the simulation: `make simulate SEEDS=10000`, or one with its trace: `simulate --seed 42 --trace`.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use wharfinger_tests::engine::{Failed, Tally};
use wharfinger_tests::simulation::{self, Many, Outcome, Settings, Size, Without};
use wharfinger_tests::{lineages, stateful};

/// Drives the functions through seeded histories of loss, repetition, disorder, faults and kills, and checks that the
/// world comes out as it was asked for.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command")]
struct Options {
    /// How many histories.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens in the one history of `--seed`.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Leave target groups out, and container instances, and changes of where tasks are registered.
    #[arg(long)]
    plain: bool,
    /// Move counts by alarms alone, with nothing that slows them down but cooldowns.
    #[arg(long)]
    alarms_only: bool,
    /// Leave histories of delivery alone out: gates, families, what people ask of rollouts.
    #[arg(long)]
    no_fleets: bool,
    /// Play a cluster whose instances go and come: an instance refresh, a Spot storm, agents that flap, dead hosts.
    #[arg(long)]
    hosts: bool,
    /// How many instances that cluster has.
    #[arg(long, requires = "hosts", default_value_t = Size::SMALL.instances)]
    instances: u32,
    /// How many tasks run on them.
    #[arg(long, requires = "hosts", default_value_t = Size::SMALL.tasks)]
    tasks: u32,
    /// Play weeks of snapshots of a volume.
    #[arg(long, conflicts_with_all = ["hosts", "without"])]
    snapshots: bool,
    /// Play days of a stateful family.
    #[arg(long, conflicts_with_all = ["hosts", "snapshots", "without"])]
    stateful: bool,
    /// Take a part of the design out: a violation must then be found.
    #[arg(long, value_enum)]
    without: Option<Part>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// The ledger takes an older event over a newer one.
    Version,
    /// The confirmation does not notice that something newer was merged.
    Confirm,
    /// Everyone gets the lease, and the fencing number is not looked at.
    Fencing,
    /// Nobody's claim on an address is looked at.
    Claims,
    /// Scaling does not look at a change that was begun and not finished.
    Intent,
    /// Scaling forgets when the count was changed last.
    Cooldown,
    /// Scaling forgets how much it changed lately.
    Limit,
    /// Scaling forgets what was wished for before.
    Window,
    /// Scaling forgets which bounds held before.
    Bounds,
    /// Delivery forgets the rollout that it has begun.
    Begun,
    /// Delivery forgets what is in quarantine, and what it brought out last.
    Quarantine,
    /// Delivery does not know that a push is older than the one that it knows.
    Order,
    /// Delivery does not see that a push must be of some age.
    Mature,
    /// Delivery does not see windows.
    Windows,
    /// Delivery does not see that a scan is to be waited for.
    Scan,
    /// Delivery does not see that a person must agree.
    Approval,
    /// Delivery does not see that another service must have proved the image.
    After,
    /// Delivery does not see for how long it must have been proved.
    Bake,
    /// Delivery does not see that others go first.
    Waves,
    /// Nothing is told on the bus.
    Told,
    /// What runs a family on a schedule stays.
    Followers,
    /// Of the instances that go only the first of each call is set to DRAINING.
    Together,
    /// No hook gets a heartbeat.
    Heartbeats,
    /// A hook is waited for no longer than two minutes.
    Deadline,
    /// An agent may be gone for a minute only.
    Silence,
    /// As many dead hosts are replaced at a time as there are.
    AtMost,
    /// What comes back stays drained.
    Returns,
    /// A dry run is none.
    DryRun,
    /// Nobody sees that capacity is paused.
    Paused,
}

impl From<Part> for Without {
    fn from(part: Part) -> Self {
        match part {
            Part::Version => Self::Version,
            Part::Confirm => Self::Confirm,
            Part::Fencing => Self::Fencing,
            Part::Claims => Self::Claims,
            Part::Intent => Self::Intent,
            Part::Cooldown => Self::Cooldown,
            Part::Limit => Self::Limit,
            Part::Window => Self::Window,
            Part::Bounds => Self::Bounds,
            Part::Begun => Self::Begun,
            Part::Quarantine => Self::Quarantine,
            Part::Order => Self::Order,
            Part::Mature => Self::Mature,
            Part::Windows => Self::Windows,
            Part::Scan => Self::Scan,
            Part::Approval => Self::Approval,
            Part::After => Self::After,
            Part::Bake => Self::Bake,
            Part::Waves => Self::Waves,
            Part::Told => Self::Told,
            Part::Followers => Self::Followers,
            Part::Together => Self::Together,
            Part::Heartbeats => Self::Heartbeats,
            Part::Deadline => Self::Deadline,
            Part::Silence => Self::Silence,
            Part::AtMost => Self::AtMost,
            Part::Returns => Self::Returns,
            Part::DryRun => Self::DryRun,
            Part::Paused => Self::Paused,
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.snapshots || options.stateful {
        return of_storage(&options);
    }
    let settings = Settings {
        without: options.without.map(Without::from),
        plain: options.plain,
        alarms_only: options.alarms_only,
        no_fleets: options.no_fleets,
        hosts: options.hosts.then_some(Size {
            instances: options.instances,
            tasks: options.tasks,
        }),
        trace: options.trace,
    };
    let begun = Instant::now();
    let Many { tally, failed } = match options.seed {
        Some(seed) if options.trace => {
            let outcome = simulation::run(seed, settings);
            for line in &outcome.trace {
                println!("{line}");
            }
            let tally = outcome.tally.clone();
            Many {
                tally,
                failed: outcome.violation.is_some().then_some(outcome),
            }
        }
        first => simulation::run_many(first.unwrap_or(1), options.seeds, settings, |done| {
            if done.is_multiple_of(2_000) {
                println!("{done} histories, {} s", begun.elapsed().as_secs());
            }
        }),
    };
    println!("{tally}");
    println!("took             {:>10.1} s", begun.elapsed().as_secs_f64());
    match failed {
        None => ExitCode::SUCCESS,
        Some(Outcome { seed, violation, .. }) => {
            let what = violation.map(|v| v.what).unwrap_or_default();
            println!("\nVIOLATION in the history of seed {seed}: {what}");
            let part = options.without.and_then(|w| w.to_possible_value());
            let without = part.map_or_else(String::new, |part| format!(" --without {}", part.get_name()));
            let (instances, tasks) = (options.instances, options.tasks);
            let hosts = if options.hosts {
                format!(" --hosts --instances {instances} --tasks {tasks}")
            } else {
                String::new()
            };
            println!(
                "replay it with: cargo run -p wharfinger-tests --bin simulate -- --seed {seed} --trace{hosts}{without}"
            );
            ExitCode::FAILURE
        }
    }
}

/// Runs histories of snapshots, or of stateful families.
fn of_storage(options: &Options) -> ExitCode {
    let (first, trace) = (options.seed.unwrap_or(1), options.trace);
    let seeds = if trace { 1 } else { options.seeds };
    let begun = Instant::now();
    if options.stateful {
        let settings = stateful::Settings { breaks: None, trace };
        return tell("stateful", begun, stateful::run_many(first, seeds, settings));
    }
    let settings = lineages::Settings { forgets: false, trace };
    tell("snapshots", begun, lineages::run_many(first, seeds, settings))
}

fn tell(kind: &str, begun: Instant, played: Result<Tally, Failed>) -> ExitCode {
    match played {
        Ok(tally) => {
            println!("{tally}took {:.1} s", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(failed) => {
            for line in &failed.trace {
                println!("{line}");
            }
            let (seed, violation) = (failed.seed, failed.violation);
            println!("\nVIOLATION in the history of seed {seed}: {violation}");
            println!("replay it with: cargo run -p wharfinger-tests --bin simulate -- --{kind} --seed {seed} --trace");
            ExitCode::FAILURE
        }
    }
}
