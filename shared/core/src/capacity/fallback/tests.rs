//! Tasks run elsewhere while Spot has no room, and come back.

#![allow(clippy::too_many_lines, reason = "a table is as long as its cases")]

use proptest::prelude::*;

use super::*;
use crate::config::SpotFallback;

mod stories;
mod strategies;

const NO_PLACE: &str = "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try \
                        again later or in a different availability zone.";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_366_400 + seconds).unwrap()
}

fn target() -> Target {
    Target::service("prod", "web")
}

fn rule(fallback: &Value) -> SpotFallback {
    serde_json::from_value(json!({ "fallback": fallback, "after": "2m", "return-after": "10m" })).unwrap()
}

fn twin_rule() -> SpotFallback {
    rule(&json!({ "twin": "prod/web-on-demand" }))
}

fn strategy_rule() -> SpotFallback {
    rule(&json!({ "strategy": [{ "capacity-provider": "FARGATE", "weight": 1 }] }))
}

/// A service that wants so many tasks, of which so many run, for want of a place where it says so.
fn service(desired: u32, running: u32, said: Option<&str>, provider: &str) -> ServiceFacts {
    let strategy = match provider {
        "" => json!([]),
        name => json!([{ "capacityProvider": name, "weight": 1, "base": 0 }]),
    };
    ServiceFacts::parse(&json!({
        "serviceArn": "a", "status": "ACTIVE", "desiredCount": desired, "runningCount": running, "taskDefinition": "web:1",
        "events": said.map(|message| json!([{ "id": "e", "createdAt": 1, "message": message }])),
        "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": "web:1", "rolloutState": "COMPLETED" }],
        "capacityProviderStrategy": strategy,
    }))
    .unwrap()
}

fn spot(desired: u32, running: u32) -> ServiceFacts {
    service(
        desired,
        running,
        (running < desired).then_some(NO_PLACE),
        "FARGATE_SPOT",
    )
}

fn look(rule: &SpotFallback, service: &ServiceFacts, twin: u32, memory: &Memory, now: i64) -> Decided {
    let facts = Facts {
        target: &target(),
        rule,
        service: Known::Yes(Some(service.clone())),
        providers: Known::No,
        groups: Known::No,
        twin: Known::Yes(Some(self::service(twin, twin, None, ""))),
        delivering: false,
        memory,
    };
    decide(&facts, at(now))
}

fn code(decided: &Decided) -> Code {
    decided.decision.reasons[0].code
}

fn count(decided: &Decided) -> Option<u32> {
    decided.decision.actions.first().map(|action| match action {
        Action::SetDesiredCount { count, .. } => *count,
        Action::SetStrategy { .. } => panic!("{action:?}"),
    })
}

fn provider(decided: &Decided) -> Option<String> {
    decided.decision.actions.first().map(|action| match action {
        Action::SetStrategy { strategy, .. } => strategy[0].capacity_provider.clone(),
        Action::SetDesiredCount { .. } => panic!("{action:?}"),
    })
}

fn lasting(seconds: i64, tasks: u32) -> Lasting {
    Lasting {
        since: at(seconds),
        tasks,
    }
}

#[test]
fn what_is_short_of_spot() {
    const START: &str = "(service web) is unable to consistently start tasks successfully.";
    const PULL: &str = "(service web) was unable to place a task. Reason: CannotPullContainerError: not found.";
    const HOSTS: &str =
        "(service web) was unable to place a task because no container instance met all of its requirements.";
    let heard = Memory {
        heard: Some(at(-10)),
        ..Memory::default()
    };
    for (running, said, memory, expected) in [
        (2, Some(NO_PLACE), Memory::default(), Code::SpotShort),
        (2, Some(HOSTS), Memory::default(), Code::SpotShort),
        (2, None, heard.clone(), Code::SpotShort),
        (2, Some(START), heard.clone(), Code::SpotShort),
        (2, Some(START), Memory::default(), Code::NothingUnplaced),
        (2, Some(PULL), Memory::default(), Code::NothingUnplaced),
        (2, None, Memory::default(), Code::NothingUnplaced),
        (4, Some(NO_PLACE), heard.clone(), Code::NothingUnplaced),
        (5, None, heard, Code::NothingUnplaced),
    ] {
        for rule in [twin_rule(), strategy_rule()] {
            let decided = look(&rule, &service(4, running, said, "FARGATE_SPOT"), 0, &memory, 0);
            assert_eq!(
                (code(&decided), decided.decision.actions.len()),
                (expected, 0),
                "{running} {said:?}"
            );
            assert_eq!(
                decided.memory.is_under_way(),
                running < 4 && expected == Code::SpotShort
            );
        }
    }
}

