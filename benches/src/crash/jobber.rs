//! The child of the runtime checks: it enqueues without end, works what is enqueued, and fires a schedule.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::job::ops::{EnqueueFlow, EnqueueMany, NewJob, NewNode};
use neonhub_core::job::{Backoff, Handler, Job, Outcome, Queue};
use neonhub_core::schedule::{CreateSchedule, Overlap, Target, When};
use neonhub_core::store::{Expected, Kind, Record};
use neonhub_core::vault::RootKey;
use neonhub_core::{Error, ErrorKind, Hub, Retry, Rng, Scope, Seed};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Result;

/// Jobs in work at once.
pub(super) const CONCURRENCY: usize = 4;
pub(super) const QUEUE: &str = "crash.work";
/// Pause of a child whose server is away.
const AWAY: Duration = Duration::from_millis(50);

/// How often a job was done, written in the commit of its outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) id: String,
    pub(super) times: u64,
}

impl Record for Ledger {
    const KIND: &'static str = "crash_ledger";

    fn id(&self) -> &str {
        &self.id
    }
}

static KINDS: &[Kind] = &[Kind::of::<Ledger>()];

/// Where children and checks meet.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// URL of the store.
    pub(super) store: String,
    /// Where the handlers note that they began: an effect that no commit holds back.
    pub(super) effects: PathBuf,
}

impl Place {
    /// A file in this folder.
    pub(super) fn file(folder: &Path) -> Self {
        let store = folder.join("runtime.neon").to_string_lossy().into_owned();
        Self { store, effects: folder.join("effects") }
    }

    /// A store on a server, which may be away for a moment.
    fn is_server(&self) -> bool {
        self.store.starts_with("postgres://")
    }

    /// A child at work here.
    pub(super) fn child(&self, seed: u64) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", "runtime-jobber", &self.store]).arg(&self.effects).arg(seed.to_string());
        Ok(command)
    }

    /// A child that only works.
    pub(super) fn worker(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", super::WORKER, &self.store]).arg(&self.effects);
        Ok(command)
    }

    /// True when the answer says no more than that the server is away: what was asked counts as not acknowledged.
    fn is_outage(&self, error: &Error) -> bool {
        self.is_server() && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)
    }
}

/// Opens the hub of both sides.
pub(super) async fn open(place: &Place) -> neonhub_core::Result<Hub> {
    let io = |cause| Error::internal("crash.open", cause);
    let effects = OpenOptions::new().create(true).append(true).open(&place.effects).map_err(io)?;
    let queue = Queue::declare(QUEUE)
        .concurrency(CONCURRENCY)
        .backoff(Backoff::doubling(Duration::from_millis(1), Duration::from_millis(5)))
        .handler(Arc::new(Once(effects)))
        .build();
    let mut builder = Hub::builder().store(&place.store).kinds(KINDS).queue(queue);
    if place.is_server() {
        builder = builder.root_key(RootKey::from_bytes([0x5a; 32], "crash"));
    }
    builder.build().await
}

/// Does each job once by its ledger.
#[derive(Debug)]
struct Once(File);

#[async_trait]
impl Handler for Once {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn batch(&self) -> usize {
        1
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> neonhub_core::Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(self.one(cx, job).await?);
        }
        Ok(outcomes)
    }
}

impl Once {
    async fn one(&self, cx: &Scope, job: &Job) -> neonhub_core::Result<Outcome> {
        let word = |key: &str| job.payload.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        // A job of the schedule has no number: its id stands for it.
        let id = if word("n") == 0 { job.id.clone() } else { word("n").to_string() };
        let line = format!("{id} {}\n", job.attempts);
        let noted = (&self.0).write_all(line.as_bytes());
        noted.map_err(|cause| Error::internal("crash.work", cause))?;
        tokio::time::sleep(Duration::from_micros(word("us"))).await;
        if word("flaky") > 0 && job.attempts == 0 {
            let error = Error::new(ErrorKind::Unavailable, "crash.work", "as asked");
            return Ok(Outcome::Failed(error.with_retry(Retry::Backoff)));
        }
        match cx.get::<Ledger>(&id).await? {
            Some(mut known) => {
                known.body.times += 1;
                cx.save(&known)?;
            }
            None => cx.put(&Ledger { id, times: 1 }, Expected::Absent)?,
        }
        Ok(Outcome::Done)
    }
}

