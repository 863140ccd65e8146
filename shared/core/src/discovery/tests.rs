use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::stored::{Managed, Record, Registry};
use crate::config::{Address, Discovery, Service, When};
use crate::endpoint::{Host, Member, Owner, Rival, judge};
use crate::event::{TaskStateChange, TaskStatus};
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Decision, Effect, Outcome};

mod draining;
mod networks;
mod registries;

const TASK: &str = "arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef";

fn task(change: &Value) -> TaskStateChange {
    let mut detail = json!({
        "taskArn": TASK,
        "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7",
        "version": 3,
        "group": "service:web",
        "desiredStatus": "RUNNING",
        "lastStatus": "RUNNING",
        "availabilityZone": "eu-west-1a",
        "startedAt": "2026-01-01T00:00:00Z",
        "attachments": [{
            "type": "eni",
            "details": [
                { "name": "networkInterfaceId", "value": "eni-1" },
                { "name": "privateIPv4Address", "value": "10.0.0.7" },
            ],
        }],
        "containers": [{
            "name": "web",
            "image": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1.2.0",
            "imageDigest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        }],
    });
    for (field, value) in change.as_object().cloned().unwrap_or_default() {
        detail[field] = value;
    }
    TaskStateChange::parse(&detail).unwrap()
}

fn entry() -> Discovery {
    Discovery {
        to: "srv-1".into(),
        container: None,
        port: Some(8080),
        address: Address::Private,
        when: When::Running,
        attributes: BTreeMap::new(),
        create: None,
    }
}

fn facts(entries: Vec<Discovery>, task: TaskStateChange, belief: Known<Belief>) -> Facts {
    let config = Service {
        discovery: entries,
        ..Service::default()
    };
    let managed = Managed::unresolved(Target::service("prod", "web"), config);
    Facts {
        belief,
        ..Facts::of(managed, task, "wharfinger")
    }
}

fn show(decision: &Decision<Action>) -> String {
    let mut out = format!("{:?}\n", decision.outcome);
    for action in &decision.actions {
        let _ = writeln!(out, "{} {}", action.call(), action.input());
    }
    for reason in &decision.reasons {
        let _ = writeln!(out, "{}: {}", reason.code, reason.message);
    }
    if !decision.missing.is_empty() {
        let _ = writeln!(out, "missing: {}", decision.missing.join(", "));
    }
    out
}

fn calls(decision: &Decision<Action>) -> Vec<String> {
    let call = |action: &Action| format!("{} {}", action.call(), action.member().instance_id);
    decision.actions.iter().map(call).collect()
}

#[track_caller]
fn check(facts: &Facts, expect: &Expect) {
    expect.assert_eq(&show(&decide(facts)));
}

fn known(registered: Vec<Endpoint>, uncertain: Vec<Endpoint>) -> Known<Belief> {
    Known::Yes(Belief { registered, uncertain })
}

fn endpoint() -> Endpoint {
    match wanted(&facts(vec![entry()], task(&json!({})), Known::No)).remove(0) {
        Wanted::Member(endpoint) => endpoint,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_running_task_joins() {
    check(
        &facts(vec![entry()], task(&json!({})), known(vec![], vec![])),
        &expect![[r#"
            Act
            RegisterInstance {"ServiceId":"srv-1","InstanceId":"0123456789abcdef0123456789abcdef-8080","Attributes":{"AVAILABILITY_ZONE":"eu-west-1a","AWS_INSTANCE_IPV4":"10.0.0.7","AWS_INSTANCE_PORT":"8080","ECS_CLUSTER_NAME":"prod","ECS_SERVICE_NAME":"web","ECS_TASK_DEFINITION_FAMILY":"web","REGION":"eu-west-1","WHARFINGER_OWNER":"wharfinger","WHARFINGER_TASK":"arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"}}
            TaskJoins: 0123456789abcdef0123456789abcdef-8080 joins in srv-1
        "#]],
    );
}

#[test]
fn without_a_port_the_id_is_the_task_and_no_port_is_said() {
    let entry = Discovery { port: None, ..entry() };
    let decision = decide(&facts(vec![entry], task(&json!({})), Known::No));
    let input = decision.actions[0].input();
    assert_eq!(input["InstanceId"], "0123456789abcdef0123456789abcdef");
    assert_eq!(input["Attributes"].get("AWS_INSTANCE_PORT"), None);
}

#[test]
fn what_is_registered_already_costs_no_call() {
    check(
        &facts(vec![entry()], task(&json!({})), known(vec![endpoint()], vec![])),
        &expect![[r#"
            Ignore
            AlreadyRegistered: 0123456789abcdef0123456789abcdef-8080 is as it should be
        "#]],
    );
}

#[test]
fn a_registry_is_called_what_it_is_called_in_the_configuration() {
    let named = Discovery {
        to: "shop.local/web".into(),
        ..entry()
    };
    let mut facts = facts(vec![named], task(&json!({})), known(vec![], vec![endpoint()]));
    let registries = &mut facts.managed.stored.registries;
    registries.insert("shop.local/web".into(), Registry::of("srv-7"));
    let messages: Vec<_> = decide(&facts)
        .reasons
        .into_iter()
        .map(|reason| reason.message)
        .collect();
    assert_eq!(
        messages,
        [
            "0123456789abcdef0123456789abcdef-8080 joins in shop.local/web",
            "0123456789abcdef0123456789abcdef-8080 is no longer wanted in srv-1",
        ]
    );
}

#[test]
fn what_is_uncertain_is_registered_again() {
    let decision = decide(&facts(vec![entry()], task(&json!({})), known(vec![], vec![endpoint()])));
    assert_eq!(decision.actions, [Action::join(endpoint(), None)]);
}

#[test]
fn a_changed_entry_moves_the_endpoint() {
    let moved = Discovery {
        to: "srv-2".into(),
        ..entry()
    };
    check(
        &facts(
            vec![moved],
            task(
                &json!({ "attachments": [], "containers": [{ "name": "web", "networkInterfaces": [{ "privateIpv4Address": "10.0.0.8" }] }] }),
            ),
            known(vec![endpoint()], vec![]),
        ),
        &expect![[r#"
            Act
            RegisterInstance {"ServiceId":"srv-2","InstanceId":"0123456789abcdef0123456789abcdef-8080","Attributes":{"AVAILABILITY_ZONE":"eu-west-1a","AWS_INSTANCE_IPV4":"10.0.0.8","AWS_INSTANCE_PORT":"8080","ECS_CLUSTER_NAME":"prod","ECS_SERVICE_NAME":"web","ECS_TASK_DEFINITION_FAMILY":"web","REGION":"eu-west-1","WHARFINGER_OWNER":"wharfinger","WHARFINGER_TASK":"arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"}}
            DeregisterInstance {"ServiceId":"srv-1","InstanceId":"0123456789abcdef0123456789abcdef-8080"}
            TaskJoins: 0123456789abcdef0123456789abcdef-8080 joins in srv-2
            EndpointChanged: 0123456789abcdef0123456789abcdef-8080 is no longer wanted in srv-1
        "#]],
    );
}

#[test]
fn any_sign_of_stopping_takes_the_endpoint_out() {
    for change in [
        json!({ "desiredStatus": "STOPPED" }),
        json!({ "lastStatus": "DEACTIVATING" }),
        json!({ "lastStatus": "STOPPING" }),
        json!({ "lastStatus": "DEPROVISIONING" }),
        json!({ "lastStatus": "STOPPED", "desiredStatus": "STOPPED" }),
        json!({ "lastStatus": "DELETED" }),
    ] {
        for belief in [
            known(vec![endpoint()], vec![]),
            known(vec![], vec![endpoint()]),
            Known::No,
        ] {
            let decision = decide(&facts(vec![entry()], task(&change), belief));
            assert_eq!(
                calls(&decision),
                [format!("DeregisterInstance {}", endpoint().instance_id)],
                "{change}"
            );
        }
    }
}

#[test]
fn a_leaving_task_that_never_joined_makes_no_call() {
    check(
        &facts(
            vec![entry()],
            task(&json!({ "desiredStatus": "STOPPED" })),
            known(vec![], vec![]),
        ),
        &expect![[r#"
            Ignore
            NeverJoined: task 0123456789abcdef0123456789abcdef leaves and had not joined: it will not be let in any more
        "#]],
    );
    let never_ran = task(&json!({ "desiredStatus": "STOPPED", "startedAt": null }));
    assert_eq!(
        decide(&facts(vec![entry()], never_ran, Known::No)).outcome,
        Outcome::Ignore
    );
}

#[test]
fn a_task_on_its_way_up_waits() {
    for status in ["PROVISIONING", "PENDING", "ACTIVATING", "SOMETHING_NEW"] {
        let decision = decide(&facts(
            vec![entry()],
            task(&json!({ "lastStatus": status })),
            known(vec![], vec![]),
        ));
        assert_eq!(decision.outcome, Outcome::Wait, "{status}");
        assert!(decision.actions.is_empty(), "{status}");
    }
}

#[test]
fn a_missing_address_is_looked_up_and_never_guessed() {
    let bare = task(&json!({ "attachments": [] }));
    check(
        &facts(vec![entry()], bare.clone(), known(vec![], vec![])),
        &expect![[r#"
            Wait
            FactsMissing: the task's private IPv4 address is not in the event
            missing: DescribeTasks
        "#]],
    );
    let looked_up = Facts {
        looked_up: true,
        ..facts(vec![entry()], bare, known(vec![], vec![]))
    };
    check(
        &looked_up,
        &expect![[r#"
            Wait
            NoAddress: the task has no private IPv4 address of its own
        "#]],
    );
}

#[test]
fn health_is_waited_for() {
    let entry = Discovery {
        when: When::Healthy,
        ..entry()
    };
    let at = |health: Value, looked_up| {
        let task = task(&json!({ "healthStatus": health }));
        decide(&Facts {
            looked_up,
            ..facts(vec![entry.clone()], task, known(vec![], vec![]))
        })
    };
    assert_eq!(at(Value::Null, false).missing, ["DescribeTasks"]);
    assert_eq!(at(json!("UNHEALTHY"), true).outcome, Outcome::Wait);
    assert_eq!(at(json!("HEALTHY"), true).outcome, Outcome::Act);
}

#[test]
fn an_unhealthy_task_leaves_again() {
    let entry = Discovery {
        when: When::Healthy,
        ..entry()
    };
    let task = task(&json!({ "healthStatus": "UNHEALTHY" }));
    let decision = decide(&facts(vec![entry], task, known(vec![endpoint()], vec![])));
    assert_eq!(decision.actions, [Action::leave(endpoint())]);
}

#[test]
fn names_that_do_not_fit_are_said() {
    let cases = [
        (
            Discovery {
                container: Some("api".into()),
                ..entry()
            },
            "NoContainer: the task has no container `api`; it has: web",
        ),
        (
            Discovery {
                to: "shop.local/web".into(),
                ..entry()
            },
            "RegistryUnresolved: the Cloud Map service of `shop.local/web` is not known: apply the configuration, which looks it up",
        ),
        (
            Discovery {
                attributes: BTreeMap::from([("long".into(), "x".repeat(1_025))]),
                ..entry()
            },
            "AttributeTooLong: attribute `long` has 1025 characters; Cloud Map takes 1024",
        ),
    ];
    for (entry, reason) in cases {
        let decision = decide(&facts(vec![entry], task(&json!({})), known(vec![], vec![])));
        assert_eq!(decision.outcome, Outcome::Wait);
        assert!(show(&decision).contains(reason), "{}", show(&decision));
    }
}

#[test]
fn templates_are_filled_in() {
    let template = "${image.tag} ${task.id} ${task.family}:${task.revision} ${task.az} ${nothing}${open";
    let entry = Discovery {
        attributes: BTreeMap::from([
            ("all".to_owned(), template.to_owned()),
            ("digest".to_owned(), "${image.digest}".to_owned()),
            ("empty".to_owned(), "${nothing}".to_owned()),
        ]),
        ..entry()
    };
    let decision = decide(&facts(vec![entry], task(&json!({})), Known::No));
    let attributes = &decision.actions[0].input()["Attributes"];
    assert_eq!(
        attributes["all"],
        "1.2.0 0123456789abcdef0123456789abcdef web:7 eu-west-1a ${open"
    );
    assert_eq!(attributes["digest"].as_str().map(str::len), Some(71));
    assert_eq!(attributes.get("empty"), None);
}

#[test]
fn the_side_container_is_not_the_one_whose_image_is_told() {
    let entry = Discovery {
        attributes: BTreeMap::from([("version".to_owned(), "${image.tag}".to_owned())]),
        ..entry()
    };
    let version = |more: &str| {
        let mut task = task(&json!({}));
        let mut container = task.containers[0].clone();
        container.name = more.to_owned();
        task.containers.push(container);
        let decision = decide(&facts(vec![entry.clone()], task, Known::No));
        decision.actions[0].input()["Attributes"]["version"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(version("wharfinger-linger").as_deref(), Some("1.2.0"));
    assert_eq!(version("log"), None);
}

#[test]
fn a_ghost_goes_only_with_proof() {
    let since = Some(Timestamp::UNIX_EPOCH);
    let rows = [
        (Owner::Stopped, "Remove"),
        (Owner::Missing { since }, "Remove"),
        (Owner::Missing { since: None }, "LookAgain"),
        (Owner::Alive, "Keep"),
    ];
    for (owner, expected) in rows {
        let verdict = judge("i", owner);
        assert!(format!("{verdict:?}").starts_with(expected), "{owner:?}: {verdict:?}");
    }
}

#[test]
fn a_stale_holder_of_the_address_goes_when_a_new_one_joins() {
    let other = Endpoint {
        instance_id: "ffffffffffffffffffffffffffffffff-8080".into(),
        ..endpoint()
    };
    let rival = |newer| Rival {
        member: other.clone(),
        task: TASK
            .replace("0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff")
            .parse()
            .unwrap(),
        newer,
    };
    let at = |newer| Facts {
        rivals: vec![rival(newer)],
        ..facts(vec![entry()], task(&json!({})), known(vec![], vec![]))
    };
    assert_eq!(
        calls(&decide(&at(false))),
        [
            "DeregisterInstance ffffffffffffffffffffffffffffffff-8080",
            "RegisterInstance 0123456789abcdef0123456789abcdef-8080",
        ]
    );
    check(
        &at(true),
        &expect![[r#"
        Wait
        AddressTaken: 10.0.0.7:8080 in srv-1 is task ffffffffffffffffffffffffffffffff's, which began later
    "#]],
    );
}

fn status() -> impl Strategy<Value = TaskStatus> {
    use TaskStatus as S;
    let all = [
        S::Provisioning,
        S::Pending,
        S::Activating,
        S::Running,
        S::Deactivating,
        S::Stopping,
        S::Deprovisioning,
        S::Stopped,
        S::Deleted,
        S::Unknown,
    ];
    prop::sample::select(all.to_vec())
}

/// The registry once the plan was carried out.
fn carried_out(held: &[Endpoint], decision: &Decision<Action>) -> Vec<Endpoint> {
    let mut held = held.to_vec();
    for action in &decision.actions {
        held.retain(|e| !e.is_same(action.member()));
        if !action.is_leave() {
            held.push(action.member().clone());
        }
    }
    held
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Once a plan is carried out there is nothing left to do, and a leaving task has nothing left at all.
    #[test]
    fn a_plan_is_complete(last in status(), wanted_status in status(), ports in prop::collection::btree_set(1_u16.., 0..4), held_ports in prop::collection::btree_set(1_u16.., 0..4)) {
        let entries: Vec<_> = ports.iter().map(|p| Discovery { port: Some(*p), ..entry() }).collect();
        let held: Vec<_> = held_ports.iter().map(|p| Endpoint { instance_id: format!("x-{p}"), ..endpoint() }).collect();
        let mut task = task(&json!({}));
        task.last_status = last;
        task.desired_status = wanted_status;
        let before = facts(entries.clone(), task.clone(), known(held.clone(), vec![]));
        let after = carried_out(&held, &decide(&before));
        let again = decide(&facts(entries, task.clone(), known(after.clone(), vec![])));
        prop_assert!(again.actions.is_empty(), "{again:?}");
        if task.is_leaving() {
            prop_assert!(after.is_empty());
        }
        if task.is_running() {
            prop_assert_eq!(after.len(), ports.len());
        }
    }
}
