//! `base`, and what someone registered beside the revision that the service runs.

use super::*;
use crate::delivery::{Intent, Newer, Side};

/// The same target with that newest revision of its family, which someone registered.
fn beside(facts: Facts, newest: Value) -> Facts {
    Facts {
        latest: Known::Yes(Some(newest)),
        ..facts
    }
}

/// A revision of Terraform's: another `cpu`, and these images.
fn registered(revision: u64, images: &[(&str, &str)]) -> Value {
    let mut answer = definition(revision, images);
    answer["taskDefinition"]["cpu"] = json!("512");
    answer["taskDefinition"]["registeredBy"] = json!("arn:aws:iam::123456789012:user/terraform");
    answer
}

fn old() -> String {
    format!("{HOST}/shop/web:1.2.3")
}

/// Terraform's revision 8, with an image that is long out of date.
fn terraform() -> Value {
    registered(
        8,
        &[
            ("log", "public.ecr.aws/log:2"),
            ("web", &format!("{HOST}/shop/web:1.0.0")),
        ],
    )
}

fn request(decided: &Decided) -> Value {
    decided.decision.actions[0].input()
}

#[test]
fn every_row_of_what_is_registered_beside() {
    let deployed = || facts().with_images(&[("web", &pinned(4)), ("log", "public.ecr.aws/log:1")]);
    let latest = |facts: Facts| facts.with_rule(json!({ "base": "latest" }));
    let mut side = definition(8, &[("web", &old()), ("log", "public.ecr.aws/log:1")]);
    let lingers = crate::delivery::SideContainer {
        image: None,
        linger: 15,
        depends_on: vec!["web".into()],
        reserves: true,
    };
    Side::Put(lingers).apply(&mut side["taskDefinition"]);
    let cases: Vec<(&str, Facts, &[Code])> = vec![
        ("not known", facts(), &[RolloutStarts]),
        (
            "the same",
            beside(facts(), definition(7, &[("web", &old())])),
            &[RolloutStarts],
        ),
        ("an older one", beside(facts(), registered(6, &[])), &[RolloutStarts]),
        (
            "another image alone",
            beside(
                facts(),
                definition(8, &[("web", &pinned(9)), ("log", "public.ecr.aws/log:1")]),
            ),
            &[RolloutStarts],
        ),
        ("a side container alone", beside(facts(), side), &[RolloutStarts]),
        (
            "the image of no rule",
            beside(
                facts(),
                definition(8, &[("web", &old()), ("log", "public.ecr.aws/log:2")]),
            ),
            &[RolloutStarts, NewerRevision],
        ),
        (
            "Terraform's",
            beside(facts(), terraform()),
            &[RolloutStarts, NewerRevision],
        ),
        (
            "Terraform's, said",
            beside(facts(), terraform()).with_rule(json!({ "base": "service" })),
            &[RolloutStarts, NewerRevision],
        ),
        (
            "nothing to roll out",
            beside(deployed(), terraform()),
            &[AlreadyDeployed, NewerRevision],
        ),
        (
            "nothing to roll out, of the latest",
            latest(beside(deployed(), terraform())),
            &[AlreadyDeployed, NewerRevision],
        ),
        (
            "of the latest",
            latest(beside(facts(), terraform())),
            &[RolloutStarts, NewerRevision],
        ),
        (
            "of the latest, which the service runs",
            latest(beside(facts(), definition(7, &[("web", &old())]))),
            &[RolloutStarts],
        ),
        (
            "of the latest, and there is none",
            latest(Facts {
                latest: Known::Yes(None),
                ..facts()
            }),
            &[RolloutStarts],
        ),
        (
            "of the latest, without the container",
            latest(beside(facts(), registered(8, &[("log", "public.ecr.aws/log:1")]))),
            &[NoMatchingContainer, NewerRevision],
        ),
        ("of the latest, not known", latest(facts()), &[FactsMissing]),
    ];
    for (name, facts, expected) in cases {
        let decided = decide(&facts, now());
        assert_eq!(
            codes(&decided.decision),
            expected,
            "{name}: {:?}",
            decided.decision.reasons
        );
        let missing: &[&str] = match expected {
            [FactsMissing] => &["DescribeTaskDefinition"],
            _ => &[],
        };
        assert_eq!(decided.decision.missing, missing, "{name}");
    }
}

