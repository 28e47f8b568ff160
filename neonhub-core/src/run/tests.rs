//! Runs driven over a hub in memory. What crashes do to them is in `crash_tests.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::llm::{LlmRequest, Reply, Scripted};
use crate::op::Effect;
use crate::permission::{Permission, PermissionSet};
use crate::resilience::Counted;
use crate::store::{Index, Key, Query, Record, SharedStore, Stored};
use crate::{Clock as _, Error, ErrorKind, Hub, ManualClock, Result, Scope, Timestamp};

/// What tools of these tests write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    id: String,
    pub(super) text: String,
}

impl Record for Note {
    const KIND: &'static str = "test_note";
    const INDEXES: &'static [Index] = &[Index::on("text")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.text))]
    }
}

/// Writes a note, and then fails when the text is `bad`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddNote {
    text: String,
}

impl crate::op::Operation for AddNote {
    type Output = String;
    const NAME: &'static str = "notes.add";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<String> {
        let note = Note { id: cx.new_id("not"), text: self.text };
        cx.create(&note)?;
        if note.text == "bad" {
            return Err(Error::new(ErrorKind::Blocked, Self::NAME, "this text is not allowed"));
        }
        Ok(note.id)
    }
}

/// The outside world: how often it was acted on.
#[derive(Debug, Default)]
pub(super) struct World(pub(super) AtomicU32);

/// Acts on the world.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Act {
    text: String,
}

impl crate::op::Operation for Act {
    type Output = u32;
    const NAME: &'static str = "world.act";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Write;
    async fn run(self, cx: &Scope) -> Result<u32> {
        let done = cx.service::<World>()?.0.fetch_add(1, Ordering::SeqCst) + 1;
        cx.create(&Note { id: cx.new_id("not"), text: self.text })?;
        Ok(done)
    }
}

/// Takes its time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Slow {}

impl crate::op::Operation for Slow {
    type Output = ();
    const NAME: &'static str = "world.wait";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, _cx: &Scope) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok(())
    }
}

static TOOLS: &[crate::op::Entry] = &[
    crate::op::entry::<AddNote>(),
    crate::op::entry::<Act>(),
    crate::op::entry::<Slow>(),
    crate::op::entry::<begin::Prepare>(),
];
static NOTES: &[crate::store::Kind] = &[crate::store::Kind::of::<Note>()];

/// Does the commands of its input one by one and answers with what came back; a failure ends it when `strict`.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    rights: Option<PermissionSet>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    left: Vec<Command>,
    results: Vec<Value>,
}

impl Machine for Steps {
    type State = Done;
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, mut state: Done, event: &RunEvent) -> (Done, Vec<Command>) {
        match event {
            RunEvent::Started { input, .. } => {
                state.left = serde_json::from_value(input.clone()).unwrap_or_default();
                state.left.reverse();
            }
            RunEvent::ToolDone { output, .. } => state.results.push(output.clone()),
            RunEvent::ModelDone { answer, .. } => state.results.push(json!(answer.text)),
            RunEvent::Woken { payload, .. } => state.results.push(payload.clone()),
            failed => state.results.push(json!(failed.failure().code)),
        }
        let mut next = Vec::new();
        // An event is published on the way to the next call: nothing comes back for it.
        while let Some(Command::Emit { .. }) = state.left.last() {
            next.extend(state.left.pop());
        }
        next.push(state.left.pop().unwrap_or_else(|| Command::done(json!(state.results))));
        (state, next)
    }
}

impl Program for Steps {
    const AGENT: &'static str = "steps";
    const VERSION: u32 = 1;
    fn limits(&self) -> Limits {
        Limits::default().tool_calls(1_000)
    }
    fn permissions(&self) -> PermissionSet {
        self.rights.clone().unwrap_or_else(PermissionSet::all)
    }
}

fn base() -> crate::HubBuilder {
    Hub::builder().operations(TOOLS).kinds(NOTES)
}

pub(super) async fn hub(store: SharedStore, clock: Arc<ManualClock>, world: Arc<World>) -> Hub {
    base().store_backend(store).clock(clock).service(world).build().await.unwrap()
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)))
}

async fn open() -> (Hub, Scope, Arc<ManualClock>) {
    let clock = clock();
    let hub = hub(Arc::new(crate::store::MemoryStore::new()), Arc::clone(&clock), Arc::default()).await;
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx, clock)
}

