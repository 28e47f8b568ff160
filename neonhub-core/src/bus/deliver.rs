//! Giving events to subscribers.

use std::sync::Arc;
use std::time::Duration;

use super::event::{BusEvent, Causation, MAX_DEPTH};
use super::subscriber::{DeadEvent, Start, Subscriber, SubscriberCursor};
use crate::op::Unit;
use crate::scope::Writing;
use crate::store::Stored;
use crate::telemetry::hushed;
use crate::{Error, Hub, Result, Scope, Timestamp};

/// Tries of one event before it is put aside.
// Our choice (rule of the runtime, section 10).
const MAX_ATTEMPTS: u16 = 10;
/// First and longest pause between tries.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// Commits without an event for a subscriber before its cursor is moved over them.
const PASS_OVER: u64 = 500;
/// The number behind every event of a commit.
const WHOLE: u16 = u16::MAX;

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events taken.
    pub done: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Events put aside.
    pub dead: u64,
    /// When the first failed one is to be tried again.
    pub next_at: Option<Timestamp>,
}

impl Delivered {
    fn add(&mut self, other: Delivered) {
        self.done += other.done;
        self.failed += other.failed;
        self.dead += other.dead;
        self.next_at = self.next_at.into_iter().chain(other.next_at).min();
    }
}

impl Scope {
    /// Gives every subscriber of the hub the events of this workspace that it has not taken yet, until none is left or
    /// a failed one must wait.
    ///
    /// # Errors
    /// `Cancelled` when the hub closes; what the store answers. Failures of subscribers are counted, not raised.
    pub async fn deliver_events(&self) -> Result<Delivered> {
        let mut total = Delivered::default();
        for subscriber in self.hub().subscribers() {
            total.add(self.deliver_to(subscriber.as_ref()).await?);
        }
        Ok(total)
    }

    async fn deliver_to(&self, subscriber: &dyn Subscriber) -> Result<Delivered> {
        let mut total = Delivered::default();
        let mut cursor = self.subscriber_cursor(subscriber).await?;
        let filter = subscriber.filter();
        // A commit may be half taken: it is read again from its start.
        let start = |c: &SubscriberCursor| if c.sub == WHOLE { c.seq } else { c.seq.saturating_sub(1) };
        let mut after = start(&cursor);
        loop {
            self.cancel_token().check("bus.deliver")?;
            let _busy = self.hub().enter("bus.deliver")?;
            if let Some(at) = cursor.retry_at.filter(|at| *at > self.now()) {
                total.next_at = Some(at);
                return Ok(total);
            }
            let commits = self.hub().bus().feed.after(self.hub(), after).await?;
            let Some(last) = commits.last().map(|c| c.seq) else { break };
            let mut is_lost = false;
            for event in commits.iter().flat_map(|c| &c.events) {
                let is_own = event.workspace_id == *self.workspace() && event.place() > cursor.place();
                if !is_own || !filter.lets_through(&event.event) {
                    continue;
                }
                match self.hand_over(subscriber, event, &mut cursor).await? {
                    Step::Done => total.done += 1,
                    Step::Dead => total.dead += 1,
                    Step::Failed(at) => {
                        total.failed += 1;
                        total.next_at = Some(at);
                        return Ok(total);
                    }
                    // Another process took it: go on where that one is.
                    Step::Lost => {
                        is_lost = true;
                        break;
                    }
                }
            }
            after = if is_lost { start(&cursor) } else { last };
        }
        // Moving the cursor is a commit that the feed tells of: what was passed over is written down only when it is
        // much, or every look would cause the next.
        if after > cursor.seq + PASS_OVER && cursor.retry_at.is_none() {
            self.pass_over(&mut cursor, after).await?;
        }
        Ok(total)
    }

    /// What no filter let through is passed over, without a commit per event.
    async fn pass_over(&self, cursor: &mut Stored<SubscriberCursor>, last: u64) -> Result<()> {
        let (cx, _) = self.delivery(None);
        cursor.body.move_to((last, WHOLE), self.now());
        cx.save(cursor)?;
        self.flush_cursor(&cx, cursor).await.map(drop)
    }

