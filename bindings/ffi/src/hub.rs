//! The hub as a binding holds it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use neonhub::connectors::outbox::Outbox;
use neonhub::knowledge::Knowledge;
use neonhub_core::{CancelToken, Clock, Error, ErrorKind, Hub, HubBuilder, Result, Scope};
use serde_json::Value;

use crate::error::{FfiError, FfiResult};
use crate::events::{EventFilter, EventStream};
use crate::host::{HostConnector, HostModel, HostTool};
use crate::options::{CallSettings, OpenOptions};
use crate::testing::{Cassette, Faults, ScriptedModel, VirtualClock};

/// One open hub, seen from one workspace as its owner. Cheap to clone; all clones share the hub.
#[derive(Clone, Debug)]
pub struct FfiHub {
    scope: Scope,
    clock: Option<VirtualClock>,
    process: u32,
}

/// In a forked child the hub is left as it is: its threads are gone, and closing the files of the parent's store
/// would break the parent's locks.
impl Drop for FfiHub {
    fn drop(&mut self) {
        if self.is_foreign() {
            std::mem::forget(self.scope.clone());
        }
    }
}

impl FfiHub {
    /// Opens a hub.
    ///
    /// # Errors
    /// What [`HubBuilder::build`] answers; `NotFound` for an unknown workspace.
    pub async fn open(options: OpenOptions) -> FfiResult<Self> {
        let opening = async {
            let clock = options.clock()?;
            let settings = options.clone();
            // Model folders are read here.
            let knowledge = tokio::task::spawn_blocking(move || settings.knowledge()).await;
            let knowledge = knowledge.map_err(|cause| Error::internal("hub.open", cause))??;
            let mut builder = options.apply(builder_with(knowledge))?;
            if let Some(clock) = &clock {
                builder = builder.clock(Arc::clone(clock) as Arc<dyn Clock>);
            }
            let hub = builder.build().await?;
            if let Some(folder) = options.outbox(&hub) {
                hub.add_connector(Arc::new(Outbox::at(folder)));
            }
            Ok((hub.workspace(options.slug()).await?, clock.map(VirtualClock::new)))
        };
        let (scope, clock) = guarded("hub.open", opening).await?;
        Ok(FfiHub { scope, clock, process: std::process::id() })
    }

    /// The same hub in another workspace.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace.
    pub async fn workspace(&self, slug: &str) -> FfiResult<Self> {
        let hub = self.hub("hub.workspace")?;
        let scope = guarded("hub.workspace", hub.workspace(slug)).await?;
        Ok(FfiHub { scope, clock: self.clock.clone(), process: self.process })
    }

    /// Calls an operation by name. A panic becomes `Internal`; a cancelled token ends the call as `Cancelled`.
    ///
    /// # Errors
    /// What the operation answers.
    pub async fn call(
        &self,
        name: &str,
        input: Value,
        settings: CallSettings,
        cancel: Option<CancelToken>,
    ) -> FfiResult<Value> {
        self.hub(name)?;
        guarded(name, self.scope.call_by_name(name, input, settings.options(cancel))).await
    }

    /// Keeps a file in the store and gives its SHA-256 in hex, for operations that take a `blob`.
    ///
    /// # Errors
    /// `PermissionDenied` without `write:content`; `InvalidInput` for no bytes or over 100 MiB.
    pub async fn put_blob(&self, bytes: &[u8]) -> FfiResult<String> {
        self.hub("hub.put_blob")?;
        guarded("hub.put_blob", self.scope.put_blob(bytes)).await
    }

    /// A stream of what happens in the workspace after `cursor` (0: from the start).
    ///
    /// # Errors
    /// `PermissionDenied` without `read:analytics`.
    pub fn events(&self, cursor: u64, types: Option<&str>, filter: EventFilter) -> FfiResult<EventStream> {
        self.hub("hub.events")?;
        Ok(EventStream::start(self.scope.subscribe(cursor, types)?, filter))
    }

