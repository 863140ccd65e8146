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