#[test]
fn of_the_service_nothing_goes_out_but_the_image_and_of_the_latest_all_but_the_images_of_others() {
    let of = |base: &str| {
        let facts = beside(facts(), terraform()).with_rule(json!({ "base": base }));
        let decided = decide(&facts, now());
        let intent = decided.intent.clone().unwrap();
        assert_eq!(intent.base, arn(7), "what is gone back to");
        let telling = decided.decision.reasons[1].message.clone();
        (
            request(&decided),
            intent,
            facts.source_of(&decided.intent.unwrap()).cloned(),
            telling,
        )
    };
    let (request, intent, source, telling) = of("service");
    assert_eq!(request["cpu"], "256");
    assert_eq!(request["containerDefinitions"][0]["image"], pinned(4));
    assert_eq!(request["containerDefinitions"][1]["image"], "public.ecr.aws/log:1");
    assert_eq!((intent.made_of, intent.keeps), (None, vec![]));
    assert_eq!(source.unwrap()["taskDefinition"]["revision"], 7);
    assert_eq!(
        telling,
        "shop-web:8, which arn:aws:iam::123456789012:user/terraform registered, is not what prod/web runs: it is left so, \
         and `base: latest` would take it"
    );
    let (request, intent, source, telling) = of("latest");
    assert_eq!(request["cpu"], "512");
    assert_eq!(request["containerDefinitions"][0]["image"], "public.ecr.aws/log:2");
    assert_eq!(request["containerDefinitions"][1]["image"], pinned(4));
    // Told is what changes for the service: from the image that it runs.
    assert_eq!(
        (intent.changes[0].container, intent.changes[0].from.clone()),
        (1, old())
    );
    assert_eq!((intent.made_of, intent.keeps), (Some(arn(8)), vec![]));
    assert_eq!(source.unwrap()["taskDefinition"]["revision"], 8);
    assert_eq!(
        telling,
        "the next revision is made of shop-web:8, the newest of its family, and not of shop-web:7, which the service runs"
    );
}

#[test]
fn the_images_of_rules_that_are_not_due_stay_as_the_service_runs_them() {
    let api = format!("{HOST}/shop/api@{}", digest(8));
    let mut facts = facts().with_images(&[("web", &old()), ("api", &api), ("log", "public.ecr.aws/log:1")]);
    facts.rules = vec![
        rule(json!({ "base": "latest" })),
        rule(json!({ "repository": "shop/api", "tags": { "glob": "*" }, "approval": "required" })),
    ];
    let pushed = Wish {
        repository: "shop/api".into(),
        ..wish("9", 9, ago(8))
    };
    facts.wishes.insert("shop/api".into(), pushed);
    let newest = registered(
        8,
        &[
            // A stand-in, another tag that nobody agreed to, and one more container of the repository that is due.
            ("web", "public.ecr.aws/nginx:1"),
            ("api", &format!("{HOST}/shop/api:9")),
            ("migrate", &format!("{HOST}/shop/web:1.0.0")),
        ],
    );
    let decided = decide(&beside(facts, newest.clone()), now());
    assert_eq!(codes(&decided.decision), [RolloutStarts, NewerRevision, ApprovalNeeded]);
    let request = request(&decided);
    let images: Vec<_> = (0..3)
        .map(|i| request["containerDefinitions"][i]["image"].clone())
        .collect();
    assert_eq!(images, [pinned(4), api, pinned(4)]);
    let intent = decided.intent.unwrap();
    let names = |changes: &[crate::delivery::ImageChange]| changes.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&intent.changes), names(&intent.keeps)),
        (vec!["web".to_owned(), "migrate".to_owned()], vec!["api".to_owned()])
    );
    // And that is what the registered revision is compared with.
    let mut made = newest;
    for (i, image) in images.iter().enumerate() {
        made["taskDefinition"]["containerDefinitions"][i]["image"] = image.clone();
    }
    let base = &registered(8, &[("web", "x"), ("api", "x"), ("migrate", "x")]);
    let differences = crate::delivery::differences(base, &made, &intent.images(), &intent.side, &intent.mounts);
    assert_eq!(differences, Ok(vec![]));
}

