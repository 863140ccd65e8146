//! What must come before a rollout: each gate looks at a wish and says whether it is open, and if not, why and until when.
//!
//! | gate | closed as long as | code |
//! |---|---|---|
//! | [`mature`] | the push is younger than the rule asks | `Maturing` |
//! | [`windows()`] | now is within a freeze, or outside of every allowed window | `WindowClosed` |
//! | [`scan()`] | the scan of the image is not finished | `ScanPending` |
//! | | it found what blocks | `ScanBlocked` |
//! | | there is none within the wait, or it cannot tell | `ScanMissing` |
//!
//! A gate that cannot tell is closed: a rule that has a gate relies on it.

mod mature;
mod scan;
mod windows;

use jiff::Timestamp;

use crate::report::Reason;

pub use mature::mature;
pub use scan::{Counts, ImageScan, ScanReport, ScanStatus, scan};
pub use windows::windows;

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub reason: Reason,
    /// When it is worth another look: when it opens, or, for a scan that is waited for, when the wait is over. `None` when no
    /// time tells.
    pub until: Option<Timestamp>,
    /// The AWS operation that would tell more, if the gate is closed for want of a fact.
    pub missing: Option<&'static str>,
}

impl Closed {
    /// Closed, and no time tells until when.
    pub(super) fn for_now(reason: Reason) -> Self {
        Self::until(None, reason)
    }

    /// Closed, with every fact known.
    pub(super) fn until(until: Option<Timestamp>, reason: Reason) -> Self {
        Self {
            reason,
            until,
            missing: None,
        }
    }
}
