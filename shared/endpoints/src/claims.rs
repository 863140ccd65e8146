//! Who has which address in a registry or a target group: one item for each, beside the ledger.
//!
//! A target carries no mark of ours, so its claim is the mark. And where an address passes from one task to the next, as in
//! bridge and host networks, the claim says whose it is now: the later task's. The earlier one must neither keep an
//! endpoint there nor take the later one's away (amazon-ecs-agent #500).

use std::collections::BTreeMap;

use futures_util::future::{join_all, try_join_all};
use jiff::SignedDuration;
use wharfinger_cloud::Fault;
use wharfinger_cloud::ports::Clock;
use wharfinger_cloud::table::{
    AttributeValue, Condition, Found, Item, Key, Malformed, Table, TableName, Update, Updated, Write, as_number,
    as_text, attribute, number, text, to_attribute,
};
use wharfinger_core::endpoint::{Member, Rival};
use wharfinger_core::event::TaskStateChange;
use wharfinger_core::ids::TaskArn;
use wharfinger_core::ledger::{LIVING_SECONDS, TOMBSTONE_SECONDS, expiry};

/// The task that has the address; absent once it was given up.
const TASK: &str = "task";
/// The task that is about to put back what the other has there.
const BACK: &str = "back";
/// When that task began, in epoch milliseconds.
const SINCE: &str = "since";
/// What stands for it.
const MEMBER: &str = "member";
/// The group of the task.
const GROUP: &str = "group";
/// There once the task leaves, while its claim stays: it says whose that is what may be there, and whoever comes has the
/// address.
const LEAVES: &str = "leaves";
const TTL: &str = "ttl";
/// When someone took note of a collection, in epoch seconds.
const NOTED: &str = "noted";

/// How long a function that took note of a collection relies on that.
pub(crate) const NOTED_FOR: SignedDuration = SignedDuration::from_hours(12);

/// How often a claim is tried against others that claim at the same moment.
const ATTEMPTS: usize = 5;

fn partition(domain: &str, collection: &str) -> String {
    format!("held#{domain}#{collection}")
}

fn key<M: Member>(member: &M) -> Option<Key> {
    Some(Key::new(partition(M::DOMAIN, member.kept_in()), member.address()?))
}

/// A task that runs has begun by now, if it does not say when.
fn since(clock: &impl Clock, task: &TaskStateChange) -> i64 {
    task.started_at.unwrap_or_else(|| clock.now()).as_millisecond()
}

/// A claim, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim<M> {
    /// The task.
    pub task: TaskArn,
    /// When it began, in epoch milliseconds.
    pub since: i64,
    /// Whether it leaves: it has the address against nobody.
    pub leaves: bool,
    /// What stands for it.
    pub member: M,
    /// The group of the task.
    pub group: Option<String>,
}

impl<M> Claim<M> {
    /// Whether it is that of a task which has the address against one that began then.
    const fn is_after(&self, since: i64) -> bool {
        self.since > since && !self.leaves
    }
}

fn read<M: Member>(item: &Item) -> Result<Option<Claim<M>>, Malformed> {
    let malformed = |reason: String| Malformed {
        key: Key::of(item).map_or_else(|| "?".to_owned(), |key| key.to_string()),
        reason,
    };
    let Some(holder) = [TASK, BACK].into_iter().find(|name| item.contains_key(*name)) else {
        return Ok(None);
    };
    let task = as_text(item, holder).ok_or_else(|| malformed(format!("`{holder}` is no text")))?;
    Ok(Some(Claim {
        task: task.parse().map_err(|e| malformed(format!("`{TASK}`: {e}")))?,
        since: as_number(item, SINCE).unwrap_or_default(),
        leaves: item.contains_key(LEAVES),
        member: attribute(item, MEMBER)?.ok_or_else(|| malformed(format!("it has no `{MEMBER}`")))?,
        group: as_text(item, GROUP).map(str::to_owned),
    }))
}

/// Claims the addresses of members for a task: whoever else has one of them is answered.
///
/// # Errors
/// When the state table cannot be written.
pub async fn claim<M: Member>(
    cloud: &(impl Table + Clock),
    task: &TaskStateChange,
    members: &[M],
) -> Result<Vec<Rival<M>>, Fault> {
    let found = try_join_all(members.iter().map(|member| claim_one(cloud, task, member))).await?;
    Ok(found.into_iter().flatten().collect())
}

