//! Streams of events in batches: one hop into the host language carries all that is ready.

use std::sync::Arc;

use neonhub_core::bus::{Item, Subscription};
use neonhub_core::{Error, ErrorKind, Result};
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

/// What a stream is made of; the pump holds none of it, so that dropping the stream ends the pump.
#[derive(Debug)]
struct Pipe {
    ready: Mutex<mpsc::Receiver<Result<Value>>>,
    finished: Arc<Notify>,
    pump: JoinHandle<()>,
}

/// A stream of items as JSON. Dropping it ends the subscription.
#[derive(Debug)]
pub struct EventStream {
    pipe: Arc<Pipe>,
    process: u32,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if self.is_foreign() {
            // The pump is the parent's; waking it from here could wait for a lock nobody holds any more.
            std::mem::forget(Arc::clone(&self.pipe));
        } else {
            self.pipe.pump.abort();
        }
    }
}

impl EventStream {
    pub(crate) fn start(subscription: Subscription, filter: EventFilter) -> Self {
        let (send, ready) = mpsc::channel(BUFFER);
        let finished = Arc::new(Notify::new());
        let pump = runtime().spawn(pump(subscription, filter, send, Arc::clone(&finished)));
        let pipe = Arc::new(Pipe { ready: Mutex::new(ready), finished, pump });
        EventStream { pipe, process: std::process::id() }
    }

    /// The next items, 1 to `most`, waiting for the first; `None` once the hub is closed and what happened
    /// before was given out. A reader far behind goes on from its last `cursor` after opening the store again.
    ///
    /// # Errors
    /// What the store answers; the stream has ended then. `Config`, code `forked`, in a forked process.
    pub async fn next_batch(&self, most: usize) -> FfiResult<Option<Vec<Value>>> {
        if self.is_foreign() {
            let message =
                "this stream was opened before the process was forked: open the hub again in the child";
            return Err(Error::new(ErrorKind::Config, "hub.events", message).with_code("forked").into());
        }
        let mut batch = Vec::new();
        self.pipe.ready.lock().await.recv_many(&mut batch, most.max(1)).await;
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(Some(batch.into_iter().collect::<Result<Vec<Value>>>()?))
    }

    /// Ends the stream: what waits is still given out, nothing new comes.
    pub fn stop(&self) {
        if !self.is_foreign() {
            self.pipe.pump.abort();
        }
    }

    fn is_foreign(&self) -> bool {
        self.process != std::process::id()
    }

    /// Ends the stream once everything that has happened so far was given out.
    pub fn finish(&self) {
        if !self.is_foreign() {
            self.pipe.finished.notify_one();
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{CallSettings, FfiHub, OpenOptions};

    async fn with_people(count: usize) -> FfiHub {
        let hub = FfiHub::open(OpenOptions::for_tests()).await.unwrap();
        for n in 0..count {
            let person =
                json!({ "identifiers": [{ "kind": "email", "value": format!("p{n}@shared.example") }] });
            hub.call("people.resolve", person, CallSettings::default(), None).await.unwrap();
        }
        hub
    }

    async fn read_all(stream: &EventStream) -> usize {
        let mut count = 0;
        while let Some(batch) = stream.next_batch(64).await.unwrap() {
            count += batch.len();
        }
        count
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_happened_before_the_close_is_given_out_after_it() {
        let hub = with_people(3).await;
        let early = hub.events(0, Some("person.created"), EventFilter::Events).unwrap();
        let late = hub.events(0, Some("person.*"), EventFilter::Events).unwrap();
        hub.close().await.unwrap();
        assert_eq!(read_all(&early).await, 3);
        assert!(read_all(&late).await >= 3);
    }
}
