//! What a process knows of the targets it calls: their breakers, budgets and quotas.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::breaker::{Breaker, Say};
use super::budget::RetryBudget;
use super::bulkhead::Bulkheads;
use super::call::Plan;
use crate::health::AwayBy;
use crate::store::{Batch, Expected, Kind, Row, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Scope, Timestamp};

/// How often a breaker is read again when other processes move it at the same time.
const TRIES: u32 = 4;

/// Key of the context of errors that came before the target was touched; its value says what refused.
pub(super) const UNTRIED: &str = "untried";

/// True when the target was not touched: its breaker is open, no place became free, or its rate is used up. Nothing was
/// tried, so nothing counts as a try.
#[must_use]
pub fn is_untried(error: &Error) -> bool {
    error.context().any(|(key, _)| key == UNTRIED)
}

#[derive(Debug)]
struct Target {
    breaker: Breaker,
    /// Revision of the stored breaker; 0 when there is none.
    rev: u64,
    /// Epoch of the control records when it was read; `None` before the first read.
    epoch: Option<u64>,
    budget: RetryBudget,
    /// The provider said: nothing before this instant.
    quota: Option<Timestamp>,
}

impl Target {
    fn new(name: &str) -> Self {
        Target {
            breaker: Breaker::new(name),
            rev: 0,
            epoch: None,
            budget: RetryBudget::default(),
            quota: None,
        }
    }
}

/// The targets of a hub.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    all: Mutex<BTreeMap<(WorkspaceId, String), Target>>,
    pub(super) bulkheads: Bulkheads,
}

impl Targets {
    fn with<T>(&self, cx: &Scope, plan: &Plan, f: impl FnOnce(&mut Target) -> T) -> T {
        self.at(cx, &plan.target, f)
    }

    fn at<T>(&self, cx: &Scope, name: &str, f: impl FnOnce(&mut Target) -> T) -> T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (cx.workspace().clone(), name.to_owned());
        f(all.entry(place).or_insert_with(|| Target::new(name)))
    }

    pub(super) fn call(&self, cx: &Scope, plan: &Plan) {
        self.with(cx, plan, |t| t.budget.call(cx.now()));
    }

    pub(super) fn retry(&self, cx: &Scope, plan: &Plan) -> bool {
        self.with(cx, plan, |t| t.budget.retry(cx.now()))
    }

    /// Forgets what this process counted, after a reset of the stored breaker.
    pub(super) fn forget(&self, cx: &Scope, name: &str) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = all.get_mut(&(cx.workspace().clone(), name.to_owned())) {
            target.breaker = Breaker::new(name);
            target.epoch = None;
        }
    }

    /// The breakers of a workspace as this process sees them, by target.
    pub(super) fn breakers(&self, workspace: &WorkspaceId) -> Vec<Breaker> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|((w, _), _)| w == workspace).map(|(_, t)| t.breaker.clone()).collect()
    }
}

impl Scope {
    /// Waits on the hub's clock; a clock that is moved by hand moves on by itself.
    ///
    /// # Errors
    /// `Cancelled` when the caller gives up.
    pub async fn sleep(&self, by: Duration) -> Result<()> {
        tokio::select! {
            biased;
            () = self.cancel_token().cancelled() => Err(crate::scope::cancelled(self.operation())),
            () = self.hub().clock().sleep(by) => Ok(()),
        }
    }

    /// Tells what a provider's headers said of its quota: nothing is left until an instant. The stricter of this and
    /// the limits table holds.
    pub fn quota_used_up(&self, target: &str, until: Timestamp) {
        let targets = self.hub().targets();
        targets.at(self, target, |t| t.quota = Some(t.quota.map_or(until, |q| q.max(until))));
    }

    pub(super) async fn admit_rate(&self, plan: &Plan) -> Result<()> {
        let now = self.now();
        let quota = self.hub().targets().with(self, plan, |t| t.quota.filter(|until| *until > now));
        if let Some(until) = quota {
            self.hub().telemetry().rate_limited("target");
            let wait = Duration::from_millis(u64::try_from(until.as_millis() - now.as_millis()).unwrap_or(0));
            return Err(Error::new(
                ErrorKind::RateLimited,
                self.operation(),
                "the provider's quota is used up: call again after the time that is named",
            )
            .with_context("target", &plan.target)
            .with_context(UNTRIED, "quota")
            .with_retry(Retry::After(wait)));
        }
        match plan.rate {
            Some(rate) => {
                let taken = self.take(&format!("target|{}", plan.target), rate).await;
                taken.map_err(|error| match error.kind() {
                    ErrorKind::RateLimited => error.with_context(UNTRIED, "rate"),
                    _ => error,
                })
            }
            None => Ok(()),
        }
    }

    /// Refuses while the breaker is open. Moving to half open is a commit that one process wins.
    pub(super) async fn ask_breaker(&self, plan: &Plan) -> Result<()> {
        for _ in 0..TRIES {
            self.look_at_breaker(plan).await?;
            let (say, breaker, rev) = self
                .hub()
                .targets()
                .with(self, plan, |t| (t.breaker.ask(self.now()), t.breaker.clone(), t.rev));
            match say {
                Say::Pass => return Ok(()),
                Say::Wait(until) => return Err(self.open(plan, until)),
                Say::Try if self.keep_breaker(plan, &breaker, rev).await? => return Ok(()),
                Say::Try => {}
            }
        }
        Err(self.open(plan, self.now().plus(Duration::from_secs(1))))
    }

