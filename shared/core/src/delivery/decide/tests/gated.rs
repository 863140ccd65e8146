//! What waits for other targets and for people.

use super::*;
use crate::config::asked::{Approved, Back, BackTo};
use crate::delivery::{ImageFacts, ImageState, Neighbour, Peer, Proof, Pullable, Stage};

fn proof(tag: &str, n: u64, seconds: i64) -> Proof {
    Proof {
        wish: wish(tag, n, ago(3_600)),
        revision: arn(70),
        since: ago(seconds),
    }
}

fn neighbour(proved: Vec<Proof>, failed: &[u64]) -> Neighbour {
    Neighbour {
        proved,
        failed: failed.iter().map(|n| digest(*n)).collect(),
    }
}

#[test]
fn only_what_the_other_service_has_proved_for_long_enough_is_promoted() {
    let after = |neighbour: Neighbour| {
        let mut facts = facts().with_rule(json!({ "after": "staging/web", "bake": "10m" }));
        facts.sources.insert("staging/web".into(), neighbour);
        facts
    };
    let cases: Vec<(&str, Facts, Outcome, &[Code])> = vec![
        (
            "nothing proved",
            after(neighbour(vec![], &[])),
            Outcome::Wait,
            &[NotProved],
        ),
        (
            "proved just now",
            after(neighbour(vec![proof("1.2.4", 4, 599)], &[])),
            Outcome::Wait,
            &[Baking],
        ),
        (
            "baked",
            after(neighbour(vec![proof("1.2.4", 4, 600)], &[])),
            Outcome::Act,
            &[RolloutStarts],
        ),
        (
            "an older one is baked, and the newest is not proved yet",
            after(neighbour(vec![proof("1.2.3", 3, 600)], &[])),
            Outcome::Act,
            &[RolloutStarts, NotProved],
        ),
        (
            "of another range",
            after(neighbour(vec![proof("2.0.0", 9, 600)], &[])),
            Outcome::Wait,
            &[NotProved],
        ),
        (
            "of another repository",
            after(neighbour(
                vec![Proof {
                    wish: Wish {
                        repository: "shop/api".into(),
                        ..wish("1.2.4", 4, ago(1))
                    },
                    ..proof("1.2.4", 4, 600)
                }],
                &[],
            )),
            Outcome::Wait,
            &[NotProved],
        ),
    ];
    for (name, facts, outcome, expected) in cases {
        let decided = decide(&facts, now());
        assert_eq!(
            (decided.decision.outcome, codes(&decided.decision)),
            (outcome, expected.to_vec()),
            "{name}"
        );
    }
    // Staging went back to an older image: what was promoted since stays.
    let mut went_back = after(neighbour(vec![proof("1.2.3", 3, 600)], &[])).with_images(&[("web", &pinned(4))]);
    went_back.wishes.clear();
    went_back.memory.proved.insert("shop/web".into(), proof("1.2.4", 4, 60));
    assert_eq!(codes(&decide(&went_back, now()).decision), [Superseded]);
}

#[test]
fn a_wave_begins_when_those_before_have_proved_the_image() {
    // Ten targets, this one at a place; those before it are as the function says.
    let wave = |place: usize, before: &dyn Fn(usize) -> Known<Neighbour>| {
        let mut facts = facts().with_rule(json!({ "waves": "10%, 50%, 100%", "bake": "10m" }));
        let peers = (0..10).map(|n| {
            let target = if n == place {
                facts.target.clone()
            } else {
                Target::service("prod", format!("web-{n}"))
            };
            Peer {
                target,
                neighbour: before(n),
            }
        });
        facts.peers.insert("shop/web".into(), peers.collect());
        codes(&decide(&facts, now()).decision)
    };
    let proved = |seconds| move |_| Known::Yes(neighbour(vec![proof("1.2.4", 4, seconds)], &[]));
    let nothing = |_| Known::Yes(Neighbour::default());
    assert_eq!(wave(0, &nothing), [RolloutStarts]);
    assert_eq!(wave(1, &nothing), [WaveWaits]);
    assert_eq!(wave(1, &|_| Known::No), [FactsMissing]);
    assert_eq!(wave(1, &proved(599)), [Baking]);
    assert_eq!(wave(1, &proved(600)), [RolloutStarts]);
    let first = |n| if n == 0 { proved(600)(n) } else { nothing(n) };
    assert_eq!(wave(4, &first), [RolloutStarts]);
    assert_eq!(wave(5, &first), [WaveWaits]);
    let failed = |n| {
        if n == 0 {
            Known::Yes(neighbour(vec![], &[4]))
        } else {
            nothing(n)
        }
    };
    assert_eq!(wave(1, &failed), [WaveHalted]);
}

