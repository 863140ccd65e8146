//! What the pages say, held to what the code is. `UPDATE_EXPECT=1` writes the list of reason codes and the table of retention anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

#[path = "docs/ci.rs"]
mod ci;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/storage.rs"]
mod storage;
#[path = "template/document.rs"]
#[expect(dead_code, reason = "the template's tests use all of it")]
mod template;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use expect_test::expect_file;
use wharfinger_core::config::{Document, Level, validate};
use wharfinger_core::event::{Detail, Event};
use wharfinger_core::report::Code;

use pages::{Page, pages, quoted, table_rows};
use template::{Template, list, root};

#[test]
fn every_configuration_in_a_page_passes_the_check() {
    let mut checked = 0;
    for page in pages() {
        for block in page.blocks("yaml") {
            let what = format!("{}, line {}", page.name, block.line);
            assert!(block.text.starts_with("version:"), "{what}: write whole documents");
            let document: Document = serde_saphyr::from_str(&block.text).unwrap_or_else(|e| panic!("{what}: {e}"));
            let problems = validate(&document);
            let told: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
            assert!(told.is_empty(), "{what}: {told:#?}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} configurations were found");
}

#[test]
fn the_check_of_configurations_sees_what_is_wrong() {
    let storage = "version: 1\nservices:\n  a/b:\n    storage:\n      - { volume: v }\n";
    let document: Document = serde_saphyr::from_str(storage).unwrap();
    let problems = validate(&document);
    assert_eq!(problems.iter().map(|p| p.level).collect::<Vec<_>>(), [Level::Warning]);
}

#[test]
fn the_example_of_an_event_is_of_a_task_that_the_example_of_a_configuration_lets_join() {
    let read = |name: &str| fs::read_to_string(root().join("examples").join(name)).unwrap();
    let document: Document = serde_saphyr::from_str(&read("shop.yaml")).unwrap();
    let event = Event::parse(&serde_json::from_str(&read("task-starts.json")).unwrap()).unwrap();
    let Detail::Task(task) = event.detail else {
        panic!("it is of no task")
    };
    assert!(task.is_running());
    let wants = document.find(&task.target().unwrap()).unwrap();
    assert!(!wants.discovery.is_empty());
}

#[test]
fn every_json_in_a_page_is_json() {
    for page in pages() {
        for block in page.blocks("json") {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
            read.unwrap_or_else(|e| panic!("{}, line {}: {e}", page.name, block.line));
        }
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut followed = 0;
    for page in pages() {
        for link in page.links() {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.path.clone()
            } else {
                page.folder().join(file)
            };
            assert!(target.exists(), "{} links to {link}, which is not there", page.name);
            if !anchor.is_empty() {
                let headings = Page::read(&target).anchors();
                assert!(
                    headings.contains(anchor),
                    "{} links to {link}; it has {headings:?}",
                    page.name
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

#[test]
fn every_file_that_a_page_or_a_comment_names_is_there() {
    let mut texts: Vec<_> = pages().into_iter().map(|page| (page.name.clone(), page.text)).collect();
    for name in ["Cargo.toml", "clippy.toml", "deny.toml", "template.yaml", "Makefile"] {
        texts.push((name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    }
    let mut named = 0;
    for (page, text) in texts {
        for path in pages::paths(&text) {
            assert!(root().join(&path).exists(), "{page} names {path}, which is not there");
            named += 1;
        }
    }
    assert!(named > 50, "only {named} files were found");
}

#[test]
fn invariants_name_their_tests() {
    let page = Page::of("ARCHITECTURE.md");
    let invariants: Vec<_> = page
        .text
        .split("\n\n")
        .filter(|paragraph| paragraph.contains("**Architecture invariant:**"))
        .collect();
    assert!(invariants.len() > 10);
    for invariant in invariants {
        let tests: Vec<_> = quoted(invariant)
            .into_iter()
            .filter(|word| word.contains(".rs::"))
            .collect();
        let command = quoted(invariant).iter().any(|word| word.starts_with("make "));
        assert!(command || !tests.is_empty(), "nothing holds this: {invariant}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            let function = source
                .find(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("{file} has no {name}"));
            let before = source[..function].trim_end();
            assert!(
                before.ends_with(']') && before.contains("#[test]"),
                "{test} is not a test"
            );
        }
    }
}

#[test]
fn the_reference_has_every_reason_code() {
    let page = Page::of("docs/reference.md");
    let (before, rest) = page.text.split_once("<!-- codes -->").unwrap();
    let (_, after) = rest.split_once("<!-- /codes -->").unwrap();
    let table = codes();
    expect_file!["../../docs/reference.md"]
        .assert_eq(&format!("{before}<!-- codes -->\n{table}<!-- /codes -->{after}"));
}

/// The codes with their documentation, as the source has them.
fn codes() -> String {
    let source = fs::read_to_string(root().join("shared/core/src/report/code.rs")).unwrap();
    let (_, list) = source.split_once("\ncodes! {\n").unwrap();
    let (list, _) = list.split_once("\n}\n").unwrap();
    let (mut text, mut doc, mut found) = (String::new(), String::new(), Vec::new());
    for line in list.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            doc = format!("{doc} {words}");
        } else if let Some(group) = line.strip_prefix("// ") {
            let group = group.trim_end_matches('.');
            write!(text, "\n### {group}\n\n| code | meaning |\n|---|---|\n").unwrap();
        } else if let Some(name) = line.strip_suffix(',') {
            writeln!(text, "| `{name}` |{} |", std::mem::take(&mut doc)).unwrap();
            found.push(name.to_owned());
        }
    }
    let all: Vec<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(found, all, "the list in report/code.rs is not read as it is");
    format!("{text}\n")
}

#[test]
fn pages_name_only_codes_that_there_are() {
    let known: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let mut used = BTreeSet::new();
    for name in ["discovery", "balancing", "scaling", "capacity", "delivery", "storage"] {
        let page = Page::of(&format!("docs/{name}.md"));
        let section = page.section("Reasons");
        for row in table_rows(&section) {
            for code in quoted(&row[0]) {
                let code = known
                    .get(code.as_str())
                    .unwrap_or_else(|| panic!("{name}: there is no code {code}"));
                used.insert(*code);
            }
        }
    }
    // Not of one domain.
    let general = [
        "NotManaged",
        "NotConfigured",
        "ConfigMalformed",
        "EventRejected",
        "Paused",
        "NotOurs",
    ];
    let unexplained: Vec<_> = known
        .iter()
        .filter(|c| !used.contains(*c) && !general.contains(c))
        .collect();
    assert!(unexplained.is_empty(), "no page of a domain tells of {unexplained:?}");
}

#[test]
fn the_page_of_capacity_has_every_code_that_it_says() {
    let page = Page::of("docs/capacity.md");
    let rows = table_rows(&page.section("Reasons"));
    let told: BTreeSet<_> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    let mut said = BTreeSet::new();
    for folder in ["shared/core/src/capacity", "functions/capacity/src"] {
        for source in pages::sources(&root().join(folder)) {
            let words = source.split("Code::").skip(1);
            let names = words.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default());
            said.extend(
                names
                    .filter(|name| Code::ALL.iter().any(|code| code.as_str() == *name))
                    .map(str::to_owned),
            );
        }
    }
    assert!(said.len() > 40, "only {} codes were found", said.len());
    let untold: Vec<_> = said.difference(&told).collect();
    assert!(untold.is_empty(), "docs/capacity.md does not tell of {untold:?}");
}

#[test]
fn permissions_are_those_of_the_roles() {
    let template = Template::load();
    let page = Page::of("docs/permissions.md");
    let told = |section: &str| -> BTreeSet<String> {
        table_rows(&page.section(section))
            .iter()
            .flat_map(|row| quoted(&row[0]))
            .collect()
    };
    let everyone = told("All functions");
    for (domain, function) in [
        ("Discovery", "DiscoveryFunction"),
        ("Balancing", "BalancingFunction"),
        ("Scaling", "ScalingFunction"),
        ("Capacity", "CapacityFunction"),
        ("Storage", "StorageFunction"),
        ("Delivery", "DeliveryFunction"),
    ] {
        let role = template.function_property(function, "Role").as_str().unwrap();
        let policies = template.properties(role.trim_end_matches(".Arn"))["Policies"]
            .as_array()
            .unwrap();
        let allowed: BTreeSet<_> = policies
            .iter()
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap())
            .flat_map(|statement| list(&statement["Action"]))
            .map(str::to_owned)
            .collect();
        let page: BTreeSet<_> = told(domain).union(&everyone).cloned().collect();
        assert_eq!(page, allowed, "{domain}");
    }
}

#[test]
fn the_environment_is_told_as_it_is_read() {
    let section = Page::of("docs/reference.md").section("Environment of the functions");
    let told: BTreeSet<_> = table_rows(&section).iter().flat_map(|row| quoted(&row[0])).collect();
    let template = Template::load();
    let set = &template.section("Globals")["Function"]["Environment"]["Variables"];
    let set: BTreeSet<_> = set.as_object().unwrap().keys().cloned().collect();
    assert_eq!(told, set);
    let reader = fs::read_to_string(root().join("shared/cloud/src/env.rs")).unwrap();
    for name in told.iter().filter(|name| name.starts_with("WHARFINGER_")) {
        assert!(reader.contains(name.as_str()), "env.rs does not read {name}");
    }
}

#[test]
fn metrics_are_told_as_they_are_sent() {
    let section = Page::of("docs/operations.md").section("Metrics");
    let rows = table_rows(&section);
    let told: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| quoted(&row[0]).into_iter().chain(quoted(&row[1])))
        .collect();
    let mut sent = BTreeSet::new();
    for file in [
        "shared/cloud/src/telemetry.rs",
        "shared/endpoints/src/sweep/report.rs",
        "functions/scaling/src/sweep.rs",
        "functions/capacity/src/stops.rs",
        "functions/capacity/src/sweep.rs",
        "functions/delivery/src/sweep.rs",
        "functions/storage/src/apply.rs",
        "functions/storage/src/orphans.rs",
        "functions/storage/src/sweep.rs",
    ] {
        let source = fs::read_to_string(root().join(file)).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        // A name stands first in a pair or triple: ("Decisions", "Count", …).
        sent.extend(
            code.split("(\"")
                .skip(1)
                .filter_map(|rest| rest.split_once("\","))
                .map(|(name, _)| name)
                .filter(|name| {
                    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(char::is_alphabetic)
                })
                .map(str::to_owned),
        );
    }
    assert_eq!(told, sent);
}

#[test]
fn alarms_are_told_as_they_are_deployed() {
    let section = Page::of("docs/operations.md").section("Alarms");
    let told: BTreeSet<_> = table_rows(&section).iter().flat_map(|row| quoted(&row[0])).collect();
    let template = Template::load();
    let deployed: BTreeSet<_> = template.of_type("AWS::CloudWatch::Alarm").map(str::to_owned).collect();
    assert_eq!(told, deployed);
}

#[test]
fn table_keys_are_told_as_they_are_written() {
    use wharfinger_core::config::stored;
    use wharfinger_core::ids::Target;

    let page = Page::of("docs/reference.md");
    let config = page.section("ConfigTable");
    let partitions: BTreeSet<_> = table_rows(&config).iter().flat_map(|row| quoted(&row[0])).collect();
    let written = [
        stored::TARGETS.to_owned(),
        stored::CLUSTERS.to_owned(),
        stored::META.to_owned(),
        stored::alarm_partition("NAME"),
        stored::repository_partition("NAME"),
    ];
    assert_eq!(partitions, written.into_iter().collect());

    let state = page.section("StateTable");
    let partitions: BTreeSet<_> = table_rows(&state).iter().flat_map(|row| quoted(&row[0])).collect();
    let service = Target::service("CLUSTER", "NAME");
    let lease = wharfinger_cloud::lease::service_key(&service);
    let family = Target::task("CLUSTER", "FAMILY").key();
    let history = wharfinger_cloud::history::partition(&service);
    for key in [lease.pk, family, history] {
        assert!(partitions.contains(&key), "{key} is not told: {partitions:?}");
    }
}

#[test]
fn decisions_are_listed() {
    let listed = Page::of("docs/adr/README.md").links();
    let folder = root().join("docs/adr");
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        assert!(listed.contains(&name), "{name} is not listed");
        let page = Page::read(&folder.join(&name));
        assert!(
            page.text.starts_with(&format!("# {} ", &name[..4])),
            "{name} has another number"
        );
        for heading in ["Context", "Decision", "Consequences"] {
            assert!(!page.section(heading).trim().is_empty(), "{name} has no {heading}");
        }
    }
}