async fn claim_one<M: Member>(
    cloud: &(impl Table + Clock),
    task: &TaskStateChange,
    member: &M,
) -> Result<Option<Rival<M>>, Fault> {
    let Some(key) = key(member) else { return Ok(None) };
    let (own, since) = (text(task.task_arn.as_str()), since(cloud, task));
    let claim = Update::of(key.clone())
        .set(TASK, own.clone())
        .set(SINCE, number(since))
        .set(MEMBER, to_attribute("a claim", member)?)
        .set(GROUP, text(task.group.clone().unwrap_or_default()))
        .set(TTL, number(expiry(cloud.now(), LIVING_SECONDS)))
        .remove(LEAVES);
    let free = || Condition::Any(vec![Condition::Missing(TASK), Condition::Equal(TASK, own.clone())]);
    let (mut condition, mut rival) = (free(), None);
    for _ in 0..ATTEMPTS {
        let update = claim.clone().only_if(condition);
        let Updated::Refused(item) = cloud.update(TableName::State, update).await? else {
            return Ok(rival);
        };
        let item = item.unwrap_or_default();
        condition = match item.get(TASK) {
            Some(holder) if *holder != own => Condition::Equal(TASK, holder.clone()),
            _ => free(),
        };
        rival = match read::<M>(&item) {
            Ok(Some(other)) if other.task != task.task_arn => Some(Rival {
                newer: other.is_after(since),
                member: other.member,
                task: other.task,
            }),
            // The answer of our own claim was lost, and it was sent again: whoever had it before is known.
            Ok(Some(_)) => rival,
            Ok(None) => None,
            Err(malformed) => {
                tracing::error!(
                    key = malformed.key,
                    reason = malformed.reason,
                    "malformed claim is replaced"
                );
                None
            }
        };
        if rival.as_ref().is_some_and(|rival| rival.newer) {
            return Ok(rival);
        }
    }
    Err(Fault::Unsettled {
        subject: key.to_string(),
        rounds: ATTEMPTS,
    })
}

/// Ends the claims of a task on the addresses of members: whoever else has one of them by now is answered. While others
/// may still be about to register for the task the claims stay for some days: they tell the sweep whose that would be.
/// What may have been put back meanwhile is answered, too: it is to be removed once more.
///
/// # Errors
/// When the state table cannot be written.
pub async fn end<M: Member>(
    cloud: &(impl Table + Clock),
    task: &TaskArn,
    members: &[M],
    others_join: bool,
) -> Result<(Vec<Rival<M>>, Vec<M>), Fault> {
    let ended = try_join_all(members.iter().map(|member| end_one(cloud, task, member, others_join))).await?;
    let (mut rivals, mut again) = (Vec::new(), Vec::new());
    for (member, ended) in members.iter().zip(ended) {
        match ended {
            Ended::Nobodys => {}
            Ended::Taken(rival) => rivals.push(rival),
            Ended::PutBack => again.push(member.clone()),
        }
    }
    Ok((rivals, again))
}

/// What became of an address when a claim on it ended.
enum Ended<M> {
    Nobodys,
    /// Someone else has it.
    Taken(Rival<M>),
    /// An earlier task, which left late, may have put back there what is removed.
    PutBack,
}

impl<M> From<Option<Rival<M>>> for Ended<M> {
    fn from(rival: Option<Rival<M>>) -> Self {
        rival.map_or(Self::Nobodys, Self::Taken)
    }
}

/// Whether a task has an address against others.
fn has(task: &TaskArn) -> Condition {
    let is = Condition::Equal(TASK, text(task.as_str()));
    Condition::All(vec![is, Condition::Missing(LEAVES)])
}

fn ending(clock: &impl Clock, key: Key, task: &TaskArn, others_join: bool) -> Update {
    let update = Update::of(key)
        .set(TTL, number(expiry(clock.now(), TOMBSTONE_SECONDS)))
        .only_if(Condition::Equal(TASK, text(task.as_str())));
    if others_join {
        update.set(LEAVES, AttributeValue::Bool(true))
    } else {
        update.remove(TASK).remove(LEAVES)
    }
}

async fn end_one<M: Member>(
    cloud: &(impl Table + Clock),
    task: &TaskArn,
    member: &M,
    others_join: bool,
) -> Result<Ended<M>, Fault> {
    let Some(key) = key(member) else {
        return Ok(Ended::Nobodys);
    };
    match cloud
        .update(TableName::State, ending(cloud, key, task, others_join))
        .await?
    {
        Updated::Made(item) if item.contains_key(BACK) => Ok(Ended::PutBack),
        Updated::Made(_) => Ok(Ended::Nobodys),
        Updated::Refused(Some(item)) if as_text(&item, BACK) == Some(task.as_str()) && !item.contains_key(TASK) => {
            forget_back(cloud, task, member).await.map(Ended::from)
        }
        Updated::Refused(item) => Ok(item.and_then(|item| rival(&item, task)).into()),
    }
}

