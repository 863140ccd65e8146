//! What happens one look after the other: cooldowns, persistent alarms, foreign changes, crashes.

use serde_json::json;

use super::*;

/// A service that looks have an effect on.
struct Story(Look);

/// What a look came to: the count that was set, or why not.
#[derive(Debug, PartialEq)]
enum Came {
    To(u32),
    Not(Code),
}
use Came::{Not, To};

/// Where a look is cut short.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crash {
    BeforeCall,
    AfterCall,
}

fn story(scaling: serde_json::Value) -> Story {
    Story(configured(scaling))
}

impl Story {
    fn knows(&mut self, name: &str, state: AlarmState) {
        let seen = self
            .0
            .facts
            .alarms
            .entry(name.into())
            .or_insert_with(|| AlarmFacts::told(state.clone()).with_metric(None));
        seen.state = Some(state);
    }

    fn desired(&self) -> u32 {
        let Known::Yes(Some(service)) = &self.0.facts.service else {
            panic!("there is a service")
        };
        service.desired_count
    }

    fn set(&mut self, desired: u32) {
        self.0.facts.service = Known::Yes(Some(service(desired)));
    }

    /// One look, cut short or not. What DescribeAlarms would say is what is known.
    fn look(&mut self, seconds: i64, crash: Option<Crash>) -> Came {
        for alarm in self.0.facts.alarms.values_mut() {
            alarm.confirmed = Some(at(seconds));
        }
        let decided = decide(&self.0.facts, at(seconds));
        let Some(to) = set_by(&decided) else {
            self.0.facts.memory = decided.memory;
            return Not(decided.decision.reasons.last().unwrap().code);
        };
        let stored = decided.before_call();
        self.0.facts.memory = stored.clone();
        if crash != Some(Crash::BeforeCall) {
            self.set(to);
        }
        if crash.is_none() {
            self.0.facts.memory = settle(stored);
        }
        To(to)
    }

    #[track_caller]
    fn expect(&mut self, looks: &[(i64, Came)]) {
        for (seconds, expected) in looks {
            assert_eq!(self.look(*seconds, None), *expected, "at {seconds}");
        }
    }
}

#[test]
fn a_persistent_alarm_steps_again_after_the_cooldown() {
    let rules = json!([{ "alarm": "a", "add": 2 }]);
    let mut story = story(json!({ "min": 2, "max": 9, "rules": rules, "cooldown": { "out": "90s", "in": "5m" } }));
    story.knows("a", alarm(0));
    story.expect(&[
        (1, To(6)),
        (2, Not(Code::Cooldown)),
        (60, Not(Code::Cooldown)),
        (90, Not(Code::Cooldown)),
        (91, To(8)),
        (181, To(9)),
        (300, Not(Code::AlreadyAtMaxCapacity)),
    ]);
    story.knows("a", ok(301));
    story.expect(&[(302, Not(Code::AlarmNotActive)), (900, Not(Code::AlarmNotActive))]);
}

#[test]
fn without_a_cooldown_a_persistent_alarm_steps_once_a_minute_and_a_new_one_at_once() {
    let rules = json!([{ "alarm": "a", "add": 1 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } }));
    story.knows("a", alarm(0));
    story.expect(&[
        (1, To(5)),
        (1, Not(Code::Cooldown)),
        (60, Not(Code::Cooldown)),
        (61, To(6)),
    ]);
    story.knows("a", ok(65));
    story.expect(&[(66, Not(Code::AlarmNotActive))]);
    story.knows("a", alarm(70));
    story.expect(&[(71, To(7)), (72, Not(Code::Cooldown))]);
}

#[test]
fn an_alarm_that_left_before_the_look_gives_no_step() {
    let mut story = story(json!({ "min": 2, "max": 20, "rules": [{ "alarm": "a", "add": 1 }] }));
    story.knows("a", ok(5));
    story.expect(&[(6, Not(Code::AlarmNotActive))]);
}

#[test]
fn within_the_cooldown_a_larger_step_adds_the_difference() {
    let rules = json!([{ "alarm": "a", "add": 2 }, { "alarm": "b", "add": 3 }, { "alarm": "c", "add": 3 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "5m", "in": "5m" } }));
    story.set(10);
    story.knows("a", alarm(0));
    story.knows("b", ok(0));
    story.knows("c", ok(0));
    story.expect(&[(1, To(12))]);
    story.knows("b", alarm(60));
    story.expect(&[(61, To(13)), (62, Not(Code::Cooldown))]);
    story.knows("c", alarm(90));
    story.expect(&[(91, Not(Code::Cooldown)), (360, Not(Code::Cooldown)), (361, To(16))]);
}

