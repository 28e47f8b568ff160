//! Quotas hold, whoever calls at the same time, and every call is counted once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::*;
use crate::llm::table::{ModelRow, OverrideModel};
use crate::llm::{Delta, DeltaStream, Llm, LlmRequest, ModelCaps, Origin, StopKind, Usage};
use crate::op::Operation as _;
use crate::run::{CancelRun, Command, Driver, Machine, NewRun, Program, RunEvent, RunStatus};
use crate::store::Query;
use crate::{Currency, Error, ErrorKind, Hub, ManualClock, Money, Result, Scope, Timestamp};

/// A model that uses what it is told to, or fails.
#[derive(Clone, Debug)]
struct House {
    input: u64,
    output: u64,
    fails: Option<ErrorKind>,
    hangs: bool,
}

#[async_trait]
impl Llm for House {
    fn provider(&self) -> &str {
        "house"
    }
    fn caps(&self, _: Option<&str>) -> ModelCaps {
        ModelCaps { context_tokens: 100_000, max_output_tokens: 1_000, ..ModelCaps::unknown("m") }
    }
    async fn call(&self, _: LlmRequest) -> Result<DeltaStream> {
        tokio::task::yield_now().await;
        if let Some(kind) = self.fails {
            return Err(Error::new(kind, "llm.call", "as the test asked"));
        }
        let started =
            Delta::Started { provider: "house".into(), model: "m-2026-08-01".into(), origin: Origin::Model };
        let text = Delta::Text { choice: 0, text: "hi".into() };
        if self.hangs {
            let head = stream::iter([Ok(started), Ok(text)]);
            return Ok(Box::pin(head.chain(stream::pending())));
        }
        let usage = Usage {
            input_uncached: self.input,
            output_visible: self.output,
            exact: true,
            ..Usage::default()
        };
        let deltas = [started, text, Delta::Usage(usage), Delta::Done(StopKind::Done)];
        Ok(Box::pin(stream::iter(deltas.map(Ok))))
    }
}

/// By our estimate the request has 8 tokens; its worst case is 109 tokens and 209 micros.
const GOOD: House = House { input: 8, output: 50, fails: None, hangs: false };

fn usd(minor: i64) -> Option<Money> {
    Some(Money::new(minor, Currency::parse("currency", "USD").unwrap()).unwrap())
}

/// A dollar for a million tokens in, two for a million out.
async fn priced(cx: &Scope) {
    let row: ModelRow = serde_json::from_value(json!({
        "provider": "house", "model": "m", "kinds": ["text"], "source": "the test",
        "prices": { "currency": "USD", "input": 1_000_000, "output": 2_000_000 },
    }))
    .unwrap();
    cx.call(OverrideModel { provider: "house".into(), model: "m".into(), row: Some(row) }).await.unwrap();
}

async fn world(model: House) -> (Hub, Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:30:00Z").unwrap()));
    let hub = Hub::builder().clock(clock.clone()).seed(1).model(Arc::new(model)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx, clock)
}

fn ask() -> LlmRequest {
    LlmRequest::new().user("How are you?").max_output_tokens(100)
}

async fn usages(cx: &Scope) -> Vec<TokenUsage> {
    cx.query::<TokenUsage>(&Query::by_id()).await.unwrap().into_iter().map(|u| u.body).collect()
}

fn day(subject: QuotaSubject) -> PutQuota {
    PutQuota::of(subject, QuotaWindow::Day)
}

