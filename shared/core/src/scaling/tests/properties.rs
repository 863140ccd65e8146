//! What holds whatever is configured, known and remembered.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ledger::{Merge, compare};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn rule() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        (1..120_u32).prop_map(|target| json!({ "target": target })),
        (-4..6_i32).prop_map(|add| json!({ "add": add })),
        (-90..200_i32, 0..4_u32).prop_map(|(percent, min)| json!({ "percent": percent, "min-step": min })),
        (0..25_u32).prop_map(|set| json!({ "set": set })),
        (-3..3_i32).prop_map(ascending),
    ];
    (kind, any::<bool>()).prop_map(|(mut rule, ignore)| {
        if ignore {
            rule["missing"] = "ignore".into();
        }
        rule
    })
}

/// Steps without a gap, each larger than the one before.
fn ascending(first: i32) -> Value {
    let step = |from: Option<i32>, to: Option<i32>, n: i32| {
        let mut step = json!({ "add": first + n });
        for (key, bound) in [("from", from), ("to", to)] {
            if let Some(bound) = bound {
                step[key] = bound.into();
            }
        }
        step
    };
    json!({ "steps": [step(None, Some(-20), 0), step(Some(-20), Some(0), 1), step(Some(0), Some(30), 2), step(Some(30), None, 4)] })
}

fn scaling(rules: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Value> {
    let cooldown = prop_oneof![Just("0s"), Just("60s"), Just("5m")];
    let mode = prop_oneof![Just("out-only"), Just("hold"), Just("free")];
    (
        0..6_u32,
        0..20_u32,
        rules,
        (cooldown.clone(), cooldown),
        mode,
        slowed(),
        proptest::option::of((0..30_u32, 0..30_u32)),
    )
        .prop_map(|(min, more, mut rules, (out, inward), mode, slowed, scheduled)| {
            for (rule, name) in rules.iter_mut().zip(NAMES) {
                rule["alarm"] = name.into();
            }
            let mut scaling = json!({
                "min": min, "max": min + more, "rules": rules,
                "cooldown": { "out": out, "in": inward }, "during-deployment": mode,
            });
            for (key, value) in slowed {
                scaling[key] = value;
            }
            if let Some((min, max)) = scheduled {
                scaling["schedule"] = json!([{ "cron": "0 8 * * *", "min": min }, { "cron": "0 9 * * *", "max": max }]);
            }
            scaling
        })
}

/// Windows, limits and a warm-up, or none of them.
fn slowed() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let window = || prop_oneof![2 => Just("0s"), 1 => Just("60s"), 1 => Just("5m")];
    let change = || {
        let percent = proptest::option::of(0..120_u32);
        proptest::option::of((0..6_u32, percent).prop_map(|(tasks, percent)| {
            let mut limit = json!({ "tasks": tasks, "per": "5m" });
            if let Some(percent) = percent {
                limit["percent"] = percent.into();
            }
            limit
        }))
    };
    (window(), window(), change(), change(), window()).prop_map(|(up, down, out, inward, warm_up)| {
        let mut limit = json!({});
        for (key, change) in [("out", out), ("in", inward)] {
            if let Some(change) = change {
                limit[key] = change;
            }
        }
        vec![
            ("stabilise", json!({ "out": up, "in": down })),
            ("limit", limit),
            ("warm-up", warm_up.into()),
        ]
    })
}

/// The bounds that are in force at the look.
fn in_force(look: &Look) -> Bounds {
    bounds(&look.facts.scaling, look.facts.overridden, look.now).bounds
}

fn alarm_value() -> impl Strategy<Value = AlarmValue> {
    prop_oneof![5 => Just(AlarmValue::Alarm), 3 => Just(AlarmValue::Ok), 1 => Just(AlarmValue::InsufficientData)]
}

fn alarm_state(since: impl Strategy<Value = i64>) -> impl Strategy<Value = AlarmState> {
    let reading = proptest::option::weighted(0.9, 0..160_i32);
    (alarm_value(), since, reading, proptest::bool::weighted(0.1)).prop_map(|(value, since, reading, muted)| {
        let state = AlarmState {
            muted,
            ..state(value, since)
        };
        reading.map_or(state.clone(), |reading| state.reads(reading.into(), 60.0))
    })
}

