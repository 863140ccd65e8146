//! How long tasks linger, and with which image.

use std::time::Duration;

use super::Found;
use crate::config::{Drain, Path};
use crate::delivery::{FARGATE_LINGER, ImageRef};

/// The longest time that is taken for meant. `stopTimeout` takes more, and each deployment waits as long as its tasks do.
const MOST: Duration = Duration::from_hours(1);

pub(super) fn check(path: &Path, drain: &Drain, found: &mut Found) {
    let linger = drain.linger.duration();
    if linger.is_zero() {
        found.error(
            path.at("linger"),
            "must be longer than `0s`: without lingering leave `drain` out",
        );
    } else if linger > MOST {
        found.error(
            path.at("linger"),
            "must be at most `1h`: a deployment waits for its old tasks",
        );
    } else if linger > FARGATE_LINGER {
        let message = format!(
            "on Fargate ECS stops a container after 120 s, so tasks linger for {} s there",
            FARGATE_LINGER.as_secs()
        );
        found.warning(path.at("linger"), message);
    }
    if let Some(image) = &drain.image
        && let Err(error) = image.parse::<ImageRef>()
    {
        found.error(path.at("image"), error.to_string());
    }
}
