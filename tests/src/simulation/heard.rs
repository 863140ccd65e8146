//! What the functions tell: decisions for the trace, and malformed items for the checks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::LazyLock;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

thread_local! {
    static HEARD: RefCell<Heard> = RefCell::default();
    static TALKATIVE: Cell<bool> = const { Cell::new(false) };
}

/// One ear for all threads: each new one makes every callsite ask anew who listens.
static EAR: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry().with(Ear)));

/// What was told since it was last taken.
#[derive(Debug, Default)]
pub struct Heard {
    /// The keys of items that were reported as malformed.
    pub malformed: Vec<String>,
    /// Decisions, warnings and errors, as lines.
    pub lines: Vec<String>,
}

/// Takes what was heard on this thread.
pub fn take() -> Heard {
    HEARD.with(RefCell::take)
}

/// Runs with an ear on this thread: lines are kept only when `talkative`.
pub fn listening<T>(talkative: bool, run: impl FnOnce() -> T) -> T {
    take();
    TALKATIVE.set(talkative);
    dispatcher::with_default(&EAR, run)
}

struct Ear;

impl<S: Subscriber> Layer<S> for Ear {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // It differs from thread to thread.
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = if TALKATIVE.get() { Level::INFO } else { Level::ERROR };
        *metadata.level() <= level && metadata.target().starts_with("wharfinger")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        HEARD.with_borrow_mut(|heard| {
            if line.message.contains("malformed") {
                heard.malformed.extend(line.key.clone());
            }
            if TALKATIVE.get() {
                heard.lines.push(format!("{}{}", line.message, line.fields));
            }
        });
    }
}

#[derive(Default)]
struct Line {
    message: String,
    key: Option<String>,
    fields: String,
}

impl Line {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            // What the trace says anyway, or what says nothing here.
            "domain" | "latency_ms" => {}
            name => {
                if name == "key" {
                    self.key = Some(value.clone());
                }
                self.fields.extend(["  ", name, "=", &value]);
            }
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}
