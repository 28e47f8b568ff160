//! Starting runs and driving them to their end or their next wait.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::entry::{RunStatus, What};
use super::fork::{ForkedFrom, UnderFork};
use super::machine::Program;
use super::record::{AgentRun, RunSpec, is_foreign};
use super::session::Session;
use super::state::{RunState, fold};
use super::{day, journal, lease};
use crate::connector::EffectId;
use crate::llm::hex;
use crate::op::Unit;
use crate::resilience::Counted;
use crate::store::{Key, Stored, canonical_json};
use crate::{Error, ErrorKind, Money, Permission, Result, Scope};

/// How often a start is counted anew when other processes start runs of the same agent at the same time.
const COUNT_TRIES: u32 = 16;

/// What a new run is to be.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    input: Value,
    key: Option<String>,
    campaign: Option<String>,
    person: Option<String>,
    intent: Option<String>,
    spec: Option<RunSpec>,
    parent: Option<(String, u8)>,
    budget: Option<Money>,
    per_day: Option<u32>,
    forked_from: Option<ForkedFrom>,
    under_fork: Option<UnderFork>,
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

    /// Names what is asked of the agent. Default: the intent of the program.
    #[must_use]
    pub fn intent(mut self, name: impl Into<String>) -> Self {
        self.intent = Some(name.into());
        self
    }

    /// Pins the description of the agent that the program is made from.
    #[must_use]
    pub fn spec(mut self, spec: RunSpec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// Makes it a child of another run; `depth` is the number of runs above it.
    #[must_use]
    pub fn child_of(mut self, run: impl Into<String>, depth: u8) -> Self {
        self.parent = Some((run.into(), depth));
        self
    }

    /// Bounds what models may cost in it and in the runs below it.
    #[must_use]
    pub fn budget(mut self, most: Money) -> Self {
        self.budget = Some(most);
        self
    }

    /// Bounds the runs of the agent that begin on one day by UTC, this one among them. A run that is found by its key is no
    /// new one.
    #[must_use]
    pub fn per_day(mut self, most: u32) -> Self {
        self.per_day = Some(most);
        self
    }

    /// Says that it goes another way than a run that was there before, where nothing of that one's log is taken over.
    #[must_use]
    pub fn forked_from(mut self, first: ForkedFrom) -> Self {
        self.forked_from = Some(first);
        self
    }

    /// Has it take over what the fork above it says.
    #[must_use]
    pub fn under_fork(mut self, fork: UnderFork) -> Self {
        self.under_fork = Some(fork);
        self
    }

    /// The key that makes it one run.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Its input.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
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
    /// A driver without a probe of its own: after a crash the tool is asked about its effects of class `Write`
    /// ([`Tool::landed`](crate::tool::Tool::landed)), and a person about what it cannot tell.
    #[must_use]
    pub fn new(program: P) -> Self {
        Driver { program, probe: None }
    }

    /// Asks `probe` in the place of the tools.
    #[must_use]
    pub fn probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Starts a run, or finds the one with the same key, and drives it. This process holds a new run from its first commit
    /// on, which spares the one that takes it. A run without key, person and bound of the day, whose first call is an
    /// internal operation that only reads, begins in the commit that holds that call's outcome.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`drive`](Self::drive).
    pub async fn execute(&self, cx: &Scope, new: NewRun) -> Result<RunView> {
        let input = new.input.clone();
        match self.begin(cx, new, Hold::Here).await? {
            Begun::Found(run) => self.drive(cx, &run.id).await,
            Begun::New { mut session, turn: _turn } => {
                // Boxed: a tool of a run may drive runs below it.
                Box::pin(session.go_on()).await?;
                Ok(session.view(input))
            }
        }
    }

    /// Makes a run, in a commit of its own: its row and the first entries of its log. The same key gives the run
    /// that has it, whatever its standing.
    ///
    /// # Errors
    /// `Conflict`, code `idempotency_mismatch`, when the key belongs to a run with another input or intent; `RateLimited`
    /// when this principal started too many runs of this agent, code `agent_quota` when the agent has had its runs of the
    /// day.
    pub async fn start(&self, cx: &Scope, new: NewRun) -> Result<AgentRun> {
        Ok(match self.begin(cx, new, Hold::Nobody).await? {
            Begun::Found(run) => *run,
            Begun::New { session, .. } => session.row.body,
        })
    }

    async fn begin(&self, cx: &Scope, new: NewRun, hold: Hold) -> Result<Begun<'_, P>> {
        let input_hash = hash(&new.input)?;
        let agent = self.program.agent();
        let intent = new.intent.unwrap_or_else(|| self.program.intent().to_owned());
        let asked = Asked { agent, intent: &intent, input_hash: &input_hash };
        if let Some(found) = asked.find(cx, new.key.as_deref()).await? {
            return Ok(Begun::Found(Box::new(found)));
        }
        // Bounded starts take turns: in this process none loses its commit to another.
        let _counted = match new.per_day {
            Some(_) => Some(cx.hub().turn(&format!("runs.start|{}|{agent}", cx.workspace())).await),
            None => None,
        };
        if new.per_day.is_some()
            && let Some(found) = asked.find(cx, new.key.as_deref()).await?
        {
            return Ok(Begun::Found(Box::new(found)));
        }
        cx.admit(Counted::Agent, &format!("{}|{agent}", cx.label())).await?;
        // Drawn from the caller's own chance: a derived scope would start it anew and repeat an id.
        let id = cx.new_id("run");
        let seed = cx.with_rng(crate::Rng::next_u64) & crate::llm::MAX_SEED;
        let cx = cx.outside();
        let started = What::Started {
            agent: agent.to_owned(),
            version: P::VERSION,
            input: new.input,
            seed,
            limits: self.program.limits(),
        };
        let rights = self.rights(&cx);
        let foreign_input = new.parent.is_none() && is_foreign(&cx).await?;
        let run = AgentRun {
            id,
            agent: agent.to_owned(),
            agent_version: P::VERSION,
            status: RunStatus::Queued,
            wait_reason: None,
            wake_at: None,
            principal: cx.label().to_owned(),
            foreign_input,
            rights,
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
            intent: Some(intent.clone()),
            spec: new.spec,
            budget: new.budget,
            depth: new.parent.as_ref().map_or(0, |(_, depth)| *depth),
            parent_run: new.parent.map(|(run, _)| run),
            trace: cx.0.trace.as_ref().map(ToString::to_string),
            forked_from: new.forked_from,
            under_fork: new.under_fork,
            started_at: cx.now(),
            ended_at: None,
        };
        let key = run.idempotency_key.clone();
        let mut row = Stored {
            body: run,
            rev: 0,
            created_at: cx.now(),
            updated_at: cx.now(),
            created_by: String::new(),
        };
        let turn = match hold {
            Hold::Here => {
                lease::take(&cx, &mut row)?;
                Some(turn(&cx, &row.id).await)
            }
            Hold::Nobody => None,
        };
        let state = RunState::new(&row.id);
        let mut session = Session::new(self, &cx, row, state);
        // Who may ask for the run by its key or its person finds it from here on.
        let may_wait = matches!(hold, Hold::Here) && key.is_none() && session.row.person_id.is_none();
        let done = match new.per_day {
            None => session.begin(started, may_wait).await,
            Some(most) => counted(&mut session, started, most).await,
        };
        match done {
            Ok(()) => Ok(Begun::New { session: Box::new(session), turn }),
            // Another caller with this key was first.
            Err(error) if error.code() == "unique_taken" => {
                asked.find(&cx, key.as_deref()).await?.map(|run| Begun::Found(Box::new(run))).ok_or(error)
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
        let _turn = turn(&cx, run).await;
        let row = cx.need::<AgentRun>(run).await?;
        if row.agent != self.program.agent() {
            return Err(cx.missing("run of this agent"));
        }
        if row.status.is_final() {
            let (input, output) = journal::ends(&cx, &row).await?;
            return Ok(RunView { run: row.body, input, output });
        }
        self.check_version(&row)?;
        let entries = journal::load(&cx, run).await?;
        let state = fold(&self.program, run, &entries)?;
        let input = journal::input(entries.into_iter().next());
        let mut session = Session::new(self, &cx, row, state);
        // Boxed: a tool of a run may drive runs below it.
        Box::pin(session.work()).await?;
        Ok(session.view(input))
    }

    /// The state of a run as its log says, with that of the program.
    ///
    /// # Errors
    /// `NotFound`, also for a run of another agent; `Conflict`, code `spec_changed`; `Corrupted`, code `log_broken`.
    pub async fn state(&self, cx: &Scope, run: &str) -> Result<RunState<P::State>> {
        let row = cx.need::<AgentRun>(run).await?;
        if row.agent != self.program.agent() {
            return Err(cx.missing("run of this agent"));
        }
        self.check_version(&row)?;
        fold(&self.program, run, &journal::load(cx, run).await?)
    }

    /// The rights a run of the program may use of those that its caller has.
    pub(super) fn rights(&self, cx: &Scope) -> Vec<Permission> {
        let may = self.program.permissions();
        cx.permission_words().into_iter().filter(|word| may.has(*word)).collect()
    }

    pub(super) fn check_version(&self, run: &AgentRun) -> Result<()> {
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

/// Who holds a run once it is made.
#[derive(Clone, Copy, Debug)]
enum Hold {
    /// Nobody: whoever drives it takes it.
    Nobody,
    /// The session that made it.
    Here,
}

/// A run that was asked for.
enum Begun<'d, P: Program> {
    /// It was there already.
    Found(Box<AgentRun>),
    /// It was made, with the turn of this process to drive it where it is held.
    New { session: Box<Session<'d, P>>, turn: Option<OwnedMutexGuard<()>> },
}

/// Waits until nobody else in this process drives a run.
async fn turn(cx: &Scope, run: &str) -> OwnedMutexGuard<()> {
    cx.hub().turn(&format!("run|{}|{run}", cx.workspace())).await
}

/// Begins a run and counts it for its day in one commit.
async fn counted<P: Program>(session: &mut Session<'_, P>, started: What, most: u32) -> Result<()> {
    let mut tries = 1;
    loop {
        let unit = Arc::new(Unit::default());
        day::count(&session.writer(&unit), session.driver.program.agent(), most).await?;
        match session.record(started.clone(), unit).await {
            // Another process counted one in this moment. The key of the count is the agent's, that of the run its own.
            Err(error) if error.code() == "stale_revision" && tries < COUNT_TRIES => tries += 1,
            other => return other,
        }
    }
}

/// SHA-256 over the RFC 8785 form of an input, in hex.
pub(super) fn hash(input: &Value) -> Result<String> {
    use sha2::{Digest, Sha256};
    Ok(hex(&Sha256::digest(canonical_json(input)?.as_bytes())))
}

/// What a key stands for.
struct Asked<'a> {
    agent: &'a str,
    intent: &'a str,
    input_hash: &'a str,
}

impl Asked<'_> {
    /// The run that has this key.
    async fn find(&self, cx: &Scope, key: Option<&str>) -> Result<Option<AgentRun>> {
        let Some(found) = by_key(cx, self.agent, key).await? else { return Ok(None) };
        // Runs of older releases do not say what was asked.
        let is_asked = found.intent.as_deref().is_none_or(|intent| intent == self.intent);
        if found.input_hash != self.input_hash || !is_asked {
            return Err(Error::new(
                ErrorKind::Conflict,
                "runs.start",
                "this key belongs to a run with another input or intent: take a new key",
            )
            .with_code("idempotency_mismatch")
            .with_context("run", &found.id));
        }
        Ok(Some(found))
    }
}

/// The run of an agent that has a key.
pub(super) async fn by_key(cx: &Scope, agent: &str, key: Option<&str>) -> Result<Option<AgentRun>> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > 255 {
        return Err(Error::invalid("runs.start", "key", "expected 1..255 bytes"));
    }
    let found = cx.find::<AgentRun>("key", Key::text(agent).and_text(key)).await?;
    Ok(found.map(|row| row.body))
}
