//! Files that are read or printed, and what is wrong with them.

use std::path::Path;

use serde_json::{Value, json};

use crate::folder::{CONFIG, Folder};

#[test]
fn check_answers_a_typo_with_file_line_column_and_the_nearest_key() {
    let folder = Folder::new();
    folder.write("bad.yaml", &CONFIG.replace("discovery:", "discvoery:"));
    let ran = folder.run(&["check", "bad.yaml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out
            .starts_with("bad.yaml:4:5: unknown key `discvoery`: did you mean `discovery`?"),
        "{ran:?}"
    );

    let ran = folder.run(&["check", "bad.yaml", "--output", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let problem = &report["problems"][0];
    assert_eq!((ran.code, &report["valid"]), (1, &json!(false)));
    assert_eq!(
        (&problem["severity"], &problem["line"], &problem["column"]),
        (&json!("error"), &json!(4), &json!(5))
    );
    assert_eq!(problem["path"], "services.prod/web.discvoery");
}

#[test]
fn check_lets_a_good_file_pass_and_warns() {
    let folder = Folder::new();
    let ran = folder.run(&["check", "w.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "w.yaml: valid, 1 target\n"));
    folder.write(
        "warn.yaml",
        "version: 1\nservices:\n  prod/web: { storage: [{ volume: data }] }\n",
    );
    let ran = folder.run(&["check", "warn.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("warn.yaml:3:25: warning: "), "{ran:?}");
    let ran = folder.run_with(&["check", "-"], "version: 2\n");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.starts_with("<stdin>:1:10: "), "{ran:?}");
}

#[test]
fn usage_and_environment_are_exit_code_2_and_told_on_standard_error() {
    let folder = Folder::new();
    folder.write("text.bin", "x");
    std::fs::write(folder.0.path().join("latin.yaml"), b"version: \xe9\n").unwrap();
    for (args, told) in [
        (&["check", "nope.yaml"][..], "nope.yaml cannot be read"),
        (&["check", "latin.yaml"], "latin.yaml is not UTF-8 text"),
        (&["chekc", "w.yaml"], "unrecognized subcommand"),
        (&["check", "w.yaml", "--output", "xml"], "invalid value 'xml'"),
        (&["apply", "w.yaml"], "no Region is set"),
        (&["diff", "w.yaml"], "no Region is set"),
        (&["export"], "no Region is set"),
        (&["check", "w.yaml", "--online"], "no Region is set"),
        (&["check", "w.yaml", "--online", "--facts", "f"], "cannot be used with"),
        (&["check", "w.yaml", "--facts", "nope.json"], "nope.json cannot be read"),
        (&["sync", "prod/web", "--dry-run"], "no Region is set"),
        (&["sync", "prod/"], "`prod/` is not a target"),
        (&["sync", "prod", "--dry-run"], "a sweep of capacity has no dry run"),
        (&["status"], "no Region is set"),
        (&["status", "prod"], "no Region is set"),
        (&["pause", "prod/web"], "no Region is set"),
        (&["pause", "prod/web", "sclaing"], "invalid value 'sclaing'"),
        (&["resume", "prod/web", "scaling"], "no Region is set"),
        (&["scale", "prod/web", "--clear"], "no Region is set"),
        (&["scale", "prod/web", "--min", "3"], "--for <TIME>"),
        (&["backtest", "w.yaml", "prod/web"], "--metrics <CSV>"),
        (
            &["backtest", "w.yaml", "prod/web", "--metrics", "nope.csv"],
            "nope.csv cannot be read",
        ),
        (
            &["backtest", "-", "prod/web", "--metrics", "-"],
            "cannot both be standard input",
        ),
        (&["history", "prod/web"], "no Region is set"),
        (&["history", "prod"], "no Region is set"),
        (
            &["explain", "nope.json", "--config", "w.yaml"],
            "nope.json cannot be read",
        ),
        (&["explain", "text.bin", "--config", "w.yaml"], "text.bin is no JSON"),
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
        assert!(ran.err.contains(told), "{args:?}: {ran:?}");
    }
}

#[test]
fn nothing_is_applied_of_a_file_in_which_something_is_wrong() {
    let folder = Folder::new();
    folder.write("bad.yaml", &CONFIG.replace("min: 1", "min: 11"));
    for (command, told) in [
        ("apply", "error: bad.yaml is not valid: nothing was applied\n"),
        ("diff", "error: bad.yaml is not valid\n"),
    ] {
        let ran = folder.run(&[command, "bad.yaml"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.starts_with("bad.yaml:7:12: "), "{ran:?}");
        assert!(ran.err.ends_with(told), "{ran:?}");
    }
}

#[test]
fn the_schema_is_printed_and_the_examples_pass() {
    let folder = Folder::new();
    let ran = folder.run(&["schema"]);
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &schema["properties"]["version"]["const"]), (0, &json!(1)));
    let rule = &schema["$defs"]["Rule"]["oneOf"];
    assert_eq!(rule.as_array().unwrap().len(), 2, "{rule}");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut checked = 0;
    // Of the pipelines in examples/ci, which are YAML too, the files end in `.yml`.
    for example in [examples.clone(), examples.join("ci")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
    {
        let example = example.unwrap().path();
        if example.extension().is_some_and(|extension| extension == "yaml") {
            let ran = folder.run(&["check", example.to_str().unwrap()]);
            assert_eq!(ran.code, 0, "{ran:?}");
            checked += 1;
        }
    }
    assert!(checked > 1);
}

#[test]
fn without_credentials_the_first_line_says_so_and_what_to_set() {
    let folder = Folder::new();
    for args in [
        &["diff", "w.yaml"][..],
        &["apply", "w.yaml"],
        &["export"],
        &["history"],
        &["sync"],
        &["check", "w.yaml", "--online"],
        &["explain", "event.json"],
    ] {
        folder.write("event.json", "{}");
        let ran = folder.run_in(args, &[("AWS_REGION", "eu-west-1")]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
        let (first, chain) = ran.err.split_once('\n').unwrap();
        assert_eq!(
            first,
            "error: there are no AWS credentials: set AWS_PROFILE to a profile that has them, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY",
            "{args:?}"
        );
        assert!(chain.starts_with("  because: "), "{ran:?}");
    }
}

#[test]
fn help_shows_the_options_of_a_command_first_and_global_ones_only_where_they_matter() {
    let folder = Folder::new();
    let help = |command: &str| {
        let ran = folder.run(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let all = ["--output", "--stack", "--config-table", "--state-table"];
    for command in [
        "diff", "apply", "export", "history", "explain", "sync", "status", "pause", "resume", "scale",
    ] {
        let help = help(command);
        let (own, global) = help.split_once("\nGlobal options:\n").unwrap();
        assert!(own.contains("Options:\n"), "{help}");
        for option in all {
            assert!(
                !own.contains(&format!("      {option} ")) && global.contains(option),
                "{help}"
            );
        }
        assert!(!help.contains("--version"), "{help}");
    }
    for command in ["schema", "completions"] {
        let help = help(command);
        assert!(
            !help.contains("Global options") && all.iter().all(|option| !help.contains(option)),
            "{help}"
        );
    }
    let check = help("check");
    assert!(
        check.contains("--output") && !check.contains("--stack") && !check.contains("-table"),
        "{check}"
    );
    assert!(!help("backtest").contains("--stack") && help("backtest").contains("an empty cell is missing data"));
    assert!(help("history").contains("How many records to print: the newest ones"));
    assert!(help("explain").contains("higher `version`"));
    // They are taken everywhere all the same, before the command and behind it.
    for args in [
        &["--stack", "mine", "schema"][..],
        &["schema", "--stack", "mine", "--output", "json"],
    ] {
        assert_eq!(folder.run(args).code, 0, "{args:?}");
    }
    let ran = folder.run(&["--output", "json", "check", "w.yaml", "--state-table", "t"]);
    assert!(ran.out.starts_with('{'), "{ran:?}");
}

#[test]
fn check_tells_what_is_wrong_beside_a_part_that_does_not_fit() {
    let folder = Folder::new();
    folder.write(
        "bad.yaml",
        &CONFIG
            .replace("min: 1", "min: x")
            .replace("60", "0")
            .replace("8080", "0"),
    );
    let ran = folder.run(&["check", "bad.yaml"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            1,
            "bad.yaml:5:30: `port: 0` is out of range: 1 to 65535 (in services.prod/web.discovery[0].port)\n\
             bad.yaml:7:12: expected a whole number from 0 to 4294967295, found the text `x` (in services.prod/web.scaling.min)\n\
             bad.yaml:9:42: `target: 0` is out of range: greater than 0, since the count follows value / target \
             (in services.prod/web.scaling.rules[0].target)\n\
             bad.yaml: 3 errors, 0 warnings\n"
        )
    );
}

#[test]
fn completions_are_printed_for_a_shell() {
    let ran = Folder::new().run(&["completions", "bash"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("explain"), "{ran:?}");
}

#[test]
fn a_schedule_that_contradicts_itself_is_told_and_valid() {
    let folder = Folder::new();
    let entries = "{ cron: '0 8 * * *', max: 4 }, { cron: '0 8 * * *', min: 6 }";
    folder.write(
        "w.yaml",
        &format!(
            "version: 1\nservices:\n  prod/web:\n    scaling:\n      min: 2\n      max: 10\n      schedule: [{entries}]\n"
        ),
    );
    let ran = folder.run(&["check", "w.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.starts_with("w.yaml:7:49: warning: from 20")
            && ran
                .out
                .contains("T08:00:00Z on `min` is 6 by `0 8 * * *` (entry 2) and `max` is 4 by `0 8 * * *` (entry 1)"),
        "{ran:?}"
    );
}
