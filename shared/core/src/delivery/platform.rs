//! Whether an image can run where the tasks of a task definition run.
//!
//! An image for another processor starts and dies with `exec format error`, over and over: it is not rolled out at all.

use serde_json::{Map, Value};

use super::linger::on_windows;
use super::manifest::{Manifest, Platform};
use crate::report::{Code, Reason};

/// Whether what a digest stands for can run in the tasks of a task definition (the member `taskDefinition` of the answer
/// of `DescribeTaskDefinition`). What is not known refuses nothing.
///
/// # Errors
/// `NotAnImage` when it is no image at all, `PlatformMismatch` when it is for other platforms only.
pub fn runs_on(definition: &Map<String, Value>, name: &str, manifest: &Manifest) -> Result<(), Reason> {
    let has: Vec<&Platform> = match manifest {
        Manifest::Other(media_type) => {
            let message = format!("{name} is no container image: it is {media_type}");
            return Err(Reason::new(Code::NotAnImage, message));
        }
        Manifest::Index(children) if children.is_empty() => {
            let message = format!("{name} is an index without an image");
            return Err(Reason::new(Code::NotAnImage, message));
        }
        Manifest::Image { platform, .. } => platform.iter().collect(),
        Manifest::Index(children) => {
            let platforms: Option<Vec<_>> = children.iter().map(|child| child.platform.as_ref()).collect();
            platforms.unwrap_or_default()
        }
    };
    let wants = Wants::of(definition);
    if has.is_empty() || has.iter().any(|platform| wants.fits(platform)) {
        return Ok(());
    }
    let list: Vec<_> = has.iter().map(ToString::to_string).collect();
    let message = format!(
        "{name} is for {}, and the tasks run on {wants}: build it for that, or change `runtimePlatform`",
        list.join(", ")
    );
    Err(Reason::new(Code::PlatformMismatch, message))
}

/// What the tasks run on.
struct Wants {
    os: &'static str,
    /// `None`: what the instances of the cluster have.
    architecture: Option<String>,
}

impl Wants {
    /// On Fargate a task runs on X86_64 unless it says otherwise; on instances it runs on whatever they have (ECS API
    /// reference, `RuntimePlatform`). That it must fit Fargate says that it runs there; that it would does not.
    fn of(definition: &Map<String, Value>) -> Self {
        let platform = definition.get("runtimePlatform");
        let told = platform
            .and_then(|platform| platform.get("cpuArchitecture"))
            .and_then(Value::as_str);
        let requires = definition.get("requiresCompatibilities").and_then(Value::as_array);
        let on_fargate = requires.is_some_and(|list| list.iter().any(|kind| kind == "FARGATE"));
        let architecture = match told {
            Some("X86_64") => Some("amd64".to_owned()),
            Some("ARM64") => Some("arm64".to_owned()),
            Some(other) => Some(other.to_ascii_lowercase()),
            None => on_fargate.then(|| "amd64".to_owned()),
        };
        Self {
            os: if on_windows(definition) { "windows" } else { "linux" },
            architecture,
        }
    }

    fn fits(&self, platform: &Platform) -> bool {
        let same = |architecture: &String| *architecture == platform.architecture;
        platform.os == self.os && self.architecture.as_ref().is_none_or(same)
    }
}

impl std::fmt::Display for Wants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}",
            self.os,
            self.architecture.as_deref().unwrap_or("any processor")
        )
    }
}

#[cfg(test)]
mod tests;
