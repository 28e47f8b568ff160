use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::run::{Command, Driver, EffectClass, Machine, NewRun, Program, RunEvent, RunStatus};
use crate::{ErrorKind, Hub, Permission, Principal, Role, Scope};

/// What to look up.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Stock {
    /// Number of the article.
    #[schemars(length(min = 2))]
    sku: String,
    /// How many at most.
    most: Option<u32>,
}

fn stock() -> Arc<dyn Tool> {
    let info = ToolInfo::new("shop.stock", "How many of an article are there").effect(EffectClass::Read);
    FnTool::new(info, |_cx: Scope, ask: Stock| async move { Ok(ask.most.unwrap_or(ask.sku.len() as u32)) })
}

/// A tool that misbehaves as its arguments say.
#[derive(Debug)]
struct Odd {
    info: ToolInfo,
    busy: AtomicU32,
    peak: AtomicU32,
}

impl Odd {
    fn new(info: ToolInfo) -> Arc<Self> {
        Arc::new(Odd { info, busy: AtomicU32::new(0), peak: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Tool for Odd {
    fn info(&self) -> &ToolInfo {
        &self.info
    }
    async fn call(&self, _cx: &Scope, args: Value) -> Result<Value> {
        match args["how"].as_str() {
            Some("hang") => std::future::pending().await,
            Some("panic") => panic!("as asked"),
            Some("long") => Ok(json!("ä".repeat(args["n"].as_u64().unwrap() as usize))),
            Some("rest") => {
                self.peak.fetch_max(self.busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first waits for a second, however slow the machine is; more than two would meet in the pause.
                while self.peak.load(Ordering::SeqCst) < 2 {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                self.busy.fetch_sub(1, Ordering::SeqCst);
                Ok(Value::Null)
            }
            _ => Ok(args["answer"].clone()),
        }
    }
}

async fn scope_with(tools: &[Arc<dyn Tool>]) -> Scope {
    let hub = Hub::builder().seed(1).build().await.unwrap();
    for tool in tools {
        hub.add_tool(Arc::clone(tool)).unwrap();
    }
    hub.workspace("default").await.unwrap()
}

fn ask(name: &str, args: Value) -> CallTool {
    CallTool { name: name.into(), args }
}

#[tokio::test]
async fn operations_and_added_tools_are_listed_described_and_called_alike() {
    let cx = scope_with(&[stock()]).await;
    let lines = cx.call(ListTools::default()).await.unwrap();
    assert!(lines.is_sorted_by(|a, b| a.name < b.name));
    let of = |name: &str| lines.iter().find(|line| line.name == name).map(|line| line.source);
    assert_eq!(of("shop.stock"), Some(ToolSource::Builtin));
    assert_eq!(of("scope.whoami"), Some(ToolSource::Catalogue));
    assert_eq!(of("tools.read_result"), Some(ToolSource::Catalogue));
    assert_eq!(of("tools.call"), None, "a tool that calls tools would only hide them");
    let info = cx.call(DescribeTool { name: "shop.stock".into() }).await.unwrap();
    assert_eq!(info.input_schema["properties"]["sku"]["description"], "Number of the article.");
    assert_eq!(cx.call(ask("shop.stock", json!({"sku": "T-100"}))).await.unwrap().output, Some(json!(5)));
    let me = cx.call(ask("scope.whoami", json!({}))).await.unwrap().output.unwrap();
    assert_eq!(me["principal"]["id"], "owner");
}

#[tokio::test]
async fn a_change_through_a_tool_is_committed_once_with_its_audit_row() {
    let cx = scope_with(&[]).await;
    cx.call(ask("workspaces.update", json!({"name": "Tea"}))).await.unwrap();
    let kept = cx.call(ask("workspaces.get", json!({}))).await.unwrap().output.unwrap();
    assert_eq!(kept["name"], "Tea");
    let rows = cx.call(ask("audit.query", json!({"action": "workspaces.update"}))).await.unwrap().output;
    assert_eq!(rows.unwrap()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tool_that_the_caller_may_not_use_does_not_exist() {
    let guarded = ToolInfo::new("shop.refund", "Pays back").needs(Permission::SpendBudget);
    let owner = scope_with(&[stock(), Odd::new(guarded)]).await;
    let member = owner.with_role(Role::Member);
    assert!(owner.call(DescribeTool { name: "shop.refund".into() }).await.is_ok());
    for name in ["shop.refund", "shop.nothing", "store.check", "tools.call"] {
        let error = member.call(ask(name, json!({}))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "unknown_tool"), "{name}");
        let near = error.context().find(|(key, _)| *key == "closest").unwrap().1.to_owned();
        assert!(!near.contains("refund") && !near.contains("store.check"), "{near}");
    }
    let lines = member.call(ListTools { prefix: Some("shop.".into()), source: None }).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["shop.stock"]);
    let viewer = owner.with_role(Role::Viewer);
    assert_eq!(viewer.call(ListTools::default()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn arguments_are_checked_and_every_fault_has_its_path() {
    let cx = scope_with(&[stock()]).await;
    let error = cx.call(ask("shop.stock", json!({"sku": "T", "most": "many"}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let mut fields: Vec<_> = error.field_faults().iter().map(|fault| fault.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["most", "sku"]);
    let error = cx.call(ask("shop.stock", json!([1]))).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "args");
    let error = cx.call(ask("sms.nothing", json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_answer_that_breaks_its_schema_is_no_answer() {
    let number = ToolInfo { output_schema: json!({"type": "integer"}), ..ToolInfo::new("a.read", "Reads") };
    let reads = Odd::new(number.clone().effect(EffectClass::Read));
    let writes = Odd::new(ToolInfo { name: "a.write".into(), ..number });
    let cx = scope_with(&[reads, writes]).await;
    let broken = json!({"answer": "seven"});
    let error = cx.call(ask("a.read", broken.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "tool_answer"));
    // It has acted: nobody may take this for "did not happen".
    assert_eq!(cx.call(ask("a.write", broken)).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(cx.call(ask("a.read", json!({"answer": 7}))).await.unwrap().output, Some(json!(7)));
}

#[tokio::test]
async fn time_runs_out_by_the_class_of_the_effect() {
    let limited = |name: &str| ToolInfo::new(name, "Waits").timeout(Duration::from_millis(50));
    let reads = Odd::new(limited("a.read").effect(EffectClass::Read));
    let cx = scope_with(&[reads, Odd::new(limited("a.write"))]).await;
    let hang = json!({"how": "hang"});
    let error = cx.call(ask("a.read", hang.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true));
    let error = cx.call(ask("a.write", hang)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::OutcomeUnknown, "tool_timeout"));
    assert!(!error.is_retryable());
    let error = cx.call(ask("a.read", json!({"how": "panic"}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn no_more_calls_at_once_than_the_tool_takes() {
    let odd = Odd::new(ToolInfo { concurrency: Some(2), ..ToolInfo::new("a.rest", "Rests") });
    let cx = scope_with(&[Arc::clone(&odd) as Arc<dyn Tool>]).await;
    let calls = (0..6).map(|_| cx.call(ask("a.rest", json!({"how": "rest"}))));
    for done in futures_util::future::join_all(calls).await {
        done.unwrap();
    }
    assert_eq!(odd.peak.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_long_answer_is_kept_aside_for_its_caller_alone() {
    let odd = Odd::new(ToolInfo::new("a.long", "Tells much").effect(EffectClass::Read));
    let cx = scope_with(&[odd]).await;
    let answer = cx.call(ask("a.long", json!({"how": "long", "n": 60_000}))).await.unwrap();
    let spilled = answer.spilled.unwrap();
    assert!(answer.output.is_none() && spilled.head.starts_with("\"ää") && spilled.tail.ends_with("ä\""));
    assert_eq!(spilled.size_bytes, 120_002);
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let read =
            ReadToolResult { handle: spilled.handle.clone(), offset, limit: Some(50_001), query: None };
        let piece = cx.call(read).await.unwrap();
        text.push_str(&piece.text);
        let Some(next) = piece.next else { break };
        offset = next;
    }
    assert_eq!(text, format!("\"{}\"", "ä".repeat(60_000)));
    let read = ReadToolResult { handle: spilled.handle, ..ReadToolResult::default() };
    let other = cx.hub().scope("default", Principal::User { id: "ben".into() }, Role::Owner).await.unwrap();
    assert_eq!(other.call(read.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(cx.with_role(Role::Member).call(read).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_cannot_be_a_tool_is_refused_with_every_fault() {
    let cx = scope_with(&[stock()]).await;
    let mut info = ToolInfo::new("Shop Stock", " ");
    info.input_schema = json!({"type": "array", "contains": {}});
    info.timeout_ms = 0;
    let error = cx.hub().add_tool(Odd::new(info)).unwrap_err();
    let fields: Vec<_> = error.field_faults().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["name", "doc", "timeout_ms", "input_schema.type", "input_schema.contains"]);
    for name in ["shop.stock", "people.nothing"] {
        let again = cx.hub().add_tool(Odd::new(ToolInfo::new(name, "Again")));
        assert_eq!(again.is_err(), name == "shop.stock");
    }
    let taken = cx.hub().add_tool(Odd::new(ToolInfo::new("scope.whoami", "Taken"))).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(cx.hub().remove_tool("shop.stock") && !cx.hub().remove_tool("shop.stock"));
    assert!(cx.hub().add_tool(stock()).is_ok());
}

/// Calls the tool of its input, and answers with what the tool said.
#[derive(Debug)]
struct Caller;

impl Machine for Caller {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let then = match event {
            RunEvent::Started { input, .. } => {
                Command::tool("one", input["tool"].as_str().unwrap(), json!({"sku": "T-1"}))
            }
            RunEvent::ToolDone { output, .. } => Command::done(output.clone()),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![then])
    }
}

impl Program for Caller {
    const AGENT: &'static str = "caller";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn a_run_calls_added_tools_through_its_log() {
    let cx = scope_with(&[stock()]).await;
    let driver = Driver::new(Caller);
    let run = driver.execute(&cx, NewRun::new(json!({"tool": "shop.stock"}))).await.unwrap();
    assert_eq!(run.output, json!(3));
    let guarded = ToolInfo::new("shop.refund", "Pays back").needs(Permission::SpendBudget);
    cx.hub().add_tool(Odd::new(guarded)).unwrap();
    let member = cx.with_role(Role::Member);
    let hidden = driver.execute(&member, NewRun::new(json!({"tool": "shop.refund"}))).await.unwrap();
    assert_eq!(hidden.run.failure.unwrap().code, "unknown_tool", "a right is nothing to wait for");
}

#[tokio::test]
async fn a_run_waits_for_a_process_that_has_its_tool() {
    let acts = || {
        let info = ToolInfo::new("shop.refund", "Pays back").effect(EffectClass::Idempotent);
        FnTool::new(info, |_cx: Scope, ask: Stock| async move { Ok(ask.sku) })
    };
    let tools: [(&str, Arc<dyn Tool>, Value); 2] =
        [("shop.stock", stock(), json!(3)), ("shop.refund", acts(), json!("T-1"))];
    for (name, tool, answer) in tools {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("run.neon").to_string_lossy().into_owned();
        let open = async || Hub::builder().store(&store).build().await.unwrap();
        let (here, there) = (open().await, open().await);
        let cx = here.workspace("default").await.unwrap();
        let driver = Driver::new(Caller);
        let parked = driver.execute(&cx, NewRun::new(json!({"tool": name}))).await.unwrap();
        let expected = (RunStatus::Waiting, Some(format!("tool {name}")));
        assert_eq!((parked.run.status, parked.run.wait_reason.clone()), expected);
        let again = driver.drive(&cx, &parked.run.id).await.unwrap();
        assert_eq!((again.run.status, again.run.wait_reason), expected, "it goes on waiting");
        let steps = driver.state(&cx, &parked.run.id).await.unwrap().used.steps;
        assert_eq!(again.run.used.steps, steps, "and writes nothing");
        there.add_tool(tool).unwrap();
        let elsewhere = there.workspace("default").await.unwrap();
        let done = driver.drive(&elsewhere, &parked.run.id).await.unwrap();
        assert_eq!((done.run.status, done.output), (RunStatus::Completed, answer), "{name}");
        let replay = driver.replay(&elsewhere, &parked.run.id).await.unwrap();
        assert!(replay.is_same, "{replay:?}");
        here.close().await.unwrap();
        there.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_agent_acts_on_the_outside_through_a_tool_by_a_rule_only() {
    let acts = Odd::new(ToolInfo::new("shop.refund", "Pays back"));
    let cx = scope_with(&[stock(), acts]).await;
    let agent = cx.for_agent("helper", "run_1", crate::PermissionSet::all());
    let sku = json!({"sku": "T-1"});
    assert_eq!(agent.call(ask("shop.stock", sku)).await.unwrap().output, Some(json!(3)), "it only reads");
    agent.call(ask("scope.whoami", json!({}))).await.unwrap();
    let refund = || ask("shop.refund", json!({"answer": 5}));
    assert_eq!(agent.call(refund()).await.unwrap_err().code(), "approval_required");
    cx.call(refund()).await.unwrap();
    let rule = json!({ "policy": { "name": "small", "scope": { "operations": ["shop.refund"] },
        "when": "input.answer <= 10", "effect": { "do": "allow" }, "reason": "small ones need nobody" } });
    let put = cx.call_by_name("policies.put", rule, crate::op::CallOptions::new()).await.unwrap();
    let id = json!({ "id": put["id"] });
    cx.call_by_name("policies.activate", id, crate::op::CallOptions::new()).await.unwrap();
    assert_eq!(agent.call(refund()).await.unwrap().output, Some(json!(5)));
    agent.call(refund()).await.unwrap();
    let kept = cx.query::<crate::policy::PolicyDecision>(&crate::store::Query::by_id()).await.unwrap();
    let of_tool = kept.iter().filter(|decision| decision.operation == "shop.refund");
    assert_eq!(
        of_tool.map(|decision| decision.verdict).collect::<Vec<_>>(),
        [crate::policy::Verdict::Allow; 2]
    );
    let large = agent.call(ask("shop.refund", json!({"answer": 50}))).await.unwrap_err();
    assert_eq!(large.code(), "approval_required");
}

#[tokio::test]
async fn a_tool_may_have_agents_ask_first_and_say_what_it_lets_out() {
    let of = |name: &str| ToolInfo::new(name, "Reads").effect(EffectClass::Read);
    let tools: [Arc<dyn Tool>; 3] = [
        Odd::new(of("shop.secret").approval()),
        Odd::new(of("web.get").sink(crate::op::Sink::Export)),
        Odd::new(of("shop.open")),
    ];
    let cx = scope_with(&tools).await;
    let agent = cx.for_agent("helper", "run_1", crate::PermissionSet::all());
    assert_eq!(agent.call(ask("shop.secret", json!({}))).await.unwrap_err().code(), "approval_required");
    // Nobody knows what an agent without a run had read.
    let asked = agent.call(ask("web.get", json!({}))).await.unwrap_err();
    assert_eq!(asked.code(), "approval_required");
    assert!(asked.message().contains("export"), "{asked}");
    agent.call(ask("shop.open", json!({}))).await.unwrap();
    for name in ["shop.secret", "web.get"] {
        cx.call(ask(name, json!({}))).await.unwrap();
    }
    let told = cx.call(DescribeTool { name: "audit.export".into() }).await.unwrap();
    assert_eq!(told.sinks, [crate::op::Sink::Export]);
}

#[tokio::test]
async fn a_tool_is_called_no_oftener_than_it_says() {
    let rate = crate::resilience::Rate::new(2, Duration::from_secs(60));
    let info = ToolInfo::new("shop.count", "Counts").effect(EffectClass::Read).rate(rate);
    let cx = scope_with(&[Odd::new(info.clone())]).await;
    for _ in 0..2 {
        cx.call(ask("shop.count", json!({}))).await.unwrap();
    }
    let error = cx.call(ask("shop.count", json!({}))).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::RateLimited, "tools.call"));
    let mut wrong = info;
    wrong.rate = Some(crate::resilience::Rate { max: 0, per_ms: 0 });
    let faults = wrong.check().unwrap_err();
    assert_eq!(faults.field_faults().len(), 2, "{faults}");
}

#[tokio::test]
async fn faults_reach_tools_and_models() {
    let cx = scope_with(&[stock()]).await;
    let faults = crate::testing::FaultInjector::new();
    for rule in [
        json!({"on": "tool", "name": "shop.stock", "nth": 1, "error": {"kind": "unavailable"}}),
        json!({"on": "tool", "name": "scope.whoami", "error": {"kind": "internal", "code": "odd"}}),
        json!({"on": "model", "error": {"kind": "rate_limited", "retry_after_ms": 1000}}),
    ] {
        faults.add(serde_json::from_value(rule).unwrap()).unwrap();
    }
    cx.hub().inject_faults(Some(faults.clone()));
    let sku = json!({"sku": "T-1"});
    assert_eq!(cx.call(ask("shop.stock", sku.clone())).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(cx.call(ask("shop.stock", sku)).await.is_ok());
    assert_eq!(cx.call(ask("scope.whoami", json!({}))).await.unwrap_err().code(), "odd");
    let asked = cx.hub().model().complete(crate::llm::LlmRequest::new().user("x")).await.unwrap_err();
    assert_eq!(asked.retry(), crate::Retry::After(Duration::from_secs(1)));
    assert_eq!(faults.seen().len(), 4);
    cx.hub().inject_faults(None);
    assert!(cx.call(ask("scope.whoami", json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_call_of_a_tool_that_acts_on_the_outside_is_in_the_audit_log() {
    let mut slow = ToolInfo::new("shop.wait", "Waits");
    slow.timeout_ms = 20;
    let cx = scope_with(&[stock(), Odd::new(ToolInfo::new("shop.odd", "Acts")), Odd::new(slow)]).await;
    cx.call(ask("shop.odd", json!({"answer": 1}))).await.unwrap();
    cx.call(ask("shop.odd", json!({"how": "panic"}))).await.unwrap_err();
    cx.call(ask("shop.wait", json!({"how": "hang"}))).await.unwrap_err();
    cx.call(ask("shop.stock", json!({"sku": "T-100"}))).await.unwrap();
    cx.call(ask("shop.odd", json!([]))).await.unwrap_err();
    let query = json!({ "target_kind": "tool" });
    let found = cx.call_by_name("audit.query", query, crate::op::CallOptions::new()).await.unwrap();
    let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = found["items"].as_array().unwrap().iter().collect();
    rows.sort_by_key(|row| row["seq"].as_u64());
    let seen: Vec<_> =
        rows.iter().map(|r| (word(r, "target_id"), word(r, "outcome"), word(r, "reason"))).collect();
    let row = |tool: &str, how: &str, why: &str| (tool.to_owned(), how.to_owned(), why.to_owned());
    assert_eq!(
        seen,
        [
            row("shop.odd", "ok", ""),
            row("shop.odd", "failed", "outcome_unknown"),
            row("shop.wait", "failed", "tool_timeout")
        ]
    );
}
