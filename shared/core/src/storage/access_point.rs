//! Access points of EFS: which there are, and which is the one that a service or a tenant is to have.
//!
//! EFS takes a token for each that it makes, and one cannot be changed once it is made. So what is configured names it: a
//! repeat makes no other, and what is configured otherwise is another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::OWNER_TAG;
use super::snapshot::tags;
use crate::config::{AccessPoint as Wanted, Permissions, Storage};
use crate::event::text;
use crate::ids::Target;

/// The tag that says whose it is: `cluster/service`, or `tenant:NAME`.
pub const ACCESS_POINT_TAG: &str = "wharfinger:access-point";

/// An access point, as `DescribeAccessPoints` answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPoint {
    /// `fsap-…`.
    pub id: String,
    /// Its file system, `fs-…`.
    pub file_system: String,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// The directory that is seen as the root.
    pub path: String,
    /// As whom everything is read and written: user and group. Absent when it is the task's own.
    pub user: Option<(u32, u32)>,
    /// Whether that user has other groups besides: none of ours has.
    pub has_other_groups: bool,
    /// What EFS makes of the directory when it is missing: its user, group and permissions.
    pub makes: Option<(u32, u32, Permissions)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl AccessPoint {
    /// Reads one of `DescribeAccessPoints`, or the answer of `CreateAccessPoint`; `None` when it has no id, file system or
    /// state.
    #[must_use]
    pub fn parse(point: &Value) -> Option<Self> {
        let number = |of: &Value, field: &str| of.get(field)?.as_u64()?.try_into().ok();
        let user = point.get("PosixUser").unwrap_or(&Value::Null);
        let root = point.get("RootDirectory").unwrap_or(&Value::Null);
        let makes = root.get("CreationInfo").unwrap_or(&Value::Null);
        let others = user.get("SecondaryGids").and_then(Value::as_array);
        Some(Self {
            id: text(point, "AccessPointId")?.to_owned(),
            file_system: text(point, "FileSystemId")?.to_owned(),
            state: text(point, "LifeCycleState")?.to_owned(),
            path: text(root, "Path").unwrap_or("/").to_owned(),
            user: number(user, "Uid").zip(number(user, "Gid")),
            has_other_groups: others.is_some_and(|others| !others.is_empty()),
            makes: number(makes, "OwnerUid")
                .zip(number(makes, "OwnerGid"))
                .zip(text(makes, "Permissions").and_then(|permissions| permissions.parse().ok()))
                .map(|((uid, gid), permissions)| (uid, gid, permissions)),
            tags: tags(point),
        })
    }

    /// Whether it carries our mark.
    #[must_use]
    pub fn is_of(&self, owner: &str) -> bool {
        self.tags.get(OWNER_TAG).is_some_and(|of| of == owner)
    }

    /// Whose it is, by its tag.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.tags.get(ACCESS_POINT_TAG).map(String::as_str)
    }

    /// Whether it can be mounted, or will be soon.
    #[must_use]
    pub fn lives(&self) -> bool {
        matches!(self.state.as_str(), "creating" | "available" | "updating")
    }

    /// Whether it can be mounted.
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self.state.as_str(), "available" | "updating")
    }

    /// Whether it is just what is wanted, and of the same whose.
    #[must_use]
    pub fn is(&self, wanted: &Wanted, key: &str) -> bool {
        let Wanted {
            file_system,
            path,
            uid,
            gid,
            permissions,
            tenant: _,
        } = wanted;
        self.key() == Some(key)
            && (&self.file_system, &self.path) == (file_system, path)
            && self.user == Some((*uid, *gid))
            && !self.has_other_groups
            && self.makes == Some((*uid, *gid, *permissions))
    }
}

/// Whose an access point of this service is.
#[must_use]
pub fn owner_key(target: &Target, wanted: &Wanted) -> String {
    match &wanted.tenant {
        Some(tenant) => format!("tenant:{tenant}"),
        None => target.to_string(),
    }
}

/// An access point that is there for a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Provided {
    /// `fsap-…`.
    pub id: String,
    /// What was configured when it was found: what is configured otherwise by now has another.
    pub of: Wanted,
}

/// An access point of ours that nothing configured wants any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unused {
    /// `fsap-…`.
    pub id: String,
    /// `fs-…`.
    pub file_system: String,
    /// Its directory.
    pub path: String,
}

