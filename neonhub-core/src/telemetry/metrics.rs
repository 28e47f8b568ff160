//! The metrics of a hub, by their exact names.

use std::time::Duration;

use prometheus::{Registry, TextEncoder};

use super::capped::{Counter, Gauge, Histogram};
use super::names::GenAiNames;
use crate::llm::Usage;
use crate::{Error, Result};

/// Most series of one metric.
// Rule of the runtime, section 11.1.
pub const SERIES_LIMIT: usize = 1000;

/// Buckets of durations, in seconds.
// Our choice (rule of the runtime, section 11.1): from a store read to a long run.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Buckets of model calls, in seconds: .01 doubling to 81.92.
// OpenTelemetry semantic conventions for generative AI, 2026.
const MODEL_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Buckets of tokens per call: powers of four.
// OpenTelemetry semantic conventions for generative AI, `gen_ai.client.token.usage`, 2025.
const TOKEN_BUCKETS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

macro_rules! families {
    ($($field:ident: $kind:ident<$n:literal> = $name:literal, $help:literal, [$($label:literal),*] $(, $buckets:expr)?;)+) => {
        /// The metrics of one hub. Counting costs well under a microsecond and never fails.
        #[derive(Debug)]
        pub struct Telemetry {
            registry: Registry,
            /// The histogram that older dashboards read, where the host asked for it.
            token_usage: Option<Histogram<4>>,
            $($field: $kind<$n>,)+
        }

        /// Every name, for the test that holds them to the list.
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$($name),+];

        impl Telemetry {
            fn make(names: GenAiNames) -> prometheus::Result<Self> {
                let registry = Registry::new();
                let token_usage = match names {
                    GenAiNames::Current => None,
                    GenAiNames::WithPrevious => Some(Histogram::new(
                        &registry,
                        "gen_ai_client_token_usage",
                        "Tokens of model calls by type.",
                        ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_type"],
                        TOKEN_BUCKETS,
                    )?),
                };
                Ok(Telemetry {
                    token_usage,
                    $($field: $kind::new(&registry, $name, $help, [$($label),*] $(, $buckets)?)?,)+
                    registry,
                })
            }
        }
    };
}

families! {
    runs: Counter<3> = "agent_runs_total", "Agent runs that ended.", ["agent", "status", "intent"];
    run_seconds: Histogram<2> = "agent_run_duration_seconds", "Time from start to end of agent runs.", ["agent", "status"], BUCKETS;
    trips: Counter<1> = "circuit_breaker_failures_total", "Circuit breakers that opened.", ["target"];
    limited: Counter<1> = "rate_limit_hits_total", "Calls refused by a rate limit.", ["bucket"];
    http: Counter<3> = "http_requests_total", "Requests to the HTTP host.", ["method", "path", "status"];
    http_seconds: Histogram<3> = "http_request_duration_seconds", "Time of requests to the HTTP host.", ["method", "path", "status"], BUCKETS;
    sockets: Gauge<0> = "websocket_connections_active", "Open stream subscriptions.", [];
    queries: Histogram<2> = "database_query_duration_seconds", "Time of store calls.", ["kind", "op"], BUCKETS;
    queue_size: Gauge<2> = "job_queue_size", "Jobs by queue and state.", ["queue", "state"];
    jobs: Histogram<2> = "job_processing_duration_seconds", "Time of job handlers.", ["queue", "outcome"], BUCKETS;
    pending: Gauge<1> = "queue_jobs_pending", "Jobs that wait or are due.", ["queue"];
    tokens: Counter<3> = "neonhub_model_tokens_total", "Tokens of model calls.", ["provider", "model", "kind"];
    cost: Counter<3> = "neonhub_model_cost_micros_total", "Cost of model calls in millionths of the currency.", ["provider", "model", "currency"];
    verdicts: Counter<3> = "neonhub_gate_verdicts_total", "Verdicts of the send gate.", ["channel", "verdict", "rule"];
    effects: Counter<3> = "neonhub_effects_total", "Tool calls of agent runs by outcome.", ["tool", "class", "outcome"];
    lag: Gauge<1> = "neonhub_projection_lag", "Commits a projection has still to read.", ["projection"];
    health: Gauge<1> = "neonhub_health_state", "0 healthy, 1 degraded, 2 unhealthy.", ["component"];
    model_seconds: Histogram<4> = "gen_ai_client_operation_duration_seconds", "Time of model calls.", ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_response_model", "error_type"], MODEL_BUCKETS;
    first_chunk: Histogram<2> = "gen_ai_client_operation_time_to_first_chunk_seconds", "Time until a model began to answer.", ["gen_ai_provider_name", "gen_ai_response_model"], MODEL_BUCKETS;
    input_tokens: Counter<3> = "gen_ai_client_inference_usage_input_tokens_total", "Input tokens, cached ones included.", ["gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_modality"];
    output_tokens: Counter<3> = "gen_ai_client_inference_usage_output_tokens_total", "Output tokens, reasoning included.", ["gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_modality"];
    cache_read_tokens: Counter<3> = "gen_ai_client_inference_usage_cache_read_input_tokens_total", "Input tokens read from a cache.", ["gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_modality"];
    cache_write_tokens: Counter<3> = "gen_ai_client_inference_usage_cache_write_input_tokens_total", "Input tokens written to a cache.", ["gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_modality"];
    reasoning_tokens: Counter<3> = "gen_ai_client_inference_usage_reasoning_output_tokens_total", "Output tokens of reasoning.", ["gen_ai_provider_name", "gen_ai_response_model", "gen_ai_token_modality"];
    agent_seconds: Histogram<2> = "gen_ai_invoke_agent_duration_seconds", "Time of agent runs.", ["gen_ai_agent_name", "error_type"], MODEL_BUCKETS;
    tool_seconds: Histogram<2> = "gen_ai_execute_tool_duration_seconds", "Time of tool calls of agent runs.", ["gen_ai_tool_name", "error_type"], MODEL_BUCKETS;
}

