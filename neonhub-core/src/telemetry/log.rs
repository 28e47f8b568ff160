//! Log lines: redacted first, then written as JSON or for a terminal.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::levels::{Level, Levels};
use super::redact::{is_secret_field, redact};
use crate::{Clock, Error, ErrorKind, Result, SystemClock};

/// Where lines go. It sees redacted text alone.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one line, without its end.
    fn write(&self, line: &str);
}

impl<F: Fn(&str) + Send + Sync + 'static> LogSink for F {
    fn write(&self, line: &str) {
        self(line);
    }
}

/// The standard error of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl LogSink for Stderr {
    fn write(&self, line: &str) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// Writes `tracing` events as log lines: `ts`, `level`, `target`, `msg`, ids of the spans around, and the fields.
///
/// ```no_run
/// use neonhub_core::telemetry::LogLayer;
/// LogLayer::stderr().install()?;
/// # Ok::<(), neonhub_core::Error>(())
/// ```
pub struct LogLayer {
    format: LogFormat,
    levels: Arc<Levels>,
    sink: Box<dyn LogSink>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for LogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer").field("format", &self.format).finish_non_exhaustive()
    }
}

impl LogLayer {
    /// Lines on standard error: for people on a terminal, as JSON otherwise.
    #[must_use]
    pub fn stderr() -> Self {
        use std::io::IsTerminal as _;
        let format = if std::io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json };
        LogLayer::new(format, Stderr)
    }

    /// Lines of this format into this sink.
    #[must_use]
    pub fn new(format: LogFormat, sink: impl LogSink) -> Self {
        LogLayer { format, levels: Levels::global(), sink: Box::new(sink), clock: Arc::new(SystemClock) }
    }

    /// Levels other than those of the process.
    #[must_use]
    pub fn levels(mut self, levels: Arc<Levels>) -> Self {
        self.levels = levels;
        self
    }

    /// The clock of the lines. Default: that of the machine.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes it the log of this process. A host with a subscriber of its own adds the layer there instead.
    ///
    /// # Errors
    /// `Config` when the process has a subscriber.
    pub fn install(self) -> Result<()> {
        let subscriber = tracing_subscriber::Registry::default().with(self);
        tracing::subscriber::set_global_default(subscriber).map_err(|cause| {
            Error::new(
                ErrorKind::Config,
                "telemetry.log",
                "this process has a log already: add the layer to its subscriber instead",
            )
            .with_source(cause)
        })
    }
}

/// Redacted fields of a span or an event.
#[derive(Clone, Debug, Default)]
struct Fields {
    values: Map<String, Value>,
    is_fatal: bool,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        // Ids carry the same names in lines as in records.
        let name = match field.name() {
            "workspace" => "workspace_id",
            "run" => "run_id",
            "job" => "job_id",
            name => name,
        };
        let value = if is_secret_field(name) { "[redacted:field]".into() } else { value };
        self.values.insert(name.to_owned(), value);
    }

    fn text(&mut self, field: &Field, text: &str) {
        self.put(field, redact(text).into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "fatal" {
            self.is_fatal = value;
        } else {
            self.put(field, value.into());
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.into(), &value.to_string());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value.into(), &value.to_string());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }
}

impl Fields {
    /// A number may be that of a card.
    fn number(&mut self, field: &Field, value: Value, text: &str) {
        match redact(text) {
            std::borrow::Cow::Owned(redacted) => self.put(field, redacted.into()),
            std::borrow::Cow::Borrowed(_) => self.put(field, value),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Levels change while the process runs: nothing is decided for good.
        tracing::subscriber::Interest::sometimes()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let now = self.clock.now();
        let metadata = event.metadata();
        let level = Level::from(metadata.level());
        if !self.levels.allows(metadata.target(), level, now) {
            return;
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let level = if own.is_fatal { Level::Fatal } else { level };
        let msg = own.values.remove("message").unwrap_or_default();
        let mut line = Map::new();
        line.insert("ts".into(), now.to_string().into());
        line.insert("level".into(), level.word().into());
        line.insert("target".into(), metadata.target().into());
        line.insert("msg".into(), msg);
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(fields) = span.extensions().get::<Fields>() {
                    line.extend(fields.values.clone());
                }
            }
        }
        line.extend(own.values);
        self.sink.write(&match self.format {
            LogFormat::Json => Value::Object(line).to_string(),
            LogFormat::Pretty => pretty(&line),
        });
    }
}

/// `2026-11-21T09:00:00Z INFO target: message key=value`.
fn pretty(line: &Map<String, Value>) -> String {
    use fmt::Write as _;
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = text("level").to_ascii_uppercase();
    let mut out = format!("{} {level:5} {}: {}", text("ts"), text("target"), text("msg"));
    for (name, value) in line.iter().filter(|(n, _)| !matches!(n.as_str(), "ts" | "level" | "target" | "msg"))
    {
        // Writing to text does not fail.
        let _ = match value {
            Value::String(text) => write!(out, " {name}={text}"),
            other => write!(out, " {name}={other}"),
        };
    }
    // A line stays one line.
    out.replace(['\n', '\r'], " ")
}