    /// Adds a model written in the host language; it answers from now on.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn add_model(&self, model: HostModel) -> FfiResult<()> {
        self.hub("hub.add_model")?.add_model(Arc::new(model));
        Ok(())
    }

    /// Adds a connector written in the host language; it takes over the channels it names.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn add_connector(&self, connector: HostConnector) -> FfiResult<()> {
        self.hub("hub.add_connector")?.add_connector(Arc::new(connector));
        Ok(())
    }

    /// Adds a tool written in the host language; callers with the rights it needs see it from now on. With
    /// `replace` it takes the place of a tool of its name.
    ///
    /// # Errors
    /// `AlreadyExists` when an operation or, without `replace`, a tool has its name; `Config` in a forked process.
    pub fn add_tool(&self, tool: HostTool, replace: bool) -> FfiResult<()> {
        let hub = self.hub("hub.add_tool")?;
        if replace {
            hub.remove_tool(tool.name());
        }
        Ok(hub.add_tool(Arc::new(tool)).map_err(|error| error.for_operation("hub.add_tool"))?)
    }

    /// Takes a tool away. False when there was none of this name.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn remove_tool(&self, name: &str) -> FfiResult<bool> {
        Ok(self.hub("hub.remove_tool")?.remove_tool(name))
    }

    /// Adds a scripted model; it answers from now on.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn add_scripted(&self, model: &ScriptedModel) -> FfiResult<()> {
        self.hub("hub.add_model")?.add_model(model.model());
        Ok(())
    }

    /// Puts a cassette before the models of this hub; `None` takes it away.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn insert_cassette(&self, cassette: Option<&Cassette>) -> FfiResult<()> {
        self.hub("hub.insert_cassette")?.insert_cassette(cassette.map(Cassette::tape));
        Ok(())
    }

    /// Puts faults on every call of a model, tool or connector of this hub; `None` takes them away.
    ///
    /// # Errors
    /// `Config` in a forked process.
    pub fn inject_faults(&self, faults: Option<&Faults>) -> FfiResult<()> {
        self.hub("hub.inject_faults")?.inject_faults(faults.map(Faults::injector));
        Ok(())
    }

    /// The clock, when the hub was opened with `now`: it stands still until it is moved.
    #[must_use]
    pub fn clock(&self) -> Option<VirtualClock> {
        self.clock.clone()
    }

    /// Names of the operations that bindings show, sorted.
    #[must_use]
    pub fn operations(&self) -> Vec<&'static str> {
        self.scope.hub().operations().filter(|entry| !entry.internal).map(|entry| entry.name).collect()
    }

    /// Stops taking calls, waits for those under way, and closes the store. Closing twice is one close. Open streams
    /// give out what happened before and end.
    ///
    /// # Errors
    /// What the store answers while it writes out.
    pub async fn close(&self) -> FfiResult<()> {
        if self.is_foreign() {
            // The parent's hub is the parent's to close.
            return Ok(());
        }
        guarded("hub.close", self.scope.hub().close()).await
    }

    /// True once `close` was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.scope.hub().is_closing()
    }

    fn is_foreign(&self) -> bool {
        self.process != std::process::id()
    }

    fn hub(&self, operation: &str) -> Result<&Hub> {
        if self.is_foreign() {
            let message = "this hub was opened before the process was forked: open it again in the child";
            return Err(Error::new(ErrorKind::Config, operation.to_owned(), message).with_code("forked"));
        }
        Ok(self.scope.hub())
    }
}

/// The builder with every operation, record kind and rule of this build.
pub(crate) fn builder() -> HubBuilder {
    builder_with(Knowledge::new())
}

fn builder_with(knowledge: Knowledge) -> HubBuilder {
    neonhub::builder_with(knowledge).operations(crate::testing::traffic::CATALOGUE)
}

/// Turns a panic of ours into an error: no panic may cross into another language.
async fn guarded<T>(operation: &str, work: impl Future<Output = Result<T>>) -> FfiResult<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(answer) => answer.map_err(FfiError::from),
        Err(_panic) => Err(FfiError::of_panic(operation)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    async fn open() -> FfiHub {
        FfiHub::open(OpenOptions::parse(json!({ "seed": 1, "now": "2026-11-21T09:00:00Z" })).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_operation_is_called_by_name() {
        let hub = open().await;
        let caller = hub.call("scope.whoami", json!({}), CallSettings::default(), None).await.unwrap();
        assert_eq!(caller["principal"], json!({ "kind": "user", "id": "owner" }));
        assert!(hub.operations().contains(&"scope.whoami"));
    }

    #[tokio::test]
    async fn an_unknown_operation_names_the_closest() {
        let error =
            open().await.call("scope.whoam", json!({}), CallSettings::default(), None).await.unwrap_err();
        assert_eq!(error.kind, "not_found");
        assert!(error.context[0].1.contains("scope.whoami"));
    }

    #[tokio::test]
    async fn a_cancelled_call_says_so() {
        let token = CancelToken::new();
        token.cancel();
        let call = open().await.call("jobs.work", json!({}), CallSettings::default(), Some(token)).await;
        assert_eq!(call.unwrap_err().kind, "cancelled");
    }

    #[tokio::test]
    async fn a_closed_hub_takes_no_calls() {
        let hub = open().await;
        hub.close().await.unwrap();
        hub.close().await.unwrap();
        let settings = CallSettings { timeout: Some(Duration::from_secs(1)), ..CallSettings::default() };
        let error = hub.call("scope.whoami", json!({}), settings, None).await.unwrap_err();
        assert_eq!(error.kind, "unavailable");
        assert!(!error.retryable);
    }

    #[tokio::test]
    async fn an_unknown_workspace_is_not_found() {
        assert_eq!(open().await.workspace("elsewhere").await.unwrap_err().kind, "not_found");
    }

    #[tokio::test]
    async fn a_panic_becomes_internal() {
        let error = guarded::<()>("x.y", async { panic!("boom") }).await.unwrap_err();
        assert_eq!((error.kind, error.operation.as_str()), ("internal", "x.y"));
    }
}
