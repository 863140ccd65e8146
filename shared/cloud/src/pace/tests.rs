//! Takers on a world whose time goes on only when all of them wait for it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use futures_util::FutureExt;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::table::{Item, text};
use crate::world::{Caller, Fate, Gates, Shared, What, World};

const BOTH: [Paced; 2] = [Paced::RegisterTaskDefinition, Paced::UpdateService];

/// Who comes for a token.
#[derive(Debug, Clone)]
struct Taker {
    /// When, in milliseconds.
    comes: u64,
    /// How far its clock is ahead, in milliseconds.
    skew: i64,
    /// How long it waits, in milliseconds.
    patience: u64,
}

/// The network, and chance.
#[derive(Debug, Clone, Copy)]
struct Network {
    seed: u64,
    /// How long a call is on its way at most, in milliseconds.
    delay: u64,
    /// Whether calls fail and answers are lost.
    fails: bool,
}

/// What came of it.
#[derive(Debug)]
struct Played {
    /// When a paced call was made, in milliseconds.
    calls: Vec<i64>,
    /// The bucket in the end.
    full_at: i64,
}

fn fate(rng: &mut fastrand::Rng) -> Fate {
    match rng.u8(..20) {
        0 => Fate::Twice,
        1 => Fate::After(Kind::TimedOut),
        2 => Fate::Before(Kind::Throttled),
        _ => Fate::Fine,
    }
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

fn at(world: &Shared) -> i64 {
    world.borrow().now.as_millisecond()
}

/// Comes until it has made its call.
async fn taker(caller: Caller, world: Shared, paced: Paced, taker: Taker, calls: Rc<RefCell<Vec<i64>>>) {
    caller.sleep(Duration::from_millis(taker.comes)).await;
    loop {
        let pause = match take(&caller, paced, Duration::from_millis(taker.patience)).await {
            Ok(Taken::Now) => return calls.borrow_mut().push(at(&world)),
            // It was so long when it was asked for; meanwhile the answer was on its way.
            Ok(Taken::After(then)) => then.duration_since(caller.now()).max(SignedDuration::from_millis(1)),
            Err(Fault::Cloud(error)) if error.is_transient() => SignedDuration::from_secs(1),
            Err(fault) => panic!("{fault}"),
        };
        caller.sleep(pause.unsigned_abs()).await;
    }
}

/// Lets all of them come.
fn play(paced: Paced, takers: &[Taker], network: Network) -> Played {
    let world = World::new(Timestamp::UNIX_EPOCH).shared();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let mut running: Vec<(Gates, Running)> = takers
        .iter()
        .map(|one| {
            let (gates, skew) = (Gates::default(), SignedDuration::from_millis(one.skew));
            let caller = Caller::gated(&world, "taker", gates.clone(), Timestamp::MAX, skew);
            let future = taker(caller, Rc::clone(&world), paced, one.clone(), Rc::clone(&calls));
            (gates, Box::pin(future) as Running)
        })
        .collect();
    let mut rng = fastrand::Rng::with_seed(network.seed);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        running.retain_mut(|(_, future)| future.as_mut().poll(&mut context).is_pending());
        let stops = running
            .iter()
            .flat_map(|(gates, _)| gates.stops().into_iter().map(move |stop| (gates, stop)));
        let (calls, sleeps): (Vec<_>, Vec<_>) = stops.partition(|(_, stop)| matches!(stop.what, What::Call { .. }));
        let until = |what: &What| match what {
            What::Sleep(until) => *until,
            What::Call { .. } => Timestamp::MAX,
        };
        let wakes = sleeps.iter().min_by_key(|(_, stop)| until(&stop.what));
        let mut world = world.borrow_mut();
        // Who sleeps is woken in time, whatever call is on its way.
        let next = wakes.filter(|(_, stop)| calls.is_empty() || until(&stop.what) <= world.now);
        if let Some((gates, stop)) = next {
            world.now = world.now.max(until(&stop.what));
            gates.open(stop.id, Fate::Fine);
        } else if !calls.is_empty() {
            let (gates, stop) = &calls[rng.usize(..calls.len())];
            let arrives = world.now + Duration::from_millis(rng.u64(..=network.delay));
            world.now = wakes.map_or(arrives, |(_, stop)| arrives.min(until(&stop.what)));
            gates.open(stop.id, if network.fails { fate(&mut rng) } else { Fate::Fine });
        } else {
            break;
        }
    }
    let item = world.borrow().tables.state.get(&paced.key()).cloned().unwrap();
    let calls = calls.borrow().clone();
    Played {
        calls,
        full_at: full_at(paced, &item).unwrap(),
    }
}

/// Whether a bucket of AWS's would have had a token for each call.
fn fits(calls: &[i64], burst: i64, interval: i64) -> Result<(), TestCaseError> {
    for (i, from) in calls.iter().enumerate() {
        for (n, to) in calls[i..].iter().enumerate() {
            let room = burst + (to - from) / interval;
            let made = i64::try_from(n).unwrap() + 1;
            prop_assert!(made <= room, "{made} from {from} to {to} ms, of {room}: {calls:?}");
        }
    }
    Ok(())
}

