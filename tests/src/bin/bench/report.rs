//! The report: what was measured, beside the hello and beside what was promised.

use std::fmt::Write;
use std::time::Duration;

use super::measure::{Counted, ROUNDS, Starts, percentile};
use super::scenes::Scene;
use super::{HELLO, Measured};

/// The largest zip, in bytes.
const LARGEST_ZIP: usize = 4_000_000;

/// How many times the hello's time a start may take.
const SLOWEST_START: f64 = 4.0;

type Functions = [(&'static str, Measured)];
type Scenes = [([Counted; 2], Scene)];

/// Prints everything.
pub(crate) fn print(functions: &Functions, scenes: &Scenes) {
    let Some((_, hello)) = functions.iter().find(|(name, _)| *name == HELLO) else {
        return;
    };
    print!("{}", table(functions, hello));
    println!();
    print!("{}", calls(scenes));
    println!();
    print!("{}", promises(functions, hello, scenes));
    println!();
    println!("CPU and wall times are the p50 of {ROUNDS} starts in random order, with the binaries in the page cache.");
    println!("Not measured: the boot of the microVM, the download of the code, the network, a share of a processor.");
    println!("The TLS column opens one connection; on AWS each of a function's hosts takes one.");
}

fn table(functions: &Functions, hello: &Measured) -> String {
    let mut table = String::new();
    let columns = [
        "zip",
        "binary",
        "start",
        "p10..p90",
        "CPU of start",
        "with TLS",
        "peak memory",
        "CPU per event",
        "wall per event",
    ];
    line(&mut table, "", &columns);
    for (name, measured) in functions {
        let start = &measured.start;
        let spread = format!(
            "{}..{}",
            ms(percentile(&start.wall, 10)),
            ms(percentile(&start.wall, 90))
        );
        let times = |of: f64, by: f64| {
            if *name == HELLO {
                String::new()
            } else {
                format!(" {:>4.1}x", of / by)
            }
        };
        let cpu = cpu_of(start);
        let with_tls = measured.start_tls.as_ref().map(cpu_of);
        let ratio = |cpu: Duration| times(cpu.as_secs_f64(), cpu_of(&hello.start).as_secs_f64());
        line(
            &mut table,
            name,
            &[
                format!(
                    "{}{}",
                    mb(measured.size.zip),
                    times(float(measured.size.zip), float(hello.size.zip))
                ),
                mb(measured.size.binary),
                format!("{} ms", ms(percentile(&start.wall, 50))),
                spread,
                format!("{} ms{}", ms(cpu), ratio(cpu)),
                with_tls.map_or_else(|| "-".to_owned(), |cpu| format!("{} ms{}", ms(cpu), ratio(cpu))),
                mb(usize::try_from(measured.warm.peak_memory).unwrap_or(usize::MAX)),
                format!("{} ms", ms(measured.warm.cpu)),
                format!("{} ms", ms(measured.warm.wall)),
            ],
        );
    }
    table
}

fn line<T: AsRef<str>>(table: &mut String, name: &str, columns: &[T; 9]) {
    const WIDTHS: [usize; 9] = [14, 9, 9, 14, 16, 16, 12, 14, 15];
    let _ = write!(table, "{name:<10}");
    for (column, width) in columns.iter().zip(WIDTHS) {
        let _ = write!(table, "{:>width$}", column.as_ref());
    }
    table.push('\n');
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

fn promises(functions: &Functions, hello: &Measured, scenes: &Scenes) -> String {
    let mut text = String::new();
    let mut say = |kept: bool, what: String| {
        let _ = writeln!(text, "{:<7} {what}", if kept { "ok" } else { "NOT OK" });
    };
    let bare = cpu_of(&hello.start).as_secs_f64();
    for (name, measured) in functions.iter().filter(|(name, _)| *name != HELLO) {
        let zip = measured.size.zip;
        say(
            zip <= LARGEST_ZIP,
            format!("{name}: a zip of {}, at most {}", mb(zip), mb(LARGEST_ZIP)),
        );
        let ratio = cpu_of(&measured.start).as_secs_f64() / bare;
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

fn cpu_of(starts: &Starts) -> Duration {
    percentile(&starts.cpu, 50)
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1_000.0)
}

fn mb(bytes: usize) -> String {
    format!("{:.2} MB", float(bytes) / 1e6)
}

fn float(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
