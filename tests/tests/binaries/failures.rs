//! What goes wrong is the function's error: Lambda tries again, and in the end the dead-letter queue has the event.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharfinger_tests::lambda::story::{REGISTRY, configure, push_event, task, task_event, with_discovery};
use wharfinger_tests::lambda::{Fault, Outcome};

use super::{Rig, has};

fn rig() -> Rig {
    let rig = Rig::start("discovery");
    rig.lambda
        .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
    rig
}

fn joining() -> Value {
    task_event(&task("web", "t1", 3, "RUNNING", "RUNNING"))
}

#[test]
fn what_is_no_event_that_can_be_used_is_an_error_each_time_and_the_function_lives_on() {
    let rig = rig();
    let mut nameless = joining();
    nameless["detail"].as_object_mut().unwrap().remove("taskArn");
    nameless["resources"] = json!([]);
    let other = push_event("shop/web", "1.2.3", "sha256:0123");
    let cases = [
        (nameless, "taskArn"),
        (json!({ "hello": "world" }), "detail-type"),
        (json!("text"), "detail-type"),
        (json!([1, 2]), "detail-type"),
        (Value::Null, "detail-type"),
        (other, "sha256:0123"),
    ];
    for (event, named) in cases {
        let (kind, message) = rig.failed(&event);
        assert_eq!(kind, "Rejected", "{event}");
        assert!(message.contains(named), "{event}: {message}");
        rig.process
            .line(|line| has(line, &[("level", "ERROR"), ("error", named)]))
            .unwrap();
    }
    rig.done(&joining());
    assert_eq!(rig.instances(), ["t1-8080"]);
}

#[test]
fn one_throttle_or_one_cut_connection_is_borne() {
    let once = [
        Fault::Refuse(400, "ThrottlingException"),
        Fault::Refuse(500, "InternalServerError"),
        Fault::Refuse(503, "ServiceUnavailable"),
        Fault::Cut,
        Fault::CutAfter,
    ];
    for operation in ["GetItem", "UpdateItem", "RegisterInstance", "PutItem"] {
        let rig = rig();
        for (i, fault) in once.iter().enumerate() {
            rig.lambda.fail(operation, 1, fault.clone());
            let id = format!("t{i}");
            rig.done(&task_event(&task("web", &id, 3, "RUNNING", "RUNNING")));
            assert_eq!(rig.instances().len(), i + 1, "{operation} {fault:?}");
            rig.lambda.mend();
        }
    }
}

#[test]
fn a_call_that_fails_for_good_fails_the_event_and_the_next_attempt_mends_it() {
    let lasting = [
        (Fault::Refuse(400, "ThrottlingException"), "ThrottlingException"),
        (Fault::Refuse(500, "InternalServerError"), "InternalServerError"),
        (Fault::Refuse(400, "AccessDeniedException"), "AccessDeniedException"),
        (Fault::Cut, "Unavailable"),
        (Fault::CutAfter, "Unavailable"),
        (Fault::Garbage, "Unreadable"),
    ];
    for (fault, named) in lasting {
        let rig = rig();
        for operation in ["GetItem", "UpdateItem", "RegisterInstance", "PutItem"] {
            rig.lambda.fail(operation, usize::MAX, fault.clone());
            let (kind, message) = rig.failed(&joining());
            assert_eq!(kind, "Cloud", "{operation} {fault:?}");
            assert!(
                message.contains(operation) && message.contains(named),
                "{operation} {fault:?}: {message}"
            );
            rig.process
                .line(|line| has(line, &[("level", "ERROR"), ("error", operation)]))
                .unwrap();
            rig.lambda.mend();
        }
        rig.done(&joining());
        assert_eq!(rig.instances(), ["t1-8080"], "{fault:?}");
    }
}

#[test]
fn a_call_without_an_answer_ends_before_lambda_ends_the_function() {
    let rig = rig();
    let within = Duration::from_secs(2);
    for operation in ["GetItem", "UpdateItem", "RegisterInstance"] {
        rig.lambda.fail(operation, usize::MAX, Fault::Silence);
        let began = Instant::now();
        let invoked = rig.lambda.invoke_within(&joining(), within).unwrap();
        assert!(began.elapsed() < within, "{operation}: {:?}", began.elapsed());
        let Outcome::Failed { kind, message } = invoked.outcome else {
            panic!("{operation} did not fail")
        };
        assert_eq!(kind, "Cloud");
        assert!(message.contains(operation) && message.contains("TimedOut"), "{message}");
        rig.lambda.mend();
    }
    rig.done(&joining());
    assert_eq!(rig.instances(), ["t1-8080"]);
}

#[test]
fn a_registry_that_is_gone_is_told_with_what_to_do() {
    let rig = rig();
    rig.lambda
        .fail("ListInstances", usize::MAX, Fault::Refuse(400, "ServiceNotFound"));
    let sweep = json!({ "id": "tick", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    let (kind, message) = rig.failed(&sweep);
    assert_eq!(kind, "Partly");
    for named in [
        REGISTRY,
        "configured for prod/web",
        "`wharfinger apply`",
        "ServiceNotFound",
    ] {
        assert!(message.contains(named), "{named}: {message}");
    }
}
