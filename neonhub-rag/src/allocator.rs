//! Memory that nobody uses any more.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether much was taken for a moment: the allocator is the process's, and so is this.
static MUCH: AtomicBool = AtomicBool::new(false);

/// Notes that much memory is taken for a moment: [`give_back`] has something to do.
pub(crate) fn takes_much() {
    MUCH.store(true, Ordering::Relaxed);
}

/// Gives what the allocator keeps for later back to the system, where the allocator of the system is that of glibc; for the
/// end of work that took much.
///
/// Building an index takes some hundred megabytes for a moment, on several threads. glibc keeps them, each thread's apart: with
/// 10,000 documents 194 MiB stayed where 42 were in use (2026). Takes a few milliseconds, which is nothing beside the work that
/// came before.
pub(crate) async fn give_back() {
    if MUCH.swap(false, Ordering::Relaxed) {
        // What is not given back now is another time.
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "it takes a number and changes nothing that is in use")]
    // SAFETY: `malloc_trim` may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
