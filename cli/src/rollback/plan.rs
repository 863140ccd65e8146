//! What a way back would do: looked at with the person's own credentials before anything is stored.

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use wharfinger_cloud::ports::{Images, Services, TaskDefinitions};
use wharfinger_cloud::table::Table;
use wharfinger_core::config::asked::{Back, BackTo};
use wharfinger_core::config::changes::Stamp;
use wharfinger_core::config::stored::{Managed, paused};
use wharfinger_core::delivery::{
    Decided, Facts, ImageChange, ImageRef, Memory, Quarantined, Repository, Wish, containers, decide,
    task_definition_arn,
};
use wharfinger_core::ids::{Arn, TargetKind, TaskDefinitionRef};
use wharfinger_core::known::Known;

use super::goal::{Goal, before, image, short};
use crate::holds::pause;
use crate::rollouts::Rollouts;

/// What is asked of AWS.
pub(super) trait World: Table + Services + TaskDefinitions + Images {}

impl<W: Table + Services + TaskDefinitions + Images> World for W {}

/// What a way back would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Plan {
    /// The revision that is left, and where it leads: a revision, or an image.
    pub(super) from: String,
    pub(super) to: String,
    /// The containers that change.
    pub(super) changes: Vec<ImageChange>,
    /// What goes into quarantine.
    pub(super) left: Vec<Quarantined>,
    /// That delivery is paused: nothing is done before that ends.
    pub(super) paused: Option<String>,
    /// What is stored.
    #[serde(skip)]
    pub(super) back: Back,
}

/// The plan, or why there is none.
pub(super) async fn plan(
    cloud: &impl World,
    managed: &Managed,
    goal: Option<&Goal>,
    stamp: &Stamp,
) -> anyhow::Result<Result<Plan, String>> {
    let target = &managed.target;
    if managed.stored.config.delivery.is_empty() {
        return Ok(Err(format!("{target} has no `delivery`: nothing would send it back")));
    }
    let Rollouts { memory, wishes } = Rollouts::read(cloud, target).await?;
    let mut facts = match look(cloud, managed).await? {
        Ok(facts) => facts,
        Err(why) => return Ok(Err(why)),
    };
    facts.wishes = wishes;
    let to = match way(cloud, managed, &facts, &memory, goal).await? {
        Ok(to) => to,
        Err(why) => return Ok(Err(why)),
    };
    if let BackTo::Revision(name) = &to {
        let answer = cloud.describe_task_definition(name).await;
        let answer = answer.with_context(|| format!("the task definition {name} cannot be described"))?;
        facts.back_to = Known::Yes(answer);
    }
    if let Some(why) = unpullable(cloud, &facts, &to).await? {
        return Ok(Err(why));
    }
    let back = Back {
        to,
        at: stamp.at,
        by: Some(stamp.by.clone()),
    };
    facts.back = Some(back.clone());
    // What is under way gives way to a person.
    facts.memory = Memory {
        watched: None,
        intent: None,
        went_back: None,
        ..memory
    };
    Ok(preview(managed, &facts, back, stamp.at))
}

/// What the function would do.
fn preview(managed: &Managed, facts: &Facts, back: Back, now: Timestamp) -> Result<Plan, String> {
    let decided = decide(facts, now);
    let quarantine = decided.before_call().quarantine;
    let Decided { decision, intent, .. } = decided;
    let Some(intent) = intent.filter(|intent| intent.back.is_some()) else {
        let words: Vec<_> = decision.reasons.into_iter().map(|reason| reason.message).collect();
        return Err(words.join("; "));
    };
    let images = intent.wishes.values().map(Wish::name).collect::<Vec<_>>();
    let to = intent.registered.as_deref().map(|to| short(to).to_owned());
    let known = &facts.memory.quarantine;
    Ok(Plan {
        from: short(&intent.base).to_owned(),
        to: to.unwrap_or_else(|| images.join(", ")),
        changes: intent.changes,
        left: quarantine.into_iter().filter(|q| !known.contains(q)).collect(),
        paused: paused(&managed.stored.paused, "delivery", now).map(|until| pause("delivery", until)),
        back,
    })
}