#[test]
fn the_twin_takes_what_is_lacking_and_gives_it_back() {
    let memory = |twin: Option<i64>, short, back| Memory {
        twin: twin.map(at),
        short,
        back,
        ..Memory::default()
    };
    for (name, running, twin, before, expected, asked) in [
        (
            "not for long enough",
            2,
            0,
            memory(None, Some(lasting(-119, 2)), None),
            Code::SpotShort,
            None,
        ),
        (
            "long enough",
            2,
            0,
            memory(None, Some(lasting(-120, 2)), None),
            Code::FallbackStarts,
            Some(2),
        ),
        (
            "it lacked less before",
            0,
            0,
            memory(None, Some(lasting(-120, 1)), None),
            Code::FallbackStarts,
            Some(1),
        ),
        (
            "it lacks less now",
            3,
            0,
            memory(None, Some(lasting(-120, 4)), None),
            Code::FallbackStarts,
            Some(1),
        ),
        (
            "the twin has as many",
            2,
            2,
            memory(Some(-200), Some(lasting(-120, 2)), None),
            Code::FallbackHolds,
            None,
        ),
        (
            "it lacks more since",
            0,
            2,
            memory(Some(-200), Some(lasting(-120, 2)), None),
            Code::SpotShort,
            None,
        ),
        (
            "it came back",
            4,
            2,
            memory(Some(-200), None, Some(lasting(-599, 0))),
            Code::FallbackHolds,
            None,
        ),
        (
            "and stayed",
            4,
            2,
            memory(Some(-200), None, Some(lasting(-600, 0))),
            Code::FallbackReturns,
            Some(0),
        ),
        (
            "it lacked one meanwhile",
            4,
            2,
            memory(Some(-200), None, Some(lasting(-600, 1))),
            Code::FallbackReturns,
            Some(1),
        ),
        (
            "it lacked all meanwhile",
            4,
            2,
            memory(Some(-200), None, Some(lasting(-600, 2))),
            Code::FallbackHolds,
            None,
        ),
        (
            "someone else's tasks",
            4,
            2,
            memory(None, None, None),
            Code::ForeignChange,
            None,
        ),
        (
            "all is well",
            4,
            0,
            memory(Some(-200), None, None),
            Code::NothingUnplaced,
            None,
        ),
    ] {
        let decided = look(&twin_rule(), &spot(4, running), twin, &before, 0);
        assert_eq!((code(&decided), count(&decided)), (expected, asked), "{name}");
    }
}

#[test]
fn what_is_not_known_is_asked_for() {
    let (rule, memory, target) = (twin_rule(), Memory::default(), target());
    let gone = || ServiceFacts {
        status: "INACTIVE".into(),
        ..spot(4, 2)
    };
    for (service, twin, expected, missing) in [
        (Known::No, Known::No, Code::FactsMissing, vec!["DescribeServices"]),
        (
            Known::Yes(Some(spot(4, 2))),
            Known::No,
            Code::FactsMissing,
            vec!["DescribeServices"],
        ),
        (Known::Yes(None), Known::No, Code::ServiceNotFound, vec![]),
        (Known::Yes(Some(gone())), Known::No, Code::ServiceNotFound, vec![]),
        (
            Known::Yes(Some(spot(4, 2))),
            Known::Yes(None),
            Code::ServiceNotFound,
            vec![],
        ),
    ] {
        let facts = Facts {
            target: &target,
            rule: &rule,
            service,
            providers: Known::No,
            groups: Known::No,
            twin,
            delivering: false,
            memory: &memory,
        };
        let decided = decide(&facts, at(0));
        assert_eq!((code(&decided), decided.decision.missing), (expected, missing));
    }
}

