//! The test helpers, as classes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use neonhub_ffi::{Error, FfiResult, testing};
use pyo3::prelude::*;

use crate::error::to_python;
use crate::json::{from_python, into_python};

fn raise<T>(py: Python<'_>, answer: FfiResult<T>) -> PyResult<T> {
    answer.map_err(|error| to_python(py, &error))
}

/// A model that plays a script.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct ScriptedModel(pub(crate) testing::ScriptedModel);

#[pymethods]
impl ScriptedModel {
    #[new]
    fn new(script: &Bound<'_, PyAny>) -> PyResult<Self> {
        let lines = from_python("testing.script", script)?;
        raise(script.py(), testing::ScriptedModel::new(lines)).map(ScriptedModel)
    }

    /// Adds a line at the end.
    fn add(&self, line: &Bound<'_, PyAny>) -> PyResult<()> {
        let read = from_python("testing.script", line)?;
        raise(line.py(), self.0.add(read))
    }

    /// Every request so far.
    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        into_python(py, &self.0.requests())
    }

    /// The lines that nobody has asked for.
    fn left(&self) -> Vec<String> {
        self.0.left()
    }
}

/// Answers of models on tape.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Cassette(pub(crate) testing::Cassette);

#[pymethods]
impl Cassette {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, mode: &str) -> PyResult<Self> {
        raise(py, testing::Cassette::open(path, mode)).map(Cassette)
    }

    /// Erases every answer about a person.
    fn erase_person(&self, py: Python<'_>, person: &str) -> PyResult<usize> {
        raise(py, self.0.erase_person(person))
    }
}

/// Puts faults on calls.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct Faults(pub(crate) testing::Faults);

#[pymethods]
impl Faults {
    #[new]
    fn new() -> Self {
        Faults(testing::Faults::new())
    }

    /// Adds a rule.
    fn add(&self, rule: &Bound<'_, PyAny>) -> PyResult<()> {
        let read = from_python("testing.faults", rule)?;
        raise(rule.py(), self.0.add(read))
    }

    /// Takes every rule away.
    fn clear(&self) {
        self.0.clear();
    }

    /// The calls so far.
    fn seen<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        into_python(py, &self.0.seen())
    }
}

/// The clock of a hub that was opened with `now`.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct VirtualClock(pub(crate) testing::VirtualClock);

#[pymethods]
impl VirtualClock {
    /// UTC milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    /// Moves it to an RFC 3339 instant.
    fn set(&self, py: Python<'_>, instant: &str) -> PyResult<()> {
        raise(py, self.0.set(instant))
    }

    /// Moves it forward.
    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(by) => self.0.advance(by),
            Err(_) => {
                let error = Error::invalid("testing.clock", "seconds", "expected seconds, 0 or more");
                return Err(to_python(py, &error.into()));
            }
        }
        Ok(())
    }
}

/// Keeps sockets shut until it is ended.
#[pyclass(module = "neonhub._native", frozen)]
pub(crate) struct NetworkForbidden(Mutex<Option<testing::NetworkForbidden>>);

#[pymethods]
impl NetworkForbidden {
    #[new]
    fn new() -> Self {
        NetworkForbidden(Mutex::new(Some(testing::forbid_network())))
    }

    /// Opens the network again, unless someone else forbids it too.
    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// True while anyone forbids the network.
#[pyfunction]
pub(crate) fn network_forbidden() -> bool {
    testing::is_network_forbidden()
}
