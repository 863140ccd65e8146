//! What must hold of every order that a function gives about instances, and of every look that ends well.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use wharfinger_cloud::lease::service_key;
use wharfinger_cloud::table::as_text;
use wharfinger_cloud::world::{Change, Order, World};
use wharfinger_core::capacity::{InstanceStatus, State};
use wharfinger_core::ids::{Target, TargetKind};

use super::Hosts;
use super::book::{Book, CLOCKS, Ended, by_arn};
use super::plan::{AT_MOST, DEADLINE};
use crate::simulation::bus::{Domain, Parcel, is_sweep};
use crate::simulation::checks::Violation;
use crate::simulation::history::History;
use crate::simulation::invocation::TIMEOUT;
use crate::simulation::scenario::CLUSTER;

/// How long a function may not know of a change of the configuration.
const LEARNS: SignedDuration = SignedDuration::from_secs(100);

/// A heartbeat is due at a look so long after the last: the function's 45 seconds, and what clocks differ.
const BEAT: SignedDuration = SignedDuration::from_secs(50);

fn must(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(what())) }
}

impl Hosts {
    /// Whether capacity is to leave everything alone, as far as it knows.
    fn is_held(&self, at: Timestamp) -> bool {
        let paused = self
            .pause
            .is_some_and(|(from, until)| from <= at && at <= until + LEARNS);
        self.rule.dry || paused
    }

    /// Whether capacity knows that it is to leave everything alone.
    fn is_surely_held(&self, at: Timestamp) -> bool {
        let paused = self
            .pause
            .is_some_and(|(from, until)| from + LEARNS <= at && at + CLOCKS <= until);
        self.rule.dry || paused
    }

    /// An order that was given just now.
    fn ordered(&mut self, world: &World, at: Timestamp, caller: &Rc<str>, order: &Order) -> Result<(), Violation> {
        must(!self.is_surely_held(at), || {
            format!("{caller} orders {order:?} in a dry run or a pause")
        })?;
        let holder = holder(world);
        must(holder == Some(&**caller), || {
            format!("{caller} orders {order:?}, and the lease is held by {holder:?}")
        })?;
        match order {
            Order::State(arns, state) => self.book.state(world, at, arns, *state),
            Order::StopTask(task) => self.stops(world, at, task),
            Order::Heartbeat(id) => {
                if let Some(action) = self.book.open(id) {
                    action.beat = at;
                }
                Ok(())
            }
            Order::Complete(id, left) => self.book.completes(world, at, caller, id, *left),
            Order::Unhealthy(id) => self.book.gives_up(world, at, id),
            Order::Capacity(group, _) => must(false, || format!("{group} is to grow, which nothing asks for")),
        }
    }

    /// Only what no service moves is stopped, where that is configured, and on what goes.
    fn stops(&mut self, world: &World, at: Timestamp, task: &str) -> Result<(), Violation> {
        self.book.numbers.standalone += 1;
        let task = world.tasks.get(task);
        let placed = task.and_then(|task| by_arn(world, &task.placement.as_ref()?.container_instance));
        let goes = placed.is_some_and(|machine| self.book.goes(&machine.id, at));
        let standalone = task.is_some_and(|task| task.target.kind == TargetKind::Task);
        must(self.rule.standalone && standalone && goes, || {
            format!("{task:?} is stopped without need")
        })
    }
}

