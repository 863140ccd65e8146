//! Parts that do not fit, and what takes their place.
//!
//! A part that may be left out is left out, one that is needed gets a stand-in: so one mistake hides no other. But what is
//! then found beside it may be a mere consequence of that. So the document is read three times: with nothing in such a
//! place, with the least, and with the greatest that fits there. What all three show has another cause.

use std::collections::BTreeMap;

use wharfinger_core::config::{Path, Segment};

/// What takes the place of a part that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing, unless it is needed.
    Nothing,
    /// The least that fits.
    Least,
    /// The greatest that fits.
    Greatest,
}

/// How a part is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As it is written.
    Written,
    /// Something stands in for it.
    StandIn,
    /// Not at all.
    LeftOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aside {
    /// Nothing that was read so far needs it.
    Optional,
    /// The part around it cannot be read without it.
    Needed,
    /// Not even a stand-in fits.
    Gone,
}

/// The parts that do not fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Asides(BTreeMap<Path, Aside>);

impl Asides {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// Whether a path leads into a part that does not fit.
    pub(super) fn hold(&self, path: &Path) -> bool {
        self.0.keys().any(|aside| aside.holds(path))
    }

    pub(super) fn standing(&self, path: &Path, instead: Instead) -> Standing {
        match (self.0.get(path), instead) {
            (None, _) => Standing::Written,
            (Some(Aside::Gone), _) | (Some(Aside::Optional), Instead::Nothing) => Standing::LeftOut,
            (Some(Aside::Optional | Aside::Needed), _) => Standing::StandIn,
        }
    }

    /// Leaves a part out, as long as nothing needs it.
    pub(super) fn leave_out(&mut self, path: Path) {
        self.0.entry(path).or_insert(Aside::Optional);
    }

    /// A part is needed after all; `false` when that was known, and did not help.
    pub(super) fn need(&mut self, path: Path) -> bool {
        let before = self.0.insert(path, Aside::Needed);
        before.is_none_or(|before| before == Aside::Optional)
    }

    /// Something stands in for what is missing right below a part; `false` when nothing is.
    pub(super) fn need_below(&mut self, path: &Path) -> bool {
        let depth = path.segments().len() + 1;
        let mut any = false;
        for (below, aside) in &mut self.0 {
            let key = matches!(below.segments().last(), Some(Segment::Key(_)));
            if key && *aside == Aside::Optional && below.segments().len() == depth && path.holds(below) {
                *aside = Aside::Needed;
                any = true;
            }
        }
        any
    }

    /// What is there does not fit, neither as it is written nor, the second time, as what stands in for it.
    pub(super) fn refuse(&mut self, path: Path) {
        self.0
            .entry(path)
            .and_modify(|aside| *aside = Aside::Gone)
            .or_insert(Aside::Optional);
    }

    /// Where in the text a part of the document stands: behind a list's element that was left out, one further.
    pub(super) fn written(&self, path: &Path, instead: Instead) -> Path {
        let mut written = Path::root();
        for segment in path.segments() {
            let mut segment = segment.clone();
            if let Segment::Index(index) = &mut segment {
                let is_read = |place: &usize| self.standing(&written.at(*place), instead) != Standing::LeftOut;
                let place = (0..).filter(is_read).nth(*index);
                *index = place.unwrap_or(*index);
            }
            written = written.at(segment);
        }
        written
    }
}
