//! A rollout is watched to its end: what each look at the service leads to.

use super::*;
use crate::config::asked::Approved;
use crate::delivery::{Stage, Watched};

/// The memory after the service was sent to revision 8.
pub(super) fn sent() -> Memory {
    let mut memory = decide(&facts(), ago(300)).before_call();
    memory.registered(&arn(8));
    let notices = memory.settle(&facts().target, ago(290));
    assert_eq!(notices.iter().map(|n| n.stage).collect::<Vec<_>>(), [Stage::Started]);
    memory
}

/// The service on revision 8, in a deployment of that state since so many seconds.
pub(super) fn on_8(state: &str, seconds: i64, running: u32) -> Facts {
    let mut facts = facts().with_service(|s| {
        s["taskDefinition"] = json!(arn(8));
        s["runningCount"] = json!(running);
        s["deployments"] = json!([{
            "id": "ecs-svc/8", "status": "PRIMARY", "taskDefinition": arn(8), "rolloutState": state,
            "createdAt": ago(seconds).to_string(),
        }]);
    });
    facts.definition = Known::Yes(Some(definition(8, &[("web", &pinned(4))])));
    Facts {
        memory: sent(),
        ..facts
    }
}

pub(super) fn stages(decided: &Decided) -> Vec<Stage> {
    decided.notices.iter().map(|n| n.stage).collect()
}

fn watched(decided: &Decided) -> Option<&Watched> {
    decided.memory.watched.as_ref()
}

#[test]
fn it_succeeds_when_every_wanted_task_runs_the_revision_and_not_before() {
    for (state, running) in [("IN_PROGRESS", 2), ("IN_PROGRESS", 0), ("COMPLETED", 1)] {
        let decided = decide(&on_8(state, 60, running), now());
        assert_eq!(
            codes(&decided.decision),
            [RolloutInProgress, AlreadyDeployed],
            "{state} {running}"
        );
        assert_eq!(decided.decision.outcome, Outcome::Wait);
        assert!(watched(&decided).is_some());
        assert_eq!(stages(&decided), []);
        assert_eq!(decided.memory.next_look(), Some(jiff::Timestamp::UNIX_EPOCH));
    }
    let decided = decide(&on_8("COMPLETED", 60, 2), now());
    assert_eq!(codes(&decided.decision), [RolloutSucceeded, AlreadyDeployed]);
    assert_eq!(stages(&decided), [Stage::Succeeded]);
    assert_eq!(decided.published, [("web".to_owned(), pinned(4))].into());
    assert_eq!(decided.memory.proved["shop/web"].since, now());
    assert_eq!((watched(&decided), decided.memory.next_look()), (None, None));
    // It is told once, and what was proved keeps its time.
    let again = Facts {
        memory: decided.memory,
        ..on_8("COMPLETED", 60, 2)
    };
    let decided = decide(&again, now() + jiff::SignedDuration::from_secs(60));
    assert_eq!(
        (codes(&decided.decision), stages(&decided)),
        (vec![AlreadyDeployed], vec![])
    );
    assert_eq!(decided.memory.proved["shop/web"].since, now());
}

#[test]
fn a_rollback_that_completes_is_no_success() {
    // The circuit breaker went back to revision 7, which is COMPLETED and runs every task.
    let back = Facts {
        memory: sent(),
        ..facts()
    };
    let decided = decide(&back, now());
    assert_eq!(codes(&decided.decision), [RolloutFailed, RolledBack]);
    assert_eq!(stages(&decided), [Stage::Failed]);
    assert_eq!((calls(&decided.decision), watched(&decided)), (vec![], None));
    assert_eq!(decided.memory.quarantine.len(), 1);
    // For as long as DescribeServices may not show the call nothing is said of it.
    let mut memory = sent();
    memory.watched.as_mut().unwrap().sent = ago(10);
    let decided = decide(&Facts { memory, ..facts() }, now());
    assert_eq!(codes(&decided.decision), [RolloutInProgress]);
    assert_eq!(decided.memory.quarantine, []);
    // Nor is the next image rolled out on what it still shows.
    let mut newer = Facts {
        memory: decided.memory,
        ..facts()
    };
    newer.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    assert_eq!(
        codes(&decide(&newer, now()).decision),
        [DeploymentInProgress, RolloutInProgress]
    );
}

