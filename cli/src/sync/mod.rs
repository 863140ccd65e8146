//! `wharfinger sync [TARGET]`: the sweeps of discovery, balancing and capacity, now.

mod follow;
mod report;
#[cfg(test)]
pub(crate) mod tests;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::ports::{Answered, Clock, Functions};
use wharfinger_cloud::table::TableName;
use wharfinger_core::ids::{Target, TargetKind};

use crate::args::Global;
use crate::output::{Verdict, show, warning};
use crate::{cloud, holds, table};

pub(crate) use follow::{Moves, SETTLED, follow};
pub(crate) use report::{Outcome, Report, Swept};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `cluster/service`, `cluster/family`, or a cluster; without it all that is configured.
    #[arg(value_parser = crate::history::any_target)]
    target: Option<Target>,
    /// Only say what would be done. Capacity is left out: `dry-run` of a cluster has it say every step.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    named: Named,
    /// The capacity function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_CAPACITY_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    capacity_function: Option<String>,
}

impl Args {
    /// Whose sweeps are asked for: clusters have only capacity.
    fn domains(&self) -> Vec<Domain> {
        let cluster = self
            .target
            .as_ref()
            .is_some_and(|target| target.kind == TargetKind::Cluster);
        let domains = Domain::ALL.into_iter().filter(|domain| match domain {
            Domain::Discovery | Domain::Balancing => !cluster,
            Domain::Capacity => !self.dry_run,
        });
        domains.collect()
    }

    fn named(&self) -> Named {
        Named {
            capacity_function: self.capacity_function.clone(),
            ..self.named.clone()
        }
    }
}

/// The functions, where they are not the stack's.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the options are called so")]
pub(crate) struct Named {
    /// The discovery function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_DISCOVERY_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    discovery_function: Option<String>,
    /// The balancing function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_BALANCING_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    balancing_function: Option<String>,
    /// Only `sync` asks it.
    #[arg(skip)]
    capacity_function: Option<String>,
}

/// A domain whose function sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Domain {
    /// AWS Cloud Map.
    Discovery,
    /// Target groups.
    Balancing,
    /// Clusters, and services with a fallback.
    Capacity,
}

impl Domain {
    /// All of them.
    const ALL: [Self; 3] = [Self::Discovery, Self::Balancing, Self::Capacity];
    /// Those that sweep endpoints.
    pub(crate) const ENDPOINTS: [Self; 2] = [Self::Discovery, Self::Balancing];

    /// As it is written in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Balancing => "balancing",
            Self::Capacity => "capacity",
        }
    }

    /// The stack's output that names its function.
    const fn output(self) -> &'static str {
        match self {
            Self::Discovery => "DiscoveryFunctionName",
            Self::Balancing => "BalancingFunctionName",
            Self::Capacity => "CapacityFunctionName",
        }
    }
}

/// A function that can be invoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// What it sweeps.
    pub domain: Domain,
    /// Its name or ARN.
    pub name: String,
}

impl Named {
    fn of(&self, domain: Domain) -> Option<&String> {
        let given = match domain {
            Domain::Discovery => &self.discovery_function,
            Domain::Balancing => &self.balancing_function,
            Domain::Capacity => &self.capacity_function,
        };
        given.as_ref().filter(|name| !name.is_empty())
    }

    /// The functions of these domains, as the options or the stack name them. One that an older stack lacks is told.
    pub(crate) async fn find(&self, aws: &Aws, stack: &str, domains: &[Domain]) -> anyhow::Result<Vec<Function>> {
        let outputs = if domains.iter().all(|domain| self.of(*domain).is_some()) {
            std::collections::BTreeMap::new()
        } else {
            aws.stack_outputs(stack).await.with_context(|| {
                format!(
                    "the functions of the stack `{stack}` cannot be found: deploy it, name another with --stack, \
                     or name the functions with WHARFINGER_DISCOVERY_FUNCTION, WHARFINGER_BALANCING_FUNCTION and \
                     WHARFINGER_CAPACITY_FUNCTION"
                )
            })?
        };
        let mut found = Vec::new();
        for domain in domains {
            match self.of(*domain).or_else(|| outputs.get(domain.output())) {
                Some(name) => found.push(Function {
                    domain: *domain,
                    name: name.clone(),
                }),
                None => warning(format_args!(
                    "the stack `{stack}` has no output `{}`: its {} function cannot be invoked; deploy it anew",
                    domain.output(),
                    domain.name()
                )),
            }
        }
        Ok(found)
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> anyhow::Result<Verdict> {
    let domains = args.domains();
    if domains.is_empty() {
        bail!("a sweep of capacity has no dry run: set `dry-run: true` of the cluster, and every step is only said");
    }
    let report = cloud::block_on(async {
        if let Some(target) = &args.target
            && !is_configured(global, target).await
        {
            return Ok(None);
        }
        let aws = cloud::open().await?;
        let functions = args.named().find(&aws, &global.stack, &domains).await?;
        if functions.is_empty() {
            bail!(
                "the stack `{}` has no such function: is it a stack of Wharfinger?",
                global.stack
            );
        }
        Ok(Some(sweep(&aws, &functions, args.target.as_ref(), args.dry_run).await))
    })?;
    let Some(report) = report else {
        return Ok(Verdict::Found);
    };
    show(global.output, &report)?;
    if report.reached_nothing() {
        bail!("no function could be invoked");
    }
    Ok(report.verdict())
}

/// Whether there is such a target; where there is none, that is told. Who may invoke the functions need not be one who
/// may read the table: that it cannot be told stops nobody.
async fn is_configured(global: &Global, target: &Target) -> bool {
    let current = async {
        let aws = cloud::connect(global, &[TableName::Config]).await?;
        table::read(&aws).await
    };
    match current.await {
        Ok(current) => holds::is_configured(&current, target),
        Err(error) => {
            warning(format_args!("whether {target} is configured cannot be told: {error:#}"));
            true
        }
    }
}

/// Lets each function sweep, one after the other.
pub(crate) async fn sweep(
    cloud: &(impl Functions + Clock),
    functions: &[Function],
    target: Option<&Target>,
    dry_run: bool,
) -> Report {
    let event = event(cloud, target, dry_run);
    let mut swept = Vec::new();
    for Function { domain, name } in functions {
        let outcome = match cloud.invoke(name, &event).await {
            Ok(Answered::Done(answer)) => Outcome::of(*domain, answer),
            Ok(Answered::Failed { kind, message }) => Outcome::Failed { kind, message },
            Err(error) => Outcome::NotInvoked(error.to_string()),
        };
        swept.push(Swept {
            domain: *domain,
            function: name.clone(),
            outcome,
        });
    }
    Report {
        target: target.map(ToString::to_string),
        dry_run,
        swept,
    }
}

/// The event of a schedule, for less than everything.
pub(crate) fn event(clock: &impl Clock, target: Option<&Target>, dry_run: bool) -> Value {
    let now = clock.now();
    let mut detail = Map::new();
    if let Some(target) = target {
        detail.insert("target".to_owned(), json!(target.to_string()));
    }
    if dry_run {
        detail.insert("dry-run".to_owned(), json!(true));
    }
    json!({
        "version": "0", "id": format!("sync-{}", now.as_millisecond()), "detail-type": "Scheduled Event",
        "source": "wharfinger", "time": now, "resources": [], "detail": detail,
    })
}
