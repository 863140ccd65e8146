//! Configurations as YAML.

use anyhow::Context;
use serde::Serialize;

/// YAML that `apply` takes.
pub(crate) fn text(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("this cannot be written as YAML")
}
