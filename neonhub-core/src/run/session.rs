//! One process's work on one run: taking it, recording each step in one commit, leaving it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::driver::{Driver, RunView};
use super::entry::{EffectClass, Entry, RunStatus, ToolState, What};
use super::machine::{Failure, Program, WaitOn};
use super::record::AgentRun;
use super::state::{Moment, Next, Open, RunState, advance};
use super::{journal, lease};
use crate::llm::{Llm, Origin};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Expected, Stored};
use crate::{Result, Scope};

/// One process's work on one run.
pub(super) struct Session<'d, P: Program> {
    pub(super) driver: &'d Driver<P>,
    pub(super) cx: Scope,
    /// The program's own rights.
    pub(super) agent: Scope,
    pub(super) row: Stored<AgentRun>,
    pub(super) state: RunState<P::State>,
    /// Calls planned by this very session: they were not dispatched before.
    pub(super) fresh: BTreeSet<String>,
    /// The beginning of the run while it is in no commit yet.
    unwritten: Vec<Entry>,
    /// When this session began each call.
    pub(super) began: BTreeMap<String, Instant>,
    /// How often a tool said of each call that it did not happen.
    pub(super) again: BTreeMap<String, u32>,
}

/// A run as it is to be next, with the entries that bring it there.
struct Followed<S> {
    row: Stored<AgentRun>,
    state: RunState<S>,
    entries: Vec<Entry>,
}

impl<'d, P: Program> Session<'d, P> {
    pub(super) fn new(
        driver: &'d Driver<P>,
        cx: &Scope,
        row: Stored<AgentRun>,
        state: RunState<P::State>,
    ) -> Self {
        let agent = cx.for_agent(driver.program.agent(), &row.id, driver.program.permissions());
        Session {
            driver,
            cx: cx.clone(),
            agent,
            row,
            state,
            fresh: BTreeSet::new(),
            unwritten: Vec::new(),
            began: BTreeMap::new(),
            again: BTreeMap::new(),
        }
    }

    /// Takes the run and goes on with it.
    pub(super) async fn work(&mut self) -> Result<()> {
        if self.row.lease.is_none() {
            // Nobody held this run before: what its start planned was never dispatched.
            self.fresh = self.state.open.iter().map(|(call, _)| call.clone()).collect();
        }
        self.hold().await?;
        self.go_on().await
    }