fn memory() -> impl Strategy<Value = Memory> {
    let change = (0..25_u32, 0..25_u32, -400..0_i64).prop_map(|(from, to, when)| changed(from, to, when));
    let marks = proptest::collection::vec((0..3_usize, -400..0_i64), 0..3);
    let past = (change, marks).prop_map(|(memory, marks)| {
        marks
            .into_iter()
            .fold(memory, |memory, (name, when)| used(memory, NAMES[name], when, when))
    });
    prop_oneof![Just(Memory::default()), past]
}

/// Any look at all.
fn any_look() -> impl Strategy<Value = Look> {
    let rules = proptest::collection::vec(rule(), 1..=3);
    let alarms = proptest::collection::vec(proptest::option::weighted(0.9, alarm_state(-600..0_i64)), 3);
    (
        scaling(rules),
        alarms,
        memory(),
        0..30_u32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(scaling, alarms, memory, desired, same, deploying)| {
            let mut look = configured(scaling).with(|facts| facts.memory = memory);
            let desired = look.facts.memory.last.filter(|_| same).map_or(desired, |last| last.to);
            let rollout = if deploying { "IN_PROGRESS" } else { "COMPLETED" };
            look.facts.service = Known::Yes(Some(described(desired, rollout)));
            for (name, state) in NAMES.iter().zip(alarms) {
                if let Some(state) = state {
                    look = look.knows(name, state);
                }
            }
            look
        })
}

/// Whether the count goes into other bounds, which no rule asks for.
fn is_into_bounds(decided: &Decided) -> bool {
    decided
        .decision
        .reasons
        .last()
        .is_some_and(|reason| reason.code == Code::ScheduledBounds)
}

pub(super) fn desired(look: &Look) -> u32 {
    let Known::Yes(Some(service)) = &look.facts.service else {
        panic!("there is a service")
    };
    service.desired_count
}

/// What the count is after the look.
pub(super) fn result(look: &Look) -> u32 {
    set_by(&look.decide()).unwrap_or(desired(look))
}

