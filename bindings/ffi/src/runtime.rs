//! One tokio runtime per process.

use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Generations of forked processes that can each have a runtime.
const GENERATIONS: usize = 64;

/// A child process keeps the slots of its parents, whose threads did not survive the fork, and takes the next one.
/// Plain slots instead of a lock: a lock held by another thread at the fork would stay held in the child.
static SLOTS: [OnceLock<(u32, Runtime)>; GENERATIONS] = [const { OnceLock::new() }; GENERATIONS];

/// The runtime of this process. It is made at first use, again in a forked child, and never dropped.
///
/// # Panics
/// When the system refuses to start threads, or after 64 nested forks that each used it.
#[must_use]
pub fn runtime() -> &'static Runtime {
    let process = std::process::id();
    for slot in &SLOTS {
        let (owner, runtime) = slot.get_or_init(|| (process, start()));
        if *owner == process {
            return runtime;
        }
    }
    unreachable!("64 nested forks each used neonhub: open it in the process that works with it")
}

#[allow(
    clippy::expect_used,
    reason = "no call can be answered without threads; the binding turns it into an error"
)]
fn start() -> Runtime {
    Builder::new_multi_thread()
        .thread_name("neonhub")
        .enable_all()
        .build()
        .expect("the system must let neonhub start its threads")
}

/// Runs a future on the calling thread until it is done. Every 50 ms `check` may end the wait, as a host language
/// wants for its interrupt signal; the future is dropped then.
///
/// # Errors
/// What `check` answers.
pub fn block_on_with<F: Future, E>(
    future: F,
    mut check: impl FnMut() -> Result<(), E>,
) -> Result<F::Output, E> {
    runtime().block_on(async {
        let mut future = pin!(future);
        loop {
            match tokio::time::timeout(Duration::from_millis(50), &mut future).await {
                Ok(output) => return Ok(output),
                Err(_) => check()?,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_one_runtime() {
        assert!(std::ptr::eq(runtime(), runtime()));
    }

    #[test]
    fn a_check_ends_the_wait() {
        let mut checks = 0;
        let ended: Result<(), &str> = block_on_with(std::future::pending(), || {
            checks += 1;
            if checks == 2 { Err("interrupted") } else { Ok(()) }
        });
        assert_eq!((ended, checks), (Err("interrupted"), 2));
        assert_eq!(block_on_with(async { 7 }, || Err("never asked")), Ok(7));
    }
}