/// What the target runs.
async fn look(cloud: &impl World, managed: &Managed) -> anyhow::Result<Result<Facts, String>> {
    let target = &managed.target;
    let mut facts = Facts::of(managed, "", "");
    facts.linger_asked = None;
    if target.kind == TargetKind::Service {
        let names = [target.name.clone()];
        let services = cloud.describe_services(&target.cluster, &names).await;
        let mut services = services.with_context(|| format!("{target} cannot be described"))?;
        let Some(service) = services.remove(&target.name) else {
            return Ok(Err(format!("ECS knows no service {target}")));
        };
        facts.service = Known::Yes(Some(service));
    }
    let Some(name) = facts.base_name() else {
        bail!("what {target} runs is not known");
    };
    let answer = cloud.describe_task_definition(name).await;
    let Some(answer) = answer.with_context(|| format!("the task definition {name} cannot be described"))? else {
        return Ok(Err(format!("there is no ACTIVE task definition `{name}`")));
    };
    let place = task_definition_arn(&answer).and_then(Arn::parse);
    let place = place.with_context(|| format!("the answer of DescribeTaskDefinition for {name} names no ARN"))?;
    (facts.account, facts.region) = (place.account.to_owned(), place.region.to_owned());
    facts.definition = Known::Yes(Some(answer));
    // With `base: latest` the decider tells nothing without it, though no way back is made of it.
    if facts.takes_newest()
        && let Some(family) = facts.family_name()
    {
        let newest = cloud.describe_task_definition(family).await;
        facts.latest = Known::Yes(newest.with_context(|| format!("the family {family} cannot be described"))?);
    }
    Ok(Ok(facts))
}

/// Where it goes.
async fn way(
    cloud: &impl World,
    managed: &Managed,
    facts: &Facts,
    memory: &Memory,
    goal: Option<&Goal>,
) -> anyhow::Result<Result<BackTo, String>> {
    if let Some(Goal::Image(digits)) = goal {
        return image(cloud, managed, facts, digits).await;
    }
    let Known::Yes(Some(service)) = &facts.service else {
        return Ok(Err(format!(
            "{} is a family: whoever starts it runs its latest revision; give a digest, and a revision with that image is \
             registered",
            managed.target
        )));
    };
    let runs = &service.task_definition;
    Ok(match goal {
        None => before(memory, runs).map(BackTo::Revision),
        Some(Goal::Revision(name)) => Ok(BackTo::Revision(name.clone())),
        Some(Goal::Number(number)) => match TaskDefinitionRef::parse(runs) {
            Some(own) => Ok(BackTo::Revision(format!("{}:{number}", own.family))),
            None => Err(format!("`{runs}` is no revision of a family")),
        },
        Some(Goal::Image(_)) => bail!("an image is looked for in the registry"),
    })
}

/// Why an image of our registry that the way back leads to cannot be pulled, if so.
async fn unpullable(cloud: &impl Images, facts: &Facts, to: &BackTo) -> anyhow::Result<Option<String>> {
    let mut asked: Vec<ImageRef> = Vec::new();
    if let BackTo::Image { wish, .. } = to {
        let image = Repository::in_ecr(&facts.account, &facts.region, &wish.repository).with_digest(&wish.digest);
        asked.push(image.parse()?);
    }
    if let Known::Yes(Some(answer)) = &facts.back_to {
        asked.extend(images(answer));
    }
    for image in asked {
        let repository = image.repository();
        let path = &repository.path;
        if repository != Repository::in_ecr(&facts.account, &facts.region, path) {
            continue;
        }
        let unasked = || format!("whether {} can be pulled cannot be told", image.short());
        let digest = if let Some(digest) = &image.digest {
            Some(digest.clone())
        } else {
            let tag = image.tag.as_deref().unwrap_or("latest");
            let tagged = cloud.tagged_images(path).await.with_context(unasked)?;
            let named = tagged.into_iter().flatten().find(|tagged| tagged.tag == tag);
            named.map(|named| named.digest)
        };
        let why = match digest {
            None => Some("is not in the repository any more"),
            Some(digest) => cloud.image(path, &digest).await.with_context(unasked)?.unpullable(),
        };
        if let Some(why) = why {
            return Ok(Some(format!("{} {why}", image.short())));
        }
    }
    Ok(None)
}

/// The images of a revision; what cannot be read as one is told by the decider.
fn images(answer: &Value) -> Vec<ImageRef> {
    let containers = containers(answer).unwrap_or_default();
    containers
        .iter()
        .filter_map(|container| container.image.parse().ok())
        .collect()
}