#[test]
fn an_approval_is_of_one_image_and_ends() {
    let with = |n: u64, hours: i64| {
        let mut facts = facts().with_rule(json!({ "approval": "required" }));
        facts.approvals.push(Approved {
            digest: digest(n),
            image: None,
            at: ago(60),
            by: None,
            until: now() + jiff::SignedDuration::from_hours(hours),
        });
        codes(&decide(&facts, now()).decision)
    };
    assert_eq!(with(4, 1), [RolloutStarts]);
    assert_eq!(with(5, 1), [ApprovalNeeded]);
    assert_eq!(with(4, 0), [ApprovalNeeded]);
}

#[test]
fn an_image_waits_since_it_began_to_whatever_for() {
    let gated = facts().with_rule(json!({ "mature": "1h", "approval": "required" }));
    let look = |memory, wishes: &[(&str, u64)], seconds| {
        let wishes = wishes
            .iter()
            .map(|(tag, n)| ("shop/web".to_owned(), wish(tag, *n, ago(10))));
        let facts = Facts {
            memory,
            wishes: wishes.collect(),
            ..gated.clone()
        };
        decide(&facts, now() + jiff::SignedDuration::from_secs(seconds))
    };
    let waits = |decided: &Decided| {
        let waiting = decided.memory.waiting.clone().unwrap();
        let told = decided.notices.iter().map(|n| (n.stage, n.began)).collect::<Vec<_>>();
        (waiting.codes.into_iter().collect::<Vec<_>>(), waiting.since, told)
    };
    let image = [("1.2.4", 4)];
    let first = look(gated.memory.clone(), &image, 0);
    let began = vec![(Stage::Waiting, now())];
    assert_eq!(waits(&first), (vec![Maturing, ApprovalNeeded], now(), began.clone()));
    let again = look(first.memory.clone(), &image, 60);
    assert_eq!(waits(&again), (vec![Maturing, ApprovalNeeded], now(), vec![]));
    let mature = look(again.memory, &image, 3_600);
    assert_eq!(waits(&mature), (vec![ApprovalNeeded], now(), began));
    assert_ne!(mature.notices[0].rollout, first.notices[0].rollout);
    // Another image begins anew.
    let other = look(mature.memory, &[("1.2.5", 5)], 3_660);
    let later = now() + jiff::SignedDuration::from_secs(3_660);
    let told = vec![(Stage::Superseded, now()), (Stage::Waiting, later)];
    assert_eq!(waits(&other), (vec![ApprovalNeeded], later, told));
}

