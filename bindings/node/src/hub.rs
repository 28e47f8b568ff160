//! The hub, its event streams, and how a call is cancelled.

use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;
use neonhub_ffi::host::{
    ConnectorSettings, HostConnector, HostModel, HostTool, ModelSettings, Settings as _, ToolSettings,
};
use neonhub_ffi::{
    CallSettings, CancelToken, Error, EventFilter, EventStream, FfiError, FfiHub, FfiResult, Value, plain,
    runtime,
};

use crate::bridge::Line;

/// Ends a call under way.
#[napi]
#[derive(Default)]
pub struct Cancel(CancelToken);

#[napi]
impl Cancel {
    /// A token for one call.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Cancel(CancelToken::new())
    }

    /// Ends it.
    #[napi]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// One open hub, seen from one workspace. `call` numbers join a call with its answer on the line.
#[napi]
pub struct Hub {
    hub: FfiHub,
    line: Arc<Line>,
}

impl Hub {
    pub(crate) fn new(hub: FfiHub, line: Arc<Line>) -> Self {
        Hub { hub, line }
    }

    pub(crate) fn ffi(&self) -> &FfiHub {
        &self.hub
    }
}

#[napi]
impl Hub {
    /// Calls an operation with its input as JSON.
    #[napi]
    pub fn call(
        &self,
        call: u32,
        name: String,
        input: String,
        key: Option<String>,
        timeout_ms: Option<f64>,
        cancel: Option<&Cancel>,
    ) {
        let (hub, cancel) = (self.hub.clone(), cancel.map(|cancel| cancel.0.clone()));
        self.line.run(call, async move {
            let settings = CallSettings { idempotency_key: key, timeout: timeout(&name, timeout_ms)? };
            let input = plain::value_from_json(&name, &input)?;
            Ok(Either::A(hub.call(&name, input, settings, cancel).await?.to_string()))
        });
    }

    /// Keeps a file in the store and gives its name.
    #[napi]
    pub fn put_blob(&self, call: u32, content: Uint8Array) {
        let (hub, content) = (self.hub.clone(), content.to_vec());
        self.line.run(call, async move { Ok(Either::A(hub.put_blob(&content).await?)) });
    }

    /// The same hub in another workspace.
    #[napi]
    pub fn workspace(&self, call: u32, slug: String) {
        let (hub, line) = (self.hub.clone(), Arc::clone(&self.line));
        self.line.run(call, async move { Ok(Either::B(Hub::new(hub.workspace(&slug).await?, line))) });
    }

    /// Closes the hub.
    #[napi]
    pub fn close(&self, call: u32) {
        let hub = self.hub.clone();
        self.line.run(call, async move { hub.close().await.map(|()| Either::A(String::new())) });
    }

    /// True once the hub was closed.
    #[napi(getter)]
    pub fn closed(&self) -> bool {
        self.hub.is_closed()
    }

    /// Names of the operations, sorted.
    #[napi]
    pub fn operations(&self) -> Vec<&'static str> {
        self.hub.operations()
    }

    /// A stream of events or of progress, or the error as JSON.
    #[napi(catch_unwind)]
    pub fn events(&self, cursor: f64, types: Option<String>, progress: bool) -> Either<Events, String> {
        // The subscription may need the runtime's timers.
        let _entered = runtime().enter();
        let filter = if progress { EventFilter::Progress } else { EventFilter::Events };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked by the caller")]
        match self.hub.events(cursor as u64, types.as_deref(), filter) {
            Ok(stream) => Either::A(Events { stream: Arc::new(stream), line: Arc::clone(&self.line) }),
            Err(error) => Either::B(plain::error_to_json(&error)),
        }
    }

    /// Adds a model that a registered function answers for; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add_model(&self, settings: String, complete: u32) -> Option<String> {
        // Made first: dropping it in case of an error releases the function.
        let complete = self.line.callback(complete);
        failure(|| {
            let settings = ModelSettings::parse(map("hub.add_model", &settings)?)?;
            self.hub.add_model(HostModel::new(settings, complete)?)
        })
    }

    /// Adds a connector that registered functions deliver for; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add_connector(&self, settings: String, deliver: u32, probe: Option<u32>) -> Option<String> {
        let (deliver, probe) = (self.line.callback(deliver), probe.map(|probe| self.line.callback(probe)));
        failure(|| {
            let settings = ConnectorSettings::parse(map("hub.add_connector", &settings)?)?;
            self.hub.add_connector(HostConnector::new(settings, deliver, probe)?)
        })
    }

    /// Adds a tool whose body is a registered function; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add_tool(&self, settings: String, body: u32, probe: Option<u32>, replace: bool) -> Option<String> {
        let (body, probe) = (self.line.callback(body), probe.map(|probe| self.line.callback(probe)));
        failure(|| {
            let settings = ToolSettings::parse(map("hub.add_tool", &settings)?)?;
            self.hub.add_tool(HostTool::new(settings, body, probe)?, replace)
        })
    }

    /// Takes a tool away. False when there was none.
    #[napi(catch_unwind)]
    pub fn remove_tool(&self, name: String) -> bool {
        self.hub.remove_tool(&name).unwrap_or(false)
    }
}

/// A stream of items in batches.
#[napi]
pub struct Events {
    stream: Arc<EventStream>,
    line: Arc<Line>,
}

#[napi]
impl Events {
    /// The next items, at most `most`, as a JSON list; empty text at the end.
    #[napi]
    pub fn next_batch(&self, call: u32, most: u32) {
        let stream = Arc::clone(&self.stream);
        self.line.run(call, async move {
            let batch = stream.next_batch(usize::try_from(most).unwrap_or(1)).await?;
            Ok(Either::A(batch.map(|items| Value::Array(items).to_string()).unwrap_or_default()))
        });
    }

    /// Ends the stream once everything so far was given out.
    #[napi]
    pub fn finish(&self) {
        self.stream.finish();
    }

    /// Ends the stream.
    #[napi]
    pub fn stop(&self) {
        self.stream.stop();
    }
}

pub(crate) fn map(operation: &str, text: &str) -> FfiResult<Value> {
    Ok(plain::value_from_json(operation, text)?)
}

pub(crate) fn failure(act: impl FnOnce() -> FfiResult<()>) -> Option<String> {
    act().err().map(|error| plain::error_to_json(&error))
}

fn timeout(name: &str, milliseconds: Option<f64>) -> FfiResult<Option<Duration>> {
    let Some(milliseconds) = milliseconds else { return Ok(None) };
    let limit = Duration::try_from_secs_f64(milliseconds / 1000.0);
    let wrong = |_| Error::invalid(name.to_owned(), "timeout", "expected milliseconds, 0 or more");
    limit.map(Some).map_err(|cause| FfiError::from(wrong(cause)))
}
