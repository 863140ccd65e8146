//! What counts, and when it is told.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DEFINITION: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_366_400 + seconds).unwrap()
}

/// Task `n` of a revision that was over at a second, having run for so many.
fn task(n: u64, revision: u64, seconds: i64, lived: Option<i64>, stop: &Value) -> TaskStateChange {
    let mut task = json!({
        "taskArn": format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{n:032x}"),
        "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
        "taskDefinitionArn": format!("{DEFINITION}:{revision}"),
        "version": 5, "group": "service:web", "desiredStatus": "STOPPED", "lastStatus": "STOPPED",
        "startedAt": lived.map(|lived| at(seconds - lived).to_string()),
        "stoppedAt": at(seconds).to_string(),
    });
    task.as_object_mut().unwrap().extend(stop.as_object().unwrap().clone());
    TaskStateChange::parse(&task).unwrap()
}

fn exits(code: i64) -> Value {
    json!({
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "containers": [{ "name": "web", "exitCode": code }],
    })
}

fn rule() -> CrashLoops {
    CrashLoops::default()
}

/// The failures of revision 7 at these seconds, each of a task that lived for five.
fn failing(seconds: &[i64]) -> Stops {
    let mut stops = Stops::default();
    for (n, seconds) in (0..).zip(seconds) {
        stops.hear(&task(n, 7, *seconds, Some(5), &exits(1)), &rule(), at(*seconds));
    }
    stops
}

fn service(revision: u64, desired: u32, running: u32, state: &str) -> ServiceFacts {
    let definition = format!("{DEFINITION}:{revision}");
    ServiceFacts::parse(&json!({
        "serviceArn": "a", "status": "ACTIVE", "desiredCount": desired, "runningCount": running,
        "taskDefinition": definition,
        "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": definition, "rolloutState": state }],
    }))
    .unwrap()
}

fn changes(told: &[Told]) -> Vec<Change> {
    told.iter().map(|told| told.change).collect()
}

#[test]
fn a_task_counts_once_when_it_failed_soon() {
    let scaled_in = json!({ "stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)" });
    let pull = json!({ "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: not found" });
    let kind = |heard: &Heard| match heard {
        Heard::Nothing => "nothing",
        Heard::Meant(_) => "meant",
        Heard::Lived(_) => "lived",
        Heard::Known(_) => "known",
        Heard::Counted(_) => "counted",
    };
    let mut stops = Stops::default();
    for (task, expected) in [
        (task(1, 7, 0, Some(5), &exits(1)), "counted"),
        (task(1, 7, 0, Some(5), &exits(1)), "known"),
        (task(2, 7, 0, Some(600), &exits(1)), "counted"),
        (task(3, 7, 0, Some(601), &exits(1)), "lived"),
        (task(4, 7, 0, Some(5), &scaled_in), "meant"),
        (task(5, 7, 0, None, &pull), "counted"),
        (task(6, 7, 0, Some(5), &json!({ "lastStatus": "STOPPING" })), "nothing"),
        (task(7, 7, 0, Some(5), &json!({ "taskDefinitionArn": "" })), "nothing"),
    ] {
        assert_eq!(kind(&stops.hear(&task, &rule(), at(0))), expected, "{}", task.task_arn);
    }
    assert_eq!(stops.failures().count(), 3);
    // Older than all that are kept.
    for n in 10..10 + KEPT as u64 {
        stops.hear(&task(n, 8, 100, Some(5), &exits(1)), &rule(), at(100));
    }
    assert_eq!(
        kind(&stops.hear(&task(1, 7, 0, Some(5), &exits(1)), &rule(), at(0))),
        "known"
    );
    assert_eq!(stops.failures().count(), KEPT);
}

#[test]
fn a_task_that_does_not_say_when_it_was_over_was_when_it_was_heard_of() {
    let mut stops = Stops::default();
    let task = task(
        1,
        7,
        0,
        None,
        &json!({ "stoppedAt": null, "stopCode": "TaskFailedToStart" }),
    );
    stops.hear(&task, &rule(), at(77));
    assert_eq!(stops.failures().next().unwrap().at, at(77));
}

#[test]
fn it_is_a_loop_when_enough_fail_soon_enough() {
    const MINUTE: i64 = 60;
    for (seconds, now, expected) in [
        (vec![0, 10], 10, false),
        (vec![0, 10, 20], 20, true),
        (vec![0, 300, 600], 600, true),
        (vec![0, 300, 601], 601, false),
        // ECS waits longer and longer between the attempts.
        (vec![0, 10, 20, 20 * MINUTE], 20 * MINUTE, true),
        (vec![0, 10, 20, 20 * MINUTE], 50 * MINUTE, true),
        (vec![0, 10, 20], 20 + 30 * MINUTE, true),
        (vec![0, 10, 20], 21 + 30 * MINUTE, false),
        // A pause that long begins anew.
        (vec![0, 10, 20, 40 * MINUTE], 40 * MINUTE, false),
    ] {
        let mut stops = failing(&seconds);
        let told = stops.look(&rule(), None, at(now));
        assert_eq!(
            changes(&told),
            if expected { vec![Change::Began] } else { vec![] },
            "{seconds:?} {now}"
        );
        assert_eq!(stops.open().count(), usize::from(expected));
    }
}