#[tokio::test]
async fn a_call_is_counted_with_its_cost_by_the_name_without_the_day() {
    let (_hub, cx, _) = world(GOOD).await;
    priced(&cx).await;
    let mut request = ask().purpose("compose");
    request.labels.insert("campaign".into(), "cmp_1".into());
    cx.model().complete(request).await.unwrap();
    let [usage] = <[TokenUsage; 1]>::try_from(usages(&cx).await).unwrap();
    assert_eq!((usage.input, usage.output, usage.estimated), (8, 50, false));
    assert_eq!((usage.cost_micros, usage.currency.as_deref()), (Some(108), Some("USD")));
    assert_eq!((usage.model.as_str(), usage.campaign.as_deref()), ("m-2026-08-01", Some("cmp_1")));
    assert_eq!(usage.principal, cx.label());
    let report = cx.call(UsageReport { by: UsageBy::Campaign, ..UsageReport::default() }).await.unwrap();
    assert_eq!((report[0].name.as_str(), report[0].calls, report[0].cost_micros), ("cmp_1", 1, 108));
    let before = UsageReport { to: Some(usage.at), ..UsageReport::default() };
    assert!(cx.call(before).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_offline_model_is_free_and_not_counted() {
    let hub = Hub::builder().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    cx.call(PutQuota { money: usd(0), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let template = crate::llm::OfflineTemplate::new("hello", json!({}));
    assert_eq!(cx.model().complete(ask().offline(template)).await.unwrap().text, "hello");
    assert!(usages(&cx).await.is_empty());
}

#[tokio::test]
async fn what_an_agent_uses_counts_for_whom_it_acts_for() {
    let (_hub, cx, _) = world(GOOD).await;
    priced(&cx).await;
    cx.call(PutQuota { money: usd(0), ..day(QuotaSubject::Principal { id: cx.label().to_owned() }) })
        .await
        .unwrap();
    let agent = cx.for_agent("helper", "run_1", crate::PermissionSet::all());
    assert_eq!(agent.model().complete(ask()).await.unwrap_err().code(), "budget_paused");
    // Also what another agent uses that it asked.
    let second = agent.for_agent("second", "run_2", crate::PermissionSet::all());
    assert_eq!(second.model().complete(ask()).await.unwrap_err().code(), "budget_paused");
    let other =
        cx.hub().scope("default", crate::Principal::User { id: "ada".into() }, crate::Role::Owner).await;
    other.unwrap().model().complete(ask()).await.unwrap();
}

#[tokio::test]
async fn no_call_starts_that_could_pass_a_limit() {
    let (_hub, cx, clock) = world(GOOD).await;
    priced(&cx).await;
    cx.call(PutQuota { money: usd(0), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let error = cx.model().complete(ask()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::BudgetExceeded, "budget_paused"));
    assert!(error.context().any(|(key, left)| key == "left" && left == "0"), "{error:?}");
    assert!(usages(&cx).await.is_empty(), "nothing was asked");
    // A cent: 10,000 micros.
    let raised = PutQuota { money: usd(1), hard: HardLimit::Fail, ..day(QuotaSubject::Workspace) };
    cx.call(raised).await.unwrap();
    let mut calls = 0;
    let error = loop {
        match cx.model().complete(ask()).await {
            Ok(_) => calls += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "budget_spent");
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.used_micros, state.held_micros), (calls * 108, 0));
    assert!(state.used_micros <= 10_000 && state.left_micros.unwrap() < 209, "{state:?}");
    clock.advance(Duration::from_secs(24 * 3_600));
    cx.model().complete(ask()).await.unwrap();
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.at.as_deref(), state.used_micros), (Some("2026-11-22"), 108));
}

#[tokio::test]
async fn sixty_four_at_once_never_pass_a_limit() {
    let (_hub, cx, _) = world(GOOD).await;
    priced(&cx).await;
    cx.call(PutQuota { tokens: Some(2_000), ..day(QuotaSubject::Workspace) }).await.unwrap();
    cx.call(PutQuota { money: usd(1), ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Hour) })
        .await
        .unwrap();
    let calls = (0..64).map(|_| {
        let cx = cx.clone();
        tokio::spawn(async move { cx.model().complete(ask()).await.map(|_| ()) })
    });
    let mut done = 0;
    for call in futures_util::future::join_all(calls).await {
        match call.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error:?}"),
        }
    }
    for state in cx.call(GetQuotas::default()).await.unwrap() {
        assert_eq!((state.held_micros, state.held_tokens), (0, 0));
        assert_eq!((state.used_tokens, state.used_micros), (done * 58, done * 108));
    }
    assert_eq!(usages(&cx).await.len() as u64, done);
    // 18 worst cases fit at once, and 34 calls by what they really use.
    assert!((18..=34).contains(&done), "{done}");
}

