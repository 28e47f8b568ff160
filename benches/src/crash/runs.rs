//! Runs of agents whose process dies at a commit, before or after the store took it, at every boundary of the log and with
//! every class of effect: each effect happens once, and what nobody can know is asked of a person.

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neonhub_core::llm::{LlmRequest, Scripted};
use neonhub_core::op::CallOptions;
use neonhub_core::run::{Command, Driver, GetRun, ListRuns, LogLine, NewRun, RunStatus, RunView, SignalRun};
use neonhub_core::store::{MemoryStore, Query, SharedStore};
use neonhub_core::testing::DyingStore;
use neonhub_core::{Hub, ManualClock, Rng, Scope, Timestamp};
use serde_json::{Value, json};

use super::Options;
use crate::Result;
use world::{Asker, KINDS, Mark, Planned, TOOLS, World};

/// Sorts of steps. A call is named after its sort, so that a log tells what a boundary belongs to.
const SORTS: [&str; 6] = ["look", "jot", "reserve", "send", "post", "model"];
/// Most steps of a run, and most deaths of it.
const MOST: (u64, u64) = (5, 3);
/// Longer than a process holds a run without a word.
const LEASE: Duration = Duration::from_secs(31);
/// After so many lives a run does not end at all.
const LIVES: u32 = 40;
/// With so many runs every boundary must have been met.
const ENOUGH: u64 = 5_000;
/// The waits of calls that nobody knows the outcome of.
const IN_DOUBT: &str = "?landed/";

/// Runs the check.
///
/// # Errors
/// Names the first run that did not end, did something twice, or went on without asking.
pub(super) fn check(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rng = options.rng();
    let mut book = Book::default();
    for run in 0..options.kills {
        runtime.block_on(one(&mut rng, &mut book)).map_err(|error| format!("run {run}: {error}"))?;
    }
    book.print(options.kills)
}

/// Deaths by boundary: the entries of the commit and the sort of its call, before and after the commit was taken.
#[derive(Debug, Default)]
struct Book {
    deaths: BTreeMap<String, [u64; 2]>,
    asked: u64,
}

impl Book {
    fn died(&mut self, store: &DyingStore, is_taken: bool) {
        let commit = store.last_commit();
        let mut entries: Vec<String> = commit
            .iter()
            .filter(|(kind, _)| *kind == "run_log_entry")
            .filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok())
            .map(|entry| label(&entry))
            .collect();
        if entries.is_empty() {
            // The hold on a run, and what a tool commits by itself after it acted.
            entries.extend(commit.first().map(|(kind, _)| (*kind).to_owned()));
        }
        for entry in entries {
            if let Some(count) = self.deaths.entry(entry).or_default().get_mut(usize::from(is_taken)) {
                *count += 1;
            }
        }
    }

    fn print(&self, runs: u64) -> Result<()> {
        let deaths: u64 = self.deaths.values().flatten().sum();
        println!("{:<24} {:>8} {:>8}", "died at", "before", "after");
        for (boundary, [before, after]) in &self.deaths {
            println!("{boundary:<24} {before:>8} {after:>8}");
        }
        println!(
            "{runs} runs, {deaths} boundaries died at: every effect happened once, a person was asked {} times",
            self.asked
        );
        let planned = SORTS.iter().flat_map(|sort| {
            let plan = if *sort == "model" { "model" } else { "tool" };
            ["planned", "done"].map(|entry| format!("{plan}_{entry} {sort}"))
        });
        let others = [
            "started",
            "finished",
            "model_called model",
            "tool_called send",
            "tool_called post",
            "wait",
            "woken",
        ];
        let missed = planned
            .chain(others.map(str::to_owned))
            .find(|boundary| self.deaths.get(boundary).is_none_or(|counts| counts.contains(&0)));
        match missed {
            Some(boundary) if runs >= ENOUGH => Err(format!("no run died at `{boundary}`").into()),
            _ => Ok(()),
        }
    }
}

/// `tool_done send`: the word of an entry, and the sort of the call when it is of one.
fn label(entry: &Value) -> String {
    let kind = entry.get("kind").and_then(Value::as_str).unwrap_or_default();
    let call = entry.get("data").and_then(|data| data.get("call")).and_then(Value::as_str);
    match call.and_then(|call| call.split('-').next()) {
        Some(sort) => format!("{kind} {sort}"),
        None => kind.to_owned(),
    }
}

/// What the processes of one run share.
#[derive(Debug)]
struct Place {
    records: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    world: Arc<World>,
}

impl Place {
    async fn new() -> Result<Self> {
        let place = Place {
            records: Arc::default(),
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000))),
            world: Arc::default(),
        };
        let (cx, _) = place.process().await?;
        // Agents act on the world with a person's yes only, or by a rule like this one.
        let rule = json!({ "policy": { "name": "let-act", "scope": { "operations": ["crash.*"] },
            "effect": { "do": "allow" }, "reason": "this world is a list" } });
        let put = cx.call_by_name("policies.put", rule, CallOptions::new()).await?;
        cx.call_by_name("policies.activate", json!({ "id": put.get("id") }), CallOptions::new()).await?;
        Ok(place)
    }

    /// A process that lives until it is told to die.
    async fn process(&self) -> Result<(Scope, Arc<DyingStore>)> {
        let store = Arc::new(DyingStore::new(Arc::clone(&self.records)));
        let hub = Hub::builder()
            .operations(TOOLS)
            .kinds(KINDS)
            .store_backend(Arc::clone(&store) as SharedStore)
            .clock(Arc::clone(&self.clock) as _)
            .service(Arc::clone(&self.world))
            .build()
            .await?;
        let script = (0..MOST.0).fold(Scripted::new(), |script, _| script.reply("fine"));
        hub.add_model(Arc::new(script.lenient()));
        Ok((hub.workspace("default").await?, store))
    }
}