    /// The stored cursor, made where the subscriber begins when there is none.
    async fn subscriber_cursor(&self, subscriber: &dyn Subscriber) -> Result<Stored<SubscriberCursor>> {
        for _ in 0..2 {
            if let Some(found) = self.get::<SubscriberCursor>(subscriber.name()).await? {
                return Ok(found);
            }
            let seq = match subscriber.start() {
                Start::Now => self.store().seq().await?,
                Start::Beginning => 0,
            };
            let made = SubscriberCursor {
                name: subscriber.name().to_owned(),
                seq,
                sub: WHOLE,
                attempts: 0,
                retry_at: None,
                error: None,
                moved_at: self.now(),
            };
            let (cx, _) = self.delivery(None);
            cx.create(&made)?;
            match cx.flush().await {
                Ok(_) => {}
                Err(error) if error.code() == "stale_revision" => {}
                Err(error) => return Err(error),
            }
        }
        self.need::<SubscriberCursor>(subscriber.name()).await
    }

    /// A scope that stages one delivery.
    fn delivery(&self, event: Option<&BusEvent>) -> (Scope, Arc<Unit>) {
        let unit = Arc::new(Unit::default());
        let cause = event.map(|e| Causation { event: e.event.id.clone(), depth: e.event.depth + 1 });
        let label = event.map_or_else(String::new, |e| format!("{}/{}", e.seq, e.sub));
        let cx = self.fork(&["bus", &label]).caused_by(cause, event.map(|e| e.event.correlation_id.as_str()));
        let writing = Writing::Job(Arc::clone(&unit));
        (cx.inside("bus.deliver", cx.seed(), writing, self.cancel_token().clone()), unit)
    }

