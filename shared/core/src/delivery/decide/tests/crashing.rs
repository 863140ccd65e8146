//! A rollout whose tasks do not stay.

use jiff::SignedDuration;

use super::watched::{on_8, sent, stages};
use super::*;
use crate::capacity::crash::Stops;
use crate::delivery::{Past, Stage};

/// A crash loop of a revision, of which all happened in the last so many seconds.
fn looping(revision: u64, class: &str, seconds: i64) -> Stops {
    let looping = json!({
        "since": ago(seconds).to_string(), "window": ago(seconds).to_string(), "last": ago(1).to_string(),
        "failures": 3, "class": class, "container": "web", "exit-code": 1,
    });
    serde_json::from_value(json!({ "loops": { format!("shop-web:{revision}"): looping } })).unwrap()
}

fn over(mut facts: Facts) -> Facts {
    let mut stops = serde_json::to_value(&facts.stops).unwrap();
    stops["loops"]["shop-web:8"]["over"] = json!(ago(1).to_string());
    facts.stops = serde_json::from_value(stops).unwrap();
    facts
}

/// The service on revision 8, whose rollout began 300 seconds ago, and what is known of its tasks.
fn with(facts: Facts, stops: Stops) -> Facts {
    Facts { stops, ..facts }
}

#[test]
fn a_crash_loop_of_its_revision_ends_it() {
    let cases = vec![
        (
            "it comes up in time",
            with(on_8("IN_PROGRESS", 60, 1), looping(8, "exited", 200)),
            CrashLoop,
        ),
        (
            "ECS calls it through",
            with(on_8("COMPLETED", 60, 2), looping(8, "out-of-memory", 200)),
            CrashLoop,
        ),
        (
            "what is around it",
            with(on_8("IN_PROGRESS", 60, 1), looping(8, "image-rate-limited", 200)),
            RolloutInProgress,
        ),
        (
            "before the rollout",
            with(on_8("IN_PROGRESS", 60, 1), looping(8, "exited", 301)),
            RolloutInProgress,
        ),
        (
            "another revision",
            with(on_8("IN_PROGRESS", 60, 1), looping(7, "exited", 200)),
            RolloutInProgress,
        ),
        (
            "it is over",
            over(with(on_8("IN_PROGRESS", 60, 1), looping(8, "exited", 200))),
            RolloutInProgress,
        ),
    ];
    for (name, facts, code) in cases {
        let decided = decide(&facts, now());
        if code == RolloutInProgress {
            assert_eq!(
                (codes(&decided.decision)[0], calls(&decided.decision)),
                (code, vec![]),
                "{name}"
            );
            continue;
        }
        assert_eq!(codes(&decided.decision), [RollingBack, code], "{name}");
        assert_eq!(calls(&decided.decision), ["UpdateService"], "{name}");
        assert_eq!(decided.decision.actions[0].input()["taskDefinition"], arn(7));
        assert_eq!(stages(&decided), [Stage::Failed]);
        assert!(decided.memory.proved.is_empty() && decided.published.is_empty());
        let why = &decided.memory.quarantine[0].why;
        assert!(
            why.starts_with("tasks of shop-web:8 stop again and again, 3 since 2026-03-01T11:56:40Z: "),
            "{why}"
        );
        // Until the call is made again nothing is proved, though all that is wanted may run just now.
        let later = Facts {
            memory: decided.memory,
            ..facts
        };
        let decided = decide(&later, now() + SignedDuration::from_secs(30));
        assert_eq!(codes(&decided.decision)[0], RollingBack);
        assert!(decided.memory.proved.is_empty());
    }
}

#[test]
fn what_came_up_and_does_not_stay_goes_back_all_the_same() {
    let up = decide(&on_8("COMPLETED", 60, 2), now());
    assert_eq!((stages(&up), up.memory.proved.len()), (vec![Stage::Succeeded], 1));
    let later = |stops: Stops, seconds: i64| {
        let facts = Facts {
            memory: up.memory.clone(),
            stops,
            ..on_8("COMPLETED", 60, 2)
        };
        decide(&facts, now() + SignedDuration::from_secs(seconds))
    };
    let failed = later(looping(8, "exited", 20), 120);
    assert_eq!(codes(&failed.decision), [RollingBack, CrashLoop]);
    assert_eq!(
        (calls(&failed.decision), stages(&failed)),
        (vec!["UpdateService"], vec![Stage::Failed])
    );
    assert_eq!((failed.memory.proved.len(), failed.memory.quarantine.len()), (0, 1));
    // Back on revision 7 it is over, and told once.
    let back = Facts {
        memory: failed.memory,
        stops: looping(8, "exited", 20),
        ..facts()
    };
    let over = decide(&back, now() + SignedDuration::from_secs(240));
    assert_eq!(
        (codes(&over.decision), stages(&over)),
        (vec![RolloutFailed, RolledBack], vec![])
    );
    let kept: Vec<_> = over.memory.past.iter().map(|past: &Past| past.stage).collect();
    assert_eq!(kept, [Stage::Succeeded, Stage::Failed]);
    // Nothing of it is left to fail again.
    assert_eq!((over.memory.fresh.is_none(), over.memory.next_look()), (true, None));
    // Without a crash loop it is kept in mind, for as long as the rollout might have taken.
    for (stops, seconds, kept) in [
        (Stops::default(), 120, true),
        (looping(7, "exited", 20), 120, true),
        (looping(8, "network-unreachable", 20), 120, true),
        (looping(8, "exited", 20), 1_801, false),
        (Stops::default(), 1_801, false),
    ] {
        let decided = later(stops, seconds);
        assert_eq!(codes(&decided.decision), [AlreadyDeployed]);
        assert_eq!(
            (decided.memory.fresh.is_some(), decided.memory.proved.len()),
            (kept, 1),
            "{seconds}"
        );
    }
}

#[test]
fn it_is_looked_at_when_there_is_nothing_else_to_do() {
    let up = decide(&on_8("COMPLETED", 60, 2), now());
    let facts = Facts {
        memory: up.memory,
        wishes: BTreeMap::new(),
        stops: looping(8, "exited", 20),
        ..on_8("COMPLETED", 60, 2)
    };
    assert!(facts.relapse().is_some());
    assert_eq!(codes(&decide(&facts, now()).decision), [RollingBack, CrashLoop]);
    let quiet = with(facts, Stops::default());
    assert_eq!(codes(&decide(&quiet, now()).decision), [NothingWaiting]);
}

#[test]
fn where_a_person_asked_to_go_it_stays() {
    let mut memory = sent();
    let watched = memory.watched.as_mut().unwrap();
    let asked = json!({ "at": ago(301).to_string(), "to": { "revision": arn(8) } });
    watched.back = Some(serde_json::from_value(asked).unwrap());
    let at = |state, stops| Facts {
        memory: memory.clone(),
        stops,
        ..on_8(state, 60, 2)
    };
    let failed = decide(&at("IN_PROGRESS", looping(8, "exited", 200)), now());
    assert_eq!(
        (codes(&failed.decision)[0], calls(&failed.decision)),
        (CrashLoop, vec![])
    );
    assert_eq!(stages(&failed), [Stage::Failed]);
    let up = decide(&at("COMPLETED", Stops::default()), now());
    assert_eq!((stages(&up), up.memory.fresh), (vec![Stage::Succeeded], None));
}
