//! The native part of the Kotlin and Swift packages: it converts values, errors and async, and nothing else.
//!
//! UniFFI writes the glue of each language from the items here; the typed surface above the glue is generated from
//! the operation catalogue. Values cross as JSON text, which both languages read straight into their own types.
//! Futures run on the runtime that all bindings share, never on the thread of the caller: UniFFI polls them on the
//! user interface's thread.

#![allow(
    clippy::result_large_err,
    clippy::needless_pass_by_value,
    reason = "UniFFI takes exported arguments and errors by value and knows no box"
)]

mod bridge;
mod error;
mod events;
mod host;
mod hub;
mod testing;

pub use bridge::NativeCancel;
pub use error::{ErrorPair, ErrorParts, NativeError, error_kinds, fail};
pub use events::NativeStream;
pub use host::HostFunction;
pub use hub::{NativeHub, echo, hop, open_hub};
pub use testing::{NativeClock, NativeFaults, NativeOffline, NativeScript};

uniffi::setup_scaffolding!("neonhub_mobile");