#[test]
fn an_image_that_is_gone_or_was_overtaken_is_not_rolled_out() {
    let image = |pullable, tags: &[&str]| {
        let mut facts = facts();
        let state = ImageState {
            pullable,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        facts.images.insert(digest(4), ImageFacts { state, manifest: None });
        let decision = decide(&facts, now()).decision;
        (decision.outcome, codes(&decision))
    };
    let expect = |outcome, code| (outcome, vec![code]);
    assert_eq!(
        image(Pullable::Yes, &["1.2", "1.2.4"]),
        expect(Outcome::Act, RolloutStarts)
    );
    assert_eq!(image(Pullable::Yes, &["1.2"]), expect(Outcome::Stale, Superseded));
    // It may be restored; what is deleted comes back by a push only.
    assert_eq!(
        image(Pullable::Archived, &["1.2.4"]),
        expect(Outcome::Wait, ImageUnavailable)
    );
    assert_eq!(image(Pullable::Absent, &[]), expect(Outcome::Ignore, ImageUnavailable));
}

#[test]
fn nothing_is_called_while_the_rate_leaves_no_room() {
    let facts = Facts {
        paced: Some(now()),
        ..facts()
    };
    let decided = decide(&facts, now());
    assert_eq!(
        (decided.decision.outcome, codes(&decided.decision)),
        (Outcome::Wait, vec![Paced])
    );
    assert_eq!(decided.memory.next_look(), Some(jiff::Timestamp::UNIX_EPOCH));
}

#[test]
fn that_the_rate_leaves_no_room_is_told_once_until_the_calls_are_made() {
    let paced = |memory| {
        let paced = Some(now());
        decide(
            &Facts {
                paced,
                memory,
                ..facts()
            },
            now(),
        )
    };
    let stages = |decided: &Decided| decided.notices.iter().map(|n| n.stage).collect::<Vec<_>>();
    let first = paced(facts().memory);
    assert_eq!(stages(&first), [Stage::Waiting]);
    assert!(first.memory.waits_for_room());
    let before = first.memory.waiting.clone();
    let tries = Facts {
        memory: first.memory,
        ..facts()
    };
    let mut tries = decide(&tries, now() + jiff::SignedDuration::from_mins(1)).before_call();
    let again = paced(tries.clone());
    assert!(again.memory.waits_for_room());
    assert_eq!((stages(&again), again.memory.waiting), (vec![], before));
    assert!(!tries.waits_for_room(), "calls may have been made");
    tries.registered(&arn(8));
    let told = tries.settle(&facts().target, now());
    assert_eq!(told.iter().map(|n| n.stage).collect::<Vec<_>>(), [Stage::Started]);
    assert_eq!(tries.waiting, None);
}

#[test]
fn a_person_sends_the_service_back_and_it_stays() {
    let asked = |to: BackTo, back_to: Known<Option<Value>>| {
        let mut facts = facts().with_images(&[("web", &pinned(4))]);
        facts.memory.proved.insert("shop/web".into(), proof("1.2.4", 4, 60));
        let back = Back {
            to,
            at: ago(5),
            by: Some("ada".into()),
        };
        Facts {
            back: Some(back),
            back_to,
            ..facts
        }
    };
    let revision = || BackTo::Revision(arn(6));
    let six = || definition(6, &[("web", &pinned(3))]);
    let decided = decide(&asked(revision(), Known::No), now());
    assert_eq!(decided.decision.missing, ["DescribeTaskDefinition"]);
    let mut inactive = six();
    inactive["taskDefinition"]["status"] = json!("INACTIVE");
    let mut foreign = six();
    foreign["taskDefinition"]["taskDefinitionArn"] = json!(arn(6).replace("web:6", "api:6"));
    for refused in [Known::Yes(None), Known::Yes(Some(inactive)), Known::Yes(Some(foreign))] {
        let decided = decide(&asked(revision(), refused), now());
        assert_eq!(codes(&decided.decision), [RollbackRefused, AlreadyDeployed]);
        assert_eq!(decided.memory.went_back, Some(ago(5)));
    }
    let facts = asked(revision(), Known::Yes(Some(six())));
    let decided = decide(&facts, now());
    assert_eq!(codes(&decided.decision), [RollbackStarts]);
    assert_eq!(calls(&decided.decision), ["UpdateService"]);
    assert_eq!(decided.decision.actions[0].input()["taskDefinition"], arn(6));
    let mut memory = decided.before_call();
    let notices = memory.settle(&facts.target, now());
    assert_eq!((notices[0].actor.as_str(), memory.went_back), ("ada", Some(ago(5))));
    // There it stays: the image that was left is in quarantine.
    let mut there = asked(revision(), Known::Yes(Some(six()))).with_service(|s| s["taskDefinition"] = json!(arn(6)));
    there.definition = Known::Yes(Some(six()));
    let decided = decide(&Facts { memory, ..there }, now());
    assert_eq!(codes(&decided.decision), [RolloutSucceeded, RolledBack]);
    // To an image: it goes into the revision that the service has.
    let image = BackTo::Image {
        rule: "shop/web".into(),
        wish: wish("1.2.3", 3, ago(9_000)),
    };
    let decided = decide(&asked(image, Known::No), now());
    assert_eq!(calls(&decided.decision), ["RegisterTaskDefinition", "UpdateService"]);
    // What it leaves is in quarantine once the calls are made, and not where they are held back.
    assert_eq!(decided.before_call().quarantine[0].digest, digest(4));
    assert_eq!(decided.memory.quarantine, []);
}
