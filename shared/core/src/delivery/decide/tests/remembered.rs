//! What is remembered leads on from wherever an invocation broke off.

use super::*;

#[test]
fn a_family_gets_a_revision_and_no_service_is_touched() {
    let facts = Facts {
        target: Target::task("prod", "shop-web"),
        service: Known::No,
        followers: Known::Yes(vec![]),
        ..facts()
    };
    assert_eq!(facts.base_name(), Some("shop-web"));
    let decided = decide(&facts, now());
    assert_eq!(calls(&decided.decision), ["RegisterTaskDefinition"]);

    let mut memory = decided.before_call();
    memory.registered(&arn(8));
    let next = Facts {
        memory: memory.clone(),
        definition: Known::Yes(Some(definition(8, &[("web", &pinned(4))]))),
        ..facts.clone()
    };
    let decided = decide(&next, now());
    assert_eq!(codes(&decided.decision), [AlreadyDeployed]);
    assert_eq!(decided.memory.intent, None);
    assert_eq!(decided.memory.done["shop/web"].revision, arn(8));

    // Its newest revision was deregistered, and the one before is the latest again.
    let back = Facts {
        memory: decided.memory,
        ..facts
    };
    assert_eq!(codes(&decide(&back, now()).decision), [RolledBack]);
}

#[test]
fn a_rollout_that_broke_off_goes_on_where_it_stopped() {
    let begun = decide(&facts(), ago(100)).before_call();
    let mut registered = begun.clone();
    registered.registered(&arn(8));
    let with = |memory: &Memory| Facts {
        memory: memory.clone(),
        ..facts()
    };

    // The answer of the registration was lost: a new one. The revision that may be there is not used.
    let decided = decide(&with(&begun), now());
    assert_eq!(calls(&decided.decision), ["RegisterTaskDefinition", "UpdateService"]);

    // Registered: the service is sent there, and the intent is the old one.
    let decided = decide(&with(&registered), now());
    assert_eq!(codes(&decided.decision), [RolloutStarts, IntentResumed]);
    assert_eq!(calls(&decided.decision), ["UpdateService"]);
    assert_eq!(decided.decision.actions[0].input()["taskDefinition"], arn(8));
    assert_eq!(decided.before_call(), registered);

    // Something else is wanted, of another base, or behind a gate: that revision is not used.
    let mut newer = with(&registered);
    newer.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    assert_eq!(
        calls(&decide(&newer, now()).decision),
        ["RegisterTaskDefinition", "UpdateService"]
    );
    let mut moved = with(&registered).with_service(|s| s["taskDefinition"] = json!(arn(9)));
    moved.definition = Known::Yes(Some(definition(9, &[("web", &format!("{HOST}/shop/web:1.2.3"))])));
    assert_eq!(
        calls(&decide(&moved, now()).decision),
        ["RegisterTaskDefinition", "UpdateService"]
    );
    let gated = with(&registered).with_rule(json!({ "approval": "required" }));
    let decided = decide(&gated, now());
    assert_eq!(
        (codes(&decided.decision), decided.memory.intent),
        (vec![ApprovalNeeded], None)
    );

    // A deployment is in progress: the rollout waits, and goes on afterwards.
    let decided = decide(&with(&registered).with_service(deploying(5)), now());
    assert_eq!(
        (codes(&decided.decision), decided.memory.intent.clone()),
        (vec![DeploymentInProgress], registered.intent.clone())
    );

    // The service is there: it is done.
    let mut there = with(&registered).with_service(|s| s["taskDefinition"] = json!(arn(8)));
    there.definition = Known::Yes(Some(definition(8, &[("web", &pinned(4))])));
    let decided = decide(&there, now());
    assert_eq!(codes(&decided.decision), [RolloutSucceeded, AlreadyDeployed]);
    assert_eq!(decided.memory.intent, None);
    assert_eq!(
        decided.memory.done["shop/web"],
        Rollout {
            digest: digest(4),
            revision: arn(8),
            at: now()
        }
    );

    // It was there, and ECS rolled it back before anyone looked.
    let failed = with(&registered).with_service(|s| {
        let failed =
            json!({ "id": "ecs-svc/8", "status": "INACTIVE", "taskDefinition": arn(8), "rolloutState": "FAILED" });
        s["deployments"].as_array_mut().unwrap().push(failed);
    });
    let decided = decide(&failed, now());
    assert_eq!(codes(&decided.decision), [RolloutFailed, RolledBack]);
    assert_eq!(decided.memory.intent, None);
}

