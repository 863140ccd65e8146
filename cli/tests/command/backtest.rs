//! `backtest`: values of the past in, counts and reasons out, offline.

use serde_json::{Value, json};

use crate::folder::{Folder, Ran};

const SCALING: &str = "version: 1
services:
  prod/web:
    scaling:
      min: 1
      max: 10
      rules:
        - { alarm: web-cpu, target: 60 }
        - { alarm: web-idle, add: -1 }
        - { queue: jobs, per-task: 10 }
      cooldown: { out: 0s, in: 0s }
  prod/plain: {}
tasks:
  prod/nightly: {}
";

const CSV: &str = "time,web-cpu,web-idle,jobs
2026-01-31T09:00:00Z,60,60,5
2026-01-31T09:01:00Z,120,60,5
1769850120,,60,5
2026-01-31T09:03:00Z,20,1,5
2026-01-31T09:04:00Z,20,1,40
";

fn folder(csv: &str) -> Folder {
    let folder = Folder::new();
    folder.write("w.yaml", SCALING);
    folder.write("m.csv", csv);
    let idle = json!({
        "AlarmName": "web-idle", "Threshold": 5, "ComparisonOperator": "LessThanThreshold", "EvaluationPeriods": 1,
        "Period": 60, "StateValue": "OK", "StateUpdatedTimestamp": "2026-01-31T00:00:00Z",
    });
    folder.write_json(
        "facts.json",
        &json!({ "DescribeAlarms": { "MetricAlarms": [idle], "CompositeAlarms": [] } }),
    );
    folder
}

fn run(folder: &Folder, more: &[&str]) -> Ran {
    let args = ["backtest", "w.yaml", "prod/web", "--metrics", "m.csv"];
    folder.run(&[&args, more].concat())
}

fn rows(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let ran = run(folder, &[&["--facts", "facts.json", "--output", "json"], more].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    let keys: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["rows"]);
    answer["rows"].as_array().unwrap().clone()
}

fn counts(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["desired"].as_u64().unwrap()).collect()
}

#[test]
fn each_line_is_a_row_with_its_count_and_its_reasons() {
    let rows = rows(&folder(CSV), &[]);
    // Twice the target doubles; without a value nothing leaves; then every rule agrees to fewer; then the queue asks.
    assert_eq!(counts(&rows), [1, 2, 2, 1, 4]);
    for row in &rows {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["time", "desired", "reasons"]);
        for reason in row["reasons"].as_array().unwrap() {
            let keys: Vec<_> = reason.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["code", "message"]);
        }
    }
    assert_eq!(rows[2]["time"], "2026-01-31T09:02:00Z");
    let codes = |row: &Value| -> Vec<Value> {
        row["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["code"].clone())
            .collect()
    };
    assert!(codes(&rows[1]).contains(&json!("ScaleOut")), "{rows:#?}");
    assert!(codes(&rows[2]).contains(&json!("ScaleInBlocked")), "{rows:#?}");
}

#[test]
fn the_first_count_is_given_or_the_least() {
    let folder = folder("time,web-cpu,web-idle,jobs\n0,,60,30\n");
    assert_eq!(counts(&rows(&folder, &[])), [3]);
    assert_eq!(counts(&rows(&folder, &["--from", "7"])), [7]);
    folder.write("m.csv", "time,web-cpu,web-idle,jobs\n");
    assert_eq!(rows(&folder, &[]), [json!(null); 0]);
}

