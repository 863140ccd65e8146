//! Semantic versions and the ranges in which people know them from npm and Flux.
//!
//! `nodejs-semver` knows what each comparator means, but reads a range as npm's loose mode does: what it does not
//! understand it leaves out, a comma among it, and comparators that contradict each other become alternatives. A range that
//! silently means more than was written rolls out what nobody wanted, so the text is taken apart here, each comparator is
//! checked against the grammar, and the crate is asked about one at a time.

use std::fmt;

use nodejs_semver::{Range as Comparator, Version};

/// A version as people tag it: `1.2.3`, `v1.2.3`, `1.2.3-rc.1`. Stricter than the crate, for which `1.2.3.4` and `01.2.3`
/// are versions too.
pub(super) fn version(text: &str) -> Option<Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    Version::parse(bare).ok().filter(|v| v.to_string() == bare)
}

/// Why a range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A part of it is no comparator.
    #[error(
        "`{0}` is no part of a version range: write `1.2.x`, `^1.2`, `~1.2.3`, `>=1.2 <2`, `1.2 - 1.4`, `1.x || 2.x`"
    )]
    Part(String),
    /// There is nothing before, after or between `||`.
    #[error("an alternative of the version range is empty: write `*` for any version")]
    Empty,
    /// The comparators exclude each other.
    #[error("no version is in `{0}`: the bounds exclude each other")]
    Nothing(String),
}

/// A range of versions.
#[derive(Debug, Clone)]
pub(super) struct Range {
    text: String,
    alternatives: Vec<Alternative>,
}

/// Comparators that must all hold.
#[derive(Debug, Clone)]
struct Alternative {
    comparators: Vec<Comparator>,
    /// Pre-releases of every version in it are in it too.
    pre_releases: bool,
}

impl Range {
    /// Reads a range: alternatives between `||`, comparators between spaces or commas.
    pub(super) fn parse(text: &str) -> Result<Self, RangeError> {
        let alternatives = text.split("||").map(Alternative::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.trim().into(),
            alternatives,
        })
    }

    /// Whether a version is in it. Pre-releases as npm has it: only those of a version that a comparator names with a
    /// pre-release of its own (`>=1.2.0-beta` has `1.2.0-rc`, not `1.3.0-rc`). And as Flux has it: `-0`, the lowest
    /// pre-release, on a lower bound lets those of every version in (`>=1.0.0-0` has `1.3.0-rc`).
    pub(super) fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|a| a.contains(version))
    }

    /// Whether it is a pre-release that keeps the version out.
    pub(super) fn contains_release_of(&self, version: &Version) -> bool {
        version.is_prerelease() && self.contains(&release(version))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, RangeError> {
        let mut alternative = Self {
            comparators: Vec::new(),
            pre_releases: false,
        };
        let mut words = text.split([' ', '\t', ',']).filter(|w| !w.is_empty()).peekable();
        while let Some(word) = words.next() {
            let mut part = word.to_owned();
            if OPERATORS.contains(&word) {
                part.push_str(words.next().unwrap_or_default());
            }
            if words.peek() == Some(&"-") {
                words.next();
                alternative.hyphen(&part, words.next().unwrap_or_default())?;
            } else {
                alternative.comparator(&part)?;
            }
        }
        let mut comparators = alternative.comparators.iter();
        let first = comparators.next().cloned().ok_or(RangeError::Empty)?;
        let common = comparators.try_fold(first, |common, c| common.intersect(c));
        common
            .map(|_| alternative)
            .ok_or_else(|| RangeError::Nothing(text.trim().into()))
    }

    fn comparator(&mut self, text: &str) -> Result<(), RangeError> {
        let wrong = || RangeError::Part(text.into());
        let operator = OPERATORS
            .iter()
            .find(|o| text.starts_with(**o))
            .copied()
            .unwrap_or_default();
        let partial = Partial::parse(&text[operator.len()..]).ok_or_else(wrong)?;
        let from = matches!(operator, ">=" | "^" | "~" | "~>") || (operator.is_empty() && !partial.complete);
        let version = self.lowest(&partial, from).ok_or_else(wrong)?;
        self.push(
            &format!("{}{version}", if operator == "==" { "=" } else { operator }),
            text,
        )
    }

    /// `from - to`, both included.
    fn hyphen(&mut self, from: &str, to: &str) -> Result<(), RangeError> {
        let text = format!("{from} - {to}");
        let wrong = || RangeError::Part(text.clone());
        let (low, high) = Partial::parse(from).zip(Partial::parse(to)).ok_or_else(wrong)?;
        let low = self.lowest(&low, true).ok_or_else(wrong)?.to_owned();
        let high = self.lowest(&high, false).ok_or_else(wrong)?;
        self.push(&format!("{low} - {high}"), &text)
    }

    /// The text without a `-0` that means every pre-release; `None` when there is a pre-release where none can be.
    fn lowest<'a>(&mut self, partial: &Partial<'a>, is_lower_bound: bool) -> Option<&'a str> {
        match partial.pre_release {
            Some("0") if is_lower_bound => {
                self.pre_releases = true;
                Some(partial.numbers)
            }
            Some(_) if !partial.complete => None,
            _ => Some(partial.text),
        }
    }

    fn push(&mut self, normal: &str, written: &str) -> Result<(), RangeError> {
        let comparator = Comparator::parse(normal).map_err(|_| RangeError::Part(written.into()))?;
        self.comparators.push(comparator);
        Ok(())
    }

    fn contains(&self, version: &Version) -> bool {
        let all = |v: &Version| self.comparators.iter().all(|c| c.satisfies_with_prerelease(v, true));
        if !version.is_prerelease() {
            return all(version);
        }
        // Of one comparator alone, `satisfies` lets a pre-release in only when the comparator names one of that version.
        let named = || self.comparators.iter().any(|c| c.satisfies(version));
        (all(version) && named()) || (self.pre_releases && all(&release(version)))
    }
}

