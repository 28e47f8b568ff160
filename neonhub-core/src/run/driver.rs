//! Starting runs and driving them to their end or their next wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::entry::{EffectClass, RunStatus, What};
use super::machine::{Failure, Program, WaitOn};
use super::record::AgentRun;
use super::state::{Moment, Next, RunState, advance, fold};
use super::{journal, lease};
use crate::connector::EffectId;
use crate::llm::{Origin, hex};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::{Expected, Key, Stored, canonical_json};
use crate::{Error, ErrorKind, Result, Scope};

/// What a new run is to be.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    input: Value,
    key: Option<String>,
    campaign: Option<String>,
    person: Option<String>,
}

impl NewRun {
    /// A run with this input.
    #[must_use]
    pub fn new(input: Value) -> Self {
        NewRun { input, ..NewRun::default() }
    }

    /// Makes the same key the same run, for this agent and workspace: 1 to 255 bytes.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Names the campaign it works on.
    #[must_use]
    pub fn campaign(mut self, id: impl Into<String>) -> Self {
        self.campaign = Some(id.into());
        self
    }

    /// Names the person it is about.
    #[must_use]
    pub fn person(mut self, id: impl Into<String>) -> Self {
        self.person = Some(id.into());
        self
    }
}

/// A run with its input and output.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// Its standing.
    pub run: AgentRun,
    /// Its input.
    pub input: Value,
    /// Its output, null until it has one.
    pub output: Value,
}

impl RunView {
    /// The output of a run that was to complete.
    ///
    /// # Errors
    /// The failure of the run; `Cancelled`; `Conflict`, code `run_waiting`, while it waits.
    pub fn into_output(self) -> Result<Value> {
        let not = |kind, code: &'static str, why: &'static str| {
            Err(Error::new(kind, "runs.output", why).with_code(code).with_context("run", &self.run.id))
        };
        match (self.run.status, &self.run.failure) {
            (RunStatus::Completed, _) => Ok(self.output),
            (_, Some(failure)) => Err(failure.to_error().with_context("run", &self.run.id)),
            (RunStatus::Cancelled, None) => not(ErrorKind::Cancelled, "cancelled", "the run was cancelled"),
            _ => not(ErrorKind::Conflict, "run_waiting", "the run is not at its end"),
        }
    }
}

/// What is known of an effect whose answer was lost.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeAnswer {
    /// It happened, with this answer.
    Landed(Value),
    /// It did not happen.
    NotLanded,
    /// Nobody can tell but a person.
    Unknown,
}

/// Tells whether an effect on the world happened, after a crash between its dispatch and its outcome.
#[async_trait]
pub trait Probe: std::fmt::Debug + Send + Sync {
    /// Asks for one effect.
    async fn landed(&self, cx: &Scope, tool: &str, args: &Value, effect: &EffectId) -> Result<ProbeAnswer>;
}

/// Drives runs of one program.
#[derive(Debug)]
pub struct Driver<P> {
    pub(super) program: P,
    pub(super) probe: Option<Arc<dyn Probe>>,
}

impl<P: Program> Driver<P> {
    /// A driver without a probe: after a crash a person is asked about effects of class `Write`.
    #[must_use]
    pub fn new(program: P) -> Self {
        Driver { program, probe: None }
    }

    /// Asks `probe` first.
    #[must_use]
    pub fn probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Starts a run, or finds the one with the same key, and drives it.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`drive`](Self::drive).
    pub async fn execute(&self, cx: &Scope, new: NewRun) -> Result<RunView> {
        let run = self.start(cx, new).await?;
        self.drive(cx, &run.id).await
    }

    /// Makes a run, in a commit of its own: its row and the first entries of its log. The same key gives the run
    /// that has it, whatever its standing.
    ///
    /// # Errors
    /// `Conflict`, code `idempotency_mismatch`, when the key belongs to a run with another input.
    pub async fn start(&self, cx: &Scope, new: NewRun) -> Result<AgentRun> {
        let input_hash = hash(&new.input)?;
        if let Some(found) = find(cx, P::AGENT, new.key.as_deref(), &input_hash).await? {
            return Ok(found);
        }
        let cx = cx.outside();
        let id = cx.new_id("run");
        let seed = cx.with_rng(crate::Rng::next_u64) & crate::llm::MAX_SEED;
        let started = What::Started {
            agent: P::AGENT.to_owned(),
            version: P::VERSION,
            input: new.input,
            seed,
            limits: self.program.limits(),
        };
        let run = AgentRun {
            id,
            agent: P::AGENT.to_owned(),
            agent_version: P::VERSION,
            status: RunStatus::Queued,
            wait_reason: None,
            wake_at: None,
            principal: cx.label().to_owned(),
            campaign_id: new.campaign,
            person_id: new.person,
            idempotency_key: new.key,
            input_hash: input_hash.clone(),
            used: super::Used::default(),
            lease: None,
            cancel_asked: false,
            signals: serde_json::Map::new(),
            failure: None,
            origin: None,
            started_at: cx.now(),
            ended_at: None,
        };
        let key = run.idempotency_key.clone();
        let row = Stored { body: run, rev: 0, created_at: cx.now(), updated_at: cx.now(), created_by: String::new() };
        let state = RunState::new(&row.id);
        let mut session = Session::new(self, &cx, row, state);
        match session.record(started, Arc::new(Unit::default())).await {
            Ok(()) => Ok(session.row.body),
            // Another caller with this key was first.
            Err(error) if error.code() == "unique_taken" => {
                find(&cx, P::AGENT, key.as_deref(), &input_hash).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Goes on with a run until it ends or waits, in this process, with commits of its own. A run that is at its
    /// end, or still waits, is given back as it stands.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with code `leased` while another process works on it, `fenced` when one took over,
    /// `spec_changed` when another version of the program began it; `Cancelled` when the caller gives up or the
    /// hub closes, and then the run goes on where it was with the next `drive`. A failure of the run itself is no
    /// error: it stands in the view.
    pub async fn drive(&self, cx: &Scope, run: &str) -> Result<RunView> {
        let cx = cx.outside();
        let _turn = cx.hub().turn(&format!("run|{}|{run}", cx.workspace())).await;
        let row = cx.need::<AgentRun>(run).await?;
        if row.agent != P::AGENT {
            return Err(cx.missing("run of this agent"));
        }
        if !row.status.is_final() {
            self.check_version(&row)?;
            let entries = journal::load(&cx, run).await?;
            let state = fold(&self.program, run, &entries)?;
            Session::new(self, &cx, row, state).work().await?;
        }
        let run = cx.need::<AgentRun>(run).await?.body;
        let (input, output) = journal::ends(&cx, &run).await?;
        Ok(RunView { run, input, output })
    }

    fn check_version(&self, run: &AgentRun) -> Result<()> {
        if run.agent_version == P::VERSION || self.program.takes_over(run.agent_version) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "runs.drive",
            "another version of the program began this run: finish it with that one, or cancel it",
        )
        .with_code("spec_changed")
        .with_context("began", run.agent_version)
        .with_context("now", P::VERSION))
    }
}

