//! The runtime of NeonHub: operations and their one door, scope, store, audit, runs, jobs, models, the send
//! gate's seal. It knows no marketing and no vendor.
#![forbid(unsafe_code)]

mod error;
pub mod id;
mod money;
mod rng;
mod time;

pub use error::{Error, ErrorKind, Fault, Faults, Result, Retry};
pub use money::{Currency, MAX_MINOR, Money};
pub use rng::{Rng, Seed};
pub use time::{Clock, ManualClock, SystemClock, Timestamp, zone};
