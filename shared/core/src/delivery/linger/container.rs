//! The side container itself.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Its name.
pub const SIDE_CONTAINER: &str = "wharfinger-linger";
/// The environment variable with the seconds, by which it is known as ours.
pub const MARK: &str = "WHARFINGER_LINGER";

/// The image without one in the configuration: small, multi-platform, and pulled without an account.
const IMAGE: &str = "public.ecr.aws/docker/library/busybox:1.37.0";

/// How much longer than it lingers it may take to stop, in seconds.
pub(super) const MARGIN: u64 = 10;

/// In MiB; Docker takes no less than 6 (ECS API reference, `ContainerDefinition.memoryReservation`).
const RESERVATION: u64 = 16;

/// As process 1 it gets only the signals that it traps, and some images have another `STOPSIGNAL` than SIGTERM. It waits
/// for a `sleep` in the background, since a shell acts on a signal only between commands. A second signal must not begin
/// the time anew. Without `sleep` it ends, rather than spin.
const SCRIPT: &str = r#"trap 'trap "" TERM INT QUIT; sleep "$WHARFINGER_LINGER"; exit 0' TERM INT QUIT; while sleep 86400 & wait "$!"; do :; done"#;

/// What the side container is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SideContainer {
    /// Its image, if it is not the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// For how long it holds the others up, in seconds.
    pub linger: u64,
    /// The containers that it holds up.
    pub depends_on: Vec<String>,
    /// Whether it needs a reservation of memory: when the task as a whole has none (ECS API reference,
    /// `ContainerDefinition.memory`). Where the task has one, a reservation more might not fit into it.
    pub reserves: bool,
}

impl SideContainer {
    /// As it stands in `containerDefinitions`.
    pub(super) fn definition(&self) -> Value {
        let depends_on: Vec<_> = self
            .depends_on
            .iter()
            .map(|name| json!({ "containerName": name, "condition": "START" }))
            .collect();
        let mut container = json!({
            "name": SIDE_CONTAINER,
            "image": self.image.as_deref().unwrap_or(IMAGE),
            "essential": false,
            "cpu": 0,
            "entryPoint": ["sh", "-c"],
            "command": [SCRIPT],
            "environment": [{ "name": MARK, "value": self.linger.to_string() }],
            "dependsOn": depends_on,
            "stopTimeout": self.linger + MARGIN,
            "readonlyRootFilesystem": true,
            "user": "65534",
        });
        if self.reserves {
            container["memoryReservation"] = RESERVATION.into();
        }
        container
    }
}

/// Whether a container is the side container, and ours.
pub(in crate::delivery) fn is_ours(container: &Value) -> bool {
    let environment = container.get("environment").and_then(Value::as_array);
    let mut names = environment.into_iter().flatten().filter_map(|pair| pair.get("name"));
    is_named(container) && names.any(|name| name == MARK)
}

pub(super) fn is_named(container: &Value) -> bool {
    container.get("name").is_some_and(|name| name == SIDE_CONTAINER)
}
