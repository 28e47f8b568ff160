//! Bulkheads: so many calls of a target at a time, so many that wait for a place, and for how long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::call::{Plan, between};
use super::target::UNTRIED;
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Scope};

/// The code of a call that got no place.
pub const NO_PLACE: &str = "no_place";

/// The room at a target: calls at a time, calls that wait, and the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Calls at a time, at least 1.
    pub concurrency: usize,
    /// Calls that may wait for a place; one more is refused.
    pub queue: usize,
    /// Longest wait for a place.
    pub wait: Duration,
}

impl Lane {
    /// What most targets have: 4 calls at a time, 64 that wait, for 5 s at most.
    // Rule of the runtime, section 9.6. More than that is a pile-up that a retry later serves better.
    pub const SHORT: Lane = Lane { concurrency: 4, queue: 64, wait: Duration::from_secs(5) };
    /// What a provider of models has unless its settings say otherwise: 16 calls at a time, 1 024 that wait, for 10 min
    /// at most.
    // Answers of models take seconds, so a hundred calls at once are a busy minute and no overload: they wait. What waits
    // is a request in memory, tens of KiB; a thousand of them still fit a small machine, and 10 min is all the time that
    // a call of a model has.
    pub const MODEL: Lane = Lane { concurrency: 16, queue: 1_024, wait: Duration::from_secs(600) };
}

#[derive(Clone, Debug)]
struct Places {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The bulkheads of a hub, by workspace and name.
#[derive(Debug, Default)]
pub(super) struct Bulkheads(Mutex<BTreeMap<(WorkspaceId, String), Places>>);

impl Bulkheads {
    fn of(&self, workspace: &WorkspaceId, name: &str, concurrency: usize) -> Places {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all.entry((workspace.clone(), name.to_owned())).or_insert_with(|| Places {
            free: Arc::new(Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Arc::default(),
        });
        places.clone()
    }
}

/// A place at a target. Dropping it lets the next one in.
#[derive(Debug)]
#[must_use]
pub struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// One who waits for a place.
struct Waiter(Arc<AtomicUsize>);

impl Waiter {
    /// Joins the queue; `None` when it is full.
    fn join(waiting: &Arc<AtomicUsize>, queue: usize) -> Option<Self> {
        let more = |n: usize| (n < queue).then_some(n + 1);
        waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Waiter(Arc::clone(waiting)))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Scope {
    /// A place at the target of a plan, which is its holder's until it is dropped. [`Guarded`](super::Guarded) calls take
    /// theirs by themselves: this is for work that is no single call.
    ///
    /// A place becomes free by the work of this process, so the wait is the machine's time and not that of a clock that
    /// is moved by hand. It is no longer than the deadline of the scope.
    ///
    /// # Errors
    /// `Unavailable`, code `no_place`, when the queue is full or no place became free in time; `Cancelled` when the
    /// caller gives up.
    pub async fn take_place(&self, plan: &Plan) -> Result<Place> {
        let Lane { concurrency, queue, wait } = plan.lane;
        let name = plan.bulkhead.as_deref().unwrap_or(&plan.target);
        let Places { free, waiting } = self.hub().targets().bulkheads.of(self.workspace(), name, concurrency);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Ok(Place(permit));
        }
        let Some(_turn) = Waiter::join(&waiting, queue) else {
            return Err(self.no_place(plan, name, "too many calls wait for a place"));
        };
        let wait = self.deadline().map_or(wait, |deadline| wait.min(between(self.now(), deadline)));
        tokio::select! {
            biased;
            () = self.cancel_token().cancelled() => Err(crate::scope::cancelled(self.operation())),
            permit = tokio::time::timeout(wait, free.acquire_owned()) => match permit {
                Ok(Ok(permit)) => Ok(Place(permit)),
                _ => Err(self.no_place(plan, name, "no place became free in time")),
            },
        }
    }

    fn no_place(&self, plan: &Plan, name: &str, what: &str) -> Error {
        let message = match plan.setting {
            Some(setting) => format!("{what}: call again later, or raise {setting}"),
            None => format!("{what}: call again later"),
        };
        Error::new(ErrorKind::Unavailable, self.operation(), message)
            .with_code(NO_PLACE)
            .with_context("target", name)
            .with_context("concurrency", plan.lane.concurrency)
            .with_context("queue", plan.lane.queue)
            .with_context("wait_ms", plan.lane.wait.as_millis())
            .with_context(UNTRIED, "bulkhead")
            .with_retry(Retry::Backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hub;

    async fn scope() -> Scope {
        Hub::builder().build().await.unwrap().workspace("default").await.unwrap()
    }

    fn plan(queue: usize, wait: Duration) -> Plan {
        Plan::new("connection:a").lane(Lane { concurrency: 1, queue, wait }).setting("`queue` of the test")
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_refused_at_once_and_told_the_setting() {
        let cx = scope().await;
        let plan = || plan(1, Duration::from_secs(60));
        let held = cx.take_place(&plan()).await.unwrap();
        let second = tokio::spawn({
            let (cx, plan) = (cx.clone(), plan());
            async move { cx.take_place(&plan).await.map(drop) }
        });
        let queue = || cx.hub().targets().bulkheads.of(cx.workspace(), "connection:a", 1).waiting;
        while queue().load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = cx.take_place(&plan()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, NO_PLACE));
        assert!(refused.message().contains("`queue` of the test") && refused.is_retryable(), "{refused}");
        assert!(crate::resilience::is_untried(&refused));
        drop(held);
        second.await.unwrap().unwrap();
        // Nobody is left in the queue.
        let _again = cx.take_place(&plan()).await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_limit_and_with_the_deadline() {
        let cx = scope().await;
        let _held = cx.take_place(&plan(9, Duration::ZERO)).await.unwrap();
        let late = cx.take_place(&plan(9, Duration::from_millis(5))).await.unwrap_err();
        assert_eq!(late.code(), NO_PLACE);
        let hurried = cx.until(cx.now().plus(Duration::from_millis(5)));
        assert_eq!(
            hurried.take_place(&plan(9, Duration::from_secs(600))).await.unwrap_err().code(),
            NO_PLACE
        );
    }

    #[tokio::test]
    async fn targets_can_share_their_places() {
        let cx = scope().await;
        let of = |target: &str| {
            Plan::new(target).lane(Lane { concurrency: 1, queue: 0, ..Lane::SHORT }).places_of("model:p")
        };
        let held = cx.take_place(&of("model:p/a")).await.unwrap();
        assert_eq!(cx.take_place(&of("model:p/b")).await.unwrap_err().code(), NO_PLACE);
        drop(held);
        assert!(cx.take_place(&of("model:p/b")).await.is_ok());
    }
}
