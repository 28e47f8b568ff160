//! A switch that keeps sockets shut, for tests: whoever opens one asks here first.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, ErrorKind, Result};

static FORBIDDEN: AtomicUsize = AtomicUsize::new(0);

/// While one of these lives, no part of NeonHub in this process opens a socket.
#[derive(Debug)]
#[must_use = "the network is open again once this is dropped"]
pub struct NetworkForbidden(());

impl Drop for NetworkForbidden {
    fn drop(&mut self) {
        FORBIDDEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Forbids the network until the answer is dropped.
pub fn forbid() -> NetworkForbidden {
    FORBIDDEN.fetch_add(1, Ordering::SeqCst);
    NetworkForbidden(())
}

/// True while the network is forbidden.
#[must_use]
pub fn is_forbidden() -> bool {
    FORBIDDEN.load(Ordering::SeqCst) > 0
}

/// Asked before a socket is opened to `host`.
///
/// # Errors
/// `Config`, code `network_forbidden`, while the network is forbidden.
pub fn check(operation: &'static str, host: &str) -> Result<()> {
    if !is_forbidden() {
        return Ok(());
    }
    let message =
        "the network is forbidden in this test: use a scripted model, a connector of the test, or the outbox";
    Err(Error::new(ErrorKind::Config, operation, message)
        .with_code("network_forbidden")
        .with_context("host", host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_shut_while_someone_forbids_it() {
        let (a, b) = (forbid(), forbid());
        drop(a);
        assert_eq!(check("smtp.connect", "mail.example").unwrap_err().code(), "network_forbidden");
        drop(b);
        assert!(check("smtp.connect", "mail.example").is_ok());
    }
}
