//! EFS: file systems, and access points of them.

use std::collections::BTreeMap;

use serde_json::Value;
use wharfinger_core::storage::{AccessPoint, CreateAccessPoint};

use super::{Caller, Change, World};
use crate::error::{CloudError, Kind};
use crate::ports::{AccessPoints, Opened};

/// File systems of the account.
#[derive(Debug, Clone, Default)]
pub struct Efs {
    /// The access points of each file system, by `fs-…`.
    pub file_systems: BTreeMap<String, Vec<Opening>>,
    /// Why no access point is made now: EFS's code and words.
    pub refuses: Option<String>,
}

/// An access point, and the token that it was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What `DescribeAccessPoints` says.
    pub point: AccessPoint,
    /// The token.
    pub token: String,
}

impl World {
    /// Makes a file system.
    pub fn make_file_system(&mut self, id: &str) {
        self.efs.file_systems.entry(id.to_owned()).or_default();
    }

    /// Every access point that EFS still makes can be mounted from now on.
    pub fn open_access_points(&mut self) {
        for opening in self.efs.file_systems.values_mut().flatten() {
            if opening.point.state == "creating" {
                "available".clone_into(&mut opening.point.state);
            }
        }
    }

    fn open(&mut self, request: &CreateAccessPoint) -> Result<Opened, CloudError> {
        if let Some(words) = &self.efs.refuses {
            return Ok(Opened::Refused(words.clone()));
        }
        let mut answer = request.input();
        let id = format!("fsap-{:017x}", self.next());
        let Some(openings) = self.efs.file_systems.get_mut(&request.wanted.file_system) else {
            return Ok(Opened::Refused("FileSystemNotFound: there is none".to_owned()));
        };
        if openings.iter().any(|opening| opening.token == request.token) {
            return Ok(Opened::Exists);
        }
        answer["AccessPointId"] = Value::from(id);
        answer["LifeCycleState"] = Value::from("creating");
        let unreadable = || {
            CloudError::new(
                "CreateAccessPoint",
                Kind::Unreadable,
                "the request makes no access point",
            )
        };
        let point = AccessPoint::parse(&answer).ok_or_else(unreadable)?;
        let token = request.token.clone();
        openings.push(Opening {
            point: point.clone(),
            token,
        });
        self.did(Change::CreateAccessPoint(point.clone()));
        Ok(Opened::Made(point))
    }
}

impl AccessPoints for Caller {
    async fn access_points(&self, file_system: &str) -> Result<Option<Vec<AccessPoint>>, CloudError> {
        let describe = |world: &World| {
            let openings = world.efs.file_systems.get(file_system);
            Ok(openings.map(|all| all.iter().map(|opening| opening.point.clone()).collect()))
        };
        let brief = |found: &Option<Vec<_>>| format!("{} access point(s)", found.as_ref().map_or(0, Vec::len));
        self.read("DescribeAccessPoints", || file_system.to_owned(), describe, brief)
            .await
    }

    async fn create_access_point(&self, request: &CreateAccessPoint) -> Result<Opened, CloudError> {
        let argument = || format!("{} {}", request.target, request.volume);
        let create = |world: &mut World| world.open(request);
        let brief = |opened: &Opened| match opened {
            Opened::Made(point) => point.id.clone(),
            other => format!("{other:?}"),
        };
        self.write("CreateAccessPoint", argument, create, brief).await
    }
}
