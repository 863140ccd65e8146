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
use wharfinger_core::capacity::ContainerInstance;
use wharfinger_core::event::{AlarmStateChange, Detail, Event, Rejected, TaskStateChange};

use files::{Corpus, UNDERSTOOD};

/// One line for people: what was read of an event.
fn told(json: &Value) -> String {
    match Event::parse(json) {
        Err(rejected) => format!("REJECTED {rejected}"),
        Ok(event) => format!("{}: {}", event.detail.kind(), detail(&event.detail)),
    }
}

fn detail(detail: &Detail) -> String {
    match detail {
        Detail::Task(task) => of_task(task),
        Detail::Alarm(alarm) => of_alarm(alarm),
        Detail::Image(image) => {
            let tag = image.tag.as_deref().unwrap_or("no tag");
            let result = if image.succeeded { "" } else { ", failed" };
            format!("{:?} {} {tag}{result}", image.action, image.name())
        }
        Detail::Scan(scan) => {
            let end = if scan.complete { "ended" } else { "goes on" };
            format!("the scan of {} {end}", scan.name())
        }
        Detail::Deployment(deployment) => {
            format!(
                "{} {:?} {}",
                deployment.target.key(),
                deployment.event,
                deployment.deployment_id
            )
        }
        Detail::Lifecycle(action) => format!(
            "{} of {} {:?}, {:?} to {:?}, {} waits",
            action.instance, action.group, action.transition, action.origin, action.destination, action.hook
        ),
        Detail::Instance(event) => format!("{} {:?}", event.instance, event.news),
        Detail::ContainerInstance(instance) => of_instance(instance),
        Detail::ServiceAction(action) => {
            let reason = action.reason.as_deref().unwrap_or("no reason");
            let (providers, hosts) = (action.capacity_providers.len(), action.container_instances.len());
            format!(
                "{} {:?} {}, {reason}, {providers} providers, {hosts} instances",
                action.target.key(),
                action.news,
                action.name
            )
        }
        Detail::Health(health) => format!(
            "{} {}, maintenance {}, from {:?} to {:?}, {:?}",
            health.category,
            health.code,
            health.is_maintenance(),
            health.starts,
            health.ends,
            health.instances
        ),
        Detail::Snapshot(snapshot) => format!(
            "{:?} {} of {}, {}",
            snapshot.work,
            snapshot.snapshot_id,
            snapshot.source_id.as_deref().unwrap_or("something"),
            if snapshot.succeeded { "succeeded" } else { "failed" }
        ),
        Detail::Scheduled => "time for a sweep".into(),
        Detail::Aside(aside) => format!("{}: {}", aside.reason.code, aside.reason.message),
    }
}

fn of_task(task: &TaskStateChange) -> String {
    let target = task.target().map_or_else(|e| format!("REJECTED {e}"), |t| t.key());
    let address = task.private_ipv4.as_deref().unwrap_or("no address");
    let (version, last, desired) = (task.version, task.last_status, task.desired_status);
    let mut line = format!(
        "{target} v{version} {last:?}->{desired:?}, {address}, {} containers",
        task.containers.len()
    );
    for container in &task.containers {
        for binding in &container.network_bindings {
            write!(
                line,
                ", {}:{:?}->{:?}",
                container.name, binding.container_port, binding.host_port
            )
            .unwrap();
        }
    }
    line
}

fn of_instance(instance: &ContainerInstance) -> String {
    format!(
        "{} of {:?} is {:?}, {}, v{}",
        instance.arn,
        instance.cluster,
        instance.ec2_instance_id,
        instance.status.as_str(),
        instance.version
    )
}

fn of_alarm(alarm: &AlarmStateChange) -> String {
    let state = &alarm.state;
    let mut line = format!("{} {:?} since {}", alarm.alarm_name, state.value, state.timestamp);
    match state.reading {
        Some(reading) => {
            let threshold = reading
                .threshold
                .map_or_else(|| "no threshold".into(), |t| t.to_string());
            write!(line, ", {} against {threshold}", reading.value).unwrap();
        }
        None => line.push_str(", no reading"),
    }
    if state.muted {
        line.push_str(", muted");
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
    let table: Vec<_> = table.into_iter().map(|(said, n)| format!("{n:>3}  {said}\n")).collect();
    let table = table.concat();
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
