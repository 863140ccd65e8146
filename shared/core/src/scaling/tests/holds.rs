//! What comes before the rules, and what holds a change back: bounds of the moment, deployments, tasks that are not there.

use serde_json::json;

use super::*;
use crate::service::{DeploymentFacts, Unplaceable};

fn office(min: u32) -> Look {
    // 2026-03-01 is a Sunday; noon is the time of `at(0)`.
    configured(json!({
        "min": min, "max": 20, "rules": [{ "alarm": "a", "add": -1 }],
        "schedule": [
            { "cron": "0 8 * * *", "min": 6 }, { "cron": "0 20 * * *", "min": 1 }, { "cron": "0 20 * * SAT", "max": 10 },
        ],
    }))
}

fn until(min: Option<u32>, max: Option<u32>, seconds: i64) -> Override {
    Override {
        min,
        max,
        until: at(seconds),
    }
}

#[test]
fn the_bounds_of_a_time() {
    let hour = 3_600;
    for (seconds, over, expected) in [
        (0, None, (6, 10)),
        (8 * hour - 1, None, (6, 10)),
        (8 * hour, None, (1, 10)),
        (0, Some(until(Some(8), None, 1)), (8, 10)),
        (1, Some(until(Some(8), None, 1)), (6, 10)),
        (0, Some(until(Some(15), None, 1)), (15, 15)),
        (0, Some(until(None, Some(4), 1)), (4, 4)),
        (0, Some(until(Some(0), Some(0), 1)), (0, 0)),
    ] {
        let found = bounds(&office(2).facts.scaling, over, at(seconds)).bounds;
        assert_eq!((found.min, found.max), expected, "{seconds} {over:?}");
    }
    // Before any entry has fired within a year the configured ones hold.
    let leap = json!({ "min": 2, "max": 20, "schedule": [{ "cron": "0 0 29 2 *", "min": 9 }] });
    let leap: Scaling = serde_json::from_value(leap).unwrap();
    assert_eq!(bounds(&leap, None, at(0)).bounds.min, 2);
    assert_eq!(
        bounds(&leap, None, "2028-03-01T00:00:00Z".parse().unwrap()).bounds.min,
        9
    );
    let broken = json!({ "min": 2, "max": 20, "schedule": [{ "cron": "0 8 * *", "min": 9 }] });
    let found = bounds(&serde_json::from_value(broken).unwrap(), None, at(0));
    assert_eq!((found.bounds.min, found.problems[0].code), (2, Code::ConfigMalformed));
}

#[test]
fn when_the_bounds_change_next() {
    let scaling = office(2).facts.scaling;
    assert_eq!(next_change(&scaling, None, at(0)), Some(at(8 * 3_600)));
    assert_eq!(next_change(&scaling, None, at(8 * 3_600)), Some(at(20 * 3_600)));
    assert_eq!(
        next_change(&scaling, Some(until(Some(1), None, 60)), at(0)),
        Some(at(60))
    );
    assert_eq!(
        next_change(&scaling, Some(until(Some(1), None, 0)), at(0)),
        Some(at(8 * 3_600))
    );
    assert_eq!(next_change(&look(json!([])).facts.scaling, None, at(0)), None);
}

