use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn events() -> impl Strategy<Value = Event> {
    let second = 0_i64..6;
    let states = prop_oneof![
        Just("running"),
        Just("stopping"),
        Just("stopped"),
        Just("shutting-down"),
        Just("terminated")
    ];
    let actions = prop_oneof![Just("terminate"), Just("stop")];
    let health_status = prop_oneof![Just("upcoming"), Just("open"), Just("closed")];
    prop_oneof![
        second.clone().prop_map(|s| hook("i-1", s)),
        second.clone().prop_map(|s| hook_of("logs", "i-1", s)),
        second.clone().prop_map(|s| launch("i-1", s)),
        (second.clone(), actions).prop_map(|(s, action)| spot("i-1", s, action)),
        second.clone().prop_map(|s| rebalance("i-1", s)),
        (second.clone(), states).prop_map(|(s, to)| state("i-1", s, to)),
        (second.clone(), second, health_status).prop_map(|(s, starts, status)| health("i-1", s, starts, 9, status)),
    ]
}

fn merged<'a>(events: impl IntoIterator<Item = &'a Event>) -> Causes {
    let mut causes = Causes::default();
    for event in events {
        for (_, news) in Causes::of_event(event, at(0)) {
            causes.merge(news);
        }
    }
    causes
}

proptest! {
    #[test]
    fn neither_order_nor_copies_matter(
        (events, shuffled) in proptest::collection::vec(events(), 1..8)
            .prop_flat_map(|events| (Just(events.clone()), Just([events.clone(), events].concat()).prop_shuffle())),
    ) {
        prop_assert_eq!(merged(&events), merged(&shuffled));
    }

    #[test]
    fn a_completed_token_never_opens_again(
        events in proptest::collection::vec(events(), 1..12),
        completions in proptest::collection::vec(0_usize..12, 0..6),
    ) {
        let mut going = Going::default();
        let mut completed = BTreeSet::new();
        for (i, event) in events.iter().enumerate() {
            for (_, news) in Causes::of_event(event, at(0)) {
                going.causes.merge(news);
            }
            if completions.contains(&i) {
                let open: Vec<_> = going.open().map(|hook| hook.token.clone()).collect();
                for token in open {
                    going.did.completed.insert(token.clone(), at(20));
                    completed.insert(token);
                }
            }
            prop_assert!(going.open().all(|hook| !completed.contains(&hook.token)));
        }
    }

    #[test]
    fn what_is_stored_is_read_back(events in proptest::collection::vec(events(), 0..6)) {
        let mut going = Going { causes: merged(&events), ..Going::default() };
        going.did.completed.insert("t".into(), at(1));
        going.did.disconnected = Some(Silence { since: at(1), last: at(2), version: None });
        let stored = serde_json::to_value(&going).unwrap();
        prop_assert_eq!(serde_json::from_value::<Going>(stored).unwrap(), going);
    }
}

#[test]
fn only_what_lets_an_instance_go_is_worth_an_item() {
    for (event, expected) in [
        (hook("i-1", 0), true),
        (spot("i-1", 0, "stop"), true),
        (rebalance("i-1", 0), true),
        (state("i-1", 0, "stopping"), true),
        (state("i-1", 0, "running"), false),
        (health("i-1", 0, 1, 2, "open"), true),
        (health("i-1", 0, 1, 2, "closed"), false),
    ] {
        let causes = Causes::of_event(&event, at(9));
        assert_eq!(causes["i-1"].is_reason_to_go(), expected, "{event:?}");
        assert_eq!(causes["i-1"].latest(), Some(at(0)));
    }
    assert_eq!(Causes::of_event(&launch("i-1", 0), at(9)), BTreeMap::new());
    assert_eq!(Causes::default().latest(), None);
}

#[test]
fn an_event_without_a_time_was_when_it_was_heard() {
    let mut event = hook("i-1", 0);
    event.envelope.time = None;
    assert_eq!(Causes::of_event(&event, at(9))["i-1"].latest(), Some(at(9)));
    let detail = json!({
        "service": "EC2", "eventTypeCode": "C", "eventTypeCategory": "scheduledChange",
        "affectedEntities": [{ "entityValue": "i-1" }, { "entityValue": "i-2" }],
    });
    let health = super::event("aws.health", "AWS Health Event", 5, detail);
    let causes = Causes::of_event(&health, at(9));
    assert_eq!(causes.keys().collect::<Vec<_>>(), ["i-1", "i-2"]);
    assert_eq!(causes["i-2"].maintenance["C"].told, at(5));
}