pub(super) fn note(call: &str, text: &str) -> Command {
    Command::tool(call, "notes.add", json!({ "text": text }))
}

pub(super) fn input(commands: &[Command]) -> Value {
    serde_json::to_value(commands).unwrap()
}

fn new(commands: &[Command]) -> NewRun {
    NewRun::new(input(commands))
}

pub(super) async fn notes(cx: &Scope) -> Vec<String> {
    let found = cx.query::<Note>(&Query::index("text").limit(500)).await.unwrap();
    found.into_iter().map(|n: Stored<Note>| n.body.text).collect()
}

#[tokio::test]
async fn a_run_does_its_steps_and_keeps_its_log() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let emit = Command::Emit { event: "shop.opened".into(), data: json!({"n": 1}) };
    let commands = [note("a", "one"), emit, note("b", "two")];
    let view = driver.execute(&cx, new(&commands).campaign("cmp_1")).await.unwrap();
    assert_eq!(view.run.status, RunStatus::Completed);
    assert_eq!(view.run.used.tool_calls, 2);
    assert_eq!(view.output.as_array().unwrap().len(), 2);
    assert_eq!(notes(&cx).await, ["one", "two"]);
    let found = cx.call(GetRun { id: view.run.id.clone(), with_log: true }).await.unwrap();
    let kinds: Vec<_> = found.log.iter().map(|l| l.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["started", "tool_planned", "tool_done", "emitted", "tool_planned", "tool_done", "finished"]
    );
    assert_eq!(found.output, view.output);
    assert_eq!(found.summary, "steps completed: 0 model and 2 tool calls");
    let made: Vec<_> = found.tools.iter().map(|tool| (tool.call.as_str(), tool.state)).collect();
    assert_eq!(made, [("a", ToolExecutionState::Landed), ("b", ToolExecutionState::Landed)]);
    let short = cx.call(GetRun { id: view.run.id.clone(), with_log: false }).await.unwrap();
    assert_eq!((short.log.len(), short.tools), (0, found.tools.clone()));
    let viewer = cx.with_role(crate::permission::Role::Viewer);
    let masked = viewer.call(GetRun { id: view.run.id.clone(), with_log: true }).await.unwrap();
    assert_eq!((masked.output, masked.log[2].data.clone()), (Value::Null, Value::Null));
    assert!(masked.tools.iter().all(|tool| tool.args.is_null()));
    let mine = ListRuns { campaign_id: Some("cmp_1".into()), ..ListRuns::default() };
    assert_eq!(cx.call(mine).await.unwrap().items.len(), 1);
    let both = ListRuns { agent: Some("a".into()), status: Some(RunStatus::Failed), ..ListRuns::default() };
    assert_eq!(cx.call(both).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let events = cx.query::<crate::bus::Event>(&Query::by_id()).await.unwrap();
    let mut words: Vec<_> = events.iter().map(|e| e.kind.as_str()).collect();
    words.sort_unstable();
    assert_eq!(words, ["agent_run.finished", "agent_run.started", "shop.opened"]);
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let again = || new(&[note("a", "one")]).key("k");
    let (x, y) = tokio::join!(driver.execute(&cx, again()), driver.execute(&cx, again()));
    assert_eq!(x.unwrap().run.id, y.unwrap().run.id);
    assert_eq!(notes(&cx).await, ["one"]);
    let other = driver.start(&cx, new(&[note("a", "two")]).key("k")).await.unwrap_err();
    assert_eq!(other.code(), "idempotency_mismatch");
}

#[tokio::test]
async fn starts_of_an_agent_are_counted_by_who_starts_it() {
    use crate::resilience::{LimitProfile, Rate};
    let profile = LimitProfile::embedded().with(Counted::Agent, Rate::new(1, Duration::from_secs(60)));
    let hub = base().clock(clock()).limits(profile).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let driver = Driver::new(Steps::default());
    let first = || new(&[note("a", "one")]).key("k");
    let run = driver.start(&cx, first()).await.unwrap();
    assert_eq!(driver.start(&cx, first()).await.unwrap().id, run.id, "the same run is no second start");
    let error = driver.start(&cx, new(&[note("a", "two")])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::RateLimited, crate::Retry::After(Duration::from_secs(60)))
    );
    let ada = crate::Principal::User { id: "ada".into() };
    let ada = hub.scope("default", ada, crate::Role::Member).await.unwrap();
    driver.start(&ada, new(&[note("a", "two")])).await.unwrap();
    let hits = hub.telemetry().samples("rate_limit_hits_total");
    assert_eq!(hits, json!([{ "labels": { "bucket": "agent" }, "value": 1.0 }]));
}