impl From<&AccessPoint> for Unused {
    fn from(point: &AccessPoint) -> Self {
        Self {
            id: point.id.clone(),
            file_system: point.file_system.clone(),
            path: point.path.clone(),
        }
    }
}

/// The volumes on EFS and what is wanted for each.
pub(crate) fn wanted(rules: &[Storage]) -> impl Iterator<Item = (&str, &Wanted)> {
    rules
        .iter()
        .filter_map(|rule| Some((rule.volume.as_str(), rule.access_point.as_ref()?)))
}

/// The access points of ours that are just what is wanted and not on their way out, those that can be mounted first.
pub(super) fn matching<'a>(
    points: &'a [AccessPoint],
    wanted: &Wanted,
    target: &Target,
    owner: &str,
) -> Vec<&'a AccessPoint> {
    let key = owner_key(target, wanted);
    let is_it = |point: &&AccessPoint| point.is_of(owner) && point.lives() && point.is(wanted, &key);
    let mut found: Vec<_> = points.iter().filter(is_it).collect();
    found.sort_by_key(|point| (!point.is_available(), &point.id));
    found
}

/// Which access point each volume has, of those that there are.
#[must_use]
pub fn provided(rules: &[Storage], points: &[AccessPoint], target: &Target, owner: &str) -> BTreeMap<String, Provided> {
    let of = |(volume, of): (&str, &Wanted)| {
        let first = *matching(points, of, target, owner).first()?;
        let (id, of) = (first.id.clone(), of.clone());
        first.is_available().then(|| (volume.to_owned(), Provided { id, of }))
    };
    wanted(rules).filter_map(of).collect()
}

/// Whether an access point is ours and nothing of what is wanted, each with whose it is.
#[must_use]
pub fn is_unused(point: &AccessPoint, owner: &str, wanted: &[(String, Wanted)]) -> bool {
    point.is_of(owner) && point.lives() && !wanted.iter().any(|(key, wanted)| point.is(wanted, key))
}

/// What the rules of a target want, each with whose it is.
pub fn keyed<'a>(target: &'a Target, rules: &'a [Storage]) -> impl Iterator<Item = (String, Wanted)> + 'a {
    wanted(rules).map(move |(_, of)| (owner_key(target, of), of.clone()))
}

/// An access point to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccessPoint {
    /// The service that is to have it.
    pub target: Target,
    /// The volume that is mounted through it.
    pub volume: String,
    /// What it is to be.
    pub wanted: Wanted,
    /// What tells a repeat from another one.
    pub token: String,
    /// Its tags, ours among them.
    pub tags: BTreeMap<String, String>,
}

impl CreateAccessPoint {
    /// What makes the access point of a volume.
    #[must_use]
    pub fn of(target: &Target, volume: &str, wanted: &Wanted, owner: &str) -> Self {
        let key = owner_key(target, wanted);
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Self {
            target: target.clone(),
            volume: volume.to_owned(),
            wanted: wanted.clone(),
            token: token(owner, &key, wanted),
            tags: BTreeMap::from([tag("Name", &key), tag(OWNER_TAG, owner), tag(ACCESS_POINT_TAG, &key)]),
        }
    }

    /// The request, in the API's own case.
    #[must_use]
    pub fn input(&self) -> Value {
        let Wanted {
            file_system,
            path,
            uid,
            gid,
            permissions,
            tenant: _,
        } = &self.wanted;
        let tags = self.tags.iter();
        let tags: Vec<_> = tags.map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        json!({
            "ClientToken": self.token,
            "FileSystemId": file_system,
            "PosixUser": { "Uid": uid, "Gid": gid },
            "RootDirectory": {
                "Path": path,
                "CreationInfo": { "OwnerUid": uid, "OwnerGid": gid, "Permissions": permissions },
            },
            "Tags": tags,
        })
    }
}

/// The token of what is wanted: EFS takes 64 characters (EFS API reference, `CreateAccessPoint`).
fn token(owner: &str, key: &str, wanted: &Wanted) -> String {
    let (uid, gid) = (wanted.uid.to_string(), wanted.gid.to_string());
    let permissions = wanted.permissions.to_string();
    let parts = [owner, &wanted.file_system, key, &wanted.path, &uid, &gid, &permissions];
    format!("wharfinger-{:032x}", fnv(parts.join("\0").as_bytes()))
}

/// FNV-1a of 128 bits (RFC 9923): the same in each version of this program, which the standard library's hasher is not.
fn fnv(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes
        .iter()
        .fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}