/// This many cases, or as many as `PROPTEST_CASES` says.
pub(super) fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(cases),
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn a_change_is_one_and_within_the_bounds(look in any_look()) {
        let decided = look.decide();
        prop_assert!(!decided.decision.reasons.is_empty());
        prop_assert_eq!(decided.decision.outcome == Outcome::Act, !decided.decision.actions.is_empty());
        if let Some(to) = set_by(&decided) {
            let Intent { from, to: intended, at, .. } = decided.intent.unwrap();
            prop_assert_eq!((intended, at), (to, look.now));
            prop_assert_ne!(from, to);
            let Bounds { min, max } = in_force(&look);
            prop_assert!((min..=max).contains(&to));
        }
    }

    #[test]
    fn nothing_is_removed_while_a_rule_wants_more(look in any_look()) {
        let decided = look.decide();
        if !is_into_bounds(&decided) && set_by(&decided).is_some_and(|to| to < decided.intent.as_ref().unwrap().from) {
            let codes: Vec<_> = decided.decision.reasons.iter().map(|r| r.code).collect();
            prop_assert!(!codes.contains(&Code::ScaleOut), "{:?}", codes);
            let names = NAMES.iter().take(look.facts.scaling.rules.len());
            for (name, rule) in names.zip(&look.facts.scaling.rules) {
                let crate::config::Rule::Alarm(rule) = rule else { continue };
                let alarm = look.facts.alarms.get(*name).and_then(|a| a.state.as_ref());
                let more = rule.add.is_some_and(|n| n >= 0);
                let raised = alarm.is_some_and(|a| a.value == AlarmValue::Alarm && !a.muted);
                prop_assert!(!(more && raised), "`{}` wants more, or as many", name);
                let dark = alarm.is_none_or(|a| a.value == AlarmValue::InsufficientData && !a.muted);
                prop_assert!(!dark || rule.missing == crate::config::Missing::Ignore, "`{}` says nothing", name);
            }
        }
    }

    #[test]
    fn after_a_change_the_same_facts_change_nothing(look in any_look(), lags in any::<bool>()) {
        let decided = look.decide();
        prop_assume!(!is_into_bounds(&decided));
        let mut again = look.clone();
        again.facts.memory = decided.memory.clone();
        if let Some(to) = set_by(&decided) {
            again.facts.memory = settle(decided.before_call());
            if !lags {
                again = again.tasks(to);
            }
        }
        let second = again.decide();
        prop_assert_eq!(set_by(&second), None, "{:#?} then {:#?}", decided, second);
        // The next step of an alarm that stays is wished for already, or held back by a deployment.
        let settled = |memory: &Memory| Memory {
            wishes: Vec::new(),
            deploying: None,
            ..memory.clone()
        };
        prop_assert_eq!(settled(&second.memory), settled(&again.facts.memory), "the memory has settled too");
    }

    #[test]
    fn a_higher_metric_never_means_fewer_tasks(
        look in any_look(),
        which in prop_oneof![(1..120_u32).prop_map(|target| json!({ "target": target })), (-3..3_i32).prop_map(ascending)],
        value in alarm_value(),
        low in 0..160_i32,
        more in 0..100_i32,
    ) {
        let mut which = which;
        which["alarm"] = "metric".into();
        let rule = serde_json::from_value(which).unwrap();
        let look = look.with(|facts| facts.scaling.rules.push(rule));
        let read = |metric: i32| {
            let mut state = state(value, -1).reads(metric.into(), 60.0);
            state.reading.as_mut().unwrap().at = Some(at(-1));
            result(&look.clone().knows("metric", state))
        };
        let (lower, higher) = (read(low), read(low + more));
        prop_assert!(lower <= higher, "{} at {low}, {} at {}", lower, higher, low + more);
    }

    #[test]
    fn a_crash_leads_to_exactly_one_effect(look in any_look(), before_call in any::<bool>(), later in 0..59_i64) {
        let look = look.with(|facts| {
            facts.scaling.cooldown = serde_json::from_value(json!({ "out": "60s", "in": "60s" })).unwrap();
        });
        let decided = look.decide();
        let Some(to) = set_by(&decided) else { return Ok(()) };
        // Into other bounds the count goes at once, and the rules have their say at the next look.
        prop_assume!(!is_into_bounds(&decided));
        let from = desired(&look);
        let mut after = look.clone();
        after.facts.memory = decided.before_call();
        if !before_call {
            after = after.tasks(to);
        }
        after.now += SignedDuration::from_secs(later);
        let mut effects = u32::from(!before_call);
        for _ in 0..3 {
            let decided = after.decide();
            after.facts.memory = decided.memory.clone();
            if let Some(again) = set_by(&decided) {
                prop_assert_eq!(again, to);
                effects += 1;
                after.facts.memory = settle(decided.before_call());
                after = after.tasks(again);
            }
        }
        // A deployment may hold the second half of a change to fewer tasks back; then there was no first half either.
        let held = before_call && effects == 0;
        prop_assert!(!held, "the count was {from}, the change to {to} is lost");
        prop_assert_eq!((effects, desired(&after)), (1, to));
        prop_assert_eq!(after.facts.memory.intent, None);
    }
}

/// What happens to a service in the course of time.
#[derive(Debug, Clone)]
enum Happens {
    /// An event of the alarm's state so many seconds ago arrives, perhaps late, perhaps for the second time.
    Event(usize, AlarmValue, i64),
    /// Someone sets the count.
    Foreign(u32),
    /// The sweep looks.
    Sweep,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..3_usize, alarm_value(), 0..200_i64).prop_map(|(which, value, ago)| Happens::Event(which, value, ago)),
        1 => (1..20_u32).prop_map(Happens::Foreign),
        4 => Just(Happens::Sweep),
    ]
}

/// A change that the service saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    at: i64,
    from: u32,
    to: u32,
    foreign: bool,
}

/// Runs a history: every look is made twice, and cut short where `crash` says so.
fn run(mut look: Look, history: &[(i64, Happens, u8)]) -> Vec<Seen> {
    let (mut clock, mut seen) = (0, Vec::new());
    for (pause, happens, crash) in history {
        clock += pause;
        match happens {
            Happens::Event(which, value, ago) => {
                let told = state(*value, clock - ago);
                let known = look.facts.alarms.get(NAMES[*which]).and_then(|a| a.state.as_ref());
                let order = |state: &AlarmState| state.timestamp.as_millisecond();
                if compare(known.map(order), order(&told)) == Merge::Fresh {
                    look = look.knows(NAMES[*which], told);
                }
            }
            Happens::Foreign(count) => {
                seen.push(Seen {
                    at: clock,
                    from: desired(&look),
                    to: *count,
                    foreign: true,
                });
                look = look.tasks(*count);
            }
            Happens::Sweep => {}
        }
        for alarm in look.facts.alarms.values_mut() {
            alarm.confirmed = Some(at(clock));
        }
        for crash in [*crash, 2] {
            look = look.at(clock);
            let decided = look.decide();
            look.facts.memory = decided.memory.clone();
            let Some(to) = set_by(&decided) else { continue };
            look.facts.memory = decided.before_call();
            if crash != 0 {
                if desired(&look) != to {
                    seen.push(Seen {
                        at: clock,
                        from: desired(&look),
                        to,
                        foreign: false,
                    });
                }
                look = look.tasks(to);
            }
            if crash > 1 {
                look.facts.memory = settle(decided.before_call());
            }
        }
    }
    seen
}

