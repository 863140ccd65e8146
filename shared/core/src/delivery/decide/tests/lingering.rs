//! The side container in rollouts, and on request.

use super::*;
use crate::delivery::{Linger, SIDE_CONTAINER, Side};

fn drain(linger: &str) -> Option<Linger> {
    let config =
        json!({ "drain": { "linger": linger }, "discovery": [{ "to": "srv-1", "container": "web", "port": 80 }] });
    Linger::of(&serde_json::from_value(config).unwrap())
}

fn asked() -> Facts {
    Facts {
        linger: drain("15s"),
        linger_asked: Some(ago(60)),
        ..facts().with_images(&[("web", &pinned(4))])
    }
}

/// The definition of a service that has the side container already.
fn lingers(facts: Facts, linger: &str) -> Facts {
    let Known::Yes(Some(mut answer)) = facts.definition.clone() else {
        panic!("no definition")
    };
    crate::delivery::linger(&answer, drain(linger).as_ref())
        .side
        .apply(&mut answer["taskDefinition"]);
    Facts {
        definition: Known::Yes(Some(answer)),
        ..facts
    }
}

/// The containers of the revision that is registered, with the containers that each depends on.
fn registered(decision: &Decision<Action>) -> String {
    let Some(Action::RegisterTaskDefinition { request }) = decision.actions.first() else {
        return String::new();
    };
    let containers = request["containerDefinitions"].as_array().unwrap().iter();
    let shown = containers.map(|c| match c["dependsOn"][0]["containerName"].as_str() {
        Some(on) => format!("{}>{on}:{}", c["name"].as_str().unwrap(), c["stopTimeout"]),
        None => c["name"].as_str().unwrap().to_owned(),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_side_container_goes_with_a_rollout_or_on_request() {
    let rollout = || Facts {
        linger: drain("15s"),
        ..facts()
    };
    let cases = vec![
        ("a rollout", rollout()),
        ("a rollout, there already", lingers(rollout(), "15s")),
        ("a rollout, there with another time", lingers(rollout(), "20s")),
        ("a rollout, no longer wanted", lingers(facts(), "15s")),
        (
            "a rollout of a task that cannot",
            rollout().with_images(&[("web", &format!("{HOST}/shop/web:1")), (SIDE_CONTAINER, "x")]),
        ),
        (
            "a family",
            Facts {
                target: Target::task("prod", "shop-web"),
                ..lingers(rollout(), "20s")
            },
        ),
        (
            "deployed",
            Facts {
                linger: drain("15s"),
                ..facts().with_images(&[("web", &pinned(4))])
            },
        ),
        ("on request", asked()),
        (
            "on request, without rules",
            Facts {
                rules: vec![],
                wishes: BTreeMap::new(),
                ..asked()
            },
        ),
        ("on request, there already", lingers(asked(), "15s")),
        (
            "on request, no longer wanted",
            Facts {
                linger: None,
                ..lingers(asked(), "15s")
            },
        ),
        (
            "on request, nothing there or wanted",
            Facts {
                linger: None,
                ..asked()
            },
        ),
        (
            "on request, refused",
            asked().with_images(&[("web", &pinned(4)), (SIDE_CONTAINER, "x")]),
        ),
        (
            "on request, with an image",
            Facts {
                linger_asked: Some(ago(60)),
                ..rollout()
            },
        ),
        (
            "on request, answered",
            Facts {
                memory: Memory {
                    lingered: Some(ago(60)),
                    ..Memory::default()
                },
                ..asked()
            },
        ),
        (
            "on request, the one before answered",
            Facts {
                memory: Memory {
                    lingered: Some(ago(90)),
                    ..Memory::default()
                },
                ..asked()
            },
        ),
        (
            "on request, behind a gate",
            asked()
                .with_rule(json!({ "approval": "required" }))
                .with_images(&[("web", &pinned(3))]),
        ),
        (
            "on request, of a family",
            Facts {
                target: Target::task("prod", "shop-web"),
                rules: vec![],
                ..asked()
            },
        ),
        ("on request, deploying", asked().with_service(deploying(60))),
        (
            "on request, deploying for too long",
            asked().with_service(deploying(1801)),
        ),
        (
            "on request, of CodeDeploy",
            asked().with_service(|s| s["deploymentController"] = json!({ "type": "CODE_DEPLOY" })),
        ),
        (
            "on request, nothing known",
            Facts {
                wishes: BTreeMap::new(),
                service: Known::No,
                definition: Known::No,
                ..asked()
            },
        ),
    ];
    let mut lines = Vec::new();
    for (name, facts) in cases {
        let decided = decide(&facts, now());
        let said = codes(&decided.decision)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        let open = Facts {
            memory: decided.memory.clone(),
            ..facts
        }
        .asks_to_linger()
        .is_some();
        lines.push(format!(
            "{name}: {:?} {said} [{}]{}\n",
            decided.decision.outcome,
            registered(&decided.decision),
            if open { " asked" } else { "" }
        ));
    }
    expect![[r#"
        a rollout: Act RolloutStarts LingerChanges [web log wharfinger-linger>web:25]
        a rollout, there already: Act RolloutStarts [web log wharfinger-linger>web:25]
        a rollout, there with another time: Act RolloutStarts LingerChanges [web log wharfinger-linger>web:25]
        a rollout, no longer wanted: Act RolloutStarts LingerChanges [web log]
        a rollout of a task that cannot: Act RolloutStarts LingerRefused [web wharfinger-linger]
        a family: Act RolloutStarts [web log wharfinger-linger>web:30]
        deployed: Ignore AlreadyDeployed []
        on request: Act LingerChanges AlreadyDeployed [web wharfinger-linger>web:25] asked
        on request, without rules: Act LingerChanges [web wharfinger-linger>web:25] asked
        on request, there already: Ignore AlreadyDeployed AlreadyLingers []
        on request, no longer wanted: Act LingerChanges AlreadyDeployed [web] asked
        on request, nothing there or wanted: Ignore AlreadyDeployed AlreadyLingers []
        on request, refused: Ignore AlreadyDeployed LingerRefused []
        on request, with an image: Act RolloutStarts LingerChanges [web log wharfinger-linger>web:25] asked
        on request, answered: Ignore AlreadyDeployed []
        on request, the one before answered: Act LingerChanges AlreadyDeployed [web wharfinger-linger>web:25] asked
        on request, behind a gate: Act LingerChanges ApprovalNeeded [web wharfinger-linger>web:25] asked
        on request, of a family: Ignore NotConfigured []
        on request, deploying: Wait DeploymentInProgress AlreadyDeployed [] asked
        on request, deploying for too long: Act LingerChanges DeploymentTimedOut AlreadyDeployed [web wharfinger-linger>web:25] asked
        on request, of CodeDeploy: Ignore UnsupportedController [] asked
        on request, nothing known: Wait FactsMissing [] asked
    "#]].assert_eq(&lines.concat());
}

#[test]
fn what_is_asked_is_done_once() {
    let decided = decide(&asked(), now());
    let mut memory = decided.before_call();
    memory.registered(&arn(8));

    // Broken off before UpdateService: it goes on with the revision that is there.
    let resumed = decide(
        &Facts {
            memory: memory.clone(),
            ..asked()
        },
        now(),
    );
    assert_eq!(
        codes(&resumed.decision),
        [LingerChanges, IntentResumed, AlreadyDeployed]
    );
    assert_eq!(calls(&resumed.decision), ["UpdateService"]);

    // What is asked for has changed meanwhile: that revision is not used.
    let changed = decide(
        &Facts {
            memory: memory.clone(),
            linger: drain("20s"),
            ..asked()
        },
        now(),
    );
    assert_eq!(calls(&changed.decision), ["RegisterTaskDefinition", "UpdateService"]);

    // ECS rolled it back: it is not tried again, until the next rollout has it.
    let back = Facts {
        memory: memory.clone(),
        ..asked()
    }
    .with_service(|s| {
        let failed =
            json!({ "id": "ecs-svc/8", "status": "INACTIVE", "taskDefinition": arn(8), "rolloutState": "FAILED" });
        s["deployments"].as_array_mut().unwrap().push(failed);
    });
    let decided = decide(&back, now());
    assert_eq!(
        (codes(&decided.decision), decided.memory.lingered),
        (vec![RolloutFailed, AlreadyDeployed], Some(ago(60)))
    );

    memory.settle(&facts().target, now());
    assert_eq!((memory.lingered, &memory.intent), (Some(ago(60)), &None));
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
}

#[test]
fn a_revision_with_a_side_container_that_differs_is_refused_for_this_side_container() {
    let mut memory = decide(&asked(), now()).before_call();
    assert!(matches!(memory.intent.as_ref().unwrap().side, Side::Put(_)));
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    memory.registered(&arn(8));
    memory.refuse(&[crate::delivery::Difference {
        path: "containerDefinitions[2].user".into(),
        change: crate::delivery::Change::Removed,
    }]);
    let refused = Facts { memory, ..asked() };
    assert_eq!(
        codes(&decide(&refused, now()).decision),
        [RevisionDiffers, AlreadyDeployed]
    );
    let other = Facts {
        linger: drain("20s"),
        ..refused
    };
    assert_eq!(codes(&decide(&other, now()).decision), [LingerChanges, AlreadyDeployed]);
}

#[test]
fn no_rule_moves_the_image_of_the_side_container() {
    let config = json!({ "drain": { "linger": "15s", "image": format!("{HOST}/shop/web:1.2.3") } });
    let linger = Linger::of(&serde_json::from_value(config).unwrap());
    let mut facts = Facts {
        linger,
        ..facts().with_images(&[("web", &pinned(4))])
    };
    let Known::Yes(Some(answer)) = &mut facts.definition else {
        panic!()
    };
    crate::delivery::linger(answer, facts.linger.as_ref())
        .side
        .apply(&mut answer["taskDefinition"]);
    assert_eq!(codes(&decide(&facts, now()).decision), [AlreadyDeployed]);
}
