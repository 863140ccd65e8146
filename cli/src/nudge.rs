//! Has a function look at a target at once, when what people ask of it was stored.

use anyhow::Context;
use wharfinger_cloud::aws::Aws;
use wharfinger_cloud::ports::{Answered, Clock, Functions};
use wharfinger_core::ids::Target;

use crate::output::{note, warning};
use crate::sync::{SETTLED, event};

/// A function that is asked.
pub(crate) struct Asked {
    /// Its domain.
    domain: &'static str,
    /// The stack's output that names it.
    output: &'static str,
    /// The environment variable that names another.
    variable: &'static str,
}

const DELIVERY: Asked = Asked {
    domain: "delivery",
    output: "DeliveryFunctionName",
    variable: "WHARFINGER_DELIVERY_FUNCTION",
};

/// The storage function.
pub(crate) const STORAGE: Asked = Asked {
    domain: "storage",
    output: "StorageFunctionName",
    variable: "WHARFINGER_STORAGE_FUNCTION",
};

/// How the function is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Nudge {
    /// Do not have delivery look at the target at once: its next look does.
    #[arg(long)]
    no_sync: bool,
    /// The delivery function, instead of the stack's.
    #[arg(
        long,
        env = "WHARFINGER_DELIVERY_FUNCTION",
        hide_env_values = true,
        value_name = "NAME"
    )]
    delivery_function: Option<String>,
}

impl Nudge {
    /// Has the function look, unless that is not wanted. What stands in the way is told: its next look does it.
    pub(crate) async fn ask(&self, aws: &Aws, stack: &str, target: &Target) {
        if self.no_sync {
            return;
        }
        DELIVERY
            .ask(aws, stack, target, self.delivery_function.as_deref())
            .await;
    }
}

impl Asked {
    /// Has the function look: the given one, or the stack's. What stands in the way is told: its next look does it.
    pub(crate) async fn ask(&self, aws: &Aws, stack: &str, target: &Target, given: Option<&str>) {
        let result = match self.function(aws, stack, given).await {
            Ok(function) => look(aws, &function, target).await,
            Err(error) => Err(format!("{error:#}")),
        };
        let domain = self.domain;
        match result {
            Ok(()) => note(format_args!(
                "the {domain} function has looked at {target}; if it still had the configuration before, it goes on by \
                 itself within a minute or so"
            )),
            Err(why) => warning(format_args!(
                "{domain} does not look at {target} at once, but at its next looks, in 5 minutes at most: {why}"
            )),
        }
    }

    async fn function(&self, aws: &Aws, stack: &str, given: Option<&str>) -> anyhow::Result<String> {
        if let Some(given) = given.filter(|name| !name.is_empty()) {
            return Ok(given.to_owned());
        }
        let Self {
            domain,
            output,
            variable,
        } = self;
        let outputs = aws.stack_outputs(stack).await.with_context(|| {
            format!(
                "the {domain} function of the stack `{stack}` cannot be found: name another with --stack, or the function \
                 with {variable}"
            )
        })?;
        let name = outputs.get(*output).cloned();
        name.with_context(|| format!("the stack `{stack}` has no output `{output}`: deploy it anew"))
    }
}

/// One look of a function at a target; why it did not go through.
pub(crate) async fn look(cloud: &(impl Functions + Clock), function: &str, target: &Target) -> Result<(), String> {
    cloud.sleep(SETTLED).await;
    match cloud.invoke(function, &event(cloud, Some(target), false)).await {
        Ok(Answered::Done(_)) => Ok(()),
        Ok(Answered::Failed { kind, message }) => Err(format!("it failed ({kind}): {message}")),
        Err(error) => Err(format!("it could not be invoked: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sync::tests::Fake;

    #[tokio::test]
    async fn the_function_is_asked_like_a_sweep_of_one_target() {
        let failed = Answered::Failed {
            kind: "Partly".into(),
            message: "no".into(),
        };
        let fake = Fake::new(&[("good", Answered::Done(Value::Null)), ("bad", failed)]);
        let target = Target::service("prod", "web");
        assert_eq!(look(&fake, "good", &target).await, Ok(()));
        let (name, asked) = fake.asked.borrow()[0].clone();
        assert_eq!(
            (name.as_str(), &asked["detail"], &asked["detail-type"]),
            ("good", &json!({ "target": "prod/web" }), &json!("Scheduled Event"))
        );
        assert_eq!(fake.slept.get(), SETTLED);
        assert_eq!(look(&fake, "bad", &target).await, Err("it failed (Partly): no".into()));
        let error = look(&fake, "none", &target).await.unwrap_err();
        assert!(error.starts_with("it could not be invoked: "), "{error}");
    }
}
