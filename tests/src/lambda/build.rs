//! The functions' own binaries, built by cargo.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// How they are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As tests are: quickly.
    Dev,
    /// As they are deployed.
    Release,
}

/// Builds the binaries of these packages and says where they are, by the binary's name. Nothing is done when they are built.
///
/// Each package is built by itself, as `sam build` does, so that one does not lend its features to another.
///
/// # Errors
/// When cargo fails; its messages are in the error.
pub fn build(packages: &[&str], profile: Profile) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for package in packages {
        found.extend(build_one(package, profile)?);
    }
    Ok(found)
}

fn build_one(package: &str, profile: Profile) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    cargo.args([
        "build",
        "--quiet",
        "--bins",
        "--message-format=json-render-diagnostics",
        "-p",
        package,
    ]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
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
    let output = cargo.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("cargo could not build {package}:\n{said}")));
    }
    let messages = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok());
    let executable = |message: Value| {
        let path = message.get("executable")?.as_str()?;
        let name = message.pointer("/target/name")?.as_str()?;
        Some((name.to_owned(), PathBuf::from(path)))
    };
    Ok(messages.filter_map(executable).collect())
}