#[test]
fn only_what_runs_on_spot_is_short_of_it() {
    let provider = |spot: Option<bool>| {
        let provider = CapacityProvider {
            name: "web".into(),
            auto_scaling_group: Some("asg".into()),
            spot,
            ..CapacityProvider::default()
        };
        Known::Yes(BTreeMap::from([("web".to_owned(), provider)]))
    };
    let none = Known::Yes(BTreeMap::new());
    for (strategy, providers, groups, expected, missing, said) in [
        (
            "",
            Known::No,
            Known::No,
            Code::NotOnSpot,
            None,
            "no capacity provider strategy",
        ),
        (
            "FARGATE",
            Known::No,
            Known::No,
            Code::NotOnSpot,
            None,
            "strategy is FARGATE",
        ),
        (
            "FARGATE_SPOT",
            Known::No,
            Known::No,
            Code::SpotShort,
            None,
            "Z, not for 2m yet",
        ),
        (
            "web",
            Known::No,
            Known::No,
            Code::FactsMissing,
            Some("DescribeCapacityProviders"),
            "",
        ),
        (
            "web",
            provider(Some(true)),
            Known::No,
            Code::SpotShort,
            None,
            "Z, not for 2m yet",
        ),
        (
            "web",
            provider(Some(false)),
            Known::No,
            Code::NotOnSpot,
            None,
            "strategy is web",
        ),
        (
            "web",
            provider(None),
            Known::No,
            Code::FactsMissing,
            Some("DescribeAutoScalingGroups"),
            "",
        ),
        (
            "web",
            provider(None),
            none,
            Code::SpotShort,
            None,
            "(whether web is Spot cannot be told, so it counts as Spot)",
        ),
    ] {
        // What is on its fallback already is told otherwise.
        for rule in [
            twin_rule(),
            rule(&json!({ "strategy": [{ "capacity-provider": "other", "weight": 1 }] })),
        ] {
            let (target, memory) = (target(), Memory::default());
            let facts = Facts {
                target: &target,
                rule: &rule,
                service: Known::Yes(Some(service(4, 2, Some(NO_PLACE), strategy))),
                providers: providers.clone(),
                groups: groups.clone(),
                twin: Known::Yes(Some(service(0, 0, None, ""))),
                delivering: false,
                memory: &memory,
            };
            let decided = decide(&facts, at(0));
            let message = &decided.decision.reasons[0].message;
            assert_eq!(code(&decided), expected, "{strategy}: {message}");
            assert_eq!(decided.decision.missing, Vec::from_iter(missing));
            assert!(message.contains(said), "{message}");
            assert_eq!(decided.memory.is_under_way(), expected == Code::SpotShort);
        }
    }
}

#[test]
fn the_calls_are_as_the_api_has_them() {
    let memory = Memory {
        short: Some(lasting(-120, 2)),
        ..Memory::default()
    };
    for (rule, expected) in [
        (
            twin_rule(),
            json!({ "cluster": "prod", "service": "web-on-demand", "desiredCount": 2 }),
        ),
        (
            strategy_rule(),
            json!({
                "cluster": "prod", "service": "web", "forceNewDeployment": true,
                "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1, "base": 0 }],
            }),
        ),
    ] {
        let decided = look(&rule, &spot(4, 2), 0, &memory, 0);
        let action = &decided.decision.actions[0];
        assert_eq!((action.call(), action.input()), ("UpdateService", expected));
        let stored = serde_json::to_value(&decided.memory).unwrap();
        assert_eq!(serde_json::from_value::<Memory>(stored).unwrap(), decided.memory);
    }
    assert_eq!(serde_json::to_value(Memory::default()).unwrap(), json!({}));
}

#[test]
fn an_event_is_remembered_until_no_task_is_lacking() {
    let mut memory = Memory::default();
    memory.hear(at(5));
    memory.hear(at(3));
    assert_eq!(memory.heard, Some(at(5)));
    let decided = look(&twin_rule(), &service(4, 4, None, "FARGATE_SPOT"), 0, &memory, 10);
    assert_eq!(decided.memory, Memory::default());
}
