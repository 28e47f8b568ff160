//! Streams of events in batches: one hop into the host language carries all that is ready.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use neonhub_core::bus::{Item, Subscription};
use neonhub_core::{CancelToken, Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::error::FfiResult;
use crate::runtime::runtime;

/// Items that may wait for a slow reader before the subscription pauses.
const BUFFER: usize = 1024;
/// A stream that finishes and sees nothing for this long has caught up.
const QUIET: Duration = Duration::from_millis(50);
/// How long a close waits for streams to take up the rest. A stream that is full ends at once.
const FINISH: Duration = Duration::from_secs(2);

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
    pump: JoinHandle<()>,
    finish: CancelToken,
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
        let finish = CancelToken::new();
        let pump = runtime().spawn(pump(subscription, filter, send, finish.clone()));
        let pipe = Arc::new(Pipe { ready: Mutex::new(ready), pump, finish });
        EventStream { pipe, process: std::process::id() }
    }

    /// The next items, 1 to `most`, waiting for the first; `None` once the hub is closed and all that the stream had
    /// taken up by then was given out. Go on from the last `cursor` after opening the store again.
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
}

/// The open streams of a hub.
#[derive(Debug, Default)]
pub(crate) struct Streams(std::sync::Mutex<Vec<Weak<Pipe>>>);

impl Streams {
    pub(crate) fn add(&self, stream: &EventStream) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(&stream.pipe));
    }

    /// Lets every stream take up what has happened, as much as it holds, and end.
    pub(crate) async fn finish(&self) {
        let pipes: Vec<Arc<Pipe>> = {
            let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            streams.drain(..).filter_map(|stream| stream.upgrade()).collect()
        };
        for pipe in &pipes {
            pipe.finish.cancel();
        }
        let ended = async {
            for pipe in &pipes {
                while !pipe.pump.is_finished() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        };
        // Past the limit the store closes all the same, and the stream ends with it.
        let _ = tokio::time::timeout(FINISH, ended).await;
    }
}

async fn pump(
    mut subscription: Subscription,
    filter: EventFilter,
    send: mpsc::Sender<Result<Value>>,
    finishing: CancelToken,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = subscription.next() => next,
            () = finishing.cancelled() => {
                match tokio::time::timeout(QUIET, subscription.next()).await {
                    Ok(next) => next,
                    Err(_) => return,
                }
            }
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
        let sent = tokio::select! {
            biased;
            sent = send.reserve() => sent,
            // Full, and the hub is closing: the reader goes on from its cursor after the next open.
            () = finishing.cancelled() => return,
        };
        let Ok(slot) = sent else { return };
        slot.send(item);
        if is_last {
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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_stream_does_not_hold_up_the_close() {
        let hub = with_people(1).await;
        let stream = hub.events(0, None, EventFilter::All).unwrap();
        let scope = hub.scope_for_tests();
        for n in 0..3_000_u64 {
            scope.progress("import", n, 3_000, "");
            if n % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let before = std::time::Instant::now();
        hub.close().await.unwrap();
        assert!(before.elapsed() < FINISH);
        assert!(read_all(&stream).await <= BUFFER + 1);
    }
}
