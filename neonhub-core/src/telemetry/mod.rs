//! Telemetry: metrics, traces and logs. Nothing leaves the process unless the host takes it out.
//!
//! - **Metrics** are counted where things happen and given as Prometheus text 0.0.4 by `telemetry.metrics`. Labels
//!   come from closed sets, and no metric grows beyond 1,000 series.
//! - **Traces** are projected from the logs of runs, so that a crash loses none: `telemetry.trace`. W3C trace context
//!   comes in with [`CallOptions::trace`](crate::op::CallOptions::trace) and goes out with
//!   [`Scope::trace`](crate::Scope::trace), and as `traceparent` to providers of models ([`outgoing`]).
//! - **Logs** are `tracing` events. [`LogLayer`] writes them as JSON lines or for a terminal, redacted before any
//!   sink sees them. The library installs no subscriber by itself.

mod capped;
mod context;
mod errors;
mod levels;
mod log;
mod metered;
mod metrics;
mod names;
mod ops;
mod panics;
mod redact;
mod spans;

use crate::op::{Entry, entry};

pub use context::{TraceContext, outgoing};
pub use errors::{ErrorReport, ErrorSink};
pub use levels::{Level, Levels};
pub use log::{LogFormat, LogLayer, LogSink, Stderr};
pub(crate) use metered::Metered;
pub use metrics::{SERIES_LIMIT, Telemetry};
pub use names::{GENAI_VERSION, GenAi, GenAiNames};
pub use ops::{ReadMetrics, ReadTrace, SetLevel};
pub(crate) use panics::{guard as guard_panics, hushed};
pub(crate) use redact::redact_values;
pub use redact::{is_secret_field, redact};
pub use spans::{Span, SpanStatus, Trace};

/// Operations of telemetry.
pub static CATALOGUE: &[Entry] = &[entry::<ReadMetrics>(), entry::<ReadTrace>(), entry::<SetLevel>()];

#[cfg(test)]
mod exposition;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod outgoing_tests;
#[cfg(test)]
pub(crate) mod tests;
