//! A folder of its own, in which the command runs.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const CONFIG: &str = r#"version: 1
services:
  prod/web:
    discovery:
      - { to: srv-abc, port: 8080, attributes: { version: "${image.tag}" } }
    scaling:
      min: 1
      max: 10
      rules: [ { alarm: web-cpu, target: 60 } ]
    delivery:
      - { repository: shop/web, tags: { semver: ">=1.2, <2" } }
"#;

pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("w.yaml", CONFIG);
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn write_json(&self, name: &str, json: &Value) -> PathBuf {
        self.write(name, &json.to_string())
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ran {
        self.start(args, &[], input)
    }

    pub(crate) fn run_in(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.start(args, environment, "")
    }

    fn start(&self, args: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        // Neither credentials nor a Region nor tables, and nothing to be found in a home.
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(environment.iter().copied());
        command.current_dir(self.0.path()).args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    pub(crate) fn explain(&self, event: &Value, more: &[&str]) -> (i32, Value) {
        self.write_json("event.json", event);
        let ran = self.run(
            &[
                &["explain", "event.json", "--config", "w.yaml", "--output", "json"],
                more,
            ]
            .concat(),
        );
        let answer = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (ran.code, answer)
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}
