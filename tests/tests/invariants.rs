//! What ARCHITECTURE.md promises of the crates, held to what Cargo says of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The platform on which the tests run. Cargo has fetched what is needed there, and not what others would need.
fn platform() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_else(|| panic!("rustc tells no host: {told}")).to_owned()
}

/// The workspace, as `cargo metadata` tells of it with every feature on.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--all-features",
            "--locked",
            "--offline",
            "--filter-platform",
            &platform(),
            "--manifest-path",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The names of all that a member needs to be built, with the way to each.
fn needs(metadata: &Value, member: &str) -> BTreeMap<String, String> {
    let packages = metadata["packages"].as_array().unwrap();
    let name = |id: &Value| {
        let package = packages.iter().find(|package| package["id"] == *id);
        package
            .and_then(|package| package["name"].as_str())
            .unwrap_or_else(|| panic!("no package {id}"))
            .to_owned()
    };
    let nodes: BTreeMap<_, _> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].to_string(), node))
        .collect();
    let start = packages
        .iter()
        .find(|package| package["name"] == member)
        .unwrap_or_else(|| panic!("no {member}"));
    let mut found = BTreeMap::new();
    let mut open = vec![(start["id"].clone(), member.to_owned())];
    while let Some((id, way)) = open.pop() {
        for dependency in nodes[&id.to_string()]["deps"].as_array().unwrap() {
            // Not what only its tests need.
            if dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .all(|kind| kind["kind"] == "dev")
            {
                continue;
            }
            let name = name(&dependency["pkg"]);
            let way = format!("{way} -> {name}");
            if found.insert(name, way.clone()).is_none() {
                open.push((dependency["pkg"].clone(), way));
            }
        }
    }
    found
}

#[test]
fn the_core_is_pure() {
    let metadata = metadata();
    let needed = needs(&metadata, "wharfinger-core");
    assert!(needed.contains_key("serde"), "the search finds nothing: {needed:?}");
    for (name, way) in &needed {
        let reaches_out = [
            "aws",
            "lambda",
            "hyper",
            "tokio",
            "mio",
            "socket2",
            "rustls",
            "reqwest",
            "wharfinger-cloud",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        assert!(
            !reaches_out,
            "shared/core decides and does nothing else, but needs {name}: {way}"
        );
    }
    // The search can find them: it does where they are.
    assert!(needs(&metadata, "wharfinger-cloud").contains_key("tokio"));
}

#[test]
fn only_the_tests_see_the_world_in_memory() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let for_tests = name == "wharfinger-tests" || dependency["kind"] == "dev";
            let asks = dependency["features"]
                .as_array()
                .unwrap()
                .iter()
                .any(|feature| feature == "world");
            let ours = dependency["name"] == "wharfinger-cloud";
            assert!(!(ours && asks) || for_tests, "{name} would deploy the world in memory");
        }
    }
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let metadata = metadata();
    let members: BTreeSet<_> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<_> = packages
        .iter()
        .filter(|package| members.contains(&package["id"].to_string()))
        .collect();
    assert_eq!(ours.len(), members.len());
    for package in ours {
        let manifest = package["manifest_path"].as_str().unwrap();
        let text = fs::read_to_string(manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{manifest}");
    }
}

/// Where the lint that bans the clock and the environment is lifted in what runs, and why it may be.
const DOORS: [(&str, &str); 4] = [
    (
        "cli/src/input.rs",
        "the time of the command offline: of an event that says none, and of the year in which schedules are looked at",
    ),
    ("shared/cloud/src/aws/mod.rs", "the clock"),
    ("shared/cloud/src/aws/raw.rs", "the time of a signature"),
    ("shared/cloud/src/env.rs", "the environment"),
];

#[test]
fn the_clock_and_the_environment_have_one_door_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let banned = fs::read_to_string(root.join("clippy.toml")).unwrap();
    for way in [
        "jiff::Timestamp::now",
        "jiff::Zoned::now",
        "std::time::SystemTime::now",
        "std::env::var",
        "std::env::vars",
    ] {
        assert!(banned.contains(&format!("path = \"{way}\"")), "{way} is not banned");
    }
    let mut open: Vec<_> = ["shared", "functions", "cli"].map(|folder| root.join(folder)).into();
    let mut doors = BTreeSet::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            if source.contains("clippy::disallowed_methods") {
                doors.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(doors, DOORS.map(|(file, _)| file.to_owned()).into());
}
