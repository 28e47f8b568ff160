use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::exposition::{Scrape, parse};
use super::*;
use crate::llm::Usage;
use crate::llm::table::ModelTable;
use crate::op::CallOptions;
use crate::run::{Command, Driver, GetRun, Machine, NewRun, Program, RunEvent};
use crate::{Clock, ErrorKind, Hub, ManualClock, Scope, Timestamp};

/// Names and labels, as dashboards of users have them.
const LIST: &[&str] = &[
    "agent_runs_total",
    "agent_run_duration_seconds",
    "circuit_breaker_failures_total",
    "rate_limit_hits_total",
    "http_requests_total",
    "http_request_duration_seconds",
    "websocket_connections_active",
    "database_query_duration_seconds",
    "job_queue_size",
    "job_processing_duration_seconds",
    "queue_jobs_pending",
    "neonhub_model_tokens_total",
    "neonhub_model_cost_micros_total",
    "neonhub_gate_verdicts_total",
    "neonhub_effects_total",
    "neonhub_projection_lag",
    "neonhub_health_state",
];

/// The sample of a name with these labels; of a histogram its count.
fn sample(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let count = format!("{name}_count");
    let fits = |s: &&exposition::Sample| {
        (s.name == name || s.name == count)
            && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|found| found == v))
    };
    scrape.samples.iter().find(fits).map(|s| s.value)
}

#[test]
fn the_names_are_those_of_the_list() {
    assert_eq!(&metrics::NAMES[..LIST.len()], LIST);
    assert!(metrics::NAMES[LIST.len()..].iter().all(|n| n.starts_with("gen_ai_")));
}

#[test]
fn a_metric_stops_growing_and_counts_the_rest_as_other() {
    let telemetry = Telemetry::new(GenAiNames::Current).unwrap();
    for n in 0..3000 {
        telemetry.rate_limited(&format!("bucket-{n}"));
    }
    telemetry.rate_limited("bucket-7");
    let scrape = parse(&telemetry.text().unwrap());
    let series = scrape.samples.iter().filter(|s| s.name == "rate_limit_hits_total").count();
    assert_eq!(series, SERIES_LIMIT);
    assert_eq!(sample(&scrape, "rate_limit_hits_total", &[("bucket", "other")]), Some(2001.0));
    assert_eq!(sample(&scrape, "rate_limit_hits_total", &[("bucket", "bucket-7")]), Some(2.0));
}

#[test]
fn names_that_a_model_made_up_are_no_way_out() {
    let telemetry = Telemetry::new(GenAiNames::Current).unwrap();
    for tool in ["mail.jane@shop.example", "sk-planted1234567890", "+12025550188"] {
        telemetry.effect(tool, "write", "not_landed");
    }
    let text = telemetry.text().unwrap();
    assert!(!text.contains("jane") && !text.contains("planted") && !text.contains("2025550188"), "{text}");
    assert_eq!(sample(&parse(&text), "neonhub_effects_total", &[("tool", "other")]), Some(3.0));
}

#[test]
fn tokens_cost_what_the_table_says_and_the_old_histogram_is_there_on_request() {
    let table = ModelTable::shared();
    let row = table.rows().find(|row| row.prices.is_some()).unwrap();
    let prices = row.prices.as_ref().unwrap();
    let usage = Usage { input_uncached: 1_000_000, output_visible: 3, ..Usage::default() };
    for names in [GenAiNames::Current, GenAiNames::WithPrevious] {
        let telemetry = Telemetry::new(names).unwrap();
        metered::used(&telemetry, &table, &row.provider, &row.model, &usage);
        metered::used(&telemetry, &table, "unknown", "model", &usage);
        let scrape = parse(&telemetry.text().unwrap());
        let cost =
            sample(&scrape, "neonhub_model_cost_micros_total", &[("currency", prices.currency.as_str())]);
        let owed = prices.cost(&usage).unwrap().micros();
        assert!(owed >= prices.input);
        assert_eq!(cost, Some(owed as f64), "what has no price costs nothing that is known");
        let histogram = sample(&scrape, "gen_ai_client_token_usage", &[("gen_ai_token_type", "input")]);
        assert_eq!(histogram, (names == GenAiNames::WithPrevious).then_some(1.0));
    }
}

#[test]
fn odd_label_values_are_escaped() {
    let telemetry = Telemetry::new(GenAiNames::Current).unwrap();
    telemetry.http_request("GET", "/a\"b\\c\nd", 200, Duration::from_millis(20));
    let scrape = parse(&telemetry.text().unwrap());
    let odd = [("status", "200"), ("path", "/a\"b\\c\nd")];
    assert_eq!(sample(&scrape, "http_requests_total", &odd), Some(1.0));
}

