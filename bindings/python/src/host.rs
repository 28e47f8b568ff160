//! Python functions, plain or async, called from Rust.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use neonhub_ffi::host::Callback;
use neonhub_ffi::{Error, ErrorKind, Result, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use tokio::sync::oneshot;

use crate::bridge::CALLER;
use crate::error::from_python as error_from_python;
use crate::json::{from_python, into_python};

/// `neonhub._host.invoke`.
static INVOKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Takes the outcome of one callback.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Reply(Mutex<Option<oneshot::Sender<Result<Value>>>>);

#[pymethods]
impl Reply {
    /// The function returned.
    fn done(&self, value: &Bound<'_, PyAny>) {
        let answer = from_python("host", value).map_err(|raised| {
            let message = raised.value(value.py()).to_string();
            Error::new(ErrorKind::Corrupted, "host", message).with_code("host_answer")
        });
        self.send(answer);
    }

    /// The function raised.
    fn failed(&self, raised: &Bound<'_, PyAny>) {
        self.send(Err(error_from_python(raised.py(), PyErr::from_value(raised.clone()))));
    }
}

impl Reply {
    fn send(&self, answer: Result<Value>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // No receiver: the caller gave up meanwhile.
            let _ = sender.send(answer);
        }
    }
}

/// A callback under way. Dropping it before its end cancels the coroutine in its loop, also when the coroutine is
/// only just being started in another thread.
struct Running(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    /// The running future of a coroutine.
    future: Option<Py<PyAny>>,
    /// Nobody waits for it any more.
    is_over: bool,
}

impl Running {
    /// Notes the future of a coroutine; gives it back when it is to be cancelled at once.
    fn started(slot: &Mutex<Slot>, future: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_over {
            return future;
        }
        slot.future = future;
        None
    }

    fn end(&self) -> Option<Py<PyAny>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_over = true;
        slot.future.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(future) = self.end() {
            let _ = Python::try_attach(|py| future.call_method0(py, "cancel").map(drop));
        }
    }
}

/// A Python function as a callback. An async one runs in the event loop of the caller when that is known, else in
/// the loop that ran when the function was registered, else in a loop of our own thread.
pub(crate) fn callback(function: Py<PyAny>, registered: Option<Py<PyAny>>) -> Callback {
    let function = Arc::new(function);
    let registered = registered.map(Arc::new);
    Arc::new(move |input| {
        let caller = CALLER.try_with(Arc::clone).ok();
        let loops: Vec<Arc<Py<PyAny>>> = caller.into_iter().chain(registered.clone()).collect();
        run(Arc::clone(&function), loops, input).boxed()
    })
}

async fn run(function: Arc<Py<PyAny>>, loops: Vec<Arc<Py<PyAny>>>, input: Value) -> Result<Value> {
    let (send, receive) = oneshot::channel();
    let running = Running(Arc::default());
    let slot = Arc::clone(&running.0);
    // A plain function may take its time: it gets a thread of the blocking pool, not one of the workers.
    let started = tokio::task::spawn_blocking(move || {
        let reply = Reply(Mutex::new(Some(send)));
        Python::try_attach(|py| {
            let future = start(py, &function, &loops, &input, reply).map_err(|e| error_from_python(py, e))?;
            if let Some(unwanted) = Running::started(&slot, future) {
                let _ = unwanted.call_method0(py, "cancel");
            }
            Ok(())
        })
    });
    match started.await {
        Ok(Some(Ok(()))) => {}
        Ok(Some(Err(error))) => return Err(error),
        _ => return Err(gone()),
    }
    let answer = receive.await;
    // It has ended: there is nothing to cancel.
    drop(running.end());
    answer.unwrap_or_else(|_| Err(gone()))
}

/// Calls the function; gives the running future of a coroutine.
fn start(
    py: Python<'_>,
    function: &Py<PyAny>,
    loops: &[Arc<Py<PyAny>>],
    input: &Value,
    reply: Reply,
) -> PyResult<Option<Py<PyAny>>> {
    let loops = PyList::new(py, loops.iter().map(|event_loop| event_loop.bind(py)))?;
    let input = into_python(py, input)?;
    let invoke = INVOKE.import(py, "neonhub._host", "invoke")?;
    let future = invoke.call1((function.bind(py), input, loops, Py::new(py, reply)?))?;
    Ok(if future.is_none() { None } else { Some(future.unbind()) })
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "host", "the callback of the host ended without an answer")
}
