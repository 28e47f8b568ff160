//! Python values and JSON, by walking the tree: no text in between.

use neonhub_ffi::{Error, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::to_python;

/// Levels a value may have here; the door allows 64. The margin keeps a cycle from overflowing the stack.
const MAX_DEPTH: usize = 100;

/// The value of an argument that was not given.
static OMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// Turns dates, paths and input classes into plain values.
static PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// What cannot be sent, and where it stands, innermost name first.
struct Fault {
    path: Vec<String>,
    message: String,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Fault { path: Vec::new(), message: message.into() }
    }

    fn below(mut self, name: impl Into<String>) -> Self {
        self.path.push(name.into());
        self
    }

    fn field(&self) -> String {
        let mut out = String::new();
        for part in self.path.iter().rev() {
            if !out.is_empty() && !part.starts_with('[') {
                out.push('.');
            }
            out.push_str(part);
        }
        if out.is_empty() { "input".to_owned() } else { out }
    }
}

/// A Python value as JSON, for the input of `operation`.
pub(crate) fn from_python(operation: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = value.py();
    let omit = OMIT.import(py, "neonhub._values", "OMIT")?;
    walk(value, omit, 0).map_err(|fault| {
        let error = Error::invalid(operation.to_owned(), fault.field(), fault.message);
        to_python(py, &error.into())
    })
}

fn walk(value: &Bound<'_, PyAny>, omit: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::new("expected at most 64 levels"));
    }
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.to_str().map_err(|_| Fault::new("expected text without lone surrogates"))?;
        return Ok(Value::String(text.to_owned()));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return integer(value);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.extract::<f64>().unwrap_or(f64::NAN);
        return if number.is_finite() {
            Ok(Value::from(number))
        } else {
            Err(Fault::new("expected a finite number"))
        };
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return object(dict, omit, depth);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return array(list.iter(), omit, depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(tuple.iter(), omit, depth);
    }
    let plain = PLAIN.import(value.py(), "neonhub._values", "plain").and_then(|plain| plain.call1((value,)));
    match plain {
        Ok(plain) => walk(&plain, omit, depth + 1),
        Err(error) => Err(Fault::new(error.value(value.py()).to_string())),
    }
}

fn integer(value: &Bound<'_, PyAny>) -> Result<Value, Fault> {
    if let Ok(number) = value.extract::<i64>() {
        return Ok(Value::from(number));
    }
    match value.extract::<u64>() {
        Ok(number) => Ok(Value::from(number)),
        Err(_) => Err(Fault::new("expected a whole number of at most 64 bits")),
    }
}

fn object(dict: &Bound<'_, PyDict>, omit: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Fault> {
    let mut map = neonhub_ffi::Map::new();
    for (key, value) in dict.iter() {
        if value.is(omit) {
            continue;
        }
        let name = key.cast::<PyString>().map_err(|_| Fault::new("expected text as the keys of a map"))?;
        let name = name.to_str().map_err(|_| Fault::new("expected keys without lone surrogates"))?;
        let value = walk(&value, omit, depth + 1).map_err(|fault| fault.below(name))?;
        map.insert(name.to_owned(), value);
    }
    Ok(Value::Object(map))
}

fn array<'py>(
    items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    omit: &Bound<'py, PyAny>,
    depth: usize,
) -> Result<Value, Fault> {
    let mut out = Vec::with_capacity(items.len());
    for (n, item) in items.enumerate() {
        out.push(walk(&item, omit, depth + 1).map_err(|fault| fault.below(format!("[{n}]")))?);
    }
    Ok(Value::Array(out))
}

/// JSON as Python values.
pub(crate) fn into_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                number.into_pyobject(py)?.into_any()
            } else if let Some(number) = number.as_u64() {
                number.into_pyobject(py)?.into_any()
            } else {
                PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any()
            }
        }
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let items = items.iter().map(|item| into_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (key, item) in map {
                dict.set_item(PyString::new(py, key), into_python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

/// What the core would read from a value, as plain values again. For tests of the surface.
#[pyfunction]
pub(crate) fn echo<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    into_python(value.py(), &from_python("echo", value)?)
}