/// Says of addresses that a task is about to put back what others have there. Should it die after that, and they leave
/// meanwhile, then what it put back is its own to remove. `None` when they have them still, otherwise who has them now.
///
/// # Errors
/// When the state table cannot be written.
pub async fn put_back<M: Member>(
    cloud: &impl Table,
    task: &TaskArn,
    rivals: &[Rival<M>],
    members: &[M],
) -> Result<Option<Vec<Rival<M>>>, Fault> {
    for member in members {
        let holder = rivals.iter().find(|rival| rival.member.is_same(member));
        let (Some(key), Some(holder)) = (key(member), holder) else {
            continue;
        };
        let update = Update::of(key)
            .set(BACK, text(task.as_str()))
            .only_if(has(&holder.task));
        if let Updated::Refused(_) = cloud.update(TableName::State, update).await? {
            return self::rivals(cloud, task, members).await.map(Some);
        }
    }
    Ok(None)
}

/// Forgets what was put back for others, once it is removed.
async fn forget_back<M: Member>(cloud: &impl Table, task: &TaskArn, member: &M) -> Result<Option<Rival<M>>, Fault> {
    let Some(key) = key(member) else { return Ok(None) };
    let own = Condition::Equal(BACK, text(task.as_str()));
    let update = Update::of(key).remove(BACK).only_if(own);
    match cloud.update(TableName::State, update).await? {
        Updated::Made(item) => Ok(rival(&item, task)),
        Updated::Refused(item) => Ok(item.and_then(|item| rival(&item, task))),
    }
}

/// Whoever else has the addresses of members now.
///
/// # Errors
/// When the state table cannot be read.
pub async fn rivals<M: Member>(cloud: &impl Table, task: &TaskArn, members: &[M]) -> Result<Vec<Rival<M>>, Fault> {
    let (rivals, _) = held(cloud, task, members).await?;
    Ok(rivals)
}

/// Whoever else has the addresses of members now, and which of them are the task's own: it claimed them, and what stands
/// there is its own or was put back for it, whether its ledger has heard of it or not.
///
/// # Errors
/// When the state table cannot be read.
pub async fn held<M: Member>(
    cloud: &impl Table,
    task: &TaskArn,
    members: &[M],
) -> Result<(Vec<Rival<M>>, Vec<M>), Fault> {
    let keys: Vec<_> = members
        .iter()
        .filter_map(|member| Some((member, key(member)?)))
        .collect();
    let items = join_all(keys.iter().map(|(_, key)| cloud.get(TableName::State, key))).await;
    let (mut rivals, mut own) = (Vec::new(), Vec::new());
    for ((member, _), item) in keys.iter().zip(items) {
        let Some(item) = item? else { continue };
        if as_text(&item, TASK) == Some(task.as_str()) {
            own.push((*member).clone());
        }
        rivals.extend(rival(&item, task));
    }
    Ok((rivals, own))
}

/// What an attempt relies on of an address that it dealt with.
#[derive(Debug)]
pub enum Stand<M> {
    /// It is the task's own, and was put there.
    Own(M),
    /// It is another's, for whom it was put back.
    Others(Rival<M>),
    /// It is the task's own, and was removed: nobody's from now on.
    Gone(M),
}

impl<M: Member> Stand<M> {
    /// What stands there, or stood.
    pub const fn member(&self) -> &M {
        match self {
            Self::Own(member) | Self::Gone(member) => member,
            Self::Others(rival) => &rival.member,
        }
    }

    fn write(&self, cloud: &impl Clock, task: &TaskArn, others_join: bool) -> Option<Write> {
        let key = key(self.member())?;
        let is = |task: &TaskArn| Condition::Equal(TASK, text(task.as_str()));
        Some(match self {
            Self::Own(_) => Write::Check(key, is(task)),
            Self::Others(rival) => Write::Check(key, has(&rival.task)),
            Self::Gone(_) if others_join => Write::Update(ending(cloud, key, task, true)),
            Self::Gone(_) => {
                let condition = Condition::All(vec![is(task), Condition::Missing(BACK)]);
                Write::Update(ending(cloud, key, task, false).only_if(condition))
            }
        })
    }
}

/// Ends the claims on what was removed, on the condition that all is as it was relied on: to be written with the
/// confirmation, after which nobody looks any more.
pub fn settling<M: Member>(cloud: &impl Clock, task: &TaskArn, stands: &[Stand<M>], others_join: bool) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    for write in stands.iter().filter_map(|stand| stand.write(cloud, task, others_join)) {
        if writes.iter().all(|other| other.key() != write.key()) {
            writes.push(write);
        }
    }
    writes
}

