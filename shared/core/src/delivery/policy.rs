//! Which tags a rule wants, and which of two pushes it would rather have.

use std::cmp::Ordering;

use globset::{Glob, GlobMatcher};
use jiff::{SignedDuration, Timestamp};
use nodejs_semver::Version;
use regex::Regex;

use super::number::Number;
use super::versions::{Range, RangeError, version};
use super::{Wish, is_tag};
use crate::config::{Order, TagPolicy};
use crate::report::{Code, Reason};

/// What is wrong with a tag policy, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No tags are named.
    #[error("no tags are named: write one of `exact`, `glob`, `regex`, `semver`")]
    Empty,
    /// More than one way of naming tags.
    #[error("`{0}` and `{1}` both name tags: keep one of them, and write a rule for each if both are meant")]
    Several(&'static str, &'static str),
    /// A key has no meaning beside another.
    #[error("`{key}` has no meaning with `{with}`: {fix}")]
    NotWith {
        /// The key that is too much.
        key: &'static str,
        /// The key beside which it stands.
        with: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// An exact tag that no image can have.
    #[error(
        "`{0}` cannot be a tag: a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with neither `.` nor `-`"
    )]
    Tag(String),
    /// A glob that cannot be read.
    #[error("`{glob}` is not a pattern: {reason}")]
    Glob {
        /// What was written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A regular expression that cannot be read.
    #[error("`{expression}` is not a regular expression: {reason}")]
    Regex {
        /// `regex` or `filter`.
        key: &'static str,
        /// What was written.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A template that names a group that the expression has not.
    #[error("`{template}` names the group `{group}`, which `{expression}` has not: it has {groups}")]
    Group {
        /// The template.
        template: String,
        /// The group.
        group: String,
        /// The expression.
        expression: String,
        /// The groups that there are.
        groups: String,
    },
    /// A version range that cannot be read.
    #[error(transparent)]
    Range(#[from] RangeError),
}

impl PolicyError {
    /// The key under `tags` at which it is to be mended; `None` is `tags` itself.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Several(_, key) | Self::NotWith { key, .. } | Self::Regex { key, .. } => Some(key),
            Self::Tag(_) => Some("exact"),
            Self::Glob { .. } => Some("glob"),
            Self::Group { .. } => Some("extract"),
            Self::Range(_) => Some("semver"),
        }
    }
}

mod whole;

/// A policy that is ready to be asked.
#[derive(Debug, Clone)]
pub struct Compiled {
    wanted: Wanted,
    extract: Option<String>,
    order: Option<Order>,
}

#[derive(Debug, Clone)]
enum Wanted {
    Exact(String),
    Glob(GlobMatcher),
    Regex(Regex),
    Versions { range: Range, filter: Option<Regex> },
}

/// A tag that is wanted, and how it compares with the other tags of its policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selected(Rank);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Every tag is as good as the next: the push decides.
    Any,
    Version(Version),
    Number(Number),
    Text(String),
}

/// What becomes of a push that meets the wish that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is wanted in place of the known one.
    Wins,
    /// It is the known one.
    Same,
    /// The known one is wanted.
    Loses,
}

impl Compiled {
    /// Checks a policy and compiles its patterns.
    pub fn new(policy: &TagPolicy) -> Result<Self, PolicyError> {
        let ways = [
            ("exact", policy.exact.as_deref()),
            ("glob", policy.glob.as_deref()),
            ("regex", policy.regex.as_deref()),
            ("semver", policy.semver.as_deref()),
        ];
        let mut ways = ways.into_iter().filter_map(|(key, value)| value.map(|v| (key, v)));
        let (way, value) = ways.next().ok_or(PolicyError::Empty)?;
        if let Some((other, _)) = ways.next() {
            return Err(PolicyError::Several(way, other));
        }
        fits(policy, way)?;
        let wanted = match way {
            "exact" if is_tag(value) => Wanted::Exact(value.into()),
            "exact" => return Err(PolicyError::Tag(value.into())),
            "glob" => Wanted::Glob(glob(value)?),
            "regex" => Wanted::Regex(expression("regex", value)?),
            _ => Wanted::Versions {
                range: Range::parse(value)?,
                filter: policy.filter.as_deref().map(|f| expression("filter", f)).transpose()?,
            },
        };
        let compiled = Self {
            wanted,
            extract: policy.extract.clone(),
            order: policy.order,
        };
        compiled.groups_exist()?;
        Ok(compiled)
    }