#[test]
fn what_a_limit_left_of_a_step_is_no_larger_step() {
    let mut story = story(json!({
        "min": 2,
        "max": 20,
        "rules": [{ "queue": "jobs", "per-task": 1 }],
        "limit": { "out": { "tasks": 1, "per": "30s" } },
        "cooldown": { "out": "2m" },
    }));
    let messages = |story: &mut Story, visible| {
        let found = QueueFacts {
            visible,
            in_flight: 0,
            oldest: None,
            at: at(0),
        };
        story.0.facts.queues.insert("jobs".into(), Some(found));
    };
    messages(&mut story, 7);
    story.expect(&[(1, To(5)), (31, Not(Code::Cooldown)), (61, Not(Code::Cooldown))]);
    messages(&mut story, 8);
    story.expect(&[(62, To(6)), (92, Not(Code::Cooldown)), (182, To(7))]);
}

#[test]
fn the_cooldown_of_a_change_that_a_later_look_finished_begins_then() {
    let rules = json!([{ "alarm": "a", "add": 2 }, { "alarm": "b", "add": -1 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "5m", "in": "5m" } }));
    story.knows("a", alarm(0));
    story.knows("b", ok(0));
    assert_eq!(story.look(1, Some(Crash::BeforeCall)), To(6));
    assert_eq!(story.look(500, Some(Crash::BeforeCall)), To(6));
    story.expect(&[(600, To(6))]);
    story.knows("a", alarm(610));
    story.expect(&[(899, Not(Code::Cooldown)), (900, To(8))]);
}

#[test]
fn a_change_that_is_repeated_in_vain_is_given_up_all_the_same() {
    let mut story = story(json!({ "min": 2, "max": 20, "rules": [{ "alarm": "a", "add": 2 }] }));
    story.knows("a", alarm(0));
    for seconds in [1, 600, 900] {
        assert_eq!(story.look(seconds, Some(Crash::BeforeCall)), To(6));
    }
    story.knows("a", ok(900));
    story.expect(&[(902, Not(Code::AlarmNotActive))]);
}

#[test]
fn a_smaller_count_waits_for_the_cooldown_after_any_change_and_a_larger_for_none_of_it() {
    let rules = json!([{ "alarm": "high", "add": 2 }, { "alarm": "low", "add": -1 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "60s", "in": "5m" } }));
    story.knows("high", alarm(0));
    story.knows("low", ok(0));
    story.expect(&[(1, To(6))]);
    story.knows("high", ok(30));
    story.knows("low", alarm(40));
    story.expect(&[
        (41, Not(Code::Cooldown)),
        (300, Not(Code::Cooldown)),
        (301, To(5)),
        (600, Not(Code::Cooldown)),
    ]);
    story.knows("high", alarm(602));
    story.expect(&[(603, To(7))]);
    story.knows("high", ok(604));
    story.expect(&[(605, Not(Code::Cooldown)), (902, Not(Code::Cooldown)), (903, To(6))]);
}

#[test]
fn after_fewer_tasks_more_still_wait_for_the_cooldown_of_the_last_more() {
    let rules = json!([{ "alarm": "high", "add": 2 }, { "alarm": "higher", "add": 5 }, { "alarm": "low", "add": -1 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "5m", "in": "0s" } }));
    story.knows("high", alarm(0));
    story.knows("higher", ok(0));
    story.knows("low", ok(0));
    story.expect(&[(1, To(6))]);
    story.knows("high", ok(30));
    story.knows("low", alarm(40));
    story.expect(&[(41, To(5))]);
    story.knows("low", ok(50));
    story.knows("higher", alarm(60));
    // The first step was taken back in part: there is nothing left that a larger one could be reckoned from.
    story.expect(&[(61, Not(Code::Cooldown)), (300, Not(Code::Cooldown)), (301, To(10))]);
}

#[test]
fn opposite_alarms_of_the_same_second() {
    for first in ["high", "low"] {
        let rules = json!([{ "alarm": "high", "add": 2 }, { "alarm": "low", "add": -1 }]);
        let mut story = story(json!({ "min": 2, "max": 20, "rules": rules }));
        story.knows("high", ok(-100));
        story.knows("low", ok(-100));
        story.knows(first, alarm(0));
        story.look(1, None);
        story.knows("high", alarm(0));
        story.knows("low", alarm(0));
        story.look(1, None);
        assert_eq!(
            story.desired(),
            if first == "high" { 6 } else { 5 },
            "more tasks win, whichever comes first"
        );
        story.expect(&[
            (2, Not(Code::Cooldown)),
            (60, Not(Code::Cooldown)),
            (61, To(story.desired() + 2)),
        ]);
    }
}

