//! Parts written in the host language, as objects of the core's traits.
//!
//! A binding passes boxed async callbacks over JSON; the adapters here give them the manners the core expects:
//! errors keep their kind, an unreadable answer is `Corrupted`, and a delivery that failed without saying how is
//! `OutcomeUnknown`, because it may have acted.

mod connector;
mod model;
mod tool;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use neonhub_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use connector::{ConnectorSettings, HostConnector};
pub use model::{HostModel, ModelSettings};
pub use tool::{HostTool, ToolSettings};

/// A function of the host language: JSON in, JSON out. Dropping the future cancels the call where the host can.
pub type Callback = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value>> + Send + Sync>;

/// Settings of a part of the host, as a JSON map.
pub trait Settings: DeserializeOwned {
    /// Reads the map.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown setting or a wrong value.
    fn parse(map: Value) -> Result<Self> {
        serde_path_to_error::deserialize(map).map_err(|cause| {
            let path = cause.path().to_string();
            let field = if path == "." { "settings".to_owned() } else { path };
            Error::invalid("hub.add", field, cause.into_inner().to_string())
        })
    }
}

impl Settings for ConnectorSettings {}
impl Settings for ModelSettings {}

/// The code of an error that a callback raised without saying what kind it is.
pub const HOST_ERROR: &str = "host_error";

/// The error for an exception of the host language that is none of ours. Its text stays in `cause`, for the host
/// itself: it may hold personal values, which messages never do.
#[must_use]
pub fn raised(exception: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Internal, "host", format!("the callback of the host raised {exception}"))
        .with_code(HOST_ERROR)
        .with_source(cause)
}

/// The error for an answer that is not what the adapter can read.
fn unreadable(operation: &'static str, expected: &str) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        operation,
        format!("the callback of the host answered something else: expected {expected}"),
    )
    .with_code("host_answer")
}
