//! A process that dies at any commit of a run, before or after the store took it.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::*;
use crate::connector::EffectId;
use crate::store::MemoryStore;
use crate::testing::DyingStore;

/// Knows what the world did by counting it.
#[derive(Debug)]
struct Counter(Arc<World>, AtomicU32);

#[async_trait]
impl Probe for Counter {
    async fn landed(&self, _: &Scope, _: &str, _: &Value, _: &EffectId) -> Result<ProbeAnswer> {
        let acted = self.0.0.load(Ordering::SeqCst);
        let known = self.1.load(Ordering::SeqCst);
        Ok(if acted > known { ProbeAnswer::Landed(json!(acted)) } else { ProbeAnswer::NotLanded })
    }
}

/// Lets agents call this without asking.
async fn allow(cx: &Scope, tool: &str) {
    let rule = json!({ "policy": { "name": tool.replace('.', "-"), "scope": { "operations": [tool] },
        "effect": { "do": "allow" }, "reason": "this world is a number" } });
    let put = cx.call_by_name("policies.put", rule, crate::op::CallOptions::new()).await.unwrap();
    let on = json!({ "id": put["id"] });
    cx.call_by_name("policies.activate", on, crate::op::CallOptions::new()).await.unwrap();
}

struct Place {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    world: Arc<World>,
}

impl Place {
    async fn new() -> Self {
        let place = Place { store: Arc::default(), clock: clock(), world: Arc::default() };
        let cx = place.open(u64::MAX, false).await;
        // Agents act on the world with a person's yes only, or by a rule like this one.
        allow(&cx, "world.act").await;
        place
    }

    async fn open(&self, commits: u64, after: bool) -> Scope {
        let dying = Arc::new(DyingStore::new(Arc::clone(&self.store)));
        let hub =
            hub(Arc::clone(&dying) as SharedStore, Arc::clone(&self.clock), Arc::clone(&self.world)).await;
        let cx = hub.workspace("default").await.unwrap();
        dying.die_after(commits, after);
        cx
    }
}