    /// Whether a tag is wanted, and if not, why.
    pub fn select(&self, tag: &str) -> Result<Selected, Reason> {
        let unwanted = |message: String| Reason::new(Code::TagNotWanted, message);
        let rank = match &self.wanted {
            Wanted::Exact(exact) if exact == tag => Rank::Any,
            Wanted::Exact(exact) => return Err(unwanted(format!("tag `{tag}` is not `{exact}`"))),
            Wanted::Glob(glob) if glob.is_match(tag) => Rank::Any,
            Wanted::Glob(glob) => return Err(unwanted(format!("tag `{tag}` is not like `{}`", glob.glob().glob()))),
            Wanted::Regex(regex) => self
                .ranked(tag, &self.extracted(tag, Some(regex)).map_err(unwanted)?)
                .map_err(unwanted)?,
            Wanted::Versions { range, filter } => {
                let text = self.extracted(tag, filter.as_ref()).map_err(unwanted)?;
                in_range(tag, &text, range).map_err(unwanted)?
            }
        };
        Ok(Selected(rank))
    }

    /// Why no tag at all is wanted, where that is known: what is compared cannot be what `order` says, or a version. And the
    /// key under `tags` that says so.
    #[must_use]
    pub fn wants_nothing(&self) -> Option<(&'static str, String)> {
        let (key, regex, order) = match (&self.wanted, self.order) {
            (Wanted::Regex(regex), Some(order)) => ("order", regex, order),
            (
                Wanted::Versions {
                    filter: Some(regex), ..
                },
                _,
            ) => ("filter", regex, Order::Semver),
            _ => return None,
        };
        if self.extract.is_some() {
            return None;
        }
        let what = match order {
            Order::Numeric => "number",
            Order::Semver => "version like 1.2.3",
            Order::Alphabetical => return None,
        };
        (!whole::may_be(regex.as_str(), order)).then(|| {
            let why = format!(
                "no tag is wanted: without `extract` the whole tag is compared, and none that `{regex}` matches is a \
                 {what}; write what of it is compared, like `extract: $1` for the expression's first group"
            );
            (key, why)
        })
    }

    /// Whether a push takes the place of the wish that is known.
    ///
    /// The order is total, so the outcome depends neither on the order of arrival nor on duplicates: the better tag by the
    /// policy (of versions the higher one), then the later push, then the greater tag and digest. The last two decide only
    /// between pushes of one second, whose order no event tells; the sweep asks the registry what the tag points to
    /// ([`Compiled::seen`]). A known wish whose tag is no longer wanted, since the policy was changed, loses to any that is.
    pub fn wins(&self, current: &Wish, candidate: &Wish) -> Verdict {
        match self.compare(candidate, current) {
            Ordering::Greater => Verdict::Wins,
            Ordering::Equal => Verdict::Same,
            Ordering::Less => Verdict::Loses,
        }
    }

    /// The best of some pushes; `None` when no tag is wanted.
    pub fn best<'a>(&self, wishes: impl IntoIterator<Item = &'a Wish>) -> Option<&'a Wish> {
        wishes
            .into_iter()
            .filter(|w| self.select(&w.tag).is_ok())
            .max_by(|a, b| self.compare(a, b))
    }

    /// What is wanted after a look into the registry: the best of the tagged images that it lists and of the known wish.
    ///
    /// A tag that was moved back to an older image keeps that image's time of push in the registry. It moved after the known
    /// push all the same, so it counts as pushed just after it, and the known wish, whose tag is another image's now, is
    /// forgotten. A tag that the listing has not says nothing: the listing may be older than the push.
    pub fn seen(&self, known: Option<&Wish>, listing: &[Wish]) -> Option<Wish> {
        let Some(known) = known else {
            return self.best(listing).cloned();
        };
        let moved = |w: &Wish| w.tag == known.tag && w.digest != known.digest;
        if !listing.iter().any(moved) {
            return self.best(listing.iter().chain([known])).cloned();
        }
        let listing: Vec<_> = listing
            .iter()
            .map(|w| {
                if moved(w) {
                    Wish {
                        pushed_at: w.pushed_at.max(just_after(known.pushed_at)),
                        ..w.clone()
                    }
                } else {
                    w.clone()
                }
            })
            .collect();
        self.best(&listing).cloned()
    }

    fn compare(&self, a: &Wish, b: &Wish) -> Ordering {
        let rank = |w: &Wish| self.select(&w.tag).ok();
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.pushed_at.cmp(&b.pushed_at))
            .then_with(|| a.tag.cmp(&b.tag))
            .then_with(|| a.digest.cmp(&b.digest))
    }

    /// What of the tag is looked at.
    fn extracted(&self, tag: &str, expression: Option<&Regex>) -> Result<String, String> {
        let Some(expression) = expression else {
            return Ok(tag.into());
        };
        let captures = expression
            .captures(tag)
            .ok_or_else(|| format!("tag `{tag}` does not match `{expression}`"))?;
        let mut text = String::new();
        match &self.extract {
            None => text.push_str(tag),
            Some(template) => captures.expand(template, &mut text),
        }
        if text.is_empty() {
            Err(format!("nothing can be extracted from tag `{tag}`"))
        } else {
            Ok(text)
        }
    }

    fn ranked(&self, tag: &str, text: &str) -> Result<Rank, String> {
        let what = || named(tag, text);
        match self.order {
            None => Ok(Rank::Any),
            Some(Order::Alphabetical) => Ok(Rank::Text(text.into())),
            Some(Order::Numeric) => text
                .parse()
                .map(Rank::Number)
                .map_err(|()| format!("{} is not a number", what())),
            Some(Order::Semver) => version(text)
                .map(Rank::Version)
                .ok_or_else(|| format!("{} is not a version like 1.2.3", what())),
        }
    }

    fn groups_exist(&self) -> Result<(), PolicyError> {
        let expression = match &self.wanted {
            Wanted::Regex(regex) => Some(regex),
            Wanted::Versions { filter, .. } => filter.as_ref(),
            Wanted::Exact(_) | Wanted::Glob(_) => None,
        };
        let (Some(template), Some(expression)) = (&self.extract, expression) else {
            return Ok(());
        };
        let names: Vec<_> = expression.capture_names().flatten().collect();
        let exists = |group: &str| match group.parse::<usize>() {
            Ok(number) => number < expression.captures_len(),
            Err(_) => names.contains(&group),
        };
        match template_groups(template).into_iter().find(|g| !exists(g)) {
            None => Ok(()),
            Some(group) => {
                let numbers = (0..expression.captures_len()).map(|n| n.to_string());
                let groups: Vec<_> = numbers.chain(names.iter().map(ToString::to_string)).collect();
                Err(PolicyError::Group {
                    template: template.clone(),
                    group: group.into(),
                    expression: expression.to_string(),
                    groups: groups.join(", "),
                })
            }
        }
    }
}

