//! `wharfinger tags FILE TARGET TAG...`: which tag the policy of a delivery rule would deploy, and why not the others, offline.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use wharfinger_core::config::{Approval, Delivery, Document};
use wharfinger_core::delivery::{Compiled, PolicyError, Wish, is_referrer_tag, is_tag};
use wharfinger_core::ids::{Digest, Target};
use wharfinger_core::report::{Code, Reason};

use crate::args::Global;
use crate::document::there_is;
use crate::input;
use crate::output::{BOLD, DIM, GREEN, Show, Verdict, show};

/// What the options do not say.
pub(crate) const HELP: &str = r#"Order:
  Where the latest push wins (`exact`, `glob`, and `regex` without `order`), the tags count as pushed
  in the order in which they are given: the last one is the latest.

Several rules:
  Each rule of the target is told by itself, in JSON under `rules`, unless --repository or --container
  leave one.

Exit codes:
  0 also when no tag is wanted: the winner is then none. 2 when the file, the target or the rule is not
  there."#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; `-` for standard input.
    file: PathBuf,
    /// `cluster/service`, or `cluster/family` for standalone tasks.
    #[arg(value_parser = crate::history::target)]
    target: Target,
    /// The tags that there are.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    /// Only the rules for this repository.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Only the rule for this container.
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
}

/// What becomes of the tags: under one rule, or under each of several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    One(Chosen),
    Several { rules: Vec<Named> },
}

/// What becomes of the tags under a rule that has a name.
#[derive(Debug, Serialize)]
struct Named {
    repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(flatten)]
    chosen: Chosen,
}

/// What becomes of the tags under a rule.
#[derive(Debug, Serialize)]
struct Chosen {
    winner: Option<String>,
    tags: Vec<Judged>,
}

/// What becomes of a tag.
#[derive(Debug, Serialize)]
struct Judged {
    tag: String,
    /// Whether the rule wants such tags; one of them wins.
    selected: bool,
    reasons: Vec<Reason>,
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let document = input::valid_document(&args.file)?;
    let mut rules = Vec::new();
    for rule in rules_of(&document, args)? {
        rules.push(Named {
            repository: rule.repository.clone(),
            container: rule.container.clone(),
            chosen: choose(&rule, &args.tags)?,
        });
    }
    let answer = match <[Named; 1]>::try_from(rules) {
        Ok([only]) => Answer::One(only.chosen),
        Err(rules) => Answer::Several { rules },
    };
    show(global.output, &answer)?;
    Ok(Verdict::Fine)
}

/// The rules that are asked about.
fn rules_of(document: &Document, args: &Args) -> anyhow::Result<Vec<Delivery>> {
    let (file, target) = (args.file.display(), &args.target);
    let family = Target::task(target.cluster.clone(), target.name.clone());
    let found = [document.find(target), document.find(&family)];
    if found.iter().all(Option::is_none) {
        let names = document.services.keys().chain(document.tasks.keys());
        let hint = there_is(&target.to_string(), names);
        bail!("{file} has no target {target}{hint}");
    }
    let rules: Vec<_> = found.into_iter().flatten().flat_map(|config| config.delivery).collect();
    if rules.is_empty() {
        bail!("{target} has no `delivery` in {file}: no tag is deployed");
    }
    let asked = |rule: &&Delivery| {
        let repository = args.repository.as_ref().is_none_or(|name| *name == rule.repository);
        repository && (args.container.is_none() || args.container == rule.container)
    };
    let chosen: Vec<_> = rules.iter().filter(asked).cloned().collect();
    if chosen.is_empty() {
        let name = |rule: &Delivery| match &rule.container {
            Some(container) => format!("{} for the container `{container}`", rule.repository),
            None => rule.repository.clone(),
        };
        let there: Vec<_> = rules.iter().map(name).collect();
        bail!(
            "{target} has no such delivery rule in {file}: there is {}",
            there.join(", ")
        );
    }
    Ok(chosen)
}

