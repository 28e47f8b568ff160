//! The one line between the core and a JavaScript thread: messages to one function of that thread, replies from it.
//!
//! One thread-safe function serves all calls of a thread. One per call would cost more than a small operation does.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use napi::bindgen_prelude::{Either, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use neonhub_ffi::host::Callback;
use neonhub_ffi::{
    Error, ErrorKind, FfiError, FfiHub, FfiResult, OpenOptions, Result, Value, plain, runtime,
};
use tokio::sync::oneshot;

use crate::hub::Hub;

/// A call is done; the payload is its answer as JSON, or a hub.
const DONE: u32 = 0;
/// A call failed; the payload is the error.
const FAILED: u32 = 1;
/// A function of the host is asked; the payload is its input.
const ASKED: u32 = 2;
/// Nobody waits for that answer any more.
const DROPPED: u32 = 3;
/// A function of the host is needed no more.
const RELEASED: u32 = 4;

/// What a message carries.
pub(crate) type Payload = Either<String, Hub>;
/// What it is, the call or question, the function asked, the payload.
type Message = FnArgs<(u32, u32, u32, Payload)>;
/// Weak: an idle hub with models in it does not keep the process alive.
type Dispatch = ThreadsafeFunction<Message, (), Message, napi::Status, false, true>;

/// The shared end of the line.
pub(crate) struct Line {
    dispatch: Dispatch,
    asked: Mutex<BTreeMap<u32, oneshot::Sender<String>>>,
    next: AtomicU32,
}

impl Line {
    /// Sends a message. False when the JavaScript thread is gone.
    fn send(&self, what: u32, id: u32, function: u32, payload: Payload) -> bool {
        let message = (what, id, function, payload).into();
        self.dispatch.call(message, ThreadsafeFunctionCallMode::NonBlocking) == napi::Status::Ok
    }

    /// Runs work on the core's runtime and sends its answer as that of the call.
    pub(crate) fn run(
        self: &Arc<Self>,
        call: u32,
        work: impl Future<Output = FfiResult<Payload>> + Send + 'static,
    ) {
        let line = Arc::clone(self);
        runtime().spawn(async move {
            let answer = AssertUnwindSafe(work).catch_unwind().await;
            match answer.unwrap_or_else(|_panic| Err(FfiError::of_panic("hub"))) {
                Ok(payload) => line.send(DONE, call, 0, payload),
                Err(error) => line.send(FAILED, call, 0, Either::A(plain::error_to_json(&error))),
            }
        });
    }

    /// A function of the host, known by its number, as the core calls it.
    pub(crate) fn callback(self: &Arc<Self>, number: u32) -> Callback {
        let function = Arc::new(HostFunction { line: Arc::clone(self), number });
        Arc::new(move |input| {
            let function = Arc::clone(&function);
            async move { function.ask(&input).await }.boxed()
        })
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<u32, oneshot::Sender<String>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered function; dropped with the part that asks it.
struct HostFunction {
    line: Arc<Line>,
    number: u32,
}

impl HostFunction {
    async fn ask(&self, input: &Value) -> Result<Value> {
        let (send, receive) = oneshot::channel();
        let question = Question { line: &self.line, id: self.line.next.fetch_add(1, Ordering::Relaxed) };
        self.line.asked().insert(question.id, send);
        if !self.line.send(ASKED, question.id, self.number, Either::A(input.to_string())) {
            return Err(gone());
        }
        plain::answer_from_json(&receive.await.map_err(|_| gone())?)
    }
}

impl Drop for HostFunction {
    fn drop(&mut self) {
        self.line.send(RELEASED, 0, self.number, Either::A(String::new()));
    }
}

/// An open question; dropping it before the answer tells the host to stop.
struct Question<'a> {
    line: &'a Line,
    id: u32,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if self.line.asked().remove(&self.id).is_some() {
            self.line.send(DROPPED, self.id, 0, Either::A(String::new()));
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "host", "the callback of the host ended without an answer")
}

/// The line of one JavaScript thread.
#[napi]
pub struct Bridge(Arc<Line>);

impl Drop for Bridge {
    fn drop(&mut self) {
        // The thread ends: what its functions were asked is answered by no one.
        self.0.asked().clear();
    }
}

#[napi]
impl Bridge {
    /// `dispatch` gets every message of the thread and must not throw.
    #[napi(constructor)]
    pub fn new(dispatch: Function<'_, Message, ()>) -> napi::Result<Self> {
        let dispatch = dispatch.build_threadsafe_function::<Message>().weak::<true>().build()?;
        Ok(Bridge(Arc::new(Line { dispatch, asked: Mutex::default(), next: AtomicU32::new(1) })))
    }

    /// Opens a hub; `options` is a JSON map.
    #[napi]
    pub fn open(&self, call: u32, options: String) {
        let line = Arc::clone(&self.0);
        self.0.run(call, async move {
            let options = OpenOptions::parse(plain::value_from_json("hub.open", &options)?)?;
            Ok(Either::B(Hub::new(FfiHub::open(options).await?, line)))
        });
    }

    /// Answers a question: `{"value": ..}` or `{"raised": ..}` as JSON.
    #[napi]
    pub fn reply(&self, question: u32, answer: String) {
        if let Some(asker) = self.0.asked().remove(&question) {
            // No receiver: the core gave up meanwhile.
            let _ = asker.send(answer);
        }
    }

    /// A value to the core and back; an error value comes back as a failure. For tests of the way itself.
    #[napi]
    pub fn echo(&self, call: u32, value: Option<String>, error: Option<String>) {
        self.0.run(call, async move {
            match (value, error) {
                (_, Some(error)) => Err(plain::error_from_json("test.fail", &error).into()),
                (value, None) => {
                    let value = value.map(|text| plain::value_from_json("test.echo", &text)).transpose()?;
                    Ok(Either::A(value.map(|value| value.to_string()).unwrap_or_default()))
                }
            }
        });
    }
}
