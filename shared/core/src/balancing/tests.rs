use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::stored::Managed;
use crate::config::{Balancing, Service, When};
use crate::endpoint::{Host, Member, Rival};
use crate::event::TaskStateChange;
use crate::ids::Target;
use crate::known::Known;
use crate::report::{Decision, Effect, Outcome};

const TASK: &str = "arn:aws:ecs:eu-west-1:111122223333:task/prod/0123456789abcdef0123456789abcdef";
const OTHER: &str = "arn:aws:ecs:eu-west-1:111122223333:task/prod/ffffffffffffffffffffffffffffffff";
const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web-internal/0123456789abcdef";

fn task(change: &Value) -> TaskStateChange {
    let mut detail = json!({
        "taskArn": TASK,
        "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:7",
        "version": 3,
        "group": "service:web",
        "desiredStatus": "RUNNING",
        "lastStatus": "RUNNING",
        "startedAt": "2026-01-01T00:00:00Z",
        "attachments": [{ "type": "eni", "details": [{ "name": "privateIPv4Address", "value": "10.0.0.7" }] }],
        "containers": [{ "name": "web" }],
    });
    for (field, value) in change.as_object().cloned().unwrap_or_default() {
        detail[field] = value;
    }
    TaskStateChange::parse(&detail).unwrap()
}

fn bridge() -> TaskStateChange {
    task(&json!({
        "attachments": [],
        "containerInstanceArn": "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/0f0f",
        "containers": [{ "name": "web", "networkBindings": [{ "containerPort": 8080, "hostPort": 32_768 }] }],
    }))
}

fn facts(task: TaskStateChange, target_type: Option<TargetType>, belief: Known<Belief>) -> Facts {
    let entry = Balancing {
        target_group: "web-internal".into(),
        container: None,
        port: Some(8080),
        when: When::Running,
    };
    let config = Service {
        balancing: vec![entry],
        ..Service::default()
    };
    let mut managed = Managed::unresolved(Target::service("prod", "web"), config);
    if let Some(target_type) = target_type {
        let group = TargetGroup {
            arn: GROUP.into(),
            target_type,
        };
        managed.stored.target_groups.insert("web-internal".into(), group);
    }
    let host = Host {
        instance_id: Some("i-1".into()),
        private_ipv4: Some("10.1.0.1".into()),
        ..Host::default()
    };
    Facts {
        belief,
        host: Known::Yes(Some(host)),
        ..Facts::of(managed, task, "wharfinger")
    }
}

fn member(id: &str, port: u16) -> Membership {
    Membership {
        target_group_arn: GROUP.into(),
        target: TargetDescription {
            id: id.into(),
            port,
            availability_zone: None,
        },
    }
}

fn known(registered: Vec<Membership>) -> Known<Belief> {
    Known::Yes(Belief {
        registered,
        uncertain: Vec::new(),
    })
}

fn show(decision: &Decision<Action>) -> String {
    let mut lines = vec![format!("{:?}", decision.outcome)];
    lines.extend(
        decision
            .actions
            .iter()
            .map(|a| format!("{} {}", a.call(), a.input()["Targets"])),
    );
    lines.extend(decision.reasons.iter().map(|r| format!("{}: {}", r.code, r.message)));
    lines.join("\n") + "\n"
}

#[track_caller]
fn check(facts: &Facts, expect: &Expect) {
    expect.assert_eq(&show(&decide(facts)));
}

