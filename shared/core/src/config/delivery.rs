//! Which pushed images are rolled out, and behind which gates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, is_default};

/// Images of one repository that are rolled out when they are pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delivery {
    /// `shop/web`: the repository in this account's and Region's registry, whose host may stand in front.
    pub repository: String,
    /// Which tags are wanted.
    pub tags: TagPolicy,
    /// The container that takes the image; without it each whose image comes from this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Which revision of the service's task definition the next one is made of; `service` when no rule says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Promote what this service has proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// For how long it must have proved it; with `waves` each wave before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<Span>,
    /// In which shares the targets that take images of this repository in waves go ahead, like `10%, 50%, 100%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waves: Option<Waves>,
    /// Whether a person must agree.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approval: Approval,
    /// Wait for the image scan, and stop on findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    /// How old a push must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mature: Option<Span>,
    /// When rollouts may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// When a rollout is given up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollback: Rollback,
}

/// Which revision the next one is made of. A service has one: rules of it that say something say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// The one that the service runs: nothing goes out but the image.
    Service,
    /// The newest ACTIVE one of the family: what Terraform or CDK registered since goes out with the image.
    Latest,
}

impl Base {
    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Latest => "latest",
        }
    }
}

/// Which tags are wanted: exactly one of `exact`, `glob`, `regex`, `semver`, with how the best of them is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TagPolicy {
    /// This tag; the latest push wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Tags like this, with `*` and `?`; the latest push wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// Tags that this regular expression matches; the latest push wins unless `order` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Versions in this range; the highest wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// Only tags that this regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What of the tag is compared: a template of the expression's groups, like `$1` or `${version}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
    /// How what was extracted is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// How tags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As versions.
    Semver,
    /// As numbers.
    Numeric,
    /// As text.
    Alphabetical,
}

/// Whether a person must agree to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// No.
    #[default]
    None,
    /// Yes: `wharfinger approve`.
    Required,
}

/// In which shares the targets of a repository go ahead: each wave once those before have proved the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Waves(#[schemars(with = "String", regex(pattern = r"^\s*\d{1,3}\s*%(\s*,\s*\d{1,3}\s*%)*\s*$"))] Vec<u8>);

impl Waves {
    /// How many waves there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The wave of a target by its place among all of them, from 1, and how many targets are in the waves before. `None` in
    /// the first wave, which waits for nobody.
    #[must_use]
    pub fn before(&self, place: usize, all: usize) -> Option<(usize, usize)> {
        let end = |share: &u8| (all * usize::from(*share)).div_ceil(100);
        let wave = self.0.iter().position(|share| place < end(share))?;
        let before = self.0.get(wave.checked_sub(1)?)?;
        Some((wave + 1, end(before)))
    }
}

impl TryFrom<String> for Waves {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let share = |part: &str| part.trim().strip_suffix('%')?.trim_end().parse::<u8>().ok();
        let shares: Option<Vec<u8>> = text.split(',').map(share).collect();
        let rising =
            |shares: &Vec<u8>| shares.is_sorted_by(|a, b| a < b) && shares[0] > 0 && shares.last() == Some(&100);
        shares.filter(rising).map(Self).ok_or_else(|| {
            format!(
                "`{text}` are no waves: write rising shares that end with 100%, in quotes where they stand in braces: \
                 `waves: \"10%, 50%, 100%\"`"
            )
        })
    }
}

impl From<Waves> for String {
    fn from(waves: Waves) -> Self {
        let shares: Vec<_> = waves.0.iter().map(|share| format!("{share}%")).collect();
        shares.join(", ")
    }
}

/// The image scan that a rollout waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scan {
    /// Findings of this severity or worse stop the rollout.
    pub block: Severity,
    /// How long to wait for the scan. A rollout that has waited for longer goes on waiting, and says that the scan is missing.
    #[serde(default = "Scan::wait")]
    pub wait: Span,
    /// What findings do whose severity nobody has rated yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unrated: Unrated,
}

impl Scan {
    /// A basic scan takes a few minutes (ECR user guide, "Scan images for OS vulnerabilities"); Inspector's first may take
    /// longer.
    fn wait() -> Span {
        Span::minutes(30)
    }
}

/// What findings do whose severity is `UNDEFINED` (basic scans) or `UNTRIAGED` (Inspector).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unrated {
    /// They stop the rollout: each may turn out to be as bad as any.
    #[default]
    Block,
    /// They do not.
    Pass,
}

/// How bad a finding is, as Amazon ECR and Inspector say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// Informational.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// When rollouts may begin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Windows {
    /// Only in these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Window>,
    /// Not in these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Window>,
}

/// A stretch of time that returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Window {
    /// When it begins: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// IANA time zone, like `Europe/Madrid`; UTC when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// When a rollout is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Rollback {
    /// A deployment that is in progress for longer than this no longer holds up the next.
    pub timeout: Span,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            timeout: Span::minutes(30),
        }
    }
}
