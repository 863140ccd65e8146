//! Reads a document's types from its tree, and finds everything that does not fit in one go.
//!
//! serde stops at the first error. So the part in which it lies is set aside and the rest is read again, until it fits.
//! Unknown and repeated keys stop nothing: they are reported and passed over.

use std::cell::RefCell;

use serde::de::Deserialize;
use wharfinger_core::config::{Path, Problem};

use super::Placed;
use super::aside::{Asides, Instead, Standing};
use super::fault::{FaultKind, Spot};
use super::part::Part;
use super::tree::{Node, Place, Value};

/// What came of reading.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    /// Everything that does not fit.
    pub problems: Vec<Placed>,
    /// The document, with one thing or another in the place of what does not fit; nothing when nothing is left.
    readings: Vec<Read<T>>,
}

/// The document, with this in the place of what does not fit.
#[derive(Debug)]
struct Read<T> {
    document: T,
    instead: Instead,
    asides: Asides,
}

impl<T> Outcome<T> {
    /// What is wrong with the document whatever stands in the place of what does not fit, each where it is written.
    pub(super) fn certain(&self, find: impl Fn(&T) -> Vec<Problem>) -> Vec<Problem> {
        let found = |read: &Read<T>| -> Vec<Problem> {
            let written = |problem: Problem| Problem {
                path: read.asides.written(&problem.path, read.instead),
                ..problem
            };
            let found = find(&read.document).into_iter().map(written);
            found.filter(|problem| !read.asides.hold(&problem.path)).collect()
        };
        let mut found = self.readings.iter().map(found);
        let mut certain = found.next().unwrap_or_default();
        for other in found {
            certain.retain(|problem| other.contains(problem));
        }
        certain
    }

    /// The document without the parts that do not fit; `None` when nothing is left.
    pub(super) fn into_document(self) -> Option<T> {
        self.readings.into_iter().next().map(|read| read.document)
    }
}

/// Reads a document from its tree; `text` is what the tree was parsed from.
pub(super) fn read<'t, T: Deserialize<'t>>(text: &'t str, root: &'t Node) -> Outcome<T> {
    let (problems, first) = Reading::new(text, Instead::Nothing, Asides::default()).read::<T>(root);
    let mut readings = Vec::from_iter(first);
    if let Some(asides) = readings.first().map(|read| read.asides.clone())
        && !asides.is_empty()
    {
        // What does not fit has been told.
        let others = [Instead::Least, Instead::Greatest]
            .into_iter()
            .filter_map(|instead| Reading::new(text, instead, asides.clone()).read(root).1);
        readings.extend(others);
    }
    Outcome { problems, readings }
}

/// What is told while reading.
pub(super) struct Reading<'t> {
    pub(super) text: &'t str,
    pub(super) instead: Instead,
    problems: RefCell<Vec<Placed>>,
    pub(super) asides: RefCell<Asides>,
}

impl<'t> Reading<'t> {
    fn new(text: &'t str, instead: Instead, asides: Asides) -> Self {
        Self {
            text,
            instead,
            problems: RefCell::default(),
            asides: RefCell::new(asides),
        }
    }

    fn read<T: Deserialize<'t>>(self, root: &'t Node) -> (Vec<Placed>, Option<Read<T>>) {
        let spot = Spot {
            value: root.place.clone(),
            key: None,
            path: Path::root(),
        };
        let document = loop {
            match T::deserialize(Part {
                reading: &self,
                node: root,
                spot: spot.clone(),
                stands_in: false,
            }) {
                Ok(document) => break Some(document),
                Err(fault) => {
                    self.set_aside(fault.kind, fault.spot.unwrap_or_else(|| spot.clone()));
                    if self.asides.borrow().contains(&spot.path) {
                        break None;
                    }
                }
            }
        };
        let (instead, asides) = (self.instead, self.asides.into_inner());
        let read = document.map(|document| Read {
            document,
            instead,
            asides,
        });
        (self.problems.into_inner(), read)
    }

    fn set_aside(&self, kind: FaultKind, spot: Spot) {
        let mut asides = self.asides.borrow_mut();
        match kind {
            FaultKind::Missing(key) => {
                let missing = spot.path.at(key);
                // Not there because it was set aside itself: that has been told.
                if !asides.contains(&missing) {
                    let place = spot.key.unwrap_or(spot.value);
                    self.tell(place, Problem::error(spot.path.clone(), format!("`{key}` is missing")));
                }
                if !asides.need(missing) {
                    asides.refuse(spot.path);
                }
            }
            // A key that was left out may be what it lacks.
            FaultKind::Other(_) if asides.need_below(&spot.path) => {}
            FaultKind::Other(message) => {
                if !asides.contains(&spot.path) {
                    self.tell(spot.value, Problem::error(spot.path.clone(), message));
                }
                asides.refuse(spot.path);
            }
        }
    }

    /// The part at a path, if it is read: as it is written in `node`, or with a stand-in.
    pub(super) fn part<'r>(&'r self, path: Path, node: Option<&'t Node>, key: Option<Place>) -> Option<Part<'r, 't>> {
        let standing = self.asides.borrow().standing(&path, self.instead);
        let (node, stands_in) = match (standing, node) {
            (Standing::Written, Some(node)) => (node, false),
            (Standing::StandIn, _) => (&NOTHING, true),
            (Standing::Written, None) | (Standing::LeftOut, _) => return None,
        };
        let value = node.place.clone();
        Some(Part {
            reading: self,
            node,
            spot: Spot { value, key, path },
            stands_in,
        })
    }

    pub(super) fn tell(&self, place: Place, problem: Problem) {
        // Of what stands in for something that was told nothing is to be told.
        if place == NOTHING.place {
            return;
        }
        let told = Placed { place, problem };
        let mut problems = self.problems.borrow_mut();
        // Every reading after the first finds the unknown keys again, and an alias finds those of its anchor.
        let same = |other: &Placed| other.place == told.place && other.problem.message == told.problem.message;
        if !problems.iter().any(same) {
            problems.push(told);
        }
    }
}

/// What is written where something stands in: nothing.
pub(super) static NOTHING: Node = Node {
    place: Place { line: 0, column: 0 },
    source: 0..0,
    value: Value::Map(Vec::new()),
};
