//! From a Rust future to Python: a blocking wait with the interpreter released, or an asyncio future.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use neonhub_ffi::{CancelToken, FfiResult, block_on_with, runtime};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::task::AbortHandle;

use crate::error::to_python;

/// Held while an answer is handed to a loop.
static HANDING: RwLock<()> = RwLock::new(());
/// `neonhub._runtime.settle`.
static SETTLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

tokio::task_local! {
    /// The event loop whose task waits for the call that is running now. Lost where the core spawns a task.
    pub(crate) static CALLER: Arc<Py<PyAny>>;
}

/// What a finished call gives to Python.
pub(crate) trait Answer: Send + 'static {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// Waits on the calling thread with the interpreter released. Ctrl-C ends the wait within 50 ms.
pub(crate) fn wait<T: Answer>(
    py: Python<'_>,
    future: impl Future<Output = FfiResult<T>> + Send,
) -> PyResult<Py<PyAny>> {
    let answer = py
        .detach(|| block_on_with(future, || Python::try_attach(|py| py.check_signals()).unwrap_or(Ok(()))))?;
    finish(py, answer)
}

/// Waits for answers that are being handed over. At the exit of the process: the loop that an answer woke may be through
/// before the thread that gave it is, and the interpreter ends a thread that comes back late in the middle of its work.
#[pyfunction]
pub(crate) fn hand_over(py: Python<'_>) {
    py.detach(|| drop(HANDING.write().unwrap_or_else(PoisonError::into_inner)));
}

/// A call under way for an asyncio future.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Call {
    token: Option<CancelToken>,
    task: AbortHandle,
    process: u32,
}

#[pymethods]
impl Call {
    /// Stops the work.
    fn cancel(&self) {
        // In a forked child the work is the parent's, and its threads are not here.
        if self.process != std::process::id() {
            return;
        }
        if let Some(token) = &self.token {
            token.cancel();
        }
        self.task.abort();
    }
}

/// Where the answer of a call goes: an asyncio future of an event loop.
pub(crate) struct Target {
    event_loop: Arc<Py<PyAny>>,
    future: Py<PyAny>,
}

impl Target {
    pub(crate) fn new(event_loop: Py<PyAny>, future: Py<PyAny>) -> Self {
        Target { event_loop: Arc::new(event_loop), future }
    }

    /// Starts the work; its answer settles the future from the loop's own thread.
    pub(crate) fn spawn<T: Answer>(
        self,
        token: Option<CancelToken>,
        work: impl Future<Output = FfiResult<T>> + Send + 'static,
    ) -> Call {
        let caller = Arc::clone(&self.event_loop);
        let task = runtime().spawn(CALLER.scope(caller, async move {
            let answer = work.await;
            let _handing = HANDING.read().unwrap_or_else(PoisonError::into_inner);
            // None: the interpreter is going down and nobody waits any more.
            let _ = Python::try_attach(|py| self.settle(py, answer));
        }));
        Call { token, task: task.abort_handle(), process: std::process::id() }
    }

    fn settle<T: Answer>(self, py: Python<'_>, answer: FfiResult<T>) -> PyResult<()> {
        let (value, error) = match finish(py, answer) {
            Ok(value) => (value, py.None()),
            Err(error) => (py.None(), error.into_value(py).into_any()),
        };
        let settle = SETTLE.import(py, "neonhub._runtime", "settle")?;
        // Fails when the loop was closed meanwhile: nobody waits any more.
        self.event_loop.bind(py).call_method1("call_soon_threadsafe", (settle, self.future, value, error))?;
        Ok(())
    }
}

fn finish<T: Answer>(py: Python<'_>, answer: FfiResult<T>) -> PyResult<Py<PyAny>> {
    answer.map_err(|error| to_python(py, &error))?.into_python(py)
}

impl Answer for () {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

impl Answer for String {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(pyo3::types::PyString::new(py, &self).into_any().unbind())
    }
}

impl Answer for neonhub_ffi::Value {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        crate::json::into_python(py, &self).map(Bound::unbind)
    }
}

impl Answer for Option<Vec<neonhub_ffi::Value>> {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Some(items) => neonhub_ffi::Value::Array(items).into_python(py),
            None => Ok(py.None()),
        }
    }
}