fn takers(skew: i64) -> impl Strategy<Value = Vec<Taker>> {
    // All at once, and over some time.
    let comes = prop_oneof![Just(0), 0..20_000_u64];
    let patience = prop_oneof![Just(0), Just(2_000), 0..60_000_u64];
    let one = (comes, -skew..=skew, patience).prop_map(|(comes, skew, patience)| Taker { comes, skew, patience });
    proptest::collection::vec(one, 1..60)
}

fn paced() -> impl Strategy<Value = Paced> {
    prop_oneof![Just(BOTH[0]), Just(BOTH[1])]
}

fn last(calls: &[i64]) -> i64 {
    calls.iter().copied().max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// With right clocks and a network that takes no time, the limit is kept to the millisecond, and nothing is lost.
    #[test]
    fn never_more_than_the_limit_and_never_less(
        paced in paced(), takers in takers(0), seed in any::<u64>(),
    ) {
        let played = play(paced, &takers, Network { seed, delay: 0, fails: false });
        prop_assert_eq!(played.calls.len(), takers.len());
        let limit = paced.limit();
        let interval = millis(limit.interval);
        fits(&played.calls, i64::from(limit.burst), interval)?;
        // What a bucket gives that is asked at once by all that came: nobody waits longer than that, save who looks in
        // only when it is told to, and finds others there.
        let n = i64::try_from(takers.len()).unwrap();
        let came = takers.iter().map(|t| t.comes.cast_signed()).max().unwrap_or_default();
        let due = came + (n - i64::from(limit.burst)).max(0) * interval;
        prop_assert!(last(&played.calls) <= due, "{} after {due}: {:?}", last(&played.calls), played.calls);
        // Each token moved the bucket once.
        prop_assert!(played.full_at <= last(&played.calls) + i64::from(limit.burst) * interval);
    }

    /// With clocks that differ by 5 seconds, calls on their way and answers that are lost, AWS would still not throttle.
    #[test]
    fn whatever_happens_aws_has_room(
        paced in paced(), takers in takers(2_500), seed in any::<u64>(), delay in 0..100_u64,
    ) {
        let played = play(paced, &takers, Network { seed, delay, fails: true });
        prop_assert_eq!(played.calls.len(), takers.len());
        match paced {
            Paced::RegisterTaskDefinition => fits(&played.calls, 20, 1_000)?,
            Paced::UpdateService => fits(&played.calls, 50, 200)?,
        }
    }
}

#[test]
fn nobody_is_overtaken_for_ever() {
    for paced in BOTH {
        let patient = Taker {
            comes: 0,
            skew: 0,
            patience: 600_000,
        };
        let takers = vec![patient; 300];
        let played = play(
            paced,
            &takers,
            Network {
                seed: 7,
                delay: 0,
                fails: false,
            },
        );
        let Limit { burst, interval } = paced.limit();
        let expected = (0..300).map(|n| (n + 1 - i64::from(burst)).max(0) * millis(interval));
        assert_eq!(played.calls, expected.collect::<Vec<_>>(), "{paced:?}");
    }
}

fn direct() -> (Shared, Caller) {
    let world = World::new(Timestamp::UNIX_EPOCH).shared();
    let caller = Caller::direct(&world, "test");
    (world, caller)
}

fn take_now(caller: &Caller, patience: u64) -> Result<Taken, Fault> {
    let taken = take(caller, Paced::RegisterTaskDefinition, Duration::from_secs(patience));
    taken.now_or_never().unwrap()
}

#[test]
fn who_cannot_wait_is_told_when_and_takes_nothing() {
    let (world, caller) = direct();
    for _ in 0..10 {
        assert_eq!(take_now(&caller, 0).unwrap(), Taken::Now);
    }
    let then = Timestamp::from_millisecond(1_250).unwrap();
    for _ in 0..3 {
        assert_eq!(take_now(&caller, 1).unwrap(), Taken::After(then));
    }
    assert_eq!(at(&world), 0, "nobody waited");
    assert_eq!(take_now(&caller, 2).unwrap(), Taken::Now);
    assert_eq!(at(&world), 1_250);
}

#[test]
fn half_of_what_is_left_of_the_invocation_is_for_the_call() {
    let (world, caller) = direct();
    // A direct caller has a minute.
    world.borrow_mut().now = Timestamp::from_second(58).unwrap();
    for _ in 0..10 {
        assert_eq!(take_now(&caller, 60).unwrap(), Taken::Now);
    }
    assert!(matches!(take_now(&caller, 60).unwrap(), Taken::After(_)));
}

#[test]
fn each_operation_has_its_own_bucket() {
    let (_, caller) = direct();
    while take_now(&caller, 0).unwrap() == Taken::Now {}
    let other = take(&caller, Paced::UpdateService, Duration::ZERO)
        .now_or_never()
        .unwrap();
    assert_eq!(other.unwrap(), Taken::Now);
}

#[test]
fn an_item_that_is_no_bucket_is_named() {
    let (world, caller) = direct();
    let key = Paced::RegisterTaskDefinition.key();
    let item: Item = [("pk", text(&key.pk)), ("sk", text(&key.sk)), (FULL_AT, text("soon"))]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect::<std::collections::HashMap<_, _>>()
        .into();
    world.borrow_mut().tables.put(TableName::State, item);
    let error = take_now(&caller, 0).unwrap_err().to_string();
    assert!(error.contains("pace / RegisterTaskDefinition"), "{error}");
}
