//! Answers that are lost, invocations that die, snapshots that come to nothing.

use std::pin::pin;

use fastrand::Rng;
use wharfinger_cloud::error::Kind;
use wharfinger_cloud::world::{Fate, Gates, What};

use super::*;

/// The event that a task runs.
fn running(world: &Shared) -> Value {
    let told = std::mem::take(&mut world.borrow_mut().emitted);
    let runs = |event: &&Value| event["detail"]["lastStatus"] == "RUNNING";
    told.iter().find(runs).unwrap().clone()
}

/// Handles an event in an invocation whose calls meet these fates, until it ends or so many calls were let through.
pub(crate) fn disturbed(
    world: &Shared,
    event: &Value,
    calls: usize,
    fate: impl Fn(&'static str) -> Fate,
) -> Option<Result<(), Fault>> {
    let gates = Gates::default();
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let caller = Caller::gated(world, "disturbed", gates.clone(), deadline, SignedDuration::ZERO);
    let function = Storage::new(stage::OWNER);
    let mut work = pin!(function.on_event(&caller, "disturbed/0", event));
    let mut let_through = 0;
    loop {
        if let std::task::Poll::Ready(done) = stage::poll(work.as_mut()) {
            return Some(done);
        }
        for stop in gates.stops() {
            if let_through == calls {
                return None;
            }
            let_through += 1;
            match stop.what {
                What::Call { operation, .. } => gates.open(stop.id, fate(operation)),
                What::Sleep(until) => {
                    world.borrow_mut().now = until;
                    gates.open(stop.id, Fate::Fine);
                }
            }
        }
    }
}

#[test]
fn an_answer_that_is_lost_makes_no_second_snapshot() {
    for kind in [Kind::TimedOut, Kind::Unavailable, Kind::Unreadable] {
        let world = world(every("6h"));
        let event = running(&world);
        let lost = |operation| match operation {
            "CreateSnapshot" => Fate::After(kind),
            _ => Fate::Fine,
        };
        assert!(disturbed(&world, &event, usize::MAX, lost).unwrap().is_err());
        // Tried again at once, while EC2 does not show it yet.
        stage::pass(&world, SignedDuration::from_secs(3));
        let lags = |operation| match operation {
            "DescribeSnapshots" => Fate::Lagging,
            _ => Fate::Fine,
        };
        disturbed(&world, &event, usize::MAX, lags).unwrap().unwrap();
        assert_eq!(made(&world).len(), 1);
        play(&world, 30, true);
        assert_eq!(made(&world).len(), 1);
        assert_eq!(memory(&world).volumes["data"].intent, None);
    }
}

#[test]
fn what_was_not_made_is_made_later() {
    for kind in [Kind::TimedOut, Kind::Throttled, Kind::Unavailable] {
        let world = world(every("6h"));
        let event = running(&world);
        let fails = |operation| match operation {
            "CreateSnapshot" => Fate::Before(kind),
            _ => Fate::Fine,
        };
        assert!(disturbed(&world, &event, usize::MAX, fails).unwrap().is_err());
        assert_eq!(made(&world), []);
        play(&world, 5, true);
        assert_eq!(made(&world).len(), 1, "{kind:?}");
    }
}

#[test]
fn an_invocation_that_dies_anywhere_leaves_one_snapshot() {
    let mut died = 0;
    for calls in 0..100 {
        let world = world(every("6h"));
        let event = running(&world);
        let done = disturbed(&world, &event, calls, |_| Fate::Fine);
        died += usize::from(done.is_none());
        play(&world, 30, true);
        assert_eq!(made(&world).len(), 1, "after {calls} calls");
        assert_eq!(memory(&world).volumes["data"].intent, None, "after {calls} calls");
        if done.is_some() {
            assert!(died > 8, "{died}");
            return;
        }
    }
    panic!("it never ended");
}

/// Two invocations whose calls are let through in any order.
fn race(seed: u64) -> Shared {
    let world = world(every("6h"));
    let event = running(&world);
    let sweep = stage::scheduled(&json!({}));
    let mut dice = Rng::with_seed(seed);
    let deadline = world.borrow().now + SignedDuration::from_mins(1);
    let gates = [Gates::default(), Gates::default()];
    let [first, second] = gates
        .clone()
        .map(|gates| Caller::gated(&world, "one", gates, deadline, SignedDuration::ZERO));
    let functions = [Storage::new(stage::OWNER), Storage::new(stage::OWNER)];
    let mut one = pin!(functions[0].on_event(&first, "one/0", &event));
    let mut two = pin!(functions[1].on_event(&second, "two/0", &sweep));
    let mut ended = [false, false];
    while ended != [true, true] {
        if !ended[0] {
            ended[0] = stage::poll(one.as_mut()).is_ready();
        }
        if !ended[1] {
            ended[1] = stage::poll(two.as_mut()).is_ready();
        }
        let stops = gates
            .iter()
            .flat_map(|gates| gates.stops().into_iter().map(move |stop| (gates, stop)));
        let stops: Vec<_> = stops.collect();
        let Some((gates, stop)) = dice.choice(&stops) else {
            continue;
        };
        if let What::Sleep(until) = stop.what {
            let mut world = world.borrow_mut();
            world.now = world.now.max(until);
        }
        gates.open(stop.id, Fate::Fine);
    }
    world
}

#[test]
fn two_invocations_at_once_make_one_snapshot() {
    for seed in 0..200 {
        let world = race(seed);
        assert_eq!(made(&world).len(), 1, "seed {seed}");
        play(&world, 10, true);
        assert_eq!(made(&world).len(), 1, "seed {seed}");
    }
}

#[test]
fn a_snapshot_that_comes_to_nothing_is_told_once_and_made_anew() {
    let world = world(every("6h"));
    hear(&world);
    let id = snapshots(&world)[0].snapshot_id.clone();
    world.borrow_mut().end_snapshot(&id, Some("internal error"));
    play(&world, 40, true);
    let told = world.borrow().around.notices.clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].detail_type, "Snapshot Failed");
    assert_eq!(
        (&told[0].detail["snapshotId"], &told[0].detail["volume"]),
        (&json!(id), &json!("data"))
    );
    assert_eq!(made(&world).len(), 2);
    assert!(has_said(&world, Code::SnapshotFailed));
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let world = world(every("6h"));
    hear(&world);
    let id = snapshots(&world)[0].snapshot_id.clone();
    world.borrow_mut().end_snapshot(&id, Some("internal error"));
    let event = world.borrow_mut().emitted.pop().unwrap();
    let fails = |operation| match operation {
        "PutEvents" => Fate::Before(Kind::Throttled),
        _ => Fate::Fine,
    };
    assert!(disturbed(&world, &event, usize::MAX, fails).unwrap().is_err());
    assert_eq!(world.borrow().around.notices, []);
    play(&world, 10, false);
    assert_eq!(world.borrow().around.notices.len(), 1);
}

#[test]
fn where_ec2_makes_none_now_it_waits() {
    let world = world(every("1m"));
    hear(&world);
    // One of the same volume, made by someone else a moment ago.
    {
        let mut world = world.borrow_mut();
        let shot = world.ebs.snapshots.values_mut().next().unwrap();
        shot.snapshot.tags.clear();
    }
    let volume = snapshots(&world)[0].volume_id.clone();
    stage::store(&mut world.borrow_mut(), &target(), every("2h"));
    let key = service_key(&target());
    world
        .borrow_mut()
        .tables
        .put(TableName::State, stage::item(&key.pk, &key.sk));
    sweep(&world, &json!({}));
    assert_eq!(made(&world).len(), 1);
    assert!(has_said(&world, Code::SnapshotPending), "{:?}", said(&world));
    play(&world, 3, false);
    assert_eq!(made(&world).len(), 2);
    assert_eq!(made(&world)[1].volume_id, volume);
}