/// Asks the model, calls a tool, ends.
#[derive(Debug)]
struct Asker;

impl Machine for Asker {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { .. } => Command::tool("who", "scope.whoami", json!({})),
            RunEvent::ToolDone { call, .. } if call == "who" => {
                Command::tool("bad", "tools.describe", json!({"name": "no.such_tool"}))
            }
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![next])
    }
}

impl Program for Asker {
    const AGENT: &'static str = "asker";
    const VERSION: u32 = 1;
}

async fn scope() -> Scope {
    Hub::builder().build().await.unwrap().workspace("default").await.unwrap()
}

#[tokio::test]
async fn runs_tools_models_and_the_store_are_counted() {
    let cx = scope().await;
    let view = Driver::new(Asker).execute(&cx, NewRun::new(json!({}))).await.unwrap();
    // A run that is gone through at once is not read again: this reads it.
    cx.call(GetRun { id: view.run.id.to_string(), with_log: false }).await.unwrap();
    let text = cx.call(ReadMetrics {}).await.unwrap();
    let scrape = parse(&text);
    let at = |name: &str, labels: &[(&str, &str)]| sample(&scrape, name, labels);
    assert_eq!(
        at("agent_runs_total", &[("agent", "asker"), ("status", "failed"), ("intent", "default")]),
        Some(1.0)
    );
    assert_eq!(at("agent_run_duration_seconds", &[("agent", "asker")]), Some(1.0));
    let landed = [("tool", "scope.whoami"), ("class", "read"), ("outcome", "landed")];
    assert_eq!(at("neonhub_effects_total", &landed), Some(1.0));
    assert!(at("database_query_duration_seconds", &[("kind", "agent_run"), ("op", "get")]).unwrap() >= 1.0);
    assert!(at("database_query_duration_seconds", &[("op", "commit")]).unwrap() >= 2.0);
    // Another process, the same store: counters begin anew and never go down within one.
    assert!(view.run.failure.is_some());
    let again = parse(&cx.call(ReadMetrics {}).await.unwrap());
    let is_counter = |name: &str| scrape.types.get(name).is_some_and(|t| t == "counter");
    for old in scrape.samples.iter().filter(|s| is_counter(&s.name)) {
        let labels: Vec<(&str, &str)> = old.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert!(sample(&again, &old.name, &labels) >= Some(old.value), "{}", old.name);
    }
}

#[tokio::test]
async fn model_calls_are_counted_with_their_tokens() {
    let cx = scope().await;
    let example = <crate::llm::GenerateText as crate::op::Operation>::examples().remove(0);
    cx.call(example).await.unwrap();
    let scrape = parse(&cx.call(ReadMetrics {}).await.unwrap());
    let provider = [("provider", "offline"), ("kind", "output")];
    assert!(sample(&scrape, "neonhub_model_tokens_total", &provider).unwrap() > 0.0);
    let call = [("gen_ai_operation_name", "chat"), ("gen_ai_provider_name", "offline")];
    assert_eq!(sample(&scrape, "gen_ai_client_operation_duration_seconds", &call), Some(1.0));
}

#[tokio::test]
async fn the_trace_of_a_run_comes_from_its_log_and_joins_the_callers() {
    let cx = scope().await;
    let parent =
        TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).unwrap();
    let traced = cx.with_trace(parent.clone());
    let run =
        Driver::new(Asker).execute(&traced, NewRun::new(json!({"text": "planted words"}))).await.unwrap().run;
    let options = CallOptions::new();
    let trace = cx.call_by_name("telemetry.trace", json!({ "run": run.id }), options).await.unwrap();
    assert!(!trace.to_string().contains("planted"));
    let trace: Trace = serde_json::from_value(trace).unwrap();
    assert_eq!(trace.trace_id, parent.trace_id());
    let names: Vec<&str> = trace.spans.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["invoke_agent asker", "execute_tool scope.whoami", "execute_tool tools.describe"]);
    let [root, who, bad] = trace.spans.as_slice() else { panic!("three spans") };
    assert_eq!(root.parent_id, Some(parent.span_id()));
    assert_eq!((&who.parent_id, who.status), (&Some(root.span_id.clone()), SpanStatus::Ok));
    assert_eq!((bad.status, root.status), (SpanStatus::Error, SpanStatus::Error));
    assert_eq!(bad.attributes["error.type"], "unknown_tool");
    assert_eq!(who.attributes["gen_ai.operation.name"], "execute_tool");
    assert!(who.end.unwrap() >= who.start);
}

