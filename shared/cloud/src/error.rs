//! What goes wrong outside, and what it means for the invocation.

use wharfinger_core::event::Rejected;

/// What kind of failure a call met: what decides whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The account's rate is used up.
    Throttled,
    /// No answer in time; the effect may have happened.
    TimedOut,
    /// The service failed, or could not be reached; the effect may have happened.
    Unavailable,
    /// What was named does not exist.
    NotFound,
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
    /// know), and otherwise the HTTP status.
    #[must_use]
    pub fn classify(code: Option<&str>, status: Option<u16>) -> Kind {
        match (code.unwrap_or_default(), status) {
            (
                "ThrottlingException"
                | "Throttling"
                | "ThrottledException"
                | "RequestThrottledException"
                | "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "PriorRequestNotComplete"
                | "ProvisionedThroughputExceededException",
                _,
            )
            | (_, Some(429)) => Kind::Throttled,
            ("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized", _)
            | (_, Some(401 | 403)) => Kind::Denied,
            (
                "ServiceNotFoundException"
                | "ClusterNotFoundException"
                | "InstanceNotFound"
                | "ServiceNotFound"
                | "NamespaceNotFound"
                | "OperationNotFound"
                | "RepositoryNotFoundException"
                | "ImageNotFoundException"
                | "ResourceNotFoundException"
                | "ResourceNotFound",
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

    /// Whether the same call may do better later.
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
