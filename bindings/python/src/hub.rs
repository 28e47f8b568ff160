//! The hub.

use std::time::Duration;

use neonhub_ffi::host::{HostConnector, HostModel, HostTool};
use neonhub_ffi::{
    CallSettings, CancelToken, Error, EventFilter, FfiError, FfiHub, OpenOptions, Value, runtime,
};
use pyo3::prelude::*;

use crate::bridge::{Answer, Call, Target, wait};
use crate::error::to_python;
use crate::events::Events;
use crate::host::callback;
use crate::json::from_python;
use crate::testing::{Cassette, Faults, ScriptedModel, VirtualClock};

/// One open hub, seen from one workspace.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Hub(FfiHub);

impl Answer for FfiHub {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Hub(self))?.into_any())
    }
}

/// Opens a hub and waits for it.
#[pyfunction]
pub(crate) fn open(py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    wait(py, FfiHub::open(open_options(options)?))
}

/// Opens a hub for an asyncio future.
#[pyfunction]
pub(crate) fn start_open(
    options: &Bound<'_, PyAny>,
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
) -> PyResult<Call> {
    let options = open_options(options)?;
    Ok(Target::new(event_loop, future).spawn(None, FfiHub::open(options)))
}

#[pymethods]
impl Hub {
    /// Calls an operation and waits for its answer.
    #[pyo3(signature = (name, payload, key=None, timeout=None))]
    fn call(
        &self,
        py: Python<'_>,
        name: &str,
        payload: &Bound<'_, PyAny>,
        key: Option<String>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let input = from_python(name, payload)?;
        let settings = settings(py, name, key, timeout)?;
        wait(py, self.0.call(name, input, settings, None))
    }

    /// Calls an operation for an asyncio future.
    #[pyo3(signature = (name, payload, key, timeout, event_loop, future))]
    #[allow(clippy::too_many_arguments, reason = "one call with its settings and its target")]
    fn start(
        &self,
        py: Python<'_>,
        name: String,
        payload: &Bound<'_, PyAny>,
        key: Option<String>,
        timeout: Option<f64>,
        event_loop: Py<PyAny>,
        future: Py<PyAny>,
    ) -> PyResult<Call> {
        let input = from_python(&name, payload)?;
        let settings = settings(py, &name, key, timeout)?;
        let token = CancelToken::new();
        let cancel = token.clone();
        let hub = self.0.clone();
        let work = async move { hub.call(&name, input, settings, Some(cancel)).await };
        Ok(Target::new(event_loop, future).spawn(Some(token), work))
    }

    /// The same hub in another workspace.
    fn workspace(&self, py: Python<'_>, slug: &str) -> PyResult<Py<PyAny>> {
        wait(py, self.0.workspace(slug))
    }

    /// The same hub in another workspace, for an asyncio future.
    fn start_workspace(&self, slug: String, event_loop: Py<PyAny>, future: Py<PyAny>) -> Call {
        let hub = self.0.clone();
        Target::new(event_loop, future).spawn(None, async move { hub.workspace(&slug).await })
    }

    /// Keeps a file in the store.
    fn put_blob(&self, py: Python<'_>, content: &[u8]) -> PyResult<Py<PyAny>> {
        wait(py, self.0.put_blob(content))
    }

    /// Keeps a file in the store, for an asyncio future.
    fn start_put_blob(&self, content: Vec<u8>, event_loop: Py<PyAny>, future: Py<PyAny>) -> Call {
        let hub = self.0.clone();
        Target::new(event_loop, future).spawn(None, async move { hub.put_blob(&content).await })
    }

    /// A stream of events, of progress, or of both.
    #[pyo3(signature = (cursor, types, filter))]
    fn events(&self, py: Python<'_>, cursor: u64, types: Option<&str>, filter: &str) -> PyResult<Events> {
        let filter = match filter {
            "events" => EventFilter::Events,
            "progress" => EventFilter::Progress,
            _ => EventFilter::All,
        };
        // The pump is spawned on the runtime, and the subscription may need its timers.
        let _entered = runtime().enter();
        let stream = self.0.events(cursor, types, filter).map_err(|error| to_python(py, &error))?;
        Ok(Events::new(stream))
    }

