//! The service itself goes elsewhere and comes back.

use super::*;

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
        short: Some(lasting(-120, 2)),
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
        short: Some(lasting(-120, 2)),
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
            providers: Known::No,
            groups: Known::No,
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