#[test]
fn thresholds_are_those_of_the_facts() {
    let csv = "time,web-cpu,web-idle,jobs\n0,60,4,0\n60,60,4,0\n";
    let folder = folder(csv);
    folder.write(
        "w.yaml",
        &SCALING
            .replace("        - { alarm: web-cpu, target: 60 }\n", "")
            .replace("jobs, per-task: 10", "jobs, max-age: 1m"),
    );
    folder.write("m.csv", "time,web-idle,jobs\n0,4,0\n60,4,0\n");
    let ran = run(&folder, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.err
            .contains("the threshold of `web-idle`: supply DescribeAlarms with --facts FILE"),
        "{ran:?}"
    );
    let text = std::fs::read_to_string(folder.0.path().join("facts.json")).unwrap();
    for (facts, told) in [
        (
            text.replace("\"Threshold\":5", "\"Threshold\":null"),
            "`Threshold` is missing",
        ),
        (
            text.replace("\"MetricAlarms\"", "\"Others\"").replace(
                "\"CompositeAlarms\":[]",
                "\"CompositeAlarms\":[{\"AlarmName\":\"web-idle\"}]",
            ),
            "`web-idle` is a composite alarm",
        ),
    ] {
        folder.write("other.json", &facts);
        let ran = run(&folder, &["--facts", "other.json"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    let ran = run(&folder, &["--facts", "facts.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("warning: `max-age` of the queue `jobs` is not tried"),
        "{ran:?}"
    );
}

#[test]
fn columns_and_rules_that_do_not_meet_are_told() {
    let folder = folder(&CSV.replace("web-idle", "web-idel").replace("time", "Time"));
    let ran = run(&folder, &["--facts", "facts.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("warning: m.csv: no rule names `web-idel`"), "{ran:?}");
    assert!(
        ran.err
            .contains("m.csv has no column for the alarm `web-idle` (there is `web-idel`)"),
        "{ran:?}"
    );
    folder.write("m.csv", "time,more,web-cpu,web-idle,jobs\n0,1,60,60,5\n");
    let ran = run(&folder, &["--facts", "facts.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.err,
        "warning: m.csv: no rule names `more`: this column changes nothing\n"
    );
}

#[test]
fn what_cannot_be_read_or_tried_is_exit_code_2_with_its_place() {
    let folder = folder(CSV);
    for (csv, told) in [
        (
            CSV.replace(",60,60,5", ",60,x,5"),
            "m.csv:2: column 3 (`web-idle`): `x` is no number",
        ),
        (
            CSV.replace("1769850120", "noon"),
            "m.csv:4: column 1 (`time`): `noon` is no time",
        ),
        (
            CSV.replace(",120,60,5", ",120"),
            "m.csv:3: column 3: the line has 2 cells, the first line 4",
        ),
        (
            CSV.replace("1769850120", "2026-01-31T10:01:00+01:00"),
            "m.csv:4: column 1 (`time`): `2026-01-31T09:01:00Z` is the time of line 3 too",
        ),
        (
            CSV.replace(",120,60,5", ",120,60,-5"),
            "the queue `jobs` has fewer than no messages",
        ),
        (
            CSV.replace("time,", "when,"),
            "m.csv:1: column 1: the first line must be `time,<alarm or queue>,…`",
        ),
    ] {
        folder.write("m.csv", &csv);
        let ran = run(&folder, &["--facts", "facts.json"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    for (target, told) in [
        ("prod/wbe", "w.yaml has no service prod/wbe (there is prod/web)"),
        ("prod/plain", "prod/plain has no `scaling` in w.yaml"),
        ("prod/nightly", "prod/nightly stands under `tasks` in w.yaml"),
    ] {
        let ran = folder.run(&["backtest", "w.yaml", target, "--metrics", "m.csv"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
}

#[test]
fn people_see_what_changed_and_what_it_came_to() {
    let ran = run(&folder(CSV), &["--facts", "facts.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].starts_with("time                  tasks     why"), "{ran:?}");
    assert!(
        ran.out.contains("\n2026-01-31T09:01:00Z  1 -> 2    ScaleOut: "),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("\n2026-01-31T09:03:00Z  2 -> 1    ScaleIn: "),
        "{ran:?}"
    );
    assert_eq!(
        *lines.last().unwrap(),
        "in 4m: 3 changes, 2 reversals, 1 to 4 tasks, 0.1 task-hours"
    );
}

#[test]
fn the_chart_stands_for_itself() {
    let folder = folder(&CSV.replace("web-cpu", "\"a<b&\"\"c\"\"\""));
    folder.write("w.yaml", &SCALING.replace("web-cpu", "'a<b&\"c\"'"));
    let ran = run(&folder, &["--facts", "facts.json", "--svg", "c.svg"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("the chart is in c.svg"), "{ran:?}");
    let svg = std::fs::read_to_string(folder.0.path().join("c.svg")).unwrap();
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    for told in [
        "a&lt;b&amp;\"c\", drawn from 0 to 120",
        "prefers-color-scheme:dark",
        ">09:04</text>",
        ">10</text>",
        "prod/web",
    ] {
        assert!(svg.contains(told), "{told}: {svg}");
    }
    assert_eq!(svg.matches("class=\"count\"").count(), 1);
    assert_eq!(svg.matches("class=\"bound\"").count(), 2);
    // A path and a line of the legend each; the first is broken where its value is missing.
    assert_eq!(svg.matches("class=\"metric\"").count(), 6);
    let first = svg
        .lines()
        .filter(|line| line.contains("class=\"metric\""))
        .nth(1)
        .unwrap();
    assert_eq!(first.matches('M').count(), 2, "{first}");
    let ran = run(&folder, &["--facts", "facts.json", "--svg", "nowhere/c.svg"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("nowhere/c.svg cannot be written"), "{ran:?}");
}

#[test]
fn the_example_of_the_page_comes_to_what_the_page_says() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (config, metrics, facts) = (
        file("examples/shop.yaml"),
        file("examples/web-load.csv"),
        file("examples/web-alarms.json"),
    );
    let ran = Folder::new().run(&[
        "backtest",
        &config,
        "prod/web",
        "--metrics",
        &metrics,
        "--facts",
        &facts,
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let page = std::fs::read_to_string(file("docs/scaling.md")).unwrap();
    let last = ran.out.lines().last().unwrap();
    assert!(page.contains(&format!("\n    {last}\n")), "{last}");
}

#[test]
fn lines_too_far_apart_for_an_alarm_are_told_once() {
    let csv = "time,web-idle\n0,1\n300,1\n600,1\n5000,1\n";
    let folder = folder(csv);
    let rules = "      rules:\n        - { alarm: web-idle, add: -1 }\n";
    folder.write(
        "w.yaml",
        &format!("version: 1\nservices:\n  prod/web:\n    scaling:\n      min: 1\n      max: 10\n{rules}"),
    );
    let facts = std::fs::read_to_string(folder.0.path().join("facts.json")).unwrap();
    folder.write(
        "f.json",
        &facts.replace("\"EvaluationPeriods\":1", "\"EvaluationPeriods\":3"),
    );
    let ran = run(&folder, &["--facts", "f.json"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            0,
            "warning: there is a line each 5m, too few for the periods of these alarms, which do not change their state: \
             `web-idle` needs one each 4m or more often\n"
        ),
        "{ran:?}"
    );
    assert_eq!(run(&folder, &["--facts", "facts.json"]).err, "");
}

#[test]
fn what_is_no_answer_by_its_operation_is_told_with_a_remedy() {
    let folder = folder(CSV);
    let facts: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.0.path().join("facts.json")).unwrap()).unwrap();
    folder.write_json("raw.json", &facts["DescribeAlarms"]);
    let ran = run(&folder, &["--facts", "raw.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.err.contains(
            "warning: raw.json: `MetricAlarms` is a part of what DescribeAlarms answers: put the answer under its \
             operation, as with jq '{DescribeAlarms: .}'\n"
        ),
        "{ran:?}"
    );
    let text = facts.to_string();
    for (from, to, told) in [
        (
            "\"Period\":60",
            "\"Period\":-5",
            "`Period` is -5, and must be a whole number",
        ),
        (
            "LessThanThreshold",
            "GreaterThanUpperThreshold",
            "`ComparisonOperator` is `GreaterThanUpperThreshold`, which cannot be tried",
        ),
    ] {
        folder.write("other.json", &text.replace(from, to));
        let ran = run(&folder, &["--facts", "other.json"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
    let ran = run(&folder, &["--facts", "facts.json", "--from", "-1"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err
            .contains("must not be negative: write a whole number, 0 or more"),
        "{ran:?}"
    );
}