impl Telemetry {
    pub(crate) fn new(names: GenAiNames) -> Result<Self> {
        Self::make(names).map_err(|cause| Error::internal("telemetry", cause))
    }

    /// A run ended. `error` is the code of its failure, or empty.
    pub(crate) fn run_ended(&self, agent: &str, status: &str, intent: &str, took: Duration, error: &str) {
        self.runs.add([agent, status, intent], 1);
        self.run_seconds.observe([agent, status], took.as_secs_f64());
        self.agent_seconds.observe([agent, error], took.as_secs_f64());
    }

    /// A circuit breaker opened.
    pub fn breaker_tripped(&self, target: &str) {
        self.trips.add([target], 1);
    }

    /// A call was refused by a rate limit.
    pub fn rate_limited(&self, bucket: &str) {
        self.limited.add([bucket], 1);
    }

    /// The HTTP host answered a request. `route` is the template, never the path itself.
    pub fn http_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.http.add([method, route, &status], 1);
        self.http_seconds.observe([method, route, &status], took.as_secs_f64());
    }

    pub(crate) fn streams(&self, by: i64) {
        self.sockets.add([], by);
    }

    /// A call of the store took so long.
    pub(crate) fn queried(&self, kind: &str, op: &str, took: Duration) {
        self.queries.observe([kind, op], took.as_secs_f64());
    }

    pub(super) fn queue_depth(&self, queue: &str, state: &str, jobs: u64) {
        self.queue_size.set([queue, state], signed(jobs));
    }

    pub(super) fn queue_pending(&self, queue: &str, jobs: u64) {
        self.pending.set([queue], signed(jobs));
    }

    /// A handler worked jobs of a queue; `outcome` is `done`, `later` or `failed`.
    pub fn job_done(&self, queue: &str, outcome: &str, took: Duration) {
        self.jobs.observe([queue, outcome], took.as_secs_f64());
    }

    /// A model began to answer.
    pub(super) fn model_began(&self, provider: &str, model: &str, took: Duration) {
        self.first_chunk.observe([provider, model], took.as_secs_f64());
    }

    /// A model call ended. `error` is the code of its failure, or empty.
    pub(super) fn model_ended(&self, provider: &str, model: &str, error: &str, took: Duration) {
        self.model_seconds.observe(["chat", provider, model, error], took.as_secs_f64());
    }

    /// A model call used tokens.
    pub(super) fn model_used(&self, provider: &str, model: &str, usage: &Usage) {
        let kinds = [
            ("input", usage.input_uncached),
            ("cache_read", usage.input_cache_read),
            ("cache_write", usage.input_cache_write),
            ("output", usage.output_visible),
            ("reasoning", usage.output_reasoning),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, n)| *n > 0) {
            self.tokens.add([provider, model, kind], tokens);
        }
        let labels = [provider, model, "text"];
        self.input_tokens
            .add(labels, usage.input_uncached + usage.input_cache_read + usage.input_cache_write);
        self.output_tokens.add(labels, usage.output_visible + usage.output_reasoning);
        self.cache_read_tokens.add(labels, usage.input_cache_read);
        self.cache_write_tokens.add(labels, usage.input_cache_write);
        self.reasoning_tokens.add(labels, usage.output_reasoning);
        if let Some(histogram) = &self.token_usage {
            let input = usage.input_uncached + usage.input_cache_read + usage.input_cache_write;
            let output = usage.output_visible + usage.output_reasoning;
            for (kind, tokens) in [("input", input), ("output", output)] {
                // Counts of tokens are far below 2^53.
                #[allow(clippy::cast_precision_loss, reason = "see above")]
                histogram.observe(["chat", provider, model, kind], tokens as f64);
            }
        }
    }

    /// A model call cost this much, in millionths of the currency.
    pub fn model_cost(&self, provider: &str, model: &str, currency: &str, micros: u64) {
        self.cost.add([provider, model, currency], micros);
    }

    /// The gate judged a message; `rule` is the one that decided, or empty.
    pub(crate) fn judged(&self, channel: &str, verdict: &str, rule: &str) {
        self.verdicts.add([channel, verdict, rule], 1);
    }

    /// A tool of a run had an outcome: `landed`, `not_landed` or `unknown`.
    pub(crate) fn effect(&self, tool: &str, class: &str, outcome: &str) {
        self.effects.add([tool, class, outcome], 1);
    }

    /// A tool of a run took so long. `error` is the code of its failure, or empty.
    pub(crate) fn tool_took(&self, tool: &str, error: &str, took: Duration) {
        self.tool_seconds.observe([tool, error], took.as_secs_f64());
    }

    /// How many commits a projection has still to read.
    pub fn projection_lag(&self, projection: &str, commits: u64) {
        self.lag.set([projection], signed(commits));
    }

    /// State of a component: 0 healthy, 1 degraded, 2 unhealthy.
    pub(crate) fn health_state(&self, component: &str, state: i64) {
        self.health.set([component], state);
    }

    /// The samples of one metric as JSON: labels and value, or count and sum.
    pub(crate) fn samples(&self, name: &str) -> serde_json::Value {
        use serde_json::{Map, Value, json};
        let families = self.registry.gather();
        let Some(family) = families.iter().find(|f| f.name() == name) else {
            return Value::Array(Vec::new());
        };
        let samples = family.get_metric().iter().map(|metric| {
            let labels: Map<String, Value> =
                metric.get_label().iter().map(|l| (l.name().to_owned(), l.value().into())).collect();
            let histogram = metric.get_histogram();
            match family.get_field_type() {
                prometheus::proto::MetricType::HISTOGRAM => json!({
                    "labels": labels,
                    "count": histogram.get_sample_count(),
                    "sum": histogram.get_sample_sum(),
                }),
                prometheus::proto::MetricType::GAUGE => {
                    json!({ "labels": labels, "value": metric.get_gauge().get_value() })
                }
                _ => json!({ "labels": labels, "value": metric.get_counter().get_value() }),
            }
        });
        samples.collect()
    }

    /// The metrics as Prometheus text, format 0.0.4.
    ///
    /// # Errors
    /// `Internal` when a family cannot be written: a fault of ours.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .map_err(|cause| Error::internal("telemetry.metrics", cause))?;
        Ok(text)
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
