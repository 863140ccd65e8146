//! Bounds, deployments, maintenance, services that are not there.

use serde_json::json;

use super::*;

#[test]
fn the_count_stays_within_its_bounds() {
    use Code::*;
    for (rule, desired, to, codes) in [
        (json!({ "add": 9 }), 15, Some(20), vec![ScaleOut, ScaleOut]),
        (json!({ "add": 1 }), 20, None, vec![ScaleOut, AlreadyAtMaxCapacity]),
        (json!({ "add": 1 }), 25, None, vec![ScaleOut, AlreadyAtMaxCapacity]),
        (json!({ "add": -1 }), 25, Some(20), vec![ScaleIn, ScaleIn]),
        (json!({ "add": -9 }), 25, Some(16), vec![ScaleIn, ScaleIn]),
        (json!({ "set": 22 }), 25, Some(20), vec![ScaleIn, ScaleIn]),
        (json!({ "add": -9 }), 4, Some(2), vec![ScaleIn, ScaleIn]),
        (json!({ "add": -1 }), 2, None, vec![ScaleIn, AlreadyAtMinCapacity]),
        (json!({ "add": -1 }), 1, None, vec![ScaleIn, AlreadyAtMinCapacity]),
    ] {
        let mut rule = rule;
        rule["alarm"] = "a".into();
        let outcome = if to.is_some() { Outcome::Act } else { Outcome::Ignore };
        look(json!([rule]))
            .tasks(desired)
            .knows("a", alarm(0))
            .expect(to, outcome, &codes);
    }
    let below = configured(json!({ "min": 6, "max": 20, "rules": [{ "alarm": "a", "add": 1 }] })).knows("a", alarm(0));
    below.expect(Some(6), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn a_bound_that_cuts_a_change_short_is_named() {
    let busy = || alarm(0).reads(240.0, 60.0);
    for (rule, desired, told) in [
        (json!({ "target": 60 }), 4, "service prod/web goes from 4 to 16 tasks"),
        (
            json!({ "target": 60 }),
            6,
            "service prod/web goes from 6 to 20 tasks: alarm `a` wants 24, max is 20",
        ),
        (
            json!({ "add": -9 }),
            4,
            "service prod/web goes from 4 to 2 tasks: alarm `a` wants 0, min is 2",
        ),
        (
            json!({ "set": 22 }),
            25,
            "service prod/web goes from 25 to 20 tasks: alarm `a` wants 22, max is 20",
        ),
        (json!({ "add": 1 }), 20, "service prod/web has 20 tasks, max is 20"),
        (json!({ "add": -1 }), 2, "service prod/web has 2 tasks, min is 2"),
    ] {
        let mut rule = rule;
        rule["alarm"] = "a".into();
        let decided = look(json!([rule])).tasks(desired).knows("a", busy()).decide();
        let last = decided.decision.reasons.last().unwrap();
        assert_eq!(last.message, told);
    }
    // Of several rules the one whose wish counts; within a cooldown what it adds to the step before.
    let two = json!([{ "alarm": "a", "add": 17 }, { "alarm": "b", "add": 1 }]);
    let cooling = look(two)
        .tasks(5)
        .knows("a", alarm(0))
        .knows("b", alarm(0))
        .with(|facts| facts.memory = changed(4, 5, -10));
    let told = "service prod/web goes from 5 to 20 tasks: alarm `a` wants 21, max is 20";
    assert_eq!(cooling.decide().decision.reasons.last().unwrap().message, told);
}

#[test]
fn bounds_the_wrong_way_round_do_no_harm() {
    for desired in [1, 3, 5, 9] {
        for add in [-1, 1] {
            let scaling = json!({ "min": 8, "max": 2, "rules": [{ "alarm": "a", "add": add }] });
            let to = set_by(&configured(scaling).tasks(desired).knows("a", alarm(0)).decide());
            assert!(to.is_none_or(|to| to <= 2), "{desired} {add}: {to:?}");
        }
    }
}

#[test]
fn zero_set_by_a_person_is_maintenance() {
    use Code::*;
    let zero = look(json!([{ "alarm": "a", "add": 1 }])).tasks(0).knows("a", alarm(0));
    zero.expect(None, Outcome::Ignore, &[ScaleOut, Maintenance]);
    // After a change of ours it is a foreign change too, and once only.
    let after = zero.clone().with(|facts| facts.memory = changed(2, 4, -1_000));
    let first = after.expect(None, Outcome::Ignore, &[ForeignChange, ScaleOut, Maintenance]);
    let again = zero.clone().with(|facts| facts.memory = first.memory);
    again.expect(None, Outcome::Ignore, &[ScaleOut, Maintenance]);
    // Raised again by a person: adopted, with a cooldown.
    let raised = again.tasks(3);
    raised.expect(None, Outcome::Wait, &[ForeignChange, ScaleOut, Cooldown]);
    // With a min of 0 it is a count like any other.
    let empty = configured(json!({ "min": 0, "max": 20, "rules": [{ "alarm": "a", "add": 1 }] }));
    empty
        .tasks(0)
        .knows("a", alarm(0))
        .expect(Some(1), Outcome::Act, &[ScaleOut, ScaleOut]);
    // Our own 0, set while `min` was 0, is no maintenance.
    zero.with(|facts| facts.memory = changed(1, 0, -1_000))
        .expect(Some(2), Outcome::Act, &[ScaleOut, ScaleOut]);
}

#[test]
fn what_a_deployment_stops() {
    use Code::*;
    for (mode, add, acts) in [
        ("out-only", 1, true),
        ("out-only", -1, false),
        ("hold", 1, false),
        ("hold", -1, false),
        ("free", 1, true),
        ("free", -1, true),
    ] {
        let rules = json!([{ "alarm": "a", "add": add }]);
        let look = configured(json!({ "min": 2, "max": 20, "rules": rules, "during-deployment": mode }))
            .knows("a", alarm(0))
            .with(|facts| facts.service = Known::Yes(Some(described(4, "IN_PROGRESS"))));
        let code = if add > 0 { ScaleOut } else { ScaleIn };
        if acts {
            // 99 tasks run, of both revisions: the desired count is the base.
            look.expect(Some(if add > 0 { 5 } else { 3 }), Outcome::Act, &[code, code]);
        } else {
            look.expect(None, Outcome::Wait, &[code, DeploymentInProgress]);
        }
    }
}

#[test]
fn a_service_that_is_not_there_is_left_alone() {
    let look = look(json!([{ "alarm": "a", "add": 1 }])).knows("a", alarm(0));
    for gone in [
        None,
        Some(ServiceFacts {
            status: "DRAINING".into(),
            ..service(4)
        }),
    ] {
        let look = look.clone().with(|facts| facts.service = Known::Yes(gone));
        look.expect(None, Outcome::Ignore, &[Code::ServiceNotFound]);
    }
}

#[test]
fn without_rules_it_says_so() {
    look(json!([])).expect(None, Outcome::Ignore, &[Code::NotConfigured]);
    look(json!([]))
        .with(|facts| facts.service = Known::No)
        .expect(None, Outcome::Ignore, &[Code::NotConfigured]);
}
