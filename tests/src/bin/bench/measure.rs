//! The measurements.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use wharfinger_tests::lambda::{Authority, Call, Invoked, Lambda, Outcome, Process, stages};

use super::HELLO;
use super::scenes::Scene;

/// How often each variant is started.
pub(crate) const ROUNDS: usize = 40;

/// How many warm events are averaged.
pub(crate) const WARM_EVENTS: usize = 300;

/// How many events go before them.
const WARM_UP: usize = 30;

/// How long a call takes while calls are counted: long enough that calls made at once overlap.
const LATENCY: Duration = Duration::from_millis(60);

/// A throw-away authority, and its certificate in a file.
pub(crate) struct Tls {
    pub(crate) authority: Authority,
    pub(crate) certificate: PathBuf,
}

/// The starts of one variant.
#[derive(Debug, Default, Clone)]
pub(crate) struct Starts {
    /// From the start of the process to its asking for an event.
    pub(crate) wall: Vec<Duration>,
    /// The time of a processor that it took.
    pub(crate) cpu: Vec<Duration>,
}

/// One value of ten, of a hundred: nearest rank.
pub(crate) fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let rank = (values.len() * percent).div_ceil(100).clamp(1, values.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Starts each variant in each round, in a random order: by name, and whether over TLS.
pub(crate) fn starts<'n>(
    binaries: &BTreeMap<&'n str, PathBuf>,
    tls: &Tls,
) -> io::Result<BTreeMap<(&'n str, bool), Starts>> {
    let mut variants: Vec<_> = binaries.keys().map(|name| (*name, false)).collect();
    variants.extend(binaries.keys().filter(|name| **name != HELLO).map(|name| (*name, true)));
    let mut measured = BTreeMap::<_, Starts>::new();
    // The first round brings the binaries into the page cache and is not counted.
    for round in 0..=ROUNDS {
        fastrand::shuffle(&mut variants);
        for variant in &variants {
            let (wall, cpu) = start(&binaries[variant.0], variant.1.then_some(tls))?;
            if round > 0 {
                let starts = measured.entry(*variant).or_default();
                starts.wall.push(wall);
                starts.cpu.push(cpu);
            }
        }
    }
    Ok(measured)
}

fn start(binary: &Path, tls: Option<&Tls>) -> io::Result<(Duration, Duration)> {
    let lambda = Lambda::start(tls.map(|tls| &tls.authority))?;
    let certificate = tls.map_or(OsStr::new(""), |tls| tls.certificate.as_os_str());
    let process = Process::start(binary, &lambda, &[("SSL_CERT_FILE", certificate)])?;
    let asked = lambda.asked(1)?;
    Ok((
        asked.saturating_duration_since(process.began),
        process.usage_at_rest()?.cpu,
    ))
}

/// What a warm event costs by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warm {
    /// The time of a processor for each event.
    pub(crate) cpu: Duration,
    /// From handing it over to the answer, with an AWS that answers at once.
    pub(crate) wall: Duration,
    /// The peak of the memory after all of them, in bytes.
    pub(crate) peak_memory: u64,
}

/// Hands one event after another to a function; without a scene, events that nobody looks at.
pub(crate) fn warm(binary: &Path, scene: Option<&Scene>) -> io::Result<Warm> {
    let lambda = Lambda::start(None)?;
    if let Some(scene) = scene {
        lambda.world(|world| (scene.prepare)(world))?;
    }
    let process = Process::start(binary, &lambda, &[])?;
    lambda.asked(1)?;
    let hand = |n: usize| {
        let event = scene.map_or(json!({ "n": n }), |scene| (scene.event)(n));
        done(lambda.invoke(&event)?)
    };
    for n in 0..WARM_UP {
        hand(n)?;
    }
    lambda.asked(WARM_UP + 1)?;
    let before = process.usage_at_rest()?;
    let began = Instant::now();
    for n in WARM_UP..WARM_UP + WARM_EVENTS {
        hand(n)?;
    }
    let wall = began.elapsed();
    lambda.asked(WARM_UP + WARM_EVENTS + 1)?;
    let after = process.usage_at_rest()?;
    let events = u32::try_from(WARM_EVENTS).unwrap_or(u32::MAX);
    Ok(Warm {
        cpu: after.cpu.saturating_sub(before.cpu) / events,
        wall: wall / events,
        peak_memory: after.peak_memory,
    })
}

/// The calls of one event.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// The names of each stage, those that were under way at once joined by `+`.
    pub(crate) stages: Vec<String>,
    pub(crate) count: usize,
}

/// The calls of a function's first event, and of its next, which finds the configuration known.
pub(crate) fn calls(binary: &Path, scene: &Scene) -> io::Result<[Counted; 2]> {
    let lambda = Lambda::start(None)?;
    lambda.world(|world| (scene.prepare)(world))?;
    if let Some(before) = scene.before {
        let _process = started(binary, &lambda)?;
        for n in 0..2 {
            done(lambda.invoke(&before(n))?)?;
        }
    }
    // Another process, which knows nothing yet, in the world that the first left behind.
    let world = lambda.world(std::mem::take);
    let lambda = Lambda::start(None)?;
    lambda.world(|empty| *empty = world);
    lambda.latency(LATENCY);
    let _process = started(binary, &lambda)?;
    let count = |n| -> io::Result<Counted> {
        let calls = done(lambda.invoke(&(scene.event)(n))?)?.calls;
        let name = |stage: Vec<&Call>| {
            stage
                .iter()
                .map(|call| call.operation.as_str())
                .collect::<Vec<_>>()
                .join("+")
        };
        Ok(Counted {
            count: calls.len(),
            stages: stages(&calls).into_iter().map(name).collect(),
        })
    };
    let cold = count(0)?;
    Ok([cold, count(1)?])
}

fn started(binary: &Path, lambda: &Lambda) -> io::Result<Process> {
    let process = Process::start(binary, lambda, &[])?;
    lambda.asked(1)?;
    Ok(process)
}

fn done(invoked: Invoked) -> io::Result<Invoked> {
    match &invoked.outcome {
        Outcome::Done(_) => Ok(invoked),
        Outcome::Failed { message, .. } => Err(io::Error::other(format!("an event failed: {message}"))),
    }
}