#[test]
fn what_does_not_come_up_is_ended_and_goes_into_quarantine() {
    let stop = |facts: Facts| {
        let service = facts.service.clone();
        let Known::Yes(Some(mut service)) = service else {
            panic!()
        };
        service.current_service_deployment = Some("arn:deployment/8".into());
        Facts {
            service: Known::Yes(Some(service)),
            ..facts
        }
    };
    for (facts, code, call) in [
        (on_8("IN_PROGRESS", 1_900, 1), DeploymentTimedOut, "UpdateService"),
        (on_8("FAILED", 60, 1), RolloutFailed, "UpdateService"),
        (
            stop(on_8("IN_PROGRESS", 1_900, 1)),
            DeploymentTimedOut,
            "StopServiceDeployment",
        ),
    ] {
        let decided = decide(&facts, now());
        assert_eq!(codes(&decided.decision), [RollingBack, code]);
        assert_eq!(
            (calls(&decided.decision), stages(&decided)),
            (vec![call], vec![Stage::Failed])
        );
        assert_eq!(decided.memory.quarantine[0].digest, digest(4));
        // A moment later it is not called again; after a while it is, and then the service is sent back.
        let next = |seconds, memory: &Memory| {
            let facts = Facts {
                memory: memory.clone(),
                ..facts.clone()
            };
            decide(&facts, now() + jiff::SignedDuration::from_secs(seconds))
        };
        let soon = next(30, &decided.memory);
        assert_eq!((calls(&soon.decision), stages(&soon)), (vec![], vec![]));
        assert_eq!(codes(&soon.decision)[0], RollingBack);
        let later = next(150, &soon.memory);
        assert_eq!(calls(&later.decision), ["UpdateService"]);
        assert_eq!(later.decision.actions[0].input()["taskDefinition"], arn(7));
        // Refused, it is sent back at once.
        let mut refused = decided.memory.clone();
        refused.refuse_to_stop();
        assert_eq!(calls(&next(1, &refused).decision), ["UpdateService"]);
        // Back on revision 7 it is over, however soon; that it failed was told.
        let mut quick = later.memory.clone();
        quick.watched.as_mut().unwrap().sent = ago(5);
        let quick = Facts {
            memory: quick,
            ..super::facts()
        };
        assert_eq!(codes(&decide(&quick, now()).decision), [RolloutFailed, RolledBack]);
        let back = Facts {
            memory: later.memory,
            ..super::facts()
        };
        let decided = decide(&back, now());
        assert_eq!((watched(&decided), stages(&decided)), (None, vec![]));
        assert_eq!(codes(&decided.decision), [RolloutFailed, RolledBack]);
        assert_eq!(decided.memory.past.last().unwrap().stage, Stage::Failed);
    }
}

#[test]
fn what_came_up_while_nobody_looked_is_a_success_however_late() {
    // Its time ran out long ago; what counts is what the first look after the outage finds.
    let one_deployment = |mut facts: Facts| {
        let Known::Yes(Some(service)) = &mut facts.service else {
            panic!()
        };
        service.deployments[0].rollout_state = None;
        facts
    };
    for (facts, expected) in [
        (on_8("COMPLETED", 36_000, 2), &[RolloutSucceeded, AlreadyDeployed][..]),
        (on_8("COMPLETED", 36_000, 3), &[RolloutSucceeded, AlreadyDeployed]),
        (
            one_deployment(on_8("", 36_000, 2)),
            &[RolloutSucceeded, AlreadyDeployed],
        ),
        // It is through, and tasks are missing since: a count that was raised, a host that went.
        (on_8("COMPLETED", 36_000, 1), &[RolloutInProgress, AlreadyDeployed]),
        (on_8("IN_PROGRESS", 36_000, 2), &[RollingBack, DeploymentTimedOut]),
    ] {
        let mut facts = facts;
        let watched = facts.memory.watched.as_mut().unwrap();
        (watched.at, watched.sent) = (ago(36_010), ago(36_000));
        let decided = decide(&facts, now());
        assert_eq!(codes(&decided.decision), expected, "{:?}", facts.service);
        let ended = expected[0] == RollingBack;
        assert_eq!(
            (calls(&decided.decision).len(), decided.memory.quarantine.len()),
            (usize::from(ended), usize::from(ended))
        );
    }
}

