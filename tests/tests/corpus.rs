//! Every real and documented event of the corpus: what it is read as, or why it is rejected.
//!
//! The corpus lies beside the project, not in it: `WHARFINGER_EVENT_CORPUS` names its folder, by default `../shared/events`
//! from the workspace. Without it these tests fail; `WHARFINGER_EVENT_CORPUS=none` says that it is meant to be absent.
//! `UPDATE_EXPECT=1` writes the tables of `tests/corpus/` anew, for a person to read the difference.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "corpus/files.rs"]
mod files;
#[path = "corpus/tolerance.rs"]
mod tolerance;

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::expect_file;
use serde_json::Value;
use wharfinger_core::event::{Detail, Event, Rejected};

use files::{Corpus, UNDERSTOOD};

/// One line for people: what was read of an event.
fn told(json: &Value) -> String {
    match Event::parse(json) {
        Err(rejected) => format!("REJECTED {rejected}"),
        Ok(event) => format!("{}: {}", event.detail.kind(), detail(&event.detail)),
    }
}

fn detail(detail: &Detail) -> String {
    let mut line = String::new();
    match detail {
        Detail::Task(task) => {
            let target = task.target().map_or_else(|e| format!("REJECTED {e}"), |t| t.key());
            write!(
                line,
                "{target} v{} {:?}->{:?}",
                task.version, task.last_status, task.desired_status
            )
            .unwrap();
            let address = task.private_ipv4.as_deref().unwrap_or("no address");
            let ports: Vec<_> = task
                .containers
                .iter()
                .flat_map(|c| {
                    c.network_bindings
                        .iter()
                        .map(move |b| format!("{}:{:?}->{:?}", c.name, b.container_port, b.host_port))
                })
                .collect();
            write!(line, ", {address}, {} containers", task.containers.len()).unwrap();
            if !ports.is_empty() {
                write!(line, ", {}", ports.join(" ")).unwrap();
            }
        }
        Detail::Alarm(alarm) => {
            write!(
                line,
                "{} {:?} since {}",
                alarm.alarm_name, alarm.state.value, alarm.state.timestamp
            )
            .unwrap();
            match alarm.state.reading {
                Some(reading) => {
                    let threshold = reading
                        .threshold
                        .map_or_else(|| "no threshold".into(), |t| t.to_string());
                    write!(line, ", {} against {threshold}", reading.value).unwrap();
                }
                None => line.push_str(", no reading"),
            }
            if alarm.state.muted {
                line.push_str(", muted");
            }
        }
        Detail::Image(image) => {
            let tag = image.tag.as_deref().unwrap_or("no tag");
            let result = if image.succeeded { "" } else { ", failed" };
            write!(
                line,
                "{:?} {} {tag} {}{result}",
                image.action,
                image.repository,
                image.digest.short()
            )
            .unwrap();
        }
        Detail::Deployment(deployment) => {
            write!(
                line,
                "{} {:?} {}",
                deployment.target.key(),
                deployment.event,
                deployment.deployment_id
            )
            .unwrap();
        }
        Detail::Scheduled => line.push_str("time for a sweep"),
    }
    line
}

#[test]
fn every_file_of_a_kind_that_is_understood_reads_as_the_table_says() {
    let Some(corpus) = Corpus::find() else { return };
    let mut table = String::new();
    for kind in UNDERSTOOD {
        for (name, json) in corpus.folder(kind) {
            writeln!(table, "{kind}/{name}\n    {}", told(&json)).unwrap();
        }
    }
    expect_file!["corpus/understood.txt"].assert_eq(&table);
}

#[test]
fn every_other_kind_is_rejected_as_one_that_nothing_reacts_to() {
    let Some(corpus) = Corpus::find() else { return };
    let mut table = BTreeMap::<String, usize>::new();
    for kind in corpus.other_kinds() {
        for (name, json) in corpus.folder(&kind) {
            let said = match Event::parse(&json) {
                Err(rejected @ (Rejected::UnknownKind { .. } | Rejected::NotAnEvent(_))) => rejected.to_string(),
                other => panic!("{kind}/{name}: {other:?}"),
            };
            *table.entry(format!("{kind}: {said}")).or_default() += 1;
        }
    }
    let table: String = table.into_iter().map(|(said, n)| format!("{n:>3}  {said}\n")).collect();
    expect_file!["corpus/others.txt"].assert_eq(&table);
}

#[test]
fn the_sequences_read_event_by_event() {
    let Some(corpus) = Corpus::find() else { return };
    let mut table = String::new();
    for (name, json) in corpus.folder("sequences") {
        let events = json.as_array().unwrap_or_else(|| panic!("{name} is no array"));
        writeln!(table, "{name}: {} events", events.len()).unwrap();
        for event in events {
            writeln!(table, "    {}", told(event)).unwrap();
        }
        assert!(Event::parse(&json).is_err(), "{name}: an array is no event");
    }
    expect_file!["corpus/sequences.txt"].assert_eq(&table);
}
