//! Doing one call of a run: asking the model or calling the tool, and writing down what came of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;

use super::driver::ProbeAnswer;
use super::entry::{EffectClass, ToolState, What};
use super::machine::{Failure, Program, WaitOn};
use super::receipt::Receipt;
use super::record::AgentRun;
use super::session::Session;
use super::state::{APPROVED, ELSEWHERE, LANDED, Open};
use super::{fork, lease};
use crate::economy::Gathered;
use crate::llm::{Answer, BadAnswer, Delta, LlmRequest, PERSON};
use crate::op::{CallOptions, Unit};
use crate::scope::Writing;
use crate::tool::{ToolResult, aside};
use crate::{Error, ErrorKind, Result, Scope};

/// How often a tool is called again when its commit lost a race, or when it says that a call did not happen.
const RERUNS: u32 = 3;
/// Least time between two looks for a request to cancel.
const LOOK: Duration = Duration::from_millis(50);

/// A tool call as planned.
struct Planned {
    tool: String,
    args: Value,
    effect: crate::connector::EffectId,
    class: EffectClass,
}

impl<P: Program> Session<'_, P> {
    pub(super) async fn dispatch(&mut self, call: &str, open: Open) -> Result<()> {
        self.began.insert(call.to_owned(), std::time::Instant::now());
        let is_fresh = self.fresh.contains(call);
        if let Some(failure) = self.state.refused(call) {
            let call = call.to_owned();
            let done = match open {
                Open::Tool { .. } => What::tool_done(call, ToolState::Failed, Value::Null, Some(failure)),
                Open::Model { .. } => What::model_done(call, Err(failure), None),
            };
            return self.record_anyway(done).await;
        }
        if let Some(approval) = self.state.more(call) {
            self.allow(&approval).await?;
        }
        match open {
            Open::Model { request, attempts } => self.ask(call, *request, attempts, is_fresh).await,
            Open::Tool { tool, args, class, .. } if self.holds_back(&tool, class) => {
                let (output, from) = fork::simulated(&self.cx, self.row.is_like(), &tool, &args).await?;
                self.land(call, &tool, output, Receipt { from, ..Receipt::default() }).await
            }
            Open::Tool { tool, args, effect, class } => {
                let planned = Planned { tool, args, effect, class };
                if (planned.class.is_ours() || is_fresh) && !crate::tool::is_here(&self.cx, &planned.tool) {
                    self.leave(call, &planned).await
                } else if planned.class.is_ours() {
                    self.call_ours(call, &planned).await
                } else if is_fresh {
                    self.call_world(call, &planned).await
                } else {
                    self.recover(call, &planned).await
                }
            }
        }
    }

    /// True for a call that a fork does not make. What only has runs below do something is made: they hold back themselves.
    fn holds_back(&self, tool: &str, class: EffectClass) -> bool {
        fork::is_held_back(&self.row, class) && !self.driver.program.delegates(tool)
    }

    async fn ask(
        &mut self,
        call: &str,
        mut request: LlmRequest,
        attempts: u32,
        is_fresh: bool,
    ) -> Result<()> {
        if !is_fresh {
            let provider = self.model().provider().to_owned();
            let again = What::ModelCalled { call: call.to_owned(), provider, attempt: attempts + 1 };
            return self.record_anyway(again).await;
        }
        if let Some(other) = self.row.passes_on().and_then(|fork| fork.model) {
            (request.model, request.route) = (Some(other), None);
        }
        if let Some(person) = &self.row.person_id {
            request.labels.entry(PERSON.to_owned()).or_insert_with(|| person.clone());
        }
        // Not in the plan, so that logs that were written without the marks are told again as they are.
        let request = request.cached();
        let used = Gathered::new(&self.cx);
        let model = self.agent.gathering(&used).model();
        let (cx, topic) = (self.cx.clone(), format!("run:{}", self.row.id));
        let answer = async move {
            let wanted = request.output_schema.clone();
            let (to, about) = (cx.clone(), topic.clone());
            let stream = model.call(request).await?.inspect(move |delta| {
                if let Ok(Delta::Text { choice: 0, text }) = delta {
                    to.stream_text(&about, text);
                }
            });
            let answer = Answer::join(Box::pin(stream), wanted.as_ref()).await;
            cx.end_text(&topic);
            answer
        };
        let Some(done) = self.guarded(answer).await? else {
            return Ok(());
        };
        self.give_up_on_close(&done)?;
        if self.pauses(call, &done).await? {
            return Ok(());
        }
        let (answer, failure, said) = match done {
            Ok(answer) => (Some(Box::new(answer)), None, None),
            Err(error) => (None, Some(Failure::from(&error)), said(&error)),
        };
        let receipt = Receipt { route: used.route(), cost: used.cost(), ..Receipt::default() }.kept();
        let done = What::ModelDone { call: call.to_owned(), answer, failure, said, receipt };
        let counts = used.len();
        self.record_with(done, |cx| used.stage(cx, counts)).await?;
        used.kept(counts);
        Ok(())
    }

    /// What the tool stages and the outcome are one commit: without outcome it did not happen.
    async fn call_ours(&mut self, call: &str, planned: &Planned) -> Result<()> {
        let mut lost = 0;
        loop {
            let unit = Arc::new(Unit::default());
            let used = Gathered::counting();
            let scope = self.tool_scope(call, Writing::Operation(Arc::clone(&unit)));
            let scope = scope.of_effect(&planned.effect).gathering(&used);
            let Some(done) = self.guarded(Box::pin(tool(scope, planned))).await? else { return Ok(()) };
            self.give_up_on_close(&done)?;
            if let Some(wait) = waits(call, &done) {
                return self.record_anyway(wait).await;
            }
            if self.pauses(call, &done).await? {
                return Ok(());
            }
            let receipt = self.receipt(&planned.tool, &used);
            let (what, unit) = match done {
                Ok(output) => {
                    let (output, aside) = self.readable(call, &planned.tool, output)?;
                    stage(&self.writer(&unit), aside.as_ref())?;
                    (landed(call, output, receipt.clone()), unit)
                }
                // What a failed tool had staged is dropped with its unit.
                Err(error) => (failed(call, &error, receipt.clone()), Arc::new(Unit::default())),
            };
            match self.record(what, unit).await {
                Err(error) if matches!(error.code(), "stale_revision" | "unique_taken") => {
                    let before = self.messages();
                    self.reload().await?;
                    if self.row.cancel_asked {
                        return Ok(());
                    }
                    // A message that came in between is no race of this call.
                    lost += u32::from(self.messages() <= before);
                    if lost > RERUNS {
                        return self.record_anyway(failed(call, &error, receipt)).await;
                    }
                }
                other => return other,
            }
        }
    }

    /// The plan is in the log; the tool acts and commits by itself, then the outcome is written.
    async fn call_world(&mut self, call: &str, planned: &Planned) -> Result<()> {
        self.fresh.remove(call);
        let used = Gathered::counting();
        let scope = self.tool_scope(call, Writing::None).of_effect(&planned.effect).gathering(&used);
        let Some(done) = self.guarded(Box::pin(tool(scope, planned))).await? else { return Ok(()) };
        self.give_up_on_close(&done)?;
        if let Some(wait) = waits(call, &done) {
            return self.record_anyway(wait).await;
        }
        let receipt = self.receipt(&planned.tool, &used);
        match done {
            Ok(output) => self.land(call, &planned.tool, output, receipt).await,
            // Not fresh any more: the next turn of the loop asks what became of it.
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Ok(()),
            Err(error) => self.record_anyway(failed(call, &error, receipt)).await,
        }
    }

    /// What is known of a call of a tool of this process.
    fn receipt(&self, tool: &str, used: &Gathered) -> Receipt {
        let version = crate::tool::version(&self.cx, tool);
        Receipt { version, cost: used.cost(), ..Receipt::default() }
    }

    /// A call to the world without outcome: the probe, then a person, say what became of it.
    async fn recover(&mut self, call: &str, planned: &Planned) -> Result<()> {
        if let Some(told) = self.state.told(call).cloned() {
            if told.get("landed").and_then(Value::as_bool) == Some(true) {
                let output = told.get("output").cloned().unwrap_or_default();
                return self.land(call, &planned.tool, output, Receipt::default()).await;
            }
            return self.call_again(call, planned).await;
        }
        let answer = match &self.driver.probe {
            Some(probe) => probe.landed(&self.agent, &planned.tool, &planned.args, &planned.effect).await?,
            None => {
                let scope = self.tool_scope(&format!("{call}/landed"), Writing::None);
                crate::tool::landed(&scope, &planned.tool, &planned.args, &planned.effect).await
            }
        };
        match answer {
            ProbeAnswer::Landed(output) => {
                let receipt = self.receipt(&planned.tool, &Gathered::counting());
                self.land(call, &planned.tool, output, receipt).await
            }
            ProbeAnswer::NotLanded if self.may_again(call) => self.call_again(call, planned).await,
            // One that never happens is asked about too.
            ProbeAnswer::NotLanded | ProbeAnswer::Unknown => {
                let summary = format!("did {} happen? (effect {})", planned.tool, planned.effect);
                let on = WaitOn::Approval { summary, approval: None };
                self.record_anyway(What::Wait { wait: format!("{LANDED}{call}"), on }).await
            }
        }
    }

    fn may_again(&mut self, call: &str) -> bool {
        let again = self.again.entry(call.to_owned()).or_default();
        *again += 1;
        *again <= RERUNS
    }

    async fn call_again(&mut self, call: &str, planned: &Planned) -> Result<()> {
        if !crate::tool::is_here(&self.cx, &planned.tool) {
            return self.leave(call, planned).await;
        }
        self.record_anyway(What::ToolCalled { call: call.to_owned() }).await?;
        self.call_world(call, planned).await
    }

    /// Leaves a call that was not made yet to a process that has its tool.
    async fn leave(&mut self, call: &str, planned: &Planned) -> Result<()> {
        let on = WaitOn::Tool { name: planned.tool.clone() };
        self.record_anyway(What::Wait { wait: format!("{ELSEWHERE}{call}"), on }).await
    }

    /// Writes down that a call landed, with what is kept aside of its answer.
    async fn land(&mut self, call: &str, tool: &str, output: Value, receipt: Receipt) -> Result<()> {
        let (output, aside) = self.readable(call, tool, output)?;
        self.record_with(landed(call, output, receipt), |cx| stage(cx, aside.as_ref())).await
    }

    /// An answer as the program gets it, and what is kept aside of it where a model is to read it and it is too long.
    fn readable(&self, call: &str, tool: &str, output: Value) -> Result<(Value, Option<ToolResult>)> {
        if !self.driver.program.keeps_aside(call) {
            return Ok((output, None));
        }
        // Who called reads it later: the agent, with the rights of this run.
        let scope = self.tool_scope(&format!("{call}/aside"), Writing::None);
        Ok(match aside(&scope, tool, &output)? {
            Some((record, told)) => (told.outline(), Some(record)),
            None => (output, None),
        })
    }

    /// The program's scope for one call: its own chance, so that a repeated call makes the same ids.
    fn tool_scope(&self, call: &str, writing: Writing) -> Scope {
        let seed = self.cx.seed().split(&[self.row.id.as_bytes(), call.as_bytes()]);
        self.agent.inside("runs.tool", seed, writing, self.cx.cancel_token().clone())
    }

    /// A call that ended because the caller gave up or the hub closes is no outcome: the run goes on later.
    fn give_up_on_close<T>(&self, done: &Result<T>) -> Result<()> {
        if done.is_err() {
            self.cx.cancel_token().check("runs.drive")?;
            if self.cx.hub().is_closing() {
                return Err(crate::scope::cancelled("runs.drive"));
            }
        }
        Ok(())
    }

    /// Waits for `work` while keeping the hold on the run and looking for a request to cancel it; `None` when
    /// there was one, and then the work was dropped.
    async fn guarded<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<Option<Result<T>>> {
        let cx = self.cx.clone();
        let id = self.row.id.clone();
        let mut renew = tokio::time::interval_at(tokio::time::Instant::now() + lease::RENEW, lease::RENEW);
        let cancel = cx.cancel_token().clone();
        tokio::pin!(work);
        let asked = cancel_asked(&cx, &id);
        tokio::pin!(asked);
        // What is not written yet can neither be taken over nor be cancelled.
        let is_written = self.is_written();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                () = cancel.cancelled() => return Err(crate::scope::cancelled("runs.drive")),
                _ = renew.tick(), if is_written => self.renew().await?,
                asked = &mut asked, if is_written => {
                    asked?;
                    self.reload().await?;
                    return Ok(None);
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<()> {
        lease::renew(&self.cx, &mut self.row.body);
        let scope = self.writer(&Arc::new(Unit::default()));
        scope.save(&self.row)?;
        match scope.flush().await {
            Ok(_) => {
                self.row.rev += 1;
                Ok(())
            }
            Err(error) if error.code() == "stale_revision" => self.reload().await,
            Err(error) => Err(error),
        }
    }
}

/// What a model said that cannot be used.
fn said(error: &Error) -> Option<String> {
    BadAnswer::of(error).map(|bad| bad.text().to_owned())
}

/// An operation, internal ones included, or a tool that was added to this process.
async fn tool(scope: Scope, planned: &Planned) -> Result<Value> {
    if scope.hub().operation(&planned.tool).is_err() {
        return crate::tool::call(&scope, &planned.tool, planned.args.clone()).await;
    }
    scope.call_by_name(&planned.tool, planned.args.clone(), CallOptions::new()).await
}

/// Returns once the run is to be cancelled; looks when the feed grows, also by another process.
async fn cancel_asked(cx: &Scope, run: &str) -> Result<()> {
    let mut feed = cx.store().watch();
    loop {
        if feed.changed().await.is_err() {
            // The store is closing; whoever waits for it notices by itself.
            return std::future::pending().await;
        }
        if cx.need::<AgentRun>(run).await?.cancel_asked {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The wait of a call that a person must approve first.
fn waits(call: &str, done: &Result<Value>) -> Option<What> {
    let error = done.as_ref().err().filter(|error| error.code() == "approval_required")?;
    let approval = error.context().find(|(key, _)| *key == "approval")?.1.to_owned();
    let on = WaitOn::Approval { summary: error.message().to_owned(), approval: Some(approval) };
    Some(What::Wait { wait: format!("{APPROVED}{call}"), on })
}

fn stage(cx: &Scope, aside: Option<&ToolResult>) -> Result<()> {
    aside.map_or(Ok(()), |record| cx.create(record))
}

fn landed(call: &str, output: Value, receipt: Receipt) -> What {
    let (call, state) = (call.to_owned(), ToolState::Landed);
    What::ToolDone { call, state, output, failure: None, receipt: receipt.kept() }
}

fn failed(call: &str, error: &Error, receipt: Receipt) -> What {
    let (call, state, output) = (call.to_owned(), ToolState::Failed, Value::Null);
    What::ToolDone { call, state, output, failure: Some(Failure::from(error)), receipt: receipt.kept() }
}
