//! What happens in the registry of a fleet: pushes, tags that move, scans, images that are archived.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use wharfinger_core::config::Severity;
use wharfinger_core::delivery::{Counts, ImageScan, Pullable, ScanStatus};
use wharfinger_core::ids::Digest;

use super::super::checks::Scanned;
use super::super::history::History;
use super::super::scenario::digest;

impl History {
    /// Someone pushes an image, under one tag or two; or moves `main` to one that is there.
    pub(super) fn push_to_fleet(&mut self) {
        let repositories: Vec<_> = self
            .scenario
            .targets
            .iter()
            .filter_map(|p| p.delivery.as_ref().map(|d| d.repository.clone()))
            .collect();
        let Some(repository) = self.dice.pick(&repositories).cloned() else {
            return;
        };
        let known: Vec<Digest> = self.images_of(&repository);
        if !known.is_empty() && self.dice.chance(120) {
            if let Some(digest) = self.dice.pick(&known).cloned() {
                self.tally.deed("tag moved to an image that was there");
                self.tag(&repository, "main", &digest);
            }
            return;
        }
        let number = self.watch.next_image();
        let Some(digest) = digest(number) else { return };
        if self.dice.chance(180) {
            self.say(|_| format!("image {number:x} will not come up"));
            self.tally.deed("image that does not come up");
            if let Some(fleet) = &mut self.fleet {
                fleet.bad.insert(digest.clone());
            }
        }
        let back = *self.dice.pick(&[0, 0, 0, 0, 1, 3]).unwrap_or(&0);
        let version = format!("1.{}.0", (number + 3).saturating_sub(back));
        match self.dice.index(10) {
            0 => self.tag(&repository, "nightly", &digest),
            1 | 2 => self.tag(&repository, "main", &digest),
            3 | 4 => self.tag(&repository, &version, &digest),
            _ => {
                self.tag(&repository, "main", &digest);
                self.tag(&repository, &version, &digest);
            }
        }
    }

    fn images_of(&self, repository: &str) -> Vec<Digest> {
        let images = self.fleet.iter().flat_map(|fleet| &fleet.images);
        images
            .filter(|(of, ..)| of == repository)
            .map(|(_, _, digest, _)| digest.clone())
            .collect()
    }

    /// Events tell whole seconds, so no two pushes are in one.
    fn tag(&mut self, repository: &str, tag: &str, digest: &Digest) {
        self.advance(SignedDuration::from_secs(1));
        let now = self.now();
        self.say(|_| format!("someone pushes {repository}:{tag} ({})", digest.short()));
        self.world.borrow_mut().push(repository, tag, digest);
        self.watch.pushed_to(repository, tag, digest, now);
        if let Some(fleet) = &mut self.fleet {
            fleet
                .images
                .push((repository.to_owned(), tag.to_owned(), digest.clone(), now));
        }
    }

    /// A scan begins, ends or fails; its end is told, or not.
    pub(super) fn scan_something(&mut self) {
        let newest: BTreeMap<String, Digest> = {
            let images = self.fleet.iter().flat_map(|fleet| &fleet.images);
            images.map(|(of, _, digest, _)| (of.clone(), digest.clone())).collect()
        };
        let newest: Vec<_> = newest.into_iter().collect();
        let Some((repository, digest)) = self.dice.pick(&newest).cloned() else {
            return;
        };
        let (found, what) = match self.dice.index(8) {
            0 => (Scanned::Open, "scan begun"),
            1 => (Scanned::Failed, "scan failed"),
            2 | 3 => (Scanned::Blocked, "scan with findings"),
            _ => (Scanned::Clean, "scan without findings"),
        };
        let now = self.now();
        self.say(|_| format!("{what}: {}", digest.short()));
        self.tally.deed(what);
        let mut counts = Counts::default();
        if found == Scanned::Blocked {
            counts.rated.insert(Severity::High, 2);
        }
        let scan = ImageScan {
            digest: digest.clone(),
            status: Some(match found {
                Scanned::Open => ScanStatus::InProgress,
                Scanned::Failed => ScanStatus::Failed,
                Scanned::Blocked | Scanned::Clean => ScanStatus::Complete,
            }),
            description: None,
            counts,
            completed: Some(now),
        };
        let untold = self.dice.chance(300);
        let mut world = self.world.borrow_mut();
        let before = std::mem::replace(&mut world.unheard, untold);
        world.scanned(&repository, scan);
        world.unheard = before;
        drop(world);
        self.watch.scanned(&digest, found, now);
    }

    /// An image is archived, or comes back.
    pub(super) fn archive(&mut self) {
        let images: Vec<_> = self.fleet.iter().flat_map(|fleet| fleet.images.clone()).collect();
        let Some((repository, _, digest, _)) = self.dice.pick(&images).cloned() else {
            return;
        };
        let archived = self.watch.archive(&digest);
        let pullable = if archived { Pullable::Archived } else { Pullable::Yes };
        self.tally.deed("image archived or restored");
        self.say(|_| format!("{} is {pullable:?}", digest.short()));
        let mut world = self.world.borrow_mut();
        world.repositories.set_pullable(&repository, &digest, pullable);
    }
}