/// What is not as it was relied on: who has an address now, and which of the task's own are nobody's or an earlier task's.
/// Of what was removed [`end`] tells it.
pub fn found<M: Member>(
    cloud: &impl Clock,
    task: &TaskStateChange,
    stands: &[Stand<M>],
    refused: &Found,
) -> (Vec<Rival<M>>, Vec<M>) {
    let (mut rivals, mut lost) = (Vec::new(), Vec::new());
    for stand in stands {
        let is = key(stand.member()).and_then(|key| refused.get(&key));
        match (stand, is) {
            (Stand::Gone(_), _) | (Stand::Own(_), None) => {}
            (Stand::Others(rival), None) => rivals.push(rival.clone()),
            (Stand::Others(_), Some(item)) => {
                rivals.extend(item.as_ref().and_then(|item| rival(item, &task.task_arn)));
            }
            (Stand::Own(member), Some(item)) => {
                let claim = item.as_ref().and_then(|item| read::<M>(item).ok().flatten());
                match claim.filter(|claim| claim.task != task.task_arn && claim.is_after(since(cloud, task))) {
                    Some(claim) => rivals.push(Rival {
                        member: claim.member,
                        task: claim.task,
                        newer: true,
                    }),
                    None => lost.push(member.clone()),
                }
            }
        }
    }
    (rivals, lost)
}

/// Another task's claim, unless that task leaves. One that cannot be read is nobody's: the sweep replaces it.
fn rival<M: Member>(item: &Item, task: &TaskArn) -> Option<Rival<M>> {
    if !item.contains_key(TASK) {
        return None;
    }
    let other = read::<M>(item).ok().flatten();
    let other = other.filter(|claim| claim.task != *task && !claim.leaves)?;
    Some(Rival {
        member: other.member,
        task: other.task,
        newer: true,
    })
}

/// The claims of a collection, by address.
///
/// # Errors
/// When the state table cannot be read.
pub async fn all<M: Member>(
    cloud: &impl Table,
    collection: &str,
) -> Result<(BTreeMap<String, Claim<M>>, Vec<Malformed>), Fault> {
    let items = cloud.query(TableName::State, &partition(M::DOMAIN, collection)).await?;
    let (mut claims, mut malformed) = (BTreeMap::new(), Vec::new());
    for item in items {
        let Some(key) = Key::of(&item) else { continue };
        match read(&item) {
            Ok(Some(claim)) => drop(claims.insert(key.sk, claim)),
            Ok(None) => {}
            Err(bad) => malformed.push(bad),
        }
    }
    Ok((claims, malformed))
}

fn index(domain: &str) -> String {
    format!("held#{domain}")
}

/// How long a collection stays noted after nothing of ours was in it: longer than a function's process lives, which notes
/// each collection once.
const NOTED_SECONDS: i64 = 30 * 86_400;

/// Takes note that something of ours is about to be in a collection, so that the sweep looks there even when no
/// configuration names it any more.
///
/// # Errors
/// When the state table cannot be written.
pub async fn note<M: Member>(cloud: &(impl Table + Clock), collection: &str) -> Result<(), Fault> {
    let update = Update::of(Key::new(index(M::DOMAIN), collection))
        .set(NOTED, number(cloud.now().as_second()))
        .remove(TTL);
    cloud.update(TableName::State, update).await?;
    Ok(())
}

/// The collections that something of ours is or was in, and whether that was so long ago that an empty one is forgotten.
///
/// # Errors
/// When the state table cannot be read.
pub async fn noted<M: Member>(cloud: &(impl Table + Clock)) -> Result<BTreeMap<String, bool>, Fault> {
    let items = cloud.query(TableName::State, &index(M::DOMAIN)).await?;
    let now = cloud.now().as_second();
    let noted = |item: &Item| Some((Key::of(item)?.sk, now - as_number(item, NOTED)? > NOTED_SECONDS));
    Ok(items.iter().filter_map(noted).collect())
}

/// Forgets a collection in which nothing of ours is any more, unless someone took note of it not long ago: what is about
/// to be registered is not listed yet.
///
/// # Errors
/// When the state table cannot be written.
pub async fn forget<M: Member>(cloud: &(impl Table + Clock), collection: &str) -> Result<(), Fault> {
    let now = cloud.now();
    let forget = Update::of(Key::new(index(M::DOMAIN), collection))
        .remove(NOTED)
        .set(TTL, number(expiry(now, 0)))
        .only_if(Condition::Less(NOTED, number(now.as_second() - NOTED_SECONDS)));
    cloud.update(TableName::State, forget).await?;
    Ok(())
}
