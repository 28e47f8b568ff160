//! Schedules whose target is an agent, fired under a clock that is moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::bus::Event;
use crate::job::{Job, JobState};
use crate::op::{Effect, Entry, Operation, entry};
use crate::permission::{Permission, Role};
use crate::run::{AgentRun, Command, Driver, Machine, Program, RunEvent, RunStatus, SignalRun, WaitOn};
use crate::store::{MemoryStore, Query, SharedStore};
use crate::{Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

/// What the outside does to the errands.
#[derive(Debug, Default)]
struct Outside {
    /// Calls that still fail.
    fails: AtomicU32,
    calls: AtomicU32,
    begun: tokio::sync::Notify,
}

/// Fails as often as it is told, or never answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Try {
    #[serde(default)]
    hangs: bool,
}

impl Operation for Try {
    type Output = u32;
    const NAME: &'static str = "errands.try";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = Duration::from_secs(600);
    async fn run(self, cx: &Scope) -> Result<u32> {
        let outside = cx.service::<Outside>()?;
        let calls = outside.calls.fetch_add(1, Ordering::SeqCst) + 1;
        outside.begun.notify_one();
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if outside.fails.load(Ordering::SeqCst) > 0 {
            outside.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unavailable, Self::NAME, "closed").with_retry(Retry::Backoff));
        }
        Ok(calls)
    }
}

static OPERATIONS: &[Entry] = &[entry::<Try>()];

/// Does what its input says: `wait` for a signal, or call an operation and answer with what it said.
#[derive(Debug)]
struct Errand;

impl Machine for Errand {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        let next = match event {
            RunEvent::Started { input, .. } if input["wait"] == true => {
                Command::Wait { wait: "go".into(), on: WaitOn::Signal { name: "go".into() } }
            }
            RunEvent::Started { input, .. } => {
                let tool = input["tool"].as_str().unwrap_or("errands.try").to_owned();
                Command::tool("try", tool, input.get("args").cloned().unwrap_or(json!({})))
            }
            RunEvent::ToolDone { output, .. } => Command::done(json!({ "said": output })),
            RunEvent::Woken { payload, .. } => Command::done(json!({ "heard": payload })),
            other => Command::Fail { failure: other.failure() },
        };
        ((), vec![next])
    }
}

impl Program for Errand {
    const AGENT: &'static str = "errand";
    const VERSION: u32 = 1;
    const INTENT: &'static str = "fetch";
}

struct Shop {
    cx: Scope,
    clock: Arc<ManualClock>,
    outside: Arc<Outside>,
}

async fn shop_on(store: SharedStore, outside: Arc<Outside>) -> Shop {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder()
        .store_backend(store)
        .clock(Arc::clone(&clock) as _)
        .root_key(crate::seal::RootKey::from_bytes([1; 32], "test"))
        .operations(OPERATIONS)
        .service(Arc::clone(&outside))
        .agent(Arc::new(Driver::new(Errand)))
        .build()
        .await
        .unwrap();
    Shop { cx: hub.workspace("default").await.unwrap(), clock, outside }
}

async fn shop() -> Shop {
    shop_on(Arc::new(MemoryStore::new()), Arc::default()).await
}

fn errand(input: Value) -> Target {
    Target::Agent { agent: "errand".into(), intent: Some("fetch".into()), input }
}

fn new(input: Value) -> CreateSchedule {
    CreateSchedule::new("errands", errand(input), When::Every { ms: 60_000, anchor: None })
}

impl Shop {
    async fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.cx.work_until_idle().await.unwrap();
    }
    async fn sessions(&self) -> Vec<AgentSession> {
        let mut all: Vec<AgentSession> = self
            .cx
            .query::<AgentSession>(&Query::by_id())
            .await
            .unwrap()
            .into_iter()
            .map(|s| s.body)
            .collect();
        all.sort_by_key(|s| s.planned_at);
        all
    }
    async fn states(&self) -> Vec<SessionState> {
        self.sessions().await.into_iter().map(|s| s.state).collect()
    }
    async fn run_of(&self, session: &AgentSession) -> AgentRun {
        self.cx.need::<AgentRun>(session.run_ids.last().unwrap()).await.unwrap().body
    }
    async fn job_of(&self, session: &AgentSession) -> Job {
        self.cx.need::<Job>(session.job_id.as_ref().unwrap()).await.unwrap().body
    }
    async fn signal(&self, session: &AgentSession) {
        let id = session.run_ids.last().unwrap().clone();
        self.cx.call(SignalRun { id, wait: "go".into(), payload: json!("now") }).await.unwrap();
    }
    async fn told(&self, word: &str) -> Vec<Value> {
        let events = self.cx.query::<Event>(&Query::by_id().limit(500)).await.unwrap();
        events.into_iter().filter(|e| e.kind == word).map(|e| e.body.data).collect()
    }
}

mod cost;
mod health;
mod runs;