#[tokio::test]
async fn what_a_failed_tool_staged_is_dropped() {
    let (_hub, cx, _) = open().await;
    let commands = [note("a", "bad"), note("b", "good"), Command::tool("c", "tools.call", json!({}))];
    let view = Driver::new(Steps::default()).execute(&cx, new(&commands)).await.unwrap();
    assert_eq!(view.output[0], "blocked");
    assert_eq!(view.output[2], "invalid_input");
    assert_eq!(notes(&cx).await, ["good"]);
}

#[tokio::test]
async fn a_program_has_no_more_rights_than_it_declares() {
    let (_hub, cx, _) = open().await;
    let program = Steps { rights: Some(PermissionSet::of(&[Permission::ReadContent])) };
    let view = Driver::new(program).execute(&cx, new(&[note("a", "one")])).await.unwrap();
    assert_eq!(view.output, json!(["permission_denied"]));
}

#[tokio::test]
async fn models_are_asked_and_their_origin_is_shown() {
    let (hub, cx, _) = open().await;
    let ask = Command::model("m", LlmRequest::new().user("hello?"));
    let driver = Driver::new(Steps::default());
    let refused = driver.execute(&cx, new(std::slice::from_ref(&ask))).await.unwrap();
    assert_eq!(refused.output, json!(["unsupported"]));
    let long = "a long answer ".repeat(200);
    hub.add_model(Arc::new(Scripted::new().reply(Reply::Text(long.clone()))));
    let view = driver.execute(&cx, new(&[ask])).await.unwrap();
    assert_eq!(view.output, json!([long]));
    assert!(view.run.used.output_tokens > 100);
    assert_eq!(view.run.origin, Some(crate::llm::Origin::Model));
    // The long text is kept once, outside the entries.
    let rows = cx.query::<LogEntry>(&Query::index("run").prefix(Key::text(&view.run.id))).await.unwrap();
    let hashes: Vec<_> = rows.iter().flat_map(|r| r.hashes.clone()).collect();
    assert_eq!(hashes.len(), 2);
    assert_eq!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn timers_and_signals_wake_a_run() {
    let (_hub, cx, clock) = open().await;
    let at = clock.now().plus(Duration::from_secs(3600));
    let commands = [
        Command::Wait { wait: "later".into(), on: WaitOn::Timer { at } },
        Command::Wait {
            wait: "go".into(),
            on: WaitOn::Approval { summary: "launch?".into(), approval: None },
        },
    ];
    let driver = Driver::new(Steps::default());
    let view = driver.execute(&cx, new(&commands)).await.unwrap();
    assert_eq!((view.run.status, view.run.wake_at), (RunStatus::Waiting, Some(at)));
    assert_eq!(driver.drive(&cx, &view.run.id).await.unwrap().run.status, RunStatus::Waiting);
    clock.advance(Duration::from_secs(3600));
    let view = driver.drive(&cx, &view.run.id).await.unwrap();
    assert_eq!(view.run.wait_reason.as_deref(), Some("approval"));
    let signal = SignalRun { id: view.run.id.clone(), wait: "go".into(), payload: json!({"approved": true}) };
    cx.call(signal.clone()).await.unwrap();
    let view = driver.drive(&cx, &view.run.id).await.unwrap();
    assert_eq!(view.into_output().unwrap(), json!([null, {"approved": true}]));
    assert_eq!(cx.call(signal).await.unwrap_err().code(), "run_finished");
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once() {
    let (_hub, cx, _) = open().await;
    let wait = Command::Wait { wait: "w".into(), on: WaitOn::Signal { name: "go".into() } };
    let driver = Driver::new(Steps::default());
    let view = driver.execute(&cx, new(&[wait])).await.unwrap();
    let cancelled = cx.call(CancelRun { id: view.run.id.clone() }).await.unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
    let view = driver.drive(&cx, &view.run.id).await.unwrap();
    assert_eq!(view.into_output().unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_running_run_stops_at_its_next_await() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let commands = [Command::tool("slow", "world.wait", json!({})), note("after", "never")];
    let run = driver.start(&cx, new(&commands)).await.unwrap();
    let began = tokio::time::Instant::now();
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cx.call(CancelRun { id: run.id.clone() }).await.unwrap()
    };
    let (view, _) = tokio::join!(driver.drive(&cx, &run.id), cancel);
    let view = view.unwrap();
    assert_eq!(view.run.status, RunStatus::Cancelled);
    assert_eq!(view.output, json!({"open": ["slow"]}));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(notes(&cx).await.is_empty());
}

#[tokio::test]
async fn giving_up_leaves_a_run_that_goes_on() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let run = driver.start(&cx, new(&[note("a", "one")])).await.unwrap();
    let token = crate::CancelToken::new();
    token.cancel();
    let gave_up = driver.drive(&cx.with_cancel(token), &run.id).await.unwrap_err();
    assert_eq!(gave_up.kind(), ErrorKind::Cancelled);
    let view = driver.drive(&cx, &run.id).await.unwrap();
    assert_eq!(view.run.status, RunStatus::Completed);
}

#[tokio::test]
async fn foreign_and_unknown_runs_are_not_found() {
    let (_hub, cx, _) = open().await;
    let missing = cx.call(GetRun { id: "run_x".into(), with_log: false }).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(
        Driver::new(Steps::default()).drive(&cx, "run_x").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// Another version of the same program.
#[derive(Debug)]
struct Newer(bool);

impl Machine for Newer {
    type State = Done;
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, state: Done, event: &RunEvent) -> (Done, Vec<Command>) {
        Steps::default().step(state, event)
    }
}

impl Program for Newer {
    const AGENT: &'static str = "steps";
    const VERSION: u32 = 2;
    fn takes_over(&self, version: u32) -> bool {
        self.0 && version == 1
    }
}

#[tokio::test]
async fn another_version_goes_on_only_if_it_says_so() {
    let (_hub, cx, _) = open().await;
    let run = Driver::new(Steps::default()).start(&cx, new(&[note("a", "one")])).await.unwrap();
    let refused = Driver::new(Newer(false)).drive(&cx, &run.id).await.unwrap_err();
    assert_eq!(refused.code(), "spec_changed");
    let view = Driver::new(Newer(true)).drive(&cx, &run.id).await.unwrap();
    assert_eq!(view.run.status, RunStatus::Completed);
}

/// A completed run with every kind of entry one can hold.
fn golden_run() -> (Vec<Entry>, RunState<Done>) {
    let program = Steps::default();
    let wait = WaitOn::Timer { at: Timestamp::from_millis(1_800_000_060_000) };
    let commands = [
        note("a", "one"),
        Command::Emit { event: "shop.opened".into(), data: json!({"n": 1}) },
        Command::tool("b", "world.act", json!({"text": "x"})),
        Command::model("m", LlmRequest::new().system("be brief").user("hello?").seed(5)),
        Command::Wait { wait: "later".into(), on: wait },
    ];
    let answer: crate::llm::Answer = serde_json::from_value(json!({
        "text": "hello", "usage": {"input_uncached": 9, "output_visible": 2}, "stop": "done",
        "origin": "offline", "provider": "offline", "model": "offline-rules-1",
    }))
    .unwrap();
    let done =
        |call: &str, state, output: Value, failure| What::tool_done(call.into(), state, output, failure);
    let failure = Failure::from(&Error::new(ErrorKind::Unavailable, "world.act", "nobody is there"));
    let steps = [
        What::Started {
            agent: Steps::AGENT.into(),
            version: 1,
            input: input(&commands),
            seed: 77,
            limits: Limits::default(),
        },
        done("a", ToolState::Landed, json!("not_1"), None),
        What::Wait {
            wait: "?landed/b".into(),
            on: WaitOn::Approval { summary: "did it happen?".into(), approval: None },
        },
        What::Woken { wait: "?landed/b".into(), payload: json!({"landed": false}) },
        What::ToolCalled { call: "b".into() },
        done("b", ToolState::Failed, Value::Null, Some(failure)),
        What::Note { text: "the provider was slow".into() },
        What::model_done("m".into(), Ok(answer), None),
        What::Woken { wait: "later".into(), payload: Value::Null },
    ];
    let mut log = Vec::new();
    let mut state = RunState::new("run_golden");
    for (n, what) in steps.into_iter().enumerate() {
        let at = Timestamp::from_millis(1_800_000_000_000 + 10_000 * n as i64);
        let moment = Moment { at, actor: "agent:steps".into(), provider: "offline".into() };
        let class =
            |tool: &str| if tool == "notes.add" { EffectClass::Idempotent } else { EffectClass::Write };
        let (after, entries) = advance(&program, state, what, &moment, class).unwrap();
        state = after;
        log.extend(entries);
    }
    (log, state)
}

/// The calls of tools, from the log alone.
#[test]
fn a_log_tells_the_calls_of_tools() {
    use super::execution::executions;
    let (log, _) = golden_run();
    let all = executions("run_golden", &log).unwrap();
    let told: Vec<_> =
        all.iter().map(|one| (one.call.as_str(), one.tool.as_str(), one.state, one.attempts)).collect();
    let landed = ("a", "notes.add", ToolExecutionState::Landed, 1);
    assert_eq!(told, [landed, ("b", "world.act", ToolExecutionState::Failed, 2)]);
    assert_eq!(
        (all[1].duration_ms, all[1].ended_at),
        (Some(40_000), Some(Timestamp::from_millis(1_800_000_050_000)))
    );
    assert_eq!(all[1].error.as_ref().unwrap().kind, "unavailable");
    assert!(all[0].result_hash.is_some() && all[1].result_hash.is_none());
    assert_eq!(all[0].id, LogEntry::id_of("run_golden", all[0].step));
    // At each beginning of the log it says what is known by then.
    let at = |what: &str| log.iter().position(|entry| entry.what.word() == what).unwrap();
    let state = |until: usize| executions("run_golden", &log[..=until]).unwrap().pop().unwrap().state;
    assert_eq!(state(at("tool_planned")), ToolExecutionState::Planned);
    assert_eq!(state(at("wait")), ToolExecutionState::Unknown);
    assert_eq!(state(at("woken")), ToolExecutionState::Planned);
    assert_eq!(state(at("tool_called")), ToolExecutionState::Dispatched);
}

/// Writes the golden log of the current version when `NEONHUB_WRITE_GOLDEN` is set: by hand for a new
/// `LOG_VERSION`, under a new name. The files of older versions stay as they are.
#[test]
#[ignore = "writes a golden file; run by hand for a new version of the log"]
fn write_golden_log() {
    if std::env::var_os("NEONHUB_WRITE_GOLDEN").is_none() {
        return;
    }
    let (entries, state) = golden_run();
    let golden = json!({
        "version": LOG_VERSION, "entries": entries, "used": state.used, "output": state.output,
        "program": state.program,
    });
    let path = format!("{}/tests/golden/run-log-v{LOG_VERSION}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, format!("{golden:#}\n")).unwrap();
}

/// Logs of every released version fold forever.
#[test]
fn golden_logs_fold() {
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/run-log-v1.json")).unwrap();
    let version = u16::try_from(golden["version"].as_u64().unwrap()).unwrap();
    let entries = golden["entries"].as_array().unwrap();
    let entries: Vec<Entry> = entries.iter().map(|e| Entry::read(version, e.clone()).unwrap()).collect();
    let state = fold(&Steps::default(), "run_golden", &entries).unwrap();
    assert_eq!(state.status, RunStatus::Completed);
    assert_eq!(serde_json::to_value(state.used).unwrap(), golden["used"]);
    assert_eq!(state.output, golden["output"]);
    assert_eq!(serde_json::to_value(&state.program).unwrap(), golden["program"]);
    let kinds: std::collections::BTreeSet<&str> = entries.iter().map(|e| e.what.word()).collect();
    assert_eq!(kinds.len(), 12, "every kind a completed run can hold: {kinds:?}");
}

#[path = "begin_tests.rs"]
mod begin;

#[path = "cache_tests.rs"]
mod cache;

#[path = "cassette_tests.rs"]
mod cassette;

#[path = "crash_tests.rs"]
mod crash;

#[path = "fork_tests.rs"]
mod fork;

#[cfg(feature = "sqlite")]
#[path = "process_tests.rs"]
mod process;
