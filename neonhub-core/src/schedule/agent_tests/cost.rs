//! What the runs of a session cost.

use async_trait::async_trait;
use futures_util::stream;

use super::*;
use crate::llm::table::{ModelRow, OverrideModel};
use crate::llm::{Delta, DeltaStream, Llm, LlmRequest, ModelCaps, Origin, StopKind, Usage};

/// Uses 8 tokens in and 50 out.
#[derive(Debug)]
struct House;

#[async_trait]
impl Llm for House {
    fn provider(&self) -> &str {
        "house"
    }
    fn caps(&self, _: Option<&str>) -> ModelCaps {
        ModelCaps { context_tokens: 100_000, max_output_tokens: 1_000, ..ModelCaps::unknown("m") }
    }
    async fn call(&self, _: LlmRequest) -> Result<DeltaStream> {
        let started = Delta::Started { provider: "house".into(), model: "m".into(), origin: Origin::Model };
        let text = Delta::Text { choice: 0, text: "hi".into() };
        let usage = Usage { input_uncached: 8, output_visible: 50, exact: true, ..Usage::default() };
        let deltas = [started, text, Delta::Usage(usage), Delta::Done(StopKind::Done)];
        Ok(Box::pin(stream::iter(deltas.map(Ok))))
    }
}

/// Asks the model, then fails as often as the outside says.
#[derive(Debug)]
struct Asker;

impl Machine for Asker {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { .. } => {
                let request = LlmRequest::new().user("How are you?").max_output_tokens(100);
                Command::CallModel { call: "ask".into(), request: Box::new(request) }
            }
            RunEvent::ModelDone { .. } => Command::tool("try", "errands.try", json!({})),
            RunEvent::ToolDone { .. } => Command::done(json!({})),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![next])
    }
}

impl Program for Asker {
    const AGENT: &'static str = "asker";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn a_session_adds_up_what_models_cost_all_its_runs() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let outside = Arc::new(Outside::default());
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as _)
        .operations(OPERATIONS)
        .service(Arc::clone(&outside))
        .model(Arc::new(House))
        .agent(Arc::new(Driver::new(Asker)))
        .build()
        .await
        .unwrap();
    let shop = Shop { cx: hub.workspace("default").await.unwrap(), clock, outside };
    // A dollar for a million tokens in, two for a million out: 108 micros a call.
    let row: ModelRow = serde_json::from_value(json!({
        "provider": "house", "model": "m", "kinds": ["text"], "source": "the test",
        "prices": { "currency": "USD", "input": 1_000_000, "output": 2_000_000 },
    }))
    .unwrap();
    shop.cx
        .call(OverrideModel { provider: "house".into(), model: "m".into(), row: Some(row) })
        .await
        .unwrap();
    shop.outside.fails.store(1, Ordering::SeqCst);
    let target = Target::Agent { agent: "asker".into(), intent: None, input: json!({}) };
    let made = CreateSchedule::new("ask", target, When::Every { ms: 60_000, anchor: None });
    let made = shop.cx.call(made).await.unwrap();
    shop.wait(60).await;
    let usd = |micros| vec![SessionCost { currency: "USD".into(), micros }];
    let first = shop.sessions().await.remove(0);
    assert_eq!((first.state, first.cost), (SessionState::Pending, usd(108)), "its first run failed");
    shop.cx.call(PauseSchedule { id: made.id, reason: "one is enough".into() }).await.unwrap();
    shop.wait(600).await;
    let all = shop.sessions().await;
    let ended = all.iter().find(|s| s.id == first.id).unwrap();
    assert_eq!((ended.state, ended.run_ids.len()), (SessionState::Completed, 2));
    assert_eq!(ended.cost, usd(216), "both of its runs");
}