/// The steps of a run.
fn plan(rng: &mut Rng) -> Vec<Command> {
    let step = |n: u64, rng: &mut Rng| {
        let sort = SORTS.get(rng.below(SORTS.len() as u64) as usize).copied().unwrap_or_default();
        let call = format!("{sort}-{n}");
        if sort == "model" {
            return Command::model(call, LlmRequest::new().user("how is it?"));
        }
        let args = json!({ "text": call, "is_lost": rng.below(5) == 0 });
        Command::tool(call, format!("crash.{sort}"), args)
    };
    let steps = 1 + rng.below(MOST.0);
    (0..steps).map(|n| step(n, rng)).collect()
}

async fn one(rng: &mut Rng, book: &mut Book) -> Result<()> {
    let place = Place::new().await?;
    let plan = plan(rng);
    let input = serde_json::to_value(&plan)?;
    let driver = Driver::new(Planned).probe(Arc::new(Asker));
    let mut deaths = 1 + rng.below(MOST.1);
    let mut doubts = Vec::new();
    for _ in 0..LIVES {
        let (cx, store) = place.process().await?;
        let is_taken = rng.below(2) == 1;
        if deaths > 0 {
            store.die_after(rng.below(2 + 3 * plan.len() as u64), is_taken);
        }
        let done = driver.execute(&cx, NewRun::new(input.clone()).key("the-one")).await;
        place.clock.advance(LEASE);
        match done {
            Ok(view) if view.run.status == RunStatus::Completed => {
                return settled(&place, &plan, &view, &doubts).await;
            }
            Ok(view) if view.run.status == RunStatus::Waiting => {
                book.asked += 1;
                answer(&place, &view).await?;
            }
            Ok(view) => return Err(format!("it ended {:?}: {:?}", view.run.status, view.run.failure).into()),
            Err(_) if store.is_dead() => {
                deaths -= 1;
                book.died(&store, is_taken);
                doubts.extend(doubt(&store, is_taken));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("it does not end after {LIVES} processes").into())
}

/// The call that acted where nobody can ask, and whose outcome was not written.
fn doubt(store: &DyingStore, is_taken: bool) -> Option<String> {
    let commit = store.last_commit();
    let read =
        |(kind, body): &(&'static str, String)| Some((*kind, serde_json::from_str::<Value>(body).ok()?));
    commit.iter().filter_map(read).find_map(|(kind, body)| match kind {
        "run_log_entry" if !is_taken && label(&body) == "tool_done post" => {
            body.pointer("/data/call").and_then(Value::as_str).map(str::to_owned)
        }
        // What the tool itself commits after it acted.
        "crash_mark" => {
            body.get("text").and_then(Value::as_str).filter(|t| t.starts_with("post")).map(str::to_owned)
        }
        _ => None,
    })
}

/// A person looks, and says what happened.
async fn answer(place: &Place, view: &RunView) -> Result<()> {
    let (cx, _) = place.process().await?;
    let log = log(&cx, view).await?;
    let wait = log.last().and_then(|line| line.data.get("wait")).and_then(Value::as_str).unwrap_or_default();
    let call = wait.strip_prefix(IN_DOUBT).ok_or_else(|| format!("it waits for `{wait}`"))?;
    let landed = place.world.done().contains_key(call);
    let payload = json!({ "landed": landed, "output": 1 });
    cx.call(SignalRun { id: view.run.id.clone(), wait: wait.to_owned(), payload }).await?;
    Ok(())
}

async fn log(cx: &Scope, view: &RunView) -> Result<Vec<LogLine>> {
    Ok(cx.call(GetRun { id: view.run.id.clone(), with_log: true }).await?.log)
}

/// Compares what happened with the plan.
async fn settled(place: &Place, plan: &[Command], view: &RunView, doubts: &[String]) -> Result<()> {
    let (cx, _) = place.process().await?;
    if view.output != json!(plan.len()) {
        return Err(format!("{} of {} steps came back", view.output, plan.len()).into());
    }
    if cx.call(ListRuns::default()).await?.items.len() != 1 {
        return Err("the key gave two runs".into());
    }
    let mut marks: BTreeMap<String, u32> = BTreeMap::new();
    for mark in cx.query::<Mark>(&Query::by_id().limit(100)).await? {
        *marks.entry(mark.body.text).or_default() += 1;
    }
    let acted = place.world.done();
    let log = log(&cx, view).await?;
    let asked = |call: &str| {
        let wait = format!("{IN_DOUBT}{call}");
        log.iter().any(|l| l.kind == "wait" && l.data.get("wait").and_then(Value::as_str) == Some(&wait))
    };
    for command in plan {
        let Command::CallTool { call, tool, args } = command else { continue };
        let times = match tool.as_str() {
            "crash.jot" | "crash.reserve" => marks.get(call),
            "crash.send" | "crash.post" => acted.get(call),
            _ => continue,
        };
        if times != Some(&1) {
            return Err(format!("{call} happened {} times", times.unwrap_or(&0)).into());
        }
        let is_lost = args.get("is_lost") == Some(&json!(true));
        if tool == "crash.post" && (is_lost || doubts.contains(call)) && !asked(call) {
            return Err(format!("nobody was asked about {call}, whose outcome was not known").into());
        }
    }
    Ok(())
}
