use serde_json::json;

use super::*;
use crate::delivery::manifest::Child;

fn index(platforms: &[&str]) -> Manifest {
    let child = |(i, platform): (usize, &&str)| Child {
        digest: format!("sha256:{i:064x}").parse().unwrap(),
        platform: read(platform),
    };
    Manifest::Index(platforms.iter().enumerate().map(child).collect())
}

fn image(platform: &str) -> Manifest {
    Manifest::Image {
        platform: read(platform),
        configuration: None,
    }
}

fn read(platform: &str) -> Option<Platform> {
    let (os, architecture) = platform.split_once('/')?;
    Platform::parse(&json!({ "os": os, "architecture": architecture }))
}

#[track_caller]
fn check(definition: &Value, manifest: &Manifest, expected: Option<Code>) {
    let found = runs_on(definition.as_object().unwrap(), "shop/web:1", manifest);
    assert_eq!(
        found.err().map(|reason| reason.code),
        expected,
        "{definition} {manifest:?}"
    );
}

#[test]
fn an_image_runs_where_it_was_built_for() {
    let mismatch = Some(Code::PlatformMismatch);
    let fargate = json!({ "requiresCompatibilities": ["FARGATE"] });
    let graviton = json!({ "requiresCompatibilities": ["FARGATE"], "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" } });
    let ec2 = json!({ "requiresCompatibilities": ["EC2"], "compatibilities": ["EC2", "FARGATE"] });
    let said = json!({ "runtimePlatform": { "cpuArchitecture": "X86_64" } });
    let windows = json!({ "requiresCompatibilities": ["FARGATE"], "runtimePlatform": { "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" } });
    let newer = json!({ "runtimePlatform": { "cpuArchitecture": "RISCV64" } });
    for (platforms, on_fargate, on_graviton, on_ec2, on_said, on_windows, on_newer) in [
        (&["linux/amd64"][..], None, mismatch, None, None, mismatch, mismatch),
        (&["linux/arm64"], mismatch, None, None, mismatch, mismatch, mismatch),
        (
            &["linux/amd64", "linux/arm64"],
            None,
            None,
            None,
            None,
            mismatch,
            mismatch,
        ),
        (
            &["windows/amd64"],
            mismatch,
            mismatch,
            mismatch,
            mismatch,
            None,
            mismatch,
        ),
        (&["linux/arm"], mismatch, mismatch, None, mismatch, mismatch, mismatch),
        (&["linux/riscv64"], mismatch, mismatch, None, mismatch, mismatch, None),
    ] {
        let cases = [
            (&fargate, on_fargate),
            (&graviton, on_graviton),
            (&ec2, on_ec2),
            (&said, on_said),
            (&windows, on_windows),
            (&newer, on_newer),
        ];
        for (definition, expected) in cases {
            check(definition, &index(platforms), expected);
            if let [platform] = platforms {
                check(definition, &image(platform), expected);
            }
        }
    }
}

#[test]
fn what_is_not_known_refuses_nothing() {
    let fargate = json!({ "requiresCompatibilities": ["FARGATE"] });
    check(&fargate, &image("somewhere"), None);
    check(&fargate, &index(&["linux/arm64", "somewhere"]), None);
    check(&json!({}), &image("linux/arm64"), None);
}

#[test]
fn what_is_no_image_is_refused() {
    check(&json!({}), &index(&[]), Some(Code::NotAnImage));
    check(
        &json!({}),
        &Manifest::Other("application/vnd.in-toto+json".into()),
        Some(Code::NotAnImage),
    );
}

#[test]
fn the_reason_says_what_it_is_and_what_is_needed() {
    let fargate = json!({ "requiresCompatibilities": ["FARGATE"] });
    let told = |definition: &Value, manifest: &Manifest| {
        runs_on(definition.as_object().unwrap(), "shop/web:1", manifest)
            .unwrap_err()
            .message
    };
    assert_eq!(
        told(&fargate, &index(&["linux/arm64", "linux/arm"])),
        "shop/web:1 is for linux/arm64, linux/arm, and the tasks run on linux/amd64: build it for that, or change \
         `runtimePlatform`"
    );
    assert_eq!(
        told(&json!({}), &image("windows/amd64")),
        "shop/web:1 is for windows/amd64, and the tasks run on linux/any processor: build it for that, or change \
         `runtimePlatform`"
    );
    assert_eq!(
        told(&fargate, &Manifest::Other("application/vnd.in-toto+json".into())),
        "shop/web:1 is no container image: it is application/vnd.in-toto+json"
    );
}