/// What a rule makes of tags that were pushed one after the other.
fn choose(rule: &Delivery, tags: &[String]) -> anyhow::Result<Chosen> {
    let policy = &Compiled::new(&rule.tags)?;
    let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse()?;
    let push = |(second, tag): (i64, &String)| Wish {
        repository: String::new(),
        tag: tag.clone(),
        digest: digest.clone(),
        pushed_at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
    };
    let pushes: Vec<_> = (0..).zip(tags).map(push).collect();
    let images = pushes.iter().filter(|push| !is_referrer_tag(&push.tag));
    let winner = policy.best(images);
    Ok(Chosen {
        winner: winner.map(|winner| winner.tag.clone()),
        tags: pushes
            .iter()
            .map(|push| judge(policy, push, winner, has_gates(rule)))
            .collect(),
    })
}

/// Whether something may have to come before a rollout.
fn has_gates(rule: &Delivery) -> bool {
    rule.approval == Approval::Required
        || rule.after.is_some()
        || rule.waves.is_some()
        || rule.mature.is_some()
        || rule.windows.is_some()
        || rule.scan.is_some()
}

fn judge(policy: &Compiled, push: &Wish, winner: Option<&Wish>, gated: bool) -> Judged {
    let tag = &push.tag;
    let (selected, reason) = if !is_tag(tag) {
        let message = PolicyError::Tag(tag.clone()).to_string();
        (false, Reason::new(Code::TagNotWanted, message))
    } else if is_referrer_tag(tag) {
        let message = format!("`{tag}` is the tag of a signature or attestation of another image");
        (false, Reason::new(Code::NotAnImage, message))
    } else {
        match (policy.select(tag), winner) {
            (Err(reason), _) => (false, reason),
            (Ok(own), Some(winner)) if winner != push => {
                let higher = policy.select(&winner.tag).is_ok_and(|best| best > own);
                let why = if higher {
                    "which ranks higher"
                } else {
                    "which was pushed later"
                };
                let message = if winner.tag == *tag {
                    format!("this push of `{tag}` loses to the one that came later")
                } else {
                    format!("`{tag}` loses to `{}`, {why}", winner.tag)
                };
                (true, Reason::new(Code::Superseded, message))
            }
            (Ok(_), _) => {
                let once = if gated { ", once the rule's gates are open" } else { "" };
                let message = format!("`{tag}` would be deployed{once}");
                (true, Reason::new(Code::RolloutStarts, message))
            }
        }
    };
    Judged {
        tag: tag.clone(),
        selected,
        reasons: vec![reason],
    }
}

impl Show for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::One(chosen) => chosen.text(out),
            Self::Several { rules } => {
                for (i, rule) in rules.iter().enumerate() {
                    let container = rule.container.as_ref();
                    let container = container.map_or_else(String::new, |name| format!(", container {name}"));
                    let line = if i == 0 { "" } else { "\n" };
                    writeln!(out, "{line}{BOLD}{}{BOLD:#}{container}", rule.repository)?;
                    rule.chosen.text(out)?;
                }
                Ok(())
            }
        }
    }
}

impl Chosen {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.tags.iter().map(|judged| judged.tag.chars().count()).max();
        let width = width.unwrap_or_default();
        for Judged { tag, selected, reasons } in &self.tags {
            let (style, word) = match reasons.first() {
                Some(reason) if reason.code == Code::RolloutStarts => (GREEN, "wins"),
                _ if *selected => (BOLD, "loses"),
                _ => (DIM, "no"),
            };
            let why: Vec<_> = reasons
                .iter()
                .map(|reason| format!("{}: {}", reason.code, reason.message))
                .collect();
            writeln!(out, "{tag:width$}  {style}{word:5}{style:#}  {}", why.join("; "))?;
        }
        if self.winner.is_none() {
            writeln!(out, "none of them is wanted")?;
        }
        Ok(())
    }
}