    /// Goes on with the run that is held, until it ends or waits.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        loop {
            self.cx.cancel_token().check("runs.drive")?;
            if self.row.cancel_asked {
                return self.record(cancelled(&self.state), Arc::new(Unit::default())).await;
            }
            self.take_messages().await?;
            match self.state.next() {
                Next::End => return Ok(()),
                Next::Dispatch(call, open) => self.dispatch(&call, open).await?,
                Next::Wait(wait, on) => {
                    let Some(payload) = self.answer(&wait, &on) else { return self.park(&on).await };
                    self.row.body.signals.remove(signal(&wait, &on).as_ref());
                    self.record_anyway(What::Woken { wait, payload }).await?;
                }
            }
        }
    }

    /// Takes the run, or finds that nothing is to be done yet.
    async fn hold(&mut self) -> Result<()> {
        lease::take(&self.cx, &mut self.row)?;
        let scope = self.writer(&Arc::new(Unit::default()));
        scope.save(&self.row)?;
        match scope.flush().await {
            Ok(_) => {
                self.row.rev += 1;
                Ok(())
            }
            Err(error) if error.code() == "stale_revision" => Err(lease::fenced(&self.row.id)),
            Err(error) => Err(error),
        }
    }

    /// The run as this session leaves it.
    pub(super) fn view(self, input: Value) -> RunView {
        RunView { run: self.row.body, input, output: self.state.output }
    }

    /// What a wait was answered with, if it was.
    fn answer(&self, wait: &str, on: &WaitOn) -> Option<Value> {
        match on {
            WaitOn::Timer { at } if *at <= self.cx.now() => Some(Value::Null),
            WaitOn::Tool { name } => crate::tool::is_here(&self.cx, name).then_some(Value::Null),
            _ => self.row.signals.get(signal(wait, on).as_ref()).cloned(),
        }
    }

    /// Leaves the run waiting.
    async fn park(&mut self, on: &WaitOn) -> Result<()> {
        self.row.body.status = RunStatus::Waiting;
        self.row.body.wait_reason = Some(on.reason());
        self.row.body.wake_at = if let WaitOn::Timer { at } = on { Some(*at) } else { None };
        lease::release(&mut self.row.body);
        let scope = self.writer(&Arc::new(Unit::default()));
        scope.save(&self.row)?;
        match scope.flush().await {
            Ok(_) => Ok(()),
            // A signal came in this moment: take it up at once.
            Err(error) if error.code() == "stale_revision" => {
                self.reload().await?;
                Box::pin(self.work()).await
            }
            Err(error) => Err(error),
        }
    }

    /// A scope that stages into `unit` and commits it.
    pub(super) fn writer(&self, unit: &Arc<Unit>) -> Scope {
        let seed = self.cx.seed().split(&[self.row.id.as_bytes(), &self.state.next_seq.to_le_bytes()]);
        self.cx.inside("runs.append", seed, Writing::Job(Arc::clone(unit)), self.cx.cancel_token().clone())
    }

    /// Commits `what` and all that follows from it, together with what is staged in `unit`.
    pub(super) async fn record(&mut self, what: What, unit: Arc<Unit>) -> Result<()> {
        let followed = self.follow(what)?;
        self.write(followed, unit).await
    }

    async fn write(&mut self, followed: Followed<P::State>, unit: Arc<Unit>) -> Result<()> {
        let Followed { mut row, state, entries } = followed;
        let scope = self.writer(&unit);
        let entries: Vec<Entry> = self.unwritten.iter().cloned().chain(entries).collect();
        journal::stage(&scope, &row.body, &entries).await?;
        let expected = if row.rev == 0 { Expected::Absent } else { Expected::Rev(row.rev) };
        scope.put(&row.body, expected)?;
        scope.flush().await?;
        row.rev += 1;
        self.count(&entries, &row);
        self.unwritten.clear();
        self.moved_to(row, state, &entries);
        Ok(())
    }

    /// Begins the run. Where it may wait, and the first call is a short read of our own, the next commit holds the beginning
    /// too: a process that is gone before it has begun nothing.
    pub(super) async fn begin(&mut self, started: What, may_wait: bool) -> Result<()> {
        let followed = self.follow(started)?;
        let is_short = matches!(
            followed.state.open.as_slice(),
            [(_, Open::Tool { tool, class: EffectClass::Pure | EffectClass::Read, .. })]
                if self.cx.hub().operation(tool).is_ok_and(|operation| operation.internal)
        );
        if !(may_wait && is_short) {
            return self.write(followed, Arc::new(Unit::default())).await;
        }
        let Followed { row, state, entries } = followed;
        self.moved_to(row, state, &entries);
        self.unwritten = entries;
        Ok(())
    }

    /// True once the store knows the run.
    pub(super) fn is_written(&self) -> bool {
        self.row.rev > 0
    }

    /// What becomes of the run with `what`.
    fn follow(&self, what: What) -> Result<Followed<P::State>> {
        let moment = Moment {
            at: self.cx.now(),
            actor: self.agent.label().to_owned(),
            provider: self.model().provider().to_owned(),
        };
        let class = |tool: &str| crate::tool::effect_class(&self.cx, tool);
        let (state, entries) = advance(&self.driver.program, self.state.clone(), what, &moment, class)?;
        let mut row = self.row.clone();
        settle(&mut row.body, &state, moment.at);
        lease::renew(&self.cx, &mut row.body);
        Ok(Followed { row, state, entries })
    }

    fn moved_to(&mut self, row: Stored<AgentRun>, state: RunState<P::State>, entries: &[Entry]) {
        for entry in entries {
            if let What::ModelCalled { call, .. } | What::ToolPlanned { call, .. } = &entry.what {
                self.fresh.insert(call.clone());
            }
        }
        (self.row, self.state) = (row, state);
    }

    /// Counts what was just written down.
    fn count(&self, entries: &[Entry], row: &AgentRun) {
        let telemetry = self.cx.hub().telemetry();
        for entry in entries {
            match &entry.what {
                What::Finished { status, failure, .. } => {
                    let took = entry.at.since(row.started_at);
                    let code = failure.as_ref().map_or("", |f| f.code.as_str());
                    let program = &self.driver.program;
                    telemetry.run_ended(program.agent(), status.word(), program.intent(), took, code);
                }
                What::ToolDone { call, state, failure, .. } => {
                    let Some((tool, class)) = self.state.tool(call) else { continue };
                    let outcome = if *state == ToolState::Landed { "landed" } else { "not_landed" };
                    telemetry.effect(tool, class.word(), outcome);
                    if let Some(began) = self.began.get(call) {
                        let code = failure.as_ref().map_or("", |f| f.code.as_str());
                        telemetry.tool_took(tool, code, began.elapsed());
                    }
                }
                What::Wait { wait, .. } => {
                    // The wait that asks a person whether an effect landed.
                    let asked =
                        wait.strip_prefix(super::state::LANDED).and_then(|call| self.state.tool(call));
                    if let Some((tool, class)) = asked {
                        telemetry.effect(tool, class.word(), "unknown");
                    }
                }
                _ => {}
            }
        }
    }

    /// As [`record`](Self::record), for what has happened and must be written down even when a signal or a
    /// request to cancel changed the row meanwhile.
    pub(super) async fn record_anyway(&mut self, what: What) -> Result<()> {
        self.record_with(what, |_| Ok(())).await
    }

    /// As [`record_anyway`](Self::record_anyway), with what `stage` adds to the commit.
    pub(super) async fn record_with(
        &mut self,
        what: What,
        stage: impl Fn(&Scope) -> Result<()>,
    ) -> Result<()> {
        loop {
            let unit = Arc::new(Unit::default());
            stage(&self.writer(&unit))?;
            match self.record(what.clone(), unit).await {
                Err(error) if error.code() == "stale_revision" => self.reload().await?,
                other => return other,
            }
        }
    }

    /// Reads the row anew.
    ///
    /// # Errors
    /// `Conflict`, code `fenced`, when the hold is lost.
    pub(super) async fn reload(&mut self) -> Result<()> {
        let now = self.cx.need::<AgentRun>(&self.row.id).await?;
        if !lease::is_same(&self.row, &now) || now.status.is_final() {
            return Err(lease::fenced(&self.row.id));
        }
        self.row = now;
        Ok(())
    }

    /// The model, asked as the agent in its run: quotas of both bound it, and its cost is the run's.
    pub(super) fn model(&self) -> Arc<dyn Llm> {
        self.agent.model()
    }
}

