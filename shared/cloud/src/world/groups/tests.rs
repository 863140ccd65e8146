//! The life of targets, as the ELBv2 API reference and user guides tell it.

use futures_util::FutureExt;
use jiff::SignedDuration;

use super::*;
use crate::world::Shared;

fn world(limit: usize) -> (Shared, Caller, String) {
    let mut world = World::new(Timestamp::UNIX_EPOCH);
    let arn = world.make_group("web", TargetType::Ip, limit);
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    (world, caller, arn)
}

fn targets(ids: &[&str]) -> Vec<TargetDescription> {
    let target = |id: &&str| TargetDescription {
        id: (*id).to_owned(),
        port: 80,
        availability_zone: None,
    };
    ids.iter().map(target).collect()
}

fn register(caller: &Caller, arn: &str, ids: &[&str]) -> Result<(), CloudError> {
    caller.register_targets(arn, &targets(ids)).now_or_never().unwrap()
}

fn deregister(caller: &Caller, arn: &str, ids: &[&str]) -> Result<(), CloudError> {
    caller.deregister_targets(arn, &targets(ids)).now_or_never().unwrap()
}

fn states(caller: &Caller, arn: &str) -> Vec<(String, String)> {
    let found = caller.target_health(arn).now_or_never().unwrap().unwrap();
    found.into_iter().map(|t| (t.target.id, t.state)).collect()
}

fn state(id: &str, state: &str) -> (String, String) {
    (id.to_owned(), state.to_owned())
}

#[test]
fn a_target_lives_from_initial_to_draining() {
    let (world, caller, arn) = world(10);
    let (a, b) = ("10.0.0.1", "10.0.0.2");
    register(&caller, &arn, &[a, b]).unwrap();
    assert!(world.borrow_mut().groups.get_mut(&arn).unwrap().judge(a, 80, "healthy"));
    assert_eq!(states(&caller, &arn), [state(a, "healthy"), state(b, "initial")]);
    register(&caller, &arn, &[a]).unwrap();
    deregister(&caller, &arn, &[a, "10.0.0.3"]).unwrap();
    {
        let mut world = world.borrow_mut();
        let group = world.groups.get_mut(&arn).unwrap();
        assert_eq!(group.state(a, 80), Some("draining"));
        assert!(!group.judge(a, 80, "healthy"));
        assert!(!group.finish_draining(b, 80));
    }
    register(&caller, &arn, &[a]).unwrap();
    assert_eq!(states(&caller, &arn)[0], state(a, "initial"));
    deregister(&caller, &arn, &[a]).unwrap();
    assert!(world.borrow_mut().groups.get_mut(&arn).unwrap().finish_draining(a, 80));
    assert_eq!(states(&caller, &arn), [state(b, "initial")]);
}

#[test]
fn the_journal_has_what_changed() {
    let (world, caller, arn) = world(10);
    let (a, b) = ("10.0.0.1", "10.0.0.2");
    register(&caller, &arn, &[a, a]).unwrap();
    register(&caller, &arn, &[a, b]).unwrap();
    register(&caller, &arn, &[b]).unwrap();
    deregister(&caller, &arn, &[a, "10.0.0.9"]).unwrap();
    deregister(&caller, &arn, &[a]).unwrap();
    deregister(&caller, &arn, &[]).unwrap();
    let changes: Vec<_> = world.borrow().journal.iter().map(|did| did.change.clone()).collect();
    let registered = |targets| Change::RegisterTargets {
        group: arn.clone(),
        targets,
    };
    let deregistered = Change::DeregisterTargets {
        group: arn.clone(),
        targets: targets(&[a]),
    };
    assert_eq!(
        changes,
        [registered(targets(&[a])), registered(targets(&[b])), deregistered]
    );
}

#[test]
fn a_full_group_takes_nothing_until_one_is_gone() {
    let (world, caller, arn) = world(2);
    let (a, b, c) = ("10.0.0.1", "10.0.0.2", "10.0.0.3");
    register(&caller, &arn, &[a, b]).unwrap();
    deregister(&caller, &arn, &[a]).unwrap();
    let error = register(&caller, &arn, &[b, c]).unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (Kind::Full, Some("TooManyTargets"))
    );
    register(&caller, &arn, &[a]).unwrap();
    deregister(&caller, &arn, &[a]).unwrap();
    world.borrow_mut().groups.get_mut(&arn).unwrap().finish_draining(a, 80);
    register(&caller, &arn, &[c]).unwrap();
}

#[test]
fn what_cannot_be_is_refused() {
    let (world, caller, arn) = world(1_000);
    let kind = |result: Result<(), CloudError>| result.unwrap_err().kind;
    assert_eq!(kind(register(&caller, "arn/none/1", &["10.0.0.1"])), Kind::NotFound);
    assert_eq!(kind(deregister(&caller, "arn/none/1", &["10.0.0.1"])), Kind::NotFound);
    let lost = caller.target_health("arn/none/1").now_or_never().unwrap();
    assert_eq!(lost.unwrap_err().kind, Kind::NotFound);
    assert_eq!(kind(register(&caller, &arn, &["i-1"])), Kind::Invalid);
    let many: Vec<_> = (0..101).map(|n| format!("10.0.1.{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(kind(register(&caller, &arn, &many)), Kind::Invalid);
    let instances = world.borrow_mut().make_group("old", TargetType::Instance, 10);
    assert_eq!(kind(register(&caller, &instances, &["10.0.0.1"])), Kind::Invalid);
    register(&caller, &instances, &["i-1"]).unwrap();
}

#[test]
fn health_may_lag_behind_the_last_change() {
    let (world, caller, arn) = world(10);
    register(&caller, &arn, &["10.0.0.1"]).unwrap();
    let mut world = world.borrow_mut();
    world.lagging = true;
    assert_eq!(world.health(&arn).unwrap(), []);
    world.now = world.now.saturating_add(SignedDuration::from_mins(1)).unwrap();
    assert_eq!(world.health(&arn).unwrap().len(), 1);
}

#[test]
fn groups_are_found_by_name() {
    let (_, caller, arn) = world(10);
    let names = ["none".to_owned(), "web".to_owned()];
    let found = caller.target_groups(&names).now_or_never().unwrap().unwrap();
    let web = TargetGroup {
        arn,
        target_type: TargetType::Ip,
    };
    assert_eq!(found, BTreeMap::from([("web".to_owned(), web)]));
}
