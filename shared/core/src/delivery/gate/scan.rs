//! `scan`: what the scan of an image found.
//!
//! An index is not scanned, its images are: it is as good as the worst of them, and not scanned as long as one is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Closed;
use crate::config::{Scan, Severity, Unrated};
use crate::event::time_from_json;
use crate::ids::Digest;
use crate::known::Known;
use crate::report::{Code, Reason};

/// How far the scan of an image is (ECR API reference, `ImageScanStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScanStatus {
    /// It runs.
    InProgress,
    /// It is finished.
    Complete,
    /// It failed.
    Failed,
    /// The image's operating system or format cannot be scanned.
    UnsupportedImage,
    /// Inspector scans the image again whenever it learns of a vulnerability.
    Active,
    /// It has not begun.
    Pending,
    /// Inspector has stopped to scan the image, for its age.
    ScanEligibilityExpired,
    /// There are findings, and they cannot be had.
    FindingsUnavailable,
    /// Too many scans were asked for.
    LimitExceeded,
    /// The image is archived.
    ImageArchived,
    /// The image is too large to be scanned.
    ImageSizeExceeded,
    /// A status that this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl std::fmt::Display for ScanStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the severities that are compared.
    pub rated: BTreeMap<Severity, u64>,
    /// Those that nobody has rated yet: `UNDEFINED` of basic scans, `UNTRIAGED` of Inspector, and words that this version
    /// does not know.
    pub unrated: u64,
}

impl Counts {
    /// Reads `findingSeverityCounts`. A severity that is not there counts nothing.
    pub fn parse(counts: &Value) -> Self {
        let mut found = Self::default();
        for (name, count) in counts.as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or(0);
            // Inspector has the sum beside the summands.
            if name != "TOTAL" {
                found.add(name, count);
            }
        }
        found
    }

    /// So many findings more of a severity.
    fn add(&mut self, severity: &str, count: u64) {
        let severity = Severity::deserialize(Value::from(severity));
        let place = match severity {
            Ok(severity) => self.rated.entry(severity).or_default(),
            Err(_) => &mut self.unrated,
        };
        *place = place.saturating_add(count);
    }

    /// The greater of each.
    pub fn worst(mut self, other: &Self) -> Self {
        for (severity, count) in &other.rated {
            let own = self.rated.entry(*severity).or_default();
            *own = (*own).max(*count);
        }
        self.unrated = self.unrated.max(other.unrated);
        self
    }

    /// What of it blocks, in words.
    fn blocking(&self, rule: &Scan) -> Option<String> {
        let bad = self
            .rated
            .iter()
            .rev()
            .filter(|(severity, n)| **severity >= rule.block && **n > 0);
        let mut words: Vec<_> = bad.map(|(severity, n)| format!("{n} {severity}")).collect();
        if self.unrated > 0 && rule.unrated == Unrated::Block {
            words.push(format!("{} that nobody has rated", self.unrated));
        }
        Some(words.join(", ")).filter(|words| !words.is_empty())
    }
}

/// What is known of the scan of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageScan {
    /// The image; of an index one of its images.
    pub digest: Digest,
    /// How far it is; `None` when none was ever asked for (`ScanNotFoundException`).
    pub status: Option<ScanStatus>,
    /// What ECR says of the status.
    pub description: Option<String>,
    /// What it found.
    pub counts: Counts,
    /// When the last one was finished.
    pub completed: Option<Timestamp>,
}

impl ImageScan {
    /// No scan was ever asked for.
    pub fn none(digest: Digest) -> Self {
        Self {
            digest,
            status: None,
            description: None,
            counts: Counts::default(),
            completed: None,
        }
    }

