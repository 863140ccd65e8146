//! Which words of ECS and its agents mean what.
//!
//! Nobody promises these words, so what is matched is as short as it can be, and the stop code goes first where it says
//! enough. They are those of the ECS developer guide ("Stopped tasks error messages", "CannotPullContainer task errors",
//! "ResourceInitializationError errors", "`TaskFailedToStart` errors", "Handling Fargate Spot termination notices"), of
//! containerd and Docker as the agents pass them on, and of events that were seen.

use super::Class;

/// The first row of which all words are in the text says the class.
type Table = [(&'static [&'static str], Class)];

/// Whatever a connection that fails is called.
const UNREACHABLE: [&str; 13] = [
    "connection issue",
    "i/o timeout",
    "request canceled",
    "context canceled",
    "deadline exceeded",
    "no such host",
    "dial tcp",
    "connection reset",
    "connection refused",
    "connection timed out",
    "network is unreachable",
    "tls handshake timeout",
    "send request failed",
];

const DENIED: [&str; 8] = [
    "accessdenied",
    "access denied",
    "access to the resource is denied",
    "not authorized",
    "unauthorized",
    "forbidden",
    "no basic auth",
    "authorization failed",
];

/// What the agents say of an image that they cannot pull.
const PULL: &Table = &[
    (&["toomanyrequests"], Class::ImageRateLimited),
    (&["too many requests"], Class::ImageRateLimited),
    (&["rate limit"], Class::ImageRateLimited),
    (&["matching platform"], Class::PlatformMismatch),
    (&["no matching manifest"], Class::PlatformMismatch),
    (&["descriptor for platform"], Class::PlatformMismatch),
    (&["image operating system"], Class::PlatformMismatch),
    (&["no space left"], Class::DiskFull),
];

const ABSENT: [&str; 5] = [
    "not found",
    "manifest unknown",
    "does not exist",
    "(404)",
    "name unknown",
];

/// What can only be said of what a task needs before its containers, whatever else is in the text.
const RESOURCE: &Table = &[
    (&["efs"], Class::VolumeFailed),
    (&["volume"], Class::VolumeFailed),
    (&["mount"], Class::VolumeFailed),
    (&["throttl"], Class::Throttled),
    (&["rate exceeded"], Class::Throttled),
    (&["eni:"], Class::NetworkInterface),
    (&["network interface"], Class::NetworkInterface),
    // A call that was cut off: the way to the API was missing.
    (&["signal: killed"], Class::NetworkUnreachable),
];

/// What is said elsewhere.
const OTHER: &Table = &[
    (&["outofmemory"], Class::OutOfMemory),
    (&["out of memory"], Class::OutOfMemory),
    (&["exec format error"], Class::PlatformMismatch),
    (&["failed container health checks"], Class::ContainerUnhealthy),
    (&["failed elb health checks"], Class::TargetUnhealthy),
    (&["spot task was interrupted"], Class::SpotInterrupted),
    (&["maintenance on the underlying"], Class::Maintenance),
    (&["instance is in draining"], Class::Draining),
    (&["scaling activity initiated"], Class::ScaledIn),
    (&["task stopped by user"], Class::ByUser),
    (&["host ec2 (instance"], Class::HostGone),
    (&["container instance deregistration"], Class::HostGone),
    (&["agent", "disconnected"], Class::HostGone),
    (&["capacity is unavailable"], Class::NoCapacity),
    (&["insufficient capacity"], Class::NoCapacity),
    (&["network interface"], Class::NetworkInterface),
    (&["insufficientfreeaddresses"], Class::NetworkInterface),
    (&["resource:eni"], Class::NetworkInterface),
    (&["rate exceeded"], Class::Throttled),
    (&["logging driver"], Class::LogsFailed),
    (&["cannotcreatevolume"], Class::VolumeFailed),
    (&["ephemeralstorage provisioning"], Class::VolumeFailed),
    (&["cannotstartcontainer"], Class::NotStarted),
    (&["cannotcreatecontainer"], Class::NotStarted),
    (&["cannotinspectcontainer"], Class::NotStarted),
    (&["containerruntime"], Class::NotStarted),
    (&["dockertimeout"], Class::NotStarted),
    (&["oci runtime"], Class::NotStarted),
    (&["essential container in task exited"], Class::Exited),
];

/// The class that a text speaks of, if it says any.
pub(super) fn class(text: &str) -> Option<Class> {
    let text = text.to_lowercase();
    if text.contains("cannotpull") {
        return Some(pull(&text));
    }
    if text.contains("resourceinitializationerror") {
        return Some(resource(&text));
    }
    first(OTHER, &text)
}

fn pull(text: &str) -> Class {
    if let Some(class) = first(PULL, text) {
        return class;
    }
    if any(&UNREACHABLE, text) {
        return Class::ImageUnreachable;
    }
    // Registries that hide what is there say both: "access denied, repository does not exist or may require …".
    if any(&DENIED, text) {
        return Class::ImageDenied;
    }
    if any(&ABSENT, text) {
        return Class::ImageNotFound;
    }
    Class::ImageNotPulled
}

fn resource(text: &str) -> Class {
    // These words begin the text for secrets, for ECR and for a registry's credentials alike.
    let text = text.replace("unable to pull secrets or registry auth", "");
    if let Some(class) = first(RESOURCE, &text) {
        return class;
    }
    if any(&UNREACHABLE, &text) {
        return Class::NetworkUnreachable;
    }
    let denied = any(&DENIED, &text);
    if any(
        &["logger", "logging driver", "log group", "log stream", "cloudwatch"],
        &text,
    ) {
        return Class::LogsFailed;
    }
    if denied && any(&["ecr registry auth", "amazon ecr", "ecr:get"], &text) {
        return Class::ImageDenied;
    }
    match any(&["secret", "ssm", "asm", "parameter"], &text) {
        true if denied => Class::SecretDenied,
        true => Class::SecretMissing,
        false => Class::FailedToStart,
    }
}

fn first(table: &Table, text: &str) -> Option<Class> {
    let row = table
        .iter()
        .find(|(words, _)| words.iter().all(|word| text.contains(word)));
    row.map(|(_, class)| *class)
}

fn any(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.contains(word))
}
