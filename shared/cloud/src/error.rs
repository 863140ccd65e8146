//! What goes wrong outside, and what it means for the invocation.

use wharfinger_core::event::Rejected;

/// What kind of failure a call met: what decides whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The account's rate is used up, or too many write the same at once.
    Throttled,
    /// No answer in time; the effect may have happened.
    TimedOut,
    /// The service failed, or could not be reached; the effect may have happened.
    Unavailable,
    /// What was named does not exist.
    NotFound,
    /// A quota is used up: room must be made first, so whoever also has something to remove removes it and calls again.
    Full,
    /// The role may not do it.
    Denied,
    /// The request was refused: trying again cannot help.
    Invalid,
    /// The answer could not be read.
    Unreadable,
}

/// A call to AWS that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed ({kind:?}{}): {message}", code.as_deref().map(|c| format!(", {c}")).unwrap_or_default())]
pub struct CloudError {
    /// The AWS operation.
    pub operation: &'static str,
    /// What kind of failure.
    pub kind: Kind,
    /// AWS's own code, where there is one.
    pub code: Option<String>,
    /// AWS's own words, or ours.
    pub message: String,
}

impl CloudError {
    /// An error without a code of AWS's.
    pub fn new(operation: &'static str, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            operation,
            kind,
            code: None,
            message: message.into(),
        }
    }

    /// What a code of AWS's means.
    ///
    /// Codes that several services share (Common errors in each API reference, and the throttling codes that the SDKs
    /// know), and otherwise the HTTP status. One error has two codes: the query protocol writes `TargetGroupNotFound` for
    /// what the SDKs call `TargetGroupNotFoundException` (smithy: `awsQueryError`).
    #[must_use]
    pub fn classify(code: Option<&str>, status: Option<u16>) -> Kind {
        let code = code.unwrap_or_default();
        match (code.strip_suffix("Exception").unwrap_or(code), status) {
            (
                "Throttling"
                | "Throttled"
                | "EC2Throttled"
                | "RequestThrottled"
                | "TooManyRequests"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "PriorRequestNotComplete"
                | "ProvisionedThroughputExceeded"
                // DynamoDB API reference, `TransactWriteItems`: others write the same items, or why it was cancelled.
                | "TransactionConflict"
                | "TransactionInProgress"
                // EventBridge API reference, `PutTargets`: others write the same rule.
                | "ConcurrentModification"
                // Auto Scaling API reference, `SetDesiredCapacity`: others write the same group.
                | "ResourceContention"
                | "ScalingActivityInProgress"
                | "ThrottlingError",
                _,
            )
            | (_, Some(429)) => Kind::Throttled,
            ("AccessDenied" | "UnauthorizedOperation" | "NotAuthorized", _) | (_, Some(401 | 403)) => Kind::Denied,
            // ELBv2 API reference, `RegisterTargets`; Cloud Map API reference, `RegisterInstance`.
            // EC2 API reference, error codes.
            (
                "TooManyTargets"
                | "TooManyRegistrationsForTargetId"
                | "ResourceLimitExceeded"
                | "SnapshotLimitExceeded",
                _,
            ) => Kind::Full,
            (
                "ServiceNotFound"
                | "ClusterNotFound"
                | "InstanceNotFound"
                | "NamespaceNotFound"
                | "OperationNotFound"
                | "RepositoryNotFound"
                | "ImageNotFound"
                | "LayersNotFound"
                | "LayerInaccessible"
                | "ScanNotFound"
                | "TargetGroupNotFound"
                | "InvalidInstanceID.NotFound"
                | "InvalidNetworkInterfaceID.NotFound"
                | "InvalidSnapshot.NotFound"
                | "InvalidVolume.NotFound"
                | "ResourceNotFound"
                | "QueueDoesNotExist"
                | "AWS.SimpleQueueService.NonExistentQueue",
                _,
            )
            | (_, Some(404)) => Kind::NotFound,
            // A success that could not be read, or a redirection.
            (_, Some(status)) if status < 400 => Kind::Unreadable,
            (_, Some(status)) if status >= 500 => Kind::Unavailable,
            (_, Some(_)) => Kind::Invalid,
            (_, None) => Kind::Unavailable,
        }
    }

    /// Whether the same call may do better later, with nothing done in between.
    ///
    /// Not [`Kind::Full`]: waiting makes no room. Registering before removing keeps a group from being empty, but where it
    /// is full it never gets past the first step (kubernetes/cloud-provider-aws #1328), so there the removals come first and
    /// the call is made once more after them.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            Kind::Throttled | Kind::TimedOut | Kind::Unavailable | Kind::Unreadable
        )
    }
}

/// Why an invocation failed. It is returned as the function's error: Lambda tries again, then the event goes to the
/// dead-letter queue, and the queue's alarm fires.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A call failed.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The event cannot be used: it goes to the queue, where a person finds it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The world moved on each time we looked.
    #[error("{subject}: after {rounds} rounds the world still moves; the next attempt goes on")]
    Unsettled {
        /// What was converged on.
        subject: String,
        /// How often.
        rounds: usize,
    },
    /// The lease on a service was taken over: nothing more may be called.
    #[error("the lease `{key}` was taken over by {holder}; the next attempt goes on")]
    LeaseLost {
        /// The service's item.
        key: String,
        /// Who has it now.
        holder: String,
    },
    /// What is ours to store could not be turned into an item.
    #[error("{what} cannot be stored: {reason}")]
    Unstorable {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// What names of the configuration meant when it was applied is not there any more, though it may be under a new id.
    #[error("{what}, which is configured for {targets}, is gone: `wharfinger apply` looks its name up anew ({error})")]
    Gone {
        /// The id or ARN.
        what: String,
        /// The targets.
        targets: String,
        /// What AWS said.
        error: CloudError,
    },
    /// Parts of a sweep failed; the others went through.
    #[error("{failed} of {of} parts of the sweep failed; the first: {first}")]
    Partly {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
        /// The first failure.
        first: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_under_both_of_its_codes() {
        for (name, kind) in [
            ("Throttling", Kind::Throttled),
            ("TransactionConflict", Kind::Throttled),
            ("TransactionInProgress", Kind::Throttled),
            ("AccessDenied", Kind::Denied),
            ("TargetGroupNotFound", Kind::NotFound),
            ("ClusterNotFound", Kind::NotFound),
            ("TooManyTargets", Kind::Full),
            ("TooManyRegistrationsForTargetId", Kind::Full),
            ("InvalidTarget", Kind::Invalid),
        ] {
            assert_eq!(CloudError::classify(Some(name), Some(400)), kind, "{name}");
            let long = format!("{name}Exception");
            assert_eq!(CloudError::classify(Some(&long), Some(400)), kind, "{long}");
        }
    }

    #[test]
    fn codes_without_a_second_form_are_known() {
        let kind = |code| CloudError::classify(Some(code), Some(400));
        assert_eq!(kind("ResourceLimitExceeded"), Kind::Full);
        assert_eq!(kind("RequestLimitExceeded"), Kind::Throttled);
        assert_eq!(kind("InvalidInstanceID.NotFound"), Kind::NotFound);
        assert_eq!(kind("InvalidSnapshot.NotFound"), Kind::NotFound);
        assert_eq!(kind("InvalidVolume.NotFound"), Kind::NotFound);
        assert_eq!(kind("SnapshotLimitExceeded"), Kind::Full);
        assert_eq!(kind("Exception"), Kind::Invalid);
    }

    #[test]
    fn waiting_makes_no_room() {
        assert!(!CloudError::new("RegisterTargets", Kind::Full, "").is_transient());
    }
}
