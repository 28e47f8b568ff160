//! Event streams in batches.

use std::sync::Arc;

use neonhub_ffi::EventStream;
use pyo3::prelude::*;

use crate::bridge::{Call, Target, wait};

/// A stream of items; each call gives all that are ready, up to `most`.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Events(Arc<EventStream>);

impl Events {
    pub(crate) fn new(stream: EventStream) -> Self {
        Events(Arc::new(stream))
    }
}

#[pymethods]
impl Events {
    /// Waits for the next items; `None` at the end.
    fn next_batch(&self, py: Python<'_>, most: usize) -> PyResult<Py<PyAny>> {
        wait(py, self.0.next_batch(most))
    }

    /// The same for an asyncio future.
    fn start_batch(&self, most: usize, event_loop: Py<PyAny>, future: Py<PyAny>) -> Call {
        let stream = Arc::clone(&self.0);
        Target::new(event_loop, future).spawn(None, async move { stream.next_batch(most).await })
    }

    /// Ends the stream.
    fn stop(&self) {
        self.0.stop();
    }
}
