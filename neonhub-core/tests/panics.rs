//! Panics of work that the runtime does by itself are told without what looks like a secret or an address. In a process
//! of its own: the hook of panics belongs to the whole process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside #[test] functions")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::bus::{BusEvent, Subscriber};
use neonhub_core::health::{Health, Status};
use neonhub_core::job::ops::{Enqueue, NewJob};
use neonhub_core::job::{Handler, Job, Outcome};
use neonhub_core::run::{Command, Driver, Machine, Program, RunEvent};
use neonhub_core::schedule::{CreateSchedule, Target, When};
use neonhub_core::{Hub, ManualClock, Result, Scope, Timestamp};
use serde_json::json;

const PLANTED: &str = "jane.planted@shop.example with sk-Planted1234567890";

/// Panics wherever it is asked.
#[derive(Debug)]
struct Clumsy;

#[async_trait]
impl Handler for Clumsy {
    fn queue(&self) -> &'static str {
        "test.clumsy"
    }
    async fn work(&self, _cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        // Also after an await, where another thread may go on.
        tokio::task::yield_now().await;
        match jobs.first().map(|job| job.name.as_str()) {
            Some("open") => panic!("nothing to hide in the job"),
            _ => panic!("job for {PLANTED}"),
        }
    }
}

#[async_trait]
impl Subscriber for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }
    async fn handle(&self, _cx: &Scope, _event: &BusEvent) -> Result<()> {
        panic!("event for {PLANTED}")
    }
}

#[async_trait]
impl Health for Clumsy {
    fn subject(&self) -> String {
        "clumsy".into()
    }
    async fn check(&self, _cx: &Scope) -> Result<Status> {
        panic!("check for {PLANTED}")
    }
}

impl Machine for Clumsy {
    type State = ();
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, (): (), event: &RunEvent) -> ((), Vec<Command>) {
        match event {
            RunEvent::Started { .. } => ((), vec![Command::tool("who", "scope.whoami", json!({}))]),
            _ => panic!("run for {PLANTED}"),
        }
    }
}

impl Program for Clumsy {
    const AGENT: &'static str = "clumsy";
    const VERSION: u32 = 1;
}

#[tokio::test]
async fn panics_of_jobs_agents_subscribers_and_checks_are_redacted() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = Arc::clone(&heard);
    // The host's own hook, behind which the one of the hub is not: what it is handed, a crash service gets.
    std::panic::set_hook(Box::new(move |panic| ears.lock().unwrap().push(panic.to_string())));
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder()
        .clock(Arc::clone(&clock) as _)
        .handler(Arc::new(Clumsy))
        .subscriber(Arc::new(Clumsy))
        .agent(Arc::new(Driver::new(Clumsy)))
        .build()
        .await
        .unwrap();
    hub.add_health(Arc::new(Clumsy));
    let cx = hub.workspace("default").await.unwrap();
    cx.deliver_events().await.unwrap();
    let every = When::Every { ms: 60_000, anchor: None };
    let target = Target::Agent { agent: "clumsy".into(), intent: None, input: json!({}) };
    cx.call(CreateSchedule::new("clumsy", target, every)).await.unwrap();
    for name in ["open", "secret"] {
        let job = NewJob {
            queue: "test.clumsy".into(),
            name: name.into(),
            payload: json!({}),
            ..NewJob::default()
        };
        cx.call(Enqueue { job }).await.unwrap();
        assert!(cx.work_until_idle().await.unwrap().failed >= 1, "{name}");
    }
    clock.advance(Duration::from_secs(60));
    assert!(cx.work_until_idle().await.unwrap().failed >= 1, "the agent");
    assert!(cx.deliver_events().await.unwrap().failed >= 1, "the subscriber");
    cx.check_health().await.unwrap();
    let heard = heard.lock().unwrap();
    assert!(
        heard.iter().any(|text| text.contains("nothing to hide")),
        "the hook of the host hears: {heard:?}"
    );
    assert!(heard.iter().all(|text| !text.contains("planted") && !text.contains("Planted")), "{heard:?}");
}