#[test]
fn it_is_told_once_per_change() {
    let mut stops = failing(&[0, 10, 20]);
    let told = stops.look(&rule(), Some(&service(7, 2, 0, "IN_PROGRESS")), at(20));
    assert_eq!(changes(&told), [Change::Began]);
    assert_eq!(
        told[0].reason().message,
        "tasks of web:7 stop again and again, 3 since 2026-03-01T12:00:00Z: an essential container exited with 1 \
         (container `web`); see the container's log: a service's container must not end"
    );
    assert_eq!(changes(&stops.look(&rule(), None, at(21))), []);
    // A fourth is the same.
    stops.hear(&task(9, 7, 30, Some(1), &exits(1)), &rule(), at(30));
    assert_eq!(changes(&stops.look(&rule(), None, at(30))), []);
    assert_eq!(stops.open().next().unwrap().1.failures, 4);
    // Another reason is not, once most stop of it.
    let pull = json!({ "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: not found" });
    for n in 20..24 {
        stops.hear(&task(n, 7, 40, None, &pull), &rule(), at(40));
        let expected = if n == 23 { vec![Change::Reason] } else { vec![] };
        assert_eq!(changes(&stops.look(&rule(), None, at(40))), expected, "{n}");
    }
    // It runs now, and has for long enough.
    let runs = service(7, 2, 2, "COMPLETED");
    assert_eq!(changes(&stops.look(&rule(), Some(&runs), at(640))), []);
    let over = stops.look(&rule(), Some(&runs), at(641));
    assert_eq!(changes(&over), [Change::Over("every wanted task runs")]);
    assert_eq!(over[0].reason().code, crate::report::Code::CrashLoopOver);
    assert_eq!(changes(&stops.look(&rule(), Some(&runs), at(642))), []);
    // What led to it is dealt with: one more failure is no loop, also when the old ones are heard of again.
    stops.hear(&task(30, 7, 700, Some(1), &exits(1)), &rule(), at(700));
    stops.hear(&task(9, 7, 30, Some(1), &exits(1)), &rule(), at(700));
    assert_eq!(
        changes(&stops.look(&rule(), Some(&service(7, 2, 1, "COMPLETED")), at(700))),
        []
    );
    for n in 31..33 {
        stops.hear(&task(n, 7, 701, Some(1), &exits(1)), &rule(), at(701));
    }
    assert_eq!(changes(&stops.look(&rule(), None, at(701))), [Change::Began]);
}

#[test]
fn others_are_told_with_what_may_help() {
    let mut stops = failing(&[0, 10, 20]);
    let told = stops.look(&rule(), None, at(20));
    let target = crate::ids::Target::service("prod", "web");
    assert_eq!(
        told[0].detail(&target),
        json!({
            "target": "prod/web", "cluster": "prod", "service": "web", "taskDefinition": "web:7", "state": "began",
            "class": "Exited", "container": "web", "exitCode": 1, "failures": 3,
            "since": "2026-03-01T12:00:00Z", "last": "2026-03-01T12:00:20Z",
            "reason": told[0].reason().message, "remedy": Class::Exited.remedy(),
        })
    );
    let over = stops.look(&rule(), Some(&service(8, 2, 2, "COMPLETED")), at(30));
    assert_eq!(over[0].detail(&target)["state"], "over");
    assert_eq!(
        over[0].reason().message,
        "tasks of web:7 no longer stop: the service has left the revision"
    );
}

#[test]
fn it_ends_when_the_service_leaves_the_revision_or_wants_nothing() {
    for (service, expected) in [
        (
            service(8, 2, 2, "COMPLETED"),
            vec![Change::Over("the service has left the revision")],
        ),
        (
            service(7, 0, 0, "COMPLETED"),
            vec![Change::Over("no task is wanted any more")],
        ),
        (service(7, 2, 2, "COMPLETED"), vec![]),
        (service(7, 2, 1, "COMPLETED"), vec![]),
    ] {
        let mut stops = failing(&[0, 10, 20]);
        stops.look(&rule(), None, at(20));
        assert_eq!(changes(&stops.look(&rule(), Some(&service), at(30))), expected);
        // And what has ended already is not told of.
        let mut late = failing(&[0, 10, 20]);
        let begins = if expected.is_empty() {
            vec![Change::Began]
        } else {
            vec![]
        };
        assert_eq!(changes(&late.look(&rule(), Some(&service), at(30))), begins);
    }
}

