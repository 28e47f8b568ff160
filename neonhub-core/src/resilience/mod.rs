//! Resilience: the one owner of retries, and what keeps a failing or greedy part from taking the rest with it.
//!
//! Adapters and connectors classify; they never wait or retry. A call to the outside is wrapped once:
//! deadline, rate limit, bulkhead, breaker, retry with a budget, call. All waits are the clock's, all chance is the
//! Scope's, so a test with a clock of its own never sleeps and the same seed waits the same.
//!
//! ```
//! use neonhub_core::resilience::{Call, Plan};
//! use neonhub_core::{Error, ErrorKind, Hub, Retry};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let cx = Hub::builder().build().await?.workspace("default").await?;
//! let call = Call::new(|attempt| async move {
//!     if attempt.number() < 2 {
//!         return Err(Error::new(ErrorKind::Unavailable, "shop.get", "busy").with_retry(Retry::Backoff));
//!     }
//!     Ok(attempt.number())
//! });
//! assert_eq!(call.guard(Plan::new("endpoint:shop").idempotent()).run(&cx).await?, 2);
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! A guarded call has no second guard, so nothing retries what already retries:
//!
//! ```compile_fail
//! use neonhub_core::resilience::{Call, Plan};
//! let call = Call::new(|_| async { Ok(1) }).guard(Plan::new("endpoint:shop"));
//! let twice = call.guard(Plan::new("endpoint:shop"));
//! ```

mod breaker;
mod bucket;
mod budget;
mod bulkhead;
mod call;
mod gate;
mod gcra;
mod limits;
pub mod ops;
mod profile;
mod target;

pub use breaker::{Breaker, BreakerState};
pub use bucket::{Bucket, LimitOverride};
pub use bulkhead::{Lane, NO_PLACE, Place};
pub use call::{Attempt, Call, Guarded, Plan};
pub use gcra::Rate;
pub use profile::{Counted, LimitProfile};
pub use target::is_untried;

pub(crate) use bucket::Buckets;
pub(crate) use target::Targets;

#[cfg(test)]
mod tests;