#[test]
fn a_target_acts_upon_each_reading_once() {
    let rules = json!([{ "alarm": "cpu", "target": 60 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "60s", "in": "60s" } }));
    story.knows("cpu", alarm(0).reads(90.0, 60.0));
    story.expect(&[
        (1, To(6)),
        (2, Not(Code::StaleReading)),
        (61, Not(Code::StaleReading)),
        (4_000, Not(Code::StaleReading)),
    ]);
    story.knows("cpu", ok(4_100).reads(40.0, 60.0));
    story.expect(&[(4_101, To(4)), (4_200, Not(Code::StaleReading))]);
    // A reading that had to wait for the cooldown is still good after it.
    story.knows("cpu", alarm(4_150).reads(120.0, 60.0));
    story.expect(&[(4_151, To(8))]);
    story.knows("cpu", alarm(4_190).reads(90.0, 60.0));
    story.expect(&[(4_191, Not(Code::Cooldown)), (4_211, To(12))]);
}

#[test]
fn what_someone_else_did_stands_and_starts_a_cooldown() {
    let rules = json!([{ "alarm": "a", "add": 1 }, { "alarm": "low", "add": -1 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "60s", "in": "5m" } }));
    story.knows("a", alarm(0));
    story.knows("low", ok(0));
    story.expect(&[(1, To(5))]);
    story.set(12);
    story.expect(&[(100, Not(Code::Cooldown))]);
    let last = story.0.facts.memory.last.unwrap();
    assert_eq!(
        last,
        Change {
            from: 5,
            to: 12,
            at: at(100),
            foreign: true
        }
    );
    story.expect(&[(159, Not(Code::Cooldown)), (160, To(13))]);
    story.knows("a", ok(170));
    story.knows("low", alarm(170));
    story.set(9);
    story.expect(&[(200, Not(Code::Cooldown)), (499, Not(Code::Cooldown)), (500, To(8))]);
}

#[test]
fn the_first_look_takes_the_count_as_it_is() {
    let mut story = story(json!({ "min": 2, "max": 20, "rules": [{ "alarm": "a", "add": 1 }] }));
    story.set(11);
    story.knows("a", alarm(0));
    story.expect(&[(1, To(12))]);
}

#[test]
fn a_description_that_lags_is_not_someone_else() {
    let rules = json!([{ "alarm": "a", "add": 1 }, { "alarm": "b", "add": 2 }]);
    let mut story = story(json!({ "min": 2, "max": 20, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } }));
    story.knows("a", alarm(0));
    story.knows("b", ok(0));
    story.expect(&[(1, To(5))]);
    story.set(4);
    story.knows("b", alarm(2));
    story.expect(&[(3, To(7))]);
    story.set(5);
    let decided = story.0.clone().at(13).decide();
    assert_eq!(
        decided.decision.reasons.first().map(|r| r.code),
        Some(Code::ForeignChange),
        "10 s later it is"
    );
}

#[test]
fn a_crash_between_any_two_calls_leads_to_one_effect() {
    for crash in [Crash::BeforeCall, Crash::AfterCall] {
        for cooldown in ["0s", "60s"] {
            let rules = json!([{ "alarm": "a", "percent": 100 }, { "alarm": "cpu", "target": 60 }]);
            let scaling =
                json!({ "min": 2, "max": 50, "rules": rules, "cooldown": { "out": cooldown, "in": cooldown } });
            let mut story = story(scaling);
            story.knows("a", alarm(0));
            story.knows("cpu", alarm(0).reads(90.0, 60.0));
            assert_eq!(story.look(1, Some(crash)), To(8));
            let called = if crash == Crash::BeforeCall { 2 } else { 1 };
            // The alarm's duplicate, and the sweep, until the cooldown is over.
            for seconds in [2, 3, 30, 59] {
                let again = if crash == Crash::BeforeCall && seconds == 2 {
                    To(8)
                } else {
                    Not(Code::Cooldown)
                };
                assert_eq!(story.look(seconds, None), again, "{crash:?} {cooldown} at {seconds}");
                assert_eq!(story.desired(), 8);
            }
            assert_eq!(
                story.0.facts.memory.last,
                Some(Change {
                    from: 4,
                    to: 8,
                    at: at(called),
                    foreign: false
                })
            );
            assert_eq!(story.0.facts.memory.intent, None);
            assert_eq!(story.look(called + 59, None), Not(Code::Cooldown));
            assert_eq!(
                story.look(called + 60, None),
                To(16),
                "the cooldown counts from when the call was made"
            );
        }
    }
}

