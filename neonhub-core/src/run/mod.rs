//! Runs: every agent works as a step machine over an append-only log.
//!
//! A [`Program`] is `step(state, event) -> (state, commands)` without clock, chance or I/O. The [`Driver`] does
//! what it asks for and writes down, in one commit per step, what was meant and what came of it; first run and
//! resume after a crash, also in another process, are the same code: [`fold`] the log and go on. Tools are
//! operations of the catalogue: what they change is in the same commit as their outcome, so a step happens whole
//! or not at all. Operations that act on the world (`Effect::Write`) are planned in the log first, and after a
//! crash a [`Probe`] or a person says whether they landed. A call that a quota holds up waits for a person who allows more.
//!
//! ```
//! use neonhub_core::run::{Command, Driver, Machine, NewRun, Program, RunEvent};
//! use neonhub_core::Hub;
//! use serde_json::{Value, json};
//!
//! /// Asks who is calling, and answers with it.
//! #[derive(Debug)]
//! struct Greeter;
//!
//! impl Machine for Greeter {
//!     type State = Option<String>;
//!     type Event = RunEvent;
//!     type Command = Command;
//!     fn step(&self, state: Option<String>, event: &RunEvent) -> (Option<String>, Vec<Command>) {
//!         match event {
//!             RunEvent::Started { input, .. } => {
//!                 let name = input["name"].as_str().unwrap_or("you").to_owned();
//!                 (Some(name), vec![Command::tool("who", "scope.whoami", json!({}))])
//!             }
//!             RunEvent::ToolDone { output, .. } => {
//!                 let greeting = format!("hello {}", state.clone().unwrap_or_default());
//!                 (state, vec![Command::done(json!({ "text": greeting, "as": output["principal"]["kind"] }))])
//!             }
//!             other => (state, vec![Command::Fail { failure: other.failure() }]),
//!         }
//!     }
//! }
//!
//! impl Program for Greeter {
//!     const AGENT: &'static str = "greeter";
//!     const VERSION: u32 = 1;
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let hub = Hub::builder().build().await?;
//! let cx = hub.workspace("default").await?;
//! let driver = Driver::new(Greeter);
//! let run = driver.execute(&cx, NewRun::new(json!({ "name": "Ann" })).key("greet-ann")).await?;
//! assert_eq!(run.output, json!({ "text": "hello Ann", "as": "agent" }));
//! // The same key is the same run: nothing happens twice.
//! let again = driver.execute(&cx, NewRun::new(json!({ "name": "Ann" })).key("greet-ann")).await?;
//! assert_eq!(again.run.id, run.run.id);
//! # hub.close().await?;
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod agent;
mod day;
mod dispatch;
mod driver;
mod entry;
mod execution;
mod fork;
mod journal;
mod lease;
mod machine;
mod message;
mod ops;
mod pack;
mod pause;
mod receipt;
mod record;
mod retell;
mod served;
mod session;
mod state;

use crate::op::{Entry as Operation, entry as operation};
use crate::store::Kind;

pub use agent::Agent;
pub(crate) use agent::intent_of;
pub use day::RunCount;
pub use driver::{Driver, NewRun, Probe, ProbeAnswer, RunView};
pub use entry::{EffectClass, Entry, LOG_VERSION, RunStatus, ToolState, What, effect_of};
pub use execution::{ToolExecution, ToolExecutionState};
pub use fork::{Fork, ForkEffects, ForkedFrom, UnderFork};
pub use machine::{Command, Failure, Limits, Machine, Program, RunEvent, WaitOn};
pub use message::message_signal;
pub use ops::{CancelRun, GetRun, ListRuns, LogLine, RunDetails, SignalRun};
pub use receipt::{AnswerFrom, CallCost, Receipt};
pub use record::{AgentRun, LogEntry, RunLease, RunSpec};
pub use retell::{Edits, Replay, RunDivergence};
pub use state::{Moment, Next, Open, RunState, Used, advance, fold};

/// Operations on runs.
pub static CATALOGUE: &[Operation] =
    &[operation::<GetRun>(), operation::<ListRuns>(), operation::<CancelRun>(), operation::<SignalRun>()];

/// Records of runs.
pub static KINDS: &[Kind] = &[Kind::of::<AgentRun>(), Kind::of::<LogEntry>(), Kind::of::<RunCount>()];

pub use journal::load as load_log;

#[cfg(test)]
mod tests;
