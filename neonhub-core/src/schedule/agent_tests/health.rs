//! Agents that are not there, may not, or are ill.

use super::*;

#[tokio::test]
async fn agents_and_intents_must_exist_and_work_with_the_rights_of_who_asked() {
    let shop = shop().await;
    let ask = |agent: &str, intent: Option<&str>| {
        let target = Target::Agent {
            agent: agent.into(),
            intent: intent.map(str::to_owned),
            input: json!({ "tool": "audit.verify" }),
        };
        CreateSchedule::new("asked", target, When::Every { ms: 60_000, anchor: None })
    };
    let unknown = shop.cx.call(ask("erand", None)).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.to_string().contains("closest=errand"), "{unknown}");
    let unknown = shop.cx.call(ask("errand", Some("fetsch"))).await.unwrap_err();
    assert!(unknown.to_string().contains("closest=fetch"), "{unknown}");
    let viewer = shop.cx.with_role(Role::Viewer).call(ask("errand", None)).await.unwrap_err();
    assert_eq!(viewer.kind(), ErrorKind::PermissionDenied);
    // A member may start agents and may not read the audit log: neither may the run.
    shop.cx.with_role(Role::Member).call(ask("errand", None)).await.unwrap();
    shop.wait(60).await;
    let session = shop.sessions().await.remove(0);
    assert_eq!((session.state, session.reason.as_deref()), (SessionState::Failed, Some("permission_denied")));
    let twice = Hub::builder().agent(Arc::new(Driver::new(Errand))).agent(Arc::new(Driver::new(Errand)));
    assert_eq!(twice.build().await.unwrap_err().kind(), ErrorKind::Config);
}

/// An agent that can fall ill.
#[derive(Debug)]
struct Frail {
    driver: Driver<Errand>,
    is_ill: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl crate::run::Agent for Frail {
    fn name(&self) -> &str {
        "frail"
    }
    fn intents(&self) -> Vec<&str> {
        vec!["fetch", "carry"]
    }
    fn check(&self, intent: &str, input: &Value) -> Result<()> {
        if intent == "carry" && input["what"].is_null() {
            return Err(Error::invalid("agents.check", "input.what", "expected what to carry"));
        }
        Ok(())
    }
    async fn health(&self, _cx: &Scope) -> Result<crate::health::Status> {
        if self.is_ill.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "test", "ill"));
        }
        Ok(crate::health::Status::Healthy)
    }
    async fn start(&self, cx: &Scope, _intent: &str, new: crate::run::NewRun) -> Result<AgentRun> {
        self.driver.start(cx, new).await
    }
    async fn drive(&self, cx: &Scope, run: &str) -> Result<crate::run::RunView> {
        self.driver.drive(cx, run).await
    }
}

#[tokio::test]
async fn an_agent_that_failed_its_checks_is_started_again_once_it_is_well() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let frail = Arc::new(Frail { driver: Driver::new(Errand), is_ill: true.into() });
    let outside = Arc::new(Outside::default());
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as _)
        .operations(OPERATIONS)
        .service(Arc::clone(&outside))
        .agent(Arc::clone(&frail) as _)
        .build()
        .await
        .unwrap();
    let shop = Shop { cx: hub.workspace("default").await.unwrap(), clock, outside };
    let target = |intent: Option<&str>, input| Target::Agent {
        agent: "frail".into(),
        intent: intent.map(str::to_owned),
        input,
    };
    let every = || When::Every { ms: 3_600_000, anchor: None };
    let new = |intent, input| CreateSchedule {
        retries: Some(0),
        ..CreateSchedule::new("frail", target(intent, input), every())
    };
    let several = shop.cx.call(new(None, json!({}))).await.unwrap_err();
    assert!(several.field_faults()[0].message.contains("fetch, carry"), "{several}");
    let wrong = shop.cx.call(new(Some("carry"), json!({}))).await.unwrap_err();
    assert_eq!(wrong.field_faults()[0].field, "input.what", "the agent itself says what it takes");
    shop.cx.call(new(Some("fetch"), json!({}))).await.unwrap();
    for _ in 0..3 {
        shop.cx.check_health().await.unwrap();
    }
    shop.wait(3_600).await;
    let session = shop.sessions().await.remove(0);
    assert_eq!((session.state, session.reason.as_deref()), (SessionState::Failed, Some("agent_unavailable")));
    assert!(session.run_ids.is_empty());
    frail.is_ill.store(false, Ordering::SeqCst);
    shop.cx.check_health().await.unwrap();
    shop.wait(3_600).await;
    assert_eq!(shop.states().await, [SessionState::Failed, SessionState::Completed]);
}