/// The longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [&str; 9] = [">=", "<=", "~>", "==", ">", "<", "=", "^", "~"];

/// A version of which the end may be left out or be `x`.
struct Partial<'a> {
    /// All of it, without `v`.
    text: &'a str,
    /// Without pre-release and build.
    numbers: &'a str,
    pre_release: Option<&'a str>,
    /// Whether it is `major.minor.patch`, in numbers.
    complete: bool,
}

impl<'a> Partial<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let before_build = text.split_once('+').map_or(text, |(before, _)| before);
        let (numbers, pre_release) = match before_build.split_once('-') {
            Some((numbers, pre_release)) => (numbers, Some(pre_release)),
            None => (before_build, None),
        };
        let parts: Vec<_> = numbers.split('.').collect();
        let is_number = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        let good = parts.len() <= 3 && parts.iter().all(|p| is_number(p) || matches!(*p, "x" | "X" | "*"));
        let complete = parts.len() == 3 && parts.iter().all(|p| is_number(p));
        // A build, or a pre-release, is checked as part of a whole version.
        let suffix_is_good = !complete || version(text).is_some();
        let build_is_good = complete || before_build == text;
        (good && suffix_is_good && build_is_good).then_some(Self {
            text,
            numbers,
            pre_release,
            complete,
        })
    }
}

