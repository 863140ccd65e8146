//! What a queue asks for.

use serde_json::json;

use super::*;

/// A queue with so many visible messages and so many in flight, asked just now.
fn queue(visible: u64, in_flight: u64) -> QueueFacts {
    QueueFacts {
        visible,
        in_flight,
        oldest: None,
        at: at(10),
    }
}

fn aged(visible: u64, seconds: i64) -> QueueFacts {
    QueueFacts {
        oldest: Some(SignedDuration::from_secs(seconds)),
        ..queue(visible, 0)
    }
}

/// A service of 0 to 20 tasks with one rule for `jobs`.
fn jobs(rule: Value) -> Look {
    let mut rule = rule;
    rule["queue"] = "jobs".into();
    configured(json!({ "min": 0, "max": 20, "rules": [rule], "cooldown": { "out": "0s", "in": "0s" } }))
}

impl Look {
    fn has(self, name: &str, queue: QueueFacts) -> Self {
        self.with(|facts| {
            facts.queues.insert(name.into(), Some(queue));
        })
    }

    /// So long without a message, at the time of the look.
    fn idle_for(self, seconds: i64) -> Self {
        let since = self.now - SignedDuration::from_secs(seconds);
        self.with(|facts| {
            facts.memory.idle.insert("jobs".into(), since);
        })
    }

    #[track_caller]
    fn comes_to(&self, expected: Option<u32>, what: &str) {
        let decided = self.decide();
        assert_eq!(set_by(&decided), expected, "{what}: {:#?}", decided.decision.reasons);
    }
}

#[test]
fn messages_per_task() {
    for (tasks, visible, in_flight, to) in [
        (0, 1, 0, Some(1)),
        (0, 0, 1, Some(1)),
        (0, 0, 0, None),
        (0, 35, 0, Some(4)),
        (2, 35, 0, Some(4)),
        (2, 25, 10, Some(4)),
        (4, 35, 0, None),
        (4, 31, 0, None),
        (4, 30, 0, Some(3)),
        (4, 0, 1, Some(1)),
        (1, 0, 1, None),
        (2, 5_000, 0, Some(20)),
        (2, u64::MAX, u64::MAX, Some(20)),
    ] {
        let look = jobs(json!({ "per-task": 10 }))
            .tasks(tasks)
            .has("jobs", queue(visible, in_flight));
        look.comes_to(to, &format!("{tasks} tasks, {visible} + {in_flight}"));
    }
}

#[test]
fn the_first_task_is_started_strictly_above_the_activation() {
    for (tasks, messages, to) in [
        (0, 50, None),
        (0, 51, Some(6)),
        (0, 40, None), // KEDA's own example: threshold 10, activation 50, 40 messages.
        (1, 40, Some(4)),
        (5, 40, Some(4)),
    ] {
        let rule = json!({ "per-task": 10, "activate-above": 50 });
        let look = jobs(rule).tasks(tasks).has("jobs", queue(messages, 0));
        look.comes_to(to, &format!("{tasks} tasks, {messages} messages"));
    }
    let below = jobs(json!({ "per-task": 10, "activate-above": 50 }))
        .tasks(0)
        .has("jobs", queue(7, 0));
    below.expect(None, Outcome::Ignore, &[Code::BelowActivation]);
    // With a `min` there is nothing to activate.
    let look = below.with(|facts| {
        facts.scaling.min = 1;
        facts.memory = changed(1, 0, -600);
    });
    look.comes_to(Some(1), "min is 1");
}

#[test]
fn to_zero_only_after_a_while_without_messages_and_none_in_flight() {
    for (rule, idle, to) in [
        (json!({ "per-task": 10, "idle-for": "5m" }), 299, None),
        (json!({ "per-task": 10, "idle-for": "5m" }), 300, Some(0)),
        (json!({ "per-task": 10 }), 59, None),
        (json!({ "per-task": 10 }), 60, Some(0)),
        (json!({ "per-task": 10, "idle-for": "0s" }), 0, Some(0)),
        (json!({ "max-age": "5m" }), 59, None),
        (json!({ "max-age": "5m" }), 60, Some(0)),
    ] {
        let one = jobs(rule.clone()).tasks(1).has("jobs", queue(0, 0)).idle_for(idle);
        one.comes_to(to, &format!("one task, {rule} idle for {idle} s"));
        let flying = one.clone().has("jobs", queue(0, 1));
        flying.comes_to(None, "in flight");
        assert!(flying.decide().memory.idle.is_empty(), "the time begins anew");
        // Of several one stays until then.
        let several = one.tasks(6).decide();
        assert_eq!(set_by(&several), Some(to.unwrap_or(1)), "{rule} idle for {idle} s");
    }
    let first = jobs(json!({ "per-task": 10 })).tasks(1).has("jobs", queue(0, 0));
    let decided = first.expect(None, Outcome::Ignore, &[Code::QueueIdle]);
    assert_eq!(
        decided.memory.idle.get("jobs"),
        Some(&at(10)),
        "since when is remembered"
    );
    // What is not known just now does not begin it anew; a rule that is gone is forgotten.
    let unknown = first.with(|facts| {
        facts.queues.clear();
        facts.memory.idle.insert("jobs".into(), at(-100));
        facts.memory.idle.insert("gone".into(), at(-100));
    });
    assert_eq!(
        unknown.decide().memory.idle,
        BTreeMap::from([("jobs".into(), at(-100))])
    );
}

