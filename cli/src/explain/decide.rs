//! What would be done for one target: the same deciders and guards as the functions, over the facts that are there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use wharfinger_core::config::stored::{Managed, Registry};
use wharfinger_core::delivery::{self, Compiled, Repository, rule_key};
use wharfinger_core::discovery;
use wharfinger_core::event::{AlarmState, AlarmStateChange, Envelope, ImageAction, TaskStateChange};
use wharfinger_core::guard::{Guard, Removes};
use wharfinger_core::ids::TargetKind;
use wharfinger_core::known::Known;
use wharfinger_core::report::{Code, Decision, Effect, Outcome, Reason};
use wharfinger_core::scaling::{self, AlarmFacts};

use super::facts::Answers;

/// A call that would be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Call {
    /// The AWS operation.
    pub call: &'static str,
    /// Its request.
    pub input: Value,
}

/// What takes the place of an id that is not known, with the name and a brace behind it.
const STAND_IN: &str = "${ListServices:";

/// What is known besides the event and the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// What AWS answered.
    pub answers: &'a Answers,
    /// Whether the configuration is from a file, in which names stand for ids.
    pub offline: bool,
    /// Our owner mark.
    pub owner: &'a str,
    /// The time.
    pub now: Timestamp,
}

impl Context<'_> {
    /// A task changed.
    pub(super) fn task(&self, mut managed: Managed, event: &TaskStateChange) -> anyhow::Result<Decision<Call>> {
        let mut task = event.clone();
        let described = self.answers.task(&task.task_arn)?;
        let looked_up = matches!(described, Known::Yes(_));
        if let Known::Yes(Some(described)) = described {
            if described.version > task.version {
                let message = format!(
                    "version {} is older than {}, which ECS knows by now",
                    task.version, described.version
                );
                return Ok(stale(message));
            }
            if described.version == task.version {
                task = described;
            }
        }
        self.resolve(&mut managed);
        let facts = discovery::Facts {
            looked_up,
            ..discovery::Facts::of(managed, task, self.owner)
        };
        let mut decision = self.guarded("discovery", &facts.managed, discovery::decide(&facts));
        let stood_in = |call: &Call| {
            call.input["ServiceId"]
                .as_str()
                .is_some_and(|id| id.starts_with(STAND_IN))
        };
        if decision.actions.iter().any(stood_in) {
            decision.missing.extend(["ListNamespaces", "ListServices"]);
        }
        Ok(decision)
    }

    /// Gives each registry that is named its id. Offline, where the answers do not tell it, a stand-in with its name takes
    /// the id's place, so that the rest of the call can be told. In the config table `apply` has resolved the names.
    fn resolve(&self, managed: &mut Managed) {
        let stored = &mut managed.stored;
        for entry in &stored.config.discovery {
            if stored.registry(&entry.to).is_some() {
                continue;
            }
            let id = match self.answers.registry(&entry.to) {
                Known::Yes(id) => id,
                Known::No => self.offline.then(|| format!("{STAND_IN}{}}}", entry.to)),
            };
            stored
                .registries
                .extend(id.map(|id| (entry.to.clone(), Registry::of(id))));
        }
    }

    /// An alarm changed its state.
    pub(super) fn alarm(&self, managed: &Managed, event: &AlarmStateChange) -> anyhow::Result<Decision<Call>> {
        let Some(scaling) = managed.stored.config.scaling.clone() else {
            let message = format!("{} is configured, but not for scaling", managed.target);
            return Ok(Decision::without_calls(
                Outcome::Ignore,
                Reason::new(Code::NotConfigured, message),
            ));
        };
        let mut alarms = BTreeMap::new();
        for name in managed.stored.alarms() {
            let described = self.answers.alarm(name)?;
            let facts = if name == event.alarm_name {
                match self.newest(event, described) {
                    Ok(facts) => Some(facts),
                    Err(message) => return Ok(stale(message)),
                }
            } else {
                described.map(|state| AlarmFacts::described(Some(state), self.now))
            };
            alarms.extend(facts.map(|facts| (name.to_owned(), facts)));
        }
        let facts = scaling::Facts {
            target: managed.target.clone(),
            scaling,
            service: self.answers.service(&managed.target)?,
            alarms,
            memory: scaling::Memory::default(),
        };
        let decided = scaling::decide(&facts, self.now);
        Ok(self.guarded("scaling", managed, decided.decision))
    }

    /// What is known of the alarm that the event is about: what `DescribeAlarms` says, unless the event is later.
    fn newest(&self, event: &AlarmStateChange, described: Option<AlarmState>) -> Result<AlarmFacts, String> {
        let state = &event.state;
        match described {
            Some(later) if later.timestamp > state.timestamp && later.value != state.value => Err(format!(
                "the state of {} since {} is older than the one since {}, which CloudWatch knows by now",
                event.alarm_name, state.timestamp, later.timestamp
            )),
            Some(mut described) if described.timestamp >= state.timestamp => {
                // The event may carry what the answer leaves out.
                if described.timestamp == state.timestamp {
                    described.reading = described.reading.or(state.reading);
                    described.muted |= state.muted;
                }
                Ok(AlarmFacts::described(Some(described), self.now))
            }
            _ => Ok(AlarmFacts::told(state.clone())),
        }
    }

    /// Something was done with an image.
    pub(super) fn image(
        &self,
        managed: &Managed,
        envelope: &Envelope,
        event: &ImageAction,
    ) -> anyhow::Result<Decision<Call>> {
        let facts = self.delivery_facts(managed, envelope)?;
        let decided = delivery::decide_push(envelope, event, &facts, self.now);
        Ok(self.guarded("delivery", managed, decided.decision))
    }

    /// A deployment moved: what waited for it may go on.
    pub(super) fn deployment(&self, managed: &Managed, envelope: &Envelope) -> anyhow::Result<Decision<Call>> {
        let facts = self.delivery_facts(managed, envelope)?;
        let decided = delivery::decide(&facts, self.now);
        Ok(self.guarded("delivery", managed, decided.decision))
    }

    fn delivery_facts(&self, managed: &Managed, envelope: &Envelope) -> anyhow::Result<delivery::Facts> {
        let target = &managed.target;
        let (account, region) = (envelope.account.clone(), envelope.region.clone());
        let rules = managed.stored.config.delivery.clone();
        let mut wishes = BTreeMap::new();
        for rule in &rules {
            // A rule that cannot be read is told by the decider.
            let Ok(repository) = Repository::configured(&rule.repository, &account, &region) else {
                continue;
            };
            let Ok(policy) = Compiled::new(&rule.tags) else {
                continue;
            };
            let pushed = self.answers.images(&repository.path)?;
            wishes.extend(policy.best(&pushed).map(|wish| (rule_key(rule), wish.clone())));
        }
        let service = match target.kind {
            TargetKind::Service => self.answers.service(target)?,
            TargetKind::Task => Known::Yes(None),
        };
        let mut facts = delivery::Facts {
            target: target.clone(),
            rules,
            account,
            region,
            wishes,
            service,
            definition: Known::No,
            linger: delivery::Linger::of(&managed.stored.config),
            linger_asked: None,
            memory: delivery::Memory::default(),
        };
        if let Some(name) = facts.base_name() {
            facts.definition = self.answers.task_definition(name);
        }
        Ok(facts)
    }

    fn guarded<A: Effect + Removes>(&self, domain: &str, managed: &Managed, decision: Decision<A>) -> Decision<Call> {
        let guard = Guard {
            domain,
            stored: &managed.stored,
            now: self.now,
            removals: usize::MAX,
        };
        guard.filter(decision).map(|action| Call {
            call: action.call(),
            input: action.input(),
        })
    }
}

fn stale(message: String) -> Decision<Call> {
    Decision::without_calls(Outcome::Stale, Reason::new(Code::StaleEvent, message))
}