#[test]
fn a_deployment_that_bakes_by_its_own_configuration_has_that_time_besides() {
    let mut facts = on_8("IN_PROGRESS", 1_900, 2);
    let Known::Yes(Some(service)) = &mut facts.service else {
        panic!()
    };
    service.deployment_patience = std::time::Duration::from_mins(10);
    assert_eq!(
        codes(&decide(&facts, now()).decision),
        [RolloutInProgress, AlreadyDeployed]
    );
    // Nor does a newer push take its place: not before someone may have let it go on.
    facts.wishes = [("shop/web".into(), wish("1.2.5", 5, ago(5)))].into();
    assert_eq!(
        codes(&decide(&facts, now()).decision),
        [DeploymentInProgress, RolloutInProgress]
    );
}

#[test]
fn what_someone_deploys_over_it_is_left_alone() {
    let mut over = facts().with_service(|s| s["taskDefinition"] = json!(arn(9)));
    over.definition = Known::Yes(Some(definition(9, &[("web", &format!("{HOST}/shop/web:1.2.3"))])));
    let decided = decide(&Facts { memory: sent(), ..over }, now());
    assert_eq!(codes(&decided.decision), [Superseded, Drifted]);
    assert_eq!(stages(&decided), [Stage::Superseded]);
    assert_eq!((decided.memory.quarantine.len(), watched(&decided)), (0, None));
}

#[test]
fn an_approval_ends_a_quarantine_and_a_newer_image_needs_none() {
    let failed = decide(
        &Facts {
            memory: sent(),
            ..facts()
        },
        now(),
    )
    .memory;
    let with = |approved: i64| Facts {
        memory: failed.clone(),
        approvals: vec![Approved {
            digest: digest(4),
            image: None,
            at: now() + jiff::SignedDuration::from_secs(approved),
            by: Some("ada".into()),
            until: now() + jiff::SignedDuration::from_hours(24),
        }],
        ..facts()
    };
    let later = now() + jiff::SignedDuration::from_mins(10);
    assert_eq!(codes(&decide(&with(-1), later).decision), [RolledBack]);
    assert_eq!(codes(&decide(&with(1), later).decision), [RolloutStarts]);
    let mut newer = with(-1);
    newer.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    assert_eq!(codes(&decide(&newer, later).decision), [RolloutStarts]);
}

#[test]
fn what_is_proved_goes_by_the_tag_that_the_rule_takes_now() {
    let mut memory = Memory::default();
    for (tag, at) in [("main", ago(300)), ("1.2.4", ago(60))] {
        let wishes = BTreeMap::from([("shop/web".to_owned(), wish(tag, 4, ago(600)))]);
        memory.prove(&wishes, &arn(8), at);
    }
    let proof = &memory.proved["shop/web"];
    assert_eq!((proof.wish.tag.as_str(), proof.since), ("1.2.4", ago(300)));
}

#[test]
fn what_was_taken_back_and_came_back_proves_nothing_until_someone_agrees() {
    let wishes = BTreeMap::from([("shop/web".to_owned(), wish("1.2.4", 4, ago(600)))]);
    let mut memory = Memory::default();
    memory.prove(&wishes, &arn(8), ago(300));
    memory.quarantine(&wishes["shop/web"], &arn(8), "someone went back from it", ago(60));
    let mut facts = Facts {
        wishes,
        memory,
        ..on_8("COMPLETED", 60, 2)
    };
    let held = decide(&facts, now());
    assert_eq!(codes(&held.decision), [AlreadyDeployed, RolledBack]);
    assert_eq!(held.decision.outcome, Outcome::Ignore);
    assert_eq!((held.memory.proved.len(), held.memory.quarantine.len()), (0, 1));

    facts.approvals = vec![Approved {
        digest: digest(4),
        image: None,
        at: ago(10),
        by: None,
        until: ago(-60),
    }];
    let agreed = decide(&facts, now());
    assert_eq!(codes(&agreed.decision), [AlreadyDeployed]);
    assert_eq!((agreed.memory.proved.len(), agreed.memory.quarantine.len()), (1, 0));
    // Long after the approval has expired, too.
    facts.memory = agreed.memory;
    facts.approvals.clear();
    let later = now() + jiff::SignedDuration::from_hours(24 * 30);
    assert_eq!(decide(&facts, later).memory.proved.len(), 1);
}