#[tokio::test]
async fn what_fails_costs_nothing_and_what_breaks_off_costs_its_estimate() {
    for (fails, cost) in [(ErrorKind::Unavailable, None), (ErrorKind::Timeout, Some(()))] {
        let (_hub, cx, _) = world(House { fails: Some(fails), ..GOOD }).await;
        priced(&cx).await;
        cx.call(PutQuota { tokens: Some(1_000), ..day(QuotaSubject::Workspace) }).await.unwrap();
        assert_eq!(cx.model().complete(ask()).await.unwrap_err().kind(), fails);
        let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
        assert_eq!(state.held_tokens, 0);
        assert_eq!(state.used_tokens > 100, cost.is_some(), "{fails:?} {state:?}");
        assert!(usages(&cx).await.iter().all(|usage| usage.estimated));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_settles_its_estimate() {
    let (_hub, cx, _) = world(House { hangs: true, ..GOOD }).await;
    priced(&cx).await;
    cx.call(PutQuota { tokens: Some(1_000), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let mut stream = cx.model().call(ask()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let held = cx.call(GetQuotas::default()).await.unwrap().remove(0).held_tokens;
    assert!(held > 100, "{held}");
    drop(stream);
    while usages(&cx).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.held_tokens, state.used_tokens > 100), (0, true));
    assert!(usages(&cx).await[0].estimated);
}

#[tokio::test]
async fn a_hold_of_a_process_that_died_counts_as_used_after_an_hour() {
    let (_hub, cx, clock) = world(House { hangs: true, ..GOOD }).await;
    cx.call(PutQuota { tokens: Some(150), ..day(QuotaSubject::Workspace) }).await.unwrap();
    // Leaked: nobody settles it, as if the process were gone.
    std::mem::forget(cx.model().call(ask()).await.unwrap());
    assert_eq!(cx.model().call(ask()).await.err().unwrap().kind(), ErrorKind::BudgetExceeded);
    clock.advance(Duration::from_secs(3_601));
    let state = cx.call(GetQuotas::default()).await.unwrap().remove(0);
    assert_eq!((state.held_tokens, state.used_tokens > 100), (0, true));
    assert_eq!(cx.model().call(ask()).await.err().unwrap().kind(), ErrorKind::BudgetExceeded);
}

#[tokio::test]
async fn an_unknown_price_passes_no_limit_of_money_unless_it_is_allowed() {
    let (_hub, cx, _) = world(GOOD).await;
    cx.call(PutQuota { money: usd(100), ..day(QuotaSubject::Workspace) }).await.unwrap();
    let error = cx.model().complete(ask()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "unknown_price"));
    let allowed = PutQuota { money: usd(100), allow_unknown_price: true, ..day(QuotaSubject::Workspace) };
    cx.call(allowed).await.unwrap();
    cx.model().complete(ask()).await.unwrap();
    assert_eq!(usages(&cx).await[0].cost_micros, None);
    priced(&cx).await;
    let euro = Some(Money::new(100, Currency::parse("currency", "EUR").unwrap()).unwrap());
    cx.call(PutQuota { money: euro, ..day(QuotaSubject::Workspace) }).await.unwrap();
    assert_eq!(cx.model().complete(ask()).await.unwrap_err().code(), "unknown_price", "dollars are no euros");
}

#[tokio::test]
async fn quotas_bound_whom_they_name_and_tell_when_little_is_left() {
    let (_hub, cx, _) = world(GOOD).await;
    let other = QuotaSubject::Principal { id: "user:somebody".into() };
    let campaign = QuotaSubject::Campaign { id: "cmp_1".into() };
    let agent = QuotaSubject::Agent { name: "campaign".into() };
    for subject in [other, campaign, agent] {
        cx.call(PutQuota { tokens: Some(0), ..day(subject) }).await.unwrap();
    }
    cx.model().complete(ask()).await.unwrap();
    let mut labelled = ask();
    labelled.labels.insert("campaign".into(), "cmp_1".into());
    assert_eq!(cx.model().complete(labelled).await.unwrap_err().kind(), ErrorKind::BudgetExceeded);
    let mine = QuotaSubject::Principal { id: cx.label().to_owned() };
    cx.call(PutQuota { tokens: Some(500), soft_share: Some(0.5), ..day(mine) }).await.unwrap();
    for _ in 0..5 {
        cx.model().complete(ask()).await.unwrap();
    }
    let told: Vec<_> = cx.query::<crate::bus::Event>(&Query::by_id()).await.unwrap();
    assert_eq!(told.iter().filter(|event| event.kind == "economy.soft_cap").count(), 1);
}

/// Asks the model once.
#[derive(Debug)]
struct Asker;

impl Machine for Asker {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let command = match event {
            RunEvent::Started { .. } => Command::model("ask", ask().max_output_tokens(1_000)),
            RunEvent::ModelDone { .. } => Command::done(json!(null)),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![command])
    }
}

impl Program for Asker {
    const AGENT: &'static str = "asker";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn the_budget_of_a_run_holds_the_runs_below_it_too() {
    let (_hub, cx, _) = world(House { output: 1_000, ..GOOD }).await;
    priced(&cx).await;
    let driver = Driver::new(Asker);
    // A cent is 10,000 micros; a call takes 2,008.
    let cent = usd(1).unwrap();
    let root = driver.execute(&cx, NewRun::new(json!("root")).budget(cent)).await.unwrap().run;
    let mut below = 0;
    let failure = loop {
        // Two levels of runs, and the one in between has a budget that is larger.
        let dollar = usd(100).unwrap();
        let between = NewRun::new(json!(below)).child_of(&root.id, 1).budget(dollar);
        let between = driver.start(&cx, between).await.unwrap();
        let child = driver.execute(&cx, NewRun::new(json!(below)).child_of(&between.id, 2)).await.unwrap();
        match child.run.failure {
            Some(failure) => break failure,
            None => below += 1,
        }
    };
    assert_eq!((below, failure.code.as_str()), (3, "budget_spent"));
    let of_root = GetQuotas { subject: Some(QuotaSubject::Run { id: root.id }) };
    let state = cx.call(of_root).await.unwrap().remove(0);
    assert_eq!((state.used_micros, state.held_micros, state.left_micros), (4 * 2_008, 0, Some(1_968)));
    // The budget is the run's alone, and is no quota that stays.
    driver.execute(&cx, NewRun::new(json!("free"))).await.unwrap().into_output().unwrap();
    assert!(cx.call(GetQuotas::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_run_used_is_a_part_of_the_commit_of_its_answer() {
    let (_hub, cx, _) = world(GOOD).await;
    let driver = Driver::new(Asker);
    let writers = || async {
        let used = cx.query::<TokenUsage>(&Query::by_id()).await.unwrap();
        let mut writers: Vec<String> = used.into_iter().map(|usage| usage.created_by).collect();
        writers.sort();
        writers
    };
    driver.execute(&cx, NewRun::new(json!(1))).await.unwrap().into_output().unwrap();
    assert_eq!(writers().await, [cx.label()]);
    // What was held is let go at once.
    let bounded = NewRun::new(json!(2)).budget(usd(100).unwrap());
    priced(&cx).await;
    driver.execute(&cx, bounded).await.unwrap().into_output().unwrap();
    assert_eq!(writers().await, ["system:economy", cx.label()]);
    // What is settled beside that commit is in none, and written by itself.
    let late = Gathered::new(&cx);
    for _ in 0..2 {
        cx.gathering(&late).model().complete(ask()).await.unwrap();
    }
    late.kept(1);
    drop(late);
    while writers().await.len() < 3 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_run_used_is_counted_also_when_its_answer_is_not_kept() {
    let (_hub, cx, _) = world(House { hangs: true, ..GOOD }).await;
    let driver = Driver::new(Asker);
    let run = driver.start(&cx, NewRun::new(json!(null))).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(200), driver.drive(&cx, &run.id)).await;
    assert!(gone.is_err());
    while usages(&cx).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(usages(&cx).await[0].run.as_deref(), Some(run.id.as_str()));
    let other = driver.start(&cx, NewRun::new(json!(null))).await.unwrap();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cx.call(CancelRun { id: other.id.clone() }).await.unwrap()
    };
    let (view, _) = tokio::join!(driver.drive(&cx, &other.id), cancel);
    assert_eq!(view.unwrap().run.status, RunStatus::Cancelled);
    while usages(&cx).await.len() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn wrong_quotas_are_named_and_one_can_be_taken_away() {
    let (_hub, cx, _) = world(GOOD).await;
    let wrong = |quota: PutQuota| {
        let cx = cx.clone();
        async move { cx.call(quota).await.unwrap_err().field_faults()[0].field.clone() }
    };
    let quota = || PutQuota { tokens: Some(10), ..day(QuotaSubject::Workspace) };
    assert_eq!(wrong(PutQuota { soft_share: Some(0.0), ..quota() }).await, "soft_share");
    assert_eq!(wrong(PutQuota { money: usd(-1), ..quota() }).await, "money");
    assert_eq!(
        wrong(PutQuota { subject: QuotaSubject::Run { id: "run_1".into() }, ..quota() }).await,
        "window"
    );
    assert_eq!(
        wrong(PutQuota { subject: QuotaSubject::Agent { name: String::new() }, ..quota() }).await,
        "subject"
    );
    assert!(cx.call(quota()).await.unwrap().is_some());
    assert!(cx.call(day(QuotaSubject::Workspace)).await.unwrap().is_none());
    assert!(cx.call(GetQuotas::default()).await.unwrap().is_empty());
    let price = cx.call(PriceUsage::examples().remove(0)).await.unwrap();
    assert_eq!(price.micros, None);
}

#[path = "pause_tests.rs"]
mod pause;