    async fn hand_over(
        &self,
        subscriber: &dyn Subscriber,
        event: &BusEvent,
        cursor: &mut Stored<SubscriberCursor>,
    ) -> Result<Step> {
        if event.event.depth >= MAX_DEPTH {
            tracing::error!(subscriber = subscriber.name(), event = %event.event.id, "events cause each other without end: the chain is cut");
            return self.put_aside(event, cursor, "loop_guard").await;
        }
        let (cx, _) = self.delivery(Some(event));
        let failure = match self.attempt(&cx, subscriber, event).await {
            Ok(()) => {
                let mut moved = cursor.clone();
                moved.body.move_to(event.place(), self.now());
                cx.save(&moved)?;
                match cx.flush().await {
                    Ok(_) => {
                        moved.rev += 1;
                        *cursor = moved;
                        return Ok(Step::Done);
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let now = self.need::<SubscriberCursor>(subscriber.name()).await?;
        if now.rev != cursor.rev {
            *cursor = now;
            return Ok(Step::Lost);
        }
        self.failed(event, cursor, &failure).await
    }

    /// Runs the handler; a panic is a failure of it alone.
    async fn attempt(&self, cx: &Scope, subscriber: &dyn Subscriber, event: &BusEvent) -> Result<()> {
        use futures_util::FutureExt as _;
        let handled = std::panic::AssertUnwindSafe(hushed(subscriber.handle(cx, event))).catch_unwind();
        handled.await.unwrap_or_else(|_| {
            Err(Error::new(crate::ErrorKind::Internal, "bus.deliver", "the subscriber panicked"))
        })
    }

    async fn failed(
        &self,
        event: &BusEvent,
        cursor: &mut Stored<SubscriberCursor>,
        failure: &Error,
    ) -> Result<Step> {
        cursor.body.attempts += 1;
        let attempts = cursor.attempts;
        if attempts >= MAX_ATTEMPTS {
            return self.put_aside(event, cursor, failure.code()).await;
        }
        let (cx, _) = self.delivery(None);
        let doubled = BACKOFF.0.saturating_mul(1 << (attempts - 1).min(16)).min(BACKOFF.1);
        // Half fixed, half drawn: subscribers that failed together do not come back together.
        let half = u64::try_from(doubled.as_millis() / 2).unwrap_or(u64::MAX);
        let drawn = cx.with_rng(|rng| rng.below(half.max(1)));
        let at = self.now().plus(Duration::from_millis(half + drawn));
        cursor.body.retry_at = Some(at);
        cursor.body.error = Some(failure.code().to_owned());
        cx.save(cursor)?;
        match self.flush_cursor(&cx, cursor).await? {
            true => Ok(Step::Failed(at)),
            false => Ok(Step::Lost),
        }
    }

    async fn put_aside(
        &self,
        event: &BusEvent,
        cursor: &mut Stored<SubscriberCursor>,
        error: &str,
    ) -> Result<Step> {
        let (cx, _) = self.delivery(None);
        cx.create(&DeadEvent {
            id: format!("{}-{}-{}", cursor.name, event.seq, event.sub),
            subscriber: cursor.name.clone(),
            seq: event.seq,
            sub: event.sub,
            event_id: event.event.id.clone(),
            event_type: event.event.kind.clone(),
            error: error.to_owned(),
            at: self.now(),
        })?;
        cursor.body.move_to(event.place(), self.now());
        cx.save(cursor)?;
        Ok(if self.flush_cursor(&cx, cursor).await? { Step::Dead } else { Step::Lost })
    }

    /// False when another process moved the cursor; it is read anew then.
    async fn flush_cursor(&self, cx: &Scope, cursor: &mut Stored<SubscriberCursor>) -> Result<bool> {
        match cx.flush().await {
            Ok(_) => {
                cursor.rev += 1;
                Ok(true)
            }
            Err(error) if error.code() == "stale_revision" => {
                *cursor = self.need::<SubscriberCursor>(&cursor.name.clone()).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives one subscriber the events of a range again, beside its cursor.
    pub(super) async fn replay_events(
        &self,
        subscriber: &dyn Subscriber,
        from: u64,
        to: u64,
    ) -> Result<Delivered> {
        let mut total = Delivered::default();
        let filter = subscriber.filter();
        let mut after = from.saturating_sub(1);
        loop {
            self.cancel_token().check("bus.replay")?;
            let commits = self.hub().bus().feed.after(self.hub(), after).await?;
            let Some(last) = commits.last().map(|c| c.seq) else { return Ok(total) };
            let wanted = commits.iter().flat_map(|c| &c.events).filter(|e| {
                e.workspace_id == *self.workspace() && e.seq <= to && filter.lets_through(&e.event)
            });
            for event in wanted {
                let (cx, _) = self.delivery(Some(event));
                let done = match self.attempt(&cx, subscriber, event).await {
                    Ok(()) => cx.flush().await.map(drop),
                    Err(error) => Err(error),
                };
                match done {
                    Ok(()) => total.done += 1,
                    Err(_) => total.failed += 1,
                }
            }
            if last >= to {
                return Ok(total);
            }
            after = last;
        }
    }
}

/// What became of one event.
enum Step {
    Done,
    Dead,
    Failed(Timestamp),
    Lost,
}

impl Hub {
    /// Gives events to subscribers as they come, in all workspaces, until the hub closes. Runs in the background on
    /// the tokio runtime of the caller; without it, call [`Scope::deliver_events`].
    pub fn start_subscribers(&self) {
        let hub = self.clone();
        tokio::spawn(async move {
            let mut seq = hub.store().watch();
            while !hub.is_closing() {
                seq.borrow_and_update();
                let wait = match hub.deliver_everywhere().await {
                    Ok(next) => next.map_or(Duration::from_secs(60), |at| at.since(hub.now())),
                    Err(error) => {
                        tracing::warn!(code = error.code(), "events were not delivered");
                        Duration::from_secs(1)
                    }
                };
                tokio::select! {
                    changed = seq.changed() => if changed.is_err() { return },
                    () = hub.closing() => return,
                    () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
                }
                hub.running().await;
            }
        });
    }

    async fn deliver_everywhere(&self) -> Result<Option<Timestamp>> {
        let mut next: Option<Timestamp> = None;
        for workspace in self.workspaces().await? {
            let done = self.system_scope(workspace, "bus").deliver_events().await?;
            next = next.into_iter().chain(done.next_at).min();
        }
        Ok(next)
    }
}
