//! Access points: what EFS would refuse, and tenants that are said to be two things.

use super::Found;
use crate::config::{AccessPoint, Document, Path, Restore, Storage};

/// The longest path, and how many levels it may have (EFS API reference, `RootDirectory`).
const PATH: usize = 100;
const LEVELS: usize = 4;
/// What none of them may hold (the same).
const REFUSED: &str = "$#<>;`|&?{}^*\n";
/// The longest name of a tenant: it is a tag's value, after `tenant:` (EFS API reference, `Tag`).
const TENANT: usize = 249;

pub(super) fn check(path: &Path, storage: &Storage, point: &AccessPoint, found: &mut Found) {
    if storage.snapshot.is_some() || storage.restore != Restore::None {
        let message = "the volume is on EFS or on EBS: `access-point` is for the one, `snapshot` and `restore` are for \
                       the other; write two entries if they are two volumes";
        found.error(path.clone(), message);
    }
    let path = path.at("access-point");
    if !point.has_id() {
        let message = format!(
            "`{}` is no id of a file system: write it as EFS does, like `fs-0123456789abcdef0`",
            point.file_system
        );
        found.error(path.at("file-system"), message);
    }
    if let Some(why) = unusable(&point.path) {
        found.error(path.at("path"), why);
    }
    if let Some(tenant) = &point.tenant {
        found.name(path.at("tenant"), "the tenant's name", tenant, TENANT);
        let is_taken = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
        if let Some(odd) = tenant.chars().find(|c| !is_taken(*c)) {
            let message = format!("has `{}`, which EFS takes in no tag", odd.escape_default());
            found.error(path.at("tenant"), message);
        }
    }
}

/// Why EFS would refuse a path.
fn unusable(path: &str) -> Option<String> {
    let Some(levels) = path.strip_prefix('/') else {
        return Some("must begin with `/`: it is seen from the file system's root".to_owned());
    };
    let levels: Vec<_> = levels.split('/').collect();
    if path.len() > PATH {
        return Some(format!("has {} characters; EFS takes {PATH}", path.len()));
    }
    if levels.len() > LEVELS {
        return Some(format!("has {} levels; EFS takes {LEVELS}", levels.len()));
    }
    if path != "/" && levels.contains(&"") {
        return Some("has a level without a name: write it without `//`, and without a `/` at its end".to_owned());
    }
    if let Some(level) = levels.iter().find(|level| level.starts_with('.')) {
        return Some(format!("`{level}` begins with a dot, which EFS refuses"));
    }
    let odd = path.chars().find(|c| REFUSED.contains(*c))?;
    Some(format!("has `{}`, which EFS refuses", odd.escape_default()))
}

/// Whoever names a tenant and a file system means the same access point, so all must say the same of it. The first to say it
/// is told by the others.
pub(super) fn tenants(document: &Document, found: &mut Found) {
    let mut known: Vec<(&AccessPoint, Path)> = Vec::new();
    for (name, service) in &document.services {
        let path = Path::root().at("services").at(name).at("storage");
        for (i, storage) in service.storage.iter().enumerate() {
            let Some(point) = storage.access_point.as_ref().filter(|point| point.tenant.is_some()) else {
                continue;
            };
            let path = path.at(i).at("access-point");
            let is_same = |(other, _): &&(&AccessPoint, Path)| {
                (&other.tenant, &other.file_system) == (&point.tenant, &point.file_system)
            };
            match known.iter().find(is_same) {
                Some((first, at)) if *first != point => {
                    let message = format!(
                        "tenant `{}` has another path, user or permissions at {at}: write the same in both, or name \
                         another tenant",
                        point.tenant.as_deref().unwrap_or_default()
                    );
                    found.error(path, message);
                }
                Some(_) => {}
                None => known.push((point, path)),
            }
        }
    }
}