/// Plays the child: arguments are the URL of the store, the file of the effects and a seed. Never returns unless an
/// error ends it.
///
/// # Errors
/// Whatever the hub answers: none is expected, but from a server that is away.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [store, effects, seed] = arguments else {
        return Err("the jobber needs a store, a file and a seed".into());
    };
    let place = Place { store: store.clone(), effects: effects.into() };
    let seed: u64 = seed.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (_hub, cx) = patiently(&place, || begin(&place)).await?;
        let mut rng = Seed::from_number(seed).rng();
        let mut number = seed * 1_000_000;
        loop {
            let made = match enqueue(&cx, &mut rng, &mut number).await {
                Ok(made) => made,
                Err(error) if place.is_outage(&error) => {
                    tokio::time::sleep(AWAY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let numbers: Vec<String> = made.iter().map(ToString::to_string).collect();
            // One write for the whole line: the check counts complete lines only.
            std::io::stdout().lock().write_all(format!("{}\n", numbers.join(" ")).as_bytes())?;
        }
    })
}

/// Plays a child that only works: arguments are the URL of the store and the file of the effects.
///
/// # Errors
/// Whatever the hub answers: none is expected, but from a server that is away.
pub(crate) fn play_worker(arguments: &[String]) -> Result<()> {
    let [store, effects] = arguments else { return Err("the worker needs a store and a file".into()) };
    let place = Place { store: store.clone(), effects: effects.into() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let _at_work = patiently(&place, || begin(&place)).await?;
        std::io::stdout().lock().write_all(b"ready\n")?;
        std::future::pending().await
    })
}

/// Does something again while the server is away.
async fn patiently<T, F: Future<Output = neonhub_core::Result<T>>>(
    place: &Place,
    mut work: impl FnMut() -> F,
) -> Result<T> {
    loop {
        match work().await {
            Err(error) if place.is_outage(&error) => tokio::time::sleep(AWAY).await,
            other => return Ok(other?),
        }
    }
}

/// A hub at work.
async fn begin(place: &Place) -> neonhub_core::Result<(Hub, Scope)> {
    let hub = open(place).await?;
    let cx = hub.workspace("default").await?;
    schedule(&cx).await?;
    hub.start_workers(&[]).await?;
    Ok((hub, cx))
}

/// The schedule that all children share: once a second, a job of the same queue.
pub(super) async fn schedule(cx: &Scope) -> neonhub_core::Result<()> {
    let target = Target::Job { queue: QUEUE.into(), name: "tick".into(), payload: json!({ "us": 100 }) };
    let every = When::Every { ms: 1_000, anchor: None };
    let new = CreateSchedule { overlap: Overlap::Allow, ..CreateSchedule::new("tick", target, every) };
    match cx.call(new).await {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Enqueues one commit of jobs; gives their numbers once it is acknowledged.
async fn enqueue(cx: &Scope, rng: &mut Rng, number: &mut u64) -> neonhub_core::Result<Vec<u64>> {
    let shape = rng.below(5);
    let count = if shape < 3 { 1 } else { 2 + rng.below(4) };
    let mut made = Vec::new();
    let mut jobs = Vec::new();
    for _ in 0..count {
        *number += 1;
        made.push(*number);
        let payload = json!({ "n": *number, "us": rng.below(1_500), "flaky": u64::from(rng.below(5) == 0) });
        let job = NewJob { queue: QUEUE.into(), name: "work".into(), payload, ..NewJob::default() };
        jobs.push(match shape {
            1 => NewJob { delay_ms: Some(rng.below(20)), ..job },
            2 => NewJob { group: Some(format!("g{}", rng.below(3))), ..job },
            _ => job,
        });
    }
    if shape == 4 {
        // The first waits for all the others.
        let after: Vec<String> = (1..jobs.len()).map(|n| n.to_string()).collect();
        let nodes = jobs.into_iter().enumerate().map(|(n, job)| NewNode {
            key: n.to_string(),
            job,
            after: if n == 0 { after.clone() } else { Vec::new() },
        });
        cx.call(EnqueueFlow { nodes: nodes.collect() }).await?;
    } else {
        cx.call(EnqueueMany { jobs }).await?;
    }
    Ok(made)
}
