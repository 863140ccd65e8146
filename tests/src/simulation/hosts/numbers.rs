//! What histories of instances were made of.

use std::collections::BTreeMap;
use std::fmt;

/// Numbers of one such history, or of many.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// Histories.
    pub histories: u64,
    /// Instances that they began with.
    pub instances: u64,
    /// Tasks that they began with.
    pub tasks: u64,
    /// Calls, by operation.
    pub calls: BTreeMap<&'static str, u64>,
    /// Instances that were drained.
    pub drained: u64,
    /// Instances that returned.
    pub returned: u64,
    /// Dead hosts that were given up.
    pub given_up: u64,
    /// How many at a time at most.
    pub at_once: u64,
    /// Lifecycle actions.
    pub hooks: u64,
    /// Those that were completed with an empty instance.
    pub empty: u64,
    /// Those that were completed at the deadline, and were reported.
    pub deadline: u64,
    /// Those that timed out, their event being lost, and passes too.
    pub timed_out: u64,
    /// Those whose instance was taken while they waited.
    pub taken: u64,
    /// The longest, in seconds.
    pub longest_hook: u64,
    /// Tasks of services that ECS moved.
    pub moved: u64,
    /// Those of them that were moved to an instance of which a look had known that it goes.
    pub twice: u64,
    /// Standalone tasks that were stopped.
    pub standalone: u64,
    /// Tasks that died with their instance, and why.
    pub died: BTreeMap<&'static str, u64>,
    /// Endpoints that pointed at an instance that was gone, for a moment.
    pub outlived: u64,
    /// For how long at most, in seconds.
    pub longest_endpoint: u64,
    /// Those that did in the end.
    pub at_gone: u64,
    /// Endpoints that left an instance that drained.
    pub left: u64,
}

impl Numbers {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.instances += other.instances;
        self.tasks += other.tasks;
        for (call, n) in &other.calls {
            *self.calls.entry(call).or_default() += n;
        }
        for (why, n) in &other.died {
            *self.died.entry(why).or_default() += n;
        }
        self.drained += other.drained;
        self.returned += other.returned;
        self.given_up += other.given_up;
        self.at_once = self.at_once.max(other.at_once);
        self.hooks += other.hooks;
        self.empty += other.empty;
        self.deadline += other.deadline;
        self.timed_out += other.timed_out;
        self.taken += other.taken;
        self.longest_hook = self.longest_hook.max(other.longest_hook);
        self.moved += other.moved;
        self.twice += other.twice;
        self.standalone += other.standalone;
        self.outlived += other.outlived;
        self.longest_endpoint = self.longest_endpoint.max(other.longest_endpoint);
        self.at_gone += other.at_gone;
        self.left += other.left;
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            (self.instances, "instances at the beginning"),
            (self.tasks, "tasks at the beginning"),
            (self.drained, "instances drained"),
            (self.returned, "instances that returned"),
            (self.given_up, "dead hosts given up"),
            (self.at_once, "of them at a time, at most"),
            (self.hooks, "lifecycle actions"),
            (self.empty, "of them completed with an empty instance"),
            (self.deadline, "of them completed at the deadline and reported"),
            (self.timed_out, "of them timed out, no look having come through"),
            (self.taken, "of them whose instance was taken meanwhile"),
            (self.longest_hook, "seconds that the longest one waited"),
            (self.moved, "tasks of services moved"),
            (self.twice, "of them to an instance of which it was known that it goes"),
            (self.standalone, "standalone tasks stopped"),
            (self.left, "endpoints that left an instance while it drained"),
            (self.outlived, "endpoints that outlived their instance"),
            (self.longest_endpoint, "seconds that one did at most"),
            (self.at_gone, "endpoints at instances that are gone, in the end"),
        ];
        writeln!(f, "clusters         {:>12}", self.histories)?;
        for (n, what) in lines {
            writeln!(f, "                 {n:>12}   {what}")?;
        }
        writeln!(f, "tasks that died  {:>12}", self.died.values().sum::<u64>())?;
        for (why, n) in &self.died {
            writeln!(f, "                 {n:>12}   {why}")?;
        }
        writeln!(f, "calls by name    {:>12}", self.calls.values().sum::<u64>())?;
        for (call, n) in &self.calls {
            writeln!(f, "                 {n:>12}   {call}")?;
        }
        Ok(())
    }
}