/// The name under which a wait is answered: a question to a person is answered by its own id.
fn signal<'w>(wait: &'w str, on: &WaitOn) -> Cow<'w, str> {
    match on {
        WaitOn::Approval { approval: Some(id), .. } => Cow::Owned(crate::approval::signal_of(id)),
        _ => Cow::Borrowed(wait),
    }
}

/// The end of a run that was cancelled; effects without outcome are named.
fn cancelled<S: Default + Clone>(state: &RunState<S>) -> What {
    let open: Vec<&str> = state.open.iter().map(|(call, _)| call.as_str()).collect();
    What::Finished {
        status: RunStatus::Cancelled,
        output: serde_json::json!({ "open": open }),
        failure: None::<Failure>,
    }
}

/// Brings the row in line with the state.
pub(super) fn settle<S>(row: &mut AgentRun, state: &RunState<S>, at: crate::Timestamp) {
    if row.lease.is_some() || state.status.is_final() {
        row.status = state.status;
    }
    row.used = state.used;
    row.wait_reason = state.waits.first().map(|(_, on)| on.reason());
    row.wake_at = None;
    row.failure.clone_from(&state.failure);
    if state.used.model_calls > 0 {
        row.origin = Some(if state.is_offline { Origin::Offline } else { Origin::Model });
    }
    if state.status.is_final() {
        row.ended_at = Some(at);
        row.signals.clear();
        lease::release(row);
    }
}
