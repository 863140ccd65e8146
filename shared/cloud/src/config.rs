//! The config table, as functions read it: one look-up per event, kept for 30 seconds.
//!
//! A malformed item is reported with its key and skipped: its neighbours go on.

use std::cell::RefCell;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use wharfinger_core::config::stored::{
    CLUSTERS, Managed, ManagedCluster, StoredCluster, StoredTarget, TARGETS, alarm_partition, repository_partition,
};
use wharfinger_core::ids::{Target, TargetKind};

use crate::error::CloudError;
use crate::ports::Clock;
use crate::table::{Item, Key, Malformed, Table, TableName, attribute};

/// How long a function may act on what it read.
pub const CACHED_FOR: SignedDuration = SignedDuration::from_secs(30);

/// How many look-ups are kept; beyond that the oldest go, so that a long-lived function does not grow.
const CACHE_SIZE: usize = 4_096;

/// The attribute that holds a [`StoredTarget`].
pub const TARGET_ATTRIBUTE: &str = "target";

/// The attribute that holds a cluster's configuration.
pub const CLUSTER_ATTRIBUTE: &str = "cluster";

/// The attribute beside it that holds the cluster's pauses.
pub const PAUSED_ATTRIBUTE: &str = "paused";

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The targets that can be read.
    pub targets: Vec<Managed>,
    /// The items that cannot.
    pub malformed: Vec<Malformed>,
}

impl Found {
    fn extend(&mut self, more: Self) {
        self.targets.extend(more.targets);
        self.malformed.extend(more.malformed);
    }
}

/// What a look-up of clusters found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundClusters {
    /// The clusters that can be read.
    pub clusters: Vec<ManagedCluster>,
    /// The items that cannot.
    pub malformed: Vec<Malformed>,
}

type Cache<F> = RefCell<HashMap<String, (Timestamp, F)>>;

/// Looks targets and clusters up, and remembers what it found.
#[derive(Debug, Default)]
pub struct ConfigStore {
    cache: Cache<Found>,
    clusters: Cache<FoundClusters>,
}

impl ConfigStore {
    /// A target by its name: one `GetItem`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn target(&self, cloud: &(impl Table + Clock), target: &Target) -> Result<Found, CloudError> {
        let key = Key::new(TARGETS, target.key());
        let cache_key = key.to_string();
        if let Some(found) = cached(&self.cache, &cache_key, cloud.now()) {
            return Ok(found);
        }
        let item = cloud.get(TableName::Config, &key).await?;
        Ok(keep(&self.cache, cache_key, cloud.now(), read(item)))
    }

    /// Several targets by their names: one `BatchGetItem` for each hundred. What is kept already is not asked for.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn several(
        &self,
        cloud: &(impl Table + Clock),
        targets: impl IntoIterator<Item = &Target>,
    ) -> Result<Found, CloudError> {
        let now = cloud.now();
        let (mut found, mut asked) = (Found::default(), Vec::new());
        for target in targets {
            let key = Key::new(TARGETS, target.key());
            match cached(&self.cache, &key.to_string(), now) {
                Some(kept) => found.extend(kept),
                None => asked.push(key),
            }
        }
        if asked.is_empty() {
            return Ok(found);
        }
        let mut items: HashMap<_, _> = cloud
            .get_all(TableName::Config, &asked)
            .await?
            .into_iter()
            .filter_map(|item| Some((Key::of(&item)?, item)))
            .collect();
        for key in asked {
            let one = read(items.remove(&key));
            found.extend(keep(&self.cache, key.to_string(), now, one));
        }
        Ok(found)
    }

    /// The targets that an alarm moves: one `Query`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn by_alarm(&self, cloud: &(impl Table + Clock), alarm: &str) -> Result<Found, CloudError> {
        self.partition(cloud, alarm_partition(alarm)).await
    }

    /// The targets that take images of a repository: one `Query`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn by_repository(&self, cloud: &(impl Table + Clock), repository: &str) -> Result<Found, CloudError> {
        self.partition(cloud, repository_partition(repository)).await
    }

    /// Every target, for a sweep.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn all(&self, cloud: &(impl Table + Clock)) -> Result<Found, CloudError> {
        self.partition(cloud, TARGETS.to_owned()).await
    }

    /// Every target, as it is stored now: what is not there is taken from its target.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn all_anew(&self, cloud: &(impl Table + Clock)) -> Result<Found, CloudError> {
        self.cache.borrow_mut().clear();
        self.clusters.borrow_mut().clear();
        self.all(cloud).await
    }

    /// A cluster by its name: one `GetItem`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn cluster(&self, cloud: &(impl Table + Clock), name: &str) -> Result<FoundClusters, CloudError> {
        let key = Key::new(CLUSTERS, name);
        let cache_key = key.to_string();
        if let Some(found) = cached(&self.clusters, &cache_key, cloud.now()) {
            return Ok(found);
        }
        let item = cloud.get(TableName::Config, &key).await?;
        Ok(keep(&self.clusters, cache_key, cloud.now(), read_clusters(item)))
    }

    /// Every cluster: one `Query`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn clusters(&self, cloud: &(impl Table + Clock)) -> Result<FoundClusters, CloudError> {
        if let Some(found) = cached(&self.clusters, CLUSTERS, cloud.now()) {
            return Ok(found);
        }
        let items = cloud.query(TableName::Config, CLUSTERS).await?;
        Ok(keep(
            &self.clusters,
            CLUSTERS.to_owned(),
            cloud.now(),
            read_clusters(items),
        ))
    }

    async fn partition(&self, cloud: &(impl Table + Clock), pk: String) -> Result<Found, CloudError> {
        if let Some(found) = cached(&self.cache, &pk, cloud.now()) {
            return Ok(found);
        }
        let items = cloud.query(TableName::Config, &pk).await?;
        Ok(keep(&self.cache, pk, cloud.now(), read(items)))
    }
}