#[test]
fn an_image_is_held_against_the_platform_of_the_revision_that_it_goes_into() {
    let arm64 = crate::delivery::ImageFacts {
        manifest: Some(crate::delivery::Manifest::Index(vec![crate::delivery::Child {
            digest: digest(40),
            platform: Some(crate::delivery::Platform {
                os: "linux".into(),
                architecture: "arm64".into(),
            }),
        }])),
        state: crate::delivery::ImageState {
            pullable: crate::delivery::Pullable::Yes,
            tags: vec!["1.2.4".into()],
        },
    };
    let platform = |mut answer: Value, architecture: &str| {
        answer["taskDefinition"]["runtimePlatform"] = json!({ "cpuArchitecture": architecture });
        answer
    };
    let mut facts = beside(facts(), platform(terraform(), "ARM64"));
    facts.definition = Known::Yes(Some(platform(definition(7, &[("web", &old())]), "X86_64")));
    facts.images = [(digest(4), arm64)].into();
    let held = |base: &str| codes(&decide(&facts.clone().with_rule(json!({ "base": base })), now()).decision)[0];
    assert_eq!((held("service"), held("latest")), (PlatformMismatch, RolloutStarts));
}

/// The service on revision 9, which was made for the wish while Terraform's 8 was there.
fn rolled_out(base: &str) -> (Facts, Memory) {
    let begun = decide(
        &beside(facts(), terraform()).with_rule(json!({ "base": base })),
        ago(600),
    );
    let mut memory = begun.before_call();
    memory.registered(&arn(9));
    memory.settle(&facts().target, ago(590));
    let mut facts = facts().with_rule(json!({ "base": base })).with_service(|s| {
        s["taskDefinition"] = json!(arn(9));
        s["deployments"][0]["taskDefinition"] = json!(arn(9));
    });
    let made = definition(9, &[("web", &pinned(4)), ("log", "public.ecr.aws/log:1")]);
    facts.definition = Known::Yes(Some(made.clone()));
    (beside(facts, made), memory)
}