#[test]
fn the_age_of_the_oldest_message_adds_tasks_in_proportion() {
    for (rule, tasks, visible, age, to) in [
        (json!({ "max-age": "5m" }), 4, 100, 300, None),
        (json!({ "max-age": "5m" }), 4, 100, 301, Some(5)),
        (json!({ "max-age": "5m" }), 4, 100, 450, Some(6)),
        (json!({ "max-age": "5m" }), 4, 100, 9_000, Some(8)),
        (json!({ "max-age": "5m" }), 1, 100, 400, Some(2)),
        (json!({ "max-age": "5m" }), 0, 1, 9_000, Some(1)),
        (json!({ "max-age": "5m" }), 4, 1, 10, None),
        (json!({ "max-age": "5m", "per-task": 10 }), 4, 100, 450, Some(10)),
        (json!({ "max-age": "5m", "per-task": 100 }), 4, 100, 450, Some(6)),
        (json!({ "max-age": "5m", "per-task": 100 }), 4, 100, 10, Some(1)),
    ] {
        let look = jobs(rule.clone()).tasks(tasks).has("jobs", aged(visible, age));
        look.comes_to(to, &format!("{rule}: {tasks} tasks, {visible} messages, {age} s"));
    }
    // The metric is of a minute: right after a change it is the one that was acted upon.
    let again = |since: i64| {
        let look = jobs(json!({ "max-age": "5m" })).has("jobs", aged(100, 450));
        set_by(&look.with(|facts| facts.memory = changed(2, 4, 10 - since)).decide())
    };
    assert_eq!((again(59), again(60)), (None, Some(6)));
}

#[test]
fn what_is_not_known_of_a_queue_asks_for_nothing_and_objects() {
    use Code::*;
    let rules =
        json!([{ "queue": "jobs", "per-task": 10 }, { "alarm": "idle", "add": -1 }, { "alarm": "busy", "add": 2 }]);
    let unknown = look(rules).knows("idle", alarm(0)).knows("busy", ok(0));
    let decided = unknown.expect(
        None,
        Outcome::Wait,
        &[FactsMissing, ScaleIn, AlarmNotActive, ScaleInBlocked],
    );
    assert_eq!(decided.decision.missing, ["GetQueueAttributes"]);
    let busy = unknown.clone().knows("busy", alarm(0));
    busy.expect(Some(6), Outcome::Act, &[FactsMissing, ScaleIn, ScaleOut, ScaleOut]);

    let gone = unknown.clone().with(|facts| {
        facts.queues.insert("jobs".into(), None);
    });
    gone.expect(
        None,
        Outcome::Ignore,
        &[QueueNotFound, ScaleIn, AlarmNotActive, ScaleInBlocked],
    );
    let old = unknown.clone().has("jobs", queue(0, 0)).at(911);
    assert_eq!(old.decide().decision.missing, ["GetQueueAttributes", "DescribeAlarms"]);

    // Without the age a rule goes on with the number of messages, and does not agree to fewer tasks.
    let blind = jobs(json!({ "max-age": "5m", "per-task": 10 })).has("jobs", queue(20, 0));
    let decided = blind.expect(None, Outcome::Wait, &[AlreadyAtDesiredCapacity]);
    assert_eq!(decided.decision.missing, ["GetMetricData"]);
    blind.has("jobs", queue(60, 0)).comes_to(Some(6), "more messages");
}

#[test]
fn a_queue_agrees_with_the_other_rules_or_not() {
    use Code::*;
    let rules = json!([{ "queue": "jobs", "per-task": 10 }, { "alarm": "idle", "add": -1 }]);
    let both = |messages| {
        look(rules.clone())
            .knows("idle", alarm(0))
            .has("jobs", queue(messages, 0))
    };
    both(30).expect(Some(3), Outcome::Act, &[ScaleIn, ScaleIn, ScaleIn]);
    both(10).expect(Some(3), Outcome::Act, &[ScaleIn, ScaleIn, ScaleIn]);
    both(40).expect(
        None,
        Outcome::Ignore,
        &[AlreadyAtDesiredCapacity, ScaleIn, ScaleInBlocked],
    );
    both(90).expect(Some(9), Outcome::Act, &[ScaleOut, ScaleIn, ScaleOut]);
    let told = both(90).decide().decision.reasons[0].message.clone();
    assert_eq!(
        told,
        "queue `jobs` has 90 messages, 0 of them in flight, a task is for 10: asks for 9 tasks, there are 4"
    );
}
