//! The hub.

use std::sync::Arc;
use std::time::Duration;

use neonhub_ffi::host::{HostConnector, HostModel, HostTool, Settings};
use neonhub_ffi::{
    CallSettings, CancelToken, Error, EventFilter, FfiError, FfiHub, OpenOptions, Value, runtime,
};

use crate::bridge::{NativeCancel, run};
use crate::error::NativeError;
use crate::events::NativeStream;
use crate::host::{HostFunction, callback};
use crate::testing::{NativeCassette, NativeClock, NativeFaults, NativeScript};

/// One open hub, seen from one workspace.
#[derive(Debug, uniffi::Object)]
pub struct NativeHub(FfiHub);

/// Opens a hub; `options` is a JSON map.
///
/// # Errors
/// What opening answers; `InvalidInput` for an unknown setting.
#[uniffi::export]
pub async fn open_hub(options: String) -> Result<Arc<NativeHub>, NativeError> {
    let options = OpenOptions::parse(read("hub.open", &options)?)?;
    run(CancelToken::new(), FfiHub::open(options)).await.map(|hub| Arc::new(NativeHub(hub)))
}

#[uniffi::export]
impl NativeHub {
    /// Calls an operation with JSON and gives its answer as JSON.
    ///
    /// # Errors
    /// What the operation answers.
    pub async fn call(
        &self,
        name: String,
        input: String,
        key: Option<String>,
        timeout_ms: Option<i64>,
        cancel: Option<Arc<NativeCancel>>,
    ) -> Result<String, NativeError> {
        let settings = settings(&name, key, timeout_ms)?;
        let token = cancel.map(|cancel| cancel.token()).unwrap_or_default();
        let (hub, ended) = (self.0.clone(), token.clone());
        run(token, async move {
            let input = read(&name, &input)?;
            Ok(hub.call(&name, input, settings, Some(ended)).await?.to_string())
        })
        .await
    }

    /// The same hub in another workspace.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace.
    pub async fn workspace(&self, slug: String) -> Result<Arc<NativeHub>, NativeError> {
        let hub = self.0.clone();
        let other = run(CancelToken::new(), async move { hub.workspace(&slug).await });
        other.await.map(|hub| Arc::new(NativeHub(hub)))
    }

    /// Keeps a file in the store and gives its name.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes or over 100 MiB.
    pub async fn put_blob(&self, content: Vec<u8>) -> Result<String, NativeError> {
        let hub = self.0.clone();
        run(CancelToken::new(), async move { hub.put_blob(&content).await }).await
    }

    /// A stream of `events`, of `progress`, or of both (`all`).
    ///
    /// # Errors
    /// `PermissionDenied` without `read:analytics`.
    pub fn events(
        &self,
        cursor: i64,
        types: Option<String>,
        filter: &str,
    ) -> Result<Arc<NativeStream>, NativeError> {
        let filter = match filter {
            "events" => EventFilter::Events,
            "progress" => EventFilter::Progress,
            _ => EventFilter::All,
        };
        let cursor = u64::try_from(cursor)
            .map_err(|_| Error::invalid("hub.events", "cursor", "expected 0 or a cursor of an item"))?;
        // The pump is spawned on the runtime, and the subscription may need its timers.
        let _entered = runtime().enter();
        let stream = self.0.events(cursor, types.as_deref(), filter);
        Ok(Arc::new(NativeStream::new(stream?)))
    }

    /// Adds a model that a function of the host answers for.
    ///
    /// # Errors
    /// `InvalidInput` for wrong settings.
    pub fn add_model(&self, settings: &str, complete: Arc<dyn HostFunction>) -> Result<(), NativeError> {
        let model = HostModel::new(parsed("hub.add_model", settings)?, callback(complete))?;
        Ok(self.0.add_model(model)?)
    }

    /// Adds a connector that functions of the host deliver for.
    ///
    /// # Errors
    /// `InvalidInput` for wrong settings.
    pub fn add_connector(
        &self,
        settings: &str,
        deliver: Arc<dyn HostFunction>,
        probe: Option<Arc<dyn HostFunction>>,
    ) -> Result<(), NativeError> {
        let settings = parsed("hub.add_connector", settings)?;
        let connector = HostConnector::new(settings, callback(deliver), probe.map(callback))?;
        Ok(self.0.add_connector(connector)?)
    }

