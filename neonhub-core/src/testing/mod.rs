//! Helpers for tests of what is built on the hub (feature `doubles`): faults on demand. The scripted model is
//! [`llm::Scripted`](crate::llm::Scripted), the virtual clock [`ManualClock`](crate::ManualClock), and
//! [`network::forbid`](crate::network::forbid) keeps sockets shut. With the
//! feature `testing`, [`provider`] is a model provider on this machine, and [`DyingStore`] lets a process die at a commit.

#[cfg(any(test, feature = "testing"))]
mod dying;
mod faults;
mod layers;
#[cfg(any(test, feature = "testing"))]
pub mod provider;

#[cfg(any(test, feature = "testing"))]
pub use dying::DyingStore;
pub use faults::{FaultError, FaultInjector, FaultRule, FaultSite, SeenCall};
