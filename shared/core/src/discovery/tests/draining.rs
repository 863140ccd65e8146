//! Tasks on instances that drain.

use super::*;
use crate::endpoint::{Drain, Others};

const SEEN: Drain = Drain {
    version: 7,
    drains: true,
    seen: true,
};

fn on(drain: Drain, others: Option<Others>, belief: Known<Belief>) -> Facts {
    let others = others.map(|others| ("srv-1".to_owned(), others));
    Facts {
        drain,
        others: others.into_iter().collect(),
        ..facts(vec![entry()], task(&json!({})), belief)
    }
}

#[test]
fn an_endpoint_leaves_a_draining_instance_while_another_is_elsewhere() {
    check(
        &on(SEEN, Some(Others::Steady), known(vec![endpoint()], vec![])),
        &expect![[r#"
            Act
            DeregisterInstance {"ServiceId":"srv-1","InstanceId":"0123456789abcdef0123456789abcdef-8080"}
            HostDraining: 0123456789abcdef0123456789abcdef-8080 leaves: the instance that its task runs on drains
        "#]],
    );
    check(
        &on(SEEN, Some(Others::Draining), known(vec![endpoint()], vec![])),
        &expect![[r#"
            Ignore
            LastEndpoint: the instance that its task runs on drains, but no other of its target is elsewhere: 0123456789abcdef0123456789abcdef-8080 stays as long
            AlreadyRegistered: 0123456789abcdef0123456789abcdef-8080 is as it should be
        "#]],
    );
    check(
        &on(SEEN, Some(Others::Steady), known(vec![], vec![])),
        &expect![[r#"
            Wait
            HostDraining: 0123456789abcdef0123456789abcdef-8080 does not join: the instance that its task runs on drains
        "#]],
    );
}

/// Every row of the table in `endpoint/drain.rs`, and what is not known.
#[test]
fn who_stays_is_told_by_who_else_is_there() {
    use Others as O;
    let none = || known(vec![], vec![]);
    let there = || known(vec![endpoint()], vec![]);
    let perhaps = || known(vec![], vec![endpoint()]);
    let check = |others: O, belief: Known<Belief>, expected: &[&str]| {
        let decision = decide(&on(SEEN, Some(others), belief));
        let made: Vec<_> = decision.actions.iter().map(Effect::call).collect();
        assert_eq!(made, expected, "{others:?}");
        assert_eq!(decision.missing, [] as [&str; 0], "{others:?}");
    };
    check(O::Steady, there(), &["DeregisterInstance"]);
    check(O::Steady, perhaps(), &["DeregisterInstance"]);
    check(O::Steady, none(), &[]);
    check(O::Draining, there(), &[]);
    check(O::Draining, perhaps(), &["DeregisterInstance"]);
    check(O::Draining, none(), &[]);
    check(O::None, there(), &[]);
    check(O::None, perhaps(), &["RegisterInstance"]);
    check(O::None, none(), &["RegisterInstance"]);
}

#[test]
fn nothing_is_done_before_it_is_known_who_else_is_there() {
    let said = Drain { seen: false, ..SEEN };
    for belief in [known(vec![], vec![]), known(vec![endpoint()], vec![])] {
        let decision = decide(&on(said, Some(Others::Steady), belief.clone()));
        assert_eq!(
            (decision.actions.len(), decision.missing),
            (0, vec!["DescribeContainerInstances"])
        );
        let decision = decide(&on(SEEN, None, belief));
        assert_eq!((decision.actions.len(), decision.missing), (0, vec!["ListInstances"]));
    }
}

#[test]
fn what_leaves_for_good_leaves_a_draining_instance_too() {
    let stopping = task(&json!({ "desiredStatus": "STOPPED" }));
    let facts = Facts {
        task: stopping,
        ..on(SEEN, Some(Others::None), known(vec![endpoint()], vec![]))
    };
    assert_eq!(
        calls(&decide(&facts)),
        ["DeregisterInstance 0123456789abcdef0123456789abcdef-8080"]
    );
    let other = Discovery {
        to: "srv-2".into(),
        ..entry()
    };
    let mut moved = on(SEEN, Some(Others::Steady), known(vec![endpoint()], vec![]));
    moved.managed.stored.config.discovery = vec![other];
    moved.others = BTreeMap::from([("srv-2".to_owned(), Others::Steady)]);
    let codes: Vec<_> = decide(&moved)
        .reasons
        .iter()
        .map(|reason| reason.code.as_str())
        .collect();
    assert_eq!(codes, ["HostDraining", "EndpointChanged"]);
}

#[test]
fn on_an_instance_that_came_back_it_joins_as_anywhere() {
    let back = Drain { drains: false, ..SEEN };
    assert_eq!(
        calls(&decide(&on(back, None, known(vec![], vec![])))),
        ["RegisterInstance 0123456789abcdef0123456789abcdef-8080"]
    );
}

/// Four tasks of a target, each on an instance of its own.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An instance begins to drain, or takes tasks again.
    Turn(usize),
    /// Someone looks at the task on it, and does what is decided.
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(0_usize..4).prop_map(Step::Turn), (0_usize..4).prop_map(Step::Look)]
}

proptest! {
    /// Whatever drains in whatever order: the collection is never emptied, and in the end what stands on draining instances
    /// is there only while nothing else is.
    #[test]
    fn draining_never_takes_the_last_away(steps in prop::collection::vec(step(), 0..40)) {
        let (mut drains, mut there) = ([false; 4], [true; 4]);
        let look = |at: usize, drains: &[bool; 4], there: &mut [bool; 4]| {
            let others = (0..4).filter(|other| *other != at && there[*other]);
            let others = others.map(|other| if drains[other] { Others::Draining } else { Others::Steady });
            let belief = if there[at] { vec![endpoint()] } else { vec![] };
            let drain = Drain { drains: drains[at], ..SEEN };
            let decision = decide(&on(drain, Some(others.max().unwrap_or_default()), known(belief, vec![])));
            for action in &decision.actions {
                there[at] = !action.is_leave();
            }
            decision.actions.len()
        };
        for step in steps {
            match step {
                Step::Turn(at) => drains[at] = !drains[at],
                Step::Look(at) => { look(at, &drains, &mut there); }
            }
            prop_assert!(there.contains(&true));
        }
        for round in 0..3 {
            let made: usize = (0..4).map(|at| look(at, &drains, &mut there)).sum();
            prop_assert!(round < 2 || made == 0, "it does not come to rest");
        }
        let steady = drains.contains(&false);
        for at in 0..4 {
            prop_assert!(drains[at] || there[at], "{at} is missing");
            prop_assert!(!(steady && drains[at] && there[at]), "{at} is on a draining instance");
        }
    }
}
