//! The runtime of NeonHub: operations and their one door, scope, store, audit, runs, jobs, models, the send
//! gate's seal. It knows no marketing and no vendor.
#![forbid(unsafe_code)]

pub mod approval;
pub mod audit;
pub mod bus;
pub mod connector;
pub mod economy;
mod error;
pub mod health;
pub mod http;
pub mod hub;
pub mod id;
pub mod job;
pub mod llm;
pub mod mcp;
mod money;
pub mod network;
pub mod op;
mod permission;
pub mod policy;
pub mod prompt;
pub mod resilience;
mod rng;
pub mod run;
pub mod schedule;
mod scope;
pub mod seal;
pub mod store;
pub mod telemetry;
pub mod tenancy;
#[cfg(any(test, feature = "doubles"))]
pub mod testing;
mod time;
pub mod tool;
pub mod vault;

pub use error::{Error, ErrorKind, Fault, Faults, Result, Retry};
pub use hub::{Hub, HubBuilder};
pub use money::{Currency, MAX_MINOR, Money};
pub use permission::{AppPermission, NEVER_AGENT, Permission, PermissionSet, Role};
pub use rng::{Rng, Seed};
pub use scope::{CancelToken, Principal, Scope};
pub use seal::{Sealed, Secret};
pub use tenancy::WorkspaceId;
pub use time::{Clock, ManualClock, SystemClock, Timestamp, zone};

/// Lower-case hex.
pub(crate) fn store_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