#[test]
fn what_is_passed_over_is_remembered_until_it_is_out() {
    let newer = |memory: &Memory| memory.newer.as_ref().map(|newer| newer.revision.clone());
    let look = |facts: Facts, memory: &Memory, seconds: i64| {
        let memory = memory.clone();
        decide(
            &Facts { memory, ..facts },
            now() + jiff::SignedDuration::from_secs(seconds),
        )
    };
    // Of the latest it is out with the rollout.
    let (facts, memory) = rolled_out("latest");
    assert_eq!(newer(&memory), None);
    assert_eq!(
        codes(&look(facts, &memory, 0).decision),
        [RolloutSucceeded, AlreadyDeployed]
    );

    // Of the service it is passed over: a revision of ours after it does not bring it out.
    let (facts, memory) = rolled_out("service");
    let expected = Newer {
        revision: arn(8),
        by: Some("arn:aws:iam::123456789012:user/terraform".into()),
        since: ago(600),
    };
    assert_eq!(memory.newer, Some(expected.clone()));
    let after = look(facts.clone(), &memory, 0);
    assert_eq!(
        codes(&after.decision),
        [RolloutSucceeded, AlreadyDeployed, NewerRevision]
    );
    let again = look(facts.clone(), &after.memory, 60);
    assert_eq!(codes(&again.decision), [AlreadyDeployed, NewerRevision]);
    assert_eq!(again.memory.newer, Some(expected), "it keeps its time");

    // Another one of theirs takes its place.
    let eleven = look(beside(facts.clone(), registered(11, &[])), &again.memory, 60);
    assert_eq!(newer(&eleven.memory), Some(arn(11)));
    // One that is like what runs ends it; so does one that they deploy.
    let mut like = definition(11, &[("web", "x"), ("log", "public.ecr.aws/log:1")]);
    like["taskDefinition"]["containerDefinitions"][0]["image"] = json!(old());
    assert_eq!(
        newer(&look(beside(facts.clone(), like), &again.memory, 60).memory),
        None
    );
    let mut theirs = facts.with_service(|s| s["taskDefinition"] = json!(arn(10)));
    theirs.definition = Known::Yes(Some(registered(10, &[("web", &old())])));
    theirs.latest = theirs.definition.clone();
    assert_eq!(newer(&look(theirs, &again.memory, 60).memory), None);

    // What we made and went back from is nobody else's.
    let mut back = super::facts();
    back.latest = Known::Yes(Some(registered(9, &[("web", &pinned(4))])));
    let mut ours = after.memory;
    ours.newer = None;
    let decided = look(back, &ours, 60);
    assert_eq!(
        (codes(&decided.decision), newer(&decided.memory)),
        (vec![RolledBack], None)
    );
}

#[test]
fn a_rollout_of_the_latest_that_broke_off_goes_on_and_one_that_was_spoilt_is_not_made_again() {
    let facts = beside(facts(), terraform()).with_rule(json!({ "base": "latest" }));
    let mut memory = decide(&facts, ago(100)).before_call();
    memory.registered(&arn(9));
    let with = |memory: &Memory, facts: &Facts| Facts {
        memory: memory.clone(),
        ..facts.clone()
    };
    // ECS may show its revision as the family's newest, or not yet.
    let mut made = registered(9, &[("log", "public.ecr.aws/log:2"), ("web", &pinned(4))]);
    made["taskDefinition"]["registeredBy"] = json!("arn:aws:sts::123456789012:assumed-role/delivery/delivery");
    for shown in [terraform(), made.clone()] {
        let decided = decide(&with(&memory, &beside(facts.clone(), shown)), now());
        assert_eq!(codes(&decided.decision), [RolloutStarts, IntentResumed, NewerRevision]);
        assert_eq!(calls(&decided.decision), ["UpdateService"]);
        assert_eq!(decided.before_call().intent, memory.intent);
    }
    // Something else was registered since: it is made of that.
    let decided = decide(
        &with(&memory, &beside(facts.clone(), registered(10, &[("web", &old())]))),
        now(),
    );
    assert_eq!(calls(&decided.decision), ["RegisterTaskDefinition", "UpdateService"]);
    let made_of = |intent: &Option<Intent>| intent.as_ref().unwrap().made_of.clone();
    assert_eq!(made_of(&decided.intent), Some(arn(10)));

    memory.refuse(&[crate::delivery::Difference {
        path: "cpu".into(),
        change: crate::delivery::Change::Removed,
    }]);
    assert_eq!(memory.refused.as_ref().unwrap().base, arn(8));
    let spoilt = beside(facts.clone(), made);
    let mut another = spoilt.clone();
    another.wishes.insert("shop/web".into(), wish("1.2.5", 5, now()));
    for facts in [&facts, &spoilt, &another] {
        assert_eq!(
            codes(&decide(&with(&memory, facts), now()).decision)[0],
            RevisionDiffers
        );
    }
    another.latest = facts.latest;
    assert_eq!(
        codes(&decide(&with(&memory, &another), now()).decision)[0],
        RolloutStarts
    );
}
