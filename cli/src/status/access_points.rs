//! What is known of a service's volumes on EFS.

use std::io::{self, Write};

use serde::Serialize;
use wharfinger_core::config::{AccessPoint, Storage};
use wharfinger_core::storage::{Memory, Unused};

use crate::output::{DIM, YELLOW};

/// What is known of them.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct OnEfs(Vec<Point>);

/// The access point of one volume.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Point {
    /// The volume's name in the task definition.
    volume: String,
    /// `fsap-…`; none while there is none.
    id: Option<String>,
    /// What is configured.
    wanted: AccessPoint,
}

impl OnEfs {
    pub(super) fn of(configured: &[Storage], memory: &Memory) -> Self {
        let points = configured.iter().filter_map(|storage| {
            let wanted = storage.access_point.clone()?;
            let known = memory.access_points.get(&storage.volume);
            let id = known.filter(|known| known.of == wanted).map(|known| known.id.clone());
            let volume = storage.volume.clone();
            Some(Point { volume, id, wanted })
        });
        Self(points.collect())
    }

    /// Whether one is missing.
    pub(super) fn lacks(&self) -> bool {
        self.0.iter().any(|point| point.id.is_none())
    }

    /// Prints it for people.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|point| point.text(out))
    }
}

impl Point {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { volume, id, wanted } = self;
        let AccessPoint {
            file_system,
            path,
            uid,
            gid,
            tenant,
            ..
        } = wanted;
        let tenant = tenant
            .as_ref()
            .map_or_else(String::new, |name| format!(", of tenant {name}"));
        let what = format!("{path} of {file_system} as {uid}:{gid}{tenant}");
        match id {
            Some(id) => writeln!(
                out,
                "    {volume}: {id}, {what} {DIM}(the next revision mounts through it){DIM:#}"
            ),
            None => writeln!(out, "    {volume}: {YELLOW}no access point yet{YELLOW:#}, {what}"),
        }
    }
}

/// Prints what is left of what was configured before.
pub(super) fn unused(out: &mut dyn Write, unused: &[Unused]) -> io::Result<()> {
    for Unused { id, file_system, path } in unused {
        writeln!(
            out,
            "    {id}: {path} of {file_system} is not configured any more {DIM}(nothing removes it; its data stays){DIM:#}"
        )?;
    }
    Ok(())
}