/// SHA-256 over the RFC 8785 form of an input, in hex.
fn hash(input: &Value) -> Result<String> {
    use sha2::{Digest, Sha256};
    Ok(hex(&Sha256::digest(canonical_json(input)?.as_bytes())))
}

async fn find(cx: &Scope, agent: &str, key: Option<&str>, input_hash: &str) -> Result<Option<AgentRun>> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > 255 {
        return Err(Error::invalid("runs.start", "key", "expected 1..255 bytes"));
    }
    let Some(found) = cx.find::<AgentRun>("key", Key::text(agent).and_text(key)).await? else { return Ok(None) };
    if found.input_hash != input_hash {
        return Err(Error::new(
            ErrorKind::Conflict,
            "runs.start",
            "this key belongs to a run with another input: take a new key",
        )
        .with_code("idempotency_mismatch")
        .with_context("run", &found.id));
    }
    Ok(Some(found.body))
}

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
}

impl<'d, P: Program> Session<'d, P> {
    fn new(driver: &'d Driver<P>, cx: &Scope, row: Stored<AgentRun>, state: RunState<P::State>) -> Self {
        let agent = cx.for_agent(P::AGENT, &row.id, driver.program.permissions());
        Session { driver, cx: cx.clone(), agent, row, state, fresh: BTreeSet::new() }
    }

    async fn work(&mut self) -> Result<()> {
        self.hold().await?;
        loop {
            self.cx.cancel_token().check("runs.drive")?;
            if self.row.cancel_asked {
                return self.record(cancelled(&self.state), Arc::new(Unit::default())).await;
            }
            match self.state.next() {
                Next::End => return Ok(()),
                Next::Dispatch(call, open) => self.dispatch(&call, open).await?,
                Next::Wait(wait, on) => {
                    let Some(payload) = self.answer(&wait, &on) else { return self.park(&on).await };
                    self.row.body.signals.remove(&wait);
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

    /// What a wait was answered with, if it was.
    fn answer(&self, wait: &str, on: &WaitOn) -> Option<Value> {
        match on {
            WaitOn::Timer { at } if *at <= self.cx.now() => Some(Value::Null),
            _ => self.row.signals.get(wait).cloned(),
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
        let moment = Moment {
            at: self.cx.now(),
            actor: self.agent.label().to_owned(),
            provider: self.model().provider().to_owned(),
        };
        let hub = self.cx.hub().clone();
        let class = |tool: &str| hub.operation(tool).map_or(EffectClass::Write, |entry| entry.effect.into());
        let (state, entries) = advance(&self.driver.program, self.state.clone(), what, &moment, class)?;
        let mut row = self.row.clone();
        settle(&mut row.body, &state, moment.at);
        lease::renew(&self.cx, &mut row.body);
        let scope = self.writer(&unit);
        journal::stage(&scope, &row.body, &entries).await?;
        let expected = if row.rev == 0 { Expected::Absent } else { Expected::Rev(row.rev) };
        scope.put(&row.body, expected)?;
        scope.flush().await?;
        row.rev += 1;
        for entry in entries {
            match entry.what {
                What::ModelCalled { call, .. } | What::ToolPlanned { call, .. } => drop(self.fresh.insert(call)),
                _ => {}
            }
        }
        (self.row, self.state) = (row, state);
        Ok(())
    }

    /// As [`record`](Self::record), for what has happened and must be written down even when a signal or a
    /// request to cancel changed the row meanwhile.
    pub(super) async fn record_anyway(&mut self, what: What) -> Result<()> {
        loop {
            match self.record(what.clone(), Arc::new(Unit::default())).await {
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

    /// The model that answers.
    pub(super) fn model(&self) -> Arc<dyn crate::llm::Llm> {
        self.cx.hub().model()
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
fn settle<S>(row: &mut AgentRun, state: &RunState<S>, at: crate::Timestamp) {
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