/// What it is, for how many seconds it may have been sent, to what it was sent, what is said and called.
type Case<'a> = (&'a str, i64, Known<Vec<String>>, &'a [Code], &'a [&'a str]);

#[test]
fn a_service_that_may_have_been_sent_is_not_sent_again_before_its_deployments_tell() {
    let sent = |seconds: i64| {
        let mut memory = decide(&facts(), ago(seconds + 5)).before_call();
        memory.registered(&arn(8));
        memory.sends(ago(seconds));
        memory
    };
    let known = |all: &[u64]| Known::Yes(all.iter().map(|revision| arn(*revision)).collect());
    let cases: Vec<Case<'_>> = vec![
        ("a moment ago", 60, Known::No, &[DeploymentInProgress], &[]),
        (
            "a moment ago, and nothing is listed yet",
            60,
            known(&[]),
            &[DeploymentInProgress],
            &[],
        ),
        ("not asked", 130, Known::No, &[FactsMissing], &[]),
        (
            "never sent",
            130,
            known(&[]),
            &[RolloutStarts, IntentResumed],
            &["UpdateService"],
        ),
        (
            "another was",
            130,
            known(&[9]),
            &[RolloutStarts, IntentResumed],
            &["UpdateService"],
        ),
        ("gone back", 130, known(&[8, 7]), &[RolloutFailed, RolledBack], &[]),
        (
            "gone back long ago",
            7_200,
            known(&[8]),
            &[RolloutFailed, RolledBack],
            &[],
        ),
    ];
    for (name, seconds, sent_to, expected, plan) in cases {
        let facts = Facts {
            memory: sent(seconds),
            sent_to,
            ..facts()
        };
        assert_eq!(facts.sent_since(), Some(ago(seconds)), "{name}");
        let decided = decide(&facts, now());
        assert_eq!(
            (codes(&decided.decision), calls(&decided.decision)),
            (expected.to_vec(), plan.to_vec()),
            "{name}"
        );
        let missing: &[&str] = if expected == [FactsMissing] {
            &["ListServiceDeployments"]
        } else {
            &[]
        };
        assert_eq!(decided.decision.missing, missing, "{name}");
        let over = expected[0] == RolloutFailed;
        assert_eq!(decided.memory.quarantine.len(), usize::from(over), "{name}");
        assert_eq!(decided.memory.intent.is_none(), over, "{name}");
        // It was begun, and it failed: both are told.
        assert_eq!(
            decided.notices.len(),
            usize::from(over) * 2 + usize::from(!over && plan.is_empty()),
            "{name}"
        );
    }
    // What is shown needs no asking, nor does a call that was not made.
    let there = Facts {
        memory: sent(130),
        ..facts().with_service(|s| s["taskDefinition"] = json!(arn(8)))
    };
    let mut refused = sent(130);
    refused.sent_nothing();
    for facts in [
        there,
        Facts {
            memory: refused,
            ..facts()
        },
        facts(),
    ] {
        assert_eq!(facts.sent_since(), None);
    }
    // Something else is wanted, or nothing any more: that it may have been sent is not forgotten before it would be shown.
    let gated = |seconds| Facts {
        memory: sent(seconds),
        sent_to: known(&[]),
        ..facts().with_rule(json!({ "approval": "required" }))
    };
    assert!(decide(&gated(60), now()).memory.intent.is_some());
    assert_eq!(decide(&gated(130), now()).memory.intent, None);
    let mut newer = Facts {
        memory: sent(60),
        ..facts()
    };
    newer.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    assert_eq!(codes(&decide(&newer, now()).decision), [DeploymentInProgress]);
}

#[test]
fn a_revision_that_differs_is_not_made_again_and_again() {
    let mut memory = decide(&facts(), now()).before_call();
    memory.registered(&arn(8));
    memory.refuse(&[crate::delivery::Difference {
        path: "cpu".into(),
        change: crate::delivery::Change::Removed,
    }]);
    assert_eq!(
        memory.refused,
        Some(Refusal {
            digests: [("shop/web".to_owned(), digest(4))].into(),
            side: crate::delivery::Side::Keep,
            mounts: crate::delivery::Mounts::default(),
            base: arn(7),
            revision: arn(8),
            differences: vec!["`cpu` is gone".into()],
        })
    );
    let refused = Facts { memory, ..facts() };
    let decided = decide(&refused, now());
    assert_eq!(
        (decided.decision.outcome, codes(&decided.decision)),
        (Outcome::Ignore, vec![RevisionDiffers])
    );
    assert!(
        decided.decision.reasons[0]
            .message
            .contains("shop-web:8 was made of shop-web:7"),
        "{:?}",
        decided.decision
    );

    let mut newer = refused.clone();
    newer.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    assert_eq!(codes(&decide(&newer, now()).decision), [RolloutStarts]);
    let mut rebased = refused.with_service(|s| s["taskDefinition"] = json!(arn(9)));
    rebased.definition = Known::Yes(Some(definition(9, &[("web", &format!("{HOST}/shop/web:1.2.3"))])));
    assert_eq!(codes(&decide(&rebased, now()).decision), [RolloutStarts]);
}

#[test]
fn what_is_stored_is_read_again() {
    let mut memory = decide(&facts(), now()).before_call();
    memory.registered(&arn(8));
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    memory.settle(&facts().target, now());
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    assert_eq!(serde_json::from_str::<Memory>("{}").unwrap(), Memory::default());
    let wish = wish("1.2.4", 4, now());
    let text = serde_json::to_string(&wish).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"repository":"shop/web","tag":"1.2.4","digest":"{}","pushed-at":"2026-03-01T12:00:00Z"}}"#,
            digest(4)
        )
    );
    assert_eq!(serde_json::from_str::<Wish>(&text).unwrap(), wish);
}
