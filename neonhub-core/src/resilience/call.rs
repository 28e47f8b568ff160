//! Calls to the outside, and the one wrapper around them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Rate;
use super::bulkhead::{Lane, Place};
use crate::{Error, ErrorKind, Result, Retry, Scope, Timestamp};

/// Tries in all. The figures of the earlier NeonHub web platform: 3 tries, from 75 ms.
const ATTEMPTS: u32 = 3;
const BASE: Duration = Duration::from_millis(75);
// What the SDKs of model vendors use, 2026.
const CAP: Duration = Duration::from_secs(8);

/// How a call to a target is guarded.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    pub(super) target: String,
    pub(super) attempts: u32,
    pub(super) base: Duration,
    pub(super) cap: Duration,
    pub(super) lane: Lane,
    /// The name whose places it shares; none: those of the target.
    pub(super) bulkhead: Option<String>,
    /// What to raise when there is no place.
    pub(super) setting: Option<&'static str>,
    pub(super) rate: Option<Rate>,
    pub(super) is_idempotent: bool,
}

impl Plan {
    /// A plan for a target: `agent:..`, `model:..`, `connection:..`, `endpoint:..`. Three tries from 75 ms up to 8 s.
    /// At a time 8 calls of an agent, 16 of a model, 4 of anything else; [`lane`](Self::lane) says otherwise.
    pub fn new(target: impl Into<String>) -> Self {
        let target = target.into();
        let lane = match target.split(':').next() {
            Some("agent") => Lane { concurrency: 8, ..Lane::SHORT },
            Some("model") => Lane::MODEL,
            _ => Lane::SHORT,
        };
        Plan {
            target,
            attempts: ATTEMPTS,
            base: BASE,
            cap: CAP,
            lane,
            bulkhead: None,
            setting: None,
            rate: None,
            is_idempotent: false,
        }
    }

    /// Tries in all, at least 1. Default 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// First pause and longest pause. Default 75 ms and 8 s.
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        (self.base, self.cap) = (base, cap);
        self
    }

    /// Calls at a time, at least 1. Takes effect when the target is first used in this process.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.lane.concurrency = calls.max(1);
        self
    }

    /// Calls at a time, calls that wait, and the longest wait. The first of them takes effect when the target is first
    /// used in this process.
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = Lane { concurrency: lane.concurrency.max(1), ..lane };
        self
    }

    /// Shares the places of another name, such as those of a provider by all its models.
    pub fn places_of(mut self, name: impl Into<String>) -> Self {
        self.bulkhead = Some(name.into());
        self
    }

    /// Names what a caller who got no place may raise.
    pub fn setting(mut self, setting: &'static str) -> Self {
        self.setting = Some(setting);
        self
    }

    /// The provider's rate from the limits table. A quota it reports later holds as well: the stricter wins.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Says that repeating it does nothing more, so that a timeout after sending may be tried again.
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }
}

/// One try of a call.
#[derive(Clone, Debug)]
pub struct Attempt {
    number: u32,
    sent: Arc<AtomicBool>,
}

impl Attempt {
    /// Number of the try, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Says that bytes of the request may have left: from now on a timeout of a call that is not idempotent is an
    /// unknown outcome, never a retry.
    pub fn sent(&self) {
        self.sent.store(true, Ordering::SeqCst);
    }

    /// Says that an answer came after all which tells what happened: a timeout that it reports is one before sending.
    pub fn answered(&self) {
        self.sent.store(false, Ordering::SeqCst);
    }
}

/// A call that is not guarded yet.
pub struct Call<F>(F);

impl<F> std::fmt::Debug for Call<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl<F, Fut, T> Call<F>
where
    F: Fn(Attempt) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    /// A call that can be made again.
    pub fn new(once: F) -> Self {
        Call(once)
    }

    /// Wraps it. There is no way to wrap it again.
    pub fn guard(self, plan: Plan) -> Guarded<F> {
        Guarded { plan, once: self.0 }
    }
}

