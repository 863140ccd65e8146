//! Tasks run elsewhere while Spot has no room, and come back.

use proptest::prelude::*;

use super::*;
use crate::config::SpotFallback;

mod stories;

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

fn lasting(seconds: i64, tasks: u32) -> Option<Lasting> {
    Some(Lasting {
        since: at(seconds),
        tasks,
    })
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
            memory(None, lasting(-119, 2), None),
            Code::SpotShort,
            None,
        ),
        (
            "long enough",
            2,
            0,
            memory(None, lasting(-120, 2), None),
            Code::FallbackStarts,
            Some(2),
        ),
        (
            "it lacked less before",
            0,
            0,
            memory(None, lasting(-120, 1), None),
            Code::FallbackStarts,
            Some(1),
        ),
        (
            "it lacks less now",
            3,
            0,
            memory(None, lasting(-120, 4), None),
            Code::FallbackStarts,
            Some(1),
        ),
        (
            "the twin has as many",
            2,
            2,
            memory(Some(-200), lasting(-120, 2), None),
            Code::FallbackHolds,
            None,
        ),
        (
            "it lacks more since",
            0,
            2,
            memory(Some(-200), lasting(-120, 2), None),
            Code::SpotShort,
            None,
        ),
        (
            "it came back",
            4,
            2,
            memory(Some(-200), None, lasting(-599, 0)),
            Code::FallbackHolds,
            None,
        ),
        (
            "and stayed",
            4,
            2,
            memory(Some(-200), None, lasting(-600, 0)),
            Code::FallbackReturns,
            Some(0),
        ),
        (
            "it lacked one meanwhile",
            4,
            2,
            memory(Some(-200), None, lasting(-600, 1)),
            Code::FallbackReturns,
            Some(1),
        ),
        (
            "it lacked all meanwhile",
            4,
            2,
            memory(Some(-200), None, lasting(-600, 2)),
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
fn the_service_itself_goes_and_comes_back() {
    let before = spot(4, 2).capacity_provider_strategy;
    let switched = |at_: i64, again, back: Option<i64>| Memory {
        switched: Some(Switched {
            before: before.clone(),
            at: at(at_),
            again,
            back: back.map(at),
        }),
        ..Memory::default()
    };
    let short = |memory: Memory| Memory {
        short: lasting(-120, 2),
        ..memory
    };
    let there = |running, said| service(4, running, said, "FARGATE");
    for (name, service, memory, expected, asked) in [
        (
            "long enough",
            spot(4, 2),
            short(Memory::default()),
            Code::FallbackStarts,
            Some("FARGATE"),
        ),
        (
            "not on Spot",
            there(2, Some(NO_PLACE)),
            Memory::default(),
            Code::ForeignChange,
            None,
        ),
        (
            "no strategy",
            service(4, 2, Some(NO_PLACE), ""),
            short(Memory::default()),
            Code::NotOnSpot,
            None,
        ),
        (
            "not seen yet",
            spot(4, 2),
            switched(-119, 0, None),
            Code::FallbackHolds,
            None,
        ),
        (
            "never made",
            spot(4, 2),
            short(switched(-120, 0, None)),
            Code::FallbackStarts,
            Some("FARGATE"),
        ),
        (
            "there",
            there(4, None),
            switched(-599, 0, None),
            Code::FallbackHolds,
            None,
        ),
        (
            "comes back",
            there(4, None),
            switched(-600, 0, None),
            Code::FallbackReturns,
            Some("FARGATE_SPOT"),
        ),
        (
            "later",
            there(4, None),
            switched(-1_199, 1, None),
            Code::FallbackHolds,
            None,
        ),
        (
            "comes back later",
            there(4, None),
            switched(-1_200, 1, None),
            Code::FallbackReturns,
            Some("FARGATE_SPOT"),
        ),
        (
            "not seen to be back",
            there(4, None),
            switched(-800, 0, Some(-119)),
            Code::FallbackHolds,
            None,
        ),
        (
            "went back by ECS",
            there(4, None),
            switched(-800, 0, Some(-120)),
            Code::FallbackHolds,
            None,
        ),
        (
            "is back",
            spot(4, 4),
            switched(-800, 0, Some(-200)),
            Code::NothingUnplaced,
            None,
        ),
        (
            "short again",
            spot(4, 2),
            short(switched(-800, 0, Some(-200))),
            Code::FallbackStarts,
            Some("FARGATE"),
        ),
        (
            "elsewhere",
            service(4, 2, Some(NO_PLACE), "mine"),
            switched(-800, 0, None),
            Code::ForeignChange,
            None,
        ),
    ] {
        let decided = look(&strategy_rule(), &service, 0, &memory, 0);
        assert_eq!(
            (code(&decided), provider(&decided).as_deref()),
            (expected, asked),
            "{name}"
        );
    }
    let again = |memory: &Memory, service: &ServiceFacts| look(&strategy_rule(), service, 0, memory, 0).memory.switched;
    assert_eq!(
        again(&short(switched(-800, 0, Some(-200))), &spot(4, 2)).unwrap().again,
        1
    );
    assert_eq!(
        again(&short(switched(-800, 4, Some(-200))), &spot(4, 2)).unwrap().again,
        4
    );
    assert_eq!(again(&switched(-800, 0, Some(-120)), &there(4, None)).unwrap().again, 1);
    assert!(again(&switched(-800, 0, Some(-599)), &spot(4, 4)).is_some());
    assert_eq!(again(&switched(-800, 0, Some(-600)), &spot(4, 4)), None);
}

#[test]
fn a_rollout_and_a_deployment_are_not_cut_short() {
    let memory = |at_: i64| Memory {
        short: lasting(-120, 2),
        switched: (at_ < 0).then(|| Switched {
            before: spot(4, 2).capacity_provider_strategy,
            at: at(at_),
            again: 0,
            back: None,
        }),
        ..Memory::default()
    };
    let decided = |service: ServiceFacts, memory: &Memory, delivering| {
        let facts = Facts {
            target: &target(),
            rule: &strategy_rule(),
            service: Known::Yes(Some(service)),
            twin: Known::No,
            delivering,
            memory,
        };
        decide(&facts, at(0))
    };
    let deploying = |mut service: ServiceFacts| {
        service.deployments[0].rollout_state = Some("IN_PROGRESS".into());
        service
    };
    let there = service(4, 4, None, "FARGATE");
    for (name, service, memory, delivering, expected) in [
        (
            "going, a rollout",
            spot(4, 2),
            memory(0),
            true,
            Code::DeploymentInProgress,
        ),
        (
            "going, a deployment that finds no place",
            deploying(spot(4, 2)),
            memory(0),
            false,
            Code::FallbackStarts,
        ),
        (
            "coming, a rollout",
            there.clone(),
            memory(-900),
            true,
            Code::DeploymentInProgress,
        ),
        (
            "coming, a deployment",
            deploying(there.clone()),
            memory(-900),
            false,
            Code::DeploymentInProgress,
        ),
        ("coming", there, memory(-900), false, Code::FallbackReturns),
    ] {
        assert_eq!(code(&decided(service, &memory, delivering)), expected, "{name}");
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
            twin,
            delivering: false,
            memory: &memory,
        };
        let decided = decide(&facts, at(0));
        assert_eq!((code(&decided), decided.decision.missing), (expected, missing));
    }
}

#[test]
fn the_calls_are_as_the_api_has_them() {
    let memory = Memory {
        short: lasting(-120, 2),
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
