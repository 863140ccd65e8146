//! The functions' own binaries, built by cargo.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Builds the binaries of these packages and says where they are, by the binary's name. Nothing is done when they are built.
///
/// Each package is built by itself, as `sam build` does, so that one does not lend its features to another.
///
/// # Errors
/// When cargo fails; its messages are in the error.
pub fn build(packages: &[&str]) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for package in packages {
        let mut cargo = cargo(&workspace());
        cargo.args(["build", "--quiet", "--bins", "-p", package, MESSAGES]);
        found.extend(executables(&run(cargo)?.stdout));
    }
    Ok(found)
}

/// Builds a binary as it is deployed and says where it is: by cargo-lambda, as `sam build` does, where it is installed, and
/// otherwise by cargo with the same profile. Progress goes to standard error.
///
/// # Errors
/// When it cannot be built.
pub fn build_for_lambda(name: &str, folder: &str) -> io::Result<PathBuf> {
    let folder = workspace().join(folder);
    let mut lambda = cargo(&folder);
    lambda
        .args(["lambda", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if lambda.status()?.success() {
        let mut lambda = cargo(&folder);
        lambda
            .args(["lambda", "build", "--release", "--bin", name])
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        run(lambda)?;
        let mut metadata = cargo(&folder);
        metadata.args(["metadata", "--format-version=1", "--no-deps"]);
        let metadata: Value = serde_json::from_slice(&run(metadata)?.stdout)?;
        let target = metadata
            .get("target_directory")
            .and_then(Value::as_str)
            .unwrap_or_default();
        return Ok(Path::new(target).join("lambda").join(name).join("bootstrap"));
    }
    let mut release = cargo(&folder);
    release
        .args(["build", "--release", "--bin", name, MESSAGES])
        .stderr(Stdio::inherit());
    let stdout = run(release)?.stdout;
    let found = executables(&stdout).find(|(found, _)| found == name);
    found
        .map(|(_, path)| path)
        .ok_or_else(|| io::Error::other(format!("cargo built no `{name}`")))
}

const MESSAGES: &str = "--message-format=json-render-diagnostics";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cargo in a folder.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder);
    // What cargo says to the program that it runs would make build scripts run anew in the cargo that this one runs.
    #[allow(clippy::disallowed_methods, reason = "not read, but kept from cargo")]
    for (name, _) in std::env::vars_os() {
        let said_to_programs = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if name
            .to_str()
            .is_some_and(|name| said_to_programs.iter().any(|prefix| name.starts_with(prefix)))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn run(mut command: Command) -> io::Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{command:?} failed: {}\n{said}",
        output.status
    )))
}

fn executables(messages: &[u8]) -> impl Iterator<Item = (String, PathBuf)> {
    let messages = messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    messages.filter_map(|message| {
        let path = message.get("executable")?.as_str()?;
        let name = message.pointer("/target/name")?.as_str()?;
        Some((name.to_owned(), PathBuf::from(path)))
    })
}
