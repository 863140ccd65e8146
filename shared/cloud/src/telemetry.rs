//! What is told: one structured line per decision, and metrics in CloudWatch's embedded format.
//!
//! Lambda ships standard output to CloudWatch Logs, which reads the metrics out of it: no call is made for them
//! (CloudWatch user guide, "Embedded metric format specification").

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_core::ids::Target;
use wharfinger_core::report::{Decision, Outcome};

use crate::history::Record;
use crate::pipeline::Cause;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Wharfinger";

/// Whether anyone reads the metrics.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints metrics from here on. A function does; a command or a test that runs the same code has other things to print.
pub fn print_metrics() {
    PRINTED.store(true, Ordering::Relaxed);
}

/// Logs a decision and counts it.
pub fn decision(record: &Record) {
    let reasons = serde_json::to_string(&record.reasons).unwrap_or_default();
    let calls: Vec<_> = record.actions.iter().map(|a| a.call.as_str()).collect();
    tracing::info!(
        domain = record.domain,
        target = record.target,
        subject = record.subject,
        cause = record.cause,
        outcome = outcome(record.outcome),
        reasons,
        actions = calls.join(","),
        latency_ms = record.latency_ms,
        "decision"
    );
    let mut values = vec![("Decisions", "Count", json!(1)), ("Calls", "Count", json!(calls.len()))];
    if let Some(latency) = record.latency_ms {
        values.push(("Latency", "Milliseconds", json!(latency)));
    }
    emit(
        record.at,
        &[("Domain", &record.domain), ("Outcome", outcome(record.outcome))],
        &values,
    );
}

/// Logs and counts what became of an event before there was anything to decide: a copy, or an older one.
pub fn undecided<A>(
    domain: &str,
    target: &Target,
    subject: Option<&str>,
    cause: &Cause,
    decision: Decision<A>,
    now: Timestamp,
) {
    self::decision(&Record {
        at: now,
        domain: domain.to_owned(),
        target: target.to_string(),
        subject: subject.map(str::to_owned),
        cause: cause.name.clone(),
        outcome: decision.outcome,
        reasons: decision.reasons,
        actions: Vec::new(),
        latency_ms: None,
    });
}

/// Counts a failure of an invocation or of a part of a sweep.
pub fn error(domain: &str, now: Timestamp, message: &str) {
    tracing::error!(domain, error = message, "failed");
    emit(now, &[("Domain", domain)], &[("Errors", "Count", json!(1))]);
}

/// Reports a malformed item, which is skipped.
pub fn malformed(domain: &str, now: Timestamp, malformed: &crate::table::Malformed) {
    tracing::error!(
        domain,
        key = malformed.key,
        reason = malformed.reason,
        "malformed item is skipped"
    );
    emit(now, &[("Domain", domain)], &[("MalformedItems", "Count", json!(1))]);
}

/// Tells what a sweep found, and how long ago the last good one was.
pub fn sweep(domain: &str, now: Timestamp, staleness_seconds: Option<i64>, found: &[(&'static str, usize)]) {
    tracing::info!(domain, staleness_seconds, found = ?found, "sweep");
    let mut values: Vec<_> = found.iter().map(|(name, n)| (*name, "Count", json!(n))).collect();
    if let Some(seconds) = staleness_seconds {
        values.push(("Staleness", "Seconds", json!(seconds)));
    }
    emit(now, &[("Domain", domain)], &values);
}

/// Counts what was found outside of a sweep.
pub fn counted(domain: &str, now: Timestamp, found: &[(&'static str, usize)]) {
    let values: Vec<_> = found.iter().map(|(name, n)| (*name, "Count", json!(n))).collect();
    emit(now, &[("Domain", domain)], &values);
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Act => "act",
        Outcome::Wait => "wait",
        Outcome::Ignore => "ignore",
        Outcome::Stale => "stale",
        Outcome::Rejected => "rejected",
    }
}

fn emit(now: Timestamp, dimensions: &[(&str, &str)], values: &[(&str, &str, Value)]) {
    if !PRINTED.load(Ordering::Relaxed) {
        return;
    }
    let line = embedded(now, dimensions, values);
    // A metric that cannot be printed must not fail the work that it counts.
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        tracing::warn!(%error, "a metric could not be printed");
    }
}

fn embedded(now: Timestamp, dimensions: &[(&str, &str)], values: &[(&str, &str, Value)]) -> Value {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<_> = values
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics }],
        }
    });
    for (name, value) in dimensions {
        line[*name] = json!(value);
    }
    for (name, _, value) in values {
        line[*name] = value.clone();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_line_names_what_it_holds() {
        let line = embedded(
            Timestamp::UNIX_EPOCH,
            &[("Domain", "discovery"), ("Outcome", "act")],
            &[("Decisions", "Count", json!(1))],
        );
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 0,
                    "CloudWatchMetrics": [{
                        "Namespace": "Wharfinger",
                        "Dimensions": [["Domain", "Outcome"]],
                        "Metrics": [{ "Name": "Decisions", "Unit": "Count" }],
                    }],
                },
                "Domain": "discovery",
                "Outcome": "act",
                "Decisions": 1,
            })
        );
    }
}
