#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

mod crashing;
mod gated;
mod lingering;
mod newest;
mod remembered;
mod table;
mod watched;

use std::collections::BTreeMap;

use expect_test::expect;
use serde_json::{Value, json};

use super::*;
use crate::delivery::fixtures::{HOST, ago, arn, definition, digest, event, facts, now, rule, wish};
use crate::delivery::{Neighbour, Proof, Refusal, Rollout, Wish};
use crate::ids::Target;
use crate::known::Known;
use crate::report::Code::*;
use crate::report::Effect;

fn codes(decision: &Decision<Action>) -> Vec<Code> {
    decision.reasons.iter().map(|r| r.code).collect()
}

fn calls(decision: &Decision<Action>) -> Vec<&'static str> {
    decision.actions.iter().map(Effect::call).collect()
}

fn pinned(n: u64) -> String {
    format!("{HOST}/shop/web@{}", digest(n))
}

/// A deployment that began so many seconds ago.
fn deploying(seconds: i64) -> impl FnOnce(&mut Value) {
    move |service| {
        service["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
        service["deployments"][0]["createdAt"] = json!(ago(seconds).to_string());
    }
}

#[test]
fn a_wanted_image_is_rolled_out_pinned_and_nothing_else_changes() {
    let decided = decide(&facts(), now());
    let told = json!({
        "outcome": decided.decision.outcome,
        "actions": decided.decision.actions.iter().map(|a| json!({ "call": a.call(), "input": a.input() })).collect::<Vec<_>>(),
        "reasons": decided.decision.reasons,
        "stored": decided.before_call(),
    });
    expect![[r#"
        {
          "outcome": "act",
          "actions": [
            {
              "call": "RegisterTaskDefinition",
              "input": {
                "family": "shop-web",
                "containerDefinitions": [
                  {
                    "name": "web",
                    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web@sha256:0000000000000000000000000000000000000000000000000000000000000004"
                  },
                  {
                    "name": "log",
                    "image": "public.ecr.aws/log:1"
                  }
                ],
                "cpu": "256"
              }
            },
            {
              "call": "UpdateService",
              "input": {
                "cluster": "prod",
                "service": "web",
                "taskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:${RegisterTaskDefinition.revision}"
              }
            }
          ],
          "reasons": [
            {
              "code": "RolloutStarts",
              "message": "shop/web:1.2.4@sha256:000000000000: `web` goes from 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2.3 to 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web@sha256:000000000000"
            }
          ],
          "stored": {
            "intent": {
              "wishes": {
                "shop/web": {
                  "repository": "shop/web",
                  "tag": "1.2.4",
                  "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000004",
                  "pushed-at": "2026-03-01T11:59:50Z"
                }
              },
              "changes": [
                {
                  "container": 0,
                  "name": "web",
                  "from": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2.3",
                  "to": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web@sha256:0000000000000000000000000000000000000000000000000000000000000004"
                }
              ],
              "base": "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-web:7",
              "at": "2026-03-01T12:00:00Z"
            }
          }
        }"#]].assert_eq(&serde_json::to_string_pretty(&told).unwrap());
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let unknown = Facts {
        service: Known::No,
        definition: Known::No,
        ..facts()
    };
    let cases: Vec<(&str, Facts, &[&str])> = vec![
        ("both", unknown.clone(), &["DescribeServices", "DescribeTaskDefinition"]),
        (
            "the service",
            Facts {
                service: Known::No,
                ..facts()
            },
            &["DescribeServices"],
        ),
        (
            "the definition",
            Facts {
                definition: Known::No,
                ..facts()
            },
            &["DescribeTaskDefinition"],
        ),
        (
            "the definition of another revision",
            Facts {
                definition: Known::Yes(Some(definition(6, &[("web", &pinned(4))]))),
                ..facts()
            },
            &["DescribeTaskDefinition"],
        ),
        (
            "an answer that is none",
            Facts {
                definition: Known::Yes(Some(json!({}))),
                ..facts()
            },
            &["DescribeTaskDefinition"],
        ),
        (
            "a family's definition",
            Facts {
                target: Target::task("prod", "shop-web"),
                ..unknown.clone()
            },
            &["DescribeTaskDefinition"],
        ),
        (
            "nothing, for a service that is gone",
            Facts {
                service: Known::Yes(None),
                ..unknown
            },
            &[],
        ),
    ];
    for (name, facts, missing) in cases {
        let decision = decide(&facts, now()).decision;
        assert_eq!(decision.missing, missing, "{name}");
        assert_eq!(decision.actions, [], "{name}");
        if !missing.is_empty() {
            assert_eq!(
                (decision.outcome, codes(&decision)),
                (Outcome::Wait, vec![FactsMissing]),
                "{name}"
            );
            assert!(
                decision.reasons[0]
                    .message
                    .contains("shop/web:1.2.4@sha256:000000000000"),
                "{name}"
            );
        }
    }
}

#[test]
fn a_container_is_matched_by_its_repository_or_its_name() {
    let host = HOST.replace("dkr.ecr", "dkr-ecr").replace("amazonaws.com", "on.aws");
    let other = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    let changes = |facts: Facts| {
        let intent = decide(&facts, now()).intent.unwrap();
        intent.changes.into_iter().map(|c| (c.name, c.to)).collect::<Vec<_>>()
    };
    let by_repository = [
        ("log", format!("{HOST}/shop/log:1")),
        ("web", format!("{host}/shop/web:1.2.3")),
        ("migrate", format!("{HOST}/shop/web:1.0")),
        ("mirror", format!("{other}/shop/web:1.2.3")),
        ("hub", "shop/web:1.2.3".into()),
    ];
    let images: Vec<_> = by_repository
        .iter()
        .map(|(name, image)| (*name, image.as_str()))
        .collect();
    assert_eq!(
        changes(facts().with_images(&images)),
        [
            ("web".into(), format!("{host}/shop/web@{}", digest(4))),
            ("migrate".into(), pinned(4))
        ]
    );
    // By its name, whatever its image: the rule's own registry.
    assert_eq!(
        changes(facts().with_images(&images).with_rule(json!({ "container": "hub" }))),
        [("hub".into(), pinned(4))]
    );
    assert_eq!(
        changes(
            facts()
                .with_images(&images)
                .with_rule(json!({ "repository": format!("{other}/shop/web") }))
        ),
        [("mirror".into(), format!("{other}/shop/web@{}", digest(4)))]
    );
}

#[test]
fn rules_that_are_due_together_go_into_one_revision() {
    let mut facts = facts().with_images(&[
        ("web", &format!("{HOST}/shop/web:1.2.3")),
        ("api", &format!("{HOST}/shop/api:7")),
        ("canary", &format!("{HOST}/shop/web:1.2.3")),
        ("job", &format!("{HOST}/shop/job:1")),
        ("done", &format!("{HOST}/shop/done@{}", digest(40))),
    ]);
    facts.rules = vec![
        rule(json!({})),
        rule(json!({ "repository": "shop/api", "tags": { "glob": "*" } })),
        rule(json!({ "container": "canary" })),
        rule(json!({ "repository": "shop/job", "tags": { "glob": "*" }, "approval": "required" })),
        rule(json!({ "repository": "shop/done", "tags": { "glob": "*" } })),
        rule(json!({ "repository": "shop/quiet", "tags": { "glob": "*" } })),
    ];
    facts.wishes = [
        ("shop/web", wish("1.2.4", 4, ago(9))),
        (
            "shop/api",
            Wish {
                repository: "shop/api".into(),
                ..wish("8", 8, ago(8))
            },
        ),
        ("shop/web#canary", wish("1.3.0", 13, ago(7))),
        (
            "shop/job",
            Wish {
                repository: "shop/job".into(),
                ..wish("2", 20, ago(6))
            },
        ),
        (
            "shop/done",
            Wish {
                repository: "shop/done".into(),
                ..wish("3", 40, ago(6))
            },
        ),
    ]
    .map(|(key, wish)| (key.to_owned(), wish))
    .into();
    let decided = decide(&facts, now());
    assert_eq!(calls(&decided.decision), ["RegisterTaskDefinition", "UpdateService"]);
    let mut said = codes(&decided.decision);
    said.sort();
    assert_eq!(
        said,
        [
            RolloutStarts,
            RolloutStarts,
            RolloutStarts,
            AlreadyDeployed,
            ApprovalNeeded
        ]
    );
    let request = decided.decision.actions[0].input();
    let images: Vec<_> = (0..5)
        .map(|i| request["containerDefinitions"][i]["image"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        images,
        [
            pinned(4),
            format!("{HOST}/shop/api@{}", digest(8)),
            pinned(13),
            format!("{HOST}/shop/job:1"),
            format!("{HOST}/shop/done@{}", digest(40)),
        ]
    );
    // What runs already is remembered, what is brought out is not yet.
    assert_eq!(decided.memory.done.keys().collect::<Vec<_>>(), ["shop/done"]);
}

#[test]
fn a_push_meets_its_rules_and_then_the_target() {
    let cases: Vec<(&str, Value, Outcome, &[Code])> = vec![
        (
            "wanted",
            json!({ "image-tag": "1.3.0", "image-digest": digest(13) }),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "older",
            json!({ "image-tag": "1.2.0", "image-digest": digest(2) }),
            Outcome::Stale,
            &[Superseded],
        ),
        (
            "unwanted",
            json!({ "image-tag": "latest" }),
            Outcome::Ignore,
            &[TagNotWanted],
        ),
        ("untagged", json!({ "image-tag": null }), Outcome::Ignore, &[Untagged]),
    ];
    for (name, detail, outcome, expected) in cases {
        let (envelope, action) = event(detail);
        let decision = decide_push(&envelope, &action, &facts(), now()).decision;
        assert_eq!(
            (decision.outcome, codes(&decision)),
            (outcome, expected.to_vec()),
            "{name}"
        );
    }
    let (mut envelope, action) = event(json!({}));
    envelope.time = Some(ago(10));
    let copy = facts().with_images(&[("web", &pinned(4))]);
    let decision = decide_push(&envelope, &action, &copy, now()).decision;
    assert_eq!(codes(&decision), [AlreadyDeployed, DuplicateEvent]);
}
