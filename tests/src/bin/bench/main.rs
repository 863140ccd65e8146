//! Measures every function beside a bare `lambda_runtime` hello, in the same run and built the same way.
//!
//! The binaries are those that are deployed; the Runtime API and AWS are on this machine. What that leaves out is said at
//! the end of the report.

#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

mod fanout;
mod measure;
mod passes;
mod report;
mod scenes;
mod sizes;
mod sweeps;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use wharfinger_tests::lambda::{Authority, build_for_lambda};

/// What everything is compared with.
const HELLO: &str = "hello";

/// The binaries and their packages, in the order of the report.
const PACKAGES: &[(&str, &str)] = &[
    (HELLO, "tests/hello"),
    ("discovery", "functions/discovery"),
    ("balancing", "functions/balancing"),
    ("scaling", "functions/scaling"),
    ("delivery", "functions/delivery"),
];

/// What was measured of one function.
struct Measured {
    size: sizes::Sizes,
    plain: measure::Starts,
    /// The same with AWS behind TLS; the hello calls nobody.
    tls: Option<measure::Starts>,
    warm: measure::Warm,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("the benchmark cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut binaries = BTreeMap::new();
    for (name, folder) in PACKAGES {
        println!("building {name}");
        binaries.insert(*name, build_for_lambda(name, folder)?);
    }
    let folder = tempfile::tempdir()?;
    let authority = Authority::make()?;
    let certificate = folder.path().join("authority.pem");
    authority.write(&certificate)?;
    let tls = measure::Tls { authority, certificate };

    println!("starting each {} times, in any order", measure::ROUNDS);
    let mut starts = measure::starts(&binaries, &tls)?;
    let mut measured = Vec::new();
    for (name, _) in PACKAGES {
        println!("handing {} warm events to {name}", measure::WARM_EVENTS);
        let binary: &PathBuf = &binaries[name];
        let plain = starts
            .remove(&(*name, false))
            .ok_or_else(|| io::Error::other("no start was measured"))?;
        measured.push((
            *name,
            Measured {
                size: sizes::of(binary)?,
                plain,
                tls: starts.remove(&(*name, true)),
                warm: measure::warm(binary, scenes::main_scene(name).as_ref())?,
            },
        ));
    }
    println!("counting the calls of each kind of event\n");
    let mut counted = Vec::new();
    for scene in scenes::all() {
        counted.push((measure::calls(&binaries[scene.function], &scene)?, scene));
    }
    report::print(&measured, &counted, &sweeps::count()?);
    println!();
    print!("{}", report::of_passes(&passes::all()?));
    println!();
    print!("{}", report::of_fanout(&fanout::push(fanout::SERVICES)?));
    Ok(())
}
