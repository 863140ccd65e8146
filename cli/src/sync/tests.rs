use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use wharfinger_cloud::CloudError;
use wharfinger_cloud::error::Kind;

use super::*;
use crate::output::Show;

/// Functions that answer, by name; who is asked for another does not exist.
pub(crate) struct Fake {
    pub(crate) answers: Vec<(&'static str, Answered)>,
    pub(crate) asked: RefCell<Vec<(String, Value)>>,
    pub(crate) slept: Cell<Duration>,
}

impl Fake {
    pub(crate) fn new(answers: &[(&'static str, Answered)]) -> Self {
        Self {
            answers: answers.to_vec(),
            asked: RefCell::default(),
            slept: Cell::default(),
        }
    }
}

impl Functions for Fake {
    async fn invoke(&self, function: &str, event: &Value) -> Result<Answered, CloudError> {
        self.asked.borrow_mut().push((function.to_owned(), event.clone()));
        let known = self.answers.iter().find(|(name, _)| *name == function);
        known
            .map(|(_, answer)| answer.clone())
            .ok_or_else(|| CloudError::new("Invoke", Kind::NotFound, "no such function"))
    }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.set(self.slept.get() + duration);
    }

    fn remaining(&self) -> Duration {
        Duration::MAX
    }
}

pub(crate) fn functions() -> Vec<Function> {
    [(Domain::Discovery, "d"), (Domain::Balancing, "b")]
        .map(|(domain, name)| Function {
            domain,
            name: name.to_owned(),
        })
        .into()
}

pub(crate) fn answer(planned: &[&str]) -> Answered {
    let planned: Vec<_> = planned
        .iter()
        .map(|call| json!({ "call": call, "input": { "n": 1 } }))
        .collect();
    let collections = json!([
        { "id": "srv-1", "members": 799, "quota": 1000 },
        { "id": "srv-2", "members": 800, "quota": 1000 },
    ]);
    Answered::Done(json!({
        "domain": "discovery", "dry-run": true, "tasks": 7, "missing": 1, "ghosts": 2, "unconfigured": 0,
        "collections": collections, "planned": planned,
    }))
}

fn failed() -> Answered {
    Answered::Failed {
        kind: "Partly".to_owned(),
        message: "1 of 3 parts of the sweep failed".to_owned(),
    }
}

fn text(report: &Report) -> String {
    let mut out = Vec::new();
    report.text(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

#[tokio::test]
async fn a_function_is_sent_the_event_of_a_schedule_with_what_it_is_to_look_at() {
    let fake = Fake::new(&[("d", answer(&[])), ("b", answer(&[]))]);
    let target = Target::service("prod", "web");
    let report = sweep(&fake, &functions(), Some(&target), true).await;
    assert_eq!(report.verdict(), Verdict::Fine);
    let asked = fake.asked.take();
    assert_eq!(
        asked.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["d", "b"]
    );
    assert_eq!(asked[0].1["detail"], json!({ "target": "prod/web", "dry-run": true }));
    assert_eq!(asked[0].1["detail-type"], "Scheduled Event");
    let event = wharfinger_core::event::Event::parse(&asked[0].1).unwrap();
    assert_eq!(event.envelope.id, "sync-0");
    assert!(text(&report).contains("\n  nothing would be done\n"));
    sweep(&fake, &functions(), None, false).await;
    assert_eq!(fake.asked.take()[0].1["detail"], json!({}));
}

#[tokio::test]
async fn what_would_be_done_and_how_full_everything_is_is_told() {
    let fake = Fake::new(&[("d", answer(&["RegisterInstance"])), ("b", failed())]);
    let report = sweep(&fake, &functions(), None, true).await;
    assert_eq!(report.verdict(), Verdict::Found);
    assert_eq!(
        text(&report),
        "discovery: 7 tasks looked at, 1 not listed as wanted; 2 endpoints of tasks that are gone, 0 tasks \
         of targets that are not configured\n  \
         srv-1: 799 of 1000\n  srv-2: 800 of 1000, 80 % full: what comes on top is refused\n  \
         would RegisterInstance {\"n\":1}\n\
         balancing: it failed (Partly): 1 of 3 parts of the sweep failed\n"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["dry-run"], &json["target"]), (&json!(true), &Value::Null));
    assert_eq!(json["functions"][0]["answer"]["tasks"], 7);
    assert_eq!(
        json["functions"][1],
        json!({ "domain": "balancing", "function": "b", "error": {
            "type": "Partly", "message": "1 of 3 parts of the sweep failed",
        } })
    );
}

#[tokio::test]
async fn what_failed_is_found_and_what_was_not_reached_at_all_is_an_error() {
    let fake = Fake::new(&[("d", answer(&[]))]);
    let report = sweep(&fake, &functions(), None, false).await;
    assert_eq!((report.verdict(), report.reached_nothing()), (Verdict::Found, false));
    assert!(text(&report).contains("balancing: it could not be invoked: Invoke failed"));
    let nothing = sweep(&Fake::new(&[]), &functions(), None, false).await;
    assert!(nothing.reached_nothing());
}

#[tokio::test]
async fn capacity_answers_nothing() {
    let fake = Fake::new(&[("c", Answered::Done(Value::Null))]);
    let function = Function {
        domain: Domain::Capacity,
        name: "c".to_owned(),
    };
    let report = sweep(&fake, &[function], Some(&Target::of_cluster("prod")), false).await;
    assert_eq!(fake.asked.take()[0].1["detail"], json!({ "target": "prod" }));
    assert_eq!(
        text(&report),
        "capacity: looked at; `status` and `history` tell what came of it\n"
    );
    assert_eq!(report.verdict(), Verdict::Fine);
    let json = serde_json::to_value(&report).unwrap();
    let row = json!({ "domain": "capacity", "function": "c", "answer": null });
    assert_eq!((&json["target"], &json["functions"]), (&json!("prod"), &json!([row])));
}

#[tokio::test]
async fn a_function_that_answers_nothing_is_older() {
    let fake = Fake::new(&[("d", Answered::Done(Value::Null)), ("b", answer(&[]))]);
    let report = sweep(&fake, &functions(), None, false).await;
    assert!(text(&report).contains("is the stack older than this command?"));
    assert_eq!(report.verdict(), Verdict::Found);
}
