//! What a row tells by itself.

use super::*;
use crate::event::{Place, SpotAction};

fn hook(since: i64, token: &str) -> Hook {
    Hook {
        since: at(since),
        token: token.into(),
        group: "web".into(),
        hook: "drain".into(),
        origin: Place::default(),
        destination: Place::default(),
    }
}

fn spot() -> Causes {
    Causes {
        spot: Some(SpotNotice {
            at: at(0),
            action: SpotAction::Terminate,
        }),
        ..Causes::default()
    }
}

fn check(capacity: Value, causes: Causes, did: Did, expect: Option<(bool, &str, i64, Option<i64>)>) {
    let capacity = serde_json::from_value(capacity).unwrap();
    let going = Going { causes, did };
    let standing = Standing::of(&Target::of_cluster("prod"), &capacity, "i-1", &going, at(60));
    let expect = expect.map(|(goes, why, since, until)| Standing {
        goes,
        why: why.into(),
        since: Some(at(since)),
        until: until.map(at),
    });
    assert_eq!(standing, expect);
}

#[test]
fn a_row_tells_why_since_when_and_until_when() {
    let hooked = |hooks: &[Hook]| Causes {
        hooks: hooks.iter().map(|hook| (hook.token.clone(), hook.clone())).collect(),
        ..Causes::default()
    };
    let waits = Some((true, "web waits with it (drain)", 0, Some(600)));
    check(json!({}), hooked(&[hook(0, "a")]), Did::default(), waits);
    check(
        json!({}),
        hooked(&[hook(0, "a"), hook(30, "b")]),
        Did::default(),
        Some((true, "web waits with it (drain)", 0, Some(630))),
    );
    let completed = Did {
        completed: BTreeMap::from([("a".into(), at(40))]),
        ..Did::default()
    };
    check(
        json!({}),
        hooked(&[hook(0, "a")]),
        completed,
        Some((true, "web waits with it (drain)", 0, None)),
    );
    let others = json!({ "drain": { "hooks": ["other"] } });
    let stays = Some((false, "the hook drain is not among those that are ours", 0, None));
    check(others, hooked(&[hook(0, "a")]), Did::default(), stays);
    check(
        json!({}),
        spot(),
        Did::default(),
        Some((true, "Spot terminates it", 0, Some(120))),
    );
    let found = Did {
        found_waiting: Some(at(5)),
        ..Did::default()
    };
    check(
        json!({}),
        Causes::default(),
        found,
        Some((true, "its group waits with it, which no event told", 5, Some(605))),
    );
    let given_up = Did {
        unhealthy_at: Some(at(7)),
        ..Did::default()
    };
    check(
        json!({}),
        Causes::default(),
        given_up,
        Some((true, "its agent is gone", 7, None)),
    );
}

#[test]
fn what_is_over_is_not_told_and_what_is_suspected_is() {
    let over = Did {
        over: Some(spot()),
        ..Did::default()
    };
    check(json!({}), spot(), over, None);
    check(json!({}), Causes::default(), Did::default(), None);
    let silent = Did {
        disconnected: Some(Silence {
            since: at(10),
            last: at(50),
            version: None,
        }),
        ..Did::default()
    };
    let rule = json!({ "disconnected": { "after": "5m" } });
    check(
        rule,
        Causes::default(),
        silent,
        Some((false, "its agent is disconnected", 10, Some(310))),
    );
    let rebalance = Causes {
        rebalance: Some(at(3)),
        ..Causes::default()
    };
    let why = "Spot may take it back: most are not taken, so this is ignored";
    check(
        json!({}),
        rebalance.clone(),
        Did::default(),
        Some((false, why, 3, None)),
    );
    let drains = json!({ "spot": { "rebalance": "drain" } });
    check(
        drains,
        rebalance,
        Did::default(),
        Some((true, "Spot may take it back", 3, None)),
    );
}
