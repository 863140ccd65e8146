//! The access points of a service's volumes on EFS.
//!
//! | what is found | code | outcome |
//! |---|---|---|
//! | the file system's access points are not known | `FactsMissing` | wait |
//! | the file system does not exist | `AccessPointRefused` | wait |
//! | one of ours is just what is configured | `AccessPointReady` | it is remembered for the next revision |
//! | the same, and EFS still makes it | `AccessPointPending` | wait |
//! | EFS refused to make one just now | `AccessPointRefused` | wait |
//! | otherwise | `AccessPointStarts` | `CreateAccessPoint` |
//!
//! What is there and not wanted stays: behind it is data.

use jiff::{SignedDuration, Timestamp};

use super::access_point::{matching, wanted};
use super::decide::Draft;
use super::due::after;
use super::{AccessPoint, Action, CreateAccessPoint, Provided, Unused, is_unused, keyed, owner_key};
use crate::config::AccessPoint as Wanted;
use crate::report::{Code, Outcome, Reason, counted};

/// When one that EFS makes is looked at again: it takes seconds, and no event tells of it.
const SOON: SignedDuration = SignedDuration::from_mins(1);
/// When one that EFS refused to make is tried again.
const LATER: SignedDuration = SignedDuration::from_mins(5);

/// The operation that tells of access points.
const DESCRIBE: &str = "DescribeAccessPoints";

impl Draft<'_> {
    /// Decides on the access point of each volume on EFS.
    pub(super) fn access_points(&mut self) {
        let facts = self.facts;
        self.memory
            .access_points
            .retain(|volume, known| wanted(&facts.rules).any(|(name, of)| name == volume && *of == known.of));
        for (volume, of) in wanted(&facts.rules) {
            match facts.file_systems.get(&of.file_system) {
                None => self.unknown_file_system(volume, of),
                Some(None) => {
                    let message = format!(
                        "there is no file system {} in this account and Region: name another in `access-point`",
                        of.file_system
                    );
                    self.no_point(volume, Code::AccessPointRefused, &message, LATER);
                }
                Some(Some(points)) => self.access_point(volume, of, points),
            }
        }
        self.unused_points();
    }

    fn unknown_file_system(&mut self, volume: &str, of: &Wanted) {
        let target = &self.facts.target;
        let message = format!(
            "{target}/{volume}: which access points {} has is not known",
            of.file_system
        );
        self.say(Code::FactsMissing, message);
        self.outcome = Outcome::Wait;
        self.miss(vec![DESCRIBE]);
        self.asks.file_systems.insert(of.file_system.clone());
    }

    fn access_point(&mut self, volume: &str, of: &Wanted, points: &[AccessPoint]) {
        let facts = self.facts;
        let found = matching(points, of, &facts.target, &facts.owner);
        let known = self.memory.access_points.get(volume).map(|known| &known.id);
        let usable = || found.iter().filter(|point| point.is_available());
        // The one that is in the revisions already stays the one.
        let first = usable()
            .find(|point| Some(&point.id) == known)
            .or_else(|| usable().next());
        if let Some(point) = first {
            let (path, uid, gid) = (&of.path, of.uid, of.gid);
            let message = format!(
                "{}/{volume}: {} is {path} of {} as {uid}:{gid}; the next revision mounts through it",
                facts.target, point.id, of.file_system
            );
            self.say(Code::AccessPointReady, message);
            let (id, of) = (point.id.clone(), of.clone());
            let provided = Provided { id, of };
            self.memory.access_points.insert(volume.to_owned(), provided);
        } else if let Some(point) = found.first() {
            let message = format!("EFS makes {}, which is {} yet", point.id, point.state);
            self.no_point(volume, Code::AccessPointPending, &message, SOON);
        } else if let Some(words) = facts.refused.get(volume) {
            let message = format!("EFS makes no access point now, and is asked again: {words}");
            self.no_point(volume, Code::AccessPointRefused, &message, LATER);
        } else {
            self.create_point(volume, of);
        }
    }

    fn create_point(&mut self, volume: &str, of: &Wanted) {
        let facts = self.facts;
        let request = CreateAccessPoint::of(&facts.target, volume, of, &facts.owner);
        let is_same = |action: &Action| matches!(action, Action::CreateAccessPoint(one) if one.token == request.token);
        if self.creations.iter().any(is_same) {
            return self.no_point(
                volume,
                Code::AccessPointPending,
                "another volume's is made, which is the same",
                SOON,
            );
        }
        let (path, uid, gid, permissions) = (&of.path, of.uid, of.gid, of.permissions);
        let message = format!(
            "{}/{volume}: an access point of {path} of {} is made for {}, as {uid}:{gid}; where the directory is missing, \
             with {permissions}",
            facts.target,
            of.file_system,
            owner_key(&facts.target, of)
        );
        self.say(Code::AccessPointStarts, message);
        self.memory.access_points.remove(volume);
        self.creations.push(Action::CreateAccessPoint(request));
        self.look_again(SOON);
    }

    /// There is none that could be mounted, and the next look may find one.
    fn no_point(&mut self, volume: &str, code: Code, why: &str, again: SignedDuration) {
        self.memory.access_points.remove(volume);
        let message = format!("{}/{volume}: {why}", self.facts.target);
        self.say(code, message);
        self.outcome = Outcome::Wait;
        self.look_again(again);
    }

    fn look_again(&mut self, within: SignedDuration) {
        let again: Timestamp = after(self.now, within);
        self.next_look = Some(self.next_look.map_or(again, |next| next.min(again)));
    }

    /// Ours of this service, and of its tenants, on the file systems that are configured: they stay, and that is said.
    fn unused_points(&mut self) {
        let facts = self.facts;
        let all: Vec<_> = keyed(&facts.target, &facts.rules).collect();
        let service = facts.target.to_string();
        // Of a tenant all services say the same, so what this one does not want nobody does.
        let is_its = |point: &&AccessPoint| {
            let is_tenants =
                |(key, of): &(String, Wanted)| point.key() == Some(key) && point.file_system == of.file_system;
            point.key() == Some(&service) || all.iter().any(is_tenants)
        };
        let mut found = Vec::new();
        for (name, points) in &facts.file_systems {
            let points = points.iter().flatten();
            let left = points.filter(|point| is_unused(point, &facts.owner, &all));
            self.memory.unused.retain(|known| known.file_system != *name);
            found.extend(left.filter(is_its).map(Unused::from));
        }
        let is_named = |known: &Unused| all.iter().any(|(_, of)| of.file_system == known.file_system);
        self.memory.unused.retain(is_named);
        self.memory.unused.extend(found);
        self.memory.unused.sort();
        if self.memory.unused.is_empty() {
            return;
        }
        let ids: Vec<_> = self
            .memory
            .unused
            .iter()
            .map(|one| format!("{} ({} of {})", one.id, one.path, one.file_system))
            .collect();
        let message = format!(
            "{} has {} that nothing configured wants any more: {}. Nothing removes them, and their data stays",
            facts.target,
            counted(ids.len(), "access point"),
            ids.join(", ")
        );
        self.reasons.push(Reason::new(Code::UnusedAccessPoint, message));
    }
}
