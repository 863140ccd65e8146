//! The measurements.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharfinger_tests::lambda::{Authority, Call, Invoked, Lambda, Outcome, Process, stages, system_bundle};

use super::HELLO;
use super::scenes::{Scene, main_scene};

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

/// The starts of one variant, each with its first event.
#[derive(Debug, Default, Clone)]
pub(crate) struct Starts {
    /// From the start of the process to its asking for an event.
    pub(crate) start_wall: Vec<Duration>,
    /// The time of a processor that it took.
    pub(crate) start_cpu: Vec<Duration>,
    /// The time of a processor that the first event took.
    pub(crate) first_cpu: Vec<Duration>,
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
            let mut once = Starts::default();
            start(variant.0, &binaries[variant.0], variant.1.then_some(tls), &mut once)?;
            if round > 0 {
                let starts = measured.entry(*variant).or_default();
                starts.start_wall.append(&mut once.start_wall);
                starts.start_cpu.append(&mut once.start_cpu);
                starts.first_cpu.append(&mut once.first_cpu);
            }
        }
    }
    Ok(measured)
}

fn start(name: &str, binary: &Path, tls: Option<&Tls>, into: &mut Starts) -> io::Result<()> {
    let lambda = Lambda::start(tls.map(|tls| &tls.authority))?;
    let scene = main_scene(name);
    prepare(&lambda, scene.as_ref())?;
    let (process, asked) = started(binary, &lambda, tls)?;
    into.start_wall.push(asked.saturating_duration_since(process.began));
    let started = process.usage_at_rest()?.cpu;
    into.start_cpu.push(started);
    done(lambda.invoke(&event(scene.as_ref(), 0))?)?;
    lambda.asked(2)?;
    into.first_cpu
        .push(process.usage_at_rest()?.cpu.saturating_sub(started));
    Ok(())
}

fn prepare(lambda: &Lambda, scene: Option<&Scene>) -> io::Result<()> {
    scene.map_or(Ok(()), |scene| lambda.world(scene.prepare))
}

/// The n-th event; without a scene, one that nobody looks at.
fn event(scene: Option<&Scene>, n: usize) -> Value {
    scene.map_or_else(|| json!({ "n": n }), |scene| (scene.event)(n))
}

/// What a warm event costs by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warm {
    /// The time of a processor for each event.
    pub(crate) cpu: Duration,
    /// From handing it over to the answer, with an AWS that answers at once.
    pub(crate) wall: Duration,
    /// The peak of the memory after all of them, in bytes.
    pub(crate) peak_memory: usize,
}

/// Hands one event after another to a function.
pub(crate) fn warm(binary: &Path, scene: Option<&Scene>) -> io::Result<Warm> {
    let lambda = Lambda::start(None)?;
    prepare(&lambda, scene)?;
    let (process, _) = started(binary, &lambda, None)?;
    let hand = |n: usize| done(lambda.invoke(&event(scene, n))?);
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
        peak_memory: usize::try_from(after.peak_memory).unwrap_or(usize::MAX),
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
    prepare(&lambda, Some(scene))?;
    if let Some(before) = scene.before {
        let _process = started(binary, &lambda, None)?;
        for n in 0..2 {
            done(lambda.invoke(&before(n))?)?;
        }
    }
    // Another process, which knows nothing yet, in the world that the first left behind.
    let world = lambda.world(std::mem::take);
    let lambda = Lambda::start(None)?;
    lambda.world(|empty| *empty = world);
    lambda.latency(LATENCY);
    let _process = started(binary, &lambda, None)?;
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

/// Starts a function and waits until it asks for an event: when was that?
fn started(binary: &Path, lambda: &Lambda, tls: Option<&Tls>) -> io::Result<(Process, Instant)> {
    // Amazon Linux has one bundle. Where every certificate lies in a file of its own as well, the start would read them twice.
    let bundle = system_bundle().map_or(OsStr::new(""), Path::as_os_str);
    let trusted = tls.map_or(bundle, |tls| tls.certificate.as_os_str());
    let process = Process::start(binary, lambda, &[("SSL_CERT_FILE", trusted)])?;
    let asked = lambda.asked(1)?;
    Ok((process, asked))
}

fn done(invoked: Invoked) -> io::Result<Invoked> {
    match &invoked.outcome {
        Outcome::Done(_) => Ok(invoked),
        Outcome::Failed { message, .. } => Err(io::Error::other(format!("an event failed: {message}"))),
    }
}