#[test]
fn a_newer_push_waits_for_the_rollout_and_is_told_once() {
    let mut facts = on_8("IN_PROGRESS", 60, 1);
    facts.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    let decided = decide(&facts, now());
    assert_eq!(codes(&decided.decision), [DeploymentInProgress, RolloutInProgress]);
    assert_eq!(stages(&decided), [Stage::Waiting]);
    let again = decide(
        &Facts {
            memory: decided.memory.clone(),
            ..facts.clone()
        },
        now(),
    );
    assert_eq!(stages(&again), []);
    // An even newer one takes its place.
    facts.memory = again.memory;
    facts.wishes.insert("shop/web".into(), wish("1.2.6", 6, now()));
    assert_eq!(stages(&decide(&facts, now())), [Stage::Superseded, Stage::Waiting]);
}

#[test]
fn an_agreement_is_worth_a_look_until_the_image_is_out_again() {
    let mut memory = sent();
    memory.watched = None;
    let done = memory.done["shop/web"].at;
    let agreed = |digest, at, until| Approved {
        digest,
        image: None,
        at,
        by: None,
        until,
    };
    let check = |memory: &Memory, approval: Approved, expect| {
        let facts = Facts {
            memory: memory.clone(),
            approvals: vec![approval],
            ..facts()
        };
        assert_eq!(facts.is_agreed_anew(now()), expect, "{:?}", facts.approvals);
    };
    check(&memory, agreed(digest(4), ago(10), ago(-60)), true);
    check(&memory, agreed(digest(4), ago(10), ago(5)), false);
    check(&memory, agreed(digest(4), done, ago(-60)), false);
    check(&memory, agreed(digest(5), ago(10), ago(-60)), false);
    memory.quarantine(&wish("1.2.5", 5, ago(100)), &arn(9), "it failed", ago(20));
    check(&memory, agreed(digest(5), ago(10), ago(-60)), true);
    check(&memory, agreed(digest(5), ago(30), ago(-60)), false);
    memory.prove(
        &[("shop/web".into(), wish("1.2.5", 5, ago(100)))].into(),
        &arn(10),
        ago(1),
    );
    check(&memory, agreed(digest(5), ago(10), ago(-60)), false);
}

#[test]
fn a_family_whose_answer_was_lost_is_known_by_its_image() {
    let facts = Facts {
        target: Target::task("prod", "shop-web"),
        service: Known::No,
        ..facts()
    };
    let intended = decide(&facts, now()).before_call();
    for (image, follows) in [(pinned(4), Some(arn(8))), (pinned(5), None)] {
        let next = Facts {
            memory: intended.clone(),
            definition: Known::Yes(Some(definition(8, &[("web", &image)]))),
            ..facts.clone()
        };
        let decided = decide(&next, now());
        assert_eq!(decided.memory.following, follows);
        // There is nothing that it could still wait for: both are told at once.
        let both = [Stage::Started, Stage::Succeeded];
        let told: &[Stage] = if follows.is_some() { &both } else { &[] };
        assert_eq!(stages(&decided), told);
        // So is one below a later one, which is not overwritten.
        let below = Facts {
            definition: Known::Yes(Some(definition(10, &[("web", &pinned(3))]))),
            ..next
        };
        assert_eq!(below.unanswered_names(), ["shop-web:8", "shop-web:9"]);
        let since = vec![definition(8, &[("web", &image)]), definition(9, &[("web", &pinned(2))])];
        let decided = decide(&Facts { since, ..below }, now());
        assert_eq!(decided.memory.following, follows);
        assert_eq!(stages(&decided), told);
        let said = decided.decision.reasons.iter().any(|reason| reason.code == Drifted);
        assert_eq!(said, follows.is_some());
    }
}