#[tokio::test]
async fn whatever_the_moment_of_death_each_step_happens_once() {
    let commands = [note("a", "one"), note("b", "two"), note("c", "three")];
    for commits in 0..8 {
        for after in [false, true] {
            let place = Place::new().await;
            let driver = Driver::new(Steps::default());
            let cx = place.open(commits, after).await;
            let first = driver.execute(&cx, new(&commands).key("k")).await;
            place.clock.advance(Duration::from_secs(31));
            let cx = place.open(u64::MAX, false).await;
            let view = driver.execute(&cx, new(&commands).key("k")).await.unwrap();
            assert_eq!(view.run.status, RunStatus::Completed, "{commits} {after} {first:?}");
            assert_eq!(notes(&cx).await, ["one", "three", "two"], "{commits} {after}");
            let runs = cx.call(ListRuns::default()).await.unwrap();
            assert_eq!(runs.items.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_probe_keeps_the_world_from_being_acted_on_twice() {
    for commits in 0..8 {
        for after in [false, true] {
            let place = Place::new().await;
            let acts = [
                Command::tool("a", "world.act", json!({"text": "x"})),
                Command::tool("b", "world.act", json!({"text": "y"})),
            ];
            let cx = place.open(commits, after).await;
            let driver = Driver::new(Steps::default());
            let first = driver.execute(&cx, new(&acts).key("k")).await;
            place.clock.advance(Duration::from_secs(31));
            let cx = place.open(u64::MAX, false).await;
            // How often the finished calls acted: what the log knows.
            let run = driver.start(&cx, new(&acts).key("k")).await.unwrap();
            let log = cx.call(GetRun { id: run.id.clone(), with_log: true }).await.unwrap().log;
            let known = log.iter().filter(|l| l.kind == "tool_done").count();
            let probe = Counter(Arc::clone(&place.world), AtomicU32::new(u32::try_from(known).unwrap()));
            let view =
                Driver::new(Steps::default()).probe(Arc::new(probe)).drive(&cx, &run.id).await.unwrap();
            assert_eq!(view.run.status, RunStatus::Completed, "{commits} {after} {first:?}");
            assert_eq!(place.world.0.load(Ordering::SeqCst), 2, "{commits} {after}");
        }
    }
}

#[tokio::test]
async fn without_a_probe_a_person_is_asked() {
    for landed in [true, false] {
        let place = Place::new().await;
        let act = [Command::tool("a", "world.act", json!({"text": "x"}))];
        // Start and hold are two commits; the third is that of the tool itself, after it acted.
        let cx = place.open(2, false).await;
        let driver = Driver::new(Steps::default());
        assert!(driver.execute(&cx, new(&act).key("k")).await.is_err());
        assert_eq!(place.world.0.load(Ordering::SeqCst), 1);
        place.clock.advance(Duration::from_secs(31));
        let cx = place.open(u64::MAX, false).await;
        let view = driver.execute(&cx, new(&act).key("k")).await.unwrap();
        assert_eq!(view.run.wait_reason.as_deref(), Some("approval"));
        assert_eq!(place.world.0.load(Ordering::SeqCst), 1);
        let payload = json!({"landed": landed, "output": 7});
        cx.call(SignalRun { id: view.run.id.clone(), wait: "?landed/a".into(), payload }).await.unwrap();
        let view = driver.drive(&cx, &view.run.id).await.unwrap();
        assert_eq!(view.output, if landed { json!([7]) } else { json!([2]) });
    }
}

#[tokio::test]
async fn a_living_process_keeps_its_hold_and_a_stale_one_writes_nothing() {
    let place = Place::new().await;
    let wait = [Command::tool("slow", "world.wait", json!({})), note("n", "late")];
    let driver = Driver::new(Steps::default());
    let one = place.open(u64::MAX, false).await;
    let run = driver.start(&one, new(&wait)).await.unwrap();
    tokio::time::pause();
    let two = place.open(u64::MAX, false).await;
    let late = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let held = driver.drive(&two, &run.id).await.unwrap_err();
        assert_eq!(held.code(), "leased");
        assert!(held.is_retryable());
        // The first process hangs for longer than its hold lasts.
        place.clock.advance(Duration::from_secs(31));
        let shown = two.call(GetRun { id: run.id.clone(), with_log: false }).await.unwrap();
        assert_eq!(shown.run.status, RunStatus::Interrupted);
        driver.drive(&two, &run.id).await
    };
    let (stale, took_over) = tokio::join!(driver.drive(&one, &run.id), late);
    assert_eq!(stale.unwrap_err().code(), "fenced");
    assert_eq!(took_over.unwrap().run.status, RunStatus::Completed);
    assert_eq!(notes(&two).await, ["late"]);
}

#[tokio::test]
async fn a_model_call_that_lost_its_answer_is_asked_again_and_counted() {
    let place = Place::new().await;
    let ask = [Command::model("m", LlmRequest::new().user("hello?"))];
    let driver = Driver::new(Steps::default());
    // The start is one commit; the next is that of the answer.
    let cx = place.open(1, false).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply("lost")));
    assert!(driver.execute(&cx, new(&ask).key("k")).await.is_err());
    place.clock.advance(Duration::from_secs(31));
    let cx = place.open(u64::MAX, false).await;
    cx.hub().add_model(Arc::new(Scripted::new().reply("kept")));
    let view = driver.execute(&cx, new(&ask).key("k")).await.unwrap();
    assert_eq!(view.output, json!(["kept"]));
    let log = cx.call(GetRun { id: view.run.id, with_log: true }).await.unwrap().log;
    let tries: Vec<_> =
        log.iter().filter(|l| l.kind == "model_called").map(|l| l.data["attempt"].clone()).collect();
    assert_eq!(tries, [json!(1), json!(2)]);
}

/// A tool that acts, loses its answer, and says this of the call afterwards.
#[derive(Debug)]
struct Pay {
    info: crate::tool::ToolInfo,
    world: Arc<World>,
    says: ProbeAnswer,
    names: std::sync::Mutex<Vec<String>>,
}

#[async_trait]
impl crate::tool::Tool for Pay {
    fn info(&self) -> &crate::tool::ToolInfo {
        &self.info
    }

    async fn call(&self, cx: &Scope, _: Value) -> Result<Value> {
        self.names.lock().unwrap().push(cx.effect().unwrap().to_string());
        let acted = self.world.0.fetch_add(1, Ordering::SeqCst) + 1;
        if acted == 1 || matches!(self.says, ProbeAnswer::Unknown) {
            return Err(Error::new(ErrorKind::OutcomeUnknown, "pay", "the line broke"));
        }
        Ok(json!(acted))
    }

    async fn landed(&self, _: &Scope, args: &Value, effect: &EffectId) -> Result<ProbeAnswer> {
        assert_eq!(args, &json!({ "euros": 5 }));
        self.names.lock().unwrap().push(effect.to_string());
        Ok(self.says.clone())
    }
}

#[tokio::test]
async fn a_tool_says_itself_what_became_of_a_lost_call() {
    for (says, output, acted) in [
        (ProbeAnswer::Landed(json!("paid")), json!(["paid"]), 1),
        (ProbeAnswer::NotLanded, json!([2]), 2),
        (ProbeAnswer::Landed(json!(["of another shape"])), Value::Null, 1),
        (ProbeAnswer::Unknown, Value::Null, 1),
    ] {
        let place = Place::new().await;
        let cx = place.open(u64::MAX, false).await;
        allow(&cx, "shop.pay").await;
        let mut info = crate::tool::ToolInfo::new("shop.pay", "Pays");
        info.output_schema = json!({ "type": ["string", "integer"] });
        let names = std::sync::Mutex::default();
        let pay = Arc::new(Pay { info, world: Arc::clone(&place.world), says: says.clone(), names });
        cx.hub().add_tool(Arc::clone(&pay) as Arc<dyn crate::tool::Tool>).unwrap();
        let call = [Command::tool("a", "shop.pay", json!({ "euros": 5 }))];
        let view = Driver::new(Steps::default()).execute(&cx, new(&call)).await.unwrap();
        assert_eq!(view.output, output, "{says:?} {view:?}");
        assert_eq!(place.world.0.load(Ordering::SeqCst), acted, "{says:?}");
        let waits = output.is_null().then_some("approval");
        assert_eq!(view.run.wait_reason.as_deref(), waits, "{says:?}");
        let names = pay.names.lock().unwrap();
        assert!(
            names.len() > 1 && names.iter().all(|name| *name == names[0]),
            "one call has one name: {names:?}"
        );
    }
}

#[tokio::test]
async fn a_call_that_never_happens_is_asked_about_in_the_end() {
    #[derive(Debug)]
    struct Never(crate::tool::ToolInfo, AtomicU32);
    #[async_trait]
    impl crate::tool::Tool for Never {
        fn info(&self) -> &crate::tool::ToolInfo {
            &self.0
        }
        async fn call(&self, _: &Scope, _: Value) -> Result<Value> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Err(Error::new(ErrorKind::OutcomeUnknown, "pay", "the line broke"))
        }
        async fn landed(&self, _: &Scope, _: &Value, _: &EffectId) -> Result<ProbeAnswer> {
            Ok(ProbeAnswer::NotLanded)
        }
    }
    let place = Place::new().await;
    let cx = place.open(u64::MAX, false).await;
    let tool = Arc::new(Never(crate::tool::ToolInfo::new("world.act2", "Acts"), AtomicU32::new(0)));
    cx.hub().add_tool(Arc::clone(&tool) as Arc<dyn crate::tool::Tool>).unwrap();
    allow(&cx, "world.act2").await;
    let call = [Command::tool("a", "world.act2", json!({}))];
    let view = Driver::new(Steps::default()).execute(&cx, new(&call)).await.unwrap();
    assert_eq!(view.run.wait_reason.as_deref(), Some("approval"));
    assert_eq!(tool.1.load(Ordering::SeqCst), 4);
}
