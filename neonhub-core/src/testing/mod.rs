//! Helpers for tests of what is built on the hub (feature `doubles`): faults on demand. The scripted model is
//! [`llm::Scripted`](crate::llm::Scripted), the virtual clock [`ManualClock`](crate::ManualClock), and
//! [`network::forbid`](crate::network::forbid) keeps sockets shut.

mod faults;
mod layers;

pub use faults::{FaultError, FaultInjector, FaultRule, FaultSite, SeenCall};