/// Whether the other keys fit the way in which tags are named.
fn fits(policy: &TagPolicy, way: &'static str) -> Result<(), PolicyError> {
    let not = |key, fix| Err(PolicyError::NotWith { key, with: way, fix });
    let (filter, extract) = (policy.filter.is_some(), policy.extract.is_some());
    let ordered = policy.order.is_some();
    match way {
        "regex" if filter => not("filter", "the expression of `regex` is the filter"),
        "semver" if extract && !filter => not("extract", "write `filter` with the groups that it names"),
        "semver" if ordered && policy.order != Some(Order::Semver) => not(
            "order",
            "versions are compared as versions; use `regex` for another order",
        ),
        "regex" | "semver" => Ok(()),
        _ if filter => not("filter", "use `regex`"),
        _ if extract => not("extract", "use `regex` with `extract` and `order`"),
        _ if ordered => not(
            "order",
            "the latest push wins; use `regex` with `order` for another order",
        ),
        _ => Ok(()),
    }
}

fn glob(text: &str) -> Result<GlobMatcher, PolicyError> {
    let wrong = |reason: String| PolicyError::Glob {
        glob: text.into(),
        reason,
    };
    if text.is_empty() {
        return Err(wrong("it is empty; `*` is any tag".into()));
    }
    Glob::new(text)
        .map(|g| g.compile_matcher())
        .map_err(|e| wrong(e.kind().to_string()))
}

fn expression(key: &'static str, text: &str) -> Result<Regex, PolicyError> {
    Regex::new(text).map_err(|error| {
        // The crate draws the expression over several lines and says what is wrong on the last.
        let drawn = error.to_string();
        let reason = drawn
            .lines()
            .last()
            .unwrap_or(&drawn)
            .trim_start_matches("error: ")
            .to_owned();
        PolicyError::Regex {
            key,
            expression: text.into(),
            reason,
        }
    })
}

/// What of a tag is looked at, in words.
fn named(tag: &str, text: &str) -> String {
    if tag == text {
        format!("tag `{tag}`")
    } else {
        format!("`{text}`, of tag `{tag}`,")
    }
}

fn in_range(tag: &str, text: &str, range: &Range) -> Result<Rank, String> {
    let what = named(tag, text);
    match version(text) {
        None => Err(format!("{what} is not a version like 1.2.3")),
        Some(version) if range.contains(&version) => Ok(Rank::Version(version)),
        Some(version) if range.contains_release_of(&version) => Err(format!(
            "{what} is a pre-release, and `{range}` takes none of that version; a lower bound that ends in `-0` does"
        )),
        Some(_) => Err(format!("{what} is not in `{range}`")),
    }
}

/// The groups that a template names: `$1`, `$name` (as long as it goes) or `${name}`; `$$` is a dollar
/// (documentation of the `regex` crate, `Captures::expand`).
fn template_groups(template: &str) -> Vec<&str> {
    let mut groups = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            groups.push(name);
            rest = after;
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            if end > 0 {
                groups.push(&rest[..end]);
            }
        }
    }
    groups
}

fn just_after(time: Timestamp) -> Timestamp {
    time.checked_add(SignedDuration::from_millis(1)).unwrap_or(time)
}

#[cfg(test)]
mod tests;
