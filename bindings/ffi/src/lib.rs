//! What all bindings of NeonHub share, without a type of any binding library in it.
//!
//! A binding converts types, names, errors and async; everything it converts comes from here: one tokio
//! [`runtime`], a [`FfiHub`] that calls operations by name with JSON, [`EventStream`]s in batches, models,
//! tools and connectors of the host language as objects of the core's traits ([`host`]), one plain [`FfiError`], and the
//! [`catalogue`] that the typed surfaces are generated from.
#![forbid(unsafe_code)]
#![allow(
    clippy::result_large_err,
    reason = "the error is plain data that crosses once and is taken apart there"
)]

pub mod catalogue;
mod error;
mod events;
pub mod host;
mod hub;
mod options;
pub mod plain;
mod runtime;
pub mod testing;

pub use error::{FfiError, FfiResult, Parts};
pub use events::{EventFilter, EventStream};
pub use hub::FfiHub;
pub use neonhub_core::{CancelToken, Error, ErrorKind, Fault, Result, Retry};
pub use options::{CallSettings, OpenOptions};
pub use runtime::{block_on_with, runtime};
pub use serde_json::{Map, Value};