fn release(version: &Version) -> Version {
    Version::from((version.major(), version.minor(), version.patch()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `yes` are in the range, `no` are not.
    #[track_caller]
    fn check(range: &str, yes: &str, no: &str) {
        let parsed = Range::parse(range).unwrap();
        for (text, expected) in yes
            .split(' ')
            .map(|v| (v, true))
            .chain(no.split(' ').map(|v| (v, false)))
        {
            assert_eq!(parsed.contains(&version(text).unwrap()), expected, "{text} in {range}");
        }
    }

    #[test]
    fn ranges_mean_what_npm_says() {
        check("1.2.3", "1.2.3 v1.2.3", "1.2.4 1.2.3-rc.1");
        check("=1.2.3", "1.2.3", "1.2.4");
        check("v1.2.3", "1.2.3", "1.2.4");
        check("1.0.x", "1.0.0 1.0.99", "1.1.0 0.9.9 1.0.1-rc.1 1.1.0-rc.1");
        check("1.0.X", "1.0.0 1.0.99", "1.1.0");
        check("1.0.*", "1.0.0 1.0.99", "1.1.0");
        check("1.0", "1.0.0 1.0.99", "1.1.0");
        check("1", "1.0.0 1.99.0", "2.0.0 0.9.0");
        check("*", "0.0.0 99.0.0", "1.0.0-rc.1");
        check("x", "0.0.0 99.0.0", "1.0.0-rc.1");
        check("^1.2", "1.2.0 1.99.0", "1.1.9 2.0.0 2.0.0-rc.1 1.3.0-rc.1");
        check("^1.2.3", "1.2.3 1.3.0", "1.2.2 2.0.0");
        check("^v1.2.3", "1.2.3 1.3.0", "1.2.2 2.0.0");
        check("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2");
        check("^0.0.3", "0.0.3", "0.0.4 0.0.2");
        check("^0.0", "0.0.0 0.0.9", "0.1.0");
        check("^0", "0.0.0 0.9.0", "1.0.0");
        check("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2");
        check("~1.2", "1.2.0 1.2.9", "1.3.0 1.1.9");
        check("~1", "1.0.0 1.9.0", "2.0.0 0.9.0");
        check("~> 1.2", "1.2.0 1.2.9", "1.3.0");
        check(">1.2", "1.3.0 2.0.0", "1.2.0 1.2.9");
        check(">1.2.3", "1.2.4", "1.2.3 1.2.2");
        check(">=1.2", "1.2.0 9.0.0", "1.1.9 1.2.0-rc.1");
        check("<1.2", "1.1.9 0.0.1", "1.2.0 1.2.0-rc.1");
        check("<=1.2", "1.2.0 1.2.9", "1.3.0");
        check("<=1.2.3", "1.2.3", "1.2.4");
        check("1.2 - 1.4", "1.2.0 1.4.0 1.4.9", "1.1.9 1.5.0");
        check("1.2.3 - 1.4.5", "1.2.3 1.4.5", "1.2.2 1.4.6");
        check("v1.2.3 - v1.4.5", "1.2.3 1.4.5", "1.2.2 1.4.6");
        check("1.2.3-beta - 1.4", "1.2.3-beta 1.2.3-rc 1.4.9", "1.2.3-alpha 1.3.0-rc");
    }

    #[test]
    fn comparators_join_with_spaces_and_commas() {
        for range in [
            ">=1.2 <2",
            ">=1.2, <2",
            ">=1.2,<2",
            ">= 1.2 , < 2",
            "  >=1.2   <2  ",
            "<2 >=1.2",
        ] {
            check(range, "1.2.0 1.9.9", "1.1.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1");
        }
        check("^1.2 <1.4 >1.2.0", "1.2.1 1.3.9", "1.2.0 1.4.0");
    }

    #[test]
    fn alternatives_are_each_on_their_own() {
        for range in ["1.0.x || >=2 <3", "1.0.x||>=2,<3", "2.x || 1.0 || 1.0.0 - 1.0.9"] {
            check(range, "1.0.0 1.0.5 2.0.0 2.9.0", "1.1.0 3.0.0 0.9.0");
        }
        check(
            "1.x || >=2.0.0-beta <2.0.1",
            "1.5.0 2.0.0-beta 2.0.0",
            "1.5.0-beta 2.0.0-alpha 2.0.1",
        );
    }

    #[test]
    fn a_pre_release_is_in_only_when_one_of_its_version_is_named() {
        check(
            ">=1.2.0-beta",
            "1.2.0-beta 1.2.0-rc.1 1.2.0 1.3.0",
            "1.2.0-alpha 1.3.0-rc.1",
        );
        check(
            "^1.2.3-beta.2",
            "1.2.3-beta.2 1.2.3-beta.10 1.9.0",
            "1.2.3-beta.1 1.2.4-beta.2 2.0.0-rc",
        );
        check("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2");
        check(">=1.2 <2.0.0-0", "1.2.0 1.9.9", "2.0.0-rc.1 2.0.0 1.3.0-rc.1");
        check(">1.0.0-0 <1.0.1", "1.0.0-rc.1 1.0.0", "1.0.0-0 1.0.1-rc.1");
    }

    #[test]
    fn a_lower_bound_with_the_lowest_pre_release_has_them_all() {
        check(
            ">=1.0.0-0",
            "1.0.0-0 1.0.0-rc.1 1.0.0 1.3.0-rc.1 2.0.0-rc.1",
            "0.9.0 0.9.0-rc.1",
        );
        check(">=1.0-0", "1.0.0-rc.1 1.3.0-rc.1", "0.9.0-rc.1");
        check(">=1.0.0-0 <2", "1.0.0-rc.1 1.3.0-rc.1 1.9.9", "2.0.0-rc.1 2.0.0");
        check(">=1.0.0-0, <2.0.0-rc.2", "1.3.0-rc.1 2.0.0-rc.1", "2.0.0-rc.2 2.0.0");
        check("^1.2.3-0", "1.2.3-alpha 1.9.0-rc", "1.2.2-rc 2.0.0-rc");
        check("^1.x-0", "1.0.0-alpha 1.9.0-rc 1.9.0", "0.9.0 2.0.0-rc");
        check("^0-0", "0.5.0-rc 0.5.0", "1.0.0-rc");
        check("~1.2-0", "1.2.0-alpha 1.2.9-rc", "1.3.0-rc");
        check("1.x-0", "1.0.0-alpha 1.9.0-rc", "2.0.0-rc");
        check("1.2-0 - 1.4", "1.2.0-rc 1.4.9-rc", "1.5.0-rc 1.1.0");
        check("1.0.0-0", "1.0.0-0", "1.0.0 1.0.0-rc");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (range, part) in [
            ("latest", "latest"),
            (">=1.2 <two", "<two"),
            ("abc 1.2", "abc"),
            ("1.2.3.4", "1.2.3.4"),
            ("1.0.0 - ", "1.0.0 - "),
            ("- 1.0.0", "-"),
            ("1.2 -1.4", "-1.4"),
            ("^1.2 - 1.4", "^1.2 - 1.4"),
            (">=", ">="),
            ("1.2.3foo", "1.2.3foo"),
            ("01.2.3", "01.2.3"),
            ("1.2-beta", "1.2-beta"),
            ("1.x+build", "1.x+build"),
            ("<1.2-0", "<1.2-0"),
            ("!=1.2.3", "!=1.2.3"),
            ("1.2..3", "1.2..3"),
            (">=>=1", ">=>=1"),
            ("^1.2.3-", "^1.2.3-"),
            ("1.2 | 1.3", "|"),
        ] {
            assert_eq!(
                Range::parse(range).unwrap_err(),
                RangeError::Part(part.into()),
                "{range}"
            );
        }
        for range in ["", "  ", "1.x ||", "|| 1.x", "1.x || || 2.x", ","] {
            assert_eq!(Range::parse(range).unwrap_err(), RangeError::Empty, "{range:?}");
        }
        for range in [">=2 <1", ">1.2.3 <1.2.3", "1.2.3 1.2.4", "1.x 2.x"] {
            assert_eq!(Range::parse(range).unwrap_err(), RangeError::Nothing(range.into()));
        }
    }

    #[test]
    fn versions_are_strict() {
        for text in [
            "1.2.3",
            "v1.2.3",
            "0.0.0",
            "1.2.3-rc.1",
            "1.2.3-0",
            "1.0.20240101120000",
            "1.2.3+b.7",
            "1.2.3-a+b",
        ] {
            assert!(version(text).is_some(), "{text}");
        }
        for text in [
            "",
            "v",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3beta",
            "1.2.3-",
            "1.2.3-beta.01",
            "1.2.3_4",
            "V1.2.3",
            "v 1.2.3",
            " 1.2.3",
            "=1.2.3",
            "vv1.2.3",
            "latest",
            "1.2.3-rc_1",
        ] {
            assert!(version(text).is_none(), "{text}");
        }
    }
}
