//! Streams of events in batches: one hop into the host language carries all that is ready.

use std::sync::Arc;

use neonhub_core::bus::{Item, Subscription};
use neonhub_core::{Error, Result};
use serde_json::Value;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;

use crate::error::FfiResult;
use crate::runtime::runtime;

/// Items that may wait for a slow reader before the subscription pauses.
const BUFFER: usize = 256;

/// Which items a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// Durable events: each once, in order, with a cursor to go on from.
    Events,
    /// Live progress of running work.
    Progress,
    /// Both.
    All,
}

impl EventFilter {
    fn lets_through(self, item: &Item) -> bool {
        match item {
            Item::Event { .. } => self != EventFilter::Progress,
            Item::Progress(_) => self != EventFilter::Events,
        }
    }
}

/// A stream of items as JSON. Dropping it ends the subscription.
#[derive(Debug)]
pub struct EventStream {
    ready: Mutex<mpsc::Receiver<Result<Value>>>,
    finished: Arc<Notify>,
    pump: JoinHandle<()>,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl EventStream {
    pub(crate) fn start(subscription: Subscription, filter: EventFilter) -> Self {
        let (send, ready) = mpsc::channel(BUFFER);
        let finished = Arc::new(Notify::new());
        let pump = runtime().spawn(pump(subscription, filter, send, Arc::clone(&finished)));
        EventStream { ready: Mutex::new(ready), finished, pump }
    }

    /// The next items, 1 to `most`, waiting for the first; `None` once the hub is closed and all were given out.
    ///
    /// # Errors
    /// What the store answers; the stream has ended then.
    pub async fn next_batch(&self, most: usize) -> FfiResult<Option<Vec<Value>>> {
        let mut batch = Vec::new();
        self.ready.lock().await.recv_many(&mut batch, most.max(1)).await;
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(Some(batch.into_iter().collect::<Result<Vec<Value>>>()?))
    }

    /// Ends the stream: what waits is still given out, nothing new comes.
    pub fn stop(&self) {
        self.pump.abort();
    }

    /// Ends the stream once everything that has happened so far was given out.
    pub fn finish(&self) {
        self.finished.notify_one();
    }
}

async fn pump(
    mut subscription: Subscription,
    filter: EventFilter,
    send: mpsc::Sender<Result<Value>>,
    finished: Arc<Notify>,
) {
    loop {
        // Items first: what is there already goes out before the end.
        let next = tokio::select! {
            biased;
            next = subscription.next() => next,
            () = finished.notified() => return,
        };
        let item = match next {
            Ok(Some(item)) if filter.lets_through(&item) => {
                serde_json::to_value(&item).map_err(|cause| Error::internal("hub.events", cause))
            }
            Ok(Some(_)) => continue,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = item.is_err();
        if send.send(item).await.is_err() || is_last {
            return;
        }
    }
}