#[test]
fn crashes_one_after_the_other_lead_to_one_effect() {
    let mut story = story(json!({ "min": 2, "max": 20, "rules": [{ "alarm": "a", "add": 2 }] }));
    story.knows("a", alarm(0));
    assert_eq!(story.look(1, Some(Crash::BeforeCall)), To(6));
    assert_eq!(story.look(20, Some(Crash::BeforeCall)), To(6));
    story.knows("a", ok(30));
    assert_eq!(story.look(40, Some(Crash::AfterCall)), To(6));
    assert_eq!(story.look(50, None), Not(Code::AlarmNotActive));
    assert_eq!((story.desired(), story.0.facts.memory.intent.clone()), (6, None));
}

#[test]
fn what_becomes_of_an_unfinished_change() {
    use Code::*;
    let mut memory = changed(2, 4, -1_000);
    let used = BTreeMap::from([(
        "a".to_owned(),
        Used {
            at: at(0),
            transition: Some(at(0)),
            reading: None,
        },
    )]);
    memory.intent = Some(Intent {
        from: 4,
        to: 6,
        at: at(0),
        repeated: None,
        base: 4,
        wanted: 0,
        limited: false,
        bounds: None,
        used,
    });
    let look = look(json!([{ "alarm": "a", "add": 2 }]))
        .knows("a", alarm(0))
        .with(|facts| facts.memory = memory.clone());

    let repeated = look.expect(Some(6), Outcome::Act, &[IntentResumed]).before_call();
    let mut again = memory.clone();
    again.intent.as_mut().unwrap().repeated = Some(look.now);
    assert_eq!(repeated, again, "nothing is reckoned anew");

    let settled = look
        .clone()
        .tasks(6)
        .expect(None, Outcome::Wait, &[IntentResumed, ScaleOut, Cooldown]);
    assert_eq!(settled.memory, seen(settle(memory.clone())));

    let foreign = look
        .clone()
        .tasks(9)
        .at(61)
        .expect(None, Outcome::Wait, &[ForeignChange, ScaleOut, Cooldown]);
    assert_eq!(foreign.memory.intent, None);
    assert_eq!(
        foreign.memory.last,
        Some(Change {
            from: 6,
            to: 9,
            at: at(61),
            foreign: true
        })
    );
    assert!(foreign.memory.used.contains_key("a"), "its call may have been made");

    let narrow = look.clone().with(|facts| facts.scaling.max = 5);
    narrow.expect(Some(5), Outcome::Act, &[IntentResumed, ScaleOut, ScaleOut]);
    let late = look.clone().at(901).knows("a", ok(500));
    let given_up = late.expect(None, Outcome::Ignore, &[IntentResumed, AlarmNotActive]);
    assert_eq!(given_up.memory, seen(changed(2, 4, -1_000)));

    let held = look.with(|facts| {
        facts.service = Known::Yes(Some(described(4, "IN_PROGRESS")));
        facts.scaling.during_deployment = crate::config::DuringDeployment::Hold;
    });
    let held = held.expect(None, Outcome::Wait, &[IntentResumed, DeploymentInProgress]);
    assert_eq!(held.memory, memory, "it stays unfinished");
}

#[test]
fn a_clock_behind_cloudwatchs_does_not_act_twice_upon_a_reading() {
    let rules = json!([{ "alarm": "cpu", "target": 60 }]);
    let mut story = story(json!({ "min": 2, "max": 50, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } }));
    story.knows("cpu", alarm(30).reads(90.0, 60.0));
    story.expect(&[(1, To(6)), (2, Not(Code::StaleReading)), (31, Not(Code::StaleReading))]);
}

#[test]
fn a_rule_that_was_content_has_had_its_say() {
    let rules = json!([{ "alarm": "a", "percent": 1 }, { "alarm": "b", "add": 1 }]);
    let scaling = json!({ "min": 0, "max": 9, "rules": rules, "cooldown": { "out": "0s", "in": "0s" } });
    let mut story = story(scaling);
    story.set(0);
    story.knows("a", alarm(0));
    story.knows("b", alarm(0));
    story.expect(&[(1, To(1)), (2, Not(Code::Cooldown)), (61, To(2))]);
}
