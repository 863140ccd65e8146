//! A case for each row of the module's table.

use super::*;

#[test]
fn every_row_of_the_table() {
    let older = |n| Rollout {
        digest: digest(n),
        revision: arn(9),
        at: ago(600),
    };
    let cases: Vec<(&str, Facts, Outcome, &[Code])> = vec![
        ("a rollout", facts(), Outcome::Act, &[RolloutStarts]),
        (
            "no rule",
            Facts {
                rules: vec![],
                ..facts()
            },
            Outcome::Ignore,
            &[NotConfigured],
        ),
        (
            "no wish",
            Facts {
                wishes: BTreeMap::new(),
                ..facts()
            },
            Outcome::Ignore,
            &[NothingWaiting],
        ),
        (
            "the policy changed",
            facts().with_rule(json!({ "tags": { "exact": "live" } })),
            Outcome::Ignore,
            &[TagNotWanted],
        ),
        (
            "a broken policy",
            facts().with_rule(json!({ "tags": {} })),
            Outcome::Ignore,
            &[ConfigMalformed],
        ),
        (
            "a broken repository",
            facts().with_rule(json!({ "repository": "shop/web:1" })),
            Outcome::Ignore,
            &[ConfigMalformed],
        ),
        (
            "no such service",
            Facts {
                service: Known::Yes(None),
                ..facts()
            },
            Outcome::Ignore,
            &[ServiceNotFound],
        ),
        (
            "a draining service",
            facts().with_service(|s| s["status"] = json!("DRAINING")),
            Outcome::Ignore,
            &[ServiceNotFound],
        ),
        (
            "CodeDeploy",
            facts().with_service(|s| s["deploymentController"] = json!({ "type": "CODE_DEPLOY" })),
            Outcome::Ignore,
            &[UnsupportedController],
        ),
        (
            "task sets",
            facts().with_service(|s| s["deploymentController"] = json!({ "type": "EXTERNAL" })),
            Outcome::Ignore,
            &[UnsupportedController],
        ),
        (
            "ECS, said",
            facts().with_service(|s| s["deploymentController"] = json!({ "type": "ECS" })),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "no definition",
            Facts {
                definition: Known::Yes(None),
                ..facts()
            },
            Outcome::Ignore,
            &[TaskDefinitionNotFound],
        ),
        (
            "another repository",
            facts().with_images(&[("web", "shop/web:1"), ("log", "log")]),
            Outcome::Ignore,
            &[NoMatchingContainer],
        ),
        (
            "an odd image",
            facts().with_images(&[("web", "${IMAGE}"), ("log", "")]),
            Outcome::Ignore,
            &[NoMatchingContainer],
        ),
        (
            "no such container",
            facts().with_rule(json!({ "container": "app" })),
            Outcome::Ignore,
            &[NoMatchingContainer],
        ),
        (
            "deployed",
            facts().with_images(&[("web", &pinned(4))]),
            Outcome::Ignore,
            &[AlreadyDeployed],
        ),
        (
            "deployed, with its tag",
            facts().with_images(&[("web", &format!("{HOST}/shop/web:1.2.4@{}", digest(4)))]),
            Outcome::Ignore,
            &[AlreadyDeployed],
        ),
        (
            "half deployed",
            facts().with_images(&[("web", &pinned(4)), ("init", &pinned(3))]),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "the tag alone",
            facts().with_images(&[("web", &format!("{HOST}/shop/web:1.2.4"))]),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "a higher version runs",
            facts().with_images(&[("web", &format!("{HOST}/shop/web:1.3.0"))]),
            Outcome::Stale,
            &[Superseded],
        ),
        (
            "an unwanted version runs",
            facts().with_images(&[("web", &format!("{HOST}/shop/web:2.0.0"))]),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "deploying",
            facts().with_service(deploying(60)),
            Outcome::Wait,
            &[DeploymentInProgress],
        ),
        (
            "deploying since just so long",
            facts().with_service(deploying(1800)),
            Outcome::Wait,
            &[DeploymentInProgress],
        ),
        (
            "deploying for too long",
            facts().with_service(deploying(1801)),
            Outcome::Act,
            &[RolloutStarts, DeploymentTimedOut],
        ),
        (
            "deploying longer than its rule says",
            facts()
                .with_rule(json!({ "rollback": { "timeout": "5m" } }))
                .with_service(deploying(301)),
            Outcome::Act,
            &[RolloutStarts, DeploymentTimedOut],
        ),
        (
            "deploying since it is not known when",
            facts().with_service(|s| {
                s["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
                s["deployments"][0]["createdAt"] = Value::Null;
            }),
            Outcome::Wait,
            &[DeploymentInProgress],
        ),
        (
            "deploying what is wanted",
            facts().with_images(&[("web", &pinned(4))]).with_service(deploying(60)),
            Outcome::Wait,
            &[AlreadyDeployed],
        ),
        (
            "after",
            facts().with_rule(json!({ "after": "staging/web" })),
            Outcome::Wait,
            &[FactsMissing],
        ),
        (
            "approval",
            facts().with_rule(json!({ "approval": "required" })),
            Outcome::Wait,
            &[ApprovalNeeded],
        ),
        (
            "no approval",
            facts().with_rule(json!({ "approval": "none" })),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "scan",
            facts().with_rule(json!({ "scan": { "block": "HIGH" } })),
            Outcome::Wait,
            &[ScanPending],
        ),
        (
            "mature",
            facts().with_rule(json!({ "mature": "1m" })),
            Outcome::Wait,
            &[Maturing],
        ),
        (
            "a freeze",
            facts().with_rule(json!({ "windows": { "freeze": [{ "cron": "0 18 * * FRI", "for": "62h" }] } })),
            Outcome::Wait,
            &[WindowClosed],
        ),
        (
            "a window",
            facts().with_rule(json!({ "windows": { "allow": [{ "cron": "0 9 * * *", "for": "8h" }] } })),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "old enough",
            facts().with_rule(json!({ "mature": "10s" })),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "outside of every window",
            facts().with_rule(json!({ "windows": { "allow": [{ "cron": "0 13 * * *", "for": "8h" }] } })),
            Outcome::Wait,
            &[WindowClosed],
        ),
        (
            "several gates",
            facts().with_rule(json!({ "mature": "1m", "approval": "required", "scan": { "block": "HIGH" } })),
            Outcome::Wait,
            &[Maturing, ApprovalNeeded],
        ),
        (
            "deployed behind a gate",
            facts()
                .with_rule(json!({ "approval": "required" }))
                .with_images(&[("web", &pinned(4))]),
            Outcome::Ignore,
            &[AlreadyDeployed],
        ),
        (
            "rolled back",
            Facts {
                memory: Memory {
                    done: [("shop/web".into(), older(4))].into(),
                    ..Memory::default()
                },
                ..facts()
            },
            Outcome::Ignore,
            &[RolledBack],
        ),
        (
            "another image after a rollback",
            Facts {
                memory: Memory {
                    done: [("shop/web".into(), older(3))].into(),
                    ..Memory::default()
                },
                ..facts()
            },
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "someone else's newer revision",
            Facts {
                memory: Memory {
                    done: [(
                        "shop/web".into(),
                        Rollout {
                            revision: arn(6),
                            ..older(4)
                        },
                    )]
                    .into(),
                    ..Memory::default()
                },
                ..facts()
            },
            Outcome::Ignore,
            &[Drifted],
        ),
    ];
    for (name, facts, outcome, expected) in cases {
        let decided = decide(&facts, now());
        assert_eq!(
            codes(&decided.decision),
            expected,
            "{name}: {:?}",
            decided.decision.reasons
        );
        assert_eq!(decided.decision.outcome, outcome, "{name}");
        let missing: &[&str] = match expected {
            [ScanPending] => &["DescribeImageScanFindings"],
            _ => &[],
        };
        assert_eq!(decided.decision.missing, missing, "{name}");
        let acts = outcome == Outcome::Act;
        let plan: &[_] = if acts {
            &["RegisterTaskDefinition", "UpdateService"]
        } else {
            &[]
        };
        assert_eq!(calls(&decided.decision), plan, "{name}");
        assert_eq!(decided.intent.is_some(), acts, "{name}");
    }
}

#[test]
fn what_proves_a_release_is_its_digest_under_whatever_tag() {
    let staging = |tag: &str, n: u64| Neighbour {
        proved: vec![Proof {
            wish: wish(tag, n, ago(500)),
            revision: arn(3),
            since: ago(100),
        }],
        failed: vec![],
    };
    let promoted = |source: Neighbour, bake: &str| {
        let mut facts = facts().with_rule(json!({ "after": "staging/web", "bake": bake }));
        facts.sources.insert("staging/web".into(), source);
        let decided = decide(&facts, now());
        (codes(&decided.decision), calls(&decided.decision).len())
    };
    // The push is `1.2.4` of digest 4.
    assert_eq!(promoted(staging("main-12", 4), "1m"), (vec![RolloutStarts], 2));
    assert_eq!(promoted(staging("main-12", 4), "1h"), (vec![Baking], 0));
    assert_eq!(promoted(staging("main-12", 5), "1m"), (vec![NotProved], 0));
    assert_eq!(promoted(staging("1.2.4", 4), "1m"), (vec![RolloutStarts], 2));
}
