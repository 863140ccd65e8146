//! The pipelines of `examples/ci/`, held to the policies beside them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use wharfinger_core::config::{Document, validate};
use wharfinger_core::delivery::Compiled;

use crate::template::{root, words};

/// The pipelines, each with what a tag is made of there, and what that stands for in these tests.
const PIPELINES: [(&str, [(&str, &str); 3]); 3] = [
    (
        "github-actions.yml",
        [
            ("${{ github.run_number }}", "12"),
            ("${{ github.sha }}", "5d1c1f0"),
            ("${GITHUB_REF_NAME#v}", "2.4.0"),
        ],
    ),
    (
        "buildspec.yml",
        [
            ("$CODEBUILD_BUILD_NUMBER", "12"),
            ("$COMMIT", "5d1c1f0"),
            ("${CODEBUILD_WEBHOOK_TRIGGER#tag/v}", "2.4.0"),
        ],
    ),
    (
        "gitlab-ci.yml",
        [
            ("$CI_PIPELINE_IID", "12"),
            ("$CI_COMMIT_SHA", "5d1c1f0"),
            ("${CI_COMMIT_TAG#v}", "2.4.0"),
        ],
    ),
];

const TAGS: [&str; 3] = ["2.4.0", "main-12", "sha-5d1c1f0"];

fn read(name: &str) -> String {
    fs::read_to_string(root().join("examples/ci").join(name)).unwrap()
}

#[test]
fn every_file_of_a_pipeline_is_yaml() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("examples/ci")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let read: Result<Value, _> = serde_saphyr::from_str(&read(&name));
        assert!(read.unwrap_or_else(|e| panic!("{name}: {e}")).is_object(), "{name}");
        found.insert(name);
    }
    let known = PIPELINES.map(|(name, _)| name);
    assert_eq!(found, words(known.iter().chain(&["wharfinger.yaml"])));
}

#[test]
fn pipelines_push_the_tags_that_the_policies_expect() {
    for (name, values) in PIPELINES {
        let mut text = read(name);
        for (variable, value) in values {
            assert!(text.contains(variable), "{name} does not use {variable}");
            text = text.replace(variable, value);
        }
        // `sha-$GITHUB_SHA` is what a step of a shell calls it.
        let text = text
            .replace("$GITHUB_SHA", "5d1c1f0")
            .replace("${{ vars.ECR_REPOSITORY }}", "$IMAGE");
        let pushed: BTreeSet<_> = text
            .split("$IMAGE:")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| c.is_whitespace() || c == '"').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(pushed, words(TAGS), "{name}");
    }
    let document: Document = serde_saphyr::from_str(&read("wharfinger.yaml")).unwrap();
    assert_eq!(validate(&document), []);
    for (service, expected) in [
        ("staging/web", "main-12"),
        ("staging/api", "sha-5d1c1f0"),
        ("prod/web", "2.4.0"),
        ("prod/api", "2.4.0"),
    ] {
        let policy = Compiled::new(&document.services[service].delivery[0].tags).unwrap();
        let selected: Vec<_> = TAGS.into_iter().filter(|tag| policy.select(tag).is_ok()).collect();
        assert_eq!(selected, [expected], "{service}");
    }
}
