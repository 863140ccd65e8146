//! The classes of reasons for which a task stops.

use serde::{Deserialize, Serialize};

/// What a stop speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// The revision: what runs in it, or what its definition names. An earlier one may do better.
    Revision,
    /// What is around it: the same would befall any revision.
    Surroundings,
    /// Nothing: it was meant so, or its host went.
    Nobody,
}

macro_rules! classes {
    ($(#[doc = $what:literal] $name:ident, $blame:ident, $remedy:literal;)+) => {
        /// Why a task stopped, in one word: stable, for metrics and searches.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Class {
            $(#[doc = $what] $name,)+
        }

        impl Class {
            /// Every class, for the reference.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The same as half a sentence.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what.trim(),)+
                }
            }

            /// What it speaks against.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self {
                    $(Self::$name => Blame::$blame,)+
                }
            }

            /// What a person may do about it, in a line; empty where there is nothing to be done.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)+
                }
            }
        }
    };
}

classes! {
    /// the image or its repository is not there
    ImageNotFound, Revision, "push the image, or correct its name, tag or digest in the task definition";
    /// the registry denies the image
    ImageDenied, Revision, "let the task execution role (on EC2 the instance role) pull it, or give `repositoryCredentials`";
    /// the registry's rate of pulls is used up
    ImageRateLimited, Surroundings, "authenticate the pulls, or use a pull-through cache of ECR";
    /// the registry cannot be reached
    ImageUnreachable, Surroundings, "give the subnets a way to the registry: a NAT gateway, a public address, or VPC endpoints of ECR and S3";
    /// the image cannot be pulled
    ImageNotPulled, Revision, "read the text: the image may be broken, or of a format that the agent does not know";
    /// there is no room for the image on the disk
    DiskFull, Surroundings, "raise `ephemeralStorage` or the instances' volume, or clean up old images and logs";
    /// the image is for another platform
    PlatformMismatch, Revision, "build the image for the task's `runtimePlatform`, or as a manifest list for all of them";
    /// a container needed more memory than it may have
    OutOfMemory, Revision, "raise `memory` of the container or the task, or find what takes it";
    /// the health check of a container failed
    ContainerUnhealthy, Revision, "see the container's log; its `healthCheck` may need a longer `startPeriod`";
    /// the health check of the load balancer failed
    TargetUnhealthy, Revision, "check path, port and security group of the health check, and `healthCheckGracePeriodSeconds`";
    /// an essential container exited
    Exited, Revision, "see the container's log: a service's container must not end";
    /// a container could not be started
    NotStarted, Revision, "read the text: `command`, `entryPoint`, a device or a port does not fit";
    /// a secret or parameter is not there
    SecretMissing, Revision, "create the secret or parameter, with the JSON key and version that `secrets` names";
    /// a secret or parameter is denied
    SecretDenied, Revision, "let the task execution role read it, and decrypt with its KMS key";
    /// the log group cannot be written
    LogsFailed, Revision, "create the log group, or let the task execution role create it and write to it";
    /// a volume cannot be mounted
    VolumeFailed, Revision, "check that the file system and its path are there, their security group (2049) and the task role";
    /// what the task needs to begin cannot be reached
    NetworkUnreachable, Surroundings, "give the subnets a way to the AWS APIs: a NAT gateway, a public address, or VPC endpoints";
    /// AWS lets no more calls through
    Throttled, Surroundings, "start fewer tasks at once, or ask for a higher quota";
    /// there is no network interface or address left for it
    NetworkInterface, Surroundings, "use larger or more subnets; on EC2 mind the instances' limit of interfaces (`awsvpcTrunking`)";
    /// there is no capacity
    NoCapacity, Surroundings, "try other Availability Zones or sizes, or a fallback from Spot";
    /// it failed to start
    FailedToStart, Revision, "read the text, and the reasons of its containers";
    /// its host went
    HostGone, Nobody, "ECS starts it elsewhere; where hosts go often, have them drained";
    /// its host is drained
    Draining, Nobody, "";
    /// Spot took its capacity back
    SpotInterrupted, Nobody, "";
    /// AWS maintains what it ran on
    Maintenance, Nobody, "";
    /// ECS took it away: fewer were wanted, or a deployment replaced it
    ScaledIn, Nobody, "";
    /// someone stopped it
    ByUser, Nobody, "";
    /// it stopped for a reason that is not known here
    Unknown, Nobody, "read the text";
}