/// A sink that keeps lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl LogSink for Lines {
    fn write(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// With fewer than two subscribers, `tracing` asks the thread that meets a place first whether anybody listens there, and
/// keeps a "no" for all of them. Two that listen to nothing keep a test from being silenced by its neighbours.
pub(crate) fn heard_from_every_thread() {
    static KEPT: LazyLock<[Dispatch; 2]> =
        LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));
    LazyLock::force(&KEPT);
}

pub(super) fn logged(format: LogFormat, levels: &Arc<Levels>, work: impl FnOnce()) -> Vec<String> {
    use tracing_subscriber::layer::SubscriberExt as _;
    let lines = Lines::default();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let layer =
        LogLayer::new(format, lines.clone()).levels(Arc::clone(levels)).clock(clock as Arc<dyn Clock>);
    heard_from_every_thread();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    lines.0.lock().unwrap().clone()
}

#[test]
fn lines_carry_ids_of_their_spans_and_are_redacted() {
    let work = || {
        let span = tracing::info_span!(
            "operation",
            workspace_id = "wsp_1",
            correlation_id = "cor_1",
            api_key = "k-1"
        );
        let _in = span.enter();
        tracing::warn!(target: "neonhub_core::job", run = "run_1", tries = 3, "mail to jane@shop.example failed");
        tracing::error!(fatal = true, token = 42, "bye\nbye");
        tracing::debug!("not at this level");
    };
    let lines = logged(LogFormat::Json, &Levels::new(), work);
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        first,
        json!({"ts": "2027-01-15T08:00:00Z", "level": "warn", "target": "neonhub_core::job",
            "msg": "mail to [redacted:email] failed", "workspace_id": "wsp_1", "correlation_id": "cor_1",
            "api_key": "[redacted:field]", "run_id": "run_1", "tries": 3})
    );
    let second: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((&second["level"], &second["token"]), (&json!("fatal"), &json!("[redacted:field]")));
    assert_eq!(lines.len(), 2);
    let pretty = logged(LogFormat::Pretty, &Levels::new(), work);
    assert!(
        pretty[0]
            .starts_with("2027-01-15T08:00:00Z WARN  neonhub_core::job: mail to [redacted:email] failed")
    );
    assert!(pretty[1].contains("bye bye"), "{}", pretty[1]);
}

#[tokio::test]
async fn levels_change_while_the_process_runs_and_end_by_themselves() {
    let cx = scope().await;
    let target = format!("neonhub_test::{}", cx.new_id("t"));
    let set = SetLevel { target: target.clone(), level: Level::Trace, ttl_ms: Some(1000) };
    let until = cx.call(set).await.unwrap().until;
    let levels = Levels::global();
    assert!(levels.allows(&target, Level::Trace, until.minus(Duration::from_millis(1))));
    assert!(!levels.allows(&target, Level::Trace, until));
    let bad = SetLevel { target: "a b".into(), level: Level::Info, ttl_ms: None };
    assert_eq!(cx.call(bad).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[derive(Debug, Default)]
struct Reports(Mutex<Vec<ErrorReport>>);

impl ErrorSink for Reports {
    fn report(&self, report: &ErrorReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

/// Panics with a secret in its text.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Boom {}

impl crate::op::Operation for Boom {
    type Output = ();
    const NAME: &'static str = "test.boom";
    const NEEDS: &'static [crate::Permission] = &[];
    const EFFECT: crate::op::Effect = crate::op::Effect::Read;
    async fn run(self, _cx: &Scope) -> crate::Result<()> {
        panic!("sk-planted1234567890")
    }
}

#[tokio::test]
async fn faults_of_ours_reach_the_hosts_crash_service_redacted() {
    let sink = Arc::new(Reports::default());
    let hub = Hub::builder().error_sink(Arc::clone(&sink) as Arc<dyn ErrorSink>).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let error = cx.call(Boom {}).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
    cx.call(ReadTrace { run: "run_x".into() }).await.unwrap_err();
    let reports = sink.0.lock().unwrap();
    assert_eq!(reports.len(), 1, "a caller's fault is no fault of ours");
    assert_eq!((reports[0].operation.as_str(), reports[0].kind.as_str()), ("test.boom", "internal"));
    assert!(!serde_json::to_string(&*reports).unwrap().contains("planted"));
}

#[test]
fn label_order_does_not_hang_on_chance() {
    let make = || {
        let telemetry = Telemetry::new(GenAiNames::Current).unwrap();
        for n in 0..50 {
            telemetry.judged("email", "allow", &format!("G{n:02}"));
        }
        telemetry.text().unwrap()
    };
    assert_eq!(make(), make());
}