#[test]
fn other_bounds_move_the_count_at_once() {
    use Code::*;
    let known = |min, max| move |facts: &mut Facts| facts.memory.bounds = Some(Bounds { min, max });
    let calm = || office(2).knows("a", ok(0));
    // A schedule counts at the first look too, and knows no cooldown.
    let raised = calm().expect(Some(6), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
    assert_eq!(
        raised.decision.reasons[1].message,
        "service prod/web goes from 4 to 6 tasks: min is 6, by `0 8 * * *` of the schedule, since 2026-03-01T08:00:00Z"
    );
    assert_eq!(settle(raised.before_call()).bounds, Some(Bounds { min: 6, max: 10 }));
    let cooling = calm().with(|facts| facts.memory = changed(8, 4, 5));
    assert_eq!(set_by(&cooling.decide()), Some(6));
    // Within the bounds there is nothing to move; known ones move nothing.
    calm().tasks(7).expect(None, Outcome::Ignore, &[AlarmNotActive]);
    calm()
        .with(known(6, 10))
        .expect(None, Outcome::Ignore, &[AlarmNotActive]);
    calm()
        .tasks(15)
        .with(known(6, 20))
        .expect(Some(10), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
    // An override, and its end.
    let over = calm()
        .tasks(7)
        .with(known(6, 10))
        .with(|facts| facts.overridden = Some(until(Some(9), None, 60)));
    over.expect(Some(9), Outcome::Act, &[AlarmNotActive, OverriddenBounds]);
    // The configuration: the first look only remembers.
    let plain = look(json!([])).tasks(1);
    let first = plain.expect(None, Outcome::Ignore, &[NotConfigured]);
    assert_eq!(first.memory.bounds, Some(Bounds { min: 2, max: 20 }));
    let edited = plain.with(|facts| {
        facts.memory = first.memory;
        facts.scaling.min = 3;
    });
    edited.expect(Some(3), Outcome::Act, &[ConfiguredBounds]);
    // Without the service it is asked for.
    let blind = calm().with(|facts| facts.service = Known::No);
    let decided = blind.expect(None, Outcome::Wait, &[ScheduledBounds, AlarmNotActive]);
    assert_eq!(decided.decision.missing, ["DescribeServices"]);
    // A deployment that may not lose tasks is waited for, and the bounds are not done with.
    let deploying = calm().tasks(15).with(known(6, 20)).with(|facts| {
        facts.service = Known::Yes(Some(described(15, "IN_PROGRESS")));
    });
    let held = deploying.expect(None, Outcome::Wait, &[AlarmNotActive, DeploymentInProgress]);
    assert_eq!(held.memory.bounds, Some(Bounds { min: 6, max: 20 }));
    // The former ones are back before it is over, and someone has gone beyond them.
    let back = deploying.tasks(25).with(|facts| {
        facts.memory = held.memory;
        facts.overridden = Some(until(Some(6), Some(20), 60));
    });
    let moved = back.expect(Some(20), Outcome::Act, &[AlarmNotActive, OverriddenBounds]);
    assert!(!settle(moved.before_call()).unbounded);
}

#[test]
fn bounds_are_done_with_when_the_count_has_moved() {
    use Code::*;
    let calm = office(2).knows("a", ok(0));
    let raised = calm.expect(Some(6), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
    // A pause held the call back.
    let paused = calm.clone().with(|facts| facts.memory = raised.memory.clone());
    paused.expect(Some(6), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
    // The call had no effect, and is too old to be made again.
    let late = calm.clone().at(1_000).with(|facts| facts.memory = raised.before_call());
    late.expect(Some(6), Outcome::Act, &[IntentResumed, AlarmNotActive, ScheduledBounds]);
    // Someone else was quicker, and set a count out of the bounds.
    let foreign = calm.clone().tasks(1).with(|facts| facts.memory = raised.before_call());
    foreign.expect(Some(6), Outcome::Act, &[ForeignChange, AlarmNotActive, ScheduledBounds]);
    // It had its effect, and what is below them then was set by someone.
    let lower = calm.tasks(5).with(|facts| facts.memory = settle(raised.before_call()));
    lower.expect(None, Outcome::Ignore, &[ForeignChange, AlarmNotActive]);
}

#[test]
fn bounds_do_not_end_maintenance_and_start_what_was_to_have_none() {
    use Code::*;
    let zero = |min| office(min).tasks(0).knows("a", ok(0));
    let held = zero(2).expect(None, Outcome::Ignore, &[AlarmNotActive, Maintenance]);
    assert_eq!(held.memory.bounds, None, "they wait until someone raises the count");
    zero(0).expect(Some(6), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
    let night = zero(2).with(|facts| {
        facts.memory = changed(3, 0, -40_000);
        facts.memory.bounds = Some(Bounds { min: 0, max: 10 });
    });
    night.expect(Some(6), Outcome::Act, &[AlarmNotActive, ScheduledBounds]);
}

#[test]
fn after_a_deployment_no_task_is_removed_for_the_cooldown() {
    use Code::*;
    let rules = |cooldown: &str| {
        let rules = json!([{ "alarm": "a", "target": 60 }]);
        let scaling = json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "in": cooldown } });
        configured(scaling).tasks(20)
    };
    // While both revisions ran each of the tasks had half of the load.
    let halved = |look: Look, now: i64| {
        let knows = look.at(now).knows("a", ok(now - 40).reads(30.0, 70.0));
        knows.with(|facts| facts.scalable = Known::Yes(false))
    };
    let ran = |look: Look, at: Timestamp| look.with(|facts| facts.memory.deploying = Some(at));
    let during = halved(rules("5m"), 0).with(|facts| facts.service = Known::Yes(Some(described(20, "IN_PROGRESS"))));
    let held = during.expect(None, Outcome::Wait, &[ScaleIn, DeploymentInProgress]);
    assert_eq!(held.memory.deploying, Some(at(0)));
    for (cooldown, seconds) in [("5m", 300), ("10s", 10)] {
        let look = ran(rules(cooldown), at(0));
        halved(look.clone(), seconds - 1).expect(None, Outcome::Wait, &[ScaleIn, Cooldown]);
        halved(look, seconds).expect(Some(10), Outcome::Act, &[ScaleIn, ScaleIn]);
    }
    // More tasks wait for nothing.
    let more = ran(rules("5m"), at(0)).at(60).knows("a", alarm(30).reads(90.0, 70.0));
    assert_eq!(set_by(&more.tasks(10).decide()), Some(15));
}

#[test]
fn a_deployment_holds_for_an_hour() {
    use Code::*;
    let deploying = |begun: i64| {
        let facts = described(4, "IN_PROGRESS");
        let deployments = vec![DeploymentFacts {
            created_at: Some(at(begun)),
            ..facts.deployments[0].clone()
        }];
        let service = ServiceFacts { deployments, ..facts };
        let look = look(json!([{ "alarm": "a", "add": -1 }])).knows("a", alarm(0));
        look.with(|facts| facts.service = Known::Yes(Some(service)))
    };
    deploying(-3_589).expect(None, Outcome::Wait, &[ScaleIn, DeploymentInProgress]);
    deploying(-3_590).expect(Some(3), Outcome::Act, &[ScaleIn, DeploymentTimedOut, ScaleIn]);
}

/// Four tasks wanted, so many run.
fn running(running: u32) -> ServiceFacts {
    ServiceFacts {
        running_count: running,
        ..service(4)
    }
}

fn wants_more(service: ServiceFacts) -> Look {
    let scaling =
        json!({ "min": 2, "max": 20, "rules": [{ "alarm": "a", "add": 1 }], "cooldown": { "out": "0s", "in": "0s" } });
    let look = configured(scaling).knows("a", alarm(0));
    look.with(|facts| facts.service = Known::Yes(Some(service)))
}

#[test]
fn tasks_that_are_on_their_way_up_hold_more_back_for_a_while() {
    use Code::*;
    let pending = wants_more(running(3));
    let first = pending.expect(None, Outcome::Wait, &[ScaleOut, TasksPending]);
    assert_eq!(first.memory.pending, Some(at(10)));
    let later = |seconds| {
        pending
            .clone()
            .at(seconds)
            .with(|facts| facts.memory = first.memory.clone())
    };
    later(309).expect(None, Outcome::Wait, &[ScaleOut, TasksPending]);
    // What crashes over and over does not hold the count for ever.
    later(310).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    let up = wants_more(running(4)).with(|facts| facts.memory = first.memory.clone());
    let decided = up.expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    assert_eq!(decided.memory.pending, None);
    // Fewer tasks wait for none; during a deployment those of two revisions run.
    let fewer = wants_more(running(1)).with(|facts| {
        facts.scaling.rules = serde_json::from_value(json!([{ "alarm": "a", "add": -1 }])).unwrap();
    });
    fewer.expect(Some(3), Outcome::Act, &[ScaleIn, ScaleIn]);
    let deploying = ServiceFacts {
        running_count: 1,
        ..described(4, "IN_PROGRESS")
    };
    wants_more(deploying).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn tasks_that_cannot_be_placed_hold_more_back_as_long_as_that_lasts() {
    use Code::*;
    let failed = |runs: u32, when: i64| {
        let unplaceable = Some(Unplaceable {
            at: at(when),
            message: "(service web) was unable to place a task.".into(),
        });
        let look = wants_more(ServiceFacts {
            unplaceable,
            ..running(runs)
        });
        look.with(|facts| facts.memory.pending = Some(at(-400)))
    };
    let held = failed(3, -589).expect(None, Outcome::Wait, &[ScaleOut, TasksUnplaceable]);
    assert_eq!(
        held.decision.reasons[1].message,
        "no task is added to service prod/web: ECS said at 2026-03-01T11:50:11Z: (service web) was unable to place a task."
    );
    failed(3, -590).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    failed(4, -1).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    let after = |when| {
        failed(3, when).with(|facts| {
            facts.memory = Memory {
                pending: Some(at(-400)),
                ..changed(2, 4, -100)
            }
        })
    };
    after(-101).expect(Some(5), Outcome::Act, &[ScaleOut, ScaleOut]);
    after(-99).expect(None, Outcome::Wait, &[ScaleOut, TasksUnplaceable]);
}

#[test]
fn what_application_auto_scaling_moves_is_left_alone() {
    let look = look(json!([{ "alarm": "a", "add": 1 }])).knows("a", alarm(0));
    look.clone().with(|facts| facts.scalable = Known::Yes(true)).expect(
        None,
        Outcome::Ignore,
        &[Code::ManagedByApplicationAutoScaling],
    );
    look.with(|facts| facts.scalable = Known::Yes(false)).expect(
        Some(5),
        Outcome::Act,
        &[Code::ScaleOut, Code::ScaleOut],
    );
}