    /// Adds a model that a Python function answers for.
    fn add_model(
        &self,
        py: Python<'_>,
        settings: &Bound<'_, PyAny>,
        complete: Py<PyAny>,
        event_loop: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let settings = parsed(py, "hub.add_model", settings)?;
        let model = HostModel::new(settings, callback(complete, event_loop)).map_err(FfiError::from);
        let added = model.and_then(|model| self.0.add_model(model));
        added.map_err(|error| to_python(py, &error))
    }

    /// Adds a connector that Python functions deliver for.
    fn add_connector(
        &self,
        py: Python<'_>,
        settings: &Bound<'_, PyAny>,
        deliver: Py<PyAny>,
        probe: Option<Py<PyAny>>,
        event_loop: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let settings = parsed(py, "hub.add_connector", settings)?;
        let again = event_loop.as_ref().map(|event_loop| event_loop.clone_ref(py));
        let probe = probe.map(|probe| callback(probe, again));
        let connector =
            HostConnector::new(settings, callback(deliver, event_loop), probe).map_err(FfiError::from);
        let added = connector.and_then(|connector| self.0.add_connector(connector));
        added.map_err(|error| to_python(py, &error))
    }

    /// Adds a tool whose body is a Python function.
    fn add_tool(
        &self,
        py: Python<'_>,
        settings: &Bound<'_, PyAny>,
        body: Py<PyAny>,
        probe: Option<Py<PyAny>>,
        replace: bool,
        event_loop: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let settings = parsed(py, "hub.add_tool", settings)?;
        let again = event_loop.as_ref().map(|event_loop| event_loop.clone_ref(py));
        let probe = probe.map(|probe| callback(probe, again));
        let tool = HostTool::new(settings, callback(body, event_loop), probe).map_err(FfiError::from);
        let added = tool.and_then(|tool| self.0.add_tool(tool, replace));
        added.map_err(|error| to_python(py, &error))
    }

    /// Takes a tool away.
    fn remove_tool(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        self.0.remove_tool(name).map_err(|error| to_python(py, &error))
    }

    /// Adds a scripted model.
    fn add_scripted(&self, py: Python<'_>, model: &ScriptedModel) -> PyResult<()> {
        self.0.add_scripted(&model.0).map_err(|error| to_python(py, &error))
    }

    /// Puts a cassette before the models of this hub, or takes it away.
    fn insert_cassette(&self, py: Python<'_>, cassette: Option<&Cassette>) -> PyResult<()> {
        self.0.insert_cassette(cassette.map(|cassette| &cassette.0)).map_err(|error| to_python(py, &error))
    }

    /// Puts faults on calls of this hub, or takes them away.
    fn inject_faults(&self, py: Python<'_>, faults: Option<&Faults>) -> PyResult<()> {
        self.0.inject_faults(faults.map(|faults| &faults.0)).map_err(|error| to_python(py, &error))
    }

    /// The clock, when it stands still.
    fn clock(&self) -> Option<VirtualClock> {
        self.0.clock().map(VirtualClock)
    }

    /// Names of the operations, sorted.
    fn operations(&self) -> Vec<&'static str> {
        self.0.operations()
    }

    /// Closes the hub and waits until it is.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wait(py, self.0.close())
    }

    /// Closes the hub for an asyncio future.
    fn start_close(&self, event_loop: Py<PyAny>, future: Py<PyAny>) -> Call {
        let hub = self.0.clone();
        Target::new(event_loop, future).spawn(None, async move { hub.close().await })
    }

    /// True once the hub was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }
}

fn open_options(options: &Bound<'_, PyAny>) -> PyResult<OpenOptions> {
    let map = from_python("hub.open", options)?;
    OpenOptions::parse(map).map_err(|error| to_python(options.py(), &error.into()))
}

fn parsed<T: neonhub_ffi::host::Settings>(
    py: Python<'_>,
    operation: &'static str,
    settings: &Bound<'_, PyAny>,
) -> PyResult<T> {
    let map: Value = from_python(operation, settings)?;
    T::parse(map).map_err(|error| to_python(py, &error.into()))
}

fn settings(py: Python<'_>, name: &str, key: Option<String>, timeout: Option<f64>) -> PyResult<CallSettings> {
    let timeout = match timeout.map(Duration::try_from_secs_f64) {
        None => None,
        Some(Ok(limit)) => Some(limit),
        Some(Err(_)) => {
            let error = Error::invalid(name.to_owned(), "timeout", "expected seconds, 0 or more");
            return Err(to_python(py, &error.into()));
        }
    };
    Ok(CallSettings { idempotency_key: key, timeout })
}