/// A guarded call.
#[must_use]
pub struct Guarded<F> {
    plan: Plan,
    once: F,
}

impl<F> std::fmt::Debug for Guarded<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<F, Fut, T> Guarded<F>
where
    F: Fn(Attempt) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    /// Makes the call.
    ///
    /// # Errors
    /// `Unavailable` at once while the breaker is open or the queue before the target is full (`no_place`);
    /// `RateLimited` with the instant that admits; `Timeout` at the deadline, `OutcomeUnknown` when the request may have
    /// acted; what the call answers, marked `Exhausted` when tries or their budget are used up.
    pub async fn run(self, cx: &Scope) -> Result<T> {
        self.run_held(cx).await.map(|(done, _place)| done)
    }

    /// Makes the call and keeps its place: for an answer that is still under way, such as a stream.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_held(self, cx: &Scope) -> Result<(T, Place)> {
        let plan = &self.plan;
        cx.admit_rate(plan).await?;
        let place = cx.take_place(plan).await?;
        cx.ask_breaker(plan).await?;
        // A caller who goes away in between must not leave a trial open: it counts as lost by its own time limit.
        let done = self.tries(cx).await;
        cx.tell_breaker(plan, done.as_ref().err().map(Error::kind)).await?;
        Ok((done?, place))
    }

    async fn tries(&self, cx: &Scope) -> Result<T> {
        let plan = &self.plan;
        cx.hub().targets().call(cx, plan);
        for number in 1.. {
            let attempt = Attempt { number, sent: Arc::default() };
            let error = match within(cx, cx.in_trace((self.once)(attempt.clone()))).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let is_sent = attempt.sent.load(Ordering::SeqCst);
            if error.kind() == ErrorKind::Timeout && is_sent && !plan.is_idempotent {
                return Err(unknown(&error));
            }
            let Some(pause) = pause(cx, plan, number, &error) else { return Err(error) };
            let Some(pause) = pause else { return Err(error.with_retry(Retry::Exhausted)) };
            if !cx.hub().targets().retry(cx, plan) {
                return Err(error.with_retry(Retry::Exhausted).with_context("retry_budget", "empty"));
            }
            cx.sleep(pause).await?;
        }
        unreachable!("the loop ends by returning")
    }
}

/// One try, cut off at the deadline of the scope.
async fn within<T>(cx: &Scope, call: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(deadline) = cx.deadline() else { return call.await };
    let late = || {
        Err(Error::new(ErrorKind::Timeout, cx.operation(), "the call did not end before its deadline")
            .with_retry(Retry::Backoff))
    };
    let left = between(cx.now(), deadline);
    if left.is_zero() {
        return late();
    }
    match tokio::time::timeout(left, call).await {
        Ok(done) => done,
        Err(_) => late(),
    }
}

pub(super) fn between(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(then.as_millis() - now.as_millis()).unwrap_or(0))
}

/// The pause before the next try: `None` when this failure is never tried again, `Some(None)` when tries are used up
/// or the pause would pass the deadline.
#[expect(clippy::option_option, reason = "two ways to stop, which answer differently")]
fn pause(cx: &Scope, plan: &Plan, number: u32, error: &Error) -> Option<Option<Duration>> {
    let may = matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable);
    let pause = match error.retry() {
        _ if !may => return None,
        Retry::Backoff => {
            let top = plan.base.saturating_mul(1 << (number - 1).min(20)).min(plan.cap);
            // Full jitter: Brooker, AWS Architecture Blog, 2015.
            let top = u64::try_from(top.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(cx.with_rng(|rng| rng.below(top.saturating_add(1))))
        }
        Retry::After(wait) => wait,
        _ => return None,
    };
    if number >= plan.attempts {
        return Some(None);
    }
    let is_late = cx.deadline().is_some_and(|d| cx.now().plus(pause) >= d);
    Some((!is_late).then_some(pause))
}

fn unknown(error: &Error) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        error.operation().to_owned(),
        "the answer did not come in time and the request may have acted: the probe decides",
    )
}