fn cached<F: Clone>(cache: &Cache<F>, key: &str, now: Timestamp) -> Option<F> {
    let cache = cache.borrow();
    let (at, found) = cache.get(key)?;
    (now.duration_since(*at) < CACHED_FOR).then(|| found.clone())
}

fn keep<F: Clone>(cache: &Cache<F>, key: String, now: Timestamp, found: F) -> F {
    let mut cache = cache.borrow_mut();
    if cache.len() >= CACHE_SIZE {
        cache.retain(|_, (at, _)| now.duration_since(*at) < CACHED_FOR);
    }
    if cache.len() < CACHE_SIZE {
        cache.insert(key, (now, found.clone()));
    }
    found
}

/// Reads items of the config table.
pub fn read(items: impl IntoIterator<Item = Item>) -> Found {
    let mut found = Found::default();
    for item in items {
        match managed(&item) {
            Ok(managed) => found.targets.push(managed),
            Err(malformed) => found.malformed.push(malformed),
        }
    }
    found
}

/// Reads items of the partition of clusters.
pub fn read_clusters(items: impl IntoIterator<Item = Item>) -> FoundClusters {
    let mut found = FoundClusters::default();
    for item in items {
        match managed_cluster(&item) {
            Ok(managed) => found.clusters.push(managed),
            Err(malformed) => found.malformed.push(malformed),
        }
    }
    found
}

fn managed(item: &Item) -> Result<Managed, Malformed> {
    let sk = sort_key(item)?;
    let target = Target::from_key(&sk).map_err(|e| malformed(item, e.to_string()))?;
    let stored: StoredTarget = attribute(item, TARGET_ATTRIBUTE)?
        .ok_or_else(|| malformed(item, format!("it has no attribute `{TARGET_ATTRIBUTE}`")))?;
    Ok(Managed { target, stored })
}

fn managed_cluster(item: &Item) -> Result<ManagedCluster, Malformed> {
    let sk = sort_key(item)?;
    let target = Target::parse(TargetKind::Cluster, &sk).map_err(|e| malformed(item, e.to_string()))?;
    let config = attribute(item, CLUSTER_ATTRIBUTE)?
        .ok_or_else(|| malformed(item, format!("it has no attribute `{CLUSTER_ATTRIBUTE}`")))?;
    let paused = attribute(item, PAUSED_ATTRIBUTE)?.unwrap_or_default();
    Ok(ManagedCluster {
        target,
        stored: StoredCluster { config, paused },
    })
}

fn sort_key(item: &Item) -> Result<String, Malformed> {
    let key = Key::of(item).ok_or_else(|| malformed(item, "it has no key".into()))?;
    Ok(key.sk)
}

fn malformed(item: &Item, reason: String) -> Malformed {
    Malformed {
        key: Key::of(item).map_or_else(|| "?".to_owned(), |key| key.to_string()),
        reason,
    }
}