#[test]
fn a_task_joins_as_its_group_wants_it() {
    check(
        &facts(task(&json!({})), Some(TargetType::Ip), known(vec![])),
        &expect![[r#"
            Act
            RegisterTargets [{"Id":"10.0.0.7","Port":8080}]
            TaskJoins: 10.0.0.7:8080 joins in web-internal
        "#]],
    );
    check(
        &facts(bridge(), Some(TargetType::Ip), known(vec![])),
        &expect![[r#"
            Act
            RegisterTargets [{"Id":"10.1.0.1","Port":32768}]
            TaskJoins: 10.1.0.1:32768 joins in web-internal
        "#]],
    );
    check(
        &facts(bridge(), Some(TargetType::Instance), known(vec![])),
        &expect![[r#"
            Act
            RegisterTargets [{"Id":"i-1","Port":32768}]
            TaskJoins: i-1:32768 joins in web-internal
        "#]],
    );
    check(
        &facts(task(&json!({})), Some(TargetType::Instance), known(vec![])),
        &expect![[r#"
            Wait
            NoAddress: the task has a network interface of its own: it can join a target group of type `ip` only
        "#]],
    );
    check(
        &facts(bridge(), Some(TargetType::Other), known(vec![])),
        &expect![[r#"
        Wait
        TargetGroupMismatch: the targets of group `web-internal` are no tasks: its type must be `ip` or `instance`
    "#]],
    );
    check(
        &facts(bridge(), None, known(vec![])),
        &expect![[r#"
        Wait
        TargetGroupUnresolved: the target group `web-internal` is not known: apply the configuration, which looks it up
    "#]],
    );
}

#[test]
fn an_arn_needs_nothing_looked_up() {
    let mut facts = facts(task(&json!({})), None, known(vec![]));
    facts.managed.stored.config.balancing[0].target_group = GROUP.into();
    let decision = decide(&facts);
    assert_eq!(decision.actions[0].input()["TargetGroupArn"], GROUP);
    facts.task = bridge();
    assert_eq!(
        decide(&facts).actions[0].input()["Targets"],
        json!([{ "Id": "i-1", "Port": 32_768 }])
    );
}

#[test]
fn the_port_is_named_again_when_a_target_leaves() {
    let leaving = task(&json!({ "desiredStatus": "STOPPED" }));
    check(
        &facts(
            leaving.clone(),
            Some(TargetType::Ip),
            known(vec![member("10.0.0.7", 8080)]),
        ),
        &expect![[r#"
            Act
            DeregisterTargets [{"Id":"10.0.0.7","Port":8080}]
            TaskLeaves: task 0123456789abcdef0123456789abcdef leaves (ECS wants it stopped): its endpoint goes first
        "#]],
    );
    // Offline, where it was reached is told by the event.
    check(
        &facts(leaving, Some(TargetType::Ip), Known::No),
        &expect![[r#"
            Act
            DeregisterTargets [{"Id":"10.0.0.7","Port":8080}]
            TaskLeaves: task 0123456789abcdef0123456789abcdef leaves (ECS wants it stopped): its endpoint goes first
        "#]],
    );
}

fn rival(newer: bool) -> Rival<Membership> {
    Rival {
        member: member("10.0.0.7", 8080),
        task: OTHER.parse().unwrap(),
        newer,
    }
}

#[test]
fn a_target_that_another_task_has_taken_over_stays() {
    let mut leaving = facts(
        task(&json!({ "desiredStatus": "STOPPED" })),
        Some(TargetType::Ip),
        known(vec![member("10.0.0.7", 8080)]),
    );
    leaving.rivals = vec![rival(true)];
    check(
        &leaving,
        &expect![[r#"
            Act
            RegisterTargets [{"Id":"10.0.0.7","Port":8080}]
            TaskLeaves: task 0123456789abcdef0123456789abcdef leaves (ECS wants it stopped): its endpoint goes first
            AddressTaken: 10.0.0.7:8080 is task ffffffffffffffffffffffffffffffff's now: it stays
        "#]],
    );
    leaving.draining = vec![member("10.0.0.7", 8080)];
    check(
        &leaving,
        &expect![[r#"
            Ignore
            TaskLeaves: task 0123456789abcdef0123456789abcdef leaves (ECS wants it stopped): its endpoint goes first
            AddressTaken: 10.0.0.7:8080 is task ffffffffffffffffffffffffffffffff's now, and on its way out: it stays so
        "#]],
    );
}

#[test]
fn of_two_tasks_at_one_address_the_later_has_the_target() {
    let mut facts = facts(task(&json!({})), Some(TargetType::Ip), known(vec![]));
    facts.rivals = vec![rival(true)];
    let refused = decide(&facts);
    assert_eq!((refused.outcome, refused.actions.len()), (Outcome::Wait, 0));
    facts.rivals = vec![rival(false)];
    check(
        &facts,
        &expect![[r#"
            Act
            RegisterTargets [{"Id":"10.0.0.7","Port":8080}]
            TaskJoins: 10.0.0.7:8080 joins in web-internal
        "#]],
    );
}

proptest! {
    /// Once a plan is carried out there is nothing left to do, and a leaving task has nothing left at all.
    #[test]
    fn a_plan_is_complete(leaves: bool, held in prop::collection::btree_set((1_u16..4, 8079_u16..8082), 0..4)) {
        let held: Vec<_> = held.into_iter().map(|(last, port)| member(&format!("10.0.0.{}", last + 5), port)).collect();
        let desired = if leaves { "STOPPED" } else { "RUNNING" };
        let task = task(&json!({ "desiredStatus": desired }));
        let decision = decide(&facts(task.clone(), Some(TargetType::Ip), known(held.clone())));
        let mut after = held;
        for action in &decision.actions {
            after.retain(|m| !m.is_same(action.member()));
            if !action.is_leave() {
                after.push(action.member().clone());
            }
        }
        let expected = if leaves { vec![] } else { vec![member("10.0.0.7", 8080)] };
        prop_assert_eq!(&after, &expected);
        let again = decide(&facts(task, Some(TargetType::Ip), known(after)));
        prop_assert!(again.actions.is_empty(), "{:?}", again);
    }
}