    fn open(&self, plan: &Plan, until: Timestamp) -> Error {
        let wait = u64::try_from(until.as_millis() - self.now().as_millis()).unwrap_or(0);
        Error::new(
            ErrorKind::Unavailable,
            self.operation(),
            "this target failed repeatedly and is left alone",
        )
        .with_code("breaker_open")
        .with_context("target", &plan.target)
        .with_context(UNTRIED, "breaker")
        .with_retry(Retry::After(Duration::from_millis(wait)))
    }

    /// Notes how a call ended.
    pub(super) async fn tell_breaker(&self, plan: &Plan, failure: Option<ErrorKind>) -> Result<()> {
        // A caller who gave up says nothing about the target.
        if failure == Some(ErrorKind::Cancelled) {
            return Ok(());
        }
        let (moved, breaker, rev) = self.hub().targets().with(self, plan, |t| {
            let moved = t.breaker.note(failure, self.now());
            (moved, t.breaker.clone(), t.rev)
        });
        if !moved {
            return Ok(());
        }
        // Another process moved it at the same time: its word stands, is counted there, and is read before the next call.
        let is_ours = self.keep_breaker(plan, &breaker, rev).await?;
        if is_ours && breaker.state == super::BreakerState::Open {
            tracing::warn!(target_name = %plan.target, trips = breaker.trips, "a circuit breaker opened");
            self.hub().telemetry().breaker_tripped(&plan.target);
        }
        if is_ours {
            self.breaker_turned(&plan.target, breaker.state != super::BreakerState::Closed).await?;
        }
        Ok(())
    }

    /// Tells that an agent is away, or there again. Other targets are no parts that anybody asks for by name.
    async fn breaker_turned(&self, target: &str, is_shut: bool) -> Result<()> {
        if !target.starts_with("agent:") {
            return Ok(());
        }
        self.turn_away(target, AwayBy::Breaker, is_shut).await
    }

    /// Reads the stored breaker when control records may have changed since.
    pub(super) async fn look_at_breaker(&self, plan: &Plan) -> Result<()> {
        let epoch = self.hub().control().epoch();
        if self.hub().targets().with(self, plan, |t| t.epoch == Some(epoch)) {
            return Ok(());
        }
        let row = self.store().get(Kind::of::<Breaker>(), self.workspace(), &plan.target).await?;
        let stored = row.as_ref().map(Stored::<Breaker>::from_row).transpose()?;
        self.hub().targets().with(self, plan, |t| {
            t.epoch = Some(epoch);
            if let Some(stored) = stored.filter(|s| s.rev != t.rev) {
                t.rev = stored.rev;
                t.breaker = stored.body;
            }
        });
        Ok(())
    }

    /// The same whatever is known of it: news of another process's commit may still be on its way.
    pub(super) async fn look_again_at_breaker(&self, plan: &Plan) -> Result<()> {
        self.hub().targets().with(self, plan, |t| t.epoch = None);
        self.look_at_breaker(plan).await
    }

    /// Stores a move; false when another process was first, and then its breaker is read again.
    async fn keep_breaker(&self, plan: &Plan, breaker: &Breaker, rev: u64) -> Result<bool> {
        let row = Row::of(breaker, self.now(), "system:breakers")?;
        let expected = if rev == 0 { Expected::Absent } else { Expected::Rev(rev) };
        let mut batch = Batch::new(self.workspace().clone(), self.now());
        batch.writes.push(Write::Put { kind: Kind::of::<Breaker>(), row, expected });
        match self.store().commit(batch).await {
            Ok(_) => {
                self.hub().targets().with(self, plan, |t| t.rev = rev + 1);
                Ok(true)
            }
            Err(error) if error.code() == "stale_revision" => {
                self.hub().targets().with(self, plan, |t| t.epoch = None);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The breaker of a target as it is stored; `None` when it never moved.
    pub(crate) async fn breaker_of(&self, target: &str) -> Result<Option<Breaker>> {
        Ok(self.get::<Breaker>(target).await?.map(|b| b.body))
    }

    /// Closes the breaker of a target in a commit of its own; true when it was not closed.
    pub(crate) async fn close_breaker(&self, target: &str) -> Result<bool> {
        for _ in 0..TRIES {
            let cx = self.outside().staging("breakers.reset", target);
            let Some(mut stored) = cx.get::<Breaker>(target).await? else { return Ok(false) };
            let was_open = stored.body.close();
            if was_open {
                cx.save(&stored)?;
                match cx.flush().await {
                    // Another process moved it in this moment.
                    Err(error) if error.code() == "stale_revision" => continue,
                    other => drop(other?),
                }
            }
            self.hub().targets().forget(self, target);
            self.breaker_turned(target, false).await?;
            return Ok(was_open);
        }
        Ok(false)
    }
}
