//! The native part of the Python package: it converts values, errors and async, and nothing else.
//!
//! The typed surface above it is generated from the operation catalogue; see `python/neonhub/_generated`.
#![forbid(unsafe_code)]

mod bridge;
mod error;
mod events;
mod host;
mod hub;
mod json;
mod testing;

use pyo3::prelude::*;

/// The private native module.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::bridge::{Call, hand_over};
    #[pymodule_export]
    use super::error::{error_kinds, fail};
    #[pymodule_export]
    use super::events::Events;
    #[pymodule_export]
    use super::host::Reply;
    #[pymodule_export]
    use super::hub::{Hub, open, start_open};
    #[pymodule_export]
    use super::json::echo;
    #[pymodule_export]
    use super::testing::{
        Cassette, Faults, NetworkForbidden, ScriptedModel, VirtualClock, network_forbidden,
    };
}