proptest! {
    #![proptest_config(cases(300))]

    /// The steps of one cooldown, however many alarms there are and whatever crashes, come to no more than one step.
    #[test]
    fn never_two_steps_in_one_cooldown(
        adds in proptest::collection::vec(-3..5_i32, 1..=3),
        out in prop_oneof![Just(30_i64), Just(60), Just(300)],
        inward in prop_oneof![Just(30_i64), Just(300)],
        history in proptest::collection::vec((0..90_i64, happens(), 0..8_u8), 1..60),
    ) {
        let largest = adds.iter().copied().max().unwrap_or(0).max(0).unsigned_abs();
        let rules: Vec<_> = adds.iter().zip(NAMES).map(|(add, name)| json!({ "alarm": name, "add": add })).collect();
        let cooldown = json!({ "out": format!("{out}s"), "in": format!("{inward}s") });
        let look = configured(json!({ "min": 1, "max": 40, "rules": rules, "cooldown": cooldown }));
        let seen = run(look, &history);
        for (i, change) in seen.iter().enumerate().filter(|(_, change)| !change.foreign) {
            let before: Vec<_> = seen[..i].iter().rev().filter(|earlier| !earlier.foreign).collect();
            if change.to < change.from {
                let soon = before.first().filter(|earlier| change.at < earlier.at + inward);
                prop_assert!(soon.is_none(), "{change:?} soon after {soon:?}");
                continue;
            }
            prop_assert!(change.to <= change.from + largest, "{change:?}: more than a step");
            let Some(last) = before.iter().find(|earlier| earlier.to > earlier.from) else { continue };
            if change.at >= last.at + out {
                continue;
            }
            // Within the cooldown: the rest of a larger step, with nothing between the two.
            prop_assert_eq!(last.to, change.from);
            let mut first = *last;
            for earlier in before.iter().skip(1) {
                if earlier.to != first.from || first.at >= earlier.at + out || earlier.to < earlier.from {
                    break;
                }
                first = earlier;
            }
            prop_assert!(change.to <= first.from + largest, "{first:?} .. {change:?}: more than a step");
        }
    }

    /// A history in which every event comes twice, once more much later, and the sweep looks all the time, has the same
    /// changes as without.
    #[test]
    fn duplicates_and_late_copies_change_nothing(
        rules in proptest::collection::vec(-3..5_i32, 1..=3),
        history in proptest::collection::vec((1..90_i64, 0..3_usize, alarm_value()), 1..40),
    ) {
        let rules: Vec<_> = rules.iter().zip(NAMES).map(|(add, name)| json!({ "alarm": name, "add": add })).collect();
        let look = || configured(json!({ "min": 1, "max": 40, "rules": rules }));
        let plain: Vec<_> = history.iter().map(|(pause, which, value)| (*pause, Happens::Event(*which, *value, 0), 2)).collect();
        let mut noisy = Vec::new();
        let mut copies: Vec<(i64, usize, AlarmValue)> = Vec::new();
        let mut clock = 0;
        for (pause, which, value) in &history {
            clock += pause;
            noisy.push((*pause, Happens::Event(*which, *value, 0), 2));
            noisy.push((0, Happens::Event(*which, *value, 0), 2));
            for (told, which, value) in copies.iter().rev().take(3) {
                noisy.push((0, Happens::Event(*which, *value, clock - told), 2));
            }
            noisy.push((0, Happens::Sweep, 2));
            copies.push((clock, *which, *value));
        }
        let counts = |seen: Vec<Seen>| seen.iter().map(|s| (s.at, s.from, s.to)).collect::<Vec<_>>();
        prop_assert_eq!(counts(run(look(), &plain)), counts(run(look(), &noisy)));
    }
}
