//! Why, in one word.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Why, in one word: stable, for alerts and searches. AWS's own codes where they exist.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code, for the reference.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

codes! {
    // Any domain.
    /// The configuration has no such target, cluster, alarm or repository, and none of its clusters such an instance.
    NotManaged,
    /// The target is configured, but not for this domain.
    NotConfigured,
    /// The target's configuration cannot be read.
    ConfigMalformed,
    /// The event cannot be used.
    EventRejected,
    /// Something newer was merged before.
    StaleEvent,
    /// The same was merged and dealt with before.
    DuplicateEvent,
    /// The target or its domain is paused.
    Paused,
    /// A fact that is needed is not known.
    FactsMissing,
    /// Another invocation writes on this service.
    LeaseHeld,
    /// The budget of one pass is used up.
    BudgetSpent,
    /// It does not carry our owner mark.
    NotOurs,

    // Capacity: instances.
    /// The instance goes: its tasks are placed elsewhere first.
    InstanceDrains,
    /// The instance is drained, and not all of its tasks have left it.
    TasksLeft,
    /// No task is left on the instance: its group may go on.
    InstanceEmpty,
    /// The deadline is reached: the group may go on, whatever still runs.
    DeadlineReached,
    /// The group waits for nothing any more: the lifecycle action is over.
    HookOver,
    /// The group waited without an event, and the instance is gone before the hook was completed from here.
    HookTimedOut,
    /// The lifecycle hook is not among those of the configuration.
    HookNotOurs,
    /// The group only tries its notifications.
    TestNotification,
    /// The instance comes, or no cause is left for it to go.
    NothingGoes,
    /// The instance stays after all: it takes tasks again.
    InstanceReturns,
    /// The instance has left the cluster.
    InstanceNotRegistered,
    /// What it tells comes by another event too, or asks for nothing.
    ToldOtherwise,
    /// ECS drains the instance itself: its capacity provider has managed draining.
    ManagedDraining,
    /// A service does not let its tasks leave: its minimum and maximum are both 100 percent.
    DrainBlocked,
    /// Tasks that no service started are stopped.
    StandaloneStopped,
    /// Tasks that no service started stay until they end, or the instance does.
    StandaloneLeft,
    /// A rebalance recommendation, which the configuration ignores.
    RebalanceIgnored,
    /// A scheduled change of the instance, which the configuration ignores.
    MaintenanceIgnored,
    /// A scheduled change of the instance that is not near yet.
    MaintenanceLater,
    /// What AWS Health tells is no scheduled change of an instance.
    NotMaintenance,
    /// The agent is disconnected for long.
    AgentDisconnected,
    /// The instance is drained and given up: its group replaces it.
    InstanceReplaced,
    /// As many instances as may be are being replaced.
    ReplacementPaced,
    /// More than half of the cluster is disconnected: no instance is to blame.
    ClusterDisconnected,
    /// Dry run: the calls are said and not made.
    DryRun,

    // Discovery and balancing.
    /// The task runs: its endpoints join.
    TaskJoins,
    /// The task leaves: its endpoints leave first.
    TaskLeaves,
    /// The task is on its way up.
    TaskStarting,
    /// The task leaves and had not joined.
    NeverJoined,
    /// The task leaves, and its endpoints have left already.
    AlreadyLeft,
    /// Its endpoints are what they should be.
    AlreadyRegistered,
    /// The registered endpoint is no longer what is wanted.
    EndpointChanged,
    /// The task's health is not HEALTHY yet.
    NotHealthy,
    /// The task has no address of the wanted kind.
    NoAddress,
    /// No container has that name, or several have the port.
    NoContainer,
    /// The registry's id is not known: the name was not resolved when the configuration was applied.
    RegistryUnresolved,
    /// The registry's DNS records need what the endpoint does not have.
    RegistryMismatch,
    /// The target group's ARN is not known: the name was not resolved when the configuration was applied.
    TargetGroupUnresolved,
    /// The targets of the group cannot be tasks.
    TargetGroupMismatch,
    /// Another task has the address and port.
    AddressTaken,
    /// An attribute is longer than Cloud Map takes, or all of them are.
    AttributeTooLong,
    /// An endpoint was there whose task is gone.
    GhostEndpoint,
    /// The owner cannot be proved gone yet.
    OwnerUnknown,
    /// The instance that the task runs on drains: its endpoints leave, and do not join.
    HostDraining,
    /// The instance drains, but no other endpoint of the target is elsewhere: it stays.
    LastEndpoint,

    // Scaling.
    /// A rule wants more tasks.
    ScaleOut,
    /// A rule wants fewer tasks; they go only when every rule that speaks does.
    ScaleIn,
    /// The count is at `max` (Application Auto Scaling).
    AlreadyAtMaxCapacity,
    /// The count is at `min` (Application Auto Scaling).
    AlreadyAtMinCapacity,
    /// The count is what the rules want (Application Auto Scaling).
    AlreadyAtDesiredCapacity,
    /// The cooldown after the last change has not passed.
    Cooldown,
    /// The alarm is not in ALARM.
    AlarmNotActive,
    /// The alarm has no data: no wish, and no scale-in by others.
    InsufficientData,
    /// The alarm's actions are muted or suppressed.
    AlarmMuted,
    /// The alarm says no value that the rule could use.
    NoReading,
    /// The value was used before, or is older than the last change.
    StaleReading,
    /// The value is within the tolerance of its target.
    WithinTolerance,
    /// No step covers the value.
    NoStep,
    /// A rule does not agree to fewer tasks.
    ScaleInBlocked,
    /// Someone set the count to 0: maintenance.
    Maintenance,
    /// Someone else changed the count.
    ForeignChange,
    /// A change whose outcome was not known is finished.
    IntentResumed,
    /// The alarm does not exist.
    AlarmNotFound,
    /// The service does not exist, or is not ACTIVE.
    ServiceNotFound,
    /// Application Auto Scaling moves the count: it is left alone.
    ManagedByApplicationAutoScaling,
    /// The queue does not exist.
    QueueNotFound,
    /// The queue has too few messages to start the first task.
    BelowActivation,
    /// The queue has no message, and is not idle for long enough.
    QueueIdle,
    /// A wish has not lasted for as long as `stabilise` asks.
    Stabilising,
    /// The change of this period is used up.
    RateLimited,
    /// An entry of the schedule gives other bounds: the count moves into them.
    ScheduledBounds,
    /// A temporary override gives other bounds: the count moves into them.
    OverriddenBounds,
    /// The configuration gives other bounds: the count moves into them.
    ConfiguredBounds,
    /// Tasks are on their way up: none are added before they run, for a while.
    TasksPending,
    /// Tasks cannot be placed or do not start: none are added.
    TasksUnplaceable,
    /// With fewer tasks a rule would at once ask for more (Application Auto Scaling).
    AutoScalingAnticipatedFlapping,

    // Delivery.
    /// A wanted image is rolled out.
    RolloutStarts,
    /// The service runs the image already.
    AlreadyDeployed,
    /// The event is no successful push.
    NotAPush,
    /// What was pushed is no container image, but a signature, an attestation or another artifact.
    NotAnImage,
    /// The push carries no tag.
    Untagged,
    /// The tag is not wanted.
    TagNotWanted,
    /// A wanted image is newer, or higher by the policy.
    Superseded,
    /// A deployment is in progress.
    DeploymentInProgress,
    /// A deployment has been in progress for longer than it may.
    DeploymentTimedOut,
    /// The deployment controller is not ECS's own.
    UnsupportedController,
    /// No container takes an image of this repository.
    NoMatchingContainer,
    /// The task definition does not exist.
    TaskDefinitionNotFound,
    /// The image was rolled out, and the service went back to an older revision: it is not rolled out again.
    RolledBack,
    /// The registered revision differs in more than was asked for.
    RevisionDiffers,
    /// What an image may wait for moved; none waits for it.
    NothingWaiting,
    /// The push is younger than `mature` asks.
    Maturing,
    /// Rollouts may not begin now: a freeze, or outside of what is allowed.
    WindowClosed,
    /// The scan of the image is not finished.
    ScanPending,
    /// The scan found what the rule blocks.
    ScanBlocked,
    /// There is no scan that tells what is in the image.
    ScanMissing,
    /// The service that `after` names has not proved the image.
    NotProved,
    /// It has, and not for as long as `bake` asks.
    Baking,
    /// A wave before this one has not proved the image.
    WaveWaits,
    /// The image failed in a wave before this one.
    WaveHalted,
    /// Someone must agree to the image first.
    ApprovalNeeded,
    /// The image cannot be pulled: it is archived, or gone.
    ImageUnavailable,
    /// The rate of calls that AWS allows leaves no room now.
    Paced,
    /// ECS carries the rollout out.
    RolloutInProgress,
    /// Every task that is wanted runs the image.
    RolloutSucceeded,
    /// The rollout does not come up, or the service has left it.
    RolloutFailed,
    /// The service is sent back to the revision before.
    RollingBack,
    /// A person asked for an earlier revision or image.
    RollbackStarts,
    /// It cannot be gone back to.
    RollbackRefused,
    /// Someone deployed a newer revision without the image that was out.
    Drifted,
    /// Someone registered a newer revision of the family than the service runs.
    NewerRevision,
    /// What runs the family on a schedule moves to its new revision.
    ScheduleFollows,
    /// What runs the family on a schedule stays as it is.
    ScheduleLeft,
    /// The image is for other platforms than the tasks run on.
    PlatformMismatch,
    /// The side container that lets tasks linger is added, changed or taken out.
    LingerChanges,
    /// The task definition has the side container that `drain` asks for.
    AlreadyLingers,
    /// The task definition cannot take the side container.
    LingerRefused,
    /// The platform stops a container sooner than `drain.linger` asks.
    LingerShortened,

    // Stops, placement and Spot.
    /// A task has stopped: why, and what may help.
    TaskStopped,
    /// The tasks of one revision stop again and again.
    CrashLoop,
    /// They no longer do.
    CrashLoopOver,
    /// No task is known to lack a place, or it lacks what no instance gives.
    NothingUnplaced,
    /// Tasks find no place: an Auto Scaling group grows.
    CapacityRaised,
    /// ECS moves the group's desired capacity itself.
    ManagedScaling,
    /// There is no such Auto Scaling group.
    GroupNotFound,
    /// Spot has no room, and not for as long as `after` asks.
    SpotShort,
    /// Tasks run elsewhere while Spot has no room.
    FallbackStarts,
    /// They stay there: Spot has not had room for as long as `return-after` asks.
    FallbackHolds,
    /// They come back to Spot.
    FallbackReturns,
    /// The service does not run on Spot: what it lacks is no Spot.
    NotOnSpot,

    // Storage.
    /// A snapshot of a task's volume is made.
    SnapshotDue,
    /// The newest snapshot is younger than `every`.
    SnapshotFresh,
    /// The data of a snapshot is still copied, or EC2 may not show it yet.
    SnapshotPending,
    /// A snapshot is completed: there is a newer recovery point.
    SnapshotSucceeded,
    /// A snapshot came to nothing.
    SnapshotFailed,
    /// A snapshot stays although `keep` does not count it: something refers to it.
    SnapshotHeld,
    /// A snapshot is removed: `keep` does not count it, and nothing refers to it.
    SnapshotPruned,
    /// Snapshots of ours of a volume that is not configured: they stay.
    StrangeSnapshot,
    /// Volumes that ECS made are attached to nothing for long.
    OrphanFound,
    /// A snapshot of such a volume is made, or waited for: it comes before the removal.
    OrphanSnapshot,
    /// Such a volume is removed: the snapshot of it is completed.
    OrphanRemoved,
    /// Such a volume stays: a task names it, or EC2 says that it is in use.
    OrphanKept,
    /// No volume that ECS made is attached to nothing for long.
    NoOrphans,
    /// The service has several tasks, each with a volume of its own: which would be the one to keep?
    PerTaskState,
    /// No running task has an EBS volume of that name.
    NoVolume,
    /// A person asked for it: the service begins anew with a snapshot.
    RestoreStarts,
    /// A volume begins with its newest snapshot.
    RestoreNewest,
    /// There is no completed snapshot that a volume could begin with.
    NothingToRestore,
    /// A volume cannot begin with its snapshot.
    RestoreRefused,
    /// A stateful task runs.
    IdentityRuns,
    /// A stateful task is started.
    IdentityStarts,
    /// A stateful task starts, stops, or is to be started later.
    IdentityWaits,
    /// A stateful task does not go on before a person does something.
    IdentityStuck,
    /// The volume of a stateful task that is over is in a completed snapshot: it is removed.
    VolumeSaved,
    /// The volume of a stateful task that is over is not there, and no snapshot was made of it.
    VolumeGone,
    /// An access point of EFS is made.
    AccessPointStarts,
    /// EFS still makes an access point, or may not show it yet.
    AccessPointPending,
    /// There is the access point that is configured: the next revision mounts through it.
    AccessPointReady,
    /// A rollout waits for an access point that is not there yet.
    AccessPointMissing,
    /// An access point cannot be made, or not be put into a revision.
    AccessPointRefused,
    /// A revision mounts a volume through its access point.
    AccessPointMounted,
    /// Access points of ours that nothing configured wants any more: they stay, and so does their data.
    UnusedAccessPoint,
}

impl Code {
    /// Whether what it is said of does not go on before a person does something.
    #[must_use]
    pub const fn needs_someone(self) -> bool {
        matches!(
            self,
            Self::ConfigMalformed
                | Self::ServiceNotFound
                | Self::AlarmNotFound
                | Self::QueueNotFound
                | Self::ManagedByApplicationAutoScaling
                | Self::UnsupportedController
                | Self::NoMatchingContainer
                | Self::TaskDefinitionNotFound
                | Self::NotAnImage
                | Self::ImageUnavailable
                | Self::PlatformMismatch
                | Self::RolledBack
                | Self::RevisionDiffers
                | Self::Drifted
                | Self::IdentityStuck
                | Self::VolumeGone
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