    /// Reads the pages of `DescribeImageScanFindings`, of a basic or an enhanced scan; without any no scan was ever asked for.
    /// The findings that are listed are counted too: the counts beside them are trusted only where they say more.
    pub fn of_pages(digest: &Digest, pages: &[Value]) -> Self {
        let (mut told, mut listed) = (Counts::default(), Counts::default());
        let mut scan = Self::none(digest.clone());
        for page in pages {
            let (status, findings) = (&page["imageScanStatus"], &page["imageScanFindings"]);
            for list in ["findings", "enhancedFindings"] {
                for finding in findings[list].as_array().into_iter().flatten() {
                    listed.add(finding["severity"].as_str().unwrap_or_default(), 1);
                }
            }
            told = told.worst(&Counts::parse(&findings["findingSeverityCounts"]));
            let description = status["description"].as_str().filter(|text| !text.is_empty());
            scan.status = ScanStatus::deserialize(&status["status"]).ok();
            scan.description = description.map(str::to_owned);
            scan.completed = time_from_json(&findings["imageScanCompletedAt"]);
        }
        scan.counts = told.worst(&listed);
        scan
    }

    fn stands(&self) -> Stands {
        match &self.status {
            None | Some(ScanStatus::InProgress | ScanStatus::Pending | ScanStatus::Other(_)) => Stands::Open,
            // Inspector says so as soon as the image is on its list, before it was scanned for the first time.
            Some(ScanStatus::Active) if self.completed.is_none() => Stands::Open,
            Some(ScanStatus::Complete | ScanStatus::Active) => Stands::Done,
            Some(
                ScanStatus::Failed
                | ScanStatus::UnsupportedImage
                | ScanStatus::ScanEligibilityExpired
                | ScanStatus::FindingsUnavailable
                | ScanStatus::LimitExceeded
                | ScanStatus::ImageArchived
                | ScanStatus::ImageSizeExceeded,
            ) => Stands::Never,
        }
    }

    fn words(&self) -> String {
        let status = self
            .status
            .as_ref()
            .map_or_else(|| "no scan".to_owned(), ToString::to_string);
        let more = self.description.as_ref().map_or_else(String::new, |d| format!(": {d}"));
        format!("{} has {status}{more}", self.digest.short())
    }
}

enum Stands {
    Done,
    /// It may still come to an end.
    Open,
    /// It came to an end that tells nothing.
    Never,
}

/// What is known of the scans of what is to be rolled out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// One for an image; for an index one for each of its images. None at all: an index without an image.
    pub images: Vec<ImageScan>,
}

impl ScanReport {
    /// The worst counts of all.
    pub fn worst(&self) -> Counts {
        let none = Counts::default();
        self.images.iter().fold(none, |worst, image| worst.worst(&image.counts))
    }
}

/// Closed until every image is scanned and none has a finding that blocks. `since` is when the push was heard of: the wait
/// counts from there. When the wait is over the gate stays closed, and a scan that ends later opens it all the same.
pub fn scan(rule: &Scan, since: Timestamp, report: &Known<ScanReport>, now: Timestamp) -> Option<Closed> {
    let Known::Yes(report) = report else {
        let reason = Reason::new(Code::ScanPending, "what the scan of the image found is not known");
        return Some(Closed {
            reason,
            until: None,
            missing: Some("DescribeImageScanFindings"),
        });
    };
    let closed = |code, message: String| Some(Closed::until(None, Reason::new(code, message)));
    if let Some(found) = report.worst().blocking(rule) {
        let message = format!("the scan found {found}; `scan` blocks from {} on", rule.block);
        return closed(Code::ScanBlocked, message);
    }
    let words = |wanted: fn(&Stands) -> bool| {
        let images = report.images.iter().filter(|image| wanted(&image.stands()));
        let words: Vec<_> = images.map(ImageScan::words).collect();
        Some(words.join(", ")).filter(|words| !words.is_empty())
    };
    if report.images.is_empty() {
        return closed(
            Code::ScanMissing,
            "there is no image in it that could be scanned".into(),
        );
    }
    if let Some(never) = words(|stands| matches!(stands, Stands::Never)) {
        return closed(Code::ScanMissing, format!("{never}: nothing tells what is in it"));
    }
    let open = words(|stands| matches!(stands, Stands::Open))?;
    let over = since.saturating_add(rule.wait.duration()).unwrap_or(Timestamp::MAX);
    if now < over {
        let message = format!("{open}; it is waited for until {over}");
        return Some(Closed::until(Some(over), Reason::new(Code::ScanPending, message)));
    }
    closed(
        Code::ScanMissing,
        format!("{open}, and the wait of {} ended at {over}", rule.wait),
    )
}

#[cfg(test)]
mod tests;
