#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use serde_json::{Value, json};

use super::*;
use crate::delivery::fixtures::{ago, digest, event, facts, now, rule, wish};
use crate::report::Code::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// The known wish of the fixture is 1.2.4, ten seconds old.
#[test]
fn a_push_is_wanted_or_not_for_a_reason() {
    let sig = format!("sha256-{}.sig", "a".repeat(64));
    let cases: &[(Value, &str, Outcome, Option<Code>, &str)] = &[
        (json!({ "image-tag": "1.3.0" }), "fresh", Outcome::Act, None, ""),
        (json!({ "image-tag": "v1.3.0" }), "fresh", Outcome::Act, None, ""),
        (
            json!({ "image-tag": "1.3.0", "manifest-media-type": OCI }),
            "fresh",
            Outcome::Act,
            None,
            "",
        ),
        (
            json!({
                "image-tag": "1.3.0",
                "manifest-media-type": "application/vnd.docker.distribution.manifest.v2+json",
                "artifact-media-type": "application/vnd.docker.container.image.v1+json",
            }),
            "fresh",
            Outcome::Act,
            None,
            "",
        ),
        (
            json!({ "image-tag": "1.3.0", "manifest-media-type": "application/vnd.oci.image.index.v1+json" }),
            "fresh",
            Outcome::Act,
            None,
            "",
        ),
        // The same version again: the later push.
        (json!({ "image-digest": digest(9) }), "fresh", Outcome::Act, None, ""),
        (
            json!({ "image-tag": "1.2.3" }),
            "nothing",
            Outcome::Stale,
            Some(Superseded),
            "1.2.3",
        ),
        (
            json!({ "image-tag": "latest" }),
            "nothing",
            Outcome::Ignore,
            Some(TagNotWanted),
            "is not a version",
        ),
        (
            json!({ "image-tag": "2.0.0" }),
            "nothing",
            Outcome::Ignore,
            Some(TagNotWanted),
            "is not in `>=1.2, <2`",
        ),
        (
            json!({ "image-tag": null }),
            "nothing",
            Outcome::Ignore,
            Some(Untagged),
            "has no tag",
        ),
        (
            json!({ "image-tag": null, "manifest-media-type": OCI }),
            "nothing",
            Outcome::Ignore,
            Some(Untagged),
            "has no tag",
        ),
        (
            json!({ "image-tag": sig }),
            "nothing",
            Outcome::Ignore,
            Some(NotAnImage),
            "the tag of a signature",
        ),
        (
            json!({ "manifest-media-type": OCI, "artifact-media-type": "application/vnd.cncf.notary.signature" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAnImage),
            "application/vnd.cncf.notary.signature",
        ),
        (
            json!({ "image-tag": null, "manifest-media-type": OCI, "artifact-media-type": "application/vnd.amazon.soci.index.v1+json" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAnImage),
            "soci",
        ),
        (
            json!({ "manifest-media-type": "application/vnd.oci.artifact.manifest.v1+json" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAnImage),
            "artifact.manifest",
        ),
        (
            json!({ "action-type": "DELETE" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAPush),
            "was deleted, not pushed",
        ),
        (
            json!({ "action-type": "UPDATE_STORAGE_CLASS", "image-tag": null }),
            "nothing",
            Outcome::Ignore,
            Some(NotAPush),
            "archived",
        ),
        (
            json!({ "action-type": "NEW_IN_2027" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAPush),
            "does not know",
        ),
        (
            json!({ "result": "FAILURE" }),
            "nothing",
            Outcome::Ignore,
            Some(NotAPush),
            "did not succeed",
        ),
        (
            json!({ "repository-name": "shop/api" }),
            "nothing",
            Outcome::Ignore,
            Some(NotManaged),
            "no rule of prod/web takes images of",
        ),
    ];
    for (detail, expected, outcome, code, message) in cases {
        let (envelope, action) = event(detail.clone());
        match hear(&envelope, &action, &facts()) {
            Heard::Wanted { fresh, reasons } => {
                assert_eq!(*expected, "fresh", "{detail}");
                assert_eq!(fresh.keys().collect::<Vec<_>>(), ["shop/web"], "{detail}");
                assert_eq!(fresh["shop/web"].pushed_at, now());
                assert_eq!(reasons, [], "{detail}");
            }
            Heard::Nothing(decision) => {
                assert_eq!(*expected, "nothing", "{detail}: {decision:?}");
                assert_eq!(decision.outcome, *outcome, "{detail}");
                assert_eq!(Some(decision.reasons[0].code), *code, "{detail}");
                assert!(
                    decision.reasons[0].message.contains(message),
                    "{detail}: {:?}",
                    decision.reasons
                );
            }
        }
    }
}

#[test]
fn a_copy_of_a_known_push_is_decided_again() {
    let (mut envelope, action) = event(json!({}));
    envelope.time = Some(ago(10));
    let Heard::Wanted { fresh, reasons } = hear(&envelope, &action, &facts()) else {
        panic!("wanted")
    };
    assert!(fresh.is_empty());
    assert_eq!(reasons.iter().map(|r| r.code).collect::<Vec<_>>(), [DuplicateEvent]);
}

#[test]
fn a_push_without_a_time_cannot_be_ordered() {
    let (mut envelope, action) = event(json!({}));
    envelope.time = None;
    let Heard::Nothing(decision) = hear(&envelope, &action, &facts()) else {
        panic!("rejected")
    };
    assert_eq!(
        (decision.outcome, decision.reasons[0].code),
        (Outcome::Rejected, EventRejected)
    );
}

#[test]
fn registries_are_told_apart() {
    let other = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/web";
    let dual_stack = "123456789012.dkr-ecr.eu-west-1.on.aws/shop/web";
    for (repository, account, region, met) in [
        ("shop/web", "123456789012", "eu-west-1", true),
        ("shop/web", "", "", true),
        ("shop/web", "210987654321", "eu-west-1", false),
        ("shop/web", "123456789012", "us-east-1", false),
        (other, "210987654321", "eu-west-1", true),
        (other, "123456789012", "eu-west-1", false),
        (dual_stack, "123456789012", "eu-west-1", true),
    ] {
        let facts = facts().with_rule(json!({ "repository": repository }));
        let (mut envelope, action) = event(json!({ "image-tag": "1.9.0" }));
        envelope.account = account.into();
        envelope.region = region.into();
        let heard = hear(&envelope, &action, &facts);
        assert_eq!(
            matches!(heard, Heard::Wanted { .. }),
            met,
            "{repository} {account} {region}"
        );
    }
}

#[test]
fn each_rule_hears_for_itself() {
    let mut facts = facts();
    facts.rules = vec![
        rule(json!({ "container": "web" })),
        rule(json!({ "container": "canary", "tags": { "glob": "*-rc.*" } })),
        rule(json!({ "container": "odd", "tags": {} })),
    ];
    facts.wishes = [("shop/web#web".to_owned(), wish("1.9.0", 1, now()))].into();
    let hears = |tag: &str| {
        let (envelope, action) = event(json!({ "image-tag": tag }));
        hear(&envelope, &action, &facts)
    };
    let Heard::Wanted { fresh, .. } = hears("1.9.1-rc.1") else {
        panic!("wanted")
    };
    assert_eq!(fresh.keys().collect::<Vec<_>>(), ["shop/web#canary"]);
    let Heard::Wanted { fresh, .. } = hears("1.9.1") else {
        panic!("wanted")
    };
    assert_eq!(fresh.keys().collect::<Vec<_>>(), ["shop/web#web"]);
    let Heard::Nothing(decision) = hears("1.8.0") else {
        panic!("stale")
    };
    assert_eq!(decision.outcome, Outcome::Stale);
    assert_eq!(
        decision.reasons.iter().map(|r| r.code).collect::<Vec<_>>(),
        [Superseded, TagNotWanted, ConfigMalformed]
    );
}

#[test]
fn referrer_tags_are_known_by_their_form() {
    let hex = "0f".repeat(32);
    for (tag, is) in [
        (format!("sha256-{hex}"), true),
        (format!("sha256-{hex}.sig"), true),
        (format!("sha256-{hex}.att"), true),
        (format!("sha256-{hex}0"), false),
        (format!("sha256-{hex}-web"), false),
        ("sha256-abc.sig".into(), false),
        ("1.2.3".into(), false),
    ] {
        assert_eq!(is_referrer_tag(&tag), is, "{tag}");
    }
}
