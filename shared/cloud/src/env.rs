//! The one place that reads the environment; every missing variable is reported at once.

/// What a function reads from its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// The config table's name.
    pub config_table: String,
    /// The state table's name.
    pub state_table: String,
    /// Our owner mark: the stack's name.
    pub owner: String,
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: tracing::Level,
    /// The function's own name, for the metrics.
    pub function: String,
}

/// The environment is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is not complete: {}", .0.join("; "))]
pub struct EnvError(pub Vec<String>);

impl Env {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every variable that is missing or cannot be read.
    pub fn load() -> Result<Self, EnvError> {
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        Self::from(|name| std::env::var(name).ok())
    }

    /// Reads from anywhere.
    ///
    /// # Errors
    /// Names every variable that is missing or cannot be read.
    pub fn from(read: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let mut problems = Vec::new();
        let mut needed = |name: &str| {
            read(name).filter(|v| !v.is_empty()).unwrap_or_else(|| {
                problems.push(format!("{name} is missing"));
                String::new()
            })
        };
        let env = Self {
            config_table: needed("WHARFINGER_CONFIG_TABLE"),
            state_table: needed("WHARFINGER_STATE_TABLE"),
            owner: needed("WHARFINGER_OWNER"),
            log_level: tracing::Level::INFO,
            function: read("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
        };
        let level = read("WHARFINGER_LOG").unwrap_or_else(|| "info".into());
        let log_level = level.parse().unwrap_or_else(|_| {
            problems.push(format!(
                "WHARFINGER_LOG is `{level}`; it can be error, warn, info, debug or trace"
            ));
            tracing::Level::INFO
        });
        if problems.is_empty() {
            Ok(Self { log_level, ..env })
        } else {
            Err(EnvError(problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_at_once() {
        let error = Env::from(|name| (name == "WHARFINGER_LOG").then(|| "loud".to_owned())).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
        assert!(
            error.to_string().contains("WHARFINGER_STATE_TABLE is missing"),
            "{error}"
        );
        assert!(error.to_string().contains("`loud`"), "{error}");
    }

    #[test]
    fn a_complete_environment_is_read() {
        let env = Env::from(|name| name.starts_with("WHARFINGER").then(|| "debug".to_owned())).unwrap();
        assert_eq!(env.log_level, tracing::Level::DEBUG);
        assert_eq!(env.owner, "debug");
    }
}
