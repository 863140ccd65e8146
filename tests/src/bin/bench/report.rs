//! The report: what was measured, beside the hello and beside what was promised.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::fanout::{self, Did};
use super::measure::{Counted, ROUNDS, Starts, WARM_EVENTS, percentile};
use super::passes::{self, Column};
use super::scenes::Scene;
use super::sweeps::{self, Count};
use super::{HELLO, Measured};

/// The largest zip, in bytes.
const LARGEST_ZIP: usize = 4_000_000;

/// How many times the hello's time a start may take.
const SLOWEST_START: f64 = 4.0;

type Functions = [(&'static str, Measured)];
type Scenes = [([Counted; 2], Scene)];
type Sweeps = [(&'static str, Vec<Count>)];

/// Prints everything.
pub(crate) fn print(functions: &Functions, scenes: &Scenes, sweeps: &Sweeps) {
    let Some((_, hello)) = functions.iter().find(|(name, _)| *name == HELLO) else {
        return;
    };
    print!("{}", table(functions, hello));
    println!();
    print!("{}", calls(scenes));
    println!();
    print!("{}", of_sweeps(sweeps));
    println!();
    print!("{}", promises(functions, hello, scenes));
    print!("{}", promises_of_sweeps(sweeps));
    println!();
    print!("{}", notes());
}

/// What the numbers are, and what they are not.
fn notes() -> String {
    let mut text = format!(
        "Times are the p50 of {ROUNDS} starts in random order, with the binaries in the page cache; warm events are the mean \
         of {WARM_EVENTS}.\nThe certificates that a start reads are the system's. Over TLS one connection is opened; on AWS \
         each of a function's hosts takes one.\nNot measured: the boot of the microVM, the download of the code, the network, \
         a share of a processor.\n"
    );
    // Whatever else runs takes the caches, and so costs time of a processor too.
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        let minute = load.split_whitespace().next().unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let _ = writeln!(
            text,
            "The load of this machine in the last minute was {minute}, on {processors} processors."
        );
    }
    text
}

type Cell = fn(&Measured) -> (String, f64);

/// The rows: a name, and of each function a text and the number that is compared with the hello's.
const ROWS: &[(&str, Cell)] = &[
    ("zip", |m| (mb(m.size.zip), float(m.size.zip))),
    ("binary", |m| (mb(m.size.binary), float(m.size.binary))),
    ("start", |m| time(&m.plain.start_wall)),
    ("start, p10", |m| (ms(percentile(&m.plain.start_wall, 10)), 0.0)),
    ("start, p90", |m| (ms(percentile(&m.plain.start_wall, 90)), 0.0)),
    ("CPU of the start", |m| time(&m.plain.start_cpu)),
    ("CPU of the start, TLS", |m| time(&over_tls(m).start_cpu)),
    ("CPU of the first event", |m| time(&m.plain.first_cpu)),
    ("CPU of the first event, TLS", |m| time(&over_tls(m).first_cpu)),
    ("CPU of a warm event", |m| (ms(m.warm.cpu), m.warm.cpu.as_secs_f64())),
    ("wall time of a warm event", |m| {
        (ms(m.warm.wall), m.warm.wall.as_secs_f64())
    }),
    ("peak memory", |m| (mb(m.warm.peak_memory), float(m.warm.peak_memory))),
];

/// The hello calls nobody: over TLS it is what it is without.
fn over_tls(measured: &Measured) -> &Starts {
    measured.tls.as_ref().unwrap_or(&measured.plain)
}

fn time(times: &[Duration]) -> (String, f64) {
    let middle = percentile(times, 50);
    (ms(middle), middle.as_secs_f64())
}

fn table(functions: &Functions, hello: &Measured) -> String {
    let mut table = format!("{:<28}", "");
    for (name, _) in functions {
        let _ = write!(table, "{name:>18}");
    }
    table.push('\n');
    for (name, cell) in ROWS {
        let _ = write!(table, "{name:<28}");
        let bare = cell(hello).1;
        for (function, measured) in functions {
            let (mut text, number) = cell(measured);
            if *function != HELLO && bare > 0.0 {
                let _ = write!(text, " {:>5.1}x", number / bare);
            }
            let _ = write!(table, "{text:>18}");
        }
        table.push('\n');
    }
    table
}

fn calls(scenes: &Scenes) -> String {
    let mut table = format!(
        "{:<40}{:>12}{:>14}   calls of the first\n",
        "AWS calls of an event", "first", "warm"
    );
    for ([cold, warm], scene) in scenes {
        let count = |c: &Counted| format!("{}, {} deep", c.count, c.stages.len());
        let name = format!("{}: {}", scene.function, scene.name);
        let _ = writeln!(
            table,
            "{name:<40}{:>12}{:>14}   {}",
            count(cold),
            count(warm),
            cold.stages.join(" ")
        );
    }
    table
}

fn of_sweeps(sweeps: &Sweeps) -> String {
    let tasks = sweeps::SERVICES * sweeps::TASKS_EACH;
    let mut table = format!(
        "AWS calls of a sweep of {tasks} tasks in {} services, all as they should be\n{:<40}{:>12}{:>14}\n",
        sweeps::SERVICES,
        "",
        "calls",
        "pages require"
    );
    for (function, counts) in sweeps {
        for (operation, calls, must) in counts {
            let name = format!("{function}: {operation}");
            let must = if *must > 0 { must.to_string() } else { String::new() };
            let _ = writeln!(table, "{name:<40}{calls:>12}{must:>14}");
        }
    }
    table
}

/// What the passes of scaling did, a row each operation.
pub(crate) fn of_passes(columns: &[Column]) -> String {
    let mut table = format!(
        "AWS calls of the passes of scaling over {} services with three alarms each\n",
        passes::SERVICES
    );
    let mut row = |name: &str, cells: Vec<String>| {
        let _ = write!(table, "{name:<26}");
        for cell in cells {
            let _ = write!(table, "{cell:>12}");
        }
        table.push('\n');
    };
    row(
        "active services",
        columns.iter().map(|(active, ..)| active.to_string()).collect(),
    );
    row(
        "the pass of every",
        columns.iter().map(|(_, pass, _)| (*pass).to_owned()).collect(),
    );
    let operations: BTreeSet<_> = columns.iter().flat_map(|(.., did)| did.calls.keys()).collect();
    for operation in operations {
        let calls = columns
            .iter()
            .map(|(.., did)| did.calls.get(operation).copied().unwrap_or_default());
        row(operation, calls.map(|calls| calls.to_string()).collect());
    }
    let all = columns
        .iter()
        .map(|(.., did)| did.calls.values().sum::<usize>().to_string());
    row("together", all.collect());
    row(
        "CPU of this build",
        columns.iter().map(|(.., did)| ms(did.cpu)).collect(),
    );
    row(
        "memory at its peak, kB",
        columns.iter().map(|(.., did)| did.memory.to_string()).collect(),
    );
    table
}

/// What a push to many services did.
pub(crate) fn of_fanout(did: &Did) -> String {
    let mut table = format!(
        "AWS calls of one push to {} services, each call {} ms, each deployment {} s\n{:<26}{:>12}{:>12}{:>16}\n",
        fanout::SERVICES,
        fanout::CALL.as_millis(),
        fanout::DEPLOYMENT.as_secs(),
        "",
        "calls",
        "a service",
        "most in a second"
    );
    for (operation, times) in &did.calls {
        let each = float(times.len()) / float(fanout::SERVICES);
        let most = did.most_in_a_second(operation);
        let _ = writeln!(table, "{operation:<26}{:>12}{each:>12.1}{most:>16}", times.len());
    }
    let each = float(did.all()) / float(fanout::SERVICES);
    let _ = writeln!(table, "{:<26}{:>12}{each:>12.1}", "together", did.all());
    for (kind, count) in &did.invocations {
        let _ = writeln!(table, "{count} invocations: {kind}");
    }
    let _ = writeln!(
        table,
        "all sent after {} s and {} passes of a minute, all proved after {} s",
        did.sent.as_secs(),
        did.passes,
        did.proved.as_secs()
    );
    for bucket in fanout::BUCKETS {
        let _ = writeln!(
            table,
            "ECS would refuse {} of {}",
            did.refused(bucket),
            bucket.0.join(" and ")
        );
    }
    table
}

fn promises_of_sweeps(sweeps: &Sweeps) -> String {
    let mut text = String::new();
    for (function, counts) in sweeps {
        let paged = counts.iter().filter(|(_, _, must)| *must > 0);
        let (calls, must) = paged.fold((0, 0), |(calls, all), (_, n, must)| (calls + n, all + must));
        let kept = if calls <= must { "ok" } else { "NOT OK" };
        let _ = writeln!(
            text,
            "{kept:<7} {function}: a sweep makes {calls} calls to what it looks at, and pages require {must}"
        );
    }
    text
}

fn promises(functions: &Functions, hello: &Measured, scenes: &Scenes) -> String {
    let mut text = String::new();
    let mut say = |kept: bool, what: String| {
        let _ = writeln!(text, "{:<7} {what}", if kept { "ok" } else { "NOT OK" });
    };
    let cpu = |measured: &Measured| percentile(&measured.plain.start_cpu, 50).as_secs_f64();
    for (name, measured) in functions.iter().filter(|(name, _)| *name != HELLO) {
        let zip = measured.size.zip;
        say(
            zip <= LARGEST_ZIP,
            format!("{name}: a zip of {}, at most {}", mb(zip), mb(LARGEST_ZIP)),
        );
        let ratio = cpu(measured) / cpu(hello);
        let most = format!("at most {SLOWEST_START:.1} times");
        say(
            ratio <= SLOWEST_START,
            format!("{name}: {ratio:.1} times the hello's CPU to start, {most}"),
        );
    }
    for ([cold, _], scene) in scenes {
        if let Some(deepest) = scene.deepest {
            let what = format!(
                "{}: {}, {} calls deep with a cold cache, at most {deepest}",
                scene.function,
                scene.name,
                cold.stages.len()
            );
            say(cold.stages.len() <= deepest, what);
        }
    }
    text
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

fn mb(bytes: usize) -> String {
    format!("{:.2} MB", float(bytes) / 1e6)
}

fn float(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