#[test]
fn a_revision_is_held_to_account_for_what_is_its_own_and_came_since() {
    let loops = |stop: &Value| {
        let mut stops = Stops::default();
        for n in 0..3 {
            stops.hear(&task(n, 7, 10, None, stop), &rule(), at(10));
        }
        stops.look(&rule(), None, at(10));
        stops
    };
    let own = loops(&exits(1));
    let arn = format!("{DEFINITION}:7");
    assert!(own.against(&arn, at(10)).is_some());
    assert!(own.against("web:7", at(0)).is_some());
    assert_eq!(own.against(&arn, at(11)), None);
    assert_eq!(own.against("web:8", at(0)), None);
    let around = loops(
        &json!({ "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: toomanyrequests" }),
    );
    assert_eq!((around.open().count(), around.against(&arn, at(0))), (1, None));
}

#[test]
fn it_is_stored_small_and_as_before() {
    let mut stops = failing(&[0, 10, 20]);
    stops.look(&rule(), None, at(20));
    let failure = |n: u64, at: &str| {
        json!({
            "at": at, "task": format!("{n:032x}"), "revision": "web:7", "class": "exited", "container": "web", "exit-code": 1,
        })
    };
    let stored = json!({
        "failures": [
            failure(0, "2026-03-01T12:00:00Z"), failure(1, "2026-03-01T12:00:10Z"), failure(2, "2026-03-01T12:00:20Z"),
        ],
        "loops": { "web:7": {
            "since": "2026-03-01T12:00:00Z", "window": "2026-03-01T12:00:00Z", "last": "2026-03-01T12:00:20Z",
            "failures": 3, "class": "exited", "container": "web", "exit-code": 1,
        } },
    });
    assert_eq!(serde_json::to_value(&stops).unwrap(), stored);
    assert_eq!(serde_json::from_value::<Stops>(stored).unwrap(), stops);
    assert_eq!(serde_json::to_value(Stops::default()).unwrap(), json!({}));
    let many = failing(&(0..100).collect::<Vec<_>>());
    assert!(serde_json::to_string(&many).unwrap().len() < 4_000);
}

#[test]
fn at_most_a_few_revisions_are_remembered_and_the_open_ones_longest() {
    let mut stops = Stops::default();
    for revision in 1..=12 {
        for n in 0..3 {
            let seconds = i64::try_from(revision).unwrap();
            stops.hear(
                &task(revision * 10 + n, revision, seconds, None, &exits(1)),
                &rule(),
                at(seconds),
            );
        }
        stops.look(&rule(), None, at(20));
    }
    let kept: Vec<_> = stops.open().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(kept, ["web:10", "web:11", "web:12", "web:8", "web:9"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order, and however often: the same is known, and the same loops are there.
    #[test]
    fn neither_order_nor_duplicates_matter(
        tasks in proptest::collection::vec((1..4_u64, 0..2_000_i64, 0..900_i64, 0..3_i64), 0..40),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        shuffle in any::<u64>(),
    ) {
        let tasks: Vec<_> = (0..).zip(&tasks)
            .map(|(n, (revision, seconds, lived, code))| task(n, *revision, *seconds, Some(*lived), &exits(*code)))
            .collect();
        let mut other = tasks.clone();
        if !tasks.is_empty() {
            other.extend(again.iter().map(|index| index.get(&tasks).clone()));
        }
        other.sort_by_key(|task| {
            let n = u64::from_str_radix(&task.task_arn.id()[16..], 16).unwrap();
            (n + 1).wrapping_mul(shuffle | 1).rotate_left(17)
        });
        let hear = |tasks: &[TaskStateChange]| {
            let mut stops = Stops::default();
            for task in tasks {
                stops.hear(task, &rule(), at(0));
            }
            stops
        };
        let (mut one, mut two) = (hear(&tasks), hear(&other));
        prop_assert_eq!(&one, &two);
        prop_assert!(one.failures().count() <= KEPT);
        prop_assert_eq!(one.look(&rule(), None, at(2_000)), two.look(&rule(), None, at(2_000)));
        prop_assert_eq!(&one, &two);
        // And nothing is told twice.
        prop_assert_eq!(one.look(&rule(), None, at(2_000)), vec![]);
    }

    /// A loop that is told of has its failures.
    #[test]
    fn what_is_told_of_is_there(seconds in proptest::collection::btree_set(0..3_600_i64, 0..12)) {
        let seconds: Vec<_> = seconds.into_iter().collect();
        let now = seconds.last().copied().unwrap_or_default();
        let mut stops = failing(&seconds);
        let told = stops.look(&rule(), None, at(now));
        // The last run without a long pause, and whether three in it are close enough.
        let begin = seconds.windows(2).rposition(|two| two[1] - two[0] > 1_800).map_or(0, |at| at + 1);
        let dense = seconds[begin..].windows(3).any(|three| three[2] - three[0] <= 600);
        prop_assert_eq!(told.len(), usize::from(dense));
    }
}