    /// Adds a tool whose body is a function of the host.
    ///
    /// # Errors
    /// `InvalidInput` for wrong settings; `AlreadyExists` for a name that is taken.
    pub fn add_tool(
        &self,
        settings: &str,
        replace: bool,
        body: Arc<dyn HostFunction>,
        probe: Option<Arc<dyn HostFunction>>,
    ) -> Result<(), NativeError> {
        let settings = parsed("hub.add_tool", settings)?;
        let tool = HostTool::new(settings, callback(body), probe.map(callback))?;
        Ok(self.0.add_tool(tool, replace)?)
    }

    /// Takes a tool away. False when there was none of this name.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn remove_tool(&self, name: &str) -> Result<bool, NativeError> {
        Ok(self.0.remove_tool(name)?)
    }

    /// Adds a scripted model.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn add_scripted(&self, model: &NativeScript) -> Result<(), NativeError> {
        Ok(self.0.add_scripted(&model.0)?)
    }

    /// Puts a cassette before the models of this hub; nothing takes it away.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn insert_cassette(&self, cassette: Option<Arc<NativeCassette>>) -> Result<(), NativeError> {
        Ok(self.0.insert_cassette(cassette.as_deref().map(|cassette| &cassette.0))?)
    }

    /// Puts faults on the calls of this hub; nothing takes them away.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn inject_faults(&self, faults: Option<Arc<NativeFaults>>) -> Result<(), NativeError> {
        Ok(self.0.inject_faults(faults.as_deref().map(|faults| &faults.0))?)
    }

    /// The clock, when the hub was opened with `now`.
    #[must_use]
    pub fn clock(&self) -> Option<Arc<NativeClock>> {
        self.0.clock().map(|clock| Arc::new(NativeClock(clock)))
    }

    /// Names of the operations, sorted.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        self.0.operations().into_iter().map(str::to_owned).collect()
    }

    /// Stops taking calls, waits for those under way, and closes the store. (`close` is what UniFFI calls the
    /// release of the object.) Not given up with the caller: a store half closed helps nobody.
    ///
    /// # Errors
    /// What the store answers while it writes out.
    pub async fn shut(&self) -> Result<(), NativeError> {
        let hub = self.0.clone();
        let closing = runtime().spawn(async move { hub.close().await });
        match closing.await {
            Ok(done) => Ok(done?),
            Err(_panicked) => Err(FfiError::of_panic("hub.close").into()),
        }
    }

    /// True once the hub was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// What the core reads from a text, as text again. For tests of the surface.
///
/// # Errors
/// `InvalidInput` for what is no JSON.
#[uniffi::export]
pub fn echo(text: &str) -> Result<String, NativeError> {
    Ok(read("echo", text)?.to_string())
}

/// Nothing, through the bridge of every call: the least that one can cost. For benches.
///
/// # Errors
/// Never.
#[uniffi::export]
pub async fn hop() -> Result<(), NativeError> {
    run(CancelToken::new(), async { Ok(()) }).await
}

pub(crate) fn read(operation: &str, text: &str) -> neonhub_ffi::Result<Value> {
    let invalid = |cause: serde_json::Error| Error::invalid(operation.to_owned(), "input", cause.to_string());
    serde_json::from_str(text).map_err(invalid)
}

fn parsed<T: Settings>(operation: &'static str, settings: &str) -> Result<T, NativeError> {
    Ok(T::parse(read(operation, settings)?)?)
}

fn settings(name: &str, key: Option<String>, timeout_ms: Option<i64>) -> Result<CallSettings, NativeError> {
    let timeout = match timeout_ms.map(u64::try_from) {
        None => None,
        Some(Ok(ms)) => Some(Duration::from_millis(ms)),
        Some(Err(_)) => return Err(Error::invalid(name.to_owned(), "timeout", "expected 0 or more").into()),
    };
    Ok(CallSettings { idempotency_key: key, timeout })
}