impl Book {
    fn state(&mut self, world: &World, at: Timestamp, arns: &[String], state: State) -> Result<(), Violation> {
        for id in arns.iter().filter_map(|arn| Some(&by_arn(world, arn)?.id)) {
            match state {
                State::Draining => {
                    self.numbers.drained += 1;
                    must(self.goes(id, at), || {
                        format!("{id} is drained, and nothing asks for it to go")
                    })?;
                }
                State::Active => {
                    self.numbers.returned += 1;
                    must(!self.by_hand.contains(id), || {
                        format!("{id} is ACTIVE, and somebody had drained it")
                    })?;
                    must(!self.is_asked(id, at - LEARNS), || {
                        format!("{id} is ACTIVE, and it goes")
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Nothing is completed before all that go by what its caller knew are drained, nor before its instance is empty or the
    /// time is over.
    fn completes(
        &mut self,
        world: &World,
        at: Timestamp,
        caller: &Rc<str>,
        id: &str,
        left: usize,
    ) -> Result<(), Violation> {
        let known = self.looks.get(caller.as_ref());
        let known = known.map(|look| (look.at, look.going.clone())).unwrap_or_default();
        for other in &known.1 {
            must(!self.is_missed(world, other, known.0), || {
                format!("{caller} lets {id} go, and {other}, of which it knew that it goes, is ACTIVE")
            })?;
        }
        self.completed.push((at, Rc::clone(caller), id.to_owned(), left));
        let Some(action) = self.open(id) else {
            return Err(Violation::new(format!("{id} is let go twice")));
        };
        action.ended = Some((at, Ended::Completed(left)));
        let lasted = at.duration_since(action.since);
        must(left == 0 || lasted + CLOCKS >= DEADLINE, || {
            format!("{id} is let go with {left} tasks after {lasted}")
        })
    }

    /// Whether an instance that was known to go takes tasks.
    fn is_missed(&self, world: &World, id: &str, at: Timestamp) -> bool {
        let machine = world.machine(id);
        let active = machine.is_some_and(|(_, machine)| machine.status == InstanceStatus::Active);
        active && self.is_asked(id, at)
    }

    fn gives_up(&mut self, world: &World, at: Timestamp, id: &str) -> Result<(), Violation> {
        self.numbers.given_up += 1;
        must(self.is_dead(id, at), || {
            format!("{id} is given up, and its agent was there lately")
        })?;
        let all = world
            .fleet
            .machines
            .values()
            .filter(|machine| !machine.status.is_gone());
        let most = (all.count() * AT_MOST / 100).max(1);
        let members = world.fleet.groups.values().flat_map(|group| &group.members);
        let begun = members.filter(|(_, member)| member.unhealthy).count();
        self.numbers.at_once = self.numbers.at_once.max(begun as u64);
        must(begun <= most, || {
            format!("{begun} instances are replaced at a time, {most} may be")
        })
    }

    /// A look ended well: what it knew must have been dealt with.
    fn looked(&self, world: &World, name: &str) -> Result<(), Violation> {
        let Some(look) = self.looks.get(name) else {
            return Ok(());
        };
        for id in &look.going {
            must(!self.is_missed(world, id, look.at), || {
                format!("{name} ended well, and {id}, of which it knew that it goes, is ACTIVE")
            })?;
        }
        let open = self.actions.iter().filter(|action| action.ended.is_none());
        for action in open.filter(|action| action.known.is_some_and(|known| known <= look.at)) {
            let id = &action.id;
            must(action.empty.is_none_or(|at| at + CLOCKS > look.at), || {
                format!("{name} ended well, and {id} waits, empty since {:?}", action.empty)
            })?;
            must(action.since + DEADLINE + CLOCKS > look.at, || {
                format!("{name} ended well, and {id} waits since {}", action.since)
            })?;
            must(action.beat + BEAT > look.at, || {
                format!("{name} ended well, and {id} has had no heartbeat since {}", action.beat)
            })?;
        }
        Ok(())
    }
}

impl History {
    /// An invocation ended.
    pub(in super::super) fn answered(&mut self, name: &str, parcel: &Parcel, deadline: Timestamp, ok: bool) {
        let (began, now) = (deadline - TIMEOUT, self.now());
        let held = self.hosts.is_held(now);
        let world = self.world.borrow();
        let hosts = &mut self.hosts;
        match parcel.to {
            Domain::Capacity if ok => {
                hosts.book.look_at_actions(&world);
                if !held && let Err(violation) = hosts.book.looked(&world, name) {
                    hosts.book.violation.get_or_insert(violation);
                }
                if !held {
                    hosts.book.learns(name);
                }
                // Whoever died with the lease keeps the others from looking for a minute and a half.
                let kind = parcel.event.get("detail-type");
                let free = hosts.book.looks.contains_key(name) || holder(&world).is_none();
                if free && kind.is_some_and(|kind| kind == "Scheduled Event") {
                    hosts.book.passes.push(began);
                }
            }
            Domain::Capacity => drop(hosts.book.failed.insert(name.to_owned())),
            domain if ok && is_sweep(&parcel.event) => hosts.places.swept(domain, began),
            _ => {}
        }
        hosts.book.looks.remove(name);
    }

    /// After everything that happens in a history of instances.
    pub(in super::super) fn look_at_hosts(&mut self) -> Result<(), Violation> {
        let mut world = self.world.borrow_mut();
        for did in std::mem::take(&mut world.journal) {
            match did.change {
                Change::Register { .. } => self.tally.change("RegisterInstance"),
                Change::Deregister { .. } => self.tally.change("DeregisterInstance"),
                Change::RegisterTargets { targets, .. } => {
                    self.tally.changes("RegisterTargets: targets", targets.len());
                }
                Change::DeregisterTargets { targets, .. } => {
                    self.tally.changes("DeregisterTargets: targets", targets.len());
                }
                _ => {}
            }
        }
        let orders = std::mem::take(&mut world.fleet.orders);
        drop(world);
        let world = self.world.borrow();
        for (at, caller, order) in &orders {
            self.tally.change(name(order));
            self.hosts.ordered(&world, *at, caller, order)?;
        }
        match self.hosts.book.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }
}

/// Who holds the cluster's lease.
pub(super) fn holder(world: &World) -> Option<&str> {
    let key = service_key(&Target::of_cluster(CLUSTER));
    as_text(world.tables.state.get(&key)?, "holder")
}

fn name(order: &Order) -> &'static str {
    match order {
        Order::State(_, State::Draining) => "UpdateContainerInstancesState: DRAINING",
        Order::State(_, State::Active) => "UpdateContainerInstancesState: ACTIVE",
        Order::StopTask(_) => "StopTask",
        Order::Heartbeat(_) => "RecordLifecycleActionHeartbeat",
        Order::Complete(..) => "CompleteLifecycleAction",
        Order::Unhealthy(_) => "SetInstanceHealth",
        Order::Capacity(..) => "SetDesiredCapacity",
    }
}
